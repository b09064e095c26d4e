"""Writes the type stubs, tinydeconv/**/*.pyi.

The source stays free of annotations for the reader's eye. Names, order and defaults of arguments
come from the library as it runs, types from types.toml.

    python tools/stubs.py           writes the files
    python tools/stubs.py --check   exits with 1 if one of them is out of date
"""

import ast
import inspect
import re
import sys
import textwrap
import tomllib
from dataclasses import MISSING, is_dataclass
from fnmatch import fnmatchcase
from importlib import import_module
from math import isfinite
from pathlib import Path
from types import UnionType

import numpy as np

# The modules that users import from, after those that they take names from. The pages behind them
# (ops/shape.py, nn/losses.py) have no stubs: their names appear here, and mypy goes on checking
# their bodies.
FACES = [
    *("cuda", "backend", "kernels.threads", "engine", "tensor", "ops", "gradcheck", "serialize"),
    *("nn.module", "nn.init"),
    *("nn.functional", "nn.utils.parametrizations", "nn.utils", "nn", "optim.lr_scheduler"),
    *("optim", "metrics", "restore", "data.transforms", "data", "viz", "exercises"),
    *("models.classifier", "models.denoiser", "models.gan", "models.superresolution"),
    "models.filler",
    *("models.texture", "models.tones", "models.unet", "models.vae", "models"),
    ".",
]
OF_TENSORS = {"tensor", "ops", "nn.init", "nn.functional", "nn", "models.classifier"}
OF_TENSORS |= {"models.denoiser", "models.gan", "models.superresolution", "models.unet"}
OF_TENSORS |= {"models.filler"}
OF_TENSORS |= {"models.texture", "models.tones", "models.vae"}
# `x == 1` is a Tensor, and a schedule's step() may take more than its base's
HEADER = ["# Written by tools/stubs.py: do not edit.", '# mypy: disable-error-code="override"', ""]
MODULES = {"np": "numpy as np", "npt": "numpy.typing as npt"} | {m: m for m in ("contextlib", "os")}
HOLD = {"MutableSequence": "[Module]", "MutableMapping": "[str, Module]"}  # what these bases hold
# How a layer is made of a function; what only raises a better sentence.
HIDDEN = {"function", "signature", "__getattr__"}
HIDDEN_KINDS = {"_InPlace"}

EMPTY = inspect.Parameter.empty
SELF = inspect.Parameter("self", inspect.Parameter.POSITIONAL_OR_KEYWORD)


def by_name(entries):
    """{name: type} of {type: names}."""
    return {name: told for told, names in entries.items() for name in names.split()}


TYPES = tomllib.loads(Path(__file__).with_name("types.toml").read_text(encoding="utf-8"))
PARAMETERS, RETURNS = by_name(TYPES["parameters"]), by_name(TYPES["returns"])
ATTRIBUTES, HOMES = by_name(TYPES["attributes"]), by_name(TYPES["homes"])
OVERLOADS = {name: o["each"] for o in TYPES["overloads"] for name in o["names"].split()}
EXTRAS = {name: text for names, text in TYPES["extras"].items() for name in names.split()}


def look_up(entries, *names):
    """What a table says of the first of these names that it knows."""
    for name in names:
        if name in entries:
            return entries[name]
        for pattern, told in entries.items():
            if fnmatchcase(name, pattern):
                return told
    return None


class Stub:
    """The stub of one face."""

    missing: set[str] = set()  # what types.toml lacks
    owners: dict[int, tuple[str, str]] = {}  # id of a function or class: its module and name there

    def __init__(self, face):
        self.module = import_module(f"tinydeconv.{face}".rstrip("."))
        self.face, self.home, self.short = face, self.module.__name__, face.split(".")[-1]
        self.path = Path(self.module.__file__).with_suffix(".pyi")
        self.public = self._public()
        for name, value in self.public.items():
            if inspect.isclass(value) or inspect.isfunction(value):
                self.owners.setdefault(id(value), (self.home, name))

    def _public(self):
        """{name: object}: what is defined here; of a package also what it gathers."""
        statements = ast.parse(inspect.getsource(self.module)).body
        imports = [s for s in statements if isinstance(s, ast.Import | ast.ImportFrom)]
        imported = {a.asname or a.name for s in imports for a in s.names}
        beside = [s for s in imports if isinstance(s, ast.ImportFrom) and s.level and not s.module]
        rooms = {a.name for s in beside for a in s.names}
        listed, package = getattr(self.module, "__all__", ()), self.path.stem == "__init__"
        chosen = {}
        for name, value in vars(self.module).items():
            gathered = package and (getattr(value, "__module__", None) or "").startswith(self.home)
            wanted = name not in imported or gathered or name in listed
            if inspect.ismodule(value):
                wanted = package and name in rooms
            if wanted and name[0] != "_" or name == "__version__":
                chosen[name] = value
        return chosen

    def text(self):
        taken, lines = [], []
        for name, value in self.public.items():
            home, original = self.owners.get(id(value), (self.home, name))
            if inspect.ismodule(value):
                taken.append(f"from {self.home} import {name} as {name}")
            elif home != self.home:
                taken.append(f"from {home} import {original} as {name}")
            elif inspect.isclass(value):
                lines += ["", *self.of_class(name, value), ""]
            elif callable(value):
                lines += self.of_function(name, name, inspect.signature(value))
            else:
                lines.append(f"{name}: {self.attribute('', name, value)}")
        if hasattr(self.module, "__all__"):
            listed = textwrap.wrap(", ".join(f'"{n}"' for n in self.module.__all__), 96)
            lines = ["__all__ = [", *(f"    {line}" for line in listed), "]", *lines]
        lines.insert(0, EXTRAS.get(self.face, ""))
        lines = [*HEADER, *sorted(self.imports("\n".join(lines))), *sorted(taken), "", *lines]
        return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).rstrip() + "\n"

    def imports(self, body):
        """What the words of the types stand for."""
        words = set(re.findall(r"(?<![.\w])\w+", re.sub(r'"[^"]*"', "", body))) - set(self.public)
        classes = {n: home for home, n in self.owners.values() if n[0].isupper() or n == "device"}
        homes = {w: h for w, h in (HOMES | classes).items() if w in words and h != self.home}
        found = {f"import {MODULES[word]}" for word in words & set(MODULES)}
        for home in set(homes.values()):
            of_home = sorted(word for word in homes if homes[word] == home)
            found.add(f"from {home} import {', '.join(of_home)}")
        return found

    # ------------------------------------------------------------ functions

    def names(self, qualified, name):
        """What tables may call a name: a function's parameter, or a method of a class."""
        owner, method = qualified.split(".")[0], qualified.split(".")[-1]
        return [f"{of}.{name}" for of in (qualified, method, owner, self.short)]

    def parameter(self, qualified, name, default, annotation=EMPTY):
        """The type of a parameter."""
        told = look_up(PARAMETERS, *self.names(qualified, name))
        if told is None and isinstance(default, bool):
            told = "bool"
        told = told or look_up(PARAMETERS, name)
        if told is None and isinstance(default, str | float):
            told = type(default).__name__
        if told is None and annotation is not EMPTY:
            told = inspect.formatannotation(annotation)
        if told is None:
            self.missing.add(f"parameter {name} of {self.face} {qualified}")
            told = "Any"
        return told + " | None" * (default is None and told != "Any" and "None" not in told)

    def parameters(self, qualified, signature, method, types):
        """Each parameter as text; `types` are those of an overload."""
        told = []
        for i, p in enumerate(signature.parameters.values()):
            if method and i == 0:
                told.append(p.name)
                continue
            if p.name[0] == "_" and p.default is not EMPTY:
                continue
            kind, default = types.get(p.name), p.default
            if kind is None:
                kind = self.parameter(qualified, p.name, default, p.annotation)
            elif str(default) not in kind and not (kind == "bool" and isinstance(default, bool)):
                default = EMPTY  # this overload needs it
            stars = {p.VAR_POSITIONAL: "*", p.VAR_KEYWORD: "**"}.get(p.kind, "")
            after_default = default is EMPTY and not stars and any(" = " in t for t in told)
            if (p.kind is p.KEYWORD_ONLY or after_default) and not any(t[0] == "*" for t in told):
                told.append("*")
            value = "" if default is EMPTY else f" = {literal(default)}"
            told.append(f"{stars}{p.name}: {kind}{value}")
        return told

    def of_function(self, name, qualified, signature, method=False):
        names = [qualified, f"{self.short}.{name}", name]
        overloads, returns = look_up(OVERLOADS, *names), look_up(RETURNS, *names)
        if not returns and not overloads and self.face not in OF_TENSORS:
            self.missing.add(f"what {self.face} {qualified} returns")
        lines = []
        for types, result in overloads or [({}, returns or "Tensor")]:
            told = self.parameters(qualified, signature, method, types)
            line = f"def {name}({', '.join(told)}) -> {result}: ..."
            if len(line) > 94:
                line = f"def {name}(\n    " + ",\n    ".join(told) + f",\n) -> {result}: ..."
            lines += ["@overload"] * bool(overloads) + line.split("\n")
        return lines

    # ------------------------------------------------------------ classes

    def shown(self, cls):
        """Whether a stub has the class."""
        return id(cls) in self.owners or not cls.__module__.startswith("tinydeconv")

    def of_class(self, name, cls):
        own = [cls]  # and its bases that no stub has
        for c in own:
            own += [base for base in c.__bases__ if not self.shown(base) and base not in own]
        bases = list(dict.fromkeys(b for c in own for b in c.__bases__ if self.shown(b)))
        heads = [self.owners.get(id(b), ("", b.__name__))[1] for b in bases if b is not object]
        members = {
            n: v
            for c in reversed(own)
            for n, v in vars(c).items()
            if n not in HIDDEN and type(v).__name__ not in HIDDEN_KINDS
        }
        source, lines, body = set().union(*map(names_of, own)), [], []
        if issubclass(cls, tuple):
            heads, members = ["NamedTuple"], {n: v for n, v in members.items() if n in source}
        if is_dataclass(cls):
            fields = cls.__dataclass_fields__
            lines.append(f"@dataclass(frozen={cls.__dataclass_params__.frozen})")
            for n, field in fields.items():
                default = "" if field.default is MISSING else " = ..."
                body.append(f"{n}: {self.attribute(name, n, field.type)}{default}")
            source -= set(fields)
            members = {n: v for n, v in members.items() if n in source}
        made = "signature" in vars(cls)  # of a function, see nn/families.py
        settings = inspect.signature(cls).parameters if made or "__init__" in members else {}
        for n in sorted((source | set(settings) if made else source) - set(members)):
            if n[0] != "_" and not any(hasattr(base, n) for base in bases):
                body.append(f"{n}: {self.attribute(name, n, EMPTY, settings)}")
        if made and not settings:
            members.pop("__init__")
        for n, value in members.items():
            if n[0] != "_" or n[:2] == "__":
                body += self.of_member(name, n, value, cls)
        body += [EXTRAS[name]] if name in EXTRAS else []
        if shadowed := "|".join(sorted({"bool", "device", "float", "int"} & set(members))):
            # inside this class the words mean its methods
            lines += [f"_{word} = {word}" for word in shadowed.split("|")]
            body = [
                re.sub(rf"(?<=[:>\[|,] |.\[)({shadowed})\b(?!:)", r"_\1", line) for line in body
            ]
        head = ", ".join(base + HOLD.get(base, "") for base in heads)
        head = f"class {name}({head}):" if head else f"class {name}:"
        return [*lines, head, *(f"    {line}" for line in body or ["..."])]

    def of_member(self, owner, name, value, cls):
        qualified = f"{owner}.{name}"
        if isinstance(value, staticmethod):
            signature = inspect.signature(value.__func__)
            return ["@staticmethod", *self.of_function(name, qualified, signature)]
        if isinstance(value, property):
            kind = self.attribute(owner, name)
            lines = ["@property", f"def {name}(self) -> {kind}: ..."]
            if value.fset:
                lines += [f"@{name}.setter", f"def {name}(self, value: {kind}) -> None: ..."]
            return lines
        if inspect.isfunction(value) and qualified not in ATTRIBUTES:
            signature = inspect.signature(value)
            if name == "__init__":
                signature = with_self(inspect.signature(cls).parameters.values())
            elif (
                name == "forward" and hasattr(cls, "signature") and "inputs" in signature.parameters
            ):
                taken = inspect.signature(cls.function).parameters
                signature = with_self(taken[n] for n in taken if n not in cls.signature.parameters)
            lines = self.of_function(name, qualified, signature, method=True)
            return lines + ["__call__ = forward"] * (name == "forward" and owner != "Op")
        if name == "__hash__" and value is not None:
            return ["def __hash__(self) -> int: ..."]
        if name[:2] == "__" and name != "__array_ufunc__":
            return []
        return [f"{name}: {self.attribute(owner, name, value)}"]

    def attribute(self, owner, name, value=EMPTY, settings=None):
        """The type of an attribute, of its value or of a dataclass's field."""
        told = look_up(ATTRIBUTES, f"{owner}.{name}", name)
        if told is None and name in (settings or {}):
            told = self.parameter(f"{owner}.__init__", name, settings[name].default)
        if told is None and isinstance(value, np.dtype):
            told = f"np.dtype[np.{value.type.__name__}]"
        if told is None and isinstance(value, int | float | str | None):
            told = "None" if value is None else type(value).__name__
        if told is None and value is not EMPTY and isinstance(value, type | UnionType):
            told = inspect.formatannotation(value)
        return told or "Any"


def with_self(parameters):
    return inspect.Signature([SELF, *parameters])


def names_of(cls):
    """What the source of a class defines, on the class or on self."""
    try:
        (tree,) = ast.parse(textwrap.dedent(inspect.getsource(cls))).body
    except OSError:  # a class that a function made
        return set()
    found = {s.name for s in tree.body if isinstance(s, ast.FunctionDef)}
    for statement in tree.body:
        targets = getattr(statement, "targets", [getattr(statement, "target", None)])
        found |= {t.id for t in targets if isinstance(t, ast.Name)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            found |= {node.attr} if getattr(node.value, "id", "") == "self" else set()
    return found


def literal(value):
    """A default as a stub shows it."""
    if isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, tuple):
        return repr(value) if all(isinstance(v, int | float) for v in value) else "..."
    told = value is None or isinstance(value, int | float) and isfinite(value)
    return repr(value) if told else "..."


def stubs():
    """{path: text} of all stubs."""
    made = [Stub(face) for face in FACES]
    texts = {stub.path: stub.text() for stub in made}
    if Stub.missing:
        sys.exit("say in tools/types.toml the type of\n  " + "\n  ".join(sorted(Stub.missing)))
    return texts


if __name__ == "__main__":
    for path, text in stubs().items():
        if "--check" not in sys.argv:
            path.write_text(text, encoding="utf-8")
        elif not path.is_file() or path.read_text(encoding="utf-8") != text:
            sys.exit(f"{path} is out of date: run python tools/stubs.py")

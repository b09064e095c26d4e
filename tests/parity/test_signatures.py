"""The column "PyTorch" of docs/reference.md: every claim of docs/differences.toml, and no other."""

import ast
import inspect
import os
import sys
from collections import defaultdict
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple, get_overloads

import numpy as np
import pytest
import torch

import tinydeconv as td

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))
import reference  # noqa: E402

FACTS = reference.facts()
PUBLIC = reference.public()
REQUIRED, UNKNOWN = inspect.Parameter.empty, object()


class Argument(NamedTuple):
    default: Any  # REQUIRED; UNKNOWN where PyTorch's stubs do not tell
    keyword: bool  # by keyword only


# ---------------------------------------------------------------- what the signatures say


@cache
def builtins(place):
    """{name: signatures} of PyTorch's functions in C++, from the stubs that it comes with."""
    path, _, owner = place.partition(":")
    tree = ast.parse((Path(torch.__file__).parent / path).read_text(encoding="utf-8"))
    body = tree.body
    if owner:
        (body,) = (s.body for s in body if isinstance(s, ast.ClassDef) and s.name == owner)
    found = defaultdict(list)
    for f in body:
        if isinstance(f, ast.FunctionDef) and not deprecated(f):
            found[f.name].append(of_stub(f.args))
    return found


def deprecated(f):
    """add(self, alpha, other), which PyTorch still takes."""
    names = [a.arg for a in f.args.args]
    return "alpha" in names and names.index("alpha") < len(names) - 1


def of_stub(arguments):
    positional = [*arguments.posonlyargs, *arguments.args]
    defaults = [REQUIRED] * (len(positional) - len(arguments.defaults)) + arguments.defaults
    told = {a.arg: Argument(literal(d), False) for a, d in zip(positional, defaults)}
    if arguments.vararg:
        told["*"] = Argument(REQUIRED, False)
    for a, d in zip(arguments.kwonlyargs, arguments.kw_defaults):
        told[a.arg] = Argument(REQUIRED if d is None else literal(d), True)
    return told


def literal(default):
    if default is REQUIRED:
        return default
    try:
        value = ast.literal_eval(default)
    except ValueError:
        return UNKNOWN
    return UNKNOWN if value is ... else value


def of(function):
    """{argument: Argument} as Python tells it; of several by position, *sizes, "*" or "*sizes"."""
    told = {}
    for p in inspect.signature(function).parameters.values():
        if p.kind is not p.VAR_KEYWORD:
            name = f"*{p.name}" if p.kind is p.VAR_POSITIONAL else p.name
            told[name] = Argument(p.default, p.kind is p.KEYWORD_ONLY)
    return told


def counterpart(name):
    """What PyTorch has by that name, or None."""
    prefix, _, short = name.rpartition(".")
    prefix = next(p for p in (prefix, prefix.split(".")[0]) if p in FACTS["prefixes"])
    path = FACTS["prefixes"][prefix] + name.removeprefix(prefix)
    value: Any = torch
    for part in FACTS["elsewhere"].get(name, path).split(".")[1:]:
        value = getattr(value, part, None)
    return value


def theirs(name):
    """PyTorch's signatures of a function of ours: one, or several; None if there is no such."""
    prefix, _, short = name.rpartition(".")
    value = counterpart(name)
    if value is None:
        return None
    if name == "F.gelu":  # by keyword only, which PyTorch's stub forgets
        return [{"input": Argument(REQUIRED, False), "approximate": Argument("none", True)}]
    kernel = getattr(value, "__name__", short)
    if prefix == "Tensor":
        places = ["_C/__init__.pyi:TensorBase"]
    else:
        places = ["_C/_VariableFunctions.pyi", "_C/_nn.pyi"]
    if inspect.isbuiltin(value) or inspect.ismethoddescriptor(value):
        for place in places:
            if kernel in builtins(place):
                return builtins(place)[kernel]
        return None
    value = getattr(torch.nn.functional, f"{short}_with_indices", value)
    made = getattr(value, "__init__", None) if inspect.isclass(value) else None
    overloads = get_overloads(made) if inspect.isfunction(made) else []
    try:
        if overloads:
            return [dict(list(of(f).items())[1:]) for f in overloads]
        return [of(value)]
    except ValueError:  # a class in C++
        return []


# ---------------------------------------------------------------- how two signatures differ


def differences(name):
    """What differs.toml should say of the arguments of a name."""
    mine = of(PUBLIC[name])
    method = name.split(".")[0] in reference.CLASSES
    mine = {n: a for n, a in list(mine.items())[method:] if n[0] != "_"}
    found = []
    alternatives = theirs(name)
    everywhere = {n for other in alternatives for n in other}
    for other in alternatives:
        other = {"*" if n[0] == "*" else n: a for n, a in list(other.items())[method:]}
        own = {renamed(n, other): a for n, a in mine.items()}
        other = {n: a for n, a in other.items() if n in own or n not in left_out(name)}
        told = {
            "without": [n for n in other if n not in own and n[0] not in "*_"],
            "adds": [n for n in own if n not in other and n not in everywhere],
            "keyword": [n for n in own if n in other and own[n].keyword > other[n].keyword],
            "defaults": {
                n: spelled(own[n].default)
                for n in own
                if n in other and n != "*" and not agree(n, own[n].default, alternatives)
            },
        }
        shared = [n for n in own if n in other and not own[n].keyword and not other[n].keyword]
        told["order"] = shared if shared != [n for n in other if n in shared] else []
        found.append({kind: value for kind, value in told.items() if value})
    return min(found, key=lambda told: sum(map(len, told.values())), default={})


def renamed(name, other):
    """Our name of an argument in PyTorch's words: the operands go by position here."""
    plain = name.removeprefix("*")
    told = [plain, *["*"] * (plain != name), *FACTS["operands"].get(plain, [])]
    return next((n for n in told if n in other), name)


def left_out(name):
    told = [entry for entry in FACTS["left_out"] if reference.matches(name, entry["of"])]
    return {argument for entry in told for argument in entry["arguments"]}


def agree(name, mine, alternatives):
    defaults = [other[name].default for other in alternatives if name in other]
    if mine is not REQUIRED and any(name not in other for other in alternatives):
        defaults = [d for d in defaults if d is not REQUIRED] or [mine]  # one for several
    return any(d is UNKNOWN or d == mine for d in defaults)


def spelled(default):
    return "needed" if default is REQUIRED else repr(default)


# ---------------------------------------------------------------- the facts


COMPARABLE = [name for name in PUBLIC if theirs(name) is not None]


@pytest.mark.parametrize("name", COMPARABLE)
def test_the_arguments_differ_as_the_facts_say(name):
    assert reference.declared(FACTS, name) == differences(name)


def test_the_names_that_pytorch_lacks():
    assert set(FACTS["ours"]["names"]) == set(PUBLIC) - set(COMPARABLE)


def test_every_entry_is_about_a_name():
    for entry in FACTS["differs"] + FACTS["spelled"]:
        for pattern in entry["names"]:
            assert any(reference.matches(name, [pattern]) for name in COMPARABLE), pattern
    assert set(FACTS["elsewhere"]) <= set(PUBLIC)


NOTES = [
    pytest.param(name, entry["example"], id=name)
    for entry in FACTS["differs"]
    if "note" in entry
    for name in PUBLIC
    if reference.matches(name, entry["names"])
]


def outcome(library, name, example, path=os.devnull):
    """What a line of Python gives in a library, so that the two can be compared."""
    prefix, _, short = name.rpartition(".")
    line = example.format(name=f"m.{short}" if prefix == "td" else name, short=short)
    w = library.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    known = {"m": library, "path": path, "nn": library.nn, "F": library.nn.functional, "np": np}
    try:
        value = eval(line, known | {"x": library.tensor([1.0, -2.0, 3.0]), "w": w})
    except Exception:
        return "an error"
    return value.tolist() if hasattr(value, "tolist") else value


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("name", "example"), NOTES)
def test_what_a_note_says_is_seen_in_its_example(name, example, tmp_path):
    mine, other, again = (outcome(m, name, example, tmp_path / "file") for m in (td, torch, td))
    assert mine == again != other


def test_what_is_left_out_is_pytorchs_and_not_ours():
    for entry in FACTS["left_out"]:
        names = [n for n in COMPARABLE if reference.matches(n, entry["of"])]
        for argument in entry["arguments"]:
            assert any(argument in other for n in names for other in theirs(n)), argument
            for name in names:
                assert argument not in of(PUBLIC[name]), f"{name}({argument})"


def test_absent_names_are_pytorchs_and_not_ours():
    for entry in FACTS["absent"]:
        for name in entry["names"]:
            assert counterpart(name) is not None, name
            library: Any = {"td": td, "nn": td.nn, "F": td.nn.functional, "optim": td.optim}
            library["Tensor"] = td.Tensor
            first, *rest = name.split(".")
            found = library[first]
            for part in rest:
                found = getattr(found, part, None)
            assert found is None, name


# ---------------------------------------------------------------- the comparison itself


def conv(input, weight, bias=None, stride=2, *, padding=0, dilation=1, groups=1, extra=0): ...


def test_differences_are_seen(monkeypatch):
    monkeypatch.setitem(PUBLIC, "F.conv2d", conv)
    assert differences("F.conv2d") == {
        "adds": ["extra"],
        "keyword": ["padding", "dilation", "groups"],
        "defaults": {"stride": "2"},
    }
    monkeypatch.setitem(PUBLIC, "F.conv2d", lambda input, bias, weight: 0)
    told = differences("F.conv2d")
    assert told["without"] == ["stride", "padding", "dilation", "groups"]
    assert told["order"] == ["input", "bias", "weight"] and told["defaults"] == {"bias": "needed"}


def test_claims_that_are_not_true_are_seen():
    told = reference.declared(FACTS, "F.conv2d")
    assert told == differences("F.conv2d") != reference.declared(FACTS, "nn.Conv2d")
    assert outcome(td, "F.relu", "{name}(x)") == outcome(torch, "F.relu", "{name}(x)")

"""What the documentation site takes from elsewhere: docstrings and the notebooks' pictures.

docs/conf.py calls `api` and `gallery` while Sphinx reads a page, and puts the Markdown that they
return in the place of a comment.
"""

import base64
import inspect
import json
import re
import textwrap
from fnmatch import fnmatchcase
from importlib import import_module
from pathlib import Path

import reference

ROOT = Path(__file__).resolve().parent.parent
PICTURES = ROOT / "docs" / "_build" / "gallery"
ROOM = 180  # letters below a picture of the gallery


# ---------------------------------------------------------------- docstrings


def api(*patterns):
    """The modules that match, in this order: each with its own docstring and what it offers."""
    families = {}
    for name, what in reference.public().items():
        families.setdefault(reference.family(name, what), []).append((name, what))
    lines = []
    for pattern in patterns:
        known = [m for m in families if fnmatchcase(m, pattern)]
        for module in known or [pattern]:  # a module that is none of PyTorch's names itself
            lines += section(module, families.pop(module, None) or offered(module))
    return "\n".join(lines)


def section(module, entries):
    home = import_module(f"tinydeconv.{module}")
    about = inspect.getdoc(home)
    title = re.split(r"[:.,] |[:.]$", " ".join(about.split("\n\n")[0].split()))[0]
    file = Path(home.__file__).relative_to(ROOT).as_posix()
    lines = [f"## {title}", "", f"[`{file}`](../../{file})", "", *markdown(about)]
    entries = [found for entry in entries for found in (entry, *members(*entry))]
    docs = [AXES.sub("", inspect.getdoc(what) or "") for _, what in entries]
    for i, (name, what) in enumerate(entries):
        twins = [re.sub(r"\dd$", "", n) for n, _ in entries[i : i + 2]]
        alike = len({*twins}) == 1 < len(twins) and docs[i] == docs[i + 1]
        lines += directive(name, what, "" if alike else docs[i])  # the text below the last twin
    return [*lines, ""]


AXES = re.compile(r"\n\n(Spatial axes: \d|\d spatial ax[ei]s)\.$")  # of conv1d, conv2d and conv3d


def offered(module):
    """The public functions and classes of a module."""
    home = import_module(f"tinydeconv.{module}")
    for name in getattr(home, "__all__", vars(home)):
        what = getattr(home, name)
        ours = getattr(what, "__module__", "").startswith(home.__name__)
        if name[0] != "_" and callable(what) and ours and what.__doc__:
            yield f"{module.rpartition('.')[2]}.{name}", what


def members(name, what):
    """The properties of a class and its methods, but for those that stand in reference.public()."""
    if inspect.isclass(what):
        short = name.rpartition(".")[2]
        for inner, member in vars(what).items():
            method = inspect.isfunction(member) and short not in reference.CLASSES
            if inner[0] != "_" and member.__doc__ and (method or isinstance(member, property)):
                yield f"{short}.{inner}", member


def directive(name, what, doc):
    """A name with its arguments and its docstring, for Sphinx."""
    module, _, short = name.rpartition(".")
    method = module[0].isupper() and module != "F"
    if isinstance(what, property):
        kind, arguments = "property", ""
    elif inspect.isclass(what) and issubclass(what, Exception):
        kind, arguments = "exception", ""
    else:
        kind = "class" if inspect.isclass(what) else "method" if method else "function"
        arguments = reference.arguments(what, method)
    shown, option = (name, []) if method else (short, [f":module: {module}"])
    head = f"``````{{py:{kind}}} {shown}{arguments}"
    return [head, *option, "", *markdown(doc), "``````", ""]


def markdown(doc):
    """The lines of a docstring, which is prose, as Markdown.

    What is indented, or a session at the prompt, is shown as it is; lines that all begin with
    "name: " become a list.
    """
    lines = []
    for paragraph in doc.split("\n\n"):
        rows = paragraph.split("\n")
        items = re.split(r"\n(?! )", paragraph)
        if paragraph.startswith((" ", ">>> ", "@")):
            language = "pycon" if paragraph.startswith(">>> ") else "text"
            lines += [f"```{language}", *textwrap.dedent(paragraph).rstrip().split("\n"), "```"]
        elif len(rows) > 1 and all(re.match(r"[\w, ]+: ", item) for item in items):
            for item in items:
                names, text = re.split(": ", " ".join(item.split()), maxsplit=1)
                lines.append(f"- `{names}`: {reference.plain(text)}")
        elif paragraph.startswith("- "):
            lines += [f"- {prose(item)}" for item in re.split(r"(?:^|\n)- ", paragraph)[1:]]
        else:
            lines.append(re.sub(r"^(\d*)([-+.>#])", r"\1\\\2", prose(paragraph)))
        lines.append("")
    return lines


def prose(text):
    """Text in one line, as Markdown: of its marks only *a word*, **bold** and `code` mean any."""
    text = reference.plain(" ".join(text.split()))
    return re.sub(
        r"(?<!\w)((?:\\\*){1,2})(\w+(?: \w+)*)\1(?!\w)", lambda m: m[0].replace("\\", ""), text
    )


# ---------------------------------------------------------------- pictures


def pictures(cell):
    """(what is to be seen, in words; the PNG) of each picture that a notebook's cell shows."""
    for output in cell.get("outputs", ()):
        data = output.get("data", {}).get("image/png")
        if data:
            alt = output["metadata"].get("image/png", {}).get("alt", "")
            yield " ".join(alt.split()), base64.b64decode("".join(data))


def gallery():
    """The pictures of the cells that are tagged `gallery`, each with a link to its lesson."""
    lines = []
    for path in sorted((ROOT / "tutorials").glob("*.ipynb")):
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        lesson = heading = ""
        for i, cell in enumerate(cells):
            source = "".join(cell["source"])
            if cell["cell_type"] == "markdown":
                for heading in re.findall(r"^#+ (.+)", source, re.MULTILINE):
                    lesson = lesson or heading
            elif "gallery" in cell["metadata"].get("tags", ()):
                caption = "".join(cells[i + 1]["source"]) if i + 1 < len(cells) else ""
                for alt, png in pictures(cell):
                    PICTURES.mkdir(parents=True, exist_ok=True)
                    file = PICTURES / f"{path.stem}-{i}.png"
                    file.write_bytes(png)
                    link = f"../tutorials/{path.name}#{slug(heading)}"
                    lines += figure(f"/{file.relative_to(ROOT)}", alt, lesson, caption, link)
    if not lines:
        return "There are none: the notebooks hold no pictures before they have been run."
    return "\n".join(["`````{container} gallery", *lines, "`````"])


def figure(file, alt, lesson, caption, link):
    """A picture that leads to its lesson, and as many sentences of its caption as have room."""
    words = re.sub(r"([\[\]*_`])", r"\\\1", alt)
    seen = " ".join(caption.split("\n\n")[0].split()).removeprefix("**What to see.** ")
    first, *others = re.split(r"(?<=[.?!]) ", seen)
    for sentence in others:
        if len(first) + len(sentence) > ROOM:
            break
        first += f" {sentence}"
    return [
        "````{container} picture",
        f"[![{words}]({file})]({link})",
        "",
        f"**[{lesson}]({link})** {first}",
        "````",
    ]


def slug(heading):
    """The anchor of a heading, as GitHub and MyST make it."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")

"""The house stays small: code lines a room, against its budget. Run as a script: the table."""

import io
import re
import tokenize
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

# Every room with its budget in code lines, in the order in which they may import each other
# (test_layering.py holds the order). A room is a module or a package of tinydeconv; the rooms of
# kernels/ have a budget a file. To go over, say so in docs/design.md, a line with the new number:
# "- Over budget: viz 200, because ...".
BUDGETS = {
    "cuda": 150,
    "backend": 120,
    "cudasim": 450,
    "geometry": 180,
    "kernels/reference": 130,
    "kernels/sparse": 40,
    "kernels/windows": 50,
    "kernels/ladder": 80,
    "kernels/threads": 140,
    "kernels/pieces": 240,
    "kernels/patches": 180,
    "kernels/cpu": 200,
    "kernels/cuda": 200,
    "engine": 250,
    "tensor": 150,
    "ops": 1200,
    "gradcheck": 220,
    "nn": 1000,
    "optim": 220,
    "opcases": 200,
    "serialize": 120,
    "data": 250,
    "metrics": 150,
    "restore": 150,
    "viz": 180,
    "exercises": 60,
    "models": 350,
    "train": 200,
    "recipes": 400,
    "info": 90,
    "bench": 300,
    "cli": 200,
}
OPS_FILE = 250  # one family of operations
READING_PATH = ["geometry", "kernels/reference", "engine", "ops/conv", "gradcheck"]
AFTERNOON = 850

LAYOUT = {tokenize.COMMENT, tokenize.NL, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}


def code_lines(source):
    """Lines of code in `source`: no blank lines, no comments, no docstrings."""
    lines, statement = set(), []
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type in LAYOUT:
            continue
        if token.type != tokenize.NEWLINE:
            statement.append(token)
            continue
        if any(part.type != tokenize.STRING for part in statement):  # else a docstring
            for part in statement:
                lines.update(range(part.start[0], part.end[0] + 1))
        statement = []
    return len(lines)


def count(root, room):
    """Code lines of the module or package `room` of root/tinydeconv; 0 before it is built."""
    path = root / "tinydeconv" / room
    files = [path.with_suffix(".py"), *path.rglob("*.py")]
    return sum(code_lines(f.read_text(encoding="utf-8")) for f in files if f.is_file())


def table(root):
    """Rows of (what, code lines, budget)."""
    design = root / "docs" / "design.md"
    text = design.read_text(encoding="utf-8") if design.is_file() else ""
    agreed = re.findall(r"^- Over budget: (\S+) (\d+), because \S", text, flags=re.MULTILINE)
    budgets = BUDGETS | {room: int(lines) for room, lines in agreed}
    families = sorted((root / "tinydeconv" / "ops").glob("*.py"))
    budgets |= {f"ops/{f.stem}": budgets.get(f"ops/{f.stem}", OPS_FILE) for f in families}
    rows = [(room, count(root, room), budget) for room, budget in budgets.items()]
    return [*rows, ("reading path", sum(count(root, room) for room in READING_PATH), AFTERNOON)]


def over(root):
    return [row for row in table(root) if row[1] > row[2]]


def print_table():
    print("code lines of / budget")
    for what, lines, budget in table(ROOT):
        print(f"{lines:10} / {budget:<6}  {what}")


def test_every_room_keeps_its_budget():
    print_table()
    assert not over(ROOT)


def test_the_reading_path_is_there():
    missing = [room for room in READING_PATH if not count(ROOT, room)]
    assert not missing


def test_no_line_is_longer_than_100_columns():
    long = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in (ROOT / "tinydeconv").rglob("*.py")
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if len(line) > 100
    ]
    assert not long


def test_code_lines_counts_code_alone():
    source = '''"""A module
docstring."""

# a comment
import math  # counts: 1


def area(r, note="""two
lines"""):  # counts: 2 and 3
    """One line."""

    return (  # counts: 4
        # not this
        math.pi * r**2  # counts: 5
    )  # counts: 6


class Empty:  # counts: 7
    """Docstring of
    two lines."""
'''
    assert code_lines(source) == 7


def test_going_over_is_seen_and_can_be_agreed(tmp_path):
    ops = tmp_path / "tinydeconv" / "ops"
    ops.mkdir(parents=True)
    (ops / "conv.py").write_text("x = 1\n" * 851, encoding="utf-8")
    (tmp_path / "tinydeconv" / "viz.py").write_text("x = 1\n" * 181, encoding="utf-8")
    assert over(tmp_path) == [
        ("viz", 181, 180),
        ("ops/conv", 851, 250),
        ("reading path", 851, 850),
    ]
    (tmp_path / "docs").mkdir()
    design = "- Over budget: viz 181, because a graph needs arrows.\n"
    (tmp_path / "docs" / "design.md").write_text(design, encoding="utf-8")
    assert ("viz", 181, 180) not in over(tmp_path) and len(over(tmp_path)) == 2


if __name__ == "__main__":
    print_table()

"""docs/reference.md has every public name once, and is up to date."""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tools"))
import reference  # noqa: E402

PAGE = (ROOT / "docs" / "reference.md").read_text(encoding="utf-8")


def test_the_page_is_up_to_date():
    assert reference.page() == PAGE, "run python tools/reference.py"


def test_every_public_name_stands_there_once():
    rows = re.findall(r"^\| `([\w.]+)\(", PAGE, re.MULTILINE)
    assert sorted(rows) == sorted(reference.public()) and len(rows) > 400
    for name in ("td.cumsum", "Tensor.cumsum", "F.conv2d", "nn.Conv2d", "optim.Adam"):
        assert name in rows


def test_every_row_compares_with_pytorch():
    cells = re.findall(r"^\| `.*\| (.*) \|$", PAGE.split("## Left out")[0], re.MULTILINE)
    kinds = {cell if re.fullmatch("same|ours|differs: .+", cell) else "" for cell in cells}
    assert {"same", "ours"} < kinds and "" not in kinds


def test_what_a_row_says():
    told = {
        "ours": {"names": ["F.own"]},
        "spelled": [{"names": ["F.sum"], "defaults": {"dim": "None"}}],
        "differs": [
            {"names": ["F.con*"], "keyword": ["stride"], "without": ["out"]},
            {"names": ["F.conv"], "defaults": {"bias": "needed", "p": "2"}, "note": "slow"},
        ],
    }
    assert reference.compared(told, "F.own") == "ours"
    assert reference.compared(told, "F.sum") == "same"
    assert reference.compared(told, "F.cont") == "differs: without `out`; `stride` by keyword only"
    assert reference.compared(told, "F.conv").endswith("`bias` must be given; `p=2`; slow")
    assert reference.declared(told, "F.sum") == {"defaults": {"dim": "None"}}

"""What the README prints is what its lines print."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def run(*arguments, cwd=ROOT):
    result = subprocess.run(
        [sys.executable, *arguments], capture_output=True, encoding="utf-8", cwd=cwd, check=False
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_the_eight_lines_print_what_the_readme_shows():
    code, printed = re.search(r"```python\n(.*?)```\n+```text\n(.*?)```", README, re.S).groups()
    assert len(code.strip().splitlines()) == 8
    assert run("-c", code) == printed


def test_the_lines_for_those_who_know_pytorch_run(tmp_path):
    (code,) = re.findall(r"know PyTorch\n.*?```python\n(.*?)```", README, re.S)
    assert "total" in run("-c", f"import tinydeconv as td\n{code}", cwd=tmp_path)
    assert (tmp_path / "model.safetensors").stat().st_size > 600


def test_the_gradcheck_command():
    assert "tinydeconv gradcheck conv2d" in README
    assert "Conv" in run("-m", "tinydeconv", "gradcheck", "conv2d")


def test_every_file_it_points_to_exists():
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        if not target.startswith("http"):
            assert (ROOT / target).exists(), target


def test_the_rooms_it_names_exist():
    rooms = re.findall(r"^\| `([^`]+)` \|", README.split("## Where things are")[1], re.M)
    assert len(rooms) > 8
    for room in rooms:
        assert (ROOT / room).exists(), room

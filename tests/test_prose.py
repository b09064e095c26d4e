"""What README.zh-CN.md, docs/glossary.md and docs/responsible-use.md say is what there is."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
EXAMPLE = re.compile(r"```python\n.*?```\n+```text\n.*?```", re.DOTALL)


def read(name):
    return (ROOT / name).read_text(encoding="utf-8")


def terms():
    """The rows of the glossary: (English, Chinese, what it is, what is easily confused)."""
    rows = re.findall(r"^\|(.+)\|$", read("docs/glossary.md"), re.MULTILINE)
    cells = [[cell.strip() for cell in row.split("|")] for row in rows]
    return [row for row in cells if row[0] != "English" and set(row[0]) != {"-"}]


def test_the_chinese_readme_has_the_same_example_and_leads_there_and_back():
    english, chinese = read("README.md"), read("README.zh-CN.md")
    (example,) = EXAMPLE.findall(chinese)
    assert example == EXAMPLE.search(english)[0]
    assert "](README.zh-CN.md)" in english[:200] and "](README.md)" in chinese[:200]


def test_the_chinese_readme_lists_every_lesson():
    lessons = [path.stem for path in sorted((ROOT / "tutorials").glob("[0-9]*.py"))]
    listed = re.findall(r"^\| \[.+\]\(tutorials/(.+)\.ipynb\) \|", read("README.zh-CN.md"), re.M)
    assert listed == lessons


def test_the_chinese_readme_names_targets_that_there_are():
    targets = re.findall(r"^\| `make (.+?)` \|", read("README.zh-CN.md"), re.MULTILINE)
    assert targets == ["demo", "test", "tutorials", "docs"]
    for target in targets:
        assert re.search(rf"^{target}:", read("Makefile"), re.MULTILINE), target


def test_the_chinese_readme_gives_the_same_figures_and_commands():
    english, chinese = (" ".join(read(name).split()) for name in ("README.md", "README.zh-CN.md"))
    for in_english, in_chinese in [
        ("Python 3.11 or newer", "Python 3.11 或更高版本"),
        ("sets up `.venv` by itself, which takes about a minute", "虚拟环境，大约需要一分钟"),
        ("about four minutes on two cores", "双核机器大约需要四分钟"),
        ("runs the tests, four minutes", "运行测试，大约四分钟"),
        ("the picture above to `runs/denoise`", "上面那样的图会写到 `runs/denoise`"),
        ("writes `photo-denoised.png`", "写到 `photo-denoised.png`"),
        ("no GPU has run them yet", "还没有在真正的 GPU 上运行过"),
        ("runs the same sources on a CPU", "在 CPU 上运行同样的源代码"),
    ]:
        assert in_english in english and in_chinese in chinese, in_english
    commands = re.findall(r"^\$ (?!.*pip install)(.+)$", read("README.zh-CN.md"), re.MULTILINE)
    assert len(commands) >= 7
    for command in commands:
        assert f"\n$ {command}\n" in read("README.md"), command


def test_the_glossary_has_each_term_once_in_both_languages():
    table = terms()
    assert 60 <= len(table) <= 120
    assert all(len(row) == 4 for row in table)
    for column in 0, 1:
        names = [row[column] for row in table]
        assert len({*names}) == len(names)
    for english, chinese, meaning, _ in table:
        assert english.isascii() and meaning[0].isupper(), english
        assert re.search("[\u4e00-\u9fff]", chinese), english


def test_what_the_denoiser_invents(capsys):
    (code,) = re.findall(r"```python\n(.*?)```", read("docs/responsible-use.md"), re.DOTALL)
    (printed,) = re.findall(r"```text\n(.*?)```", read("docs/responsible-use.md"), re.DOTALL)
    exec(code, {})
    assert capsys.readouterr().out == printed

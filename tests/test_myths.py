"""The lines of docs/myths.md print what stands below them; the Chinese page has the same lines."""

import re
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[1] / "docs"
BLOCK = re.compile(r"```python\n(.*?)```", re.DOTALL)
DEMO = re.compile(r"```python\n(.*?)```\n\n```text\n(.*?)```", re.DOTALL)

# What the page must speak of, section by section.
TOPICS = [
    "deconvolved with a Gaussian",
    "inverse filter.* by the transform of f",
    "x ∗ hᵀ.*flip",
    "Generator and discriminator minimise the GAN loss",
    "second phase.* alone",
    "discriminator, transposed convolutions shrink",
    "One Adam",
    "ReLU, then batch norm, then ReLU",
    "sigmoid.* logits",
    "real_images = randn",
    "fake = G",
    r"minimises log\(1 − D",
    r"log p\(x\) = E",
    r"var \* eps",
    "requires_grad=True on the loss",
    "Style loss.* feature maps",
    r"noisy = denoise\(image\)",
    "test the network on the image above",
    r"ssim\(a, b\)",
    r"Linear\(.*reshape",
    "Pooling reduces the number of parameters",
]


def read(name):
    """The page's set-up, and its sections: (heading, text, code, what it prints)."""
    start, *rest = re.split(r"^## ", (DOCS / name).read_text(encoding="utf-8"), flags=re.MULTILINE)
    (setup,) = BLOCK.findall(start)
    sections = []
    for section in rest:
        ((code, printed),) = DEMO.findall(section)
        assert len(BLOCK.findall(section)) == 1
        sections.append((section.partition("\n")[0], section, code, printed))
    return setup, sections


SETUP, SECTIONS = read("myths.md")
SETUP_ZH, SECTIONS_ZH = read("myths.zh-CN.md")


@pytest.mark.parametrize(
    ("code", "printed"), [s[2:] for s in SECTIONS], ids=[s[0].partition(".")[0] for s in SECTIONS]
)
def test_the_lines_print_what_the_page_shows(code, printed, capsys):
    names = {}
    exec(SETUP, names)
    assert not capsys.readouterr().out
    exec(code, names)
    assert capsys.readouterr().out == printed


def test_a_demonstration_has_two_lines():
    for _, _, code, _ in SECTIONS:
        assert len(code.splitlines()) <= 2, code
    for line in "\n".join([SETUP, *(s[2] for s in SECTIONS)]).splitlines():
        assert len(line) <= 100, line


def test_every_topic_is_there():
    assert len(SECTIONS) == len(TOPICS)
    for topic, (heading, *_) in zip(TOPICS, SECTIONS, strict=True):
        assert re.search(topic, heading), (topic, heading)


@pytest.mark.parametrize(
    ("sections", "quoted", "instead"),
    [(SECTIONS, '"(.+)".*', "\n\nSo write instead "), (SECTIONS_ZH, "“(.+)”.*", "\n\n所以")],
    ids=["English", "Chinese"],
)
def test_a_section_quotes_the_myth_and_ends_in_what_to_write_instead(sections, quoted, instead):
    for number, (heading, text, *_) in enumerate(sections, start=1):
        assert re.fullmatch(rf"{number}\. {quoted}", heading), heading
        assert text.rpartition("```")[2].startswith(instead), heading


def test_the_chinese_page_has_the_same_lines():
    assert SETUP_ZH == SETUP
    assert [s[2:] for s in SECTIONS_ZH] == [s[2:] for s in SECTIONS]


def test_the_chinese_page_quotes_the_same_numbers():
    def numbers(text):
        """Years, sections and sizes."""
        return {*re.findall(r"(?<![\w.])\d+(?:\.\d+)?(?!\w)", text)}

    for (heading, english, *_), (_, chinese, *_) in zip(SECTIONS, SECTIONS_ZH, strict=True):
        assert numbers(english) <= numbers(chinese), heading

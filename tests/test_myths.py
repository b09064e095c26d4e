"""The lines of docs/myths.md print what stands below them, and that supports the text; the Chinese
page has the same lines.
"""

import ast
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

# What the text says of the printed numbers, section by section.
SUPPORTS = [
    lambda blurred, again, wiener: again < blurred < wiener,
    lambda f, inverse, percent, f_noisy, noisy: inverse < 0.01 < f and noisy > 2 * f_noisy,
    lambda same, *sizes: same and sizes == (1, 1, 7, 7, 1, 1, 5, 5),
    lambda first, second, third: second > first > 5 * third,
    lambda off, spread, alone, width: alone > 10 * off and (width < spread / 2 or alone > 10),
    lambda *sizes: sizes[2:4] == (56, 56) and sizes[6:] == (14, 14),
    lambda one, two: one > 5 * two,
    lambda once, twice: twice < 0.8 * once,
    lambda loss, slope, loss2, slope2: loss < 0.01 < loss2 and slope < -0.9 < -0.01 < slope2,
    lambda photograph, random: photograph > random + 2,
    lambda unused, of, used, of2: unused == 0 and used == of,
    lambda *slopes: slopes[0] == slopes[1] and slopes[4] > -0.01 and slopes[5] < -0.9,
    lambda p, elbo, gap, p2, elbo2, gap2: elbo < p and gap > 0.1 and elbo2 == p and gap2 == 0,
    lambda variance, root: abs(variance - 0.0625) < 0.01 and abs(root - 0.25) < 0.02,
    lambda loss, none, of, loss2, all_, of2: loss == loss2 and none == 0 and all_ == of,
    lambda features, gram: 0.7 < features < 1.1 and gram > 5,
    lambda noise, blur: noise > 20 > blur,
    lambda seen, new, other_seen, other_new: seen > other_seen and new < other_new,
    lambda L, value, L255, value255, *error: value < 0.7 and value255 > 0.99,
    lambda *sizes: sizes[:4] == (1, 128, 7, 7) and len(sizes) > 4,
    lambda without, pooled: without == pooled,
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


def prints(code, setup, capsys):
    """What two lines print after the set-up."""
    names = {}
    exec(setup, names)
    assert not capsys.readouterr().out
    exec(code, names)
    return capsys.readouterr().out


def numbers(printed):
    """The numbers and truths among the words."""
    return [ast.literal_eval(n) for n in re.findall(r"True|False|-?\d+(?:\.\d+)?", printed)]


@pytest.mark.parametrize(
    ("code", "printed"), [s[2:] for s in SECTIONS], ids=[s[0].partition(".")[0] for s in SECTIONS]
)
def test_the_lines_print_what_the_page_shows(code, printed, capsys):
    assert prints(code, SETUP, capsys) == printed


@pytest.mark.parametrize("number", range(1, len(SUPPORTS) + 1))
def test_what_they_print_supports_the_text(number):
    printed = SECTIONS[number - 1][3]
    assert SUPPORTS[number - 1](*numbers(printed)), printed


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("number", range(1, len(SUPPORTS) + 1))
def test_other_seeds_support_it_too(number, seed, capsys):
    setup, seeds = re.subn(r"(?<=default_rng\()0|(?<=manual_seed\()0", str(seed), SETUP)
    assert seeds == 2
    printed = prints(SECTIONS[number - 1][2], setup, capsys)
    assert SUPPORTS[number - 1](*numbers(printed)), printed


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
    def quoted(text):
        """Years, sections and sizes in the prose."""
        return {*re.findall(r"(?<![\w.])\d+(?:\.\d+)?(?!\w)", DEMO.sub("", text))}

    for (heading, english, *_), (_, chinese, *_) in zip(SECTIONS, SECTIONS_ZH, strict=True):
        assert quoted(english) <= quoted(chinese), heading

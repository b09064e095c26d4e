"""Each lesson as a student meets it: its pictures, its exercises, a check that can fail."""

import tomllib

import matplotlib.pyplot as plt
import numpy as np
import pytest
from axes import complaints
from lessons import LESSONS, TUTORIALS, Lesson, Stopped
from test_budgets import ROOT

from tinydeconv.exercises import UNTOUCHED, exercise, expect

SLIPS = {  # of each lesson: what is put in place of the right thing, {where: [[old, new], ...]}
    path.stem: tomllib.loads(path.read_text(encoding="utf-8"))
    for path in sorted((ROOT / "tests/lesson_slips").iterdir())
}
WORDS = 8  # at least, of what stands for a picture


def test_every_lesson_has_its_slips():
    assert list(SLIPS) == LESSONS
    assert all(slips["key"] for slips in SLIPS.values())


@pytest.mark.slow
@pytest.mark.parametrize("name", LESSONS)
def test_a_lesson(name, monkeypatch):
    lesson = Lesson(name).run(monkeypatch)
    assert lesson.figures
    found = []
    for number, alt, figure in lesson.figures:
        if len(alt.split()) < WORDS:
            found.append(f"cell {number}: {alt!r} does not say what is in the picture")
        if not lesson.cells[number + 1].source.startswith("**What to see.**"):
            found.append(f"cell {number}: no caption below its picture")
        found += [f"cell {number}: {words}" for words in complaints(figure)]
    assert not found, "\n" + "\n".join(found)
    check_exercises(lesson)


def check_exercises(lesson):
    exercises = list(lesson.exercises())
    assert len(exercises) == 3
    for number, (checker, name, solution) in enumerate(exercises, 1):
        check, stub = lesson.names[checker], lesson.names[name]
        assert isinstance(check, exercise)
        assert check.complaint(stub), f"exercise {number}: the untouched stub passes"
        for seed in range(3):
            complaint = check.complaint(answer(lesson, name, solution), seed)
            assert complaint is None, f"exercise {number}: the solution is refused: {complaint}"
        slips = SLIPS[lesson.name][f"exercise_{number}"]
        assert len(slips) >= 2
        for old, new in slips:
            assert old in solution, f"exercise {number}: no {old!r} in the solution"
            wrong = answer(lesson, name, solution.replace(old, new))
            for seed in range(3):
                complaint = check.complaint(wrong, seed)
                assert complaint, f"exercise {number}: {new!r} in place of {old!r} passes"
                assert complaint != UNTOUCHED


def answer(lesson, name, code):
    names = dict(lesson.names)
    exec(compile(code, f"a solution of {lesson.name}", "exec"), names)
    return names[name]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "slip"), [(name, slip) for name in SLIPS for slip in SLIPS[name]["key"]]
)
def test_a_wrong_key_cell_fails_the_last_assertion(name, slip, monkeypatch):
    with pytest.raises(Stopped) as stopped:
        Lesson(name).run(monkeypatch, [slip])
    assert stopped.value.last and isinstance(stopped.value.error, AssertionError), stopped.value


@exercise
def check_reversal(rng, answer):
    x = rng.standard_normal(rng.integers(2, 6))
    expect(answer(x), x[::-1], "x back to front")


@pytest.mark.parametrize(
    ("answer", "complaint"),
    [
        (lambda x: x[::-1], None),
        (lambda x: ..., UNTOUCHED),
        (lambda x: None, "got None"),
        (lambda x: x, "numbers are off"),
        (lambda x: x[1:], "got ("),
        (lambda x: x[::-1] + 1e-5, "are off"),
        (lambda x: x[::-1] * np.nan, "got nan"),
        (lambda x: "x", "got str"),
        (lambda x: x.nothing, "AttributeError: 'numpy.ndarray' object has no attribute 'nothing'"),
        (lambda x: x @ x[1:], "at `(lambda x: x @ x[1:],"),  # the line where it stopped
        (lambda x: np.sum(x), "shape"),
    ],
)
def test_what_a_checker_says(answer, complaint, capsys):
    found = check_reversal.complaint(answer)
    assert complaint in found if complaint else found is None
    check_reversal(answer)
    printed = capsys.readouterr().out
    assert printed.startswith("Not yet: " if complaint else "Right.") and printed.count("\n") == 1


@exercise
def check_text(rng, text):
    assert text.startswith("int"), "it should begin with int."


@pytest.mark.parametrize(
    ("text", "complaint"),
    [("int i;", None), ("long i;", "begin with int"), ("int i;\n    ...  // yours", UNTOUCHED)],
)
def test_an_answer_may_be_text(text, complaint):
    found = check_text.complaint(text)
    assert complaint in found if complaint else found is None


def test_a_checker_draws_new_numbers():
    seen = []
    exercise(lambda rng, answer: seen.append(rng.random()))(None)
    exercise(lambda rng, answer: seen.append(rng.random()))(None)
    assert len(set(seen)) == len(seen) == 10


def plot(ax):
    ax.plot([1, 2], [3, 4], color="black")
    ax.set(xlabel="step", ylabel="loss")


def test_a_sound_figure_passes():
    figure, (left, right) = plt.subplots(1, 2, layout="constrained")
    plot(left)
    right.imshow(np.eye(2), cmap="gray")
    right.set_title("a photograph")
    right.axis("off")
    assert list(complaints(figure)) == []
    plt.close(figure)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda ax: ax.set_xlabel(""), "the x axis has numbers and no label"),
        (lambda ax: ax.set_ylabel("PSNR"), "without a unit"),
        (lambda ax: ax.set_xlabel("time"), "without a unit"),
        (lambda ax: ax.axis("off"), "no title"),
        (lambda ax: ax.plot([1, 2], color="#ff0000"), "not of the palette"),
        (lambda ax: ax.bar([1], [2], color="#00ff00"), "not of the palette"),
        (lambda ax: ax.imshow(np.eye(2), cmap="jet"), "jet"),
        (lambda ax: ax.scatter([1], [3], color="#ff0000"), "spots or lines have colours"),
        (lambda ax: ax.tick_params(labelsize=5), "5 points"),
        (lambda ax: ax.text(1, 3, "word", fontsize=4), "4 points"),
        (lambda ax: ax.text(5, 3, "far outside of the figure"), "cut off"),
        (lambda ax: [ax.plot([1, 2], color="black", label=n) for n in "ab"], "look the same"),
        (lambda ax: [ax.plot([1], c + "-", color="black", label=c) for c in "xo"], "no legend"),
    ],
)
def test_what_is_wrong_with_a_figure_is_seen(spoil, words):
    figure, ax = plt.subplots()
    plot(ax)
    spoil(ax)
    assert any(words in complaint for complaint in complaints(figure)), list(complaints(figure))
    plt.close(figure)


def test_the_tutorials_are_where_the_tests_look():
    assert TUTORIALS.is_dir() and len(LESSONS) >= 7

"""Exercises whose answers are checked on new random numbers each time.

    @exercise
    def check(rng, answer):
        x = rng.standard_normal(5)
        expect(answer(x), x[::-1], "the numbers of x back to front")

    check(lambda x: x[::-1])  # prints: Right.

Each call tries the answer several times. An answer may also be text, such as the source of a
kernel, which the checker gets as it is.
"""

import functools
import linecache
import traceback

import numpy as np

TRIALS = 5  # of each answer, with new numbers each time
UNTOUCHED = "there is still a `...` where your answer should be."


class exercise:
    """Turns one trial, `checker(rng, answer)`, into a checker that a student calls with an answer.

    The trial draws from `rng`, a NumPy Generator, calls or runs `answer`, and asserts. What is
    asserted, or whatever the answer raises, is printed as a sentence; nothing is raised.
    """

    def __init__(self, checker):
        functools.update_wrapper(self, checker)
        self.checker = checker

    def __call__(self, answer):
        complaint = self.complaint(answer)
        print(f"Not yet: {complaint}" if complaint else "Right.")

    def complaint(self, answer, seed=None):
        """What is wrong with the answer, a sentence; None if nothing is."""

        def given(*arguments, **options):
            result = answer(*arguments, **options)
            assert result is not ..., UNTOUCHED
            return result

        text = isinstance(answer, str)
        if text and any(line.strip().startswith("...") for line in answer.splitlines()):
            return UNTOUCHED
        rng = np.random.default_rng(seed)
        for _ in range(TRIALS):
            try:
                self.checker(rng, answer if text else given)
            except AssertionError as error:
                return str(error) or "it is not what it should be."
            except Exception as error:  # of the answer's: it may do anything
                if "ellipsis" in str(error):
                    return UNTOUCHED
                return f"it stopped with {type(error).__name__}: {error}{_place(error, answer)}"
        return None


def expect(got, wanted, what, tolerance=1e-6):
    """Assert that `got` is the number or array `wanted`: its shape, and its numbers to `tolerance`
    of the largest of them. `what`: what was asked for.
    """
    assert got is not None, f"{what}: expected numbers, got None. Is there a return?"
    wanted = np.asarray(wanted)
    try:
        numbers = np.asarray(got, dtype=np.result_type(wanted, np.float64))
    except (TypeError, ValueError):
        raise AssertionError(f"{what}: expected numbers, got {type(got).__name__}.") from None
    assert numbers.shape == wanted.shape, (
        f"{what}: expected shape {wanted.shape}, got {numbers.shape}."
    )
    near = abs(numbers - wanted) <= tolerance * (abs(wanted).max(initial=0) or 1)
    if not near.all():
        place = tuple(int(i) for i in np.argwhere(~near)[0])
        at = f" at {list(place)}" if place else ""
        count = f" ({(~near).sum()} of {near.size} numbers are off)" if place else ""
        expected, found = wanted[place], numbers[place]
        digits = 12 if f"{expected:.6g}" == f"{found:.6g}" else 6  # the difference must be seen
        raise AssertionError(
            f"{what}: expected {expected:.{digits}g}{at}, got {found:.{digits}g}{count}."
        )


def _place(error, answer):
    """The line of the answer where it stopped, or nothing if that was not in the answer."""
    code = getattr(answer, "__code__", None)
    for frame, number in reversed(list(traceback.walk_tb(error.__traceback__))):
        if frame.f_code is code:
            line = linecache.getline(code.co_filename, number).strip()
            return f", at `{line}`" if line else ""
    return ""

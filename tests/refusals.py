"""How the tests ask that bad input gets one clear sentence."""

import re
from contextlib import contextmanager

import pytest


@contextmanager
def refused(kind, *words):
    """The block must raise exactly `kind`, in one line that holds each of the words and numbers."""
    with pytest.raises(kind) as caught:
        yield
    sentence = str(caught.value)
    assert caught.type is kind, f"{caught.type.__name__} instead of {kind.__name__}: {sentence}"
    assert sentence and "\n" not in sentence
    for word in words:
        # whole words and numbers: 3 is not found in 13, nor in 3.5
        found = re.search(rf"(?<!\w)(?<!\d\.){re.escape(str(word))}(?!\w|\.\d)", sentence)
        assert found, f"{word!r} is missing in: {sentence}"

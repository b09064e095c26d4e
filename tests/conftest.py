"""Settings shared by all tests."""

import os
from importlib.util import find_spec

os.environ.setdefault("MPLBACKEND", "Agg")

# The parity suite needs PyTorch, which lives in a venv of its own (`make parity`).
collect_ignore = [] if find_spec("torch") else ["parity"]

if find_spec("hypothesis"):  # which that venv does without
    from hypothesis import settings

    settings.register_profile("tinydeconv", deadline=None, derandomize="CI" in os.environ)
    settings.load_profile("tinydeconv")

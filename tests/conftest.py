"""Settings shared by all tests."""

import os
from importlib.util import find_spec

os.environ.setdefault("MPLBACKEND", "Agg")
# Tests run side by side, and BLAS threads that wait for a busy core spin: small products take 50
# times as long. Set before NumPy is imported.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

# The parity suite needs PyTorch, which lives in a venv of its own (`make parity`).
collect_ignore = [] if find_spec("torch") else ["parity"]

if find_spec("hypothesis"):  # which that venv does without
    from hypothesis import settings

    settings.register_profile("tinydeconv", deadline=None, derandomize="CI" in os.environ)
    settings.load_profile("tinydeconv")

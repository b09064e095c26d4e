"""Settings shared by all tests."""

import os
from importlib.util import find_spec

os.environ.setdefault("MPLBACKEND", "Agg")
# Tests run side by side, and BLAS threads that wait for a busy core spin: small products take 50
# times as long. Set before NumPy is imported.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import pytest

# The parity suite needs PyTorch, which lives in a venv of its own (`make parity`).
collect_ignore = [] if find_spec("torch") else ["parity"]

pytest_plugins = ["launches"]

if find_spec("hypothesis"):  # which that venv does without
    from hypothesis import settings

    settings.register_profile("tinydeconv", deadline=None, derandomize="CI" in os.environ)
    settings.load_profile("tinydeconv")


def pytest_addoption(parser):
    parser.addoption(
        "--device",
        choices=["sim", "cuda"],
        default="sim",
        help="where tests that take CuPy's arrays run: on a stand-in whose kernels run on the "
        "simulator (sim), or on an NVIDIA GPU (cuda, which runs these tests alone)",
    )


def pytest_collection_modifyitems(config, items):
    if config.getoption("--device") == "cuda":
        items[:] = [item for item in items if "cupy" in item.fixturenames]


@pytest.fixture
def cupy(request):
    """CuPy, or its stand-in: what `import cupy` gives during the test."""
    if request.config.getoption("--device") == "cuda":
        yield pytest.importorskip("cupy")
        return
    import strict_cupy

    with strict_cupy.install() as module:
        yield module

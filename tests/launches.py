"""A plugin of pytest: every CUDA kernel of the library must be launched by some test.

The processes that share the tests tell the first one which kernels they launched. A run of the
whole suite fails if a kernel is missing there; a run of some tests only says nothing.
"""

import re

import pytest
import strict_cupy

from tinydeconv.cudasim import compiler
from tinydeconv.kernels.cuda.launch import FOLDER

KERNEL = re.compile(r"__global__\s+void\s+(?:__launch_bounds__\([^)]*\)\s*)?(\w+)")
_elsewhere = set()  # launched in other processes


def kernels():
    """The names of all kernels in the sources."""
    files = (f for f in FOLDER.iterdir() if f.name.endswith(".cu"))
    return {name for f in files for name in KERNEL.findall(f.read_text(encoding="utf-8"))}


def missing(launched):
    return sorted(kernels() - set(launched))


@pytest.hookimpl(optionalhook=True)  # of pytest-xdist
def pytest_testnodedown(node, error):
    _elsewhere.update(getattr(node, "workeroutput", {}).get("launched", ()))


def pytest_sessionfinish(session):
    config = session.config
    if hasattr(config, "workeroutput"):  # one of several processes
        config.workeroutput["launched"] = sorted(strict_cupy.LAUNCHED)
    elif _is_whole(config) and missing(strict_cupy.LAUNCHED | _elsewhere):
        session.exitstatus = 1


def pytest_terminal_summary(terminalreporter, config):
    never = missing(strict_cupy.LAUNCHED | _elsewhere)
    if _is_whole(config) and never:
        terminalreporter.write_line(f"ERROR: no test launched the kernels {', '.join(never)}")


def _is_whole(config):
    """Whether this is the whole quick suite on the simulator, and nothing is left out of it."""
    option = config.option
    picked = option.keyword or getattr(option, "lf", False) or option.collectonly or option.deselect
    quick = option.markexpr == "not slow" and option.device == "sim" and compiler() is not None
    return quick and not picked and config.args == config.getini("testpaths")

"""The process of one library: reads a command a line of JSON, answers a line of JSON.

{"command": "hello"}                what the library is
{"command": "prepare", "case": c}   builds a case and, if it is to be timed, runs it once
{"command": "turn"}                 runs it for at least TURN: seconds of a call
{"command": "peak"}                 runs it once: bytes at the peak above those before
"""

import ctypes
import json
import os
import signal
import sys
import time
import traceback
from importlib import import_module
from pathlib import Path

from .libraries import open_library

TURN = 0.03  # seconds; in a shorter turn the waking up would count


class Bench:
    """The library and its case: `before()` is not timed, `call(what before returned)` is."""

    def __init__(self, name):
        self.library = open_library(name)

    def hello(self):
        return self.library.describe()

    def prepare(self, case):
        self.before = self.call = None  # lets go of the last case's memory
        subject = import_module(f"benchmarks.{case['subject']}")
        self.before, self.call = subject.build(self.library, case)
        if case["subject"] != "memory":
            self.once()
        return {}

    def once(self):
        prepared = self.before()
        start = time.perf_counter()
        result = self.call(prepared)
        seconds = time.perf_counter() - start
        del prepared, result  # not while the clock runs
        return seconds

    def turn(self):
        """A short call is repeated; the first one, which fills the caches again, does not count."""
        seconds, calls = self.once(), 1
        if seconds < TURN:
            seconds = calls = 0
            while seconds < TURN:
                seconds += self.once()
                calls += 1
        return {"seconds": seconds / calls}

    def peak(self):
        before = resident("VmRSS")
        Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")  # the peak starts anew
        self.once()
        return {"bytes": resident("VmHWM") - before}


def resident(name):
    """Bytes of memory in use: VmRSS now, VmHWM at the peak."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    (line,) = [line for line in lines if line.startswith(name)]
    return int(line.split()[1]) * 1024


def end_with_parent():
    """A stopped process would outlive a parent that is killed; Linux can be told otherwise."""
    if sys.platform == "linux":
        pr_set_pdeathsig = 1
        ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL)


def main():
    end_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent to answer
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what a library prints must not stand among the answers
    bench = None
    for line in sys.stdin:
        question = json.loads(line)
        try:
            bench = bench or Bench(sys.argv[1])
            answer = getattr(bench, question.pop("command"))(**question)
        except Exception as error:
            traceback.print_exc()
            answer = {"error": f"{type(error).__name__}: {error}"}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()

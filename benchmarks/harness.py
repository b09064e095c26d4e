"""Two libraries timed side by side, so that neither disturbs the other.

Each library runs in a process of its own, a worker, because threads of one that wait for work spin
and take the cores from the other. For the same reason a worker is stopped (SIGSTOP) whenever it is
not its turn. Turns come in rounds, one for each library, and take turns at going first: what the
machine does meanwhile meets all alike and goes out of the ratio within a round.
"""

import json
import os
import signal
import subprocess
import sys
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

# Memory that a process gave back and asks for again must be cleared by the system, page by page.
# Whether malloc gives it back is chance unless told; here all workers keep it.
KEEP_MEMORY = {"MALLOC_MMAP_THRESHOLD_": str(2**32), "MALLOC_TRIM_THRESHOLD_": str(2**33)}


class Worker:
    """A process that holds one library and runs its cases; stopped except while it is asked."""

    def __init__(self, library, threads, environment):
        self.library = library
        pools = ["TINYDECONV", "OMP", "OPENBLAS", "MKL"]
        settings = {f"{pool}_NUM_THREADS": str(threads) for pool in pools}
        paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
        settings["PYTHONPATH"] = os.pathsep.join(paths)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.worker", library],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            env=os.environ | settings | environment,
        )

    def ask(self, command, **arguments):
        """Wakes the worker, has it answer, and stops it again."""
        self.process.send_signal(signal.SIGCONT)
        try:
            self.process.stdin.write(json.dumps({"command": command, **arguments}) + "\n")
            self.process.stdin.flush()
            line = self.process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            code = self.process.wait()
            raise RuntimeError(f"the process of {self.library} ended by itself, exit code {code}")
        self.process.send_signal(signal.SIGSTOP)
        os.waitpid(self.process.pid, os.WUNTRACED)  # until it stands still
        answer = json.loads(line)
        if "error" in answer:
            raise RuntimeError(f"{self.library}: {answer['error']}")
        return answer

    def end(self):
        """Kills the process, which works on a stopped one too."""
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()
        with suppress(BrokenPipeError):  # what it was told last it may not have read
            self.process.stdin.close()


@contextmanager
def workers(libraries, threads, environment=KEEP_MEMORY):
    """Workers by library, ended whatever happens inside."""
    with ExitStack() as stack:
        started = {}
        for library in libraries:
            started[library] = Worker(library, threads, environment)
            stack.callback(started[library].end)
        yield started


def rounds_of(libraries, rounds):
    """The libraries in the order of each round: another one goes first each time."""
    for number in range(rounds):
        first = number % len(libraries)
        yield libraries[first:] + libraries[:first]


def times(started, case, rounds):
    """Seconds of a call in each round, {library: [seconds, ...]}."""
    libraries = case.get("libraries", list(started))  # those that have such a case
    for library in libraries:
        started[library].ask("prepare", case=case)
    samples = {library: [] for library in libraries}
    for order in rounds_of(libraries, rounds):
        for library in order:
            samples[library].append(started[library].ask("turn")["seconds"])
    return samples


def peaks(libraries, threads, case, rounds):
    """Bytes in each round, {library: [bytes, ...]}: each time of a fresh process, with malloc as it
    is, since what a process keeps would count.
    """
    samples = {library: [] for library in libraries}
    for order in rounds_of(libraries, rounds):
        for library in order:
            with workers([library], threads, environment={}) as started:
                started[library].ask("prepare", case=case)
                samples[library].append(started[library].ask("peak")["bytes"])
    return samples

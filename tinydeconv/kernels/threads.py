"""One thread a core for the kernels, while BLAS is held to one thread of its own.

NumPy lets other threads run while it computes, so a few Python threads are enough to keep all cores
busy. A kernel cuts its work into jobs by shapes alone, never by the number of threads, and adds
partial sums in the order of the jobs: the results are the same bits on any number of threads.
"""

import itertools
import os
import threading
import weakref
from math import prod
from queue import SimpleQueue

import numpy as np
from threadpoolctl import ThreadpoolController

VARIABLE = "TINYDECONV_NUM_THREADS"


def set_num_threads(num):
    """How many threads the kernels use on the CPU, at least 1; the results do not depend on it."""
    global _number
    if not hasattr(num, "__index__") or isinstance(num, bool) or num < 1:
        raise ValueError(f"expected a number of threads, a whole number of at least 1, got {num!r}")
    _number = int(num)


def get_num_threads():
    """How many threads the kernels use on the CPU: set_num_threads, else the environment variable
    TINYDECONV_NUM_THREADS, else one for each core this process may use.
    """
    global _number
    if _number is None:
        told = os.environ.get(VARIABLE)
        if told is None:
            _number = len(os.sched_getaffinity(0)) if _HAS_AFFINITY else os.cpu_count() or 1
        elif told.isdecimal() and int(told) > 0:
            _number = int(told)
        else:
            raise ValueError(
                f"expected the environment variable {VARIABLE} to be a whole number of at least 1, "
                f"got {told!r}"
            )
    return _number


_HAS_AFFINITY = hasattr(os, "sched_getaffinity")
_number: int | None = None


def run(work, jobs):
    """[work(job) for job in jobs], on all threads; an exception of any job is raised here.

    The caller works too. After an exception, Ctrl-C among them, no further job is begun, and none
    is under way when it arrives.
    """
    jobs = list(jobs)
    with _OneBlasThread():
        helpers = min(get_num_threads(), len(jobs)) - 1
        if helpers < 1 or getattr(_local, "working", False):
            return [work(job) for job in jobs]
        return _Batch(work, jobs).run(helpers)


class _Batch:
    """Jobs that the caller and some helpers take one by one."""

    def __init__(self, work, jobs):
        self.work, self.jobs = work, jobs
        self.results, self.errors = [None] * len(jobs), []
        self.numbers = itertools.count()  # its next() is atomic, so no job is taken twice
        self.ordered, self.finished = [], []  # an entry for each helper
        self.done: SimpleQueue = SimpleQueue()  # wakes the caller

    def run(self, helpers):
        _hire(helpers)
        try:
            # Ctrl-C can come between two lines, but not inside one call of C: so all are counted.
            self.ordered.extend(map(_state.orders.put, [self] * helpers))
            self.take_jobs()
            self.wait()
        except BaseException:  # Ctrl-C: the helpers still write to the caller's arrays
            self.jobs = ()
            self.wait()
            raise
        if self.errors:
            raise self.errors[0]
        return self.results

    def wait(self):
        while len(self.finished) < len(self.ordered):
            self.done.get()

    def take_jobs(self):
        _local.working = True
        try:
            while (number := next(self.numbers)) < len(self.jobs):
                self.results[number] = self.work(self.jobs[number])
        except Exception as error:
            self.jobs = ()
            self.errors.append(error)
        finally:
            _local.working = False


def _help():
    """The life of a helper."""
    np.seterr(all="ignore")  # the engine's choice for its own thread; each has a setting of its own
    while True:
        batch = _state.orders.get()
        batch.take_jobs()
        batch.finished.append(None)
        batch.done.put(None)
        del batch  # its arrays must not wait here for the next order


def _hire(number):
    """Makes sure that there are so many helpers, which live as long as the process."""
    with _state.lock:
        while len(_state.helpers) < number:
            helper = threading.Thread(target=_help, name="tinydeconv kernel", daemon=True)
            helper.start()
            _state.helpers.append(helper)


def scratch(name, shape, dtype):
    """An uninitialised array from memory that this thread keeps and gives out again at the next
    call with the same name: fresh memory costs as much as a pass over it, since the system clears
    it.
    """
    size = prod(shape) * np.dtype(dtype).itemsize
    memory = _local.__dict__.get(name)
    if memory is None or memory.size < size:
        memory = _local.__dict__[name] = np.empty(size, np.uint8)
    return memory[:size].view(dtype).reshape(shape)


# ---------------------------------------------------------------- BLAS


class _OneBlasThread:
    """Holds BLAS to one thread inside; the last of several holders puts back what was before.

    The limit belongs to the whole process, so the holders share a record of it. Ctrl-C can break
    off any line of Python, those of __exit__ too: then the weak reference calls when this goes.
    """

    def __enter__(self):
        self.guard = weakref.ref(self, _let_go)
        with _state.lock:
            if not _holders:
                for library in _blas():
                    _before[library] = library.get_num_threads()
            _holders[id(self.guard)] = self.guard
            for library in _before:
                library.set_num_threads(1)

    def __exit__(self, *error):
        _let_go(self.guard)
        del self.guard


def _let_go(guard):
    with _state.lock:
        if set(_holders) == {id(guard)}:
            for library, number in _before.items():
                library.set_num_threads(number)
        _holders.pop(id(guard), None)  # after that: until here, a second call does it all again


def _blas():
    """The BLAS libraries that threadpoolctl can steer; there may be none."""
    global _libraries
    if _libraries is None:
        _libraries = ThreadpoolController().select(user_api="blas").lib_controllers
    return _libraries


_libraries = None


class _State:
    """What the threads of a process share."""

    def __init__(self):
        self.lock = threading.RLock()  # again in the same thread: for a weak reference's call
        self.orders: SimpleQueue = SimpleQueue()
        self.helpers: list = []


def _start_anew():
    """A forked child has none of its parent's threads, and locks as they happened to be."""
    global _state
    _state = _State()


_local = threading.local()
_state = _State()
_holders: dict = {}
_before: dict = {}
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_start_anew)

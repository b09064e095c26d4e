"""Threads of the kernels: the same bits on any number of them, and BLAS as it was before."""

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time

import numpy as np
import pytest
from refusals import refused
from threadpoolctl import threadpool_info, threadpool_limits

import tinydeconv as td
from tinydeconv.geometry import ConvGeometry
from tinydeconv.kernels import cpu, threads
from tinydeconv.nn import functional as F

of_conv = ConvGeometry.of_conv


@pytest.fixture(autouse=True)
def several_threads(monkeypatch):
    """Also for work that would not be worth it."""
    monkeypatch.setattr(cpu, "JOB", 2**12)
    monkeypatch.setattr(cpu, "ALONE", 0)
    before = td.get_num_threads()
    td.set_num_threads(3)
    yield
    td.set_num_threads(before)


def blas_threads():
    return [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"]


needs_blas = pytest.mark.skipif(not blas_threads(), reason="threadpoolctl finds no BLAS here")


# ---------------------------------------------------------------- the same bits

KERNELS = {  # geometry, images, channels, filters
    "2-d": (of_conv((24, 30), 3, 1, 1), 5, 16, 32),
    "2-d, fewer products": (of_conv((30, 34), 3, 1, 1), 3, 16, 16),
    "stride": (of_conv((16, 16), 4, 2, 1), 9, 8, 24),
    "stride, many filters": (of_conv((16, 16), 4, 2, 1), 9, 3, 24),
    "groups": (of_conv((20, 20), 3, 1, 1, groups=4), 5, 16, 16),
    "1-d": (of_conv((1500,), 9, 1, 8, 2), 3, 16, 16),
    "3-d": (of_conv((9, 10, 11), 3, 1, 1), 2, 16, 16),
    "pointwise": (of_conv((40, 40), 1), 5, 16, 16),
    "a kernel as large as the image": (of_conv((4, 4), 4), 64, 64, 70),
}


@pytest.mark.parametrize("name", KERNELS)
def test_the_bits_of_the_kernels_do_not_depend_on_the_number_of_threads(name):
    geometry, n, channels, filters = KERNELS[name]
    draw = np.random.default_rng(0)
    shapes = [
        (n, channels, *geometry.big),
        (filters, channels // geometry.groups, *geometry.kernel),
        (n, filters, *geometry.small),
    ]
    x, w, y = (draw.normal(size=shape).astype(np.float32) for shape in shapes)

    def results():
        return (
            cpu.conv(x, w, geometry),
            cpu.conv_transpose(y, w, geometry),
            cpu.conv_weight(x, y, geometry),
        )

    expected = None
    for number in (1, 2, 3, 8):
        td.set_num_threads(number)
        found = [array.tobytes() for array in results()]
        expected = expected or found
        assert found == expected, number


@pytest.mark.parametrize(
    "shapes",
    [((700, 90), (90, 60)), ((5, 300), (300, 900)), ((30, 40, 50), (50, 60)),
     ((3, 1, 80, 70), (1, 9, 70, 64)), ((2, 3000), (3000, 2))],
)  # fmt: skip
def test_the_bits_of_matmul_do_not_depend_on_the_number_of_threads(shapes):
    draw = np.random.default_rng(0)
    a, b = (draw.normal(size=shape).astype(np.float32) for shape in shapes)
    expected = None
    for number in (1, 2, 3, 8):
        td.set_num_threads(number)
        found = cpu.matmul(a, b)
        np.testing.assert_allclose(found, a @ b, rtol=1e-4, atol=1e-4)
        expected = expected or found.tobytes()
        assert found.tobytes() == expected, number


TRAINING = """
    import hashlib, sys
    import tinydeconv as td
    from tinydeconv import nn, optim
    from tinydeconv.nn import functional as F
    td.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(),
        nn.Conv2d(16, 16, 3, padding=1), nn.LeakyReLU(),
        nn.ConvTranspose2d(16, 1, 4, 2, 1), nn.Flatten(), nn.Linear(64 * 64, 50),
    )
    optimizer = optim.Adam(model.parameters())
    for _ in range(3):
        loss = F.mse_loss(model(td.randn(16, 1, 32, 32)), td.randn(16, 50))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    weights = b"".join(x.data.tobytes() for x in model.state_dict().values())
    print(td.get_num_threads(), hashlib.sha256(weights).hexdigest())
"""


def python(code, **environment):
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        env=os.environ | environment,
        capture_output=True,
        encoding="utf-8",
        timeout=120,
    )


def test_a_training_gives_the_same_bits_in_any_process():
    told = [
        python(TRAINING, TINYDECONV_NUM_THREADS=str(number), OPENBLAS_NUM_THREADS=blas)
        for number, blas in ((1, "1"), (2, "2"), (3, "1"), (8, "1"))
    ]
    numbers, hashes = zip(*(run.stdout.split() for run in told), strict=True)
    assert numbers == ("1", "2", "3", "8") and len(set(hashes)) == 1


# ---------------------------------------------------------------- BLAS is left as it was


def product_of(size):
    """A convolution that takes some milliseconds."""
    return F.conv2d(td.ones(8, 16, size, size), td.ones(16, 16, 3, 3), padding=1)


@needs_blas
def test_blas_has_one_thread_inside_and_as_many_as_before_after():
    with threadpool_limits(2, "blas"):
        before = blas_threads()
        assert 2 in before
        assert {n for seen in threads.run(lambda _: blas_threads(), range(6)) for n in seen} == {1}
        assert blas_threads() == before


@needs_blas
@pytest.mark.parametrize("jobs", [1, 9])
def test_blas_is_as_before_after_an_exception(jobs):
    def fail(job):
        if job == jobs - 1:
            raise KeyError("made up")
        time.sleep(0.001)

    with threadpool_limits(2, "blas"):
        before = blas_threads()
        with pytest.raises(KeyError, match="made up"):
            threads.run(fail, range(jobs))
        assert blas_threads() == before


@needs_blas
def test_blas_is_as_before_when_two_threads_used_the_library_at_once():
    with threadpool_limits(2, "blas"):
        before = blas_threads()
        results = []

        def use(size):
            for _ in range(30):
                results.append(float(product_of(size)[0, 0, 5, 5].item()))

        users = [threading.Thread(target=use, args=(size,)) for size in (12, 40, 24)]
        for user in users:
            user.start()
        for user in users:
            user.join()
        assert results == pytest.approx([144] * 90)
        assert blas_threads() == before


INTERRUPTED = """
    import signal, sys, threading, time, os, random
    import tinydeconv as td
    from tinydeconv.kernels import threads
    from tinydeconv.nn import functional as F
    from threadpoolctl import threadpool_info, threadpool_limits
    td.set_num_threads(NUMBER)
    signal.signal(signal.SIGALRM, signal.default_int_handler)
    x, w = td.ones(4, 16, 24, 24), td.ones(16, 16, 3, 3)

    def blas():
        return [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"]

    threadpool_limits(2, "blas")
    F.conv2d(x, w)
    before, hits, bad = blas(), 0, 0
    draw = random.Random(0)
    while hits < 150:
        timer = draw.uniform(0.0002, 0.004)
        try:
            signal.setitimer(signal.ITIMER_REAL, timer)
            while True:
                F.conv2d(x, w)
        except KeyboardInterrupt:
            hits += 1
        bad += blas() != before
    y = F.conv2d(x, w)
    print(hits, bad, round(float(y.data.min()), 3), round(float(y.data.max()), 3))
"""


@needs_blas
@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="this system has no interval timers")
@pytest.mark.parametrize("number", [1, 3])
def test_blas_is_as_before_after_ctrl_c(number):
    """At 150 moments; the handler raises KeyboardInterrupt as that of Ctrl-C does."""
    told = python(INTERRUPTED.replace("NUMBER", str(number)))
    assert told.stdout.split() == ["150", "0", "144.0", "144.0"], told.stderr[-2000:]


def test_without_a_blas_that_can_be_steered_all_works(monkeypatch):
    monkeypatch.setattr(threads, "_libraries", [])
    y = product_of(24)
    assert y[0, 0, 5, 5].item() == pytest.approx(144)


# ---------------------------------------------------------------- jobs


def test_results_come_in_the_order_of_the_jobs():
    def work(job):
        time.sleep(0.002 * (job % 3))
        return job, threading.get_ident()

    results = threads.run(work, range(12))
    assert [job for job, _ in results] == list(range(12))
    assert len({ident for _, ident in results}) > 1


def test_no_job_is_under_way_when_an_exception_arrives():
    working, done = [], []

    def work(job):
        if job == 0:
            time.sleep(0.005)
            raise RuntimeError("made up")
        working.append(job)
        time.sleep(0.02)
        done.append(job)

    with pytest.raises(RuntimeError, match="made up"):
        threads.run(work, range(40))
    assert sorted(working) == sorted(done) and len(done) < 39


def test_jobs_within_jobs_are_done_by_the_thread_itself():
    def work(job):
        return {threading.get_ident() for _ in threads.run(lambda _: time.sleep(0.001), range(4))}

    assert all(len(idents) == 1 for idents in threads.run(work, range(6)))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_child_has_threads_of_its_own():
    code = """
        import os
        import tinydeconv as td
        from tinydeconv.nn import functional as F
        td.set_num_threads(3)
        x, w = td.ones(4, 16, 24, 24), td.ones(16, 16, 3, 3)
        F.conv2d(x, w)
        child = os.fork()
        y = F.conv2d(x, w)
        if child == 0:
            os._exit(0 if round(y[0, 0, 5, 5].item(), 3) == 144 else 3)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), round(y[0, 0, 5, 5].item(), 3))
    """
    assert python(code).stdout.split() == ["0", "144.0"]


# ---------------------------------------------------------------- how many


def test_the_number_of_threads_is_what_was_set():
    td.set_num_threads(5)
    assert td.get_num_threads() == 5


@pytest.mark.parametrize("number", [0, -1, 2.0, "2", True, None])
def test_other_numbers_are_refused(number):
    with refused(ValueError, "number of threads", repr(number)):
        td.set_num_threads(number)


def test_the_environment_variable_counts():
    told = python(
        "import tinydeconv as td; print(td.get_num_threads())", TINYDECONV_NUM_THREADS="7"
    )
    assert told.stdout.strip() == "7"


@pytest.mark.parametrize("value", ["0", "-2", "many", ""])
def test_a_bad_environment_variable_gets_a_sentence(value):
    told = python("import tinydeconv as td; td.get_num_threads()", TINYDECONV_NUM_THREADS=value)
    last = told.stderr.strip().splitlines()[-1]
    assert "TINYDECONV_NUM_THREADS" in last and repr(value) in last and "ValueError" in last

"""The training loop stops anywhere and goes on bit for bit."""

import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from refusals import refused

import tinydeconv as td
from tinydeconv import nn, optim
from tinydeconv.kernels import threads
from tinydeconv.nn import functional as F
from tinydeconv.train import Stopped, Training, read_settings

STEPS, EPOCH = 23, 7


class Noise:
    """Batches of random images, keyed by epoch and batch; it notes which were asked for."""

    def __init__(self):
        self.given = []

    def batches(self, epoch, start):
        for batch in range(start, EPOCH):
            self.given.append((epoch, batch))
            rng = np.random.default_rng([epoch, batch])
            clean = rng.random((2, 1, 8, 8), dtype=np.float32)
            yield clean + rng.standard_normal(clean.shape, dtype=np.float32) / 10, clean


def loss(model, noisy, clean):
    # draws from the library's own random numbers too, whose state must survive
    return F.mse_loss(model(td.tensor(noisy) + 0.01 * td.randn(*noisy.shape)), td.tensor(clean))


def training(folder, kind=optim.Adam, steps=STEPS, loss=loss, **options):
    td.manual_seed(3)
    model = nn.Sequential(
        nn.Conv2d(1, 4, 4, 2, 1), nn.BatchNorm2d(4), nn.ReLU(), nn.ConvTranspose2d(4, 1, 4, 2, 1)
    )
    optimizer = kind(model.parameters(), lr=0.01, **options)
    schedule = optim.OneCycleLR(optimizer, 0.05, steps)
    path = Path(folder) / "checkpoint.safetensors"
    return Training(model, optimizer, schedule, Noise(), loss, steps, path, {"steps": steps})


def bits(path):
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def whole_run(folder, **options):
    """The hash of the checkpoint that an uninterrupted run ends with."""
    folder.mkdir()
    run = training(folder, **options)
    run.run(save_every=5)
    return bits(run.path)


CHILD = """
import os, signal, sys
sys.path.insert(0, {tests!r})
from test_train import training
run = training({folder!r})
if {resume}:
    run.load()
else:
    run.save()
batches = run.loader.batches
def deadly(epoch, start):
    for batch in batches(epoch, start):
        if run.step == {step}:
            os.kill(os.getpid(), {signal})
        yield batch
run.loader.batches = deadly
run.run(save_every=5)
"""


def child(folder, step=-1, number=0, resume=False):
    """Trains in a process of its own, which sends itself a signal before the batch of a step."""
    code = CHILD.format(
        tests=str(Path(__file__).parent),
        folder=str(folder),
        step=step,
        signal=number,
        resume=resume,
    )
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, encoding="utf-8", check=False
    )


# ---------------------------------------------------------------- to stop and to go on


def test_killed_at_three_random_steps_it_ends_with_the_same_bits(tmp_path):
    expected = whole_run(tmp_path / "whole")
    folder = tmp_path / "killed"
    folder.mkdir()
    steps = sorted(random.Random(0).sample([s for s in range(1, STEPS) if s % EPOCH and s % 5], 3))
    for i, step in enumerate(steps):
        assert child(folder, step, signal.SIGKILL, resume=i > 0).returncode == -signal.SIGKILL
        metadata = td.load_metadata(folder / "checkpoint.safetensors")
        position = json.loads(metadata["tinydeconv.training"])["position"]
        at = position["epoch"] * EPOCH + position["batch"]
        assert at == step - step % 5  # so steps are lost, and done again
    assert child(folder, resume=True).returncode == 0
    assert bits(folder / "checkpoint.safetensors") == expected


def test_another_process_ends_with_the_same_bits(tmp_path):
    assert child(tmp_path).returncode == 0
    assert bits(tmp_path / "checkpoint.safetensors") == whole_run(tmp_path / "here")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stop_is_saved_and_gone_on_from(number, tmp_path):
    run, handler = training(tmp_path), signal.getsignal(number)
    with pytest.raises(Stopped) as caught:
        run.run(stages={9: lambda: signal.raise_signal(number)})
    assert caught.value.signal == number and isinstance(caught.value, KeyboardInterrupt)
    assert str(caught.value) == f"stopped after step 9 of {STEPS}, saved in {run.path}"
    assert signal.getsignal(number) is handler

    again = training(tmp_path)
    again.load()
    assert (again.step, again.epoch, again.batch) == (9, 1, 2)
    again.run()
    assert again.loader.given[0] == (1, 2)
    assert bits(run.path) == whole_run(tmp_path / "whole")


def test_a_second_ctrl_c_does_not_wait_for_the_step(tmp_path):
    run = training(tmp_path)

    def impatient(model, *batch):
        if run.step == 9:
            signal.raise_signal(signal.SIGINT)  # at once in this thread, where os.kill may be late
            signal.raise_signal(signal.SIGINT)
        return loss(model, *batch)

    run.loss = impatient
    with pytest.raises(KeyboardInterrupt) as caught:
        run.run(save_every=5)
    assert not isinstance(caught.value, Stopped)
    again = training(tmp_path)
    again.load()
    assert again.step == 5


@pytest.mark.parametrize("options", [{"kind": optim.SGD, "momentum": 0.9}, {"kind": optim.Adam}])
def test_every_optimiser_goes_on_with_the_same_bits(options, tmp_path):
    expected = whole_run(tmp_path / "whole", **options)
    training(tmp_path, **options).save()
    run = training(tmp_path, **options)
    for _ in range(STEPS):  # every step is a resumed one
        again = training(tmp_path, **options)
        again.load()
        assert again.losses == run.losses
        run = again
        batch = next(run._batches())
        run._take_step(batch)
        run.save()
    assert bits(run.path) == expected


def test_every_batch_comes_once(tmp_path):
    run = training(tmp_path)
    run.run()
    assert run.loader.given == [divmod(i, EPOCH) for i in range(STEPS)]
    assert len(run.losses) == STEPS


def test_a_finished_run_has_nothing_left_to_do(tmp_path):
    run = training(tmp_path)
    run.run()
    before = bits(run.path)
    again = training(tmp_path)
    again.load()
    again.run()
    assert again.loader.given == [] and bits(run.path) == before


def test_it_runs_in_a_thread_that_cannot_handle_signals(tmp_path):
    run = training(tmp_path)
    thread = threading.Thread(target=run.run)
    thread.start()
    thread.join()
    assert run.step == STEPS


# ---------------------------------------------------------------- what it does on the way


def test_thirty_steps_lower_the_loss(tmp_path):
    run = training(tmp_path, steps=30)
    run.run()
    assert np.mean(run.losses[-5:]) < 0.5 * np.mean(run.losses[:5])


def test_stages_are_reached_once_and_see_the_steps_before(tmp_path):
    run, seen = training(tmp_path), []
    run.run(stages={1: lambda: seen.append(run.step), 20: lambda: seen.append(run.step)})
    assert seen == [1, 20]


def test_the_bar_shows_loss_and_time_left(tmp_path, capsys):
    training(tmp_path).run()
    bar = capsys.readouterr().err
    assert f"{STEPS}/{STEPS}" in bar and "<00:00" in bar and "loss 0." in bar


def test_any_number_of_threads_ends_with_the_same_bits(tmp_path):
    before, found = threads.get_num_threads(), set()
    try:
        for number in (1, 2, 3):
            threads.set_num_threads(number)
            found.add(whole_run(tmp_path / str(number)))
    finally:
        threads.set_num_threads(before)
    assert len(found) == 1


def test_a_loss_that_overflows_ends_it_in_one_sentence(tmp_path):
    run = training(tmp_path, loss=lambda model, *batch: loss(model, *batch) * bad(run))

    def bad(run):
        return float("nan") if run.step == 12 else 1.0

    with refused(FloatingPointError, "the loss", 13, STEPS, run.path):
        run.run(save_every=5)
    again = training(tmp_path)
    again.load()
    assert again.step == 10


def test_weights_that_overflow_are_never_saved(tmp_path):
    run = training(tmp_path)

    def spoil():
        run.model[0].weight.data = run.model[0].weight.data * np.float32(np.inf)

    with refused(FloatingPointError, "a weight", 11, STEPS, run.path):
        run.run(save_every=5, stages={10: spoil})
    again = training(tmp_path)
    again.load()
    assert again.step == 5


# ---------------------------------------------------------------- the checkpoint


def test_the_settings_come_back(tmp_path):
    run = training(tmp_path)
    run.save()
    assert read_settings(run.path) == {"steps": STEPS}
    assert os.listdir(tmp_path) == ["checkpoint.safetensors"]


def test_a_checkpoint_cut_short_or_of_another_kind_is_refused(tmp_path):
    run = training(tmp_path)
    run.save()
    whole = run.path.read_bytes()
    for size in (0, 7, 100, len(whole) - 1):
        run.path.write_bytes(whole[:size])
        with pytest.raises(ValueError, match="not a whole safetensors file"):
            run.load()
    td.save(run.model.state_dict(), run.path)
    with refused(ValueError, "checkpoint", run.path):
        read_settings(run.path)
    run.path.unlink()
    with refused(FileNotFoundError, run.path):
        run.load()


def test_a_checkpoint_of_another_network_is_refused(tmp_path):
    run = training(tmp_path)
    run.save()
    run.model = nn.Sequential(nn.Conv2d(1, 5, 4, 2, 1))
    with refused(ValueError, run.path, "another training", "do not fit"):
        run.load()


def spoiled(run, **tensors):
    """Writes the run's checkpoint with other tensors in place of its own."""
    run.save()
    td.save(td.load(run.path) | tensors, run.path, td.load_metadata(run.path))


def test_a_checkpoint_whose_weights_are_not_finite_is_refused(tmp_path):
    run = training(tmp_path)
    spoiled(run, **{"model.0.bias": td.tensor([1, float("nan"), 2, 3])})
    with refused(ValueError, run.path, "weights", "not finite"):
        run.load()


def test_a_checkpoint_without_a_moment_is_refused(tmp_path):
    run = training(tmp_path)
    run._take_step(next(run._batches()))
    run.save()
    tensors = {n: x for n, x in td.load(run.path).items() if "exp_avg" not in n}
    td.save(tensors, run.path, td.load_metadata(run.path))
    with refused(ValueError, run.path, "step", "exp_avg", "exp_avg_sq"):
        run.load()


def test_a_checkpoint_of_a_longer_training_is_refused(tmp_path):
    training(tmp_path, steps=5).run()
    with refused(ValueError, tmp_path / "checkpoint.safetensors", 5, 3):
        training(tmp_path, steps=3).load()


@pytest.mark.parametrize("losses", [td.zeros(2), td.zeros(1, 1)])
def test_a_checkpoint_that_contradicts_itself_is_refused(losses, tmp_path):
    run = training(tmp_path)
    spoiled(run, losses=losses)
    with refused(ValueError, run.path, "damaged"):
        run.load()


WRITER = """
import sys
sys.path.insert(0, {tests!r})
from test_train import training
run = training({folder!r})
run.save()
print("ready", flush=True)
while True:
    run.save()
"""


@pytest.mark.slow
def test_killed_while_it_writes_the_file_is_whole(tmp_path):
    code = WRITER.format(tests=str(Path(__file__).parent), folder=str(tmp_path))
    rng, run, halves = random.Random(0), training(tmp_path), 0
    for _ in range(20):
        with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as process:
            process.stdout.readline()
            time.sleep(rng.uniform(0, 0.05))
            process.kill()
        run.load()
        halves += len(os.listdir(tmp_path)) > 1  # the next writer uses the name again
    assert halves, "no kill came in the middle of a write: not a test"

"""The training loop stops anywhere and goes on bit for bit."""

import hashlib
import json
import os
import random
import re
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
from tinydeconv.train import Stopped, Training, read_settings, supervised

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
    return Training(
        {"net": model}, {"net": optimizer}, {"net": schedule}, Noise(),
        supervised(model, optimizer, loss), steps, path, {"steps": steps},
    )  # fmt: skip


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
    def impatient(model, *batch):
        if run.step == 9:
            signal.raise_signal(signal.SIGINT)  # at once in this thread, where os.kill may be late
            signal.raise_signal(signal.SIGINT)
        return loss(model, *batch)

    run = training(tmp_path, loss=impatient)
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
    assert len(run.losses["loss"]) == STEPS


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
    assert np.mean(run.losses["loss"][-5:]) < 0.5 * np.mean(run.losses["loss"][:5])


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
        run.networks["net"][0].weight.data = run.networks["net"][0].weight.data * np.float32(np.inf)

    with refused(FloatingPointError, "a weight", "net", 10, STEPS, run.path):
        run.run(save_every=5, stages={10: spoil})
    again = training(tmp_path)
    again.load()
    assert again.step == 5


def test_weights_that_are_not_finite_from_the_start_are_refused(tmp_path):
    run = training(tmp_path)
    run.networks["net"][0].bias.data = np.full(4, np.nan, np.float32)
    with refused(FloatingPointError, "a weight of the net", "before the first step"):
        run.run()
    assert os.listdir(tmp_path) == []


def test_a_nan_is_replayed_and_its_op_named(tmp_path):
    """The step that failed is found again from the checkpoint, and the line in which it failed."""

    def root(model, noisy, clean):
        y = model(td.tensor(noisy)).mean()
        return (y - (2 * y.item() if run.step == 12 else -100.0)).sqrt() * 0  # of -y, or of +100

    run = training(tmp_path, loss=root, steps=STEPS)
    for parameter in run.networks["net"].parameters():
        parameter.data = abs(parameter.data)
    line = root.__code__.co_firstlineno + 2
    with refused(FloatingPointError, "the loss", 13, STEPS, "Sqrt", f"{__file__}:{line}", run.path):
        run.run(save_every=5)
    again = training(tmp_path)
    again.load()
    assert again.step == 10


def test_the_optimiser_is_blamed_for_what_it_did(tmp_path):
    run = training(tmp_path, kind=optim.SGD)
    update = run.update

    def too_large(*batch):
        if run.step == 12:
            run.optimizers["net"].param_groups[0]["lr"] = 1e45
        return update(*batch)

    run.update = too_large
    with refused(FloatingPointError, 14, "the step of the optimiser", "net", run.path):
        run.run(save_every=5)


# ---------------------------------------------------------------- several networks


def game(folder, steps=STEPS):
    """Two networks with an optimiser each, and an average that has none."""
    td.manual_seed(5)
    nets = {
        "generator": nn.Linear(3, 2),
        "discriminator": nn.Linear(2, 1),
        "average": nn.Linear(3, 2),
    }
    adams = {
        name: optim.Adam(nets[name].parameters(), 0.01) for name in ("generator", "discriminator")
    }

    def update(noisy, clean):
        fake = nets["generator"](td.randn(4, 3))
        real = td.tensor(clean).reshape(-1, 2)[:4]
        told = {}
        for name, loss in (
            ("discriminator", lambda: (nets["discriminator"](real) ** 2).mean()
             - nets["discriminator"](fake.detach()).tanh().mean()),
            ("generator", lambda: nets["discriminator"](fake).mean()),
        ):  # fmt: skip
            adams[name].zero_grad()
            told[name] = loss()
            told[name].backward()
            adams[name].step()
        for mine, other in zip(nets["average"].parameters(), nets["generator"].parameters()):
            mine.data = 0.9 * mine.data + 0.1 * other.data
        return told

    path = Path(folder) / "checkpoint.safetensors"
    return Training(nets, adams, {}, Noise(), update, steps, path, {})


def test_all_networks_and_optimisers_go_on_with_the_same_bits(tmp_path):
    (tmp_path / "whole").mkdir()
    whole = game(tmp_path / "whole")
    whole.run()
    run = game(tmp_path)
    with pytest.raises(Stopped):
        run.run(stages={9: lambda: signal.raise_signal(signal.SIGTERM)})
    again = game(tmp_path)
    again.load()
    again.run()
    assert bits(again.path) == bits(whole.path)
    assert list(again.losses) == ["discriminator", "generator"]
    assert again.losses == whole.losses


def test_the_bar_shows_all_losses(tmp_path, capsys):
    game(tmp_path).run()
    bar = capsys.readouterr().err
    assert re.search(r"discriminator -?\d\.\d+, generator -?\d\.\d+", bar)


@pytest.mark.parametrize("lost", ["networks.average", "optimizers.generator", "losses.generator"])
def test_a_checkpoint_without_one_of_them_is_refused(lost, tmp_path):
    run = game(tmp_path, steps=3)
    run.run()
    tensors = {n: x for n, x in td.load(run.path).items() if not n.startswith(lost)}
    td.save(tensors, run.path, td.load_metadata(run.path))
    with refused(ValueError, run.path, "damaged"):
        game(tmp_path, steps=3).load()


def test_two_trainings_never_share_a_folder(tmp_path):
    """The second is refused while the first is at work, and may go on when that is over."""
    run, second = game(tmp_path), game(tmp_path)

    def meddle():
        there = bits(run.path)
        with refused(BlockingIOError, "another training", tmp_path):
            second.run()  # from its first step, which it must not save here
        assert bits(run.path) == there

    run.run(save_every=5, stages={6: meddle})
    second.load()
    second.run()
    assert second.losses == run.losses


def test_a_nan_that_does_not_come_again_is_told_so(tmp_path):
    run = training(tmp_path, loss=lambda model, *batch: loss(model, *batch) * factors.pop())
    factors = [1.0] * STEPS + [float("nan")] + [1.0] * 12
    with refused(FloatingPointError, "the loss", 13, "not when its steps were done once more"):
        run.run(save_every=5)


# ---------------------------------------------------------------- metrics.jsonl


def rows(folder):
    lines = (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def test_metrics_have_a_row_a_save_and_what_the_stages_measured(tmp_path):
    run = game(tmp_path)
    run.run(save_every=10, stages={4: lambda: {"score": 0.25}, 5: lambda: None})
    found = rows(tmp_path)
    assert [row["step"] for row in found] == [4, 10, 20, STEPS]
    assert found[0]["score"] == 0.25 and "score" not in found[1]
    for before, row in zip([{"step": 0}, *found], found):
        of = run.losses["generator"][before["step"] : row["step"]]
        assert row["generator"] == pytest.approx(np.mean(of))
    assert [row["seconds"] for row in found] == sorted(row["seconds"] for row in found)


def test_metrics_go_on_after_a_kill(tmp_path):
    """Rows after the checkpoint were of steps that are done again; the clock goes on."""
    run = game(tmp_path)
    with pytest.raises(ZeroDivisionError):
        run.run(save_every=10, stages={12: lambda: {"score": 1.0}, 14: lambda: 1 / 0})
    text = (tmp_path / "metrics.jsonl").read_text(encoding="utf-8")
    first, *_ = rows(tmp_path)
    text = text.replace(f'"seconds": {first["seconds"]}', '"seconds": 500.0', 1)
    (tmp_path / "metrics.jsonl").write_text(text, encoding="utf-8")
    again = game(tmp_path)
    again.load()
    again.run(save_every=10)
    assert [row["step"] for row in rows(tmp_path)] == [10, 20, STEPS]
    assert [row["seconds"] >= 500 for row in rows(tmp_path)] == [True] * 3


@pytest.mark.parametrize(
    "line", [b"{bad", b"\xff", b"[1]", b"7", b'{"step": 1}', b'{"step": "1", "seconds": "2"}']
)
def test_damaged_metrics_are_told_from_a_damaged_checkpoint(line, tmp_path):
    game(tmp_path, steps=2).run()
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(line)
    with refused(ValueError, path, "damaged", "remove it"):
        game(tmp_path, steps=2).load()
    path.unlink()
    again = game(tmp_path, steps=2)
    again.load()
    assert again.step == 2 and again.rows == []


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
    td.save(run.networks["net"].state_dict(), run.path)
    with refused(ValueError, "checkpoint", run.path):
        read_settings(run.path)
    run.path.unlink()
    with refused(FileNotFoundError, run.path):
        run.load()


def test_a_checkpoint_of_another_network_is_refused(tmp_path):
    run = training(tmp_path)
    run.save()
    run.networks["net"] = nn.Sequential(nn.Conv2d(1, 5, 4, 2, 1))
    with refused(ValueError, run.path, "another training", "do not fit"):
        run.load()


def spoiled(run, **tensors):
    """Writes the run's checkpoint with other tensors in place of its own."""
    run.save()
    td.save(td.load(run.path) | tensors, run.path, td.load_metadata(run.path))


def test_a_checkpoint_whose_weights_are_not_finite_is_refused(tmp_path):
    run = training(tmp_path)
    spoiled(run, **{"networks.net.0.bias": td.tensor([1, float("nan"), 2, 3])})
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
    run._take_step(next(run._batches()))
    spoiled(run, **{"losses.loss": losses})
    with refused(ValueError, run.path, "damaged"):
        run.load()


WRITER = """
import sys
sys.path.insert(0, {tests!r})
from test_train import game
run = game({folder!r}, steps=10**9)
if {resume}:
    run.load()
print("ready", flush=True)
run.run(save_every=1)
"""


@pytest.mark.slow
def test_killed_a_hundred_times_it_always_goes_on(tmp_path):
    """SIGKILL at any moment leaves a checkpoint, of this step or the one before, and metrics."""
    rng, steps, halves = random.Random(0), [0], 0
    for number in range(100):
        code = WRITER.format(
            tests=str(Path(__file__).parent), folder=str(tmp_path), resume=number > 0
        )
        with subprocess.Popen(
            [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        ) as process:
            assert process.stdout.readline() == b"ready\n"
            time.sleep(0.02 + rng.uniform(0, 0.05))
            process.kill()
        halves += any(name.endswith(".part") for name in os.listdir(tmp_path))
        run = game(tmp_path, steps=10**9)
        run.load()
        assert run.step >= steps[-1]
        assert [row["step"] for row in run.rows] == list(range(1, run.step + 1))
        steps.append(run.step)
    assert halves > 5, "no kill came in the middle of a write: not a test"
    assert steps[-1] > 10

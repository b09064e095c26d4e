"""The training loop: it can be stopped anywhere and goes on bit for bit as if it never had been.

A recipe brings the networks, the optimisers, the batches and what one step does. What is needed to
go on stands in one file, the checkpoint, which is replaced as a whole; beside it, metrics.jsonl has
a row of losses for each time it was.
"""

import json
import os
import signal
import sys
import threading
import time
from contextlib import closing, contextmanager, suppress
from importlib import import_module
from typing import Any

import numpy as np
from tqdm import tqdm

import tinydeconv as td

from .backend import to_numpy
from .serialize import load_json, write_atomically

fcntl: Any = None
with suppress(ImportError):  # on Windows, where nothing keeps two trainings apart
    fcntl = import_module("fcntl")

KEY = "tinydeconv.training"  # of the checkpoint's metadata


class Stopped(KeyboardInterrupt):
    """Ctrl-C or SIGTERM (`.signal` says which) ended the training; its checkpoint is saved."""

    def __init__(self, message, number):
        super().__init__(message)
        self.signal = number


def supervised(model, optimizer, loss):
    """The update of a single network: a step of its optimiser down loss(model, *batch)."""

    def update(*batch):
        value = loss(model, *batch)
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        return {"loss": value}

    return update


class Training:
    """Networks on their way through a fixed number of steps.

    networks, optimizers, schedules: dicts by name; a schedule steps once after each step
    loader: `batches(epoch, start)` gives an epoch's batches from the batch `start` on, always the
        same ones
    update: update(*batch) does one step and returns {name: loss}, scalars, of the same names each
        time
    steps: how many there are in all
    path: the checkpoint
    settings: what the recipe needs to make these pieces again, as JSON can hold it
    """

    def __init__(self, networks, optimizers, schedules, loader, update, steps, path, settings=None):
        self.networks, self.optimizers, self.schedules = networks, optimizers, schedules
        self.loader, self.update, self.steps = loader, update, steps
        self.path, self.settings = path, settings or {}
        self.step = 0  # how many have been done
        self.epoch, self.batch = 0, 0  # the next batch
        self.losses: dict[str, list[float]] = {}  # of each step so far
        self.rows: list[dict] = []  # of metrics.jsonl

    def run(self, save_every=200, stages=None):
        """Does the steps that are left.

        stages: {step: function to call after it}, which may return {name: number} to be noted in
            metrics.jsonl

        Raises Stopped after Ctrl-C or SIGTERM, FloatingPointError when the numbers overflow.
        """
        stages = stages or {}
        for network in self.networks.values():
            network.train()
        self._start = time.monotonic() - (self.rows[-1]["seconds"] if self.rows else 0)
        batches = closing(self._batches())
        alone = _alone(self.path.parent)
        with alone, _stop_requests() as requests, self._bar() as bar, batches as left:
            self.save()
            for batch in left:
                self._take_step(batch)
                bar.update()
                bar.set_postfix_str(self._recent(), refresh=False)
                measured = stages[self.step]() if self.step in stages else None
                stop = requests[:1]  # a request that comes from here on waits for the next step
                due = self.step % save_every == 0 or self.step == self.steps or stop
                if due or measured:
                    self._note(measured or {})
                if due:
                    self.save()
                if stop:
                    done = f"stopped after step {self.step} of {self.steps}"
                    raise Stopped(f"{done}, saved in {self.path}", *stop)

    def _batches(self):
        """The batches that are left, epoch after epoch."""
        while self.step < self.steps:
            # closed at once when the training ends early: a loader may have a thread at work
            with closing(self.loader.batches(self.epoch, self.batch)) as batches:
                for batch in batches:
                    self.batch += 1
                    yield batch
                    if self.step == self.steps:
                        return
            self.epoch, self.batch = self.epoch + 1, 0

    def _take_step(self, batch):
        for name, loss in self._advance(batch).items():
            if not np.isfinite(loss):
                self._replay(f"the {name}" if name == "loss" else f"the loss {name}")
            self.losses.setdefault(name, []).append(loss)

    def _advance(self, batch):
        """One step; its losses, floats."""
        losses = {name: float(loss) for name, loss in self.update(*batch).items()}
        for schedule in self.schedules.values():
            schedule.step()
        self.step += 1
        return losses

    def _recent(self):
        return ", ".join(f"{n} {np.mean(of[-100:]):.5f}" for n, of in self.losses.items())

    def _bar(self):
        patience = 0.1 if sys.stderr.isatty() else 10  # seconds between two lines of a log file
        return tqdm(
            desc="training", unit="step", total=self.steps, initial=self.step, mininterval=patience
        )

    # ------------------------------------------------------------ numbers that overflow

    def _overflowed(self):
        """The networks with a weight that is not finite."""
        return [
            name for name, network in self.networks.items()
            if not _finite(network.state_dict().values())
        ]  # fmt: skip

    def _replay(self, what):
        """Raises FloatingPointError that names the op: goes back to the checkpoint, and does the
        steps since then again, watching each op.
        """
        failed, told = self.step, ", but not when its steps were done once more"
        if not failed:
            raise FloatingPointError(
                f"{what} is not finite before the first step: start from others"
            )
        self.load()
        tqdm.write(f"{what} overflowed: doing steps {self.step + 1} to {failed} again to see where")
        try:
            with td.detect_anomaly(), closing(self._batches()) as left:
                for batch in left:
                    self._advance(batch)
                    if names := self._overflowed():
                        told = f", after the step of the optimiser of the {names[0]}"
                    if names or self.step == failed:
                        break
        except FloatingPointError as error:
            told = f": {error}"
        raise FloatingPointError(
            f"{what} overflowed at step {failed} of {self.steps}{told}; try a smaller learning "
            f"rate; the last good state is in {self.path}"
        )

    # ------------------------------------------------------------ the checkpoint

    def save(self):
        """Writes the checkpoint: the file of before, or the whole new one, never a part."""
        if names := self._overflowed():
            self._replay(f"a weight of the {names[0]}")
        tensors = {f"losses.{name}": np.array(of) for name, of in self.losses.items()}
        kept = {}
        for owner, network in self.networks.items():
            tensors |= {f"networks.{owner}.{name}": x for name, x in network.state_dict().items()}
        for owner, optimizer in self.optimizers.items():
            arrays, kept[owner] = _flat(optimizer.state_dict())
            tensors |= {f"optimizers.{owner}.{key}": array for key, array in arrays.items()}
        told = {
            "settings": self.settings,
            "position": {"step": self.step, "epoch": self.epoch, "batch": self.batch},
            "losses": list(self.losses),
            "optimizers": kept,
            "schedules": {name: x.state_dict() for name, x in self.schedules.items()},
            "random": td.get_rng_state(),
        }
        # One key: safetensors writes several in random order, and equal runs shall give equal files
        td.save(tensors, self.path, {KEY: json.dumps(told)})

    def load(self):
        """Goes back to where the checkpoint was written."""
        told, tensors = _read(self.path), td.load(self.path)
        try:
            self._restore(told, tensors)
        except (
            LookupError, TypeError, ValueError, AttributeError, RuntimeError, OverflowError,
        ) as error:  # fmt: skip
            reason = f"{error.args[0]} is missing" if isinstance(error, KeyError) else error
            raise ValueError(
                f"{self.path} is damaged or the checkpoint of another training: {reason}"
            ) from error
        if self._overflowed():
            raise ValueError(
                f"the weights in {self.path} are not finite: no training can go on from them"
            )
        self.rows = [row for row in _rows(self._metrics) if row["step"] <= self.step]

    def _restore(self, told, tensors):
        for name, network in self.networks.items():
            network.load_state_dict(_below(f"networks.{name}.", tensors))
        for name, optimizer in self.optimizers.items():
            arrays = {k: x.data for k, x in _below(f"optimizers.{name}.", tensors).items()}
            optimizer.load_state_dict(_nested(arrays, told["optimizers"][name]))
        for name, schedule in self.schedules.items():
            schedule.load_state_dict(told["schedules"][name])
        self.step, self.epoch, self.batch = (
            int(told["position"][name]) for name in ("step", "epoch", "batch")
        )
        losses = {name: tensors[f"losses.{name}"].tolist() for name in told["losses"]}
        self.losses = {name: [float(loss) for loss in of] for name, of in losses.items()}
        counts = {self.step, *map(len, self.losses.values())}
        counts |= {schedule.last_epoch for schedule in self.schedules.values()}
        if len(counts) > 1 or not 0 <= self.step <= self.steps or min(self.epoch, self.batch) < 0:
            raise ValueError(
                f"it tells of {', '.join(map(str, sorted(counts)))} of {self.steps} steps, at "
                f"batch {self.batch} of epoch {self.epoch}"
            )
        td.set_rng_state(told["random"])

    # ------------------------------------------------------------ metrics.jsonl

    @property
    def _metrics(self):
        return self.path.parent / "metrics.jsonl"

    def _note(self, measured):
        """A row more: the step, the seconds so far, mean losses since the row before, and more."""
        since = self.rows[-1]["step"] if self.rows else 0
        means = {name: float(np.mean(of[since:])) for name, of in self.losses.items()}
        seconds = round(time.monotonic() - self._start, 2)
        measured = {name: float(number) for name, number in measured.items()}
        self.rows.append({"step": self.step, "seconds": seconds, **means, **measured})
        text = "".join(json.dumps(row) + "\n" for row in self.rows)
        write_atomically(self._metrics, text.encode())


def read_settings(path):
    """The settings of the training whose checkpoint this is."""
    told = _read(path)
    if "settings" not in told:
        raise ValueError(f"{path} is damaged: settings is missing")
    return told["settings"]


def _read(path):
    """What a checkpoint says beside its tensors, a dict."""
    told = load_json(path, KEY)
    if told is None:
        raise ValueError(f"expected the checkpoint of a training, {path} is another kind of file")
    return told


def _rows(path):
    """The rows of a metrics.jsonl, if it is there."""
    lines = path.read_bytes().splitlines() if path.exists() else []
    try:
        rows = [json.loads(line) for line in lines]
        for row in rows:
            0 + row["step"] + row["seconds"]  # a TypeError, if they are no numbers
    except (LookupError, TypeError, ValueError) as error:
        raise ValueError(
            f"{path} is damaged: mend it, or remove it, and the training goes on without its rows"
        ) from error
    return rows


def _flat(state):
    """({"index.name": array}, the numbers and settings) of an optimiser's state_dict."""
    flat = {f"{i}.{name}": x for i, kept in state["state"].items() for name, x in kept.items()}
    arrays = {key: x for key, x in flat.items() if hasattr(x, "shape")}
    numbers = {key: x for key, x in flat.items() if key not in arrays}
    kept = list(state["state"])
    return arrays, {"kept": kept, "numbers": numbers, "param_groups": state["param_groups"]}


def _nested(arrays, told):
    """The state_dict that _flat took apart."""
    state: dict[int, dict] = {}
    for key, value in (arrays | told["numbers"]).items():
        i, name = key.split(".")
        state.setdefault(int(i), {})[name] = value
    if sorted(state) != sorted(told["kept"]):
        raise ValueError("the optimiser's state of some parameters is missing")
    return {"state": state, "param_groups": told["param_groups"]}


def _finite(tensors):
    return all(np.isfinite(to_numpy(x.data)).all() for x in tensors)


def _below(prefix, tensors):
    return {n.removeprefix(prefix): x for n, x in tensors.items() if n.startswith(prefix)}


@contextmanager
def _alone(folder):
    """Inside, no other process trains into this folder; a process that dies lets go of it.

    Two of them would overwrite each other's files, and a half-written one could be renamed.
    """
    if fcntl is None:
        yield
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BlockingIOError(
                f"another training is at work in {folder}: wait for its end, or choose another "
                "folder"
            ) from None
        yield
    finally:
        os.close(handle)


@contextmanager
def _stop_requests():
    """A list to which Ctrl-C and SIGTERM add themselves; the second time they act as ever.

    So a step is never cut in two. Only the main thread can handle signals.
    """
    requests: list[int] = []
    before: dict = {}

    def note(number, frame):
        requests.append(number)
        signal.signal(number, before[number])

    if threading.current_thread() is threading.main_thread():
        before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        for number in before:
            signal.signal(number, note)
        yield requests
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

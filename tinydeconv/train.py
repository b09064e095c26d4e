"""The training loop: it can be stopped anywhere and goes on bit for bit as if it never had been.

A recipe brings the model, the optimiser, the batches and the loss. What is needed to go on stands
in one file, the checkpoint, which is replaced as a whole.
"""

import json
import signal
import sys
import threading
from contextlib import contextmanager

import numpy as np
from tqdm import tqdm

import tinydeconv as td

from .backend import to_numpy
from .serialize import load_json

KEY = "tinydeconv.training"  # of the checkpoint's metadata


class Stopped(KeyboardInterrupt):
    """Ctrl-C or SIGTERM (`.signal` says which) ended the training; its checkpoint is saved."""

    def __init__(self, message, number):
        super().__init__(message)
        self.signal = number


class Training:
    """A model on its way through a fixed number of steps.

    loader: `batches(epoch, start)` gives an epoch's batches from the batch `start` on, always the
        same ones
    loss: loss(model, *batch), a scalar Tensor
    steps: how many there are in all
    path: the checkpoint
    settings: what the recipe needs to make these pieces again, as JSON can hold it
    """

    def __init__(self, model, optimizer, schedule, loader, loss, steps, path, settings):
        self.model, self.optimizer, self.schedule = model, optimizer, schedule
        self.loader, self.loss, self.steps = loader, loss, steps
        self.path, self.settings = path, settings
        self.epoch, self.batch = 0, 0  # the next batch
        self.losses: list[float] = []  # of each step so far

    @property
    def step(self):
        """How many steps have been done."""
        return len(self.losses)

    def run(self, save_every=200, stages=None):
        """Does the steps that are left; stages: {step: function to call after it}.

        Raises Stopped after Ctrl-C or SIGTERM, FloatingPointError when the numbers overflow.
        """
        stages = stages or {}
        self.model.train()
        self.save()
        with _stop_requests() as requests, self._bar() as bar:
            for batch in self._batches():
                self._take_step(batch)
                bar.update()
                bar.set_postfix_str(f"loss {np.mean(self.losses[-100:]):.5f}", refresh=False)
                if self.step in stages:
                    stages[self.step]()
                if self.step % save_every == 0 or self.step == self.steps or requests:
                    self.save()
                if requests:
                    done = f"stopped after step {self.step} of {self.steps}"
                    raise Stopped(f"{done}, saved in {self.path}", requests[0])

    def _batches(self):
        """The batches that are left, epoch after epoch."""
        while self.step < self.steps:
            for batch in self.loader.batches(self.epoch, self.batch):
                self.batch += 1
                yield batch
                if self.step == self.steps:
                    return
            self.epoch, self.batch = self.epoch + 1, 0

    def _take_step(self, batch):
        loss = self.loss(self.model, *batch)
        self._require_finite("the loss", loss)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        self.schedule.step()
        self.losses.append(loss.item())

    def _require_finite(self, what, *tensors):
        if not _finite(tensors):
            raise FloatingPointError(
                f"{what} overflowed at step {self.step + 1} of {self.steps}: try a smaller "
                f"learning rate; the last good state is in {self.path}"
            )

    def _bar(self):
        patience = 0.1 if sys.stderr.isatty() else 10  # seconds between two lines of a log file
        return tqdm(
            desc="training", unit="step", total=self.steps, initial=self.step, mininterval=patience
        )

    # ------------------------------------------------------------ the checkpoint

    def save(self):
        """Writes the checkpoint: the file of before, or the whole new one, never a part."""
        self._require_finite("a weight", *self.model.parameters())
        optimizer = self.optimizer.state_dict()
        state = {f"{i}.{n}": v for i, kept in optimizer["state"].items() for n, v in kept.items()}
        moments = {key: value for key, value in state.items() if hasattr(value, "shape")}
        numbers = {key: value for key, value in state.items() if key not in moments}
        tensors = {f"model.{name}": x for name, x in self.model.state_dict().items()}
        tensors |= {f"optimizer.{key}": array for key, array in moments.items()}
        tensors["losses"] = np.array(self.losses)
        told = {
            "settings": self.settings,
            "position": {"epoch": self.epoch, "batch": self.batch},
            "optimizer": {
                "kept": list(optimizer["state"]),
                "numbers": numbers,
                "param_groups": optimizer["param_groups"],
            },
            "schedule": self.schedule.state_dict(),
            "random": td.get_rng_state(),
        }
        # One key: safetensors writes several in random order, and equal runs shall give equal files
        td.save(tensors, self.path, {KEY: json.dumps(told)})

    def load(self):
        """Goes back to where the checkpoint was written."""
        told, tensors = _read(self.path), td.load(self.path)
        try:
            self._restore(told, tensors)
        except (LookupError, TypeError, ValueError, AttributeError, RuntimeError) as error:
            reason = f"{error.args[0]} is missing" if isinstance(error, KeyError) else error
            raise ValueError(
                f"{self.path} is damaged or the checkpoint of another training: {reason}"
            ) from error
        if not _finite(self.model.parameters()):
            raise ValueError(
                f"the weights in {self.path} are not finite: no training can go on from them"
            )

    def _restore(self, told, tensors):
        moments = {key: x.data for key, x in _below("optimizer.", tensors).items()}
        state: dict[int, dict] = {}
        for key, value in (moments | told["optimizer"]["numbers"]).items():
            i, name = key.split(".")
            state.setdefault(int(i), {})[name] = value
        if sorted(state) != sorted(told["optimizer"].get("kept", state)):
            raise ValueError("the optimiser's state of some parameters is missing")
        self.model.load_state_dict(_below("model.", tensors))
        self.optimizer.load_state_dict(
            {"state": state, "param_groups": told["optimizer"]["param_groups"]}
        )
        self.schedule.load_state_dict(told["schedule"])
        self.epoch, self.batch = (int(told["position"][name]) for name in ("epoch", "batch"))
        self.losses = [float(loss) for loss in tensors["losses"].tolist()]
        at = self.schedule.last_epoch
        if not self.step == at <= self.steps or min(self.epoch, self.batch) < 0:
            raise ValueError(
                f"it has {self.step} losses after {at} of {self.steps} steps, at batch "
                f"{self.batch} of epoch {self.epoch}"
            )
        td.set_rng_state(told["random"])


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


def _finite(tensors):
    return all(np.isfinite(to_numpy(x.data)).all() for x in tensors)


def _below(prefix, tensors):
    return {n.removeprefix(prefix): x for n, x in tensors.items() if n.startswith(prefix)}


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

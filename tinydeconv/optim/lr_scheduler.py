"""Schedules: they overwrite the learning rates of an optimiser's groups, step by step.

As in PyTorch most go on from the rate that they find, so that one which was changed in between, by
hand or by a second schedule, counts; OneCycleLR alone follows the number of the step.
"""

from itertools import pairwise
from math import cos, inf, pi, prod

from .optimizers import Optimizer, expect


def _groups(optimizer):
    found = type(optimizer).__name__
    expect("an optimiser", isinstance(optimizer, Optimizer), found, TypeError)
    return optimizer.param_groups


def _per_group(name, value, optimizer):
    """A value for each group: those of a list, or one for all."""
    count = len(_groups(optimizer))
    values = value if isinstance(value, (list, tuple)) else [value] * count
    expect(f"one {name} for each of {count} parameter groups", len(values) == count, len(values))
    return values


class LRScheduler:
    """Base of the schedules: a subclass says in `get_lr` the groups' rates of step `last_epoch`.

    Call step() after the optimiser's. last_epoch: the last step that was done, to go on after it
    with an optimiser whose state was loaded; -1 is the start, where each group's rate becomes its
    "initial_lr" (`base_lrs` has all of them).
    """

    in_groups: tuple = ("initial_lr",)  # what is needed there to go on

    def __init__(self, optimizer, last_epoch=-1):
        for i, group in enumerate(_groups(optimizer)):
            if last_epoch == -1:
                group.setdefault("initial_lr", group["lr"])
            for name in self.in_groups:
                wanted = f"{name} in parameter group {i} (load the optimiser's state before)"
                expect(wanted, name in group, "none")
        self.optimizer, self.last_epoch = optimizer, last_epoch
        self.base_lrs = [group["initial_lr"] for group in optimizer.param_groups]
        self._last_lr = None
        self.step()

    def step(self):
        """Goes on to the next step and sets its rates."""
        self.last_epoch += 1
        self._set_rates()

    def _set_rates(self):
        for group, lr in zip(self.optimizer.param_groups, self.get_lr(), strict=True):
            group["lr"] = lr
        self._last_lr = self._rates()

    def _rates(self):
        return [group["lr"] for group in self.optimizer.param_groups]

    def get_lr(self):
        """The rates of step `last_epoch`, one for each group."""
        raise NotImplementedError

    def get_last_lr(self):
        """The groups' rates as the schedule last left them."""
        return self._last_lr

    def state_dict(self):
        """What the schedule knows; the rates themselves stand in the optimiser's state."""
        return {name: value for name, value in vars(self).items() if name != "optimizer"}

    def load_state_dict(self, state_dict):
        """Takes over a state_dict() of a schedule of the same kind, with its settings."""
        fit = {"last_epoch"} <= set(state_dict) <= set(self.state_dict())
        found = f"{', '.join(state_dict) or 'nothing'}: is it another schedule's?"
        expect(f"the state of a {type(self).__name__}", fit, found, RuntimeError)
        vars(self).update(state_dict)


class StepLR(LRScheduler):
    """Every `step_size` steps the rate is multiplied by `gamma`."""

    def __init__(self, optimizer, step_size, gamma=0.1, last_epoch=-1):
        expect("step_size of at least 1", step_size >= 1, step_size)
        self.step_size, self.gamma = step_size, gamma
        super().__init__(optimizer, last_epoch)

    def get_lr(self):
        due = self.last_epoch > 0 and self.last_epoch % self.step_size == 0
        return [lr * self.gamma if due else lr for lr in self._rates()]


class MultiStepLR(LRScheduler):
    """At each of the milestones (increasing numbers of steps) the rate is multiplied by `gamma`."""

    def __init__(self, optimizer, milestones, gamma=0.1, last_epoch=-1):
        self.milestones, self.gamma = list(milestones), gamma
        rising = sorted(self.milestones) == self.milestones
        expect("increasing milestones", rising, self.milestones)
        super().__init__(optimizer, last_epoch)

    def get_lr(self):
        factor = self.gamma ** self.milestones.count(self.last_epoch)
        return [lr * factor for lr in self._rates()]


class CosineAnnealingLR(LRScheduler):
    """Half a wave of a cosine down to eta_min at step T_max (Loshchilov & Hutter 2017, eq. 5), and
    up again.

    lr(t) = eta_min + (initial_lr - eta_min) h(t) with h(t) = (1 + cos(pi t / T_max)) / 2, each step
    from the one before
    """

    def __init__(self, optimizer, T_max, eta_min=0.0, last_epoch=-1):
        expect("T_max of at least 1", T_max >= 1, T_max)
        self.T_max, self.eta_min = T_max, eta_min
        super().__init__(optimizer, last_epoch)

    def get_lr(self):
        t, end, low, rates = self.last_epoch, self.T_max, self.eta_min, self._rates()
        if self._last_lr is None:  # just made: as in PyTorch it starts from the rate that it finds
            return rates
        if (t - 1 - end) % (2 * end) == 0:  # up from the lowest point, where the height was 0
            rise = (1 - cos(pi / end)) / 2
            return [lr + (base - low) * rise for lr, base in zip(rates, self.base_lrs, strict=True)]
        before, height = (1 + cos(pi * s / end) for s in (t - 1, t))
        return [low + (lr - low) * height / before for lr in rates]


class OneCycleLR(LRScheduler):
    """The learning rate up to max_lr and down again (Smith & Topin 2018).

    Starts at max_lr / div_factor, is at max_lr after the first `pct_start` of the `total_steps` (or
    epochs * steps_per_epoch), and ends at the start divided by final_div_factor. With `three_phase`
    it goes back to the start as it came, and sinks from there. Momentum (or Adam's beta1) goes the
    other way, from max_momentum to base_momentum and back. Call step() after each optimiser step.
    """

    in_groups = "initial_lr", "max_lr", "min_lr"

    def __init__(
        self, optimizer, max_lr, total_steps=None, epochs=None, steps_per_epoch=None,
        pct_start=0.3, anneal_strategy="cos", cycle_momentum=True, base_momentum=0.85,
        max_momentum=0.95, div_factor=25.0, final_div_factor=1e4, three_phase=False, last_epoch=-1,
    ):  # fmt: skip
        counts = [total_steps] if total_steps is not None else [epochs, steps_per_epoch]
        fit = all(isinstance(count, int) and count > 0 for count in counts)
        wanted = "total_steps (or epochs and steps_per_epoch) to be an int of at least 1"
        expect(wanted, fit, " and ".join(map(str, counts)))
        expect("pct_start between 0 and 1", 0 <= pct_start <= 1, pct_start)
        fit = anneal_strategy in ("cos", "linear")
        expect("anneal_strategy 'cos' or 'linear'", fit, repr(anneal_strategy))
        fit = div_factor > 0 and final_div_factor > 0
        expect("div_factor and final_div_factor above 0", fit, (div_factor, final_div_factor))
        fit = not cycle_momentum or not {"momentum", "betas"}.isdisjoint(_groups(optimizer)[0])
        expect("cycle_momentum=False", fit, f"True, and {type(optimizer).__name__} has no momentum")
        self.total_steps, self.pct_start, self.three_phase = prod(counts), pct_start, three_phase
        self.anneal_strategy, self.cycle_momentum = anneal_strategy, cycle_momentum
        if last_epoch == -1:
            tops = _per_group("max_lr", max_lr, optimizer)
            lows = _per_group("base_momentum", base_momentum, optimizer)
            highs = _per_group("max_momentum", max_momentum, optimizer)
            for group, top, low, high in zip(optimizer.param_groups, tops, lows, highs):
                expect("max_lr of at least 0", top >= 0, top)
                start = top / div_factor
                group |= {"initial_lr": start, "max_lr": top, "min_lr": start / final_div_factor}
                group |= {"base_momentum": low, "max_momentum": high} if cycle_momentum else {}
        super().__init__(optimizer, last_epoch)

    def load_state_dict(self, state_dict):
        super().load_state_dict(state_dict)
        self._set_rates()  # which follow from the number of the step

    def get_lr(self):
        t, groups = self.last_epoch, self.optimizer.param_groups
        expect(f"the {self.total_steps} steps of the schedule", t <= self.total_steps, "another")
        top = self.pct_start * self.total_steps - 1
        points = [(0, "initial_lr", "max_momentum"), (top, "max_lr", "base_momentum")]
        points += [(2 * top, "initial_lr", "max_momentum")] * bool(self.three_phase)
        points += [(self.total_steps - 1, "min_lr", "max_momentum")]
        phases = list(pairwise(points))
        now = [(a, b) for a, b in phases if a[0] < b[0] and t <= b[0]]
        before, after = (now or phases[-1:])[0]
        length = after[0] - before[0]
        part = (t - before[0]) / length if length > 0 else 1.0

        def between(group, what):
            start, end = group[before[what]], group[after[what]]
            if self.anneal_strategy == "linear":
                return start + (end - start) * part
            return end + (start - end) / 2 * (1 + cos(pi * part))

        for group in groups if self.cycle_momentum else ():
            momentum = between(group, 2)
            betas = (momentum, *group.get("betas", ())[1:])
            group |= {"betas": betas} if "betas" in group else {"momentum": momentum}
        return [between(group, 1) for group in groups]


class ReduceLROnPlateau(LRScheduler):
    """Multiplies the rates by `factor` when a measurement has not improved for more than `patience`
    steps, and then waits for `cooldown` steps.

    Better is, in mode "min", below best (1 - threshold), with threshold_mode "abs" below
    best - threshold. No rate goes below min_lr, and none changes by eps or less.
    """

    def __init__(
        self, optimizer, mode="min", factor=0.1, patience=10, threshold=1e-4, threshold_mode="rel",
        cooldown=0, min_lr=0, eps=1e-8,
    ):  # fmt: skip
        expect("mode 'min' or 'max'", mode in ("min", "max"), repr(mode))
        expect("factor of at least 0 and below 1", 0 <= factor < 1, factor)
        fit = threshold_mode in ("rel", "abs")
        expect("threshold_mode 'rel' or 'abs'", fit, repr(threshold_mode))
        _per_group("min_lr", min_lr, optimizer)
        self.optimizer, self.mode, self.factor, self.patience = optimizer, mode, factor, patience
        self.threshold, self.threshold_mode, self.cooldown = threshold, threshold_mode, cooldown
        self.min_lr, self.eps, self.best = min_lr, eps, inf if mode == "min" else -inf
        self.last_epoch = self.cooldown_counter = self.num_bad_epochs = 0
        self._last_lr = self._rates()

    def step(self, metrics):
        """metrics: the measurement, a number or a Tensor of one element."""
        self.last_epoch += 1
        self.num_bad_epochs += 1
        if self._is_better(float(metrics)):
            self.best, self.num_bad_epochs = float(metrics), 0
        if self.cooldown_counter > 0:
            self.cooldown_counter, self.num_bad_epochs = self.cooldown_counter - 1, 0
        if self.num_bad_epochs > self.patience:
            self.cooldown_counter, self.num_bad_epochs = self.cooldown, 0
            self._set_rates()
        self._last_lr = self._rates()

    def get_lr(self):
        """The reduced rates."""
        rates, lowest = self._rates(), _per_group("min_lr", self.min_lr, self.optimizer)
        reduced = [max(lr * self.factor, low) for lr, low in zip(rates, lowest)]
        return [new if lr - new > self.eps else lr for lr, new in zip(rates, reduced)]

    def _is_better(self, value):
        sign = 1 if self.mode == "max" else -1
        relative = self.threshold_mode == "rel"
        margin = sign * self.threshold
        bound = self.best * (1 + margin) if relative else self.best + margin
        return sign * value > sign * bound

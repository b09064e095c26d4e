"""Optimisers and learning-rate schedules.

    optimizer = SGD(model.parameters(), lr=0.1)
    optimizer.zero_grad(); loss.backward(); optimizer.step()

Names, defaults and rules are PyTorch's.
"""

from math import cos, pi, sqrt

from .backend import array_module, to_device
from .tensor import Tensor


class Optimizer:
    """Overwrites parameters along their gradients.

    `param_groups` are dicts of parameters and their settings. A subclass says in `update` how one
    parameter moves, and in `kept` what it then keeps in the dict that it is given.
    """

    kept: tuple = ()

    def __init__(self, params, defaults):
        for name in ("lr", "weight_decay", "momentum", "eps"):
            if defaults.get(name, 0) < 0:
                raise ValueError(f"expected {name} of at least 0, got {defaults[name]}")
        if isinstance(params, Tensor):
            raise TypeError("an optimiser takes a list of parameters, got one Tensor: pass [x]")
        params = list(params)
        if not params:
            raise ValueError("an optimiser needs at least one parameter, got none")
        groups = params if isinstance(params[0], dict) else [{"params": params}]
        self.param_groups = [
            {**defaults, **group, "params": list(group["params"])} for group in groups
        ]
        for p in self._params():
            if not isinstance(p, Tensor) or not p.is_leaf:
                found = "computed " * isinstance(p, Tensor) + type(p).__name__
                raise TypeError(f"an optimiser moves leaf Tensors, got a {found}")
        if len({id(p) for p in self._params()}) < len(self._params()):
            raise ValueError("an optimiser needs each parameter once, got one of them twice")
        self.state: list[dict] = [{} for _ in self._params()]

    def _params(self):
        return [p for group in self.param_groups for p in group["params"]]

    def zero_grad(self):
        """Forgets all gradients."""
        for p in self._params():
            p.grad = None

    def step(self):
        """Moves every parameter that has a gradient."""
        settings = [group for group in self.param_groups for _ in group["params"]]
        for p, group, state in zip(self._params(), settings, self.state, strict=True):
            if p.grad is not None:
                # cast, because a learning rate from NumPy makes float64 of float32
                p.data = self.update(p.data, p.grad.data, state, group).astype(p.dtype, copy=False)

    def update(self, p, g, state, group):
        """The new array of one parameter, from its array p and gradient g."""
        raise NotImplementedError

    def state_dict(self):
        """{"state": {index: {name: array or number}}, "param_groups": settings}, as PyTorch has it.

        Indices stand for the parameters.
        """
        indices = iter(range(len(self.state)))
        groups = [
            {**group, "params": [next(indices) for _ in group["params"]]}
            for group in self.param_groups
        ]
        return {
            "state": {i: dict(s) for i, s in enumerate(self.state) if s},
            "param_groups": groups,
        }

    def load_state_dict(self, state):
        """Takes over a state_dict() of an optimiser over the same parameters."""
        mine, theirs = (
            [len(g["params"]) for g in groups]
            for groups in (self.param_groups, state["param_groups"])
        )
        if mine != theirs:
            raise RuntimeError(
                f"the optimiser's state has parameter groups of sizes {theirs}, this optimiser has "
                f"{mine}"
            )
        params = self._params()
        states = {int(i): values for i, values in state["state"].items()}  # JSON makes them strings
        for i, values in states.items():
            if set(values) not in (set(), set(self.kept)):
                raise RuntimeError(
                    f"{type(self).__name__} keeps {', '.join(self.kept)} of a parameter, the state "
                    f"has {', '.join(values)} of parameter {i}: is it another optimiser's?"
                )
            for name, value in values.items():
                if getattr(value, "shape", ()) not in ((), params[i].shape):
                    raise RuntimeError(
                        f"the optimiser's {name} of parameter {i} has shape {value.shape}, the "
                        f"parameter has {params[i].shape}"
                    )
        for group, other in zip(self.param_groups, state["param_groups"], strict=True):
            group.update({name: value for name, value in other.items() if name != "params"})
        self.state = [
            {
                name: to_device(value, p.device).copy() if hasattr(value, "shape") else value
                for name, value in states.get(i, {}).items()
            }
            for i, p in enumerate(params)
        ]


class SGD(Optimizer):
    """Stochastic gradient descent.

    buf = momentum buf + (1 - dampening) g; p = p - lr buf (Nesterov: p - lr (g + momentum buf)).
    """

    kept = ("momentum_buffer",)

    def __init__(self, params, lr=1e-3, momentum=0, dampening=0, weight_decay=0, nesterov=False):
        if nesterov and (momentum <= 0 or dampening != 0):
            raise ValueError(
                f"Nesterov momentum needs momentum > 0 and dampening 0, got {momentum} and "
                f"{dampening}"
            )
        super().__init__(
            params,
            {
                "lr": lr,
                "momentum": momentum,
                "dampening": dampening,
                "weight_decay": weight_decay,
                "nesterov": nesterov,
            },
        )

    def update(self, p, g, state, group):
        if group["weight_decay"]:
            g = g + group["weight_decay"] * p
        momentum = group["momentum"]
        if momentum:
            before = state.get("momentum_buffer")
            buffer = (
                g.copy() if before is None else momentum * before + (1 - group["dampening"]) * g
            )
            state["momentum_buffer"] = buffer
            g = g + momentum * buffer if group["nesterov"] else buffer
        return p - group["lr"] * g


class Adam(Optimizer):
    """Steps scaled by running moments m and v of the gradient (Kingma & Ba 2014).

    p = p - lr m / (1 - beta1^t) / (sqrt(v / (1 - beta2^t)) + eps)
    """

    kept = ("step", "exp_avg", "exp_avg_sq")

    def __init__(self, params, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0):
        if not all(0 <= beta < 1 for beta in betas):
            raise ValueError(f"expected betas of at least 0 and below 1, got {betas}")
        super().__init__(
            params, {"lr": lr, "betas": tuple(betas), "eps": eps, "weight_decay": weight_decay}
        )

    def update(self, p, g, state, group):
        (beta1, beta2), xp = group["betas"], array_module(p)
        if group["weight_decay"]:
            g = g + group["weight_decay"] * p
        if not state:
            state |= {"step": 0, "exp_avg": xp.zeros_like(p), "exp_avg_sq": xp.zeros_like(p)}
        state["step"] += 1
        state["exp_avg"] = m = beta1 * state["exp_avg"] + (1 - beta1) * g
        state["exp_avg_sq"] = v = beta2 * state["exp_avg_sq"] + (1 - beta2) * (g * g)
        correction1, correction2 = (1 - beta ** state["step"] for beta in (beta1, beta2))
        return p - group["lr"] / correction1 * (m / (xp.sqrt(v) / sqrt(correction2) + group["eps"]))


class OneCycleLR:
    """The learning rate up to max_lr and down again (Smith & Topin 2018).

    Starts at max_lr / div_factor, is at max_lr after the first `pct_start` of the `total_steps`,
    and ends at the start divided by final_div_factor. Momentum (or Adam's beta1) goes the other
    way. Call step() after each optimiser step.
    """

    def __init__(
        self,
        optimizer,
        max_lr,
        total_steps,
        pct_start=0.3,
        anneal_strategy="cos",
        cycle_momentum=True,
        base_momentum=0.85,
        max_momentum=0.95,
        div_factor=25.0,
        final_div_factor=1e4,
    ):
        if not isinstance(total_steps, int) or total_steps < 1:
            raise ValueError(f"expected total_steps to be an int of at least 1, got {total_steps}")
        if not 0 <= pct_start <= 1:
            raise ValueError(f"expected pct_start between 0 and 1, got {pct_start}")
        if anneal_strategy not in ("cos", "linear"):
            raise ValueError(f"expected anneal_strategy 'cos' or 'linear', got {anneal_strategy!r}")
        self.optimizer, self.total_steps, self.last_epoch = optimizer, total_steps, 0
        self.anneal = _cosine if anneal_strategy == "cos" else _linear
        self.peak = pct_start * total_steps - 1
        start = max_lr / div_factor
        self.rates = start, max_lr, start / final_div_factor
        self.momenta = (max_momentum, base_momentum, max_momentum) if cycle_momentum else None
        self._apply()

    def step(self):
        if self.last_epoch >= self.total_steps:
            raise ValueError(f"the schedule has {self.total_steps} steps and all of them are done")
        self.last_epoch += 1
        self._apply()

    def get_last_lr(self):
        return [group["lr"] for group in self.optimizer.param_groups]

    def state_dict(self):
        return {"last_epoch": self.last_epoch}

    def load_state_dict(self, state):
        self.last_epoch = state["last_epoch"]
        self._apply()

    def _apply(self):
        for group in self.optimizer.param_groups:
            group["lr"] = self._at(self.rates)
            if self.momenta and "betas" in group:
                group["betas"] = (self._at(self.momenta), *group["betas"][1:])
            elif self.momenta:
                group["momentum"] = self._at(self.momenta)

    def _at(self, values):
        first, second, third = values
        if self.last_epoch <= self.peak and self.peak > 0:
            return self.anneal(first, second, self.last_epoch / self.peak)
        rest = self.total_steps - 1 - self.peak
        return self.anneal(second, third, (self.last_epoch - self.peak) / rest if rest else 1.0)


def _cosine(start, end, part):
    return end + (start - end) / 2 * (1 + cos(pi * part))


def _linear(start, end, part):
    return start + (end - start) * part

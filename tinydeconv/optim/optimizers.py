"""Optimisers: each says in which direction a parameter moves, and what it keeps of it."""

import sys
from collections import defaultdict
from functools import partial
from typing import Any

import numpy as np

from ..backend import array_module, to_device
from ..engine import enable_grad
from ..kernels import by_kernel
from ..kernels.pieces import LARGE, fill
from ..ops import asarray, zeros_like
from ..tensor import Tensor

NOT_NEGATIVE = {
    "lr", "momentum", "weight_decay", "eps", "alpha", "lr_decay", "initial_accumulator_value",
}  # fmt: skip


def expect(wanted, holds, got, kind=ValueError):
    """Refuses what does not hold in one sentence."""
    if not holds:
        raise kind(f"expected {wanted}, got {got}")


def _check(group):
    for name in NOT_NEGATIVE & set(group):
        fit = hasattr(group[name], "__float__") and group[name] >= 0  # nor NaN
        expect(f"{name} to be a number of at least 0", fit, repr(group[name]))
    betas = group.get("betas", (0, 0))
    fit = isinstance(betas, (tuple, list)) and len(betas) == 2 and all(0 <= b < 1 for b in betas)
    expect("two betas of at least 0 and below 1", fit, betas)
    if group.get("nesterov"):
        pair = group["momentum"], group["dampening"]
        expect("momentum > 0 and dampening 0 for Nesterov momentum", pair[0] > 0 == pair[1], pair)


class Optimizer:
    """Moves parameters against their gradients.

    params: Tensors, or dicts {"params": Tensors, setting: value} for groups with settings of their
        own; defaults: {setting: value} for groups that do not say otherwise

    `param_groups` are these groups with all settings, `state` is {parameter: {name: Tensor}} with
    an int "step"; a parameter that never had a gradient has none. weight_decay and maximize are
    dealt with here. A subclass defines direction(g, state, **settings): what is taken off a
    parameter with the gradient g at a learning rate of 1, all in arrays. If it is made of operators
    and NumPy's elementwise functions, and says so by `elementwise`, it is computed on all cores.
    """

    direction: Any
    elementwise = False
    keeps: dict = {}  # {name in the state: the setting that it is kept for, or None}
    always: dict = {}  # settings that no loaded state changes

    def __init__(self, params, defaults):
        fit = hasattr(params, "__iter__") and not isinstance(params, (Tensor, dict))
        wanted = "a list of parameters, such as [x] or model.parameters()"
        expect(wanted, fit, f"one {type(params).__name__}", TypeError)
        _check(defaults)
        self.defaults, params = defaults, list(params)
        self.param_groups: list[dict] = []
        self.state: defaultdict[Tensor, dict] = defaultdict(dict)
        expect("at least one parameter", params, "none")
        for group in params if isinstance(params[0], dict) else [{"params": params}]:
            self.add_param_group(group)

    def add_param_group(self, param_group):
        """{"params": Tensors, setting: value}: more parameters; other settings are the defaults."""
        fit = isinstance(param_group, dict) and "params" in param_group
        expect('a group {"params": Tensors}', fit, type(param_group).__name__, TypeError)
        params = param_group["params"]
        unordered = isinstance(params, set)
        expect("parameters in an order", not unordered, "a set: pass a list", TypeError)
        params = [params] if isinstance(params, Tensor) else list(params)
        for p in params:
            found = "a " + "computed " * isinstance(p, Tensor) + type(p).__name__
            fit = isinstance(p, Tensor) and p.is_leaf
            expect("leaf Tensors to optimise", fit, found, TypeError)
        every = [*self._params(), *params]
        expect("each parameter once", len(set(every)) == len(every), "one of them twice")
        group = {**self.defaults, **param_group, "params": params}
        _check(group)
        self.param_groups.append(group)

    def __repr__(self):
        groups = [{n: x for n, x in group.items() if n != "params"} for group in self.param_groups]
        return f"{type(self).__name__}({', '.join(map(str, groups))})"

    def _params(self):
        return [p for group in self.param_groups for p in group["params"]]

    def zero_grad(self, set_to_none=True):
        """Forgets all gradients; with set_to_none=False those that there are become zeros."""
        for p in self._params():
            p.grad = None if set_to_none or p.grad is None else zeros_like(p.grad)

    def step(self, closure=None):
        """Moves every parameter that has a gradient.

        closure() computes the loss and its gradients before that; its result is returned.
        """
        loss = None
        if closure is not None:
            with enable_grad():
                loss = closure()
        with np.errstate(all="ignore"):
            for group in self.param_groups:
                names = [n for n, why in self.keeps.items() if n != "step" and group.get(why, True)]
                for p in group["params"]:
                    if p.grad is not None:
                        self._move(p, group, names)
        return loss

    def _move(self, p, group, names):
        x, g, state = p.data, p.grad.data, self.state[p]
        step = state.get("step", 0) + 1
        moments = {name: state[name].data for name in names if name in state}
        if "cupy" in sys.modules:  # the parameter may be on another device now
            moments = {name: to_device(array, p.device) for name, array in moments.items()}
        moved = partial(self._moved, group, names, [*moments], step)
        kernel = KERNELS.get(type(self).direction)
        found = kernel and by_kernel(kernel, x, g, moments, step, **group)
        if not found and self.elementwise and x.size >= LARGE:
            found = [x, *(moments.get(name, x) for name in names)]
            # the moments are overwritten, not the parameter's array: it may be someone else's too
            found = [array_module(x).empty_like(x) if a is x else a for a in found]
            fill(found, moved, x, g, *moments.values())
        elif not found:
            array = array_module(x).array
            found = [array(new, x.dtype) for new in moved(x, g, *moments.values())]
        p.data = found[0]
        self.state[p] = {name: p.wrap(new) for name, new in zip(names, found[1:])}
        if "step" in self.keeps:
            self.state[p]["step"] = step

    def _moved(self, group, names, known, step, x, g, *moments):
        """The new parameter and its new moments `names`, from the parameter, its gradient, and the
        moments `known`.
        """
        kept, lr, decay = dict(zip(known, moments)), float(group["lr"]), group.get("weight_decay")
        kept["step"] = step
        if group.get("maximize"):
            g = -g
        if group.get("decoupled_weight_decay"):
            x = x * (1 - lr * decay)
        elif decay:
            g = g + decay * x
        x = x - lr * self.direction(g, kept, **group)
        return x, *(kept[name] for name in names)

    def state_dict(self):
        """{"state": {index: {name: Tensor, "step": int}}, "param_groups": settings}, in PyTorch's
        form: indices stand for the parameters.
        """
        index = {p: i for i, p in enumerate(self._params())}
        states = {
            i: {name: x if name == "step" else x.clone() for name, x in self.state[p].items()}
            for p, i in index.items()
            if self.state.get(p)
        }
        groups = [{**g, "params": [index[p] for p in g["params"]]} for g in self.param_groups]
        return {"state": states, "param_groups": groups}

    def load_state_dict(self, state_dict):
        """Takes over a state_dict() of an optimiser over the same parameters: its settings and
        copies of its state; all of it or, on an error, nothing. PyTorch's own can be loaded too.

        What is kept of a parameter must be whole. A parameter of which nothing is kept is one that
        never had a gradient: the form, PyTorch's, does not tell whether there was something.
        """
        expect("an optimiser's state", "param_groups" in (state_dict or ()), "another", TypeError)
        saved = state_dict["param_groups"]
        here, there = ([len(g["params"]) for g in groups] for groups in (self.param_groups, saved))
        expect(f"parameter groups of sizes {here}", here == there, there, RuntimeError)
        states = {int(i): state for i, state in state_dict["state"].items()}  # JSON has strings
        groups: list[dict] = []
        found: defaultdict[Tensor, dict] = defaultdict(dict)
        for mine, other in zip(self.param_groups, saved):
            groups.append({**mine, **other, **self.always, "params": mine["params"]})
            _check(groups[-1])
            for p, i in zip(mine["params"], other["params"]):
                found[p] = self._fitting(states.pop(i, {}), p, i, groups[-1])
        expect("states of these parameters", not states, f"others, {sorted(states)}", RuntimeError)
        self.param_groups, self.state = groups, found

    def _fitting(self, state, p, i, group):
        """A copy of the state of p, parameter i: complete, or empty before the first gradient."""
        known = [f"{name} if {why}" if why else name for name, why in self.keeps.items()]
        wanted = f"{', '.join(known)} of parameter {i} for {type(self).__name__}"
        needed = {name for name, why in self.keeps.items() if not why or group[why]}
        fit = not state or needed <= set(state) <= set(self.keeps)
        expect(wanted, fit, f"{', '.join(state)}: is it another optimiser's?", RuntimeError)
        moments = {name: x for name, x in state.items() if name != "step"}
        found = {name: asarray(x, p.dtype, p.device).clone() for name, x in moments.items()}
        for name, value in found.items():
            wanted = f"{name} of parameter {i} in shape {p.shape}"
            expect(wanted, value.shape == p.shape, value.shape, RuntimeError)
        return found | ({"step": int(state["step"])} if "step" in state else {})


def _settings(arguments):
    """The settings among the locals() of a constructor."""
    return {n: x for n, x in arguments.items() if n not in ("self", "params", "__class__")}


def _average(state, name, new, decay):
    """Renews a running average, which starts at zero."""
    state[name] = decay * state.get(name, 0) + (1 - decay) * new
    return state[name]


class SGD(Optimizer):
    """Stochastic gradient descent.

    b = momentum b + (1 - dampening) g, at first g; p = p - lr b, Nesterov p - lr (g + momentum b)
    """

    keeps, elementwise = {"momentum_buffer": "momentum"}, True

    def __init__(self, params, lr=1e-3, momentum=0, dampening=0, weight_decay=0, nesterov=False, *,
                 maximize=False):  # fmt: skip
        super().__init__(params, _settings(locals()))

    def direction(self, g, state, momentum, dampening, nesterov, **_):
        if not momentum:
            return g
        buffer = state.get("momentum_buffer")
        buffer = g if buffer is None else momentum * buffer + (1 - dampening) * g
        state["momentum_buffer"] = buffer
        return g + momentum * buffer if nesterov else buffer


class RMSprop(Optimizer):
    """Steps scaled by a running mean of the squared gradient (Tieleman & Hinton 2012, lecture 6.5).

    v = alpha v + (1 - alpha) g^2, less the squared running mean of g if `centered` (Graves 2013);
    b = momentum b + g / (sqrt(v) + eps); p = p - lr b
    """

    keeps = dict.fromkeys(["step", "square_avg"])
    keeps |= {"momentum_buffer": "momentum", "grad_avg": "centered"}
    elementwise = True

    def __init__(self, params, lr=1e-2, alpha=0.99, eps=1e-8, weight_decay=0, momentum=0,
                 centered=False, *, maximize=False):  # fmt: skip
        super().__init__(params, _settings(locals()))

    def direction(self, g, state, alpha, eps, momentum, centered, **_):
        variance = _average(state, "square_avg", g * g, alpha)
        if centered:
            mean = _average(state, "grad_avg", g, alpha)
            variance = variance - mean * mean
        g = g / (array_module(g).sqrt(variance) + eps)
        if momentum:
            g = state["momentum_buffer"] = momentum * state.get("momentum_buffer", 0) + g
        return g


class Adam(Optimizer):
    """Steps scaled by running moments m and v of the gradient (Kingma & Ba 2014).

    p = p - lr m / (1 - beta1^t) / (sqrt(v / (1 - beta2^t)) + eps)

    amsgrad: v is the largest one so far (Reddi et al. 2018). decoupled_weight_decay: p shrinks by
    lr weight_decay p, apart from the gradient (Loshchilov & Hutter 2019).
    """

    keeps = {"step": None, "exp_avg": None, "exp_avg_sq": None, "max_exp_avg_sq": "amsgrad"}
    elementwise = True

    def __init__(self, params, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0,
                 amsgrad=False, *, maximize=False, decoupled_weight_decay=False):  # fmt: skip
        super().__init__(params, _settings(locals()))

    def direction(self, g, state, betas, eps, amsgrad, **_):
        correction1, correction2 = (1 - beta ** state["step"] for beta in betas)
        m = _average(state, "exp_avg", g, betas[0])
        v = _average(state, "exp_avg_sq", g * g, betas[1])
        xp = array_module(g)
        if amsgrad:
            v = state["max_exp_avg_sq"] = xp.maximum(state.get("max_exp_avg_sq", v), v)
        # m / correction1 / (sqrt(v / correction2) + eps), with a single division of arrays
        scale = xp.sqrt(v) * (correction1 / correction2**0.5) + correction1 * eps
        return m / scale


class AdamW(Adam):
    """Adam with decoupled weight decay (Loshchilov & Hutter 2019), even with a state from Adam."""

    always = {"decoupled_weight_decay": True}

    def __init__(self, params, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=1e-2,
                 amsgrad=False, *, maximize=False):  # fmt: skip
        super().__init__(params, **_settings(locals()), **self.always)


class Adagrad(Optimizer):
    """Steps scaled by the sum of all squared gradients so far (Duchi et al. 2011).

    s = s + g^2, from initial_accumulator_value on;
    p = p - lr / (1 + (t - 1) lr_decay) g / (sqrt(s) + eps)

    Unlike PyTorch's, it keeps nothing before the first gradient, and minds a group's own
    initial_accumulator_value.
    """

    keeps, elementwise = {"step": None, "sum": None}, True

    def __init__(self, params, lr=1e-2, lr_decay=0, weight_decay=0, initial_accumulator_value=0,
                 eps=1e-10, *, maximize=False):  # fmt: skip
        super().__init__(params, _settings(locals()))

    def direction(self, g, state, lr_decay, initial_accumulator_value, eps, **_):
        state["sum"] = state.get("sum", initial_accumulator_value) + g * g
        scale = array_module(g).sqrt(state["sum"]) + eps
        return g / scale / (1 + (state["step"] - 1) * lr_decay)


# the directions for which a kernel of kernels/cuda makes a whole step in one launch
KERNELS = {SGD.direction: "sgd", Adam.direction: "adam"}


def l1_penalty(parameters):
    """The sum of |p| over all numbers of the parameters, a 0-d Tensor to add to a loss:

    loss = mse_loss(model(x), y) + 1e-4 * l1_penalty(model.parameters())
    """
    sums = [abs(p).sum() for p in parameters]
    expect("at least one parameter", sums, "none")
    return sum(sums)

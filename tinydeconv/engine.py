"""The engine: how a result remembers where it came from, and how gradients walk back.

An `Op` is a differentiable function. Its `forward` sees arrays and does the arithmetic; its
`backward` sees Tensors and says, in terms of other ops, what the gradient of each input is. Because
a backward is made of ops, it can be differentiated again: that is all there is to derivatives of
any order.

A `Node` records one application of an op: edges to the nodes of its inputs, and what the backward
will read. A Tensor points to the node that made it, and a node points to earlier nodes, never the
other way: there are no cycles, so memory is freed the moment nobody needs it.
"""

import contextlib
import os
import sys
import threading
from typing import Any, NamedTuple

import numpy as np

from .backend import array_module, is_array


class _State(threading.local):
    """What each thread decides for itself."""

    recording = True
    anomaly = False


_state = _State()


class Spec(NamedTuple):
    """What a node remembers of an input whose values its backward does not read."""

    shape: tuple
    dtype: np.dtype


class Op:
    """One application of a differentiable function; a subclass defines forward and backward.

    `forward(*arrays)` returns an array and leaves its inputs alone. `backward(g, y, *inputs,
    needs)` gets the gradient g of the output, the output y and the inputs, and returns a gradient
    for each input (a bare one for a single input); None is a zero that nobody computed. `needs`
    tells which gradients are wanted. What an op keeps on itself may be read by a forward only: a
    backward combines Tensors, or hands what is kept to another op, otherwise second derivatives are
    wrong.
    """

    # What the backward reads: "inputs", "output", both or neither. It sees of the other inputs only
    # shape and dtype, of the output None, and they are not held in memory.
    keeps: tuple[str, ...] = ("inputs", "output")
    # Linear in all inputs together: then the backward reads neither, whatever `keeps` says.
    linear = False
    # The inputs broadcast against each other: the walk sums their gradients back to shape.
    broadcasts = False
    # The output may share the first input's memory, and so its version counter.
    view = False

    def forward(self, *arrays):
        raise NotImplementedError

    def backward(self, g, y, *inputs, needs):
        raise NotImplementedError

    def __call__(self, *inputs):
        for x in inputs:
            if not hasattr(x, "node"):
                raise TypeError(f"expected a Tensor, got {type(x).__name__}: use td.tensor(...)")
        arrays = [x.data for x in inputs]
        xp = array_module(*arrays)
        # Infinities and NaNs pass in silence, as in PyTorch; detect_anomaly finds them.
        with np.errstate(all="ignore"):
            y = self.forward(*arrays)
        if not is_array(y):  # NumPy's arithmetic turns 0-d arrays into scalars
            y = xp.asarray(y)
        if _state.anomaly:
            _look_for_anomaly(self, arrays, y)
        result = inputs[0].wrap(y, version=inputs[0].version if self.view else None)
        if _state.recording and y.dtype.kind == "f" and any(x.requires_grad for x in inputs):
            result.node = Node(self, inputs, result)
        return result

    @property
    def name(self):
        return type(self).__name__


class Node:
    """Where a tensor came from. A leaf (a tensor the user made) is a node without an op, and holds
    the tensor's `.grad`.
    """

    __slots__ = (
        "op", "parents", "inputs", "output", "versions", "spec", "grad", "retains_grad", "hooks",
        "where",
    )  # fmt: skip

    def __init__(self, op=None, inputs=(), result=None):
        self.op, self.grad, self.retains_grad, self.hooks = op, None, False, ()
        self.spec = None if result is None else Spec(result.shape, result.dtype)
        self.parents = tuple(x.node for x in inputs)
        keeps = () if op is None or op.linear else op.keeps
        self.inputs: Any = tuple(x if "inputs" in keeps else Spec(x.shape, x.dtype) for x in inputs)
        # The output is held as an array: its Tensor points to this node, and pointing back would
        # be a cycle.
        self.output = (result.data, result.version) if "output" in keeps else None
        kept = (*(inputs if "inputs" in keeps else ()), *((result,) if "output" in keeps else ()))
        self.versions: Any = tuple((x.version, x.version[0]) for x in kept)
        self.where = _user_line() if _state.anomaly else None

    @property
    def released(self):
        return self.inputs is None

    def release(self):
        self.inputs = self.output = self.versions = None
        self.parents = ()

    def pull(self, g, needs):
        """The gradient of each wanted input, from the gradient g of the output."""
        for cell, count in self.versions:
            if cell[0] != count:
                raise RuntimeError(
                    f"{self.op.name} needs a tensor for its backward that was overwritten after "
                    "the forward (by an optimiser step or by loading weights): take all gradients "
                    "first, then step"
                )
        y = None
        if self.output is not None:
            y = g.wrap(self.output[0], node=self, version=self.output[1])
        gradients = self.op.backward(g, y, *self.inputs, needs=needs)
        if gradients is None:
            gradients = (None,) * len(needs)
        elif not isinstance(gradients, tuple):
            gradients = (gradients,)
        return [
            self._checked(i, gx) if need else None
            for i, (need, gx) in enumerate(zip(needs, gradients, strict=True))
        ]

    def _checked(self, i, gx):
        if gx is None:
            return None
        shape, dtype = self.inputs[i].shape, self.inputs[i].dtype
        if self.op.broadcasts and gx.shape != shape:
            gx = gx.sum_to(shape)
        if gx.shape != shape or gx.dtype != dtype:
            raise RuntimeError(
                f"{self.op.name}.backward gave input {i} a gradient of shape {gx.shape} and dtype "
                f"{gx.dtype}; the input has shape {shape} and dtype {dtype}"
            )
        return gx

    def __repr__(self):
        return f"<{self.op.name}Backward0>" if self.op else "<Leaf>"


def _ancestors(roots, wanted):
    """The nodes behind the roots, each after its own ancestors, and for each whether it leads to a
    wanted node.
    """
    order, stack = [], [(root, False) for root in roots]
    leads: dict[Node, bool] = {}
    while stack:  # depth first, without recursion: a graph may be 100,000 ops deep
        node, done = stack.pop()
        if done:
            order.append(node)
            leads[node] = wanted(node) or any(leads[p] for p in node.parents if p is not None)
        elif node not in leads:
            if node.released:
                raise RuntimeError(
                    "this graph was let go by an earlier backward; pass retain_graph=True to that "
                    "one to walk it twice, or run the forward again"
                )
            leads[node] = False
            stack.append((node, True))
            stack.extend((p, False) for p in node.parents if p is not None and p not in leads)
    return order, leads


def _walk(seeds, wanted, retain_graph, create_graph):
    """Pushes the seeds {node: gradient} back through the graph, consumers first; returns {wanted
    node: gradient}.

    A wanted node that the graph reaches, but only by derivatives known to be zero, gets None.
    """
    order, leads = _ancestors(seeds, wanted)
    pending, found = dict(seeds), {}
    with _recording(create_graph):
        while order:
            node = order.pop()
            g = pending.pop(node, None)
            if not leads[node]:
                continue
            if g is not None:
                for hook in node.hooks:
                    g = _after_hook(hook, g)
            if wanted(node):
                found[node] = g if g is None else alike("the gradient", g, node.spec)
            if node.op is None:
                continue
            needs = tuple(p is not None and leads[p] for p in node.parents)
            if g is not None and any(needs):
                pull = _pull_watching if _state.anomaly else Node.pull
                for parent, gx in zip(node.parents, pull(node, g, needs), strict=True):
                    if gx is not None:
                        pending[parent] = pending[parent] + gx if parent in pending else gx
            if not retain_graph:
                node.release()
    return found


def _after_hook(hook, g):
    replaced = hook(g)
    return g if replaced is None else alike("what a hook returns", replaced, g)


def alike(what, gradient, like):
    """The gradient, refused unless it is a Tensor of the shape and dtype of `like`."""
    if not hasattr(gradient, "node"):
        raise TypeError(f"{what} must be a Tensor, got {type(gradient).__name__}")
    if gradient.shape != like.shape or gradient.dtype != like.dtype:
        raise RuntimeError(
            f"{what} must be {like.dtype} of shape {like.shape}, like its tensor, got "
            f"{gradient.dtype} of shape {gradient.shape}"
        )
    return gradient


def _seed(output, gradient):
    """The gradient that the walk starts with at this output."""
    if output.node is None:
        raise RuntimeError(
            "this tensor has no graph to walk: nothing it was computed from requires grad, or it "
            "was made under no_grad(), detached, or a gradient taken without create_graph=True"
        )
    if gradient is None:
        if output.numel() != 1:
            raise RuntimeError(
                f"expected a scalar, got shape {output.shape}: reduce it first, as in "
                ".sum().backward(), or pass the gradient of the output"
            )
        return output.wrap(array_module(output.data).ones_like(output.data))
    return alike("the gradient of an output", gradient, output)


def _zero(node, like):
    return like.wrap(array_module(like.data).zeros(node.spec.shape, node.spec.dtype))


def backward(output, gradient=None, retain_graph=None, create_graph=False, inputs=None):
    """Adds the gradient of `output` to `.grad` of every leaf it depends on (or of `inputs` alone).

    The graph is let go while walking, unless `retain_graph` (default: `create_graph`). With
    `create_graph` the gradients themselves can be differentiated; `.grad` then keeps its graph
    alive until it is set to None.
    """
    seed = _seed(output, gradient)
    if inputs is None:

        def wanted(node):
            return node.op is None or node.retains_grad
    else:
        wanted = {_required(x, i) for i, x in enumerate(_as_list(inputs))}.__contains__
    retain_graph = create_graph if retain_graph is None else retain_graph
    shared = {id(seed.data)}
    for node, g in _walk({output.node: seed}, wanted, retain_graph, create_graph).items():
        with _recording(create_graph):
            if g is None:
                g = _zero(node, seed)
            elif node.grad is not None:
                g = node.grad + g
            elif id(g.data) in shared or not g.data.flags.owndata:
                g = _zero(node, seed) + g  # a copy: no two leaves share the memory of their .grad
        shared.add(id(g.data))
        node.grad = g


def grad(
    outputs, inputs, grad_outputs=None, retain_graph=None, create_graph=False, allow_unused=False
):
    """The gradients of `outputs` (one Tensor or several) with respect to each of `inputs`, as a
    tuple; `.grad` is left alone.

    An input that the outputs do not depend on is an error, or None with `allow_unused`.
    """
    outputs, inputs = _as_list(outputs), _as_list(inputs)
    gradients = [None] * len(outputs) if grad_outputs is None else _as_list(grad_outputs)
    if len(gradients) != len(outputs):
        raise ValueError(
            f"expected one grad_output for each of {len(outputs)} outputs, got {len(gradients)}"
        )
    nodes = [_required(x, i) for i, x in enumerate(inputs)]
    retain_graph = create_graph if retain_graph is None else retain_graph
    seeds: dict[Node, Any] = {}
    with _recording(create_graph):
        for output, gradient in zip(outputs, gradients, strict=True):
            seed = _seed(output, gradient)
            seeds[output.node] = seeds[output.node] + seed if output.node in seeds else seed
    found = _walk(seeds, set(nodes).__contains__, retain_graph, create_graph)
    for i, (x, node) in enumerate(zip(inputs, nodes, strict=True)):
        if node not in found and not allow_unused:
            raise RuntimeError(
                f"the outputs do not depend on inputs[{i}] (shape {x.shape}): leave it out, or "
                "pass allow_unused=True to get None for it"
            )
        if node in found and found[node] is None:
            found[node] = _zero(node, inputs[i])
    return tuple(found.get(node) for node in nodes)


def _as_list(value):
    return list(value) if isinstance(value, (list, tuple)) else [value]


def _required(x, i):
    if getattr(x, "node", None) is None:
        raise RuntimeError(
            f"inputs[{i}] (shape {getattr(x, 'shape', None)}) does not require grad: expected a "
            "Tensor that had requires_grad=True when it was computed with"
        )
    return x.node


# ---------------------------------------------------------------- switches


class _Switch(contextlib.ContextDecorator):
    """Sets one of a thread's switches inside a with block, or inside the function it decorates."""

    def __init__(self, name, value):
        self.name, self.value, self.before = name, value, []

    def __enter__(self):
        self.before.append(getattr(_state, self.name))
        setattr(_state, self.name, self.value)

    def __exit__(self, *error):
        setattr(_state, self.name, self.before.pop())

    def _recreate_cm(self):  # a decorated function may run in several threads at once
        return _Switch(self.name, self.value)


def _recording(mode):
    return _Switch("recording", bool(mode))


def no_grad(function=None):
    """Nothing that happens inside is recorded: `with td.no_grad(): ...` or `@td.no_grad()`."""
    return _recording(False) if function is None else _recording(False)(function)


def enable_grad(function=None):
    """Recording again, inside a no_grad()."""
    return _recording(True) if function is None else _recording(True)(function)


def is_grad_enabled():
    """Whether what happens now is recorded."""
    return _state.recording


def detect_anomaly():
    """Inside, the first op whose output is not finite though its inputs are raises
    FloatingPointError with the user's line.
    """
    return _Switch("anomaly", True)


# ---------------------------------------------------------------- anomalies

_PACKAGE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "")


def _user_line():
    """file:line of the innermost caller outside this package (of the outermost inside, when there
    is none).
    """
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_PACKAGE):
        frame = frame.f_back
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"


def _finite(array):
    return array.dtype.kind != "f" or bool(array_module(array).isfinite(array).all())


def _look_for_anomaly(op, arrays, y):
    if not _finite(y) and all(_finite(a) for a in arrays):
        shapes = ", ".join(str(a.shape) for a in arrays)
        raise FloatingPointError(
            f"{op.name} of shapes {shapes} gave a non-finite output of shape {y.shape} from finite "
            f"inputs, at {_user_line()}"
        )


def _pull_watching(node, g, needs):
    """Node.pull, blaming the forward op whose backward turns a finite gradient into a non-finite
    one.
    """
    with _Switch("anomaly", False):
        gradients = node.pull(g, needs)
    for i, gx in enumerate(gradients):
        if gx is not None and _finite(g.data) and not _finite(gx.data):
            raise FloatingPointError(
                f"the backward of {node.op.name} gave input {i} of shape {gx.shape} a non-finite "
                "gradient from a finite one; its forward ran at "
                f"{node.where or 'a line not recorded: run it inside too'}"
            )
    return gradients

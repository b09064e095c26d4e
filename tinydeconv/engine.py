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
import contextvars
import itertools
import operator
import os
import sys
import threading
from types import SimpleNamespace
from typing import Any

import numpy as np

from .backend import array_module, is_array


class _Thread(threading.local):
    """What each thread decides for itself: in one object, because this look-up takes time."""

    def __init__(self):
        self.decides = SimpleNamespace(recording=True, anomaly=False)


_thread = _Thread()

# Infinities and NaNs pass in silence, as in PyTorch; detect_anomaly finds them. A forward runs in
# a copy of this context, which takes a tenth of the time of np.errstate.
SILENCE = contextvars.Context()
SILENCE.run(np.seterr, all="ignore")

# Numbers nodes as they are made, and what is overwritten in between.
clock = itertools.count(1)


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

    def __init_subclass__(cls):
        if cls.linear:
            cls.keeps = ()

    def __call__(self, *inputs):
        arrays, parents = [], []
        for x in inputs:
            if not hasattr(x, "node"):
                raise TypeError(f"expected a Tensor, got {type(x).__name__}: use td.tensor(...)")
            arrays.append(x._data)
            parents.append(x.node)
        if "cupy" in sys.modules:
            array_module(*arrays)  # refuses a mixture
        y = SILENCE.copy().run(self.forward, *arrays)
        if type(y) is not np.ndarray and not is_array(y):
            # NumPy's arithmetic turned 0-d arrays into a scalar.
            y = array_module(*arrays).asarray(y)
        result = inputs[0].wrap(y, None, inputs[0].version if self.view else None)
        thread = _thread.decides
        if thread.recording and y.dtype.kind == "f" and any(parents):
            result.node = Node(result, self, parents, inputs)
        if thread.anomaly:
            _look_for_anomaly(self, arrays, result)
        return result

    @property
    def name(self):
        return type(self).__name__


class Spec:
    """What a node remembers of an input whose values its backward does not read."""

    __slots__ = ("shape", "dtype")
    version = (0,)  # never overwritten

    def __init__(self, array):
        self.shape, self.dtype = array.shape, array.dtype


class Node(Spec):
    """Where a tensor came from. A leaf (a tensor the user made) is a node without an op, and holds
    the tensor's `.grad`.
    """

    __slots__ = (
        "number", "op", "parents", "inputs", "output", "grad", "retains_grad", "hooks", "where",
    )  # fmt: skip

    def __init__(self, result, op=None, parents=(), inputs: Any = ()):
        array = result._data
        self.shape, self.dtype = array.shape, array.dtype
        self.number = next(clock)  # larger than that of its parents
        self.op, self.parents, self.inputs, self.output = op, parents, inputs, None
        self.grad, self.retains_grad, self.hooks = None, False, ()
        self.where = None  # the user's line, once anomaly detection has written it here
        if op is not None:
            if "inputs" not in op.keeps:  # parents know the shapes as well
                if None in parents:
                    self.inputs = [p or Spec(x._data) for p, x in zip(parents, inputs)]
                else:
                    self.inputs = parents
            if "output" in op.keeps:
                # An array, because its Tensor points to this node, and pointing back would be a
                # cycle.
                self.output = (array, result.version)

    @property
    def released(self):
        return self.inputs is None

    def release(self):
        self.inputs = self.output = None
        self.parents = ()

    def pull(self, g, needs):
        """The gradient of each wanted input, from the gradient g of the output."""
        y = None
        if self.output is not None:
            y = g.wrap(self.output[0], self, self.output[1])
        if self.op.keeps:
            for x in self.inputs if y is None else (y, *self.inputs):
                if x.version[0] > self.number:
                    raise RuntimeError(
                        f"{self.op.name} needs a tensor for its backward that was overwritten "
                        "after the forward (by an optimiser step or by loading weights): take all "
                        "gradients first, then step"
                    )
        gradients = self.op.backward(g, y, *self.inputs, needs=needs)
        if not isinstance(gradients, tuple):
            gradients = (gradients,) * (1 if gradients is not None else len(needs))
        if len(gradients) != len(needs):
            raise ValueError(
                f"{self.op.name}.backward gave {len(gradients)} gradients for {len(needs)} inputs"
            )
        return gradients

    def fitted(self, parent, gx):
        """The gradient gx that goes to a parent, in the shape of what that one made."""
        shape, dtype, i = parent.shape, parent.dtype, self.parents.index(parent)
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


def _ancestors(roots):
    """The roots and all nodes behind them, each after its own ancestors."""
    nodes, seen = list(roots), {None, *roots}
    for node in nodes:  # which grows meanwhile
        if node.released:
            raise RuntimeError(
                "this graph was let go by an earlier backward; pass retain_graph=True to that "
                "one to walk it twice, or run the forward again"
            )
        for parent in node.parents:
            if parent not in seen:
                seen.add(parent)
                nodes.append(parent)
    return sorted(nodes, key=operator.attrgetter("number"))


def _walk(seeds, wanted, retain_graph, create_graph):
    """Pushes the seeds {node: gradient} back through the graph, consumers first; returns {wanted
    node: gradient}.

    A wanted node that the graph reaches, but only by derivatives known to be zero, gets None.
    """
    ancestors = _ancestors(seeds)
    if wanted is None:
        wanted = {node for node in ancestors if node.op is None or node.retains_grad}
    ways: dict[Node, Any] = {}  # {node that leads to a wanted one: which of its inputs do}
    for node in ancestors:
        needs = [parent in ways for parent in node.parents]
        if True in needs or node in wanted:
            ways[node] = needs
    pending, found = dict(seeds), {}
    sums: set[Node] = set()  # those whose pending gradient was made here: it is added to in place
    pull = _pull_watching if _thread.decides.anomaly else Node.pull
    with _recording(create_graph):
        while ways:
            node, needs = ways.popitem()
            g = pending.pop(node, None)
            if g is not None:
                for hook in node.hooks:
                    g = _after_hook(hook, g)
            if node in wanted:
                found[node] = g if g is None else alike("the gradient", g, node)
            if node.op is None:
                continue
            if g is not None and True in needs:
                for parent, need, gx in zip(node.parents, needs, pull(node, g, needs)):
                    if need and gx is not None:
                        if gx._data.shape != parent.shape or gx._data.dtype is not parent.dtype:
                            gx = node.fitted(parent, gx)
                        if parent in sums:
                            SILENCE.copy().run(operator.iadd, pending[parent]._data, gx._data)
                        elif parent in pending:
                            pending[parent] = pending[parent] + gx
                            if not create_graph:
                                sums.add(parent)
                        else:
                            pending[parent] = gx
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
    return like.wrap(array_module(like.data).zeros(node.shape, node.dtype))


def backward(output, gradient=None, retain_graph=None, create_graph=False, inputs=None):
    """Adds the gradient of `output` to `.grad` of every leaf it depends on (or of `inputs` alone).

    The graph is let go while walking, unless `retain_graph` (default: `create_graph`). With
    `create_graph` the gradients themselves can be differentiated; `.grad` then keeps its graph
    alive until it is set to None.
    """
    seed = _seed(output, gradient)
    wanted = None if inputs is None else {_required(x, i) for i, x in enumerate(_as_list(inputs))}
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
    found = _walk(seeds, set(nodes), retain_graph, create_graph)
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
        self.before.append(getattr(_thread.decides, self.name))
        setattr(_thread.decides, self.name, self.value)

    def __exit__(self, *error):
        setattr(_thread.decides, self.name, self.before.pop())

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
    return _thread.decides.recording


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
    line = _user_line()
    if not _finite(y.data) and all(_finite(a) for a in arrays):
        shapes = ", ".join(str(a.shape) for a in arrays)
        raise FloatingPointError(
            f"{op.name} of shapes {shapes} gave a non-finite output of shape {y.shape} from finite "
            f"inputs, at {line}"
        )
    if y.node is not None:
        y.node.where = line


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

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
# a copy of this context: np.errstate does the same in 1 microsecond, which takes 0.1.
SILENCE = contextvars.Context()
SILENCE.run(np.seterr, all="ignore")

# Numbers the nodes, and the overwritings of tensors, in the order in which they happen.
clock = itertools.count(1)


class Op:
    """A differentiable function of Tensors; a subclass defines forward and backward.

    `forward(*arrays)` returns an array and leaves its inputs alone. `backward(g, y, *inputs,
    needs)` gets the gradient g of the output, the output y and the inputs, and returns a gradient
    for each input (a bare one for a single input); None is a zero that nobody computed. `needs`
    is true where a gradient is wanted. What an op keeps on itself may be read by a forward only: a
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
    # The output may share the first input's memory, and so its version.
    view = False

    def forward(self, *arrays):
        raise NotImplementedError

    def backward(self, g, y, *inputs, needs):
        raise NotImplementedError

    def __call__(self, *inputs):
        arrays, parents = [], []
        for x in inputs:
            if not hasattr(x, "node"):
                raise TypeError(f"expected a Tensor, got {type(x).__name__}: use td.tensor(...)")
            arrays.append(x._data)  # x.data, which would take a call
            parents.append(x.node)
        if "cupy" in sys.modules:
            array_module(*arrays)  # refuses a mixture
        y = SILENCE.copy().run(self.forward, *arrays)
        if type(y) is not np.ndarray and not is_array(y):  # NumPy makes scalars of 0-d arrays
            y = array_module(*arrays).asarray(y)
        result = inputs[0].wrap(y, None, inputs[0].version if self.view else None)
        thread = _thread.decides
        if thread.anomaly:
            _look_for_anomaly(self, arrays, y)
        if thread.recording and y.dtype.kind == "f" and any(parents):
            result.node = Node(result, self, parents, inputs)
        return result

    @property
    def name(self):
        return type(self).__name__


class Spec:
    """What a node remembers of an input whose values its backward does not read. (Of an input with
    a node of its own, that one does it.)
    """

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
        self.where = _user_line() if _thread.decides.anomaly else None
        keeps = () if op is None or op.linear else op.keeps
        if "inputs" not in keeps:
            self.inputs = parents
            if None in parents:
                self.inputs = [p or Spec(x._data) for p, x in zip(parents, inputs)]
        if "output" in keeps:
            # As an array: its Tensor points to this node, and pointing back would be a cycle.
            self.output = (array, result.version)

    def pull(self, g, needs):
        """The gradients of the inputs, of those that are needed at least, from g of the output."""
        y = self.output and g.wrap(self.output[0], self, self.output[1])
        for x in self.inputs if y is None else (y, *self.inputs):
            if x.version[0] > self.number:
                raise RuntimeError(
                    f"{self.op.name} needs a tensor for its backward that was overwritten after "
                    "the forward (by an optimiser step or by loading weights): take all gradients "
                    "first, then step"
                )
        gradients = self.op.backward(g, y, *self.inputs, needs=needs)
        if not isinstance(gradients, tuple):
            gradients = (gradients,) * (1 if gradients is not None else len(needs))
        if len(gradients) != len(needs):
            count = f"{len(gradients)} of {len(needs)} gradients"
            raise ValueError(f"{self.op.name}.backward gave {count}")
        return gradients

    def _fitted(self, parent, gx):
        """The gradient gx that goes to a parent, in the shape of what that one made."""
        if self.op.broadcasts and hasattr(gx, "sum_to"):
            gx = gx.sum_to(parent.shape)
        i = self.parents.index(parent)
        return alike(f"the gradient that {self.op.name}.backward gives input {i}", gx, parent)

    def __repr__(self):
        return f"<{self.op.name}Backward0>" if self.op else "<Leaf>"


def _ancestors(roots):
    """The roots and all nodes behind them, each after its own ancestors."""
    nodes, seen = list(roots), {None, *roots}
    for node in nodes:  # which grows meanwhile
        if node.inputs is None:
            raise RuntimeError(
                "this graph was let go by an earlier backward; pass retain_graph=True to that "
                "one to walk it twice, or run the forward again"
            )
        for parent in node.parents:
            if parent not in seen:
                seen.add(parent)
                nodes.append(parent)
    return sorted(nodes, key=lambda node: node.number)


def _walk(seeds, wanted, retain_graph, create_graph):
    """Pushes the seeds {node: gradient} back through the graph, consumers first; returns {wanted
    node: gradient}.

    A wanted node that the graph reaches, but only by derivatives known to be zero, gets None.
    """
    ancestors = _ancestors(seeds)
    if wanted is None:  # every leaf: all ways lead to one
        wanted = {node for node in ancestors if node.op is None or node.retains_grad}
        ways = {node: node.parents for node in ancestors}
    else:  # {node that leads to a wanted one: those of its parents that do}
        ways = {}
        for node in ancestors:
            needs = [parent if parent in ways else None for parent in node.parents]
            if any(needs) or node in wanted:
                ways[node] = needs if any(needs) else ()
    pending, found = dict(seeds), {}
    sums: set[Any] = set()  # those whose pending gradient was made here: it is added to in place
    pull = _pull_watching if _thread.decides.anomaly else Node.pull
    with _recording(create_graph):
        while ways:
            node, needs = ways.popitem()
            g = pending.pop(node, None)
            if g is not None:
                for hook in node.hooks:
                    replaced = hook(g)
                    g = g if replaced is None else alike("what a hook returns", replaced, g)
            if node in wanted:
                found[node] = g
            for parent, gx in zip(needs, pull(node, g, needs) if needs and g is not None else ()):
                if parent is None or gx is None:
                    continue
                array = getattr(gx, "_data", None)
                if array is None or array.shape != parent.shape or array.dtype is not parent.dtype:
                    gx = node._fitted(parent, gx)
                if parent not in pending:
                    pending[parent] = gx
                elif parent in sums and not create_graph:
                    SILENCE.copy().run(pending[parent]._data.__iadd__, gx._data)
                else:
                    pending[parent] = pending[parent] + gx
                    sums.add(parent)
            if not retain_graph and node.op is not None:  # lets go of the graph behind itself
                node.inputs, node.output, node.parents = None, None, ()
    return found


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
    found = _walk({output.node: seed}, wanted, retain_graph, create_graph)
    with _recording(create_graph):
        for node, g in found.items():
            if g is None:
                g = _zero(node, seed)
            elif node.grad is not None:
                g = node.grad + g
            elif id(g.data) in shared or not g.data.flags.owndata:
                g = g.clone()  # no two leaves share the memory of their .grad
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
    for i, (need, gx) in enumerate(zip(needs, gradients)):
        if need and gx is not None and _finite(g.data) and not _finite(gx.data):
            raise FloatingPointError(
                f"the backward of {node.op.name} gave input {i} of shape {need.shape} a "
                "non-finite gradient from a finite one; its forward ran at "
                f"{node.where or 'a line not recorded: run it inside too'}"
            )
    return gradients

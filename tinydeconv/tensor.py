"""Tensor, the handle: an array, the node that made it, and the protocols of Python and NumPy.

The operations (`x + y`, `x.exp()`, `x.sum(dim=1)`) are defined in `ops` and hung onto this class by
one table there.
"""

from functools import partial

import numpy as np

from . import engine
from .backend import device_of, is_array, to_numpy


class Tensor:
    """An N-d array that can remember where it came from; `td.tensor(data)` makes one from numbers.

    `Tensor(array)` wraps a NumPy or CuPy array without copying it.
    """

    __slots__ = ("_data", "node", "_leaf", "version", "__weakref__")
    __array_ufunc__ = None  # NumPy's operators give way to ours; np.exp(tensor) is a TypeError

    def __init__(self, data, requires_grad=False):
        if not is_array(data):
            raise TypeError(
                f"expected a NumPy or CuPy array, got {type(data).__name__}; td.tensor(...) takes "
                "numbers and lists"
            )
        accept(data.dtype)
        if not data.dtype.isnative:
            raise TypeError(
                f"expected an array in this machine's byte order, got {data.dtype.str}: "
                "td.tensor(array) converts it"
            )
        self._data = data
        # When it was overwritten, by the engine's clock; a cell, which views and detached tensors
        # share.
        self.version = [0]
        self.node = None  # what a result is recorded with: None where no gradient is wanted
        self._leaf = None  # a leaf's node; kept, with its .grad, while requires_grad is False
        self.requires_grad = requires_grad

    @staticmethod
    def wrap(array, node=None, version=None):
        """A plain Tensor around an array that an op made: how the engine makes results."""
        result = Tensor.__new__(Tensor)
        result._data, result.node, result._leaf = array, node, None
        result.version = [0] if version is None else version
        return result

    # ------------------------------------------------------------ data and graph

    @property
    def data(self):
        """The raw array. Assigning (also `x.data -= 0.1 * x.grad.data`) overwrites the tensor,
        which makes older graphs stale.
        """
        return self._data

    @data.setter
    def data(self, array):
        if not self.is_leaf:
            raise RuntimeError(
                "expected a leaf: a computed tensor cannot be overwritten, its graph would no "
                "longer be true; detach() it first"
            )
        if isinstance(array, Tensor):
            array = array._data
        if isinstance(array, np.generic):  # NumPy's arithmetic turns 0-d arrays into scalars
            array = np.asarray(array)
        if not is_array(array) or array.shape != self.shape or array.dtype != self.dtype:
            found = (
                f"{array.dtype} of shape {array.shape}" if is_array(array) else type(array).__name__
            )
            raise ValueError(
                f"expected an array of {self.dtype} and shape {self.shape}, got {found}"
            )
        self._data = array
        self.version[0] = next(engine.clock)

    def become(self, array):
        """Takes an array of any dtype and device: for Module.to, which keeps each Parameter's
        identity, its hooks and its gradient.
        """
        gradient = self.grad
        self._data = array
        self.version[0] = next(engine.clock)
        if self._leaf is not None:
            self._leaf.shape, self._leaf.dtype = array.shape, array.dtype
            if gradient is not None:
                self.grad = gradient.to(device_of(array)).astype(array.dtype).detach()

    @property
    def requires_grad(self):
        return self.node is not None

    @requires_grad.setter
    def requires_grad(self, value):
        if value == self.requires_grad:
            return
        if not self.is_leaf:
            raise RuntimeError(
                "requires_grad of a computed tensor follows from its inputs; detach() it first"
            )
        if value and self.dtype.kind != "f":
            raise RuntimeError(
                f"only floating-point tensors can require gradients, this one is {self.dtype}: use "
                ".float()"
            )
        if self._leaf is None:
            self._leaf = engine.Node(self)
        self.node = self._leaf if value else None

    def requires_grad_(self, requires_grad=True):
        """Sets requires_grad; returns self."""
        self.requires_grad = requires_grad
        return self

    @property
    def is_leaf(self):
        return self.node is None or self.node.op is None

    @property
    def grad_fn(self):
        """The node of a computed tensor; None for a leaf."""
        return None if self.is_leaf else self.node

    @property
    def grad(self):
        """The gradient that backward() has added up, a Tensor; None before."""
        holder = self.node or self._leaf
        return None if holder is None else holder.grad

    @grad.setter
    def grad(self, value):
        holder = self.node or self._leaf
        if holder is None and value is not None:
            raise RuntimeError("this tensor does not require grad, so it has no .grad to set")
        if value is not None:
            engine.alike("a .grad", value, self)
        if holder is not None:
            holder.grad = value

    def retain_grad(self):
        """Asks backward() to keep the gradient of this computed tensor in `.grad` too."""
        self._node_for("retain_grad").retains_grad = True

    def register_hook(self, hook):
        """Calls `hook(gradient)` when this tensor's gradient is complete; what it returns, if
        anything, replaces the gradient.
        """
        node = self._node_for("register_hook")
        hook = partial(hook)  # its own object, so that remove() takes off this registration alone
        node.hooks = (*node.hooks, hook)
        return Hook(node, hook)

    def _node_for(self, what):
        if self.node is None:
            raise RuntimeError(f"{what} needs a tensor that requires grad")
        return self.node

    def detach(self):
        """The same numbers without the graph; the memory is shared until one of the two is
        overwritten.
        """
        return self.wrap(self._data, version=self.version)

    def backward(self, gradient=None, retain_graph=None, create_graph=False, inputs=None):
        engine.backward(self, gradient, retain_graph, create_graph, inputs)

    backward.__doc__ = engine.backward.__doc__

    # ------------------------------------------------------------ shape and type

    @property
    def shape(self):
        return self._data.shape

    @property
    def ndim(self):
        return self._data.ndim

    @property
    def dtype(self):
        return self._data.dtype

    @property
    def device(self):
        return device_of(self._data)

    def dim(self):
        """The number of dimensions."""
        return self.ndim

    def size(self, dim=None):
        """The shape, or one size of it."""
        return self.shape if dim is None else self.shape[dim]

    def numel(self):
        """The number of elements."""
        return int(self._data.size)

    def is_floating_point(self):
        """Whether the dtype is a floating one."""
        return self.dtype.kind == "f"

    # ------------------------------------------------------------ to Python, NumPy and others

    def item(self):
        """The only number of a one-element tensor, as Python's own."""
        if self.numel() != 1:
            raise ValueError(
                f"expected a tensor of one element, got shape {self.shape}: index it or use "
                ".tolist()"
            )
        return self._data.item()

    def tolist(self):
        """The numbers as nested lists of Python's own."""
        return self._data.tolist()

    def numpy(self):
        """The NumPy array itself, sharing memory."""
        if self.requires_grad:
            raise RuntimeError(
                "this tensor requires grad, and NumPy would lose its graph: use .detach().numpy()"
            )
        if self.device.type != "cpu":
            raise RuntimeError(f"this tensor is on {self.device}: use .cpu().numpy()")
        return self._data

    def __array__(self, dtype=None, *, copy=None):
        return np.array(self.numpy(), dtype=dtype, copy=copy)

    def __dlpack__(self, **options):
        if self.requires_grad:
            raise BufferError(
                "this tensor requires grad, and another library would lose its graph: pass "
                ".detach()"
            )
        array = self._data
        if any(
            step < 0 for step in array.strides
        ):  # consumers abort or misread on these, so a copy goes out
            array = array.copy()
        return array.__dlpack__(**options)

    def __dlpack_device__(self):
        return self._data.__dlpack_device__()

    def __reduce__(self):
        if not self.is_leaf:
            raise RuntimeError(
                "only leaves can be pickled or deep-copied: detach() this computed tensor first"
            )
        return _rebuild, (type(self), self._data.copy(), self.requires_grad)

    def __len__(self):
        if self.ndim == 0:
            raise TypeError("a 0-d tensor has no length")
        return self.shape[0]

    def __bool__(self):
        return bool(self.item())

    def __float__(self):
        return float(self.item())

    def __int__(self):
        return int(self.item())

    def __index__(self):
        if self.dtype.kind not in "iu" or self.ndim:
            raise TypeError(
                f"only 0-d integer tensors can be an index, this one is {self.dtype} of shape "
                f"{self.shape}"
            )
        return self._data.item()

    def __format__(self, spec):
        return format(self.item(), spec) if spec and self.ndim == 0 else format(str(self), spec)

    __hash__ = object.__hash__  # by identity, because == compares elements

    def __repr__(self):
        array = to_numpy(self._data)
        numbers = np.array2string(array, precision=4, separator=", ", prefix="tensor(")
        notes = [numbers if array.size else f"[], shape={self.shape}"]
        if self.device.type != "cpu":
            notes.append(f"device='{self.device}'")
        if self.dtype not in (np.float32, np.int64, np.bool_) or (
            not array.size and self.dtype != np.float32
        ):
            notes.append(f"dtype={self.dtype}")
        if self.grad_fn is not None:
            notes.append(f"grad_fn={self.grad_fn}")
        elif self.requires_grad:
            notes.append("requires_grad=True")
        return f"tensor({', '.join(notes)})"


class Hook:
    """What register_hook returns; remove() takes the hook off its owner again."""

    def __init__(self, owner, hook, where="hooks"):
        self.owner, self.hook, self.where = owner, hook, where

    def remove(self):
        left = tuple(h for h in getattr(self.owner, self.where) if h is not self.hook)
        setattr(self.owner, self.where, left)


def accept(dtype):
    """The dtype itself, if a Tensor can have it."""
    if dtype.kind not in "biuf" or dtype.itemsize > 8:
        raise TypeError(
            f"expected boolean, integer or floating numbers of at most 64 bits, got {dtype}"
        )
    return dtype


def _rebuild(kind, array, requires_grad):
    result = kind.__new__(kind)
    Tensor.__init__(result, array, requires_grad)
    return result

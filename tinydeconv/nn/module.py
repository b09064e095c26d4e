"""Module: a function with parameters. Its attributes are the registry: what is set on it is found
by walking them.
"""

import numpy as np

from ..backend import array_module, device, to_device
from ..tensor import Tensor


class Parameter(Tensor):
    """A tensor that a module learns; it requires grad unless told otherwise."""

    __slots__ = ()

    def __init__(self, data, requires_grad=True):
        super().__init__(data.data if isinstance(data, Tensor) else data, requires_grad)
        if isinstance(data, Tensor):
            self.version = data.version  # the memory is shared

    def __repr__(self):
        return f"Parameter containing:\n{super().__repr__()}"


class Buffer(Tensor):
    """A tensor that belongs to a module's state but is not learned, such as a running mean."""

    __slots__ = ()

    def __init__(self, data):
        super().__init__(data.data if isinstance(data, Tensor) else data)
        if isinstance(data, Tensor):
            self.version = data.version


class Module:
    """Base of all layers and networks: set Parameters, Buffers and Modules as attributes, define
    forward().
    """

    training = True

    def forward(self, *inputs):
        raise NotImplementedError(f"{type(self).__name__} needs a forward method")

    def __call__(self, *inputs, **options):
        return self.forward(*inputs, **options)

    def __setattr__(self, name, value):
        if isinstance(vars(self).get(name), Parameter) and not isinstance(value, Parameter | None):
            raise TypeError(
                f"{name} is a Parameter, got {type(value).__name__}: assign an nn.Parameter, or "
                f"overwrite its numbers with .{name}.data = array"
            )
        super().__setattr__(name, value)

    # ------------------------------------------------------------ walking the attributes

    def named_children(self):
        """(name, module) for each module set as an attribute."""
        return ((name, value) for name, value in vars(self).items() if isinstance(value, Module))

    def children(self):
        return (module for _, module in self.named_children())

    def named_modules(self, prefix=""):
        """(dotted name, module) for this module (named "") and all below it, each module once."""
        seen, stack = set(), [(prefix, self)]
        while stack:
            name, module = stack.pop()
            if id(module) not in seen:
                seen.add(id(module))
                yield name, module
                below = [
                    (f"{name}.{child}" if name else child, m)
                    for child, m in module.named_children()
                ]
                stack.extend(reversed(below))

    def modules(self):
        return (module for _, module in self.named_modules())

    def _named(self, kind):
        """(dotted name, tensor) of one kind, each tensor once."""
        seen = set()
        for prefix, module in self.named_modules():
            for name, value in vars(module).items():
                if isinstance(value, kind) and id(value) not in seen:
                    seen.add(id(value))
                    yield (f"{prefix}.{name}" if prefix else name), value

    def named_parameters(self):
        return self._named(Parameter)

    def parameters(self):
        return (p for _, p in self.named_parameters())

    def named_buffers(self):
        return self._named(Buffer)

    def buffers(self):
        return (b for _, b in self.named_buffers())

    def apply(self, function):
        """Calls function(module) on every module, innermost first; returns self."""
        for child in self.children():
            child.apply(function)
        function(self)
        return self

    # ------------------------------------------------------------ modes, gradients, device, dtype

    def train(self, mode=True):
        """Training mode (batch norm uses the batch's statistics) for this module and all below;
        returns self.
        """
        for module in self.modules():
            module.training = bool(mode)
        return self

    def eval(self):
        return self.train(False)

    def requires_grad_(self, requires_grad=True):
        for p in self.parameters():
            p.requires_grad = requires_grad
        return self

    def zero_grad(self):
        for p in self.parameters():
            p.grad = None

    def to(self, target):
        """Moves parameters and buffers to a device, or casts the floating ones to a dtype, in
        place; returns self.
        """
        is_device = isinstance(target, (str, device)) and target not in np.sctypeDict
        for tensor in (*self.parameters(), *self.buffers()):
            if is_device:
                tensor.become(to_device(tensor.data, target))
            elif tensor.is_floating_point():
                if np.dtype(target).kind != "f":
                    raise TypeError(f"a module can become a floating dtype, not {np.dtype(target)}")
                tensor.become(tensor.data.astype(target))
        return self

    def float(self):
        return self.to(np.float32)

    def double(self):
        return self.to(np.float64)

    # ------------------------------------------------------------ state

    def state_dict(self, prefix=""):
        """{dotted name: detached Tensor}, in PyTorch's order and with its names."""
        state: dict[str, Tensor] = {}
        for kind in (Parameter, Buffer):
            state |= {
                prefix + name: value.detach()
                for name, value in vars(self).items()
                if isinstance(value, kind)
            }
        for name, child in self.named_children():
            state |= child.state_dict(f"{prefix}{name}.")
        return state

    def load_state_dict(self, state, strict=True):
        """Overwrites parameters and buffers with copies of `state`'s; all of them or, on an error,
        none.

        With strict=False names may be missing or unexpected; shapes and dtypes must always agree.
        """
        own = self._state_tensors()
        missing = [name for name in own if name not in state]
        unexpected = [name for name in state if name not in own]
        if strict and (missing or unexpected):
            told = [
                f"{what} {', '.join(names[:5])}{' and others' if len(names) > 5 else ''}"
                for what, names in (("lack", missing), ("have unexpected", unexpected))
                if names
            ]
            raise RuntimeError(
                f"the weights do not fit this {type(self).__name__}: they {' and '.join(told)}"
            )
        shared = [name for name in own if name in state]
        for name in shared:
            mine, other = own[name], state[name]
            if mine.shape != other.shape or mine.dtype != other.dtype:
                raise RuntimeError(
                    f"the weights do not fit this {type(self).__name__}: {name} is {mine.dtype} of "
                    f"shape {mine.shape} here and {other.dtype} of shape {other.shape} there"
                )
        for name in shared:
            mine, other = own[name], state[name]
            array = to_device(other.data if isinstance(other, Tensor) else other, mine.device)
            mine.data = array_module(array).array(array)

    def _state_tensors(self, prefix=""):
        """{dotted name: the Parameter or Buffer itself}."""
        found = {
            prefix + name: value
            for name, value in vars(self).items()
            if isinstance(value, (Parameter, Buffer))
        }
        for name, child in self.named_children():
            found |= child._state_tensors(f"{prefix}{name}.")
        return found

    # ------------------------------------------------------------ repr

    def extra_repr(self):
        """The constructor's arguments, as they stand in the repr."""
        return ""

    def __repr__(self):
        children = list(self.named_children())
        if not children:
            return f"{type(self).__name__}({self.extra_repr()})"
        lines = [f"({name}): {child!r}".replace("\n", "\n  ") for name, child in children]
        return f"{type(self).__name__}(\n  " + "\n  ".join(lines) + "\n)"


class ModuleList(Module):
    """A list whose modules are registered, as "0", "1", ...: ModuleList([Linear(2, 3), ReLU()])."""

    def __init__(self, modules=()):
        for module in modules:
            self.append(module)

    def append(self, module):
        if not isinstance(module, Module):
            found = type(module).__name__
            raise TypeError(f"expected a Module, got {found}; functions go into forward()")
        setattr(self, str(len(self)), module)
        return self

    def __len__(self):
        return sum(1 for _ in self.children())

    def __iter__(self):
        return self.children()

    def __getitem__(self, i):
        found = list(self.children())[i]
        return ModuleList(found) if isinstance(i, slice) else found


class Sequential(ModuleList):
    """Modules one after another: Sequential(Linear(2, 3), ReLU()); named "0", "1", ..."""

    def __init__(self, *modules):
        super().__init__(modules)

    def __getitem__(self, i):
        found = super().__getitem__(i)
        return Sequential(*found) if isinstance(i, slice) else found

    def forward(self, x):
        for module in self:
            x = module(x)
        return x

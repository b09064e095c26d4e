"""Module: a function with parameters. Its attributes are the registry: what is set on it is found
by walking them.
"""

from collections.abc import Mapping, MutableMapping, MutableSequence
from functools import partial, reduce
from itertools import count
from typing import NamedTuple

import numpy as np

from ..backend import array_module, to_device
from ..ops import zeros, zeros_like
from ..tensor import Hook, Tensor


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
    """A tensor that a module keeps but does not learn, such as a running mean; `persistent`: it
    stands in the state_dict too.
    """

    __slots__ = ("persistent",)

    def __init__(self, data, *, persistent=True):
        super().__init__(data.data if isinstance(data, Tensor) else data)
        if isinstance(data, Tensor):
            self.version = data.version
        self.persistent = persistent

    def __reduce__(self):
        return *super().__reduce__(), (None, {"persistent": self.persistent})


class IncompatibleKeys(NamedTuple):
    """What load_state_dict returns: the names that the state lacks, and those it has too many."""

    missing_keys: list
    unexpected_keys: list

    def __repr__(self):
        told = f"IncompatibleKeys(missing_keys={self[0]}, unexpected_keys={self[1]})"
        return told if self[0] or self[1] else "<All keys matched successfully>"


class Module:
    """Base of all layers and networks: set Parameters, Buffers and Modules as attributes, define
    forward().
    """

    training = True
    _pre_hooks: tuple = ()
    _hooks: tuple = ()
    _awaited: dict = {}  # {buffer that is None so far: whether it is persistent}

    def forward(self, *inputs):
        raise NotImplementedError(f"{type(self).__name__} needs a forward method")

    def __call__(self, *inputs, **options):
        for hook in self._pre_hooks:
            changed = hook(self, inputs)
            if changed is not None:
                inputs = changed if isinstance(changed, tuple) else (changed,)
        output = self.forward(*inputs, **options)
        for hook in self._hooks:
            changed = hook(self, inputs, output)
            output = output if changed is None else changed
        return output

    def register_forward_pre_hook(self, hook):
        """Calls `hook(module, inputs)` before each forward; what it returns, if anything, replaces
        the inputs. The handle's remove() takes the hook off.
        """
        return self._hooked("_pre_hooks", hook)

    def register_forward_hook(self, hook):
        """Calls `hook(module, inputs, output)` after each forward; what it returns, if anything,
        replaces the output. The handle's remove() takes the hook off.
        """
        return self._hooked("_hooks", hook)

    def _hooked(self, where, hook):
        hook = partial(hook)  # its own object, so that remove() takes off this registration alone
        setattr(self, where, (*getattr(self, where), hook))
        return Hook(self, hook, where)

    # ------------------------------------------------------------ the attributes

    def __setattr__(self, name, value):
        old = vars(self).get(name)
        plain = isinstance(value, Tensor) and not isinstance(value, Parameter | Buffer)
        if plain and not value.requires_grad and (isinstance(old, Buffer) or name in self._awaited):
            value = Buffer(value, persistent=getattr(old, "persistent", self._awaited.get(name)))
        for kind in (Parameter, Buffer, Module):
            if isinstance(old, kind) and not isinstance(value, kind | None):
                graph = " that requires grad" * bool(getattr(value, "requires_grad", False))
                other = f" or overwrite its numbers: .{name}.data = array" * (kind is not Module)
                raise TypeError(
                    f"{name} is a {kind.__name__}, got {type(value).__name__}{graph}: assign an "
                    f"nn.{kind.__name__}{other}"
                )
        super().__setattr__(name, value)

    def add_module(self, name, module):
        """Sets a module under a name that is worked out, such as "0"."""
        if not isinstance(module, Module):
            found, fix = type(module).__name__, "functions go into forward()"
            if isinstance(module, type):
                found, fix = f"the class {module.__name__}", f"make one, {module.__name__}(...)"
            raise TypeError(f"expected a Module, got {found}; {fix}")
        self._register(name, module, Module)

    def register_parameter(self, name, param):
        """Sets a Parameter, or None, under a name that is worked out."""
        if not isinstance(param, Parameter | None):
            raise TypeError(f"expected an nn.Parameter or None, got {type(param).__name__}")
        self._register(name, param, Parameter)

    def register_buffer(self, name, tensor, persistent=True):
        """Sets a tensor as a Buffer: state that is not learned. None keeps the place for one."""
        value = None if tensor is None else Buffer(tensor, persistent=persistent)
        self._register(name, value, Buffer)
        if tensor is None:
            self._awaited = {**self._awaited, name: persistent}

    def _register(self, name, value, kind):
        taken = hasattr(self, name) and not isinstance(vars(self).get(name, ""), kind | None)
        if taken or not name or "." in name:
            raise KeyError(f"expected a name without dots that is not taken, got {name!r}")
        setattr(self, name, value)

    def get_submodule(self, target):
        """The module of a dotted name; "" is this one."""
        return self._get(target, Module)

    def get_parameter(self, target):
        """The parameter of a dotted name."""
        return self._get(target, Parameter)

    def get_buffer(self, target):
        """The buffer of a dotted name."""
        return self._get(target, Buffer)

    def _get(self, target, kind):
        found = reduce(getattr, target.split(".") if target else (), self)
        if not isinstance(found, kind):
            raise AttributeError(f"{target!r} is no {kind.__name__}, it is {type(found).__name__}")
        return found

    # ------------------------------------------------------------ walking the attributes

    def _own(self, kind):
        return [(name, value) for name, value in vars(self).items() if isinstance(value, kind)]

    def _walk(self, prefix="", recurse=True):
        """(dotted name, module) for this module and all below; shared ones under every name."""
        yield prefix, self
        for name, child in self._own(Module) if recurse else ():
            yield from child._walk(f"{prefix}.{name}" if prefix else name)

    def _tensors(self, *kinds, prefix="", recurse=True):
        """(dotted name, tensor) of these kinds; shared ones under every name."""
        for path, module in self._walk(prefix, recurse):
            for kind in kinds:
                for name, value in module._own(kind):
                    yield (f"{path}.{name}" if path else name), value

    def named_children(self):
        """(name, module) for each module set as an attribute, each module once."""
        return _once(self._own(Module))

    def children(self):
        return (module for _, module in self.named_children())

    def named_modules(self, prefix="", remove_duplicate=True):
        """(dotted name, module) for this module (named "") and all below, each module once."""
        return _once(self._walk(prefix), remove_duplicate)

    def modules(self, remove_duplicate=True):
        return (module for _, module in self.named_modules("", remove_duplicate))

    def named_parameters(self, prefix="", recurse=True, remove_duplicate=True):
        """(dotted name, Parameter) of this module and, with `recurse`, of all below."""
        return _once(self._tensors(Parameter, prefix=prefix, recurse=recurse), remove_duplicate)

    def parameters(self, recurse=True):
        return (p for _, p in self.named_parameters(recurse=recurse))

    def named_buffers(self, prefix="", recurse=True, remove_duplicate=True):
        """(dotted name, Buffer) of this module and, with `recurse`, of all below."""
        return _once(self._tensors(Buffer, prefix=prefix, recurse=recurse), remove_duplicate)

    def buffers(self, recurse=True):
        return (b for _, b in self.named_buffers(recurse=recurse))

    def apply(self, fn):
        """Calls fn(module) on every module, innermost first; returns self."""
        for child in self.children():
            child.apply(fn)
        fn(self)
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

    def zero_grad(self, set_to_none=True):
        """Forgets all gradients, or overwrites them with zeros."""
        for p in self.parameters():
            p.grad = None if set_to_none or p.grad is None else zeros_like(p.grad)

    def to(self, *target, device=None, dtype=None):
        """Moves parameters and buffers to a device, casts the floating ones to a dtype, or both, in
        place: to("cuda"), to(td.float64), to("cuda", td.float64), to(other); returns self.
        """
        wanted = zeros(0).to(*target, device=device, dtype=dtype).dtype
        if wanted.kind != "f":
            raise TypeError(f"a module can become a floating dtype, not {wanted}")
        for tensor in (*self.parameters(), *self.buffers()):
            moved = tensor.detach().to(*target, device=device, dtype=dtype)
            if not tensor.is_floating_point():
                moved = tensor.detach().to(moved.device)
            if moved.data is not tensor.data:
                tensor.become(moved.data)
        return self

    def half(self):
        return self.to(np.float16)

    def float(self):
        return self.to(np.float32)

    def double(self):
        return self.to(np.float64)

    def cpu(self):
        return self.to("cpu")

    def cuda(self, device=None):
        return self.to(f"cuda:{device}" if isinstance(device, int) else device or "cuda")

    # ------------------------------------------------------------ state

    def _state(self):
        """{dotted name: the Parameter or Buffer itself}, in PyTorch's order."""
        pairs = self._tensors(Parameter, Buffer)
        return {name: t for name, t in pairs if getattr(t, "persistent", True)}

    def state_dict(self, prefix=""):
        """{dotted name: detached Tensor}, in PyTorch's order and with its names."""
        return {prefix + name: tensor.detach() for name, tensor in self._state().items()}

    def load_state_dict(self, state_dict, strict=True):
        """Overwrites parameters and buffers with copies of those in `state_dict`; all of them or,
        on an error, none. Returns the missing and the unexpected names.

        With strict=False names may be missing or unexpected; shapes must always agree.
        Floating numbers are cast to the dtype that is here.
        """
        if not isinstance(state_dict, Mapping):
            found = type(state_dict).__name__
            raise TypeError(f"expected {{name: Tensor}}, got {found}: td.load(path) reads a file")
        own, state = self._state(), state_dict
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
            if not hasattr(other, "dtype"):
                found = type(other).__name__
                raise TypeError(f"expected {{name: Tensor}}, but {name} is of type {found}")
            if mine.shape != other.shape or mine.dtype.kind != other.dtype.kind:
                raise RuntimeError(
                    f"the weights do not fit this {type(self).__name__}: {name} is {mine.dtype} of "
                    f"shape {mine.shape} here and {other.dtype} of shape {other.shape} there"
                )
        for name in shared:
            mine, other = own[name], state[name]
            array = to_device(other.data if isinstance(other, Tensor) else other, mine.device)
            mine.data = array_module(array).array(array, mine.dtype)
        return IncompatibleKeys(missing, unexpected)

    # ------------------------------------------------------------ repr

    def extra_repr(self):
        """The constructor's arguments, as they stand in the repr."""
        return ""

    def __repr__(self):
        told, children = self.extra_repr(), self._own(Module)
        if children:
            lines = [told] * bool(told) + [f"({name}): {child!r}" for name, child in children]
            told = "".join("\n" + line for line in lines).replace("\n", "\n  ") + "\n"
        return f"{type(self).__name__}({told})"


def _once(pairs, remove_duplicate=True):
    """The (name, thing) pairs without those whose thing has come before."""
    seen = set()
    for name, thing in pairs:
        if not (remove_duplicate and id(thing) in seen):
            seen.add(id(thing))
            yield name, thing


# ---------------------------------------------------------------- containers


class ModuleList(Module, MutableSequence):
    """A list whose modules are registered, as "0", "1", ...: ModuleList([Linear(2, 3), ReLU()])."""

    def __init__(self, modules=()):
        self.extend(modules)

    def extend(self, modules):
        for module in modules:
            numbers = map(str, count(len(self)))  # a slice of Sequential has numbers further on
            self.add_module(next(n for n in numbers if n not in vars(self)), module)
        return self

    def append(self, module):
        return self.extend([module])

    def insert(self, index, module):
        held = list(self.append(module))
        held.insert(index, held.pop())
        return self._hold(held)

    def __len__(self):
        return len(self._own(Module))

    def __iter__(self):
        return (module for _, module in self._own(Module))

    def __getitem__(self, i):
        found = list(self)[i]
        return ModuleList(found) if isinstance(i, slice) else found

    def __setitem__(self, i, module):
        self.add_module(self._own(Module)[i][0], module)

    def __delitem__(self, i):
        kept = list(self)
        del kept[i]
        self._hold(kept)

    def __add__(self, other):
        return ModuleList([*self, *other])

    def _hold(self, modules):
        """These modules and no others, numbered."""
        for name, _ in self._own(Module):
            delattr(self, name)
        return self.extend(modules)


class Sequential(ModuleList):
    """Modules one after another: Sequential(Linear(2, 3), ReLU()); named "0", "1", ..., or as in
    Sequential(OrderedDict(first=Linear(2, 3), then=ReLU())).
    """

    def __init__(self, *modules):
        if len(modules) == 1 and isinstance(modules[0], dict):
            for name, module in modules[0].items():
                self.add_module(name, module)
        else:
            super().__init__(modules)

    def __getitem__(self, i):
        if isinstance(i, slice):
            return Sequential(dict(self._own(Module)[i]))
        return super().__getitem__(i)

    def __add__(self, other):
        return Sequential(*self, *other)

    def forward(self, input):
        for module in self:
            input = module(input)
        return input


class ModuleDict(Module, MutableMapping):
    """A dict whose modules are registered under their keys: ModuleDict({"relu": ReLU()})."""

    __eq__ = object.__eq__  # a module is itself, not what it holds
    __hash__ = object.__hash__

    def __init__(self, modules=()):
        self.update(modules)

    def __len__(self):
        return len(self._own(Module))

    def __iter__(self):
        return (name for name, _ in self._own(Module))

    def __getitem__(self, key):
        return dict(self._own(Module))[key]

    def __setitem__(self, key, module):
        self.add_module(key, module)

    def __delitem__(self, key):
        self[key]  # a KeyError for what is no module
        delattr(self, key)

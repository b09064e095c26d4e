"""Saying a thing once: one function for 1, 2 and 3 spatial axes, and the layer of a function."""

import inspect
import sys

from ..tensor import Tensor
from .module import Buffer, Module

# What a function of nn.functional is called with at each forward, and not before: not a setting.
INPUTS = {"input", "target", "indices", "x1", "x2"}


def for_axes(function):
    """name1d, name2d and name3d from function(..., *, axes), each without the argument `axes`."""
    signature = inspect.signature(function)
    shown = [p for name, p in signature.parameters.items() if name != "axes"]
    name = function.__name__.strip("_")

    def made(axes):
        def face(*args, **options):
            try:
                return function(*args, axes=axes, **options)
            except TypeError:
                bind(face, args, options)  # a wrong call is told in the words of the face
                raise

        face.__name__ = face.__qualname__ = f"{name}{axes}d"
        face.__module__ = function.__module__
        vars(face)["__signature__"] = signature.replace(parameters=shown)
        face.__doc__ = f"{inspect.getdoc(function)}\n\n{axes} spatial {'axes'[: axes + 3]}."
        return face

    return [made(axes) for axes in (1, 2, 3)]


def bind(function, args, options):
    """The arguments by name, or an error with the whole signature."""
    signature = inspect.signature(function)
    try:
        return signature.bind(*args, **options)
    except TypeError as error:
        raise TypeError(f"{function.__name__}{signature}: {error}") from None


class Described(Module):
    """A layer whose attributes have the names of its constructor's arguments: the repr shows them.

    `bias` may be the Parameter that the argument asked for.
    """

    def extra_repr(self):
        told = []
        for name, parameter in inspect.signature(type(self)).parameters.items():
            value = getattr(self, name)
            if name == "bias" and not isinstance(value, bool):
                value = value is not None
            needed = parameter.default is parameter.empty
            told.append(repr(value) if needed else f"{name}={value!r}")
        return ", ".join(told)


class FunctionLayer(Module):
    """A layer without parameters: a function whose settings are chosen beforehand.

    A Tensor among the settings (such as the weights of classes) is a Buffer: it moves with the
    layer and stands in its state.
    """

    function: staticmethod
    signature: inspect.Signature

    def __init__(self, *args, **options):
        chosen = bind(type(self), args, options)
        chosen.apply_defaults()
        for name, value in chosen.arguments.items():
            setattr(self, name, Buffer(value) if isinstance(value, Tensor) else value)

    def settings(self):
        return {name: getattr(self, name) for name in self.signature.parameters}

    def forward(self, *inputs, **options):
        return self.function(*inputs, **self.settings() | options)

    def extra_repr(self):
        return ", ".join(f"{name}={value!r}" for name, value in self.settings().items())


def layer(name, function, order="", without="", base=FunctionLayer):
    """The layer class of a function. Its constructor takes the function's settings, in the same
    order, or those named in `order` first, and not those in `without`.
    """
    known = inspect.signature(function).parameters
    first = order.split()
    rest = [n for n in known if n not in {*first, *without.split(), *INPUTS}]
    chosen = [
        known[n].replace(kind=inspect.Parameter.POSITIONAL_OR_KEYWORD) for n in (*first, *rest)
    ]
    signature = inspect.Signature(chosen)
    members = {
        "function": staticmethod(function),
        "signature": signature,
        "__signature__": signature,
        "__doc__": f"{inspect.getdoc(function)}\n\nThe layer of F.{function.__name__}.",
        "__module__": sys._getframe(1).f_globals["__name__"],  # for pickle
    }
    return type(name, (base,), members)


def over_axes(name, base, **members):
    """The layer classes name1d, name2d and name3d of a base with so many spatial `axes`."""
    members |= {"__module__": base.__module__}
    return [
        type(
            f"{name}{axes}d", (base,),
            members | {"axes": axes, "__doc__": f"{inspect.getdoc(base)}\n\nSpatial axes: {axes}."},
        )
        for axes in (1, 2, 3)
    ]  # fmt: skip


def layers(name, functions, **options):
    """The layer classes name1d, name2d and name3d of a function's three faces."""
    made = [layer(f"{name}{axes}d", f, **options) for axes, f in enumerate(functions, 1)]
    for kind in made:
        kind.__module__ = sys._getframe(1).f_globals["__name__"]
    return made

"""A strict stand-in for CuPy: NumPy underneath, and nothing that a GPU array would not allow.

Under `install()`, `import cupy` gives the module below. Its arrays refuse to meet NumPy's anywhere
but in `cupy.asarray` and `.get()`; it has CuPy's names and parameters alone, as cupy_names.txt
records them; and where NumPy gives a scalar it gives a 0-d array. Where CuPy is lenient (NumPy's
functions on its arrays, NumPy's arrays as indices) it is not. It cannot show speed, races or
kernels, nor CuPy's indexing out of bounds, which wraps around where NumPy raises.
"""

import contextlib
import functools
import inspect
import operator
import sys
from collections import namedtuple
from numbers import Number
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np

ARRAYS = {"a", "a1", "a2", "arr", "array", "ary", "condition"}  # parameters CuPy never converts
LENIENT = {"allclose", "isclose", "ndim", "shape", "size", "tril", "triu"}  # but here it does
INTEGERS = {"shape", "newshape", "axis", "axes", "source", "destination", "pad_width"}
GIVE_ARRAYS = {"allclose", "array_equal", "count_nonzero"}  # where NumPy gives a bool or an int
PLAIN_TYPES = (np.generic, np.dtype, np.finfo, np.iinfo, np.ndindex, Exception)
SCALARS = (Number, np.generic)


def _read_names():
    """CuPy's version, and {"cupy": {"sum": "a, axis=None", "pi": None}, "cupy.ndarray": ...}."""
    text = Path(__file__).with_name("cupy_names.txt").read_text(encoding="utf-8")
    header, *sections = text.split("\n[")
    names = {}
    for section in sections:
        title, *lines = section.strip().split("\n")
        entries = (line.partition("(") for line in lines)
        names[title.rstrip("]")] = {n: p[:-1] if opened else None for n, opened, p in entries}
    return header.split(" ")[6].rstrip(","), names


VERSION, NAMES = _read_names()


def _missing(owner, name):
    """Raise for a name that CuPy lacks, or that the stand-in lacks."""
    if name in NAMES.get(owner, ()):
        raise NotImplementedError(f"the stand-in for CuPy does not model {owner}.{name}")
    raise AttributeError(f"CuPy {VERSION} has no {owner}.{name}")


def _refuse(where, value, expected="cupy arrays and scalars"):
    kind = "numpy.ndarray" if isinstance(value, np.ndarray) else type(value).__name__
    raise TypeError(f"{where} takes {expected}, not {kind}: cupy.asarray(x) and x.get() transfer")


def _host(value, where):
    """What NumPy may work on: stand-in arrays opened, in lists too; other arrays refused."""
    if isinstance(value, ndarray):
        return value._host
    if isinstance(value, list | tuple):
        return (list if isinstance(value, list) else tuple)(_host(v, where) for v in value)
    if hasattr(value, "__array__") and not isinstance(value, np.generic | type):
        _refuse(where, value)
    return value


def _device(value):
    """What NumPy returned as CuPy would: arrays, and scalars as 0-d arrays, in lists too."""
    if isinstance(value, np.ndarray | np.generic):
        if value.dtype.char not in "?bBhHiIlLqQefdFD":
            raise ValueError(f"Unsupported dtype {value.dtype}")
        array = object.__new__(ndarray)
        array._host = np.asarray(value)
        return array
    return type(value)(map(_device, value)) if type(value) in (list, tuple) else value


def _holds_array(value):
    if isinstance(value, list | tuple):
        return any(map(_holds_array, value))
    return isinstance(value, ndarray)


@functools.cache
def _signature(parameters):
    return inspect.signature(eval(f"lambda {parameters}: None"))


def _call(where, parameters, function, /, *args, **kwargs):
    """NumPy's function called as CuPy's may be: its parameters, its arrays, its kind of result."""
    given, name = {}, where.rpartition(".")[2]
    if parameters is not None:
        try:
            given = _signature(parameters).bind(*args, **kwargs).arguments
        except TypeError as error:
            raise TypeError(f"{where}({parameters}) in CuPy: {error}") from None
    for parameter, value in given.items():
        if parameter in INTEGERS and _holds_array(value):
            _refuse(f"{where}: {parameter}", value, "integers of the host")
        if parameter == "tup" or (parameter in ARRAYS and name not in LENIENT):
            for array in value if parameter == "tup" else [value]:
                if not isinstance(array, ndarray):
                    _refuse(f"{where}: {parameter}", array, "cupy arrays")
    kwargs = {key: _host(value, where) for key, value in kwargs.items()}
    result = function(*_host(args, where), **kwargs)
    if given.get("out") is not None:
        return given["out"]
    return _device(np.asarray(result) if name in GIVE_ARRAYS else result)


# ---- the array ----

Flags = namedtuple("Flags", "c_contiguous f_contiguous owndata fnc forc")


class ndarray:
    """cupy.ndarray; the NumPy array inside is nobody else's business."""

    __slots__ = ("_host", "__weakref__")
    __hash__ = None
    __array_ufunc__ = None  # NumPy's operators then leave the work, and the refusal, to ours

    def __init__(self, shape, dtype=float, memptr=None, strides=None, order="C"):
        self._host = np.empty(shape, dtype, order)

    def __getattr__(self, name):
        _missing("cupy.ndarray", name)

    def __array__(self, dtype=None, copy=None):
        raise TypeError(
            "Implicit conversion to a NumPy array is not allowed. "
            "Please use `.get()` to construct a NumPy array explicitly."
        )

    def __array_function__(self, function, types, args, kwargs):
        raise TypeError(f"numpy.{function.__name__} takes no cupy arrays: use cupy's or x.get()")

    def __dlpack__(self, **kwargs):
        raise BufferError("the stand-in for CuPy has no GPU memory to share")

    def __dlpack_device__(self):
        return 2, 0  # kDLCUDA, the first

    def get(self, stream=None, order="C", out=None, blocking=True):
        """The transfer to the host: always a copy."""
        if out is None:
            return self._host.copy(order)
        np.copyto(out, self._host, casting="no")
        return out

    def __reduce__(self):
        return asarray, (self.get(),)

    device = property(lambda self: Device(0))
    data = property(lambda self: SimpleNamespace(ptr=self._host.ctypes.data, device=Device(0)))
    base = property(
        lambda self: _device(self._host.base) if isinstance(self._host.base, np.ndarray) else None
    )
    flags = property(lambda self: Flags(*(getattr(self._host.flags, n) for n in Flags._fields)))

    def __len__(self):
        return len(self._host)

    def __iter__(self):
        return (self[i] for i in range(len(self)))

    def __getitem__(self, key):
        return _device(self._host[_key(key)])

    def __setitem__(self, key, value):
        if not isinstance(value, (ndarray, *SCALARS)):
            _refuse("assignment into a cupy array", value)
        self._host[_key(key)] = _host(value, "assignment")


def _key(key):
    """An index for NumPy, with an Ellipsis, so that integers alone give a 0-d view, as in CuPy."""
    parts = key if isinstance(key, tuple) else (key,)
    if sum(isinstance(part, ndarray) and part.dtype == bool for part in parts) > 1:
        raise TypeError("an index of a cupy array holds one boolean array at most")
    full = any(part is Ellipsis for part in parts)
    return _host(parts if full else (*parts, Ellipsis), "an index of a cupy array")


def _operator(name, function, reflected=False):
    def method(self, other):
        if not isinstance(other, (ndarray, *SCALARS)):
            if getattr(other, "__array_ufunc__", NotImplemented) is None:
                return NotImplemented  # CuPy, too, leaves the work to a class that says so
            _refuse(f"{name} of a cupy array", other)
        x, y = self._host, _host(other, name)
        result = function(y, x) if reflected else function(x, y)
        return self if result is x else _device(result)

    return method


def _method(name, parameters):
    def method(self, *args, **kwargs):
        function = getattr(self._host, name)
        return _call(f"cupy.ndarray.{name}", parameters, function, *args, **kwargs)

    return method


ARITHMETIC = ["add", "sub", "mul", "truediv", "floordiv", "mod", "pow"]
BITWISE = ["and", "or", "xor", "lshift", "rshift"]

for name, parameters in NAMES["cupy.ndarray"].items():
    if hasattr(ndarray, name) or not hasattr(np.ndarray, name) or name in ("base", "flat"):
        continue
    if parameters is not None:
        setattr(ndarray, name, _method(name, parameters))
    else:
        setattr(ndarray, name, property(lambda self, n=name: _device(getattr(self._host, n))))
for name in [*ARITHMETIC, *BITWISE, "matmul"]:
    function = getattr(operator, f"__{name}__")
    setattr(ndarray, f"__{name}__", _operator(name, function))
    setattr(ndarray, f"__r{name}__", _operator(name, function, reflected=True))
for name in [*ARITHMETIC, *BITWISE]:
    setattr(ndarray, f"__i{name}__", _operator(name, getattr(operator, f"__i{name}__")))
for name in ["lt", "le", "eq", "ne", "gt", "ge"]:
    setattr(ndarray, f"__{name}__", _operator(name, getattr(operator, name)))
for function in (operator.neg, operator.pos, operator.abs, operator.invert):
    unary = functools.partialmethod(lambda self, f: _device(f(self._host)), function)
    setattr(ndarray, f"__{function.__name__}__", unary)
for function in (bool, int, float, complex, repr, str, format):
    conversion = functools.partialmethod(lambda self, f, *args: f(self._host, *args), function)
    setattr(ndarray, f"__{function.__name__}__", conversion)


# ---- the modules ----


class _Ufunc:
    """A ufunc: called on arrays and scalars alone; of CuPy's methods only at()."""

    def __init__(self, where, parameters, function):
        self.__name__, self._where = where.rpartition(".")[2], where
        self._parameters, self._function = parameters, function

    def __call__(self, *args, **kwargs):
        for arg in args:
            if not isinstance(arg, (ndarray, type(None), *SCALARS)):
                _refuse(self._where, arg)
        return _call(self._where, self._parameters, self._function, *args, **kwargs)

    def at(self, a, indices, b):
        if self.__name__ not in ("add", "subtract", "maximum", "minimum"):
            raise NotImplementedError(f"`{self._where}.at` is not supported yet")
        if a.dtype.char not in "iILQefd":  # what atomicAdd takes; not int64
            raise TypeError(f"{self._where}.at does not support {a.dtype}")
        self._function.at(a._host, _key(indices), _host(b, self._where))


class _Module(ModuleType):
    """A module of CuPy's: what it is given, and what both CuPy's record and NumPy's module have."""

    def __init__(self, name, source=None, **own):
        super().__init__(name)
        self.__path__ = []  # or `import cupy.cuda` would say that cupy is no package
        self._source = source
        self.__dict__.update(own)

    def __getattr__(self, name):
        owner, value = self.__name__, getattr(self._source, name, NotImplemented)
        parameters = NAMES[owner].get(name)
        plain = issubclass(value, PLAIN_TYPES) if isinstance(value, type) else value is None
        if name not in NAMES[owner] or value is NotImplemented:
            _missing(owner, name)
        if plain or isinstance(value, float):
            return value
        if isinstance(value, type) or not callable(value):
            _missing(owner, name)
        if isinstance(value, np.ufunc):
            return _Ufunc(f"{owner}.{name}", parameters, value)
        return functools.partial(_call, f"{owner}.{name}", parameters, value)


def array(obj, dtype=None, copy=True, order="K", subok=False, ndmin=0, *, blocking=False):
    """The transfer to the device; of a NumPy array, a list or a scalar it is always a copy."""
    if _holds_array(obj):
        obj = _host(obj, "cupy.array")
        copy = copy or None  # NumPy's word for "only if needed"
    else:
        copy = True
    return _device(np.array(obj, dtype, copy=copy, order=order, ndmin=ndmin))


def asarray(a, dtype=None, order=None, *, copy=None, blocking=False):
    """array(), but an array of the device that is already right is returned itself."""
    result = array(a, dtype, copy=bool(copy), order=order or "K")
    return a if isinstance(a, ndarray) and result._host is a._host else result


def asnumpy(a, stream=None, order="C", out=None, *, blocking=True):
    """The transfer to the host; NumPy's arrays pass."""
    return a.get(order=order, out=out) if isinstance(a, ndarray) else np.asarray(a, order=order)


class Device(namedtuple("Device", "id", defaults=[0])):
    """cupy.cuda.Device and, as there is nothing to wait for here, cupy.cuda.Stream."""

    def __enter__(self):
        return self

    def __exit__(self, *error):
        pass

    def use(self):
        pass

    def synchronize(self):
        pass


def default_rng(seed=None):
    """cupy.random.Generator: not NumPy's numbers in CuPy, and fewer methods."""
    return _Module("cupy.random.Generator", np.random.default_rng(seed))


Device.null = Device()
cuda = _Module(
    "cupy.cuda",
    Device=Device,
    Stream=Device,
    is_available=lambda: True,
    get_device_id=lambda: 0,
    runtime=SimpleNamespace(getDeviceCount=lambda: 1, deviceSynchronize=lambda: None),
)
linalg = _Module("cupy.linalg", np.linalg)
random = _Module("cupy.random", default_rng=default_rng)
stride_tricks = _Module("cupy.lib.stride_tricks", np.lib.stride_tricks)
lib = _Module("cupy.lib", stride_tricks=stride_tricks)
cupy = _Module(
    "cupy",
    np,
    __version__=VERSION,
    ndarray=ndarray,
    array=array,
    asarray=asarray,
    asanyarray=asarray,
    ascontiguousarray=lambda a, dtype=None: asarray(a, dtype, "C"),
    asnumpy=asnumpy,
    get_array_module=lambda *args: cupy if any(isinstance(a, ndarray) for a in args) else np,
    **{"cuda": cuda, "lib": lib, "linalg": linalg, "random": random},
)


@contextlib.contextmanager
def install():
    """`import cupy` and `sys.modules["cupy"]` give the stand-in, and no longer afterwards."""
    names = [name for name in sys.modules if f"{name}.".startswith("cupy.")]
    before = {name: sys.modules.pop(name) for name in names}
    modules = (cupy, cuda, lib, linalg, random, stride_tricks)
    sys.modules.update({module.__name__: module for module in modules})
    try:
        yield cupy
    finally:
        for module in modules:
            del sys.modules[module.__name__]
        sys.modules.update(before)

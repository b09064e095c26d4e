"""A strict stand-in for CuPy: NumPy underneath, and nothing that a GPU array would not allow.

Under `install()`, `import cupy` gives the module below. Its arrays refuse to meet NumPy's anywhere
but in `cupy.asarray` and `.get()`; it has CuPy's names and parameters alone, as cupy_names.txt
records them; and where NumPy gives a scalar it gives a 0-d array. Where CuPy is lenient (NumPy's
functions on its arrays, NumPy's arrays as indices) it is not. Its RawModule runs CUDA C on the
simulator, tinydeconv.cudasim. It cannot show speed, nor CuPy's indexing out of bounds, which wraps
around where NumPy raises.
"""

import contextlib
import functools
import inspect
import operator
import os
import sys
import threading
import weakref
from collections import defaultdict, namedtuple
from numbers import Number
from pathlib import Path
from time import perf_counter
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

from tinydeconv import cudasim

ARRAYS = {"a", "a1", "a2", "arr", "array", "ary", "condition"}  # parameters CuPy never converts
LENIENT = {"allclose", "isclose", "ndim", "shape", "size", "tril", "triu"}  # but here it does
INTEGERS = {"shape", "newshape", "axis", "axes", "source", "destination", "pad_width"}
GIVE_ARRAYS = {"allclose", "array_equal", "count_nonzero"}  # where NumPy gives a bool or an int
PLAIN_TYPES = (np.generic, np.dtype, np.finfo, np.iinfo, np.ndindex, Exception)
SCALARS = (Number, np.generic)
PRODUCTS = {"matmul", "dot", "tensordot", "einsum", "inner"}  # what cuBLAS computes


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
        if value._place != _thread.place:
            raise ValueError(
                "Array device must be same as the current device: array device = "
                f"{value._place} while current = {_thread.place}"
            )
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
        array._host, array._place = np.asarray(value), _thread.place
        if array._host.base is None:
            _pool.hold(array._host)
        return array
    return type(value)(map(_device, value)) if type(value) in (list, tuple) else value


def _in_tf32(name, args):
    """What a product of matrices multiplies: float32 rounded to 10 bits where it may be. CuPy's
    setting counts where it calls cuBLAS for two matrices, cuBLAS's mode everywhere.
    """
    stacks = name == "einsum" or max((a.ndim for a in args if hasattr(a, "ndim")), default=0) > 2
    two = not stacks or name in ("dot", "tensordot")
    if not (precision.is_tf32() and two or _thread.modes.get(_thread.place)):
        return args
    return [
        ((a.view(np.uint32) + np.uint32(0x1000)) & np.uint32(0xFFFFE000)).view(np.float32)
        if getattr(a, "dtype", None) == np.float32
        else a
        for a in args
    ]


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
    args = _host(args, where)
    result = function(*(_in_tf32(name, args) if name in PRODUCTS else args), **kwargs)
    if given.get("out") is not None:
        return given["out"]
    return _device(np.asarray(result) if name in GIVE_ARRAYS else result)


# ---- the array ----

Flags = namedtuple("Flags", "c_contiguous f_contiguous owndata fnc forc")


class ndarray:
    """cupy.ndarray; the NumPy array inside is nobody else's business."""

    __slots__ = ("_host", "_place", "__weakref__")
    __hash__ = None
    __array_ufunc__ = None  # NumPy's operators then leave the work, and the refusal, to ours

    def __init__(self, shape, dtype=float, memptr=None, strides=None, order="C"):
        self._host, self._place = np.empty(shape, dtype, order), _thread.place
        _pool.hold(self._host)

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

    device = property(lambda self: Device(self._place))
    data = property(lambda self: SimpleNamespace(ptr=self._host.ctypes.data, device=self.device))
    base = property(
        lambda self: _device(self._host.base) if isinstance(self._host.base, np.ndarray) else None
    )
    flags = property(lambda self: Flags(*(getattr(self._host.flags, n) for n in Flags._fields)))

    def __len__(self):
        return len(self._host)

    def __iter__(self):
        return (self[i] for i in range(len(self)))

    def __getitem__(self, key):
        return _device(_host(self, "an index")[_key(key)])

    def __setitem__(self, key, value):
        if not isinstance(value, (ndarray, *SCALARS)):
            _refuse("assignment into a cupy array", value)
        _host(self, "assignment")[_key(key)] = _host(value, "assignment")


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
        x, y = _host(self, name), _host(other, name)
        x, y = _in_tf32(name, (x, y)) if name == "matmul" else (x, y)
        result = function(y, x) if reflected else function(x, y)
        return self if result is x else _device(result)

    return method


def _method(name, parameters):
    def method(self, *args, **kwargs):
        host = self._host if name in ("item", "tolist") else _host(self, name)
        function = getattr(host, name)
        return _call(f"cupy.ndarray.{name}", parameters, function, *args, **kwargs)

    return method


def _attribute(name, self):
    value = getattr(self._host, name)
    return _device(getattr(_host(self, name), name) if isinstance(value, np.ndarray) else value)


ARITHMETIC = ["add", "sub", "mul", "truediv", "floordiv", "mod", "pow"]
BITWISE = ["and", "or", "xor", "lshift", "rshift"]

for name, parameters in NAMES["cupy.ndarray"].items():
    if hasattr(ndarray, name) or not hasattr(np.ndarray, name) or name in ("base", "flat"):
        continue
    if parameters is not None:
        setattr(ndarray, name, _method(name, parameters))
    else:
        setattr(ndarray, name, property(functools.partial(_attribute, name)))
for name in [*ARITHMETIC, *BITWISE, "matmul"]:
    function = getattr(operator, f"__{name}__")
    setattr(ndarray, f"__{name}__", _operator(name, function))
    setattr(ndarray, f"__r{name}__", _operator(name, function, reflected=True))
for name in [*ARITHMETIC, *BITWISE]:
    setattr(ndarray, f"__i{name}__", _operator(name, getattr(operator, f"__i{name}__")))
for name in ["lt", "le", "eq", "ne", "gt", "ge"]:
    setattr(ndarray, f"__{name}__", _operator(name, getattr(operator, name)))
for function in (operator.neg, operator.pos, operator.abs, operator.invert):
    unary = functools.partialmethod(lambda self, f: _device(f(_host(self, "it"))), function)
    setattr(ndarray, f"__{function.__name__}__", unary)
for function in (bool, int, float, complex, repr, str, format):
    conversion = functools.partialmethod(lambda self, f, *args: f(self._host, *args), function)
    setattr(ndarray, f"__{function.__name__}__", conversion)


# ---- devices and their memory ----

DEVICES, MEMORY = 2, 8 * 10**9  # how many, and how many bytes each has


class _Thread(threading.local):
    """What CuPy keeps for each thread: the current device, and for each device a handle of cuBLAS,
    which has a mode of products.
    """

    place = 0

    def __init__(self):
        self.modes = {}


class OutOfMemoryError(MemoryError):
    """cupy.cuda.memory.OutOfMemoryError"""


class _Pool:
    """cupy.cuda.MemoryPool: who makes an array asks the allocator, as in CuPy, and its bytes count
    until it is gone.
    """

    def __init__(self):
        self.allocator, self._used, self._most = self.malloc, defaultdict(int), defaultdict(int)
        self._limits, self._held = defaultdict(int), set()

    def hold(self, host):
        if id(host) in self._held:  # asarray(x) of what is right already
            return
        place, size = _thread.place, -(-host.nbytes // 512) * 512
        self.allocator(size)
        self._held.add(id(host))
        weakref.finalize(host, self._free, id(host), place, size).atexit = False

    def _free(self, key, place, size):
        self._held.discard(key)
        self._used[place] -= size

    def malloc(self, size):
        place, limit = _thread.place, self._limits[_thread.place] or MEMORY
        if self._used[place] + size > limit:
            raise OutOfMemoryError(f"Out of memory allocating {size:,} bytes")
        self._used[place] += size
        self._most[place] = max(self._most[place], self._used[place])

    def set_limit(self, size=None, fraction=None):
        self._limits[_thread.place] = size

    def get_limit(self):
        return self._limits[_thread.place]

    def used_bytes(self):
        return self._used[_thread.place]

    def total_bytes(self):
        return self._most[_thread.place]

    def free_all_blocks(self, stream=None):
        self._most[_thread.place] = self._used[_thread.place]


_thread, _pool = _Thread(), _Pool()


def set_allocator(allocator=None):
    _pool.allocator = allocator


class _Precision:
    """cupy._core._routines_linalg: how products of two matrices are computed."""

    COMPUTE_TYPE_TBD, COMPUTE_TYPE_DEFAULT, COMPUTE_TYPE_TF32 = 0, 1, 7
    kind = COMPUTE_TYPE_TBD

    def set_compute_type(self, dtype, compute_type):
        self.kind = compute_type

    def is_tf32(self):
        chosen = self.kind == self.COMPUTE_TYPE_TF32
        return chosen or not self.kind and os.environ.get("CUPY_TF32", "0") != "0"


precision = _Precision()
cublas = SimpleNamespace(
    CUBLAS_DEFAULT_MATH=0,
    CUBLAS_TF32_TENSOR_OP_MATH=3,
    setMathMode=lambda handle, mode: _thread.modes.update({handle: mode}),
)


def _properties(place):
    """The entries of cudaDeviceProp that are asked for."""
    return {"name": b"a stand-in", "major": 8, "minor": 0, "totalGlobalMem": MEMORY}


runtime = SimpleNamespace(
    getDeviceCount=lambda: DEVICES,
    deviceSynchronize=lambda: None,
    driverGetVersion=lambda: 13000,
    runtimeGetVersion=lambda: 13020,
    getDeviceProperties=_properties,
    memGetInfo=lambda: (MEMORY - _pool.used_bytes(), MEMORY),
)


# ---- kernels ----

LAUNCHED: set[str] = set()  # the names of the kernels that were launched in this process


class RawModule:
    """CUDA C, compiled when a kernel of it is first asked for, as CuPy does it."""

    def __init__(self, *, code=None, path=None, options=(), backend="nvrtc"):
        if path is not None or not isinstance(options, tuple) or backend != "nvrtc":
            raise NotImplementedError("the stand-in compiles source code, with a tuple of options")
        self._source = {"code": code, "options": options}

    @functools.cached_property
    def _module(self):
        if cudasim.compiler() is None and "CI" not in os.environ:
            pytest.skip("kernels run on the simulator, which needs Linux and a C++ compiler")
        return cudasim.RawModule(**self._source)

    def get_function(self, name):
        kernel = self._module.get_function(name)

        def launch(grid, block, args, *, shared_mem=0):
            kernel(grid, block, tuple(map(_argument, args)), shared_mem=shared_mem)
            LAUNCHED.add(name)

        return launch


def _argument(value):
    """What the kernel takes by value, and arrays opened; CuPy would send a NumPy array's one
    element by value, too.
    """
    if isinstance(value, np.ndarray) and value.size != 1:
        _refuse("an argument of a kernel", value)
    return _host(value, "an argument of a kernel") if isinstance(value, ndarray) else value


class Event:
    """cupy.cuda.Event: as there is nothing to wait for, the time of the call."""

    def __init__(self, block=False, disable_timing=False, interprocess=False):
        self._time = None

    def record(self, stream=None):
        self._time = perf_counter()

    def synchronize(self):
        pass


def get_elapsed_time(start_event, end_event):
    """Milliseconds."""
    return (end_event._time - start_event._time) * 1e3


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
    if isinstance(obj, ndarray) and obj._place != _thread.place:
        obj, copy = obj._host, True  # from another device
    elif _holds_array(obj):
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


class Device(namedtuple("Device", "id")):
    """cupy.cuda.Device, one of two, and, as there is nothing to wait for here, cupy.cuda.Stream."""

    def __new__(cls, device=None):
        return super().__new__(cls, _thread.place if device is None else int(device))

    def __enter__(self):
        self._before = _thread.place
        self.use()
        return self

    def __exit__(self, *error):
        _thread.place = self._before

    def use(self):
        if self.id >= DEVICES:
            raise RuntimeError("cudaErrorInvalidDevice: invalid device ordinal")
        _thread.place = self.id

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
    Event=Event,
    get_elapsed_time=get_elapsed_time,
    compiler=SimpleNamespace(CompileException=cudasim.CompileException),
    is_available=lambda: True,
    get_device_id=lambda: _thread.place,
    runtime=runtime,
    get_allocator=lambda: _pool.allocator,
    set_allocator=set_allocator,
    get_cublas_handle=lambda: _thread.place,
    cublas=cublas,
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
    RawModule=RawModule,
    array=array,
    asarray=asarray,
    asanyarray=asarray,
    ascontiguousarray=lambda a, dtype=None: asarray(a, dtype, "C"),
    asnumpy=asnumpy,
    get_default_memory_pool=lambda: _pool,
    _core=SimpleNamespace(_routines_linalg=precision),
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

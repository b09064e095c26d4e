"""What can go wrong with a kernel, each as an exception of its own."""


class CudaError(RuntimeError):
    """Any fault of a kernel or of its launch; the others are kinds of it."""


class CompileException(CudaError):
    """The source does not compile: file, line and the compiler's words."""


class ArgumentError(CudaError, TypeError):
    """The launch does not fit the kernel's C signature, or a limit of a GPU."""


class RaceError(CudaError):
    """Two threads meet in memory and nothing orders them, or a result depends on the order."""


class BarrierError(CudaError):
    """Some threads of a block wait at a barrier that the others do not reach."""


class OutOfBoundsError(CudaError):
    """An access outside all arrays, shared memory and local variables."""

"""The CUDA sources compile for real GPUs, with NVIDIA's compiler and CuPy's flags, without one."""

import ctypes
import os
import re
from functools import cache
from importlib import metadata

import pytest
from launches import KERNEL

from tinydeconv.kernels.cuda.launch import FOLDER, source

# Turing, Ampere, Hopper, Blackwell: the oldest that CUDA 13 knows, and those of data centres.
ARCHITECTURES = ["sm_75", "sm_80", "sm_90", "sm_100"]
FLAGS = ["-std=c++17", "-ftz=true", "--device-as-default-execution-space"]  # CuPy's own
FILES = sorted(f.name for f in FOLDER.iterdir() if f.name.endswith(".cu"))


@cache
def nvrtc():
    """NVIDIA's compiler as a library, from the package nvidia-cuda-nvrtc."""
    try:
        files = metadata.files("nvidia-cuda-nvrtc")
    except metadata.PackageNotFoundError:
        if "CI" in os.environ:
            raise
        pytest.skip("nvidia-cuda-nvrtc is not installed: pip install nvidia-cuda-nvrtc")
    (path,) = (f for f in files if re.search(r"libnvrtc\.so\.\d+$|nvrtc64_\d+_0\.dll$", f.name))
    return ctypes.CDLL(str(path.locate()))


def compiled(text, architecture, real):
    """The machine code, or an AssertionError with what the compiler says; warnings count."""
    library, program, size = nvrtc(), ctypes.c_void_p(), ctypes.c_size_t()

    def call(name, *arguments):
        assert library[f"nvrtc{name}"](*arguments) == 0, name

    code = text.encode()
    call("CreateProgram", ctypes.byref(program), code, b"kernels.cu", 0, None, None)
    flags = [f.encode() for f in (*FLAGS, f"-arch={architecture}", f"-Dreal={real}")]
    failed = library.nvrtcCompileProgram(
        program, len(flags), (ctypes.c_char_p * len(flags))(*flags)
    )
    call("GetProgramLogSize", program, ctypes.byref(size))
    log = ctypes.create_string_buffer(size.value)
    call("GetProgramLog", program, log)
    assert not failed and not log.value, log.value.decode()
    call("GetCUBINSize", program, ctypes.byref(size))
    cubin = ctypes.create_string_buffer(size.value)
    call("GetCUBIN", program, cubin)
    call("DestroyProgram", ctypes.byref(program))
    return cubin.raw


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("real", ["float", "double"])
@pytest.mark.parametrize("file", FILES)
def test_every_file_compiles(file, real, architecture):
    text = source(file)
    cubin = compiled(text, architecture, real)
    assert cubin.startswith(b"\x7fELF")
    for name in KERNEL.findall(text):
        assert name.encode() in cubin


def test_a_mistake_is_found():
    with pytest.raises(AssertionError, match=r'windows.cu\(\d+\): error: .*"nowhere" is undefined'):
        compiled(source("windows.cu") + "__device__ int f() { return nowhere; }", "sm_80", "float")

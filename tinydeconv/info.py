"""What this machine has to compute with: `tinydeconv info`, and a part of every report of times."""

import os
import platform
import sys
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from time import strftime

import numpy as np
from threadpoolctl import threadpool_info

import tinydeconv

from . import cuda, cudasim
from .kernels import threads


def machine():
    """What results and times may depend on, as JSON can hold it; memory in bytes."""
    keys = "internal_api", "version", "architecture", "threading_layer", "num_threads"
    gpus, why_no_gpu = _gpus()
    driver, cupy = cuda.driver_version(), sys.modules.get("cupy")
    return {
        "command": sys.argv,
        "date": strftime("%Y-%m-%dT%H:%M:%S%z"),
        "versions": {
            "tinydeconv": tinydeconv.__version__,
            "python": platform.python_version(),
            "numpy": np.__version__,
            "safetensors": version("safetensors"),
            "cupy": getattr(cupy, "__version__", None),
            "driver": driver and cuda.dotted(driver),
            "cuda": cupy and cuda.dotted(cuda.as_version(cupy.cuda.runtime.runtimeGetVersion())),
        },
        "machine": {"system": platform.platform(), "cpu": _cpu(), "cores": os.cpu_count()},
        "threads": threads.get_num_threads(),
        "blas": [
            {key: library[key] for key in keys if key in library}
            for library in threadpool_info()
            if library["user_api"] == "blas"
        ],
        "gpus": gpus,
        "why_no_gpu": why_no_gpu,
        "allow_tf32": cuda.backends.cuda.allow_tf32,
        "simulator": cudasim.compiler(),
    }


def _cpu():
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _gpus():
    """A dict for each GPU; and a sentence if none can be used."""
    found = []
    try:
        runtime = cuda.import_cupy().cuda.runtime
        for i in range(runtime.getDeviceCount()):
            told, (free, total) = runtime.getDeviceProperties(i), cuda.mem_get_info(i)
            capability = f"{told['major']}.{told['minor']}"
            name = told["name"].decode()
            found.append({"name": name, "capability": capability, "memory": total, "free": free})
    except RuntimeError as error:  # there is none, or it does not work
        return found, str(error)
    return found, None


def lines():
    """What `tinydeconv info` prints."""
    told = machine()
    versions, here, tf32 = told["versions"], told["machine"], told["allow_tf32"]
    there = {name: number for name, number in versions.items() if number}
    yield f"versions   {', '.join(f'{n} {v}' for n, v in there.items())}"
    yield f"system     {here['system']}"
    yield f"processor  {here['cpu']}, {here['cores']} cores, {told['threads']} threads"
    for library in told["blas"]:
        yield f"BLAS       {', '.join(map(str, library.values()))} threads"
    for i, gpu in enumerate(told["gpus"]):
        memory, free = cuda.in_bytes(gpu["memory"]), cuda.in_bytes(gpu["free"])
        yield (
            f"cuda:{i}     {gpu['name']}, compute capability {gpu['capability']}, {memory}, "
            f"{free} free"
        )
    if told["why_no_gpu"]:
        yield f"no GPU     {told['why_no_gpu']}"
    yield f"TF32       {'on' if tf32 else 'off'}: td.backends.cuda.allow_tf32 = {tf32}"
    yield f"simulator  {told['simulator'] or 'none: it needs a C++ compiler, such as g++'}"

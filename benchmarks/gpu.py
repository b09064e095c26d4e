"""The ladder of convolutions on a GPU beside the CPU and cuDNN, training steps, and their memory.

Everything runs in one process: the contestants of a case take turns, and each turn on the GPU lies
between two CUDA events. A result is written as soon as it is there.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import chain, zip_longest
from statistics import median

import numpy as np

from tinydeconv import bench
from tinydeconv.geometry import ConvGeometry
from tinydeconv.kernels import cpu, reference, threads
from tinydeconv.kernels.cuda import convolution as gpu_kernels

from . import steps
from .device import OnDevice, distance, out_of_memory, torch_kernel
from .harness import rounds_of
from .kernels import SAME, SHAPES
from .libraries import TorchLike

ROUNDS = 9
WEIGHT = {"step": 8}  # of a case's share of the time; others have 1
TURN = 1e-3  # seconds; a turn has as many calls as that takes
MOST = 100  # calls in a turn, which the GPU can have waiting
CEILING = 2.0  # seconds for each measured ceiling

CPU, REFERENCE, DIRECT, UNFOLD = "CPU", "reference", "direct", "unfold + cuBLAS"
IMPLICIT, TORCH = "implicit GEMM", "PyTorch"
UNFOLD_TF32, TORCH_TF32 = f"{UNFOLD}, TF32", f"{TORCH}, TF32"
PICKED = IMPLICIT  # what the library picks for CuPy's arrays, TF32 off; with it, cuBLAS
LADDER = [CPU, REFERENCE, DIRECT, UNFOLD, IMPLICIT, TORCH, UNFOLD_TF32, TORCH_TF32]
OURS_CPU, OURS, OURS_TF32 = "tinydeconv, CPU", "tinydeconv", "tinydeconv, TF32"
STEPS = [OURS_CPU, OURS, OURS_TF32, TORCH, TORCH_TF32]
CONTESTANTS = {  # what they are, for a reader
    CPU: "the library's kernels for the CPU, on all cores",
    REFERENCE: "kernels/reference.py on CuPy's arrays: NumPy's functions, run by CuPy, and cuBLAS",
    DIRECT: "one thread of the GPU for each number of the result",
    UNFOLD: "patches copied by a kernel of ours, multiplied by cuBLAS; the only one with TF32",
    IMPLICIT: "our tiled kernel without patches in memory; what the library picks with TF32 off",
    TORCH: "PyTorch, whose convolutions are cuDNN's, in its default layout; cudnn.benchmark on, so "
    "it takes the fastest algorithm, deterministic or not",
    f"{OURS_CPU}, {OURS}": "a training step of the library on the CPU, on the GPU",
}

# Largest relative difference to the CPU that is put down to rounding, for ours: sums of up to
# millions of terms in another order; and of terms of 11 significant bits.
TOLERANCE = {False: 1e-4, True: 1e-2}

# He et al. 2016, on 64 images: the layer of the ladder
RESNET = ("ResNet", "ResNet 3x3", (64, 64, 56, 56), (64, 64, 3, 3), SAME)
ABOUT = {  # what a reader of the file finds
    "device": "the GPU; capability, driver and runtime as CUDA counts versions; memory in bytes",
    "ceilings": "of each place: GFLOP/s of the largest matrix product in float32 (or TF32), GB/s "
    "of a copy, reads and writes both counted; the samples in seconds",
    "results": "one a line. convolution: a layer and one of its three kernels (conv_transpose and "
    "conv_weight are the gradients of a convolution; conv is that of a transposed one), with the "
    "shapes of images x, weights w and features y, flop: operations, two for each multiplication, "
    "bytes: x, w and y once each. step: a training step. memory: bytes of a training step",
    "samples": "seconds of a call, one a round, by contestant; in the memory results bytes, used "
    "by arrays at the peak and held of the GPU",
    "host": "median seconds until Python had ordered a call; where it is as long as the sample, "
    "the GPU may have waited for Python",
    "errors": "largest difference to the first contestant's result, over its largest number",
    "failed": "what a contestant said instead of a result",
    "left_out": "cases for which there was no time",
    "TF32": "products whose inputs are rounded to 10 bits of mantissa; off where not named",
    "contestants": CONTESTANTS,
}


@dataclass
class Contestant:
    """One way to compute a case: call() gives an array or None; where: "cpu", "gpu" or "torch"."""

    call: Callable
    tf32: bool = False
    where: str = "gpu"
    seconds: list = field(default_factory=list)
    host: list = field(default_factory=list)
    calls: int = 1

    def turn(self, device):
        """One call that does not count, then a sample."""
        with device.precision(self.tf32):
            self.call()
            if self.where == "cpu":
                seconds = host = device.time_here(self.call, self.calls)
            else:
                seconds, host = device.time(self.call, self.calls)
        self.seconds.append(seconds)
        self.host.append(host)


# ---------------------------------------------------------------- cases


def layers(shapes=None):
    """{name: (family, Layer)}: one of each family, then the second of each, and so on: where time
    runs out, every family has something.
    """
    shapes = [RESNET, *SHAPES] if shapes is None else shapes
    families = {shape[0]: [] for shape in shapes}
    for shape in shapes:
        families[shape[0]].append(shape)
    in_turn = [shape for shape in chain(*zip_longest(*families.values())) if shape]
    return {name: (family, layer(name, x, w, options)) for family, name, x, w, options in in_turn}


def layer(name, x, w, options):
    transposed = name.endswith("transposed")
    make = ConvGeometry.of_transposed if transposed else ConvGeometry.of_conv
    geometry = make(x[2:], w[2:], **options)
    return bench.Layer(x[0], w[1] * geometry.groups, w[0], geometry)


def cases(shapes=None, models=steps.MODELS):
    """What is measured, the most telling first."""
    found = []
    for name, (family, of) in layers(shapes).items():
        about = {"flop": of.flop, "bytes": of.moved(), **of.shapes}
        found += [
            {"kind": "convolution", "name": name, "family": family, "kernel": kernel, **about}
            | {"layer": of}
            for kernel in bench.INPUTS
        ]
    trained = [{"kind": kind, "name": name} for name in models for kind in ("step", "memory")]
    return [*found[:3], *trained, *found[3:]]


def convolution(device, case):
    """{name: Contestant} of one kernel of a layer."""
    random, of, kernel = np.random.default_rng(0), case["layer"], case["kernel"]
    a, b = (random.standard_normal(of.shapes[name], np.float32) for name in bench.INPUTS[kernel])
    there = [device.cupy.asarray(array) for array in (a, b)]

    def on_gpu(module, suffix="", tf32=False):
        function = getattr(module, kernel + suffix)
        return Contestant(lambda: function(*there, of.geometry), tf32)

    found = {
        CPU: Contestant(lambda: getattr(cpu, kernel)(a, b, of.geometry), where="cpu"),
        REFERENCE: on_gpu(reference),
        UNFOLD: on_gpu(gpu_kernels, "_unfolded"),
        IMPLICIT: on_gpu(gpu_kernels),
        UNFOLD_TF32: on_gpu(gpu_kernels, "_unfolded", tf32=True),
    }
    if kernel == "conv":
        found[DIRECT] = Contestant(lambda: gpu_kernels.direct(*there, of.geometry))
    if torch := device.torch:
        theirs = [torch.from_numpy(array).to(device.torch_where) for array in (a, b)]
        for name, tf32 in [(TORCH, False), (TORCH_TF32, True)]:
            found[name] = Contestant(
                lambda: torch_kernel(torch, kernel, *theirs, of.geometry), tf32, "torch"
            )
    return in_turn(device, LADDER, found)


def libraries(device):
    """{contestant without TF32: how to open the library that computes it}"""
    found = {
        OURS_CPU: lambda: TorchLike("tinydeconv"),
        OURS: lambda: OnDevice("tinydeconv", "cuda"),
    }
    if device.torch:
        found[TORCH] = lambda: OnDevice("torch", device.torch_where)
    return found


def step(device, case):
    """{name: Contestant} of a training step. With TF32 the same network goes on."""
    found = {}
    for name, opened in libraries(device).items():
        call = step_of(opened(), case)
        where = {OURS_CPU: "cpu", TORCH: "torch"}.get(name, "gpu")
        found[name] = Contestant(call, where=where)
        if where != "cpu":
            found[f"{name}, TF32"] = Contestant(call, True, where)
    return in_turn(device, STEPS, found)


def in_turn(device, names, found):
    """The contestants that there are, in the order of the names; without TF32 on a GPU that has
    none.
    """
    there = [name for name in names if name in found]
    return {name: found[name] for name in there if device.has_tf32 or not found[name].tf32}


def step_of(library, case):
    before, call = steps.build(library, case)

    def run():
        before()
        call(None)

    return run


# ---------------------------------------------------------------- measuring


def measure(device, case, until):
    """The result of a case, a dict that JSON can hold: contestants take turns until the time
    `until`, ROUNDS times at most, once at least. What a contestant cannot do is told under
    "failed".
    """
    failed = {}
    result = {key: value for key, value in case.items() if key != "layer"} | {"failed": failed}
    if case["kind"] == "memory":
        return result | {"samples": memory(device, case, failed)}
    make = {"convolution": convolution, "step": step}[case["kind"]]
    contestants = attempt(lambda: make(device, case), "all", failed, device) or {}
    errors = warm_up(device, contestants, failed)
    for number, order in enumerate(rounds_of(list(contestants), ROUNDS)):
        if number and time.monotonic() > until:
            break
        for name in order:
            if name not in failed:
                attempt(lambda name=name: contestants[name].turn(device), name, failed, device)
    good = {name: c for name, c in contestants.items() if name not in failed}
    return result | {
        "errors": errors,
        "host": {name: median(c.host) for name, c in good.items() if c.where != "cpu"},
        "samples": {name: c.seconds for name, c in good.items()},
    }


def warm_up(device, contestants, failed):
    """Compiles, lets cuDNN choose, and finds how many calls a turn has. Returns how far each result
    is from the first.
    """
    errors, right = {}, []

    def first(name, contestant):
        with device.precision(contestant.tf32):
            found = contestant.call()
        if found is not None:
            right.append(device.numpy(found))
            errors[name] = distance(right[-1], right[0])
            del right[1:]
        contestant.turn(device)
        contestant.calls = max(1, min(MOST, round(TURN / contestant.seconds[0])))
        contestant.seconds, contestant.host = [], []

    for name, contestant in contestants.items():
        attempt(lambda: first(name, contestant), name, failed, device)  # noqa: B023
    return errors


def memory(device, case, failed):
    """{name: {"used", "held"}}: bytes at the peak of making a network and two steps."""
    found = {}
    for name, opened in libraries(device).items():

        def two_steps(opened=opened):
            run = step_of(opened(), case)
            run()  # leaves Adam's moments to the second
            run()
            return run

        if name != OURS_CPU:
            peak = device.torch_peak if name == TORCH else device.peak
            found[name] = attempt(lambda: peak(two_steps), name, failed, device)  # noqa: B023
    return {name: peak for name, peak in found.items() if peak}


def attempt(work, name, failed, device):
    """What work() gives; None after an error, which is told under failed[name]."""
    try:
        return work()
    except Exception as error:
        kind = "out of memory" if out_of_memory(error) else type(error).__name__
        failed[name] = f"{kind}: {error}"
    device.release()  # now that the error is gone, and with it what its frames held


def ceilings(device, seconds=CEILING):
    """What the CPU and the GPU can do at best, without TF32 and, where the GPU has it, with."""
    cores, gpu = threads.get_num_threads(), device.describe()["name"]
    places = [
        bench.Place(f"CPU, {cores} threads", cores),
        bench.Place(f"{gpu}, TF32 off", xp=device.cupy),
        *[bench.Place(f"{gpu}, TF32 on", xp=device.cupy, tf32=True)] * device.has_tf32,
    ]
    found = {}
    for place in places:
        found[place.name] = bench.ceilings(place, seconds)
        device.release()
    return found


def run(device, measured, wanted, budget, save=lambda: None, tell=print, ceiling=CEILING):
    """Fills the record with the cases, so many as there is time for; save() after each."""
    told = [" ".join(case[key] for key in ("kind", "name", "kernel") if key in case)
            for case in wanted]  # fmt: skip
    measured |= {"rounds": ROUNDS, "about": ABOUT, "results": [], "left_out": told[:]}
    measured["ceilings"] = ceilings(device, ceiling)
    for number, case in enumerate(wanted):
        if budget.left <= 0:
            break
        weights = [WEIGHT.get(other["kind"], 1) for other in wanted[number:]]
        until = time.monotonic() + budget.left * weights[0] / sum(weights)
        result = measure(device, case, until)
        device.release()
        measured["results"].append(result)
        measured["left_out"].remove(told[number])
        measured["spent"] = budget.spent
        save()
        tell(f"{number + 1}/{len(wanted)} {told[number]}: {outcome(result)}")


def outcome(result):
    """A result in half a line."""
    if result["kind"] == "memory":
        told = [f"{name} {peak['used'] / 1e6:.4g} MB" for name, peak in result["samples"].items()]
    else:
        told = [f"{name} {median(s) * 1e3:.3g} ms" for name, s in result["samples"].items()]
    return ", ".join([*told, *(f"{name}: {words}" for name, words in result["failed"].items())])

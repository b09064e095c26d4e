"""Whether a GPU computes what NumPy does: every op, twice the same bits, resumed trainings, TF32,
weights that travel. What is wrong is told and gives exit code 1.
"""

import contextlib
import io
import tempfile
from dataclasses import dataclass
from math import inf, log10
from pathlib import Path

import numpy as np

import tinydeconv as td
from tinydeconv import nn, optim
from tinydeconv.backend import to_device, to_numpy
from tinydeconv.nn import functional as F
from tinydeconv.opcases import CASES
from tinydeconv.ops.promotion import To
from tinydeconv.train import Training, supervised

from .device import distance

# For ops: sums in another order, other last bits of exp and log, in derivatives of second order.
TOLERANCE = {"float64": 1e-9, "float32": 1e-4}
ABOUT = {
    "results": "one check a line: its part, its case, the dtype",
    "error": "the largest difference over the largest number of the right array, or over 1 where "
    "that is less; the worst of the output and the gradients of first and second order",
    "tolerance": "the largest error that passes; 0: the bits must be equal",
    "left_out": "cases for which there was no time",
}


@dataclass
class Check:
    """work() gives (error, details)."""

    part: str
    case: str
    dtype: str
    tolerance: float
    work: object

    def run(self):
        """The row of the table, a dict that JSON can hold."""
        try:
            error, details = self.work()
        except Exception as problem:
            error, details = inf, f"{type(problem).__name__}: {problem}"
        passed = bool(error <= self.tolerance)  # not so for NaN
        if not passed and not details:
            details = f"off by {error:.2g}, {self.tolerance:.0e} is allowed"
        row = {"part": self.part, "case": self.case, "dtype": self.dtype}
        return row | {
            "error": float(error), "tolerance": self.tolerance, "passed": passed, "details": details
        }  # fmt: skip


def checks(device, cases=CASES, side=64):
    """All of them, those that a lack of time must not leave out first. side: of the images in the
    checks of bits and TF32.
    """
    found = [
        Check("same bits", name, dtype, 0, lambda work=work, dtype=dtype: same_bits(work, dtype))
        for name, work in repeated(side).items()
        for dtype in TOLERANCE
    ]
    found.append(Check("resume", "a training stopped half way", "float32", 0, resumed))
    for name, product in products(side).items():
        found.append(Check("TF32", name, "float32", 1e-5, lambda p=product: tf32(device, p)))
    found += [Check("weights", n, "float32", t, work) for n, t, work in TRAVELS]
    found += [
        Check("ops", case.name, dtype, allowed, lambda case=case, dtype=dtype: op(case, dtype))
        for case in cases
        if case.function is not To  # which moves, and gives NumPy's arrays back on its way
        for dtype, allowed in TOLERANCE.items()
    ]
    return found


# ---------------------------------------------------------------- every op


def derivatives(case, where, dtype):
    """The output, its gradients, in one pass and recorded, and the gradients of these; None where
    there is none.
    """
    inputs = case.inputs(np.dtype(dtype), where)
    y = case(*inputs)
    g = random_like(y, 1)
    plain = td.grad(y, inputs, g, retain_graph=True)
    first = td.grad(y, inputs, g, create_graph=True)
    roots = [x for x in first if x.requires_grad]
    seeds = [random_like(x, 2 + i) for i, x in enumerate(roots)]
    second = td.grad(roots, [*inputs, g], seeds, allow_unused=True) if roots else ()
    return [y, *plain, *first, *second]


def random_like(tensor, seed):
    random = np.random.default_rng(seed).standard_normal(tensor.shape)
    array = np.array(random, tensor.dtype)
    return td.Tensor(to_device(array, tensor.device), requires_grad=True)


def op(case, dtype):
    right, found = (derivatives(case, where, dtype) for where in ("cpu", "cuda"))
    worst = 0.0
    for a, b in zip(right, found, strict=True):
        if (a is None) != (b is None):
            return inf, "a derivative is missing on one of the two"
        if a is None:
            continue
        if b.device.type != "cuda":
            return inf, f"a result is on {b.device}"
        if (a.shape, a.dtype) != (b.shape, b.dtype):
            return inf, f"expected {a.dtype} {a.shape}, got {b.dtype} {b.shape}"
        worst = max(worst, distance(to_numpy(b.data), a.data))
    return worst, ""


# ---------------------------------------------------------------- twice the same


def repeated(side):
    """{name: function of a dtype}: what could depend on the order of threads. Windows overlap, and
    indices repeat, so that many threads add to one number.
    """

    def random(*shape, dtype, grad=False):
        array = np.random.default_rng(shape).standard_normal(shape).astype(dtype)
        return td.tensor(array, device="cuda", requires_grad=grad)

    def gradient(y, x):
        return td.grad(y, x, random_like(y, 1))[0]

    def conv(dtype):
        x, w = random(4, 16, side, side, dtype=dtype), random(32, 16, 3, 3, dtype=dtype)
        return F.conv2d(x, w, padding=1)

    def conv_transpose(dtype):
        x, w = random(4, 32, side, side, dtype=dtype), random(32, 16, 4, 4, dtype=dtype)
        return F.conv_transpose2d(x, w, stride=2, padding=1)

    def conv_weight(dtype):
        x = random(4, 16, side, side, dtype=dtype)
        w = random(32, 16, 3, 3, dtype=dtype, grad=True)
        return gradient(F.conv2d(x, w, padding=1), w)

    def fold(dtype):
        cols = random(2, 9 * 4, side * side, dtype=dtype)
        return F.fold(cols, output_size=(side, side), kernel_size=3, padding=1)

    def pooling(dtype):
        x = random(2, 4, side, side, dtype=dtype, grad=True)
        return gradient(F.max_pool2d(x, 3, stride=1), x)

    def scatter(dtype):
        x = random(side, side, dtype=dtype, grad=True)
        index = np.random.default_rng(0).integers(0, 4, (side, side))  # four columns take all
        return gradient(td.gather(x, 1, td.tensor(index, device="cuda")), x)

    def resample(dtype):
        x = random(2, 4, side, side, dtype=dtype, grad=True)
        return gradient(F.interpolate(x, size=(2 * side + 1,) * 2, mode="bilinear"), x)

    return {
        "conv": conv,
        "conv_transpose": conv_transpose,
        "conv_weight": conv_weight,
        "fold": fold,
        "pooling backward": pooling,
        "scatter": scatter,
        "resample backward": resample,
    }


def same_bits(work, dtype, runs=3):
    first, *others = (to_numpy(work(np.dtype(dtype)).data) for _ in range(runs))
    worst = max(distance(other, first) for other in others)
    if any(other.tobytes() != first.tobytes() for other in others):
        return worst or inf, f"{runs} runs did not give the same bits"
    return 0.0, f"{runs} runs gave the same {first.nbytes} bytes"


# ---------------------------------------------------------------- a training that was stopped


class Noise:
    """Batches of noisy images, which follow from their numbers."""

    def batches(self, epoch, start):
        for number in range(start, 4):
            random = np.random.default_rng((epoch, number))
            clean, noise = (random.standard_normal((4, 2, 12, 12), np.float32) for _ in range(2))
            yield td.tensor(clean + noise, device="cuda"), td.tensor(noise, device="cuda")


def training(path, seed, steps=6):
    td.manual_seed(seed)
    model = nn.Sequential(
        nn.Conv2d(2, 8, 4, 2, 1), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(3, 1, 1),
        nn.Dropout(0.1), nn.ConvTranspose2d(8, 2, 4, 2, 1),
    ).to("cuda")  # fmt: skip
    optimizer = optim.Adam(model.parameters(), lr=0.01)
    schedule = optim.lr_scheduler.StepLR(optimizer, 2)

    def loss(model, noisy, noise):
        return F.mse_loss(model(noisy), noise)

    return Training(
        {"net": model}, {"net": optimizer}, {"net": schedule}, Noise(),
        supervised(model, optimizer, loss), steps, path, {},
    )  # fmt: skip


def resumed():
    """One goes through; the other is stopped half way, and goes on from its file with new pieces,
    from another seed, as a new process would.
    """

    def stop():
        raise InterruptedError

    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stderr(io.StringIO()):
        whole = training(Path(folder, "whole"), 0)
        whole.run()
        part = training(Path(folder, "part"), 0)
        with contextlib.suppress(InterruptedError):
            part.run(save_every=3, stages={4: stop})
        rest = training(Path(folder, "part"), 1)
        rest.load()
        done = rest.step
        rest.run()
    right, found = (t.networks["net"].state_dict() for t in (whole, rest))
    arrays = [(to_numpy(right[name].data), to_numpy(found[name].data)) for name in right]
    worst = max(distance(b, a) for a, b in arrays)
    if any(a.tobytes() != b.tobytes() for a, b in arrays) or whole.losses != rest.losses:
        return worst or inf, f"resumed after step {done}, it did not end with the same bits"
    return 0.0, f"resumed after step {done} of {rest.steps}, it ended with the same bits"


# ---------------------------------------------------------------- TF32


def products(side):
    """{name: function of a dtype and a device}: products in which TF32 shows."""
    random = np.random.default_rng(0)
    a, b = random.standard_normal((2, 4 * side, 4 * side))
    x, w = random.standard_normal((4, 32, side, side)), random.standard_normal((32, 32, 3, 3))

    def tensors(dtype, where, *arrays):
        return [td.tensor(array.astype(dtype), device=where) for array in arrays]

    return {
        "matmul": lambda dtype, where: tensors(dtype, where, a, b)[0] @ tensors(dtype, where, b)[0],
        "conv2d": lambda dtype, where: F.conv2d(*tensors(dtype, where, x, w), padding=1),
    }


def tf32(device, product):
    """The error without TF32, and how many digits of the result the switch costs."""
    right = product(np.float64, "cpu").data.astype(np.float32)

    def found():
        return to_numpy(product(np.float32, "cuda").data)

    default = td.backends.cuda.allow_tf32
    with device.precision(False):
        off = found()
        with device.precision(True):
            on = found()
        again = found()
    error, with_it = distance(off, right), distance(on, right)
    digits = [f"{-log10(max(e, 1e-9)):.1f}" for e in (error, with_it)]
    told = f"{digits[0]} digits are right without it, {digits[1]} with it"
    if default:
        return inf, "it is on by default"
    if off.tobytes() != again.tobytes():
        return inf, "the result is another after it was switched on and off again"
    if not device.has_tf32:
        if with_it > 1e-5:
            return with_it, f"{told}, though this GPU has no TF32"
        return error, f"this GPU has no TF32, {told}"
    if not 10 * error < with_it < 1e-2:
        return inf, f"the switch should cost three digits or so: {told}"
    return error, told


# ---------------------------------------------------------------- weights that travel


def network(where="cpu"):
    td.manual_seed(7)
    return nn.Sequential(
        nn.Conv2d(2, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.ConvTranspose2d(8, 2, 2, 2)
    ).to(where)


def apart(first, second):
    """The largest distance between the weights of two networks; infinite if any bit differs."""
    first, second = first.state_dict(), second.state_dict()
    for name in first:
        a, b = to_numpy(first[name].data), to_numpy(second[name].data)
        if a.tobytes() != b.tobytes():
            return distance(b, a) or inf
    return 0.0


def one_seed():
    return apart(network(), network("cuda")), "one seed gives the same weights on both"


def there_and_back():
    model = network()
    parameters = list(model.parameters())
    model.to("cuda").to("cpu")
    if not all(a is b for a, b in zip(parameters, model.parameters())):
        return inf, "parameters are others after a move: optimisers have lost them"
    return apart(model, network()), "weights come back with the same bits"


def through_a_file():
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "weights.safetensors")
        td.save(network("cuda").state_dict(), path)
        td.manual_seed(8)
        here, there = network(), network("cuda")
        for model in (here, there):
            for parameter in model.parameters():
                parameter.data *= 0
            model.load_state_dict(td.load(path))
    return max(apart(here, network()), apart(there, network())), "saved there, loaded on both"


def same_answers():
    x = np.random.default_rng(0).standard_normal((2, 2, 8, 8), np.float32)
    answers = [network(where).eval()(td.tensor(x, device=where)) for where in ("cpu", "cuda")]
    right, found = (to_numpy(answer.data) for answer in answers)
    return distance(found, right), "the same weights give the same answers but for rounding"


TRAVELS = [
    ("one seed", 0, one_seed),
    ("to the GPU and back", 0, there_and_back),
    ("through a file", 0, through_a_file),
    ("answers", 1e-5, same_answers),
]


def run(device, measured, wanted, budget, save=lambda: None, tell=print):
    """Fills the record with the checks, as many as there is time for."""
    left = [f"{check.part}: {check.case}, {check.dtype}" for check in wanted]
    measured |= {"about": ABOUT, "results": [], "left_out": left}
    for check in wanted:
        if budget.left <= 0:
            break
        row = check.run()
        measured["results"].append(row)
        name = left.pop(0)
        measured["spent"] = budget.spent
        if not row["passed"]:
            tell(f"wrong: {name}: {row['details']}")
        if len(measured["results"]) % 50 == 0:
            save()

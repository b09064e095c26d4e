"""Forward, input gradient and weight gradient of convolutions as networks have them."""

from itertools import product
from statistics import median

import numpy as np

from .arithmetic import geometric_mean, ratios
from .libraries import NAMES
from .tables import OURS, markdown, middle, peers, ratio, shared

HELP = "convolutions of known networks: forward, input gradient, weight gradient"
PEERS = ["torch", "dezero", "mygrad"]

# (family, name, shape of x, shape of the weight, options); the name says what is transposed.
HALVE, SAME = {"stride": 2, "padding": 1}, {"padding": 1}
DEPTHWISE = {"padding": 1, "groups": 128}
SHAPES = [
    # Radford et al. 2016, at 64x64 with 64 features, batches of 32
    ("DCGAN", "DCGAN generator 1, transposed", (32, 100, 1, 1), (100, 512, 4, 4), {}),
    ("DCGAN", "DCGAN generator 2, transposed", (32, 512, 4, 4), (512, 256, 4, 4), HALVE),
    ("DCGAN", "DCGAN generator 3, transposed", (32, 256, 8, 8), (256, 128, 4, 4), HALVE),
    ("DCGAN", "DCGAN generator 4, transposed", (32, 128, 16, 16), (128, 64, 4, 4), HALVE),
    ("DCGAN", "DCGAN generator 5, transposed", (32, 64, 32, 32), (64, 3, 4, 4), HALVE),
    ("DCGAN", "DCGAN discriminator 1", (32, 3, 64, 64), (64, 3, 4, 4), HALVE),
    ("DCGAN", "DCGAN discriminator 2", (32, 64, 32, 32), (128, 64, 4, 4), HALVE),
    ("DCGAN", "DCGAN discriminator 3", (32, 128, 16, 16), (256, 128, 4, 4), HALVE),
    ("DCGAN", "DCGAN discriminator 4", (32, 256, 8, 8), (512, 256, 4, 4), HALVE),
    ("DCGAN", "DCGAN discriminator 5", (32, 512, 4, 4), (1, 512, 4, 4), {}),
    # Zhang et al. 2017; Mao et al. 2016, which ends in transposed convolutions
    ("denoisers", "DnCNN first", (16, 1, 48, 48), (64, 1, 3, 3), SAME),
    ("denoisers", "DnCNN middle", (16, 64, 48, 48), (64, 64, 3, 3), SAME),
    ("denoisers", "DnCNN last", (16, 64, 48, 48), (1, 64, 3, 3), SAME),
    ("denoisers", "RED-Net middle, transposed", (16, 64, 48, 48), (64, 64, 3, 3), SAME),
    ("denoisers", "RED-Net last, transposed", (16, 64, 48, 48), (64, 1, 3, 3), SAME),
    # Ronneberger et al. 2015, with padding, on 4 images of 128x128
    ("U-Net", "U-Net down 1", (4, 64, 128, 128), (64, 64, 3, 3), SAME),
    ("U-Net", "U-Net down 2", (4, 128, 64, 64), (128, 128, 3, 3), SAME),
    ("U-Net", "U-Net down 4", (4, 512, 16, 16), (512, 512, 3, 3), SAME),
    ("U-Net", "U-Net bottom", (4, 512, 8, 8), (1024, 512, 3, 3), SAME),
    ("U-Net", "U-Net up 4, transposed", (4, 1024, 8, 8), (1024, 512, 2, 2), {"stride": 2}),
    ("U-Net", "U-Net up 1, transposed", (4, 128, 64, 64), (128, 64, 2, 2), {"stride": 2}),
    ("U-Net", "U-Net joined 1", (4, 128, 128, 128), (64, 128, 3, 3), SAME),
    # Simonyan and Zisserman 2015, on 2 images of 224x224
    ("VGG", "VGG conv1_1", (2, 3, 224, 224), (64, 3, 3, 3), SAME),
    ("VGG", "VGG conv1_2", (2, 64, 224, 224), (64, 64, 3, 3), SAME),
    ("VGG", "VGG conv2_2", (2, 128, 112, 112), (128, 128, 3, 3), SAME),
    ("VGG", "VGG conv3_2", (2, 256, 56, 56), (256, 256, 3, 3), SAME),
    ("VGG", "VGG conv4_2", (2, 512, 28, 28), (512, 512, 3, 3), SAME),
    ("VGG", "VGG conv5_2", (2, 512, 14, 14), (512, 512, 3, 3), SAME),
    # van den Oord et al. 2016; Defossez et al. 2019 (Demucs)
    ("audio", "WaveNet dilated", (4, 64, 8000), (128, 64, 2), {"dilation": 64}),
    ("audio", "Demucs encoder 1", (4, 2, 32000), (64, 2, 8), {"stride": 4}),
    ("audio", "Demucs encoder 2", (4, 64, 8000), (128, 64, 8), {"stride": 4}),
    ("audio", "Demucs decoder 2, transposed", (4, 128, 2000), (128, 64, 8), {"stride": 4}),
    ("audio", "Demucs decoder 1, transposed", (4, 64, 8000), (64, 2, 8), {"stride": 4}),
    # Cicek et al. 2016
    ("3-d", "3D U-Net", (1, 32, 32, 32, 32), (32, 32, 3, 3, 3), SAME),
    ("3-d", "3D U-Net, transposed", (1, 64, 16, 16, 16), (64, 64, 2, 2, 2), {"stride": 2}),
    # He et al. 2016; Howard et al. 2017
    ("1x1 and depthwise", "ResNet 1x1", (8, 256, 28, 28), (64, 256, 1, 1), {}),
    ("1x1 and depthwise", "MobileNet 1x1", (8, 128, 56, 56), (128, 128, 1, 1), {}),
    ("1x1 and depthwise", "MobileNet depthwise", (8, 128, 56, 56), (128, 1, 3, 3), DEPTHWISE),
]
MEASURES = {  # whether x and the weight want their gradients
    "forward": (False, False),
    "input gradient": (True, False),
    "weight gradient": (False, True),
    "both gradients": (True, True),
}


def cases(libraries):
    found = []
    for (family, name, x, w, options), measure in product(SHAPES, MEASURES):
        case = {"family": family, "name": name, "x": x, "w": w, "options": options}
        case |= {"transposed": name.endswith("transposed"), "measure": measure}
        able = [library for library in libraries if can(library, case)]
        if measure != "both gradients" or set(able) & {"dezero", "mygrad"}:
            found.append(case | {"libraries": able})
    return found


def can(library, case):
    """DeZero and MyGrad give both gradients together, and have not every kind of convolution."""
    if library in (OURS, "torch"):
        return True
    if case["measure"] in ("input gradient", "weight gradient") or "groups" in case["options"]:
        return False
    if library == "mygrad":
        return not case["transposed"]
    return len(case["x"]) == 4 and "dilation" not in case["options"]


def build(library, case):
    random = np.random.default_rng(0)

    def normal(shape):
        return random.standard_normal(shape, np.float32)

    wanted = MEASURES[case["measure"]]
    x = library.tensor(normal(case["x"]), wanted[0])
    w = library.tensor(normal(case["w"]), wanted[1])

    def forward(_=None):
        return library.convolve(x, w, transposed=case["transposed"], **case["options"])

    if not any(wanted):
        return lambda: None, forward
    gradient = library.tensor(normal(forward().shape))

    def before():
        library.clear(*(t for t, wants in zip((x, w), wanted) if wants))
        return forward()

    return before, lambda y: library.backward(y, gradient)


def tables(record):
    """For each peer the families; for PyTorch all cases too."""
    found = []
    for peer in peers(record):
        found += [families(record, peer), *([each(record, peer)] if peer == "torch" else [])]
    return found


def families(record, peer):
    """Geometric means of our time over the peer's, and a sentence."""
    results = shared(record, peer)
    measures = list(dict.fromkeys(result["measure"] for result in results))
    rows = []
    for family in [*dict.fromkeys(result["family"] for result in results), "all"]:
        means = []
        for measure in [*measures, "all"]:
            chosen = [
                ratio(result, peer)[1]
                for result in results
                if family in (result["family"], "all") and measure in (result["measure"], "all")
            ]
            means.append(f"{geometric_mean(chosen):.2f}" if chosen else "")
        rows.append([family, *means])
    sentence = worst_case(results) if peer == "torch" else advantage(results, peer)
    return markdown([f"time over {NAMES[peer]}'s", *measures, "all"], rows) + "\n\n" + sentence


def worst_case(results):
    long = [result for result in results if middle(result, "torch") > 1e-3]
    if not long:
        return "PyTorch takes less than 1 ms everywhere."
    worst = max(long, key=lambda result: ratio(result, "torch")[1])
    return (
        f"The worst case of those where PyTorch takes over 1 ms: {worst['name']}, "
        f"{worst['measure']}, {ratio(worst, 'torch')[1]:.2f}."
    )


def advantage(results, peer):
    """How many times as fast as the peer we are, and PyTorch is, in the geometric mean."""
    said = []
    for library in [OURS, "torch"]:
        with_it = [result["samples"] for result in results if library in result["samples"]]
        if with_it:
            times = geometric_mean(median(ratios(samples, peer, library)) for samples in with_it)
            said.append(f"{NAMES[library]} is {times:.1f} times as fast as {NAMES[peer]}")
    return ", ".join(said) + ", in the geometric mean over all these."


def each(record, peer):
    """All cases: our time over the peer's, and the peer's."""
    results = shared(record, peer)
    measures = list(dict.fromkeys(result["measure"] for result in results))
    rows = {}
    for result in results:
        row = rows.setdefault(result["name"], dict.fromkeys(measures, ""))
        row[result["measure"]] = f"{ratio(result, peer)[1]:.2f} ({middle(result, peer) * 1e3:.3g})"
    head = f"time over {NAMES[peer]}'s ({NAMES[peer]}'s, ms)"
    return markdown([head, *measures], [[name, *row.values()] for name, row in rows.items()])

"""What `python -m benchmarks gpu` asks of PyTorch is what it asks of us: here on PyTorch's CPU."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))
from benchmarks import device, gpu, steps  # noqa: E402
from tinydeconv import bench  # noqa: E402
from tinydeconv.geometry import ConvGeometry  # noqa: E402
from tinydeconv.kernels import reference  # noqa: E402

GEOMETRIES = {
    "1d": ConvGeometry.of_conv((11,), 3, 2, 1, 2),
    "2d, rows that the stride forgot": ConvGeometry.of_conv((8, 9), (3, 2), (3, 2), (1, 0)),
    "2d, groups": ConvGeometry.of_conv((6, 5), 3, 1, 1, groups=2),
    "2d, output padding": ConvGeometry.of_transposed((3, 4), 4, 2, 1, output_padding=1),
    "3d": ConvGeometry.of_conv((4, 5, 6), 2, (1, 2, 1), 1),
}


@pytest.mark.parametrize("kernel", bench.INPUTS)
@pytest.mark.parametrize("name", GEOMETRIES)
def test_pytorch_computes_the_same_kernel(kernel, name):
    of, random = bench.Layer(2, 4, 6, GEOMETRIES[name]), np.random.default_rng(0)
    arrays = [random.standard_normal(of.shapes[side]) for side in bench.INPUTS[kernel]]
    theirs = device.torch_kernel(torch, kernel, *map(torch.from_numpy, arrays), of.geometry)
    right = getattr(reference, kernel)(*arrays, of.geometry)
    assert device.distance(theirs.numpy(), right) < 1e-12


@pytest.mark.parametrize("case", gpu.cases()[3:9:2])
def test_the_same_training_steps(case):
    """Both libraries build the networks of benchmarks/steps.py through the same face."""
    before, call = steps.build(device.OnDevice("torch", "cpu"), case)
    assert before() is None and call(None) is None


def test_the_switches_are_both_of_pytorchs(cupy):
    there = device.Device()
    there.torch = torch
    switches = [torch.backends.cuda.matmul, torch.backends.cudnn]
    before = [switch.allow_tf32 for switch in switches]
    for tf32 in (True, False):
        with there.precision(tf32):
            assert [switch.allow_tf32 for switch in switches] == [tf32] * 2
    assert [switch.allow_tf32 for switch in switches] == before


def test_the_contestants_of_a_layer(cupy):
    there = device.Device()
    there.torch, there.torch_where = torch, "cpu"
    shape = ("ResNet", "ResNet 3x3", (1, 2, 4, 4), (2, 2, 3, 3), {"padding": 1})
    found = gpu.convolution(there, gpu.cases([shape], ())[0])
    assert list(found) == gpu.LADDER
    assert [found[name].tf32 for name in (gpu.TORCH, gpu.TORCH_TF32)] == [False, True]
    results = [there.numpy(contestant.call()) for contestant in found.values()]
    assert all(device.distance(result, results[0]) < 1e-5 for result in results)
    assert list(gpu.libraries(there)) == [gpu.OURS_CPU, gpu.OURS, gpu.TORCH]

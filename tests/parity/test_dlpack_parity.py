"""Memory shared with PyTorch through DLPack, both ways."""

import numpy as np
import pytest
import torch

import tinydeconv as td

DTYPES = ["bool", "uint8", "int8", "int16", "int32", "int64", "float16", "float32", "float64"]


@pytest.mark.parametrize("dtype", DTYPES)
def test_to_pytorch(dtype):
    mine = td.zeros(2, 3, dtype=dtype)
    theirs = torch.from_dlpack(mine)
    assert (theirs.shape, str(theirs.dtype)) == ((2, 3), f"torch.{dtype}")
    theirs[1, 2] = 1
    assert mine[1, 2].item() == 1
    mine.data[0, 0] = 1
    assert theirs[0, 0].item() == 1


@pytest.mark.parametrize("dtype", DTYPES)
def test_from_pytorch(dtype):
    theirs = torch.zeros(2, 3, dtype=getattr(torch, dtype))
    mine = td.from_dlpack(theirs)
    assert (mine.shape, mine.dtype) == ((2, 3), dtype) and mine.requires_grad is False
    theirs[1, 2] = 1
    assert mine[1, 2].item() == 1
    mine.data[0, 0] = 1
    assert theirs[0, 0].item() == 1


@pytest.mark.parametrize(
    "view",
    [
        lambda x: x[:, 1:],
        lambda x: x[::2],
        lambda x: x.T,
        lambda x: x[1],
        lambda x: x[:0],
        lambda x: x[None],
    ],
)
def test_strides_both_ways(view):
    mine = td.arange(12).reshape(4, 3)
    shared = torch.from_dlpack(view(mine))
    assert shared.tolist() == view(mine).tolist()
    theirs = torch.arange(12).reshape(4, 3)
    assert td.from_dlpack(view(theirs)).tolist() == view(theirs).tolist()
    if shared.numel():
        shared.fill_(-1)
        assert (mine.data == -1).sum() == shared.numel()


def test_negative_strides_go_out_as_a_copy():
    """PyTorch aborts the whole process on them."""
    mine = td.arange(6).reshape(2, 3).flip(1)
    assert any(step < 0 for step in mine.data.strides)
    theirs = torch.from_dlpack(mine)
    assert theirs.tolist() == mine.tolist() == [[2, 1, 0], [5, 4, 3]]
    theirs.fill_(-1)
    assert mine.tolist() == [[2, 1, 0], [5, 4, 3]]
    assert torch.from_dlpack(td.tensor(np.arange(6.0))[::2].flip(0)).tolist() == [4, 2, 0]


def test_gradients_are_not_dropped_in_silence():
    with pytest.raises(BufferError, match="detach"):
        torch.from_dlpack(td.ones(2, requires_grad=True))
    with pytest.raises(BufferError, match="detach"):
        torch.from_dlpack(td.ones(2, requires_grad=True) * 2)
    assert torch.from_dlpack(td.ones(2, requires_grad=True).detach()).tolist() == [1, 1]
    with pytest.raises(Exception, match="gradient"):
        td.from_dlpack(torch.ones(2, requires_grad=True))


def test_memory_outlives_its_first_owner():
    theirs = torch.from_dlpack(td.full((1000,), 7.0))
    mine = td.from_dlpack(torch.full((1000,), 7.0))
    assert theirs.sum() == mine.sum().item() == 7000

"""The functions td.*, the methods and operators of Tensor, and what they give at ties and kinks.

A case is one line of Python that both libraries run: `m` is tinydeconv or torch, the other names
are INPUTS. Where PyTorch needs another line it follows after <>. Gradients and second derivatives
are held too, wherever there are any.
"""

import ast
import operator  # noqa: F401 -- the lines use it
import re

import numpy as np
import pytest
import torch
from both import Fixed, agree, array, numbers, spread

import tinydeconv as td
from tinydeconv import ops

integers = np.random.default_rng(0).integers
INPUTS = {
    "x": spread(2, 3, 4),
    "y": spread(2, 3, 4, seed=1) + 0.033,
    "p": numbers(2, 3, 4) ** 2 + 0.3,
    "q": numbers(2, 3, 4, seed=1) ** 2 + 0.3,
    "row": spread(4) + 0.011,
    "col": spread(3, 1) + 0.017,
    "matrix": numbers(3, 4),
    "square": numbers(3, 3),
    "tall": numbers(4, 5),
    "stack": numbers(2, 5, 4),
    "cube": numbers(2, 3, 3),
    "deep": numbers(3, 2, 2, 4),
    "thin": numbers(1, 3, 1, 4),
    "unit": spread(2, 3) / 0.7,
    "number": np.array(0.7),
    "empty": numbers(0, 3),
    "ties": np.array([[1.0, 3.0, 3.0], [3.0, -2.0, -2.0]]),
    "more": np.array([[1.0, 2.0, 3.0], [3.0, -2.0, 5.0]]),
    "zero": np.zeros((2, 3)),
    "flat": np.full((2, 3), 1.7),
    "special": np.array([-np.inf, -3e4, -1.0, -0.0, 0.0, 2.0, 800.0, np.inf, np.nan]),
    "low": np.full((2, 3), -np.inf),
    "i": integers(-4, 5, (2, 3, 4)),
    "j": integers(1, 4, (2, 3, 4)) * np.array([1, -1, 1, -1]),
    "small": integers(0, 9, (2, 3)).astype(np.uint8),
    "mask": integers(0, 2, (2, 3, 4)).astype(bool),
    "rows": np.array([True, False]),
    "at": np.array([2, 0, -1, 2]),
    "other": np.array([[0], [1]]),
    "picks": integers(0, 3, (2, 2, 4)),
    "constant": Fixed(numbers(2, 3, 4, seed=2) ** 2 + 0.3),
}


def facts(tensor):
    """What random numbers have in common: shape, dtype, and on which side of 0 they lie."""
    found = array(tensor)
    side = "few" if found.size < 300 else "both" if (found < 0).any() else "positive"
    return (*found.shape, str(found.dtype), side)


def name_of(dtype):
    return str(dtype).removeprefix("torch.")


def F(m):
    return m.nn.functional


def each(names, *calls):
    return [f"m.{name}({call})" for name in names.split() for call in calls]


BINARY = (
    "p, q", "p, row**2", "col**2, p", "p[:, :1], q", "p, number", "p, p", "empty, number",
    "constant, p", "p.mT[:, ::2], q.mT[:, 1::2]", "p, i", "i, j",
)  # fmt: skip
UNARY = "p", "p.mT[:, ::2, 1:]", "p[::2].mT", "number", "empty"
COMPARED = "i, j", "i, 1", "special, 2.0", "mask, i", "i, number", "x, row"
REDUCED = (
    "x", "x, 1", "x, -1", "x, dim=(0, 2)", "x, dim=2, keepdim=True", "x, (0, -2), keepdim=True",
    "x.mT[:, ::2], 1", "number",
)  # fmt: skip
FUNCTIONS = [
    *each("add sub mul div pow", *BINARY[:-1], "p, 2.5"),
    *each("maximum minimum", *BINARY),
    *each("exp log sqrt sin cos tanh sigmoid abs neg relu", *UNARY),
    *each("exp sin cos tanh sigmoid abs neg relu", "x", "i"),
    *each("exp log sqrt sin cos tanh sigmoid", "small", "mask"),
    *each("exp log sqrt tanh sigmoid", "special"),
    *each("eq ne lt le gt ge", *COMPARED),
    *each("sum mean amax amin", *REDUCED),
    *each("var std", *REDUCED[:-1]),
    *each("norm", "x", "x, dim=2, keepdim=True", "number"),
    *each("logsumexp", *REDUCED[1:-1]),
    *each("all any", *(call.replace("x", "mask") for call in REDUCED[:-1]), "i, 1", "mask[:0]"),
    *each("argmax argmin", "x", "x, 1", "x, dim=-1, keepdim=True", "ties", "ties, 1", "i, 0"),
    *each("max min", "x", "x, 1", "x, dim=0, keepdim=True", "x, y", "i, 1", "i", "mask"),
    *each("rand randn", "2, 3", "(2, 3)", "[300, 4], dtype=m.float64", "0, 3"),
    *each("rand randn", "400, dtype=m.float16"),
    *each("rand_like randn_like", "x", "m.zeros(300)", "x, dtype=m.float32"),
    *each("randint", "1, 10, (2, 3)", "10, (300,)", "-5, 5, (300,), dtype=m.float32"),
    *each("randint_like", "i, 10", "m.zeros(300), 5, 9"),
]
FUNCTIONS = [f"facts({line})" if line.startswith("m.rand") else line for line in FUNCTIONS]
FUNCTIONS += re.split(
    r";\s|\n",
    """
m.add(small, 1); m.add(mask, mask); m.sub(i, j); m.sub(small, 1); m.mul(i, j); m.mul(mask, x)
m.mul(small, 2); m.div(i, j); m.div(i, 2); m.div(x, j)
m.pow(x, 0); m.pow(x, 1); m.pow(x, 2); m.pow(x, 3); m.pow(p, 0.5); m.pow(p, -1.5); m.pow(2.0, x)
m.pow(i, 2); m.pow(i, 0.0); m.pow(2, j.abs())
m.maximum(p, 2.5) <> m.maximum(p, m.tensor(2.5)); m.minimum(p, 2.5) <> m.minimum(p, m.tensor(2.5))
m.floor_divide(x, y) <> m.floor_divide(x, y).detach()
m.floor_divide(x, 0.7) <> m.floor_divide(x, 0.7).detach()
m.floor_divide(i, j); m.floor_divide(i, 3); m.floor_divide(i, -3); m.floor_divide(i, 0.7)
m.floor_divide(small, 4)
m.remainder(x, y); m.remainder(x, 0.7); m.remainder(x, number); m.remainder(small, 4)
m.remainder(i, j); m.remainder(i, 3); m.remainder(i, -3); m.remainder(i, 0.7); m.remainder(7, j)
m.remainder(0.7, y) <> 0.7 - (0.7 / y).floor() * y; m.remainder(constant * 1e10, p)
m.acos(unit); m.asin(unit); m.atan(x); m.tan(x); m.sinh(x); m.cosh(x); m.sinh(small)
m.erf(x); m.erf(special); m.erf(small); m.expm1(x); m.expm1(special[:7]); m.log1p(p)
m.log1p(special)
m.log2(p); m.log10(p); m.log2(small); m.rsqrt(p); m.rsqrt(small); m.reciprocal(x); m.reciprocal(i)
m.square(x); m.square(i); m.sign(x); m.sign(i); m.sign(special)
m.floor(x); m.floor(special); m.floor(i); m.ceil(x); m.ceil(i); m.trunc(x); m.trunc(i)
m.round(x); m.round(x * 10 + 0.5); m.round(x, decimals=1); m.round(x * 100, decimals=-1); m.round(i)
m.isnan(special); m.isinf(special); m.isfinite(special); m.isfinite(i); m.isnan(mask)
m.isinf(small)
m.logical_and(x, i); m.logical_or(mask, i); m.logical_xor(mask, i); m.logical_not(i)
m.logical_not(special)
m.bitwise_and(i, 3); m.bitwise_or(i, j); m.bitwise_xor(mask, mask[:1]); m.bitwise_not(i)
m.add(x, y, alpha=2.5); m.add(i, j, alpha=3); m.add(x, 1, alpha=2); m.sub(x, y, alpha=-0.5)
m.sub(i, 2, alpha=3); m.lerp(x, y, 0.3); m.lerp(x, y, p)
m.div(x, y, rounding_mode="floor") <> m.div(x, y, rounding_mode="floor").detach()
m.div(x, y, rounding_mode="trunc") <> m.div(x, y, rounding_mode="trunc").detach()
m.div(i, j, rounding_mode="floor"); m.div(i, j, rounding_mode="trunc")
m.div(i, -2, rounding_mode="trunc")
m.div(small, 2, rounding_mode="trunc"); m.div(x, y, rounding_mode=None)
m.clamp(x, row, row + 0.4); m.clamp(x, min=col); m.clamp(x, max=y); m.clamp(x, row, row - 1)
m.clamp(i, min=j); m.clamp(x, min=number)
m.clamp(x, -0.5, 0.5); m.clamp(x, min=0.1); m.clamp(x, max=0.1); m.clamp(x, 1.0, -1.0)
m.clamp(i, -1, 1); m.clamp(i, min=0.5); m.clamp(special, -1.0, 1.0)
m.where(mask, x, y); m.where(mask, x, 2.0); m.where(mask, 1.5, x); m.where(mask[:, :1], x, row)
m.where(mask[0], col, row); m.where(mask, i, x); m.where(mask, i, 2); m.where(mask, i, 2.5)
m.where(mask, 1, 2)
m.sum(empty); m.sum(empty, 0); m.sum(empty, 1); m.sum(i); m.sum(mask, 1); m.sum(small)
m.sum(x, 1, dtype=m.float32); m.sum(i, dtype=m.float64); m.mean(i, dtype=m.float32)
m.var(x, correction=0); m.var(x, 1, correction=2); m.std(x, correction=0); m.std(x, 1, correction=2)
m.all(x); m.any(x); m.amax(i, 1); m.amin(i, 1); m.argmax(special); m.argmin(-special)
m.logsumexp(i, 1); m.logsumexp(special[:7], 0)
m.softmax(i, 1, dtype=m.float64); m.softmax(x, 1); m.softmax(x, dim=-1); m.softmax(special[:7], 0)
m.softmax(empty, 1)
m.log_softmax(i, 0, dtype=m.float64); m.log_softmax(x, 1); m.log_softmax(x, dim=-1)
m.log_softmax(special[:7], 0)
m.log_softmax(empty, 1); m.softmax(x * 300, 0); m.log_softmax(x * 300, 0)
m.norm(x, 2, 1); m.norm(x, 2, (0, -2), True); m.norm(x.mT[:, ::2], dim=1); m.norm(empty, 2, 1)
m.norm(x, "fro"); m.norm(x, "fro", (0, 1)); m.norm(x, 0, 1); m.norm(x, 0); m.norm(x, -1, 0)
m.norm(x, -2.5)
m.norm(x, float("-inf"), 1); m.norm(x, 1); m.norm(x, 1, 2, True); m.norm(x, 3, 1)
m.norm(x, 0.5, dim=(0, 1)); m.norm(x, 2.5)
m.norm(x, float("inf")); m.norm(x, p=float("inf"), dim=2)
m.matmul(row, row); m.matmul(matrix, row); m.matmul(row, tall); m.matmul(matrix, tall)
m.matmul(x, tall); m.matmul(x, row); m.matmul(matrix[:, :3], x); m.matmul(row[:3], x)
m.matmul(x, stack.mT); m.matmul(deep, tall); m.matmul(deep, stack.mT); m.matmul(x[:1], stack.mT)
m.matmul(deep[:, :1], stack.mT); m.matmul(matrix.T, matrix); m.matmul(empty, square)
m.matmul(empty.mT, empty); m.matmul(i, i.mT); m.matmul(empty, matrix[:, 0])
m.einsum("ij->ji", matrix); m.einsum("ij->", matrix); m.einsum("ij->i", matrix)
m.einsum("ij,jk->ik", matrix, tall); m.einsum("ij,jk", matrix, tall)
m.einsum("bij,jk->bik", x, tall); m.einsum("bij,bkj->bik", x, stack)
m.einsum("i,j->ij", row, row); m.einsum("i,i", row, row); m.einsum("ij,ij->", matrix, matrix)
m.einsum("ii->i", square); m.einsum("ii", square); m.einsum("bii->b", cube)
m.einsum("bij,bij->bij", x, y); m.einsum("...i,i->...", x, row)
m.einsum("...ij,...jk->...ik", deep, tall); m.einsum("b...,b...->...", x, y)
m.einsum("ij,kj,kl->il", matrix, square[:, :1].expand(3, 4), square)
m.einsum("ij,j,i->", matrix, row, matrix[:, 0]); m.einsum("bij,bij->b", x, x[:, :, :1])
m.einsum("ij,ij->ij", matrix, col); m.einsum("zA,A->z", matrix, row)
m.einsum("ij,jk", [matrix, tall]); m.einsum(",i->i", number, row)
m.einsum("ij,jk->ik", empty, square); m.einsum("ji,jk->ik", empty, empty)
m.reshape(x, (4, 6)); m.reshape(x.mT, (-1, 2)); m.reshape(number, (1, 1)); m.reshape(x, (2, -1))
m.reshape(empty, (3, 0)); m.reshape(x[0, 0, :1], ())
m.flatten(x); m.flatten(x, 1); m.flatten(deep, 1, 2); m.flatten(deep, -2); m.flatten(number)
m.flatten(x.mT, start_dim=0, end_dim=1)
m.permute(x, (2, 0, 1)); m.permute(x, (-1, 1, 0))
m.transpose(x, 0, 1); m.transpose(x, -1, 0); m.transpose(x, 1, 1)
m.squeeze(thin); m.squeeze(thin, 0); m.squeeze(thin, 1); m.squeeze(thin, (0, -2))
m.squeeze(number); m.unsqueeze(x, 0); m.unsqueeze(x, -1); m.unsqueeze(x, 2); m.unsqueeze(number, 0)
m.flip(x, (0,)); m.flip(x, [0, 2]); m.flip(x, (-1,)); m.flip(empty, (0,))
m.cat([x, y]); m.cat([x, y, x], dim=-1); m.cat((x, i), 1); m.cat([empty, matrix.T[:, :3]])
m.cat([m.zeros(0, dtype=m.float64), x, y], 1); m.cat([m.zeros(0), m.zeros(0)])
m.stack([x, y]); m.stack([x, y], dim=-1); m.stack((x, i), 1); m.stack([number, number])
m.split(x, 2, 1); m.split(x, [1, 0, 3], dim=-1); m.split(x, 1); m.split(x, 5)
m.cumsum(x, 1); m.cumsum(x, dim=-1); m.cumsum(i, 0); m.cumsum(mask, 1)
m.cumsum(i, 0, dtype=m.float32); m.cumsum(i, 0, dtype=m.int32)
m.cumsum(number, 0); m.cumsum(empty, 0); m.cumsum(small, 1)
m.prod(x); m.prod(x, 1); m.prod(x, dim=-1, keepdim=True); m.prod(i, 1); m.prod(small)
m.prod(mask, 0)
m.prod(empty); m.prod(empty, 0); m.prod(empty, 1); m.prod(number); m.prod(i, 0, dtype=m.float32)
m.prod(zero, 1); m.prod(zero); m.prod(ties - 3, 1); m.prod(ties * (ties > 0), 0); m.prod(special)
m.diff(x); m.diff(x, 2, 1); m.diff(x, dim=0, n=3); m.diff(i); m.diff(mask); m.diff(row)
m.diff(x, prepend=y); m.diff(x, dim=1, append=y[:, :1]); m.diff(x, 1, 0, x, y); m.diff(empty, dim=0)
m.var(x, unbiased=False); m.var(x, 1, False); m.var(x, 1, True, True); m.std(x, unbiased=False)
m.std(x, (0, 1), False, True); m.var_mean(x); m.var_mean(x, 1)
m.var_mean(x, dim=(0, 2), keepdim=True)
m.var_mean(x, 1, False); m.var_mean(x, 1, correction=2); m.std_mean(x); m.std_mean(x, 1, True, True)
m.std_mean(x, dim=1, correction=0); m.std_mean(x, 1, unbiased=False, keepdim=True)
m.sort(x); m.sort(x, 1); m.sort(x, dim=0, descending=True); m.sort(ties, stable=True)
m.sort(ties, 0, descending=True, stable=True) <> m.sort(ties, dim=0, descending=True, stable=True)
m.sort(i, 1, True, True)[0] <> m.sort(i, 1, True)[0]; m.sort(i, stable=True); m.sort(special)
m.sort(special, descending=True)[0]
m.sort(mask, 1, stable=True) <> m.sort(mask, dim=1, stable=True)
m.sort(number); m.sort(empty, 0); m.sort(small, stable=True)
m.argsort(x); m.argsort(x, 1); m.argsort(x, -1, True); m.argsort(ties, dim=1, stable=True)
m.argsort(i, dim=1, descending=True, stable=True); m.argsort(number)
m.topk(x, 2); m.topk(x, 2, 1); m.topk(x, k=3, dim=1, largest=False); m.topk(x, 4, -1, True, True)
m.topk(i, 1)[0]; m.topk(x, 0); m.topk(number, 1); m.topk(x, 2, sorted=True)
m.count_nonzero(i); m.count_nonzero(i, 1); m.count_nonzero(mask, dim=(0, 2)); m.count_nonzero(x)
m.isclose(x, y); m.isclose(x, x * 1.001, rtol=1e-2); m.isclose(x, x + 1e-3, atol=1e-2)
m.isclose(number, number); m.allclose(number, number)
m.isclose(special, special); m.isclose(special, special, equal_nan=True); m.isclose(i, j)
m.allclose(x, x * (1 + 1e-7)); m.allclose(x, y); m.allclose(x, y, rtol=5.0, atol=5.0)
m.allclose(special, special); m.allclose(special, special, equal_nan=True)
m.equal(x, x * 1); m.equal(x, y); m.equal(row, x); m.equal(special, special)
m.transpose(number, 0, -1); m.gather(number, 0, at[1]); m.gather(number, 0, at[1:2] * 0)
m.scatter(number, 0, at[1], number * 2); m.scatter(number, 0, at[1:2], 7.0)
m.scatter_add(number, 0, at[1:2], row[:1]); m.index_select(number, 0, at[1:2])
m.max(number, 0); m.min(number, -1); m.softmax(number, 0); m.log_softmax(number, -1)
m.argmax(number, 0); m.sum(number, 0); m.amax(number, -1, True); m.var(number, 0, correction=0)
m.all(number, 0)
m.squeeze(number, 0); m.flip(number, (0,)); m.logsumexp(number, 0); m.unbind(x); m.unbind(x, -1)
m.chunk(x, 2); m.chunk(x, 3, 2); m.chunk(x, 3, dim=-1); m.chunk(x, 9, 1); m.chunk(empty, 2)
m.narrow(x, 2, 1, 2); m.narrow(x, dim=-2, start=-2, length=1); m.narrow(x, 0, 0, 0)
m.movedim(x, 0, 2); m.movedim(x, (0, 1), (-1, 0))
m.movedim(deep, source=(3, 1), destination=(0, 2))
m.unflatten(empty, 1, (-1, 1)); m.unflatten(x, 2, (2, 2)); m.unflatten(x, dim=-1, sizes=(2, -1))
m.clone(x); m.clone(x.mT)
m.clone(i)
m.meshgrid(row, col[:, 0], indexing="ij"); m.meshgrid(row, col[:, 0], indexing="xy")
m.meshgrid(row, col[:, 0], row, indexing="xy"); m.meshgrid(row, number, indexing="ij")
m.repeat_interleave(x, 2, 1); m.repeat_interleave(x, 3); m.repeat_interleave(x, repeats=2, dim=-1)
m.repeat_interleave(x, m.tensor([1, 0, 2]), dim=1); m.repeat_interleave(i, 2, 0)
m.index_select(x, 1, at[:2]); m.index_select(x, dim=-1, index=picks[0, 0])
m.index_select(i, 0, at[1])
m.index_select(x, 1, other[:, 0][:0])
m.masked_fill(x, mask, 2.5); m.masked_fill(x, mask[0], number); m.masked_fill(i, mask, 7)
m.masked_fill(row, mask, -1.0); m.masked_fill(mask, mask, False)
m.masked_fill(x, mask, float("-inf"))
m.masked_select(x, mask); m.masked_select(x, mask[0]); m.masked_select(row, mask)
m.masked_select(i, mask)
m.nonzero(i, as_tuple=True); m.nonzero(number, as_tuple=True); m.nonzero(i); m.nonzero(mask)
m.nonzero(x * mask); m.nonzero(empty); m.nonzero(number)
m.roll(x, 1); m.roll(x, -2, 1); m.roll(x, (1, -1), (0, 2)); m.roll(x, shifts=5, dims=-1)
m.roll(i, 3)
m.tril(matrix); m.triu(x); m.tril(x, 1); m.triu(matrix, -1); m.tril(i, diagonal=-1); m.triu(mask)
m.tril(empty); m.triu(square / 0 * 0 + square, 1)
m.diagonal(matrix); m.diagonal(x, 1); m.diagonal(x, -1, 1, 2)
m.diagonal(deep, offset=0, dim1=-1, dim2=0)
m.diagonal(square, 5); m.diag(row); m.diag(row, 2); m.diag(row, diagonal=-1); m.diag(matrix)
m.diag(matrix, 1); m.diag(i[0], -1); m.trace(matrix); m.trace(i[0])
m.scatter(x, 1, m.argsort(y, 1), y); m.scatter(x, 2, m.argsort(x)[:1, :2], y[:1, :2])
m.scatter(x, 1, picks, 2.5)
m.scatter(i, dim=-1, index=picks[:, :, :1], src=j); m.scatter(x, 0, picks[:1, :, :] % 2, y[:1, :2])
m.scatter_add(x, 1, picks, y[:, :2]); m.scatter_add(x, 2, picks[:, :, :2], y[:, :2, :2])
m.scatter_add(i, 1, picks, j)
m.scatter_add(x, dim=0, index=picks % 2, src=y[:, :2])
m.bmm(cube, cube.mT); m.dot(row, row); m.mm(matrix, tall); m.mv(matrix, row)
m.outer(row, col[:, 0])
m.outer(i[0, 0], row); m.eye(3); m.eye(2, 4); m.eye(3, dtype=m.float64); m.eye(0); m.eye(2, m=3)
facts(m.randperm(300)); facts(m.randperm(0)); m.sort(m.randperm(9, dtype=m.int32))[0]
m.gather(x, 1, picks); m.gather(x, -2, picks[:1]); m.gather(x, 1, picks[:, :, :2])
m.gather(i, 1, picks)
m.tensor([1, 2]); m.tensor([[1.0, 2], [3, 4]]); m.tensor(True); m.tensor(np.float64(2))
m.tensor([]); m.tensor(np.int32([1])); m.tensor([1, 2], dtype=m.float64); m.tensor([True, False])
m.tensor([True, 2]); m.tensor([m.tensor(1), m.tensor(2)]); m.tensor([[], []])
m.tensor([np.ones(2)]); m.tensor([np.float64(2), 1.0]); m.tensor([m.tensor(1.0, dtype=m.float64)])
m.tensor([np.float16(1), 1]); m.tensor([np.float16(1), 1.5]); m.tensor([np.int64(1), 2.0])
m.tensor([[1, np.float64(2)], [3.5, True]]); m.tensor([m.ones(2, dtype=m.float64)[0], 1.0])
m.asarray([1, 2]); m.asarray([1.5]); m.asarray(np.ones(3)); m.asarray(True)
m.asarray(np.float64(2)); m.asarray([1], dtype=m.float32)
m.from_dlpack(np.arange(6.0).reshape(2, 3)); m.from_numpy(np.arange(6).reshape(2, 3))
m.zeros(2, 3); m.zeros((0, 3), dtype=m.float64); m.zeros(2, dtype=m.bool); m.zeros_like(mask)
m.zeros_like(x); m.zeros_like(i, dtype=m.float64)
m.ones(2, 3); m.ones((2, 3), dtype=m.int64); m.ones(()); m.ones([2])
m.ones_like(x); m.ones_like(i); m.ones_like(i, dtype=m.float64)
m.full((2, 3), 7); m.full((2,), 0.5); m.full((), True); m.full([2], 1, dtype=m.float64)
m.full_like(i, 7); m.full_like(x, 0.5, dtype=m.float32); m.full_like(small, 2.9)
m.arange(5); m.arange(2, 9, 3); m.arange(3.0); m.arange(5, 0, -2); m.arange(0, 1, 0.3)
m.arange(3, dtype=m.float64); m.arange(0)
m.linspace(0, 1, 5); m.linspace(3, -1, 4, dtype=m.float64); m.linspace(2, 5, 1)
name_of(m.result_type(i, 1.5)); name_of(m.result_type(x, 1))
""".strip(),
)
METHODS = re.split(
    r";\s|\n",
    """
x.astype(m.float32) <> x.to(m.float32); i.astype(m.float64) <> i.to(m.float64)
x.astype(m.int64) <> x.to(m.int64); x.to(m.float32); x.to("cpu"); i.to(x); x.to(m.int32)
i.bool(); x.bool(); i.double(); x.double(); i.float(); x.float(); mask.float(); x.int(); x.long()
mask.long(); x.cpu()
row.expand(2, -1); col.expand(-1, 4); col.expand((2, 3, 5)); number.expand(3); x.expand(2, 3, 4)
row.expand_as(x); x.reshape_as(y.mT); x.reshape(4, 6); x.reshape(-1); x.permute(2, 0, 1)
x.sum_to((3, 1)) <> x.sum_to_size((3, 1)); x.sum_to((2, 3, 4)) <> x; x.sum_to(()) <> x.sum()
x.repeat(2, 1, 3); x.repeat(2, 1, 1, 2); row.repeat((2, 2)); x.repeat(0, 1, 1); i.repeat(1, 2, 1)
number.repeat(2, 3); x.contiguous(); x.view(4, 6); x.view(-1); x.view((6, 4))
x.view_as(y); x.half(); i.half(); row.t(); number.t(); x.to(dtype=m.float32); x.to("cpu", m.float32)
i.to(device="cpu", dtype=m.float64); x.flip(0); x.flip(0, 1); x.where(mask, y); x.where(mask, 0.0)
matrix.t(); matrix.T; x.mT
""".strip(),
)
OPERATORS = {
    "__abs__": "abs(x)",
    "__add__": "x + y; x + 2; i + 1; i + 0.5",
    "__and__": "mask & (x > 0); i & 3; mask & True",
    "__eq__": "x == y; i == 1; i == i; i == True",
    "__floordiv__": "x // y <> (x // y).detach(); i // 2; 9 * i // j",
    "__ge__": "x >= y; x >= 0",
    "__getitem__": """
x[1]; x[-1]; x[0, 1]; x[0, 1, 2]; x[:, 1:]; x[..., 0]; x[None]; x[:, None, 1]; x[1:, ::2, -2:]
x[5:]; x[..., None, 1:2]; x[:, :, :, None]; x[...]; x[()]; x[at[1]]; x[np.int64(1)]; x[True]
x[:, at]; x[..., at[:2]]; x[[1, 0, 1]]; x[[0, 1], [1, 2]]; x[:, [0, 2, 0]]; x[[0, 1], :, [1, 3]]
x[other, [0, 2]]; x[0, at]; x[at[1:2], 1, :]; x[:, at[:2], None]; x[[[0, 1], [1, 0]],]; x[[]]
x[mask]; x[rows]; x[mask[:, :, 0]]; x[x > 0.5]; x[rows, 1]; x[rows, [0]]; x[mask & False]
x[1, :, [2, 0, 0]]; x[:, [2, 0], ..., [1, 3]]; x[[1], ..., mask[0]]; x[:, 1, at[:2]]
deep[0, :, :, at]; deep[at[:2], 0, :, 1]; deep[:, 0, :, at]
deep[None, 1, ..., at]; deep[..., 1, at]; deep[-1, [0, 1], :, [1, 2]]; x[1, rows.any(), :, at]
x[:, [True, False, True]]; x[..., [True, False, True, False]]; x[np.array([1, 0])]; i[mask]
""".strip(),
    "__gt__": "x > y; 0 < x; np.float64(0) < x",
    # in place on a copy: PyTorch writes into it, tinydeconv makes a new tensor
    "__iadd__": "operator.iadd(x * 1, y); operator.iadd(i * 1, 2)",
    "__iand__": "operator.iand(mask & True, x > 0); operator.iand(i * 1, 3)",
    "__ifloordiv__": "operator.ifloordiv(i * 1, j)",
    "__imatmul__": "operator.imatmul(matrix * 1, tall)",
    "__imod__": "operator.imod(x * 1, y); operator.imod(i * 1, j)",
    "__imul__": "operator.imul(x * 1, y)",
    "__invert__": "~mask; ~i",
    "__ior__": "operator.ior(mask & True, x > 0)",
    "__ipow__": "operator.ipow(p * 1, q)",
    "__isub__": "operator.isub(x * 1, y)",
    "__iter__": "tuple(x); [r.sum() for r in matrix]",
    "__itruediv__": "operator.itruediv(x * 1, y)",
    "__ixor__": "operator.ixor(mask & True, x > 0)",
    "__le__": "x <= y; 0 >= x",
    "__lt__": "x < y; 0 > x",
    "__matmul__": "matrix @ tall; x @ row",
    "__mod__": "x % y; i % 3",
    "__mul__": "x * y; x * 2; x * True; i * 2.5",
    "__ne__": "x != y; i != 1",
    "__neg__": "-x; -i",
    "__or__": "mask | (x > 0); i | 1",
    "__pos__": "+x",
    "__pow__": "x ** 2; p ** q; i ** 2; p ** -1; p ** 0.5",
    "__radd__": "2 + x; 2 + i",
    "__rand__": "3 & i",
    "__rfloordiv__": "7 // y <> (7 // y).detach(); 7 // j",
    "__rmatmul__": "tall.__rmatmul__(matrix)",
    "__rmod__": "7 % y <> 7 - (7 / y).floor() * y; 7 % j",
    "__rmul__": "2 * x; np.float64(2) * x",
    "__ror__": "1 | i",
    "__rpow__": "2 ** x; 2.5 ** x; 2 ** j.abs()",
    "__rsub__": "1 - x; 1 - i",
    "__rtruediv__": "1 / x; 1 / j",
    "__rxor__": "3 ^ i",
    "__sub__": "x - y; i - 1",
    "__truediv__": "x / y; i / 2; i / j",
    "__xor__": "mask ^ (x > 0); i ^ 3",
}

# Where there is no derivative, or 0 * inf stands in the formula, ours is PyTorch's choice.
KINKS = re.split(
    r";\s|\n",
    """
m.relu(zero); m.relu(ties - 3); abs(zero); m.clamp(ties, -2.0, 3.0); m.clamp(ties, min=3.0)
m.clamp(ties, 3.0, 1.0); F(m).leaky_relu(zero, 0.3); F(m).leaky_relu(zero, -0.3)
F(m).prelu(zero, flat[0, :1]); F(m).prelu(zero, flat[0]); F(m).l1_loss(ties, more)
F(m).max_pool1d(flat, 2, 1, return_indices=True)
F(m).max_pool1d(ties, 3, 1, 1, return_indices=True)
m.max(ties); m.min(ties); m.amax(ties); m.amax(ties, 1); m.amin(ties, (0, 1)); m.max(ties, 1)
m.amax(ties, dim=0, keepdim=True); m.max(ties, 0); m.min(ties, 1); m.max(flat, 1)
m.maximum(ties, more); m.minimum(ties, more); m.max(ties, more); m.maximum(ties, ties)
m.maximum(ties[:, :1], more); ties.max(dim=1); ties.min(0)
m.norm(zero); m.norm(zero, dim=1); m.norm(zero, 1); m.norm(zero, 1.5); m.norm(zero, 3)
m.norm(zero, float("inf"), 1); m.norm(ties, float("inf"), 1); m.norm(ties, float("inf"))
m.norm(ties - 3, 3, 0); m.norm(ties - 3, 1, 0); m.norm(empty); m.norm(empty, 1)
m.std(flat); m.std(flat, 1); m.std(zero); m.std(zero, 0, correction=0); m.var(flat)
m.std(number[None]); m.var(number[None]); m.var(empty, 0); m.mean(empty); m.mean(empty, 0)
zero ** 0; zero ** 0.0; zero ** zero; zero ** 1; zero ** 2; zero ** 3; zero ** 0.5; zero ** more
zero ** -1.0; 0.0 ** more; 0.0 ** zero
m.sqrt(zero); m.log(zero); m.where(zero == 0, zero, m.sqrt(zero)); m.sigmoid(special)
zero / zero; ties / zero; ties % 3; ties // 3 <> (ties // 3).detach(); zero.sum() / flat.sum()
ties // zero <> (ties // zero).detach(); m.logsumexp(x * 300, 1)
m.logsumexp(low, 1); m.logsumexp(special[:7], 0); m.softmax(special[:3], 0); m.softmax(low, 1)
m.relu(special[:8]); abs(special[:8]); m.amax(special[:8]); m.max(special, 0)
m.max(special); m.min(special)
m.maximum(special, special.flip((0,))); m.minimum(special, special.flip((0,)))
x.sum(()); x.mean(()); x.amax(()); x.amin((), keepdim=True); x.norm(2, ()); mask.all(())
m.softmax(empty, 0); m.log_softmax(empty, 0); m.softmax(empty, 1); m.logsumexp(empty, 0)
m.logsumexp(empty, 1); ties % float("inf"); ties % -float("inf"); special % ties[:, :1]
ties * 1e10 % 3; ties % zero; small == -1; small < 260; small + 300; small * -1; 300 - small
small.to(m.int8) - 200; small + 2**63 <> small; small >= -1; small & 300; small // 300
""".strip(),
)


def holds(line, dtype, order=2):
    """Runs the line in both libraries and compares."""
    mine, _, theirs = line.partition(" <> ")
    used = {node.id for node in ast.walk(ast.parse(mine)) if isinstance(node, ast.Name)}
    names = [name for name in INPUTS if name in used]

    def run(source, m):
        return lambda *values: eval(source, globals(), {"m": m, **dict(zip(names, values))})

    inputs = [INPUTS[name] for name in names]
    agree(run(mine, td), run(theirs or mine, torch), inputs, dtype, order)


OPERATIONS = [line for lines in OPERATORS.values() for line in re.split(r";\s|\n", lines)]


@pytest.mark.parametrize("line", dict.fromkeys(FUNCTIONS + METHODS + OPERATIONS))
def test_line(line):
    holds(line, "float64")
    holds(line, "float32", order=1)


@pytest.mark.filterwarnings("ignore:.*degrees of freedom")
@pytest.mark.parametrize("line", KINKS)
def test_kink(line):
    holds(line, "float64", order=1)


def subject(line):
    """The function or method that the line is about: m.NAME(...), x.NAME(...) or x.NAME."""
    node = ast.parse(line.partition(" <> ")[0], mode="eval").body
    while isinstance(node, (ast.Call, ast.Subscript)):
        if isinstance(node, ast.Subscript):  # m.sort(...)[0]
            node = node.value
        else:  # facts(m.rand(...))
            node = node.args[0] if isinstance(node.func, ast.Name) else node.func
    assert isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name), line
    return node.attr


def uncovered():
    """Functions of td, methods, properties and operators of Tensor without a line."""
    functions = {subject(line) for line in FUNCTIONS}
    yield from (name for name in ops.__all__ if name not in functions)
    # a method with the name of a function is that function; moving to a GPU needs one
    covered = {subject(line) for line in METHODS} | set(ops.__all__) - {"where"} | {"cuda"}
    yield from (name for name in {**ops.METHODS, **ops.PROPERTIES} if name not in covered)
    yield from (name for name in ops.OPERATORS if name not in OPERATORS)


def test_everything_has_a_line():
    assert list(uncovered()) == []
    for name in set(ops.METHODS) & set(ops.__all__) - {"where"}:
        assert getattr(td.Tensor, name) is getattr(td, name)


def test_what_has_no_line_is_seen(monkeypatch):
    monkeypatch.setattr(ops, "__all__", [*ops.__all__, "logcumsumexp"])
    monkeypatch.setitem(ops.METHODS, "rot90", None)
    monkeypatch.setitem(ops.PROPERTIES, "H", None)
    monkeypatch.setitem(ops.OPERATORS, "__lshift__", None)
    assert list(uncovered()) == ["logcumsumexp", "rot90", "H", "__lshift__"]

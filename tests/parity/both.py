"""One computation by tinydeconv and by PyTorch: `agree` holds them together, to second order."""

import numpy as np
import torch

import tinydeconv as td

torch.set_num_threads(1)  # the cases are tiny, and waiting threads would spin

# Of the largest number in a result (or of 1): sums are added in another order, no more.
TOLERANCES = {"float64": 1e-12, "float32": 1e-5, "float16": 4e-3}


class Fixed:
    """An array that becomes a tensor without a gradient, such as a running mean."""

    def __init__(self, array):
        self.array = array


def numbers(*shape, seed=0):
    """Normal random numbers in float64."""
    return np.asarray(np.random.default_rng([seed, *shape]).standard_normal(shape))


def spread(*shape, seed=0):
    """Numbers 0.1 apart, in random order, none of them zero: no tie, no kink of max or abs."""
    flat = np.random.default_rng([seed, *shape]).permutation(int(np.prod(shape)))
    return ((flat - len(flat) // 2) / 10 + 0.05).reshape(shape)


def agree(ours, theirs, inputs, dtype="float64", order=2, tolerance=None):
    """ours(*inputs) and theirs(*inputs) give equal results, and equal derivatives up to `order`.

    Floating arrays among the inputs become tensors of `dtype` that require grad, integer and
    boolean ones tensors. Afterwards the inputs must be equal too: untouched, or changed alike.
    """
    mine = derivatives(td, ours, inputs, dtype, order)
    other = derivatives(torch, theirs, inputs, dtype, order)
    for name in {**mine, **other}:
        assert name in mine and name in other or "order 0" not in name, f"one library gives {name}"
        same(mine.get(name), other.get(name), name, tolerance)


def same(mine, other, what="the result", tolerance=None):
    """Equal shape, dtype and numbers (NaNs and infinities too); None is a gradient of zeros."""
    if mine is None or other is None:
        found = array(other if mine is None else mine)
        assert found.dtype == object or not found.any(), f"{what}: one library gives zeros"
        return
    mine, other = array(mine), array(other)
    assert mine.dtype == other.dtype, f"{what}: {mine.dtype} instead of {other.dtype}"
    assert mine.shape == other.shape, f"{what}: {mine.shape} instead of {other.shape}"
    if other.dtype.kind != "f":
        np.testing.assert_array_equal(mine, other, what)
        return
    largest = np.abs(other[np.isfinite(other)], dtype=np.float64).max(initial=1)
    allowed = largest * (TOLERANCES[other.dtype.name] if tolerance is None else tolerance)
    np.testing.assert_allclose(mine, other, rtol=0, atol=allowed, err_msg=what)


def array(value):
    """A NumPy array from either library's tensor, or from a plain number or tuple."""
    if isinstance(value, torch.Tensor):
        return value.numpy(force=True)
    return value.detach().numpy() if isinstance(value, td.Tensor) else np.asarray(value)


def tensor(library, value, dtype="float64"):
    """A value of `agree` as that library's tensor; what is no array stays as it is."""
    if isinstance(value, Fixed):
        return tensor(library, value.array, dtype).detach()
    if not isinstance(value, (np.ndarray, np.generic)):
        return value
    if value.dtype.kind != "f":
        return library.tensor(value)
    return library.tensor(value.astype(dtype)).requires_grad_()


def derivatives(library, function, inputs, dtype="float64", order=2):
    """{name: result} of the function, of the gradients of <c, results>, and so on up to `order`."""
    inputs = [tensor(library, x, dtype) for x in inputs]
    leaves = [x for x in inputs if isinstance(x, library.Tensor) and x.requires_grad]
    grad = td.grad if library is td else torch.autograd.grad
    found, outputs = {}, _flat(function(*inputs))
    for k in range(order + 1):
        found |= {f"result {i} of order {k}": y for i, y in enumerate(outputs)}
        if k == order:
            break
        # A cotangent for every output: the libraries may differ in which gradients have a graph.
        cotangents = [_cotangent(library, y, seed=[k, i]) for i, y in enumerate(outputs)]
        pairs = [
            (y, c)
            for y, c in zip(outputs, cotangents)
            if isinstance(y, library.Tensor) and y.requires_grad
        ]
        if not pairs:
            break
        ys, cs = map(list, zip(*pairs))
        outputs = grad(ys, leaves, cs, create_graph=True, allow_unused=True)
        leaves = leaves + cotangents
    return found | {f"input {i} afterwards": x for i, x in enumerate(inputs)}


def _cotangent(library, output, seed):
    """A random tensor like the output that requires grad; a mere number for no floating tensor."""
    found = array(output)
    shape, dtype = (found.shape, found.dtype) if found.dtype.kind == "f" else ((), "float64")
    return tensor(library, np.float64(np.random.default_rng(seed).standard_normal(shape)), dtype)


def _flat(result):
    if isinstance(result, (tuple, list)):
        return [y for part in result for y in _flat(part)]
    return [result]

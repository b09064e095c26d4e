"""Joining tensors along a dimension, and cutting them up again."""

from ..backend import array_module
from ..engine import Op
from .promotion import promote_all
from .shape import Slice, axis, expand, reshape, squeeze, unsqueeze


class Cat(Op):
    linear = True

    def __init__(self, dim):
        self.dim = dim

    def forward(self, *arrays):
        return array_module(*arrays).concatenate(arrays, axis=self.dim)

    def backward(self, g, y, *inputs, needs):
        parts = split(g, [x.shape[self.dim] for x in inputs], self.dim)
        return tuple(part if need else None for part, need in zip(parts, needs, strict=True))


def cat(tensors, dim=0):
    """Tensors joined along a dimension they have; those of shape (0,) are left out, so that a loop
    can begin with tensor([]).
    """
    tensors = promote_all(*_several("cat", tensors))
    tensors = [x for x in tensors if x.shape != (0,)] or tensors
    first = tensors[0]
    dim = axis(dim, first.ndim)
    for i, x in enumerate(tensors):
        if x.ndim != first.ndim or any(
            n != m for d, (n, m) in enumerate(zip(x.shape, first.shape, strict=True)) if d != dim
        ):
            raise ValueError(
                f"cat along dim {dim} needs equal sizes elsewhere: tensor 0 has shape "
                f"{first.shape}, tensor {i} {x.shape}"
            )
    return Cat(dim)(*tensors)


def stack(tensors, dim=0):
    """Tensors of one shape joined along a new dimension."""
    tensors = _several("stack", tensors)
    for i, x in enumerate(tensors):
        if x.shape != tensors[0].shape:
            raise ValueError(
                f"stack needs equal shapes: tensor 0 has {tensors[0].shape}, tensor {i} {x.shape}"
            )
    return cat([unsqueeze(x, dim) for x in tensors], axis(dim, tensors[0].ndim + 1))


def _several(what, tensors):
    tensors = list(tensors)
    if not tensors:
        raise ValueError(f"{what} needs at least one tensor, got none")
    return tensors


def split(x, split_size_or_sections, dim=0):
    """Pieces along a dimension: of one size (the last may be smaller), or of the listed sizes."""
    dim = axis(dim, x.ndim)
    length, sizes = x.shape[dim], split_size_or_sections
    if isinstance(sizes, int):
        if sizes < 1:
            raise ValueError(f"expected a positive split size, got {sizes}")
        sizes = [min(sizes, length - start) for start in range(0, length, sizes)] or [0]
    if sum(sizes) != length or any(n < 0 for n in sizes):
        raise ValueError(f"the sizes {list(sizes)} do not add up to dimension {dim} of {x.shape}")
    return _cut(x, sizes, dim)


def _cut(x, sizes, dim):
    """Pieces of these sizes, cut by halves: the gradient of a slice is as large as what it was cut
    from, so n slices of x itself would cost n^2 on the way back.
    """
    half = len(sizes) // 2
    if not half:
        return (x,)
    first, second = sizes[:half], sizes[half:]
    return (
        *_cut(narrow(x, dim, 0, sum(first)), first, dim),
        *_cut(narrow(x, dim, sum(first), sum(second)), second, dim),
    )


def chunk(x, chunks, dim=0):
    """At most `chunks` pieces of equal size along a dimension (the last may be smaller)."""
    if chunks < 1:
        raise ValueError(f"expected at least 1 chunk, got {chunks}")
    size = x.shape[axis(dim, x.ndim)]
    return split(x, -(-size // chunks) if size else [0] * chunks, dim)


def narrow(x, dim, start, length):
    """The part of a dimension that begins at `start` (negative: from the end)."""
    dim = axis(dim, x.ndim)
    size = x.shape[dim]
    first = start + size * (start < 0)
    if not 0 <= first <= first + length <= size:
        raise IndexError(
            f"narrow to {length} elements from {start} does not fit dim {dim} of size {size}"
        )
    return Slice((slice(None),) * dim + (slice(first, first + length),))(x)


def unbind(x, dim=0):
    """The slices along a dimension, which goes."""
    dim = axis(dim, x.ndim)
    return tuple(squeeze(row, dim) for row in split(x, 1, dim)) if x.shape[dim] else ()


def meshgrid(*tensors, indexing="ij"):
    """Coordinates of a grid: of vectors of n and m numbers two (n, m) tensors, with "xy" (m, n)."""
    if indexing not in ("ij", "xy"):
        raise ValueError(f"expected indexing 'ij' or 'xy', got {indexing!r}")
    if len(tensors) == 1 and isinstance(tensors[0], (list, tuple)):
        tensors = tuple(tensors[0])
    if indexing == "xy" and len(tensors) > 1:
        first, second, *rest = meshgrid(tensors[1], tensors[0], *tensors[2:])
        return (second, first, *rest)
    shape, n = tuple(x.numel() for x in tensors), len(tensors)
    return tuple(
        expand(reshape(x, *(-1 if i == d else 1 for i in range(n))), shape)
        for d, x in enumerate(tensors)
    )

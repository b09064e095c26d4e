"""Products: matmul, and einsum as a sequence of matmuls."""

import string
from math import prod

from ..engine import Op
from ..kernels import fastest
from .elementwise import mul
from .indexing import diagonal
from .promotion import must_be_tensor
from .reduction import sum
from .shape import movedim, permute, reshape, squeeze, transpose, unsqueeze


class MatMul(Op):
    """Stacks of matrices (..., n, k) @ (..., k, m); the axes in front broadcast."""

    keeps = ("inputs",)
    broadcasts = True

    def forward(self, a, b):
        return fastest(a, b).matmul(a, b)

    def backward(self, g, y, a, b, needs):
        return (
            MatMul()(g, transpose(b, -1, -2)) if needs[0] else None,
            MatMul()(transpose(a, -1, -2), g) if needs[1] else None,
        )


def matmul(a, b):
    """The matrix product with PyTorch's rules: vectors gain an axis and lose it again, the axes in
    front broadcast.
    """
    for operand in (a, b):
        must_be_tensor("an operand of matmul", operand)
    if a.dtype != b.dtype:
        raise TypeError(
            f"matmul needs tensors of one dtype, got {a.dtype} and {b.dtype}; cast one, as in "
            "x.astype(w.dtype)"
        )
    if not a.ndim or not b.ndim or a.shape[-1] != b.shape[-2 if b.ndim > 1 else 0]:
        raise ValueError(
            f"matmul cannot join shapes {a.shape} and {b.shape}: the last size of the first must "
            "equal the second-last (or only) size of the second"
        )
    if a.ndim == 1:
        return squeeze(matmul(unsqueeze(a, 0), b), -2 if b.ndim > 1 else 0)
    if b.ndim == 1:
        return squeeze(matmul(a, unsqueeze(b, 1)), -1)
    if a.ndim > 2 and b.ndim == 2:
        # One product of tall matrices, not a stack whose weight gradients must be added up.
        tall = reshape(a, prod(a.shape[:-1]), a.shape[-1])
        return reshape(MatMul()(tall, b), *a.shape[:-1], b.shape[-1])
    return MatMul()(a, b)


def _product(name, doc, *ndims):
    """matmul for operands of just these numbers of dimensions."""

    def apply(a, b):
        if (a.ndim, b.ndim) != ndims:
            raise ValueError(
                f"{name} expects operands of {ndims[0]} and {ndims[1]} dimensions, got shapes "
                f"{a.shape} and {b.shape}"
            )
        return matmul(a, b)

    apply.__name__ = apply.__qualname__ = name
    apply.__doc__ = doc
    return apply


dot = _product("dot", "The inner product of two vectors.", 1, 1)
mv = _product("mv", "A matrix times a vector.", 2, 1)
mm = _product("mm", "The product of two matrices.", 2, 2)


def bmm(a, b):
    """The products of two stacks of as many matrices: (B, n, k), (B, k, m) -> (B, n, m)."""
    if a.ndim != 3 or b.ndim != 3 or len(a) != len(b):
        raise ValueError(
            f"bmm expects two stacks of as many matrices, got shapes {a.shape} and {b.shape}"
        )
    return matmul(a, b)


def outer(a, b):
    """Each number of a vector times each of another: (n,), (m,) -> (n, m)."""
    if a.ndim != 1 or b.ndim != 1:
        raise ValueError(f"outer expects two vectors, got shapes {a.shape} and {b.shape}")
    return mul(unsqueeze(a, 1), b)


def einsum(equation, *operands):
    """Einstein summation, as in `einsum("bij,bjk->bik", x, y)`; "..." stands for axes that
    broadcast.

    Each operand loses the letters that it repeats (a diagonal) or that nobody else has (a sum);
    then the operands are joined two by two, each time as one batched matmul.
    """
    if len(operands) == 1 and isinstance(operands[0], (list, tuple)):
        operands = tuple(operands[0])
    terms, output = _parse(equation, operands)
    joined, letters = _simplify(operands[0], terms[0], set("".join(terms[1:]) + output))
    for i, (operand, term) in enumerate(zip(operands[1:], terms[1:], strict=True), start=1):
        later = set("".join(terms[i + 1 :]) + output)
        operand, term = _simplify(operand, term, later | set(letters))
        joined, letters = _join(joined, letters, operand, term, later)
        joined, letters = _simplify(joined, letters, later)
    return permute(joined, [letters.index(letter) for letter in output])


def _parse(equation, operands):
    """The letters of each operand and of the output, with "..." spelled out in spare letters."""
    inputs, arrow, output = equation.replace(" ", "").partition("->")
    terms = inputs.split(",")
    if len(terms) != len(operands):
        raise ValueError(f"einsum {equation!r} names {len(terms)} operands, got {len(operands)}")
    spare = [letter for letter in string.ascii_letters if letter not in equation]
    hidden = 0
    for i, (term, x) in enumerate(zip(terms, operands, strict=True)):
        if "..." in term:
            extra = x.ndim - len(term) + 3
            hidden = max(hidden, extra)
            terms[i] = term.replace("...", "".join(reversed(spare[: max(extra, 0)])))
        if len(terms[i]) != x.ndim:
            raise ValueError(
                f"einsum {equation!r} gives operand {i} the letters {term!r}, but its shape is "
                f"{x.shape}"
            )
    broadcast = "".join(reversed(spare[:hidden]))
    if not arrow:  # the classical rule: letters that appear once, in alphabetical order
        named = sorted(set(inputs) - set(",."))
        output = ("..." if "..." in inputs else "") + "".join(
            c for c in named if inputs.count(c) == 1
        )
    output = output.replace("...", broadcast)
    unknown = [letter for letter in output if letter not in "".join(terms)]
    if unknown or len(set(output)) != len(output):
        raise ValueError(
            f"einsum {equation!r}: each letter of the output must appear there once and in some "
            "operand"
        )
    sizes: dict[str, int] = {}
    for i, (term, x) in enumerate(zip(terms, operands, strict=True)):
        own = dict(zip(term, x.shape, strict=True))  # inside one operand nothing broadcasts
        for letter, n in zip(term, x.shape, strict=True):
            known = own[letter] if n != own[letter] else sizes.setdefault(letter, n)
            if n != known and (n != own[letter] or 1 not in (n, known)):
                raise ValueError(
                    f"einsum {equation!r}: {letter!r} is {known} and also {n}, in operand {i} of "
                    f"shape {x.shape}"
                )
            sizes[letter] = max(n, known)
    return terms, output


def _simplify(x, letters, needed):
    """Takes diagonals of repeated letters and sums over letters that nobody needs."""
    for letter in dict.fromkeys(letters):
        while letters.count(letter) > 1:
            first, second = [i for i, c in enumerate(letters) if c == letter][:2]
            x = movedim(diagonal(x, 0, first, second), -1, first)
            letters = letters[:second] + letters[second + 1 :]
    alone = [i for i, letter in enumerate(letters) if letter not in needed]
    if alone:
        x = sum(x, alone)
    return x, "".join(letter for letter in letters if letter in needed)


def _join(a, a_letters, b, b_letters, later):
    """Two operands as one batched matmul: shared letters needed later are the batch, the other
    shared ones are summed over.
    """
    shared = [c for c in a_letters if c in b_letters]
    batch = [
        c
        for c in shared
        if c in later or a.shape[a_letters.index(c)] != b.shape[b_letters.index(c)]
    ]
    summed = [c for c in shared if c not in batch]
    left = [c for c in a_letters if c not in shared]
    right = [c for c in b_letters if c not in shared]
    a = permute(a, [a_letters.index(c) for c in (*batch, *left, *summed)])
    b = permute(b, [b_letters.index(c) for c in (*batch, *summed, *right)])
    n, k, m = len(batch), len(summed), len(right)
    front = tuple(
        max(i, j) if min(i, j) else 0 for i, j in zip(a.shape[:n], b.shape[:n], strict=True)
    )
    outer = a.shape[n : a.ndim - k], b.shape[n + k :]
    if not summed:  # an outer product needs no matmul
        joined = mul(
            reshape(a, *a.shape, *(1,) * m),
            reshape(b, *b.shape[:n], *(1,) * len(left), *b.shape[n:]),
        )
        return joined, "".join((*batch, *left, *right))
    a = reshape(a, *a.shape[:n], prod(outer[0]), prod(a.shape[a.ndim - k :]))
    b = reshape(b, *b.shape[:n], prod(b.shape[n : n + k]), prod(outer[1]))
    return reshape(matmul(a, b), *front, *outer[0], *outer[1]), "".join((*batch, *left, *right))

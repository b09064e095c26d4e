"""What a user may get wrong gets one sentence, with the numbers that were expected and that came.

Sizes alone are refused in test_geometry.py, shapes of single tensors in test_tensor.py.
"""

import numpy as np
import pytest
from refusals import refused

import tinydeconv as td
import tinydeconv.nn.functional as F

x1, x2, x3 = td.ones(2, 4, 9), td.ones(2, 4, 9, 8), td.ones(2, 4, 5, 6, 7)
w1, w2, w3 = td.ones(6, 4, 3), td.ones(6, 4, 3, 3), td.ones(6, 4, 3, 3, 3)
y2 = td.ones(2, 6, 4, 5)  # what conv_transpose2d with w2 takes
m = td.ones(2, 3)
index = td.zeros(2, 4, 3, 2, dtype=td.int64)

CONVOLUTIONS = {
    "too few axes": (lambda: F.conv2d(m, w2), ValueError, (2, 4, 3, "(2, 3)")),
    "too many axes": (lambda: F.conv1d(x2, w1), ValueError, (1, 3, 2, "(2, 4, 9, 8)")),
    "weight of a 2-d layer": (lambda: F.conv1d(x1, w2), ValueError, (3, 1, "(6, 4, 3, 3)")),
    "weight of a 1-d layer": (lambda: F.conv3d(x3, w1), ValueError, (5, 3, "(6, 4, 3)")),
    "channels": (lambda: F.conv2d(y2, w2), ValueError, ("(6, 4, 3, 3)", 4, 6, "(2, 6, 4, 5)")),
    "channels last": (
        lambda: F.conv2d(td.ones(2, 9, 8, 4), w2),
        ValueError,
        (4, 9, "(2, 9, 8, 4)"),
    ),
    "groups and channels": (lambda: F.conv2d(x2, w2, groups=2), ValueError, (2, 8, 4)),
    "groups that do not divide": (
        lambda: F.conv2d(x2, w2, groups=4),
        ValueError,
        (4, "(6, 4, 3, 3)"),
    ),
    "no groups": (lambda: F.conv2d(x2, w2, groups=0), ValueError, ("groups", 0)),
    "bias": (lambda: F.conv2d(x2, w2, td.ones(4)), ValueError, ("(6,)", "(4,)")),
    "bias of two axes": (lambda: F.conv2d(x2, w2, td.ones(6, 1)), ValueError, ("(6,)", "(6, 1)")),
    "kernel larger than the image": (
        lambda: F.conv2d(x2, td.ones(6, 4, 3, 11), padding=1),
        ValueError,
        ("axis 1", 11, "size 8", "(1, 1)", 10),
    ),
    "dilated beyond the image": (
        lambda: F.conv1d(x1, w1, dilation=5),
        ValueError,
        ("axis 0", 3, 5, "spans 11", "size 9"),
    ),
    "empty image": (lambda: F.conv1d(td.ones(2, 4, 0), w1, padding=3), ValueError, ("size 0", 6)),
    "negative padding": (lambda: F.conv2d(x2, w2, padding=(0, -1)), ValueError, ("(0, -1)",)),
    "stride of three": (lambda: F.conv2d(x2, w2, stride=(1, 1, 1)), ValueError, (2, "(1, 1, 1)")),
    "stride zero": (lambda: F.conv2d(x2, w2, stride=0), ValueError, ("stride", "(0, 0)")),
    "integers": (lambda: F.conv2d(x2.long(), w2), TypeError, ("int64", "float32", ".float()")),
    "all integers": (lambda: F.conv2d(x2.long(), w2.long()), TypeError, ("int64", ".float()")),
    "mixed precision": (lambda: F.conv2d(x2, w2.double()), TypeError, ("float32", "float64")),
    "bias precision": (
        lambda: F.conv2d(x2, w2, td.ones(6, dtype=td.float16)),
        TypeError,
        ("bias", "float32", "float16"),
    ),
    "an array": (
        lambda: F.conv2d(x2.numpy(), w2),
        TypeError,
        ("Tensor", "ndarray", "td.tensor(...)"),
    ),
    "an array as weight": (lambda: F.conv2d(x2, w2.numpy()), TypeError, ("Tensor", "ndarray")),
    "stride by position": (lambda: F.conv2d(x2, w2, None, 2), TypeError, ("positional",)),
    "transposed: channels": (
        lambda: F.conv_transpose2d(x2, w2),
        ValueError,
        ("transposed", "(6, 4, 3, 3)", 6, 4, "(2, 4, 9, 8)"),
    ),
    "transposed: axes": (lambda: F.conv_transpose2d(m, w2), ValueError, (2, 4, "(2, 3)")),
    "transposed: bias": (
        lambda: F.conv_transpose2d(y2, w2, td.ones(6)),
        ValueError,
        ("(4,)", "(6,)"),
    ),
    "transposed: grouped bias": (
        lambda: F.conv_transpose2d(y2, w2, td.ones(4), groups=2),
        ValueError,
        ("(8,)", 2, "(4,)"),
    ),
    "transposed: groups": (
        lambda: F.conv_transpose2d(y2, w2, groups=4),
        ValueError,
        (4, "(6, 4, 3, 3)"),
    ),
    "transposed: dtypes": (
        lambda: F.conv_transpose2d(y2.double(), w2),
        TypeError,
        ("float64", "float32"),
    ),
    "transposed: output_padding": (
        lambda: F.conv_transpose2d(y2, w2, stride=2, output_padding=2),
        ValueError,
        (2, "axis 0", "stride 2", "dilation 1"),
    ),
    "transposed: output_size": (
        lambda: F.conv_transpose2d(y2, w2, stride=2, output_size=(9, 14)),
        ValueError,
        (14, "axis 1", 11, 12),
    ),
    "transposed: too many numbers as output_size": (
        lambda: F.conv_transpose2d(y2, w2, output_size=(1, 2, 4, 6, 7)),
        ValueError,
        (2, "(1, 2, 4, 6, 7)"),
    ),
    "transposed: whole shape as output_size": (
        lambda: F.conv_transpose2d(y2, w2, output_size=(2, 4, 6, 9)),
        ValueError,
        (9, "axis 1", 7),
    ),
    "transposed: nothing left": (
        lambda: F.conv_transpose2d(y2, w2, padding=3),
        ValueError,
        ("size 0", "axis 0", "input 4", "kernel 3", "(3, 3)"),
    ),
    "unfold: axes": (lambda: F.unfold(m, 3), ValueError, ("(2, 3)",)),
    "unfold: kernel": (lambda: F.unfold(x2, 10), ValueError, ("axis 0", 10, "size 9")),
    "unfold: one number for three axes": (
        lambda: F.unfold(x3, 3),
        ValueError,
        ("(2, 4, 5, 6, 7)",),
    ),
    "fold: columns": (
        lambda: F.fold(td.ones(2, 18, 8), (5, 5), 3),
        ValueError,
        ("(5, 5)", "(3, 3)", 9, "(2, 18, 8)"),
    ),
    "fold: rows": (
        lambda: F.fold(td.ones(2, 17, 9), (5, 5), 3),
        ValueError,
        ("(3, 3)", 9, "(2, 17, 9)"),
    ),
    "fold: axes": (lambda: F.fold(td.ones(9), 5, 3), ValueError, ("(9,)",)),
    "fold: output_size": (
        lambda: F.fold(td.ones(2, 18, 9), (5, 5, 5), 3),
        ValueError,
        ("output_size", 2, "(5, 5, 5)"),
    ),
}

POOLING = {
    "axes": (lambda: F.max_pool2d(x3, 2), ValueError, (2, "(2, 4, 5, 6, 7)")),
    "kernel": (lambda: F.avg_pool1d(x1, 10), ValueError, ("axis 0", 10, "size 9")),
    "kernel zero": (lambda: F.avg_pool2d(x2, 0), ValueError, ("kernel size", "(0, 0)")),
    "kernel of three": (lambda: F.max_pool2d(x2, (2, 2, 2)), ValueError, (2, "(2, 2, 2)")),
    "padding": (lambda: F.max_pool2d(x2, (4, 2), padding=2), ValueError, ("half", 2)),
    "negative padding": (lambda: F.avg_pool2d(x2, 3, padding=-1), ValueError, ("(-1, -1)",)),
    "no pixel": (
        lambda: F.max_pool1d(x1[:, :, :3], 2, padding=1, dilation=4),
        ValueError,
        ("(3,)", "kernel (2,)", "dilation (4,)", "padding 1"),
    ),
    "no pixel in the last window": (
        lambda: F.max_pool2d(x2[:, :, :3, :4], (1, 2), 1, (0, 1), (1, 5)),
        ValueError,
        ("(3, 4)", "kernel (1, 2)", "dilation (1, 5)", "padding (0, 1)"),
    ),
    "integers": (lambda: F.avg_pool2d(x2.long(), 2), TypeError, ("int64", ".float()")),
    "divisor": (lambda: F.avg_pool2d(x2, 2, divisor_override=0), ValueError, (0,)),
    "unpool: float indices": (
        lambda: F.max_unpool2d(x2, td.zeros(*x2.shape), 2),
        ValueError,
        ("integer", "float32"),
    ),
    "unpool: shape of the indices": (
        lambda: F.max_unpool2d(x2, index, 2),
        ValueError,
        ("(2, 4, 9, 8)", "(2, 4, 3, 2)"),
    ),
    "unpool: indices beyond the image": (
        lambda: F.max_unpool2d(td.ones(*index.shape), index + 24, 2),
        IndexError,
        ("(6, 4)", 23, 24),
    ),
    "unpool: negative indices": (
        lambda: F.max_unpool2d(td.ones(*index.shape), index - 1, 2),
        IndexError,
        ("(6, 4)", 0, 23, -1),
    ),
    "unpool: output_size": (
        lambda: F.max_unpool2d(td.ones(*index.shape), index, 2, output_size=(7,)),
        ValueError,
        ("output_size", 2, "(7,)"),
    ),
}

PRODUCTS = {
    "inner sizes": (lambda: td.matmul(m, m), ValueError, ("(2, 3)",)),
    "vector": (lambda: m @ td.ones(2), ValueError, ("(2, 3)", "(2,)")),
    "a number": (lambda: m @ td.tensor(1.0), ValueError, ("(2, 3)", "()")),
    "batches": (lambda: td.ones(2, 1, 3) @ td.ones(4, 3, 1), ValueError, ("(2,1,3)", "(4,3,1)")),
    "dtypes": (lambda: m @ m.T.double(), TypeError, ("float32", "float64")),
    "an array": (lambda: m @ np.ones(3), TypeError, ("Tensor", "ndarray", "td.tensor(...)")),
    "linear": (lambda: F.linear(m, td.ones(4, 5)), ValueError, ("(2, 3)", "(4, 5)", 5)),
    "linear bias": (lambda: F.linear(m, td.ones(4, 3), td.ones(3)), ValueError, ("(2,4)", "(3,)")),
    "einsum dtypes": (
        lambda: td.einsum("ij,ij->i", m, m.double()),
        TypeError,
        ("float32", "float64"),
    ),
    "einsum sizes": (
        lambda: td.einsum("ij,ik->jk", m, td.ones(3, 3)),
        ValueError,
        ("'i'", 2, 3, "(3, 3)"),
    ),
}

MOVING = {
    "cat: sizes": (lambda: td.cat([m, m, m.T]), ValueError, ("(2, 3)", 2, "(3, 2)")),
    "cat: no Tensor": (lambda: td.cat([1, 2]), TypeError, ("Tensor", "int")),
    "cat: text": (lambda: td.cat([m, "a"]), TypeError, ("str",)),
    "stack: shapes": (lambda: td.stack([m, m[0]]), ValueError, ("(2, 3)", 1, "(3,)")),
    "split: sizes": (lambda: m.split([1, 3], 1), ValueError, ("[1, 3]", 1, "(2, 3)")),
    "gather: axes": (
        lambda: m.gather(0, td.tensor([0])),
        ValueError,
        (0, "(2, 3)", 2, "(1,)"),
    ),
    "gather: sizes": (
        lambda: m.gather(0, td.zeros(1, 4, dtype=td.int64)),
        ValueError,
        (0, "(2, 3)", "(1, 4)"),
    ),
    "gather: beyond": (lambda: m.gather(1, td.tensor([[3]])), IndexError, (1, 3)),
    "gather: negative": (lambda: m.gather(0, td.tensor([[-1]])), IndexError, (0, 2, -1)),
    "gather: floats": (lambda: m.gather(0, td.ones(1, 1)), TypeError, ("float32",)),
    "gather: an array": (
        lambda: m.gather(0, np.zeros((1, 3), np.int64)),
        TypeError,
        ("index", "Tensor", "ndarray", "td.tensor(...)"),
    ),
    "gather: dim": (lambda: m.gather(2, td.tensor([[0]])), IndexError, (2,)),
    "index: beyond": (lambda: m[2], IndexError, (2, 0)),
    "index: mask": (lambda: m[td.ones(3) > 0], IndexError, (2, 3)),
    "index: floats": (lambda: m[td.ones(2)], IndexError, ("float32",)),
    "where: condition": (lambda: td.where(m, m, m), TypeError, ("float32",)),
    "where: an array": (
        lambda: td.where(np.ones((2, 3), bool), m, 0),
        TypeError,
        ("condition", "Tensor", "ndarray", "td.tensor(...)"),
    ),
    "where: a bool": (lambda: m.where(True, 0), TypeError, ("condition", "Tensor", "bool")),
    "where: shapes": (lambda: td.where(m > 0, m, td.ones(2)), ValueError, ("(2,3)", "(2,)")),
    "broadcast": (lambda: m * td.ones(2), ValueError, ("(2,3)", "(2,)")),
}

LOSSES = {
    "mse": (lambda: F.mse_loss(m, m.T), ValueError, ("mse_loss", "(2, 3)", "(3, 2)")),
    "l1": (lambda: F.l1_loss(m, m[0]), ValueError, ("l1_loss", "(2, 3)", "(3,)")),
    "bce": (
        lambda: F.binary_cross_entropy_with_logits(m, m[:1]),
        ValueError,
        ("(2, 3)", "(1, 3)"),
    ),
    "reduction": (lambda: F.mse_loss(m, m, "avg"), ValueError, ("'mean'", "'avg'")),
    "class beyond": (lambda: F.cross_entropy(m, td.tensor([0, 3])), IndexError, (3, 0)),
    "class negative": (lambda: F.cross_entropy(m, td.tensor([-1, 2])), IndexError, (3, -1, 2)),
    "one target": (lambda: F.cross_entropy(m, td.tensor([0])), ValueError, ("(2, 3)", "(1,)")),
    "float targets": (lambda: F.cross_entropy(m, td.ones(2)), TypeError, ("float32",)),
    "one value a channel": (
        lambda: F.batch_norm(td.ones(1, 5), training=True),
        ValueError,
        ("(1, 5)",),
    ),
    "no channels": (lambda: F.batch_norm(td.ones(5)), ValueError, ("(5,)",)),
    "prelu": (lambda: F.prelu(x2, td.ones(3)), ValueError, ("(2, 4, 9, 8)", "(3,)")),
    "softmax": (lambda: F.softmax(m, 2), IndexError, (2,)),
}

DEVICES_AND_KINDS = {
    "device": (lambda: m.to("tpu"), ValueError, ("'cpu'", "'cuda'", "'tpu'")),
    "device of a new tensor": (lambda: td.zeros(2, device="gpu"), ValueError, ("'gpu'",)),
    "dlpack": (lambda: td.from_dlpack([1]), TypeError, ("DLPack", "list")),
    "dtype": (lambda: m.astype("float31"), TypeError, ("'float31'",)),
    "complex": (lambda: m * np.complex64(1), TypeError, ("complex64",)),
    "no Tensor": (lambda: td.relu(3.0), TypeError, ("Tensor", "float", "td.tensor(...)")),
    "an array": (lambda: td.exp(np.ones(2)), TypeError, ("Tensor", "ndarray")),
    "two numbers": (lambda: td.maximum(1, 2), TypeError, ("Tensor", "int")),
    "mean of integers": (lambda: m.long().mean(), TypeError, ("int64", ".float()")),
    "fractional size": (lambda: td.zeros(2.5), TypeError, ("float",)),
    "step zero": (lambda: td.arange(0, 1, 0), ValueError, ("step",)),
    "seed": (lambda: td.manual_seed(-3), ValueError, (-3,)),
    "empty range": (lambda: td.randint(3, 3, (2,)), ValueError, (3,)),
}

TABLE = {
    f"{family}: {name}": row
    for family, rows in {
        "convolutions": CONVOLUTIONS,
        "pooling": POOLING,
        "products": PRODUCTS,
        "moving": MOVING,
        "losses": LOSSES,
        "devices and kinds": DEVICES_AND_KINDS,
    }.items()
    for name, row in rows.items()
}


@pytest.mark.parametrize("name", TABLE)
def test_one_sentence(name):
    call, kind, words = TABLE[name]
    with refused(kind, *words):
        call()


def test_a_sentence_is_checked_word_by_word():
    """The check itself must be able to fail."""

    def says(sentence, kind=ValueError):
        raise kind(sentence)

    with refused(ValueError, 3, "(2, 3)", ".float()", -1):
        says("expected 3, not -1 or (2, 3): use .float()")
    for sentence, kind in (
        ("expected 13", ValueError),
        ("expected 3.5", ValueError),
        ("expected 0.3", ValueError),
        ("expected a3", ValueError),
        ("expected\n3", ValueError),
        ("expected 3", UnicodeError),  # a ValueError, but not itself
    ):
        with pytest.raises(AssertionError), refused(ValueError, 3):
            says(sentence, kind)
    with pytest.raises(AssertionError), refused(ValueError):
        says("")
    with pytest.raises(pytest.fail.Exception), refused(ValueError):
        pass

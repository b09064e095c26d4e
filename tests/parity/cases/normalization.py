"""Normalisation. With a bias but no weight PyTorch's own second derivatives raise (order=1), and in
group_norm the first too (order=0).
"""

from both import Fixed, numbers
from registry import LAYERS, SIZES, Call, case, layer

for shape in ((4, 3), (2, 3, 5), (2, 3, 4, 3), (2, 3, 2, 3, 2)):
    x, w, b = numbers(*shape) * 3 + 1, numbers(3), numbers(3, seed=1)
    mean, var = Fixed(numbers(3)), Fixed(numbers(3) ** 2 + 0.5)
    case("batch_norm", x, mean, var, w, b)
    case("batch_norm", x, mean, var, w, b, training=True)
    case("batch_norm", x, mean, var, training=True, momentum=0.3, eps=1e-3)
    case("batch_norm", x, None, None, w, b, training=True)
    case("batch_norm", x, None, None, None, b, training=True, order=1)
    case("batch_norm", x, mean, var, w, None, momentum=0.3, eps=1e-3)
    for training in (True, False):
        case("batch_norm", x[:0], mean, var, w, b, training=training)
    if len(shape) > 2:
        case("instance_norm", x)
        case("instance_norm", x, mean, var, w, b)
        case("instance_norm", x, mean, var, w, b, use_input_stats=False)
        case("instance_norm", x, mean, var, momentum=0.3, eps=1e-3)
        case("instance_norm", x, mean, var, None, b, False, eps=1e-3, order=1)
        case("instance_norm", x[:, :, :1], mean, var, use_input_stats=False)
        case("instance_norm", x[:0])
        case("instance_norm", x[..., :0], None, None, w)
case("batch_norm", numbers(1, 3, 4), None, None, training=True)

for shape in ((2, 6), (2, 6, 5), (1, 6, 3, 2), (2, 6, 2, 1, 2)):
    x, w, b = numbers(*shape) * 3 + 1, numbers(6), numbers(6, seed=1)
    case("group_norm", x, 1)
    case("group_norm", x, 2, w, b)
    case("group_norm", x, 3, None, b, eps=1e-3, order=0)
    case("group_norm", x[:0], 3, w)
case("group_norm", numbers(2, 6, 2), 6, numbers(6))  # an instance norm
# one value a group, but of two images: zeros and, in PyTorch, what rounding leaves of them
case("group_norm", numbers(2, 6) / 10, 6, numbers(6), order=0)
case("group_norm", numbers(2, 6, 0), 3)

for normalized in ((4,), (3, 4), (2, 3, 4)):
    x, w, b = numbers(2, 3, 4) * 3 + 1, numbers(*normalized), numbers(*normalized, seed=1)
    case("layer_norm", x, normalized)
    case("layer_norm", x, list(normalized), w, b)
    case("layer_norm", x, normalized, None, b, eps=1e-3, order=1)
    case("layer_norm", x, normalized, w)
case("layer_norm", numbers(4), (4,))
case("layer_norm", numbers(0, 4), (4,), numbers(4))
case("layer_norm", numbers(3, 1), (1,), numbers(1), numbers(1, seed=1))


# ---------------------------------------------------------------- layers

some = {"eps": 1e-2, "momentum": 0.3}
for a, sizes in SIZES.items():
    x = numbers(2, 4, *sizes)
    LAYERS[f"BatchNorm{a}d"] = [
        (Call(4), [x]),
        (Call(4, **some, affine=False), [x]),
        (Call(4, momentum=None), [x]),
        (Call(4, track_running_stats=False, bias=False), [x]),
    ]
    LAYERS[f"InstanceNorm{a}d"] = [
        (Call(4), [x]),
        (Call(4, **some, affine=True, bias=False), [x]),
        (Call(4, affine=True, track_running_stats=True), [x]),
        (Call(4, momentum=None, track_running_stats=True), [x]),
        (Call(4, **some, affine=True, track_running_stats=True), [x[0]]),
    ]
layer("BatchNorm1d", Call(4), numbers(5, 4))
layer("BatchNorm2d", Call(4), numbers(0, 4, 3, 3))
layer("GroupNorm", Call(2, 4), numbers(2, 4, 3))
layer("GroupNorm", Call(1, 4, 1e-2, affine=False), numbers(2, 4))
layer("GroupNorm", Call(4, 4, bias=False), numbers(2, 4, 3, 2))
layer("LayerNorm", Call(4), numbers(2, 3, 4))
layer("LayerNorm", Call((3, 4), 1e-2, bias=False), numbers(2, 3, 4))
layer("LayerNorm", Call([4], elementwise_affine=False), numbers(2, 3, 4))

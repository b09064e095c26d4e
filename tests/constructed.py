"""Layers as a student writes them; between them they set every argument."""

# basic
CONSTRUCTED = [
    "Linear(2, 3)", "Linear(2, 3, bias=False)", "Flatten()", "Flatten(0, -2)",
    "Unflatten(1, (2, 3))", "Unflatten(-1, [2, -1])",
]  # fmt: skip

# activations
CONSTRUCTED += [
    "ReLU()", "LeakyReLU()", "LeakyReLU(0.3)", "PReLU()", "PReLU(num_parameters=4)", "Sigmoid()",
    "Tanh()",
]  # fmt: skip

# losses
CONSTRUCTED += [
    "MSELoss()", "MSELoss(reduction='sum')", "L1Loss('none')", "CrossEntropyLoss()",
    "CrossEntropyLoss('sum')", "BCEWithLogitsLoss('sum')",
]  # fmt: skip

# convolution
CONSTRUCTED += [
    "Unfold(2)", "Unfold((2, 3), dilation=2, padding=1, stride=(2, 1))",
    "Fold(5, 2)", "Fold((5, 6), (2, 3), dilation=2, padding=1, stride=(2, 1))",
]  # fmt: skip
for a in (1, 2, 3):
    CONSTRUCTED += [
        f"Conv{a}d(2, 4, 3)",
        f"Conv{a}d(4, 8, {(3, 2, 1)[:a]}, 2, 1, 2, 4, False)",
        f"Conv{a}d(2, 4, 3, padding='same')",
        f"Conv{a}d(2, 4, 3, padding={((1, 0), (0, 2), (1, 1))[:a]})",
        f"ConvTranspose{a}d(2, 4, 3)",
        f"ConvTranspose{a}d(4, 8, {(3, 2, 1)[:a]}, 2, 1, 1, 4, False, 2)",
        f"ConvTranspose{a}d(2, 4, 3, 2, output_padding={(1, 0, 1)[:a]})",
    ]

# normalization
for a in (1, 2, 3):
    CONSTRUCTED += [
        f"BatchNorm{a}d(3)",
        f"BatchNorm{a}d(3, eps=0.01, momentum=None, affine=False, track_running_stats=False)",
    ]

# pooling
for a in (1, 2, 3):
    CONSTRUCTED += [
        f"MaxPool{a}d(2)",
        f"MaxPool{a}d({(3, 2, 1)[:a]}, 2, 1, 2, True, True)",
        f"AvgPool{a}d(2)",
        f"AvgPool{a}d(3, {(2, 1, 2)[:a]}, 1, True, False{', 5' * (a > 1)})",
        f"MaxUnpool{a}d(2)",
        f"MaxUnpool{a}d(3, stride=2, padding=1)",
    ]

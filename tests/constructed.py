"""Layers as a student writes them; between them they set every argument."""

# basic
CONSTRUCTED = [
    "Linear(2, 3)", "Linear(2, 3, bias=False)", "Flatten()", "Flatten(0, -2)",
    "Unflatten(1, (2, 3))", "Unflatten(-1, [2, -1])", "Bilinear(2, 3, 4)",
    "Bilinear(2, 3, 4, bias=False)", "Embedding(5, 3)",
    "Embedding(5, 3, -1, 2.0, 1.0, True, False)", "Dropout()", "Dropout(0.3, False)",
    "Dropout1d(0.3, inplace=False)", "Dropout2d(p=1)",
    "Dropout2d(0.3, False)", "Dropout3d(0, False)", "Identity()", "Identity(54, unused=0.1)",
]  # fmt: skip

# activations
CONSTRUCTED += [
    "ReLU()", "ReLU(inplace=False)", "ReLU6(False)", "LeakyReLU()", "LeakyReLU(0.3, False)",
    "PReLU()", "PReLU(num_parameters=4)", "ELU()", "ELU(0.3, False)", "SELU(inplace=False)",
    "GELU()", "GELU('tanh')", "SiLU(inplace=False)", "Softplus()", "Softplus(2, threshold=3)",
    "Hardtanh()", "Hardtanh(-2, 0.5, inplace=False)", "Sigmoid()", "Tanh()", "Softmax()",
    "Softmax(1)", "LogSoftmax(dim=-1)", "LogSigmoid()",
]  # fmt: skip

# losses
CONSTRUCTED += [
    "MSELoss()", "MSELoss(reduction='sum')", "L1Loss('none')", "HuberLoss('sum', 0.3)",
    "SmoothL1Loss('sum', beta=0.3)", "CrossEntropyLoss()",
    "CrossEntropyLoss(None, 255, 'sum', 0.1)", "NLLLoss(None, ignore_index=1, reduction='sum')",
    "BCELoss(None, 'sum')", "BCEWithLogitsLoss(weight=None, reduction='sum', pos_weight=None)",
    "KLDivLoss('batchmean', True)", "CosineSimilarity()", "CosineSimilarity(0, eps=0.1)",
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
        f"Conv{a}d(2, 4, 3, padding=1, padding_mode='circular')",
        f"Conv{a}d(2, 4, 3, padding={((1, 0), (0, 2), (1, 1))[:a]})",
        f"ConvTranspose{a}d(2, 4, 3)",
        f"ConvTranspose{a}d(4, 8, {(3, 2, 1)[:a]}, 2, 1, 1, 4, False, 2, 'zeros')",
        f"ConvTranspose{a}d(2, 4, 3, 2, output_padding={(1, 0, 1)[:a]})",
    ]

# normalization
for a in (1, 2, 3):
    CONSTRUCTED += [
        f"BatchNorm{a}d(3)",
        f"BatchNorm{a}d(3, eps=0.01, momentum=None, affine=False, track_running_stats=False)",
        f"BatchNorm{a}d(3, bias=False)",
        f"InstanceNorm{a}d(3)",
        f"InstanceNorm{a}d(3, 0.01, 0.3, True, True, bias=False)",
    ]
CONSTRUCTED += [
    "GroupNorm(2, 4)", "GroupNorm(2, 4, 0.01, affine=False)", "GroupNorm(2, 4, bias=False)",
    "LayerNorm(4)", "LayerNorm([3, 4], 0.01, elementwise_affine=False)",
    "LayerNorm((3, 4), bias=False)",
]  # fmt: skip

# recurrent
for name in ("RNN", "GRU", "LSTM"):
    CONSTRUCTED += [
        f"{name}Cell(2, 3)",
        f"{name}Cell(2, 3, bias=False)",
        f"{name}(2, 3)",
        f"{name}(2, 3, num_layers=2, bias=False, batch_first=True, dropout=0.5)",
        f"{name}(2, 3, bidirectional=True)",
    ]
CONSTRUCTED += [
    "RNNCell(2, 3, nonlinearity='relu')", "RNN(2, 3, 2, 'relu')", "LSTM(2, 3, proj_size=1)",
    "ConvLSTMCell(2, 3, 3)", "ConvLSTMCell(2, 3, (3, 1, 3), bias=False)",
]  # fmt: skip

# pooling
for a in (1, 2, 3):
    CONSTRUCTED += [
        f"MaxPool{a}d(2)",
        f"MaxPool{a}d({(3, 2, 1)[:a]}, 2, 1, 2, True, True)",
        f"AvgPool{a}d(2)",
        f"AvgPool{a}d(3, {(2, 1, 2)[:a]}, 1, True, False{', 5' * (a > 1)})",
        f"MaxUnpool{a}d(2)",
        f"MaxUnpool{a}d(3, stride=2, padding=1)",
        f"AdaptiveAvgPool{a}d(2)",
        f"AdaptiveAvgPool{a}d({(3, None, 1)[:a]})",
        f"AdaptiveMaxPool{a}d({(3, 2, None)[:a]}, True)",
    ]

# resampling
CONSTRUCTED += [
    "Upsample(3)", "Upsample((2, 3))", "Upsample(scale_factor=1.5)",
    "Upsample(None, (2, 1.5), 'bilinear', True, True)", "UpsamplingNearest2d((2, 3))",
    "UpsamplingNearest2d(scale_factor=2)", "UpsamplingBilinear2d(3)",
    "UpsamplingBilinear2d(scale_factor=1.5)", "PixelShuffle(2)", "PixelUnshuffle(3)",
]  # fmt: skip
for a in (1, 2, 3):
    CONSTRUCTED += [
        f"{kind}Pad{a}d({padding})"
        for kind in ("Zero", "Reflection", "Replication", "Circular")
        for padding in (2, (1, 2, 0, 3, 4, 1)[: 2 * a])
    ]
    CONSTRUCTED += [f"ConstantPad{a}d(1, 0.5)", f"ConstantPad{a}d({(1, -2) * a}, value=-1)"]

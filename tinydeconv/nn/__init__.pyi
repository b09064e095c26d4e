# Written by tools/stubs.py: do not edit.
# mypy: disable-error-code="override"

from collections.abc import Sequence
from tinydeconv.tensor import Tensor
from typing import Any, Literal
import numpy.typing as npt
from tinydeconv.nn import functional as functional
from tinydeconv.nn import init as init
from tinydeconv.nn import utils as utils
from tinydeconv.nn.module import Buffer as Buffer
from tinydeconv.nn.module import Module as Module
from tinydeconv.nn.module import ModuleDict as ModuleDict
from tinydeconv.nn.module import ModuleList as ModuleList
from tinydeconv.nn.module import Parameter as Parameter
from tinydeconv.nn.module import Sequential as Sequential

__all__ = [
    "AdaptiveAvgPool1d", "AdaptiveAvgPool2d", "AdaptiveAvgPool3d", "AdaptiveMaxPool1d",
    "AdaptiveMaxPool2d", "AdaptiveMaxPool3d", "AvgPool1d", "AvgPool2d", "AvgPool3d", "BCELoss",
    "BCEWithLogitsLoss", "BatchNorm1d", "BatchNorm2d", "BatchNorm3d", "Bilinear", "Buffer",
    "CircularPad1d", "CircularPad2d", "CircularPad3d", "ConstantPad1d", "ConstantPad2d",
    "ConstantPad3d", "Conv1d", "Conv2d", "Conv3d", "ConvLSTMCell", "ConvTranspose1d",
    "ConvTranspose2d", "ConvTranspose3d", "CosineSimilarity", "CrossEntropyLoss", "Dropout",
    "Dropout1d", "Dropout2d", "Dropout3d", "ELU", "Embedding", "Flatten", "Fold", "GELU", "GRU",
    "GRUCell", "GroupNorm", "Hardtanh", "HuberLoss", "Identity", "InstanceNorm1d", "InstanceNorm2d",
    "InstanceNorm3d", "KLDivLoss", "L1Loss", "LSTM", "LSTMCell", "LayerNorm", "LeakyReLU", "Linear",
    "LogSigmoid", "LogSoftmax", "MSELoss", "MaxPool1d", "MaxPool2d", "MaxPool3d", "MaxUnpool1d",
    "MaxUnpool2d", "MaxUnpool3d", "Module", "ModuleDict", "ModuleList", "NLLLoss", "PReLU",
    "Parameter", "PixelShuffle", "PixelUnshuffle", "RNN", "RNNCell", "ReLU", "ReLU6",
    "ReflectionPad1d", "ReflectionPad2d", "ReflectionPad3d", "ReplicationPad1d", "ReplicationPad2d",
    "ReplicationPad3d", "SELU", "Sequential", "SiLU", "Sigmoid", "SmoothL1Loss", "Softmax",
    "Softplus", "Tanh", "Unflatten", "Unfold", "Upsample", "UpsamplingBilinear2d",
    "UpsamplingNearest2d", "ZeroPad1d", "ZeroPad2d", "ZeroPad3d"
]

class ELU(Module):
    alpha: float
    function: Any
    inplace: bool
    signature: Any
    def __init__(self, alpha: float = 1.0, inplace: bool = False) -> None: ...
    def settings(self) -> dict[str, Any]: ...
    def forward(self, input: Tensor) -> Tensor: ...
    __call__ = forward
    def extra_repr(self) -> str: ...

class GELU(Module):
    approximate: str
    function: Any
    signature: Any
    def __init__(self, approximate: str = "none") -> None: ...
    def settings(self) -> dict[str, Any]: ...
    def forward(self, input: Tensor) -> Tensor: ...
    __call__ = forward
    def extra_repr(self) -> str: ...

class Hardtanh(Module):
    function: Any
    inplace: bool
    max_val: float
    min_val: float
    signature: Any
    def __init__(
        self,
        min_val: float = -1.0,
        max_val: float = 1.0,
        inplace: bool = False,
    ) -> None: ...
    def settings(self) -> dict[str, Any]: ...
    def forward(self, input: Tensor) -> Tensor: ...
    __call__ = forward
    def extra_repr(self) -> str: ...

class LeakyReLU(Module):
    function: Any
    inplace: bool
    negative_slope: float
    signature: Any
    def __init__(self, negative_slope: float = 0.01, inplace: bool = False) -> None: ...
    def settings(self) -> dict[str, Any]: ...
    def forward(self, input: Tensor) -> Tensor: ...
    __call__ = forward
    def extra_repr(self) -> str: ...

class LogSigmoid(Module):
    function: Any
    signature: Any
    def settings(self) -> dict[str, Any]: ...
    def forward(self, input: Tensor) -> Tensor: ...
    __call__ = forward
    def extra_repr(self) -> str: ...

class LogSoftmax(Module):
    dim: int | None
    function: Any
    signature: Any
    def __init__(self, dim: int | None = None) -> None: ...
    def settings(self) -> dict[str, Any]: ...
    def forward(self, input: Tensor, dtype: npt.DTypeLike | None = None) -> Tensor: ...
    __call__ = forward
    def extra_repr(self) -> str: ...

class PReLU(Module):
    num_parameters: int
    weight: Parameter
    def __init__(self, num_parameters: int = 1, init: float = 0.25) -> None: ...
    def forward(self, input: Tensor) -> Tensor: ...
    __call__ = forward
    def extra_repr(self) -> str: ...

class ReLU(Module):
    function: Any
    inplace: bool
    signature: Any
    def __init__(self, inplace: bool = False) -> None: ...
    def settings(self) -> dict[str, Any]: ...
    def forward(self, input: Tensor) -> Tensor: ...
    __call__ = forward
    def extra_repr(self) -> str: ...

class ReLU6(Module):
    function: Any
    inplace: bool
    signature: Any
    def __init__(self, inplace: bool = False) -> None: ...
    def settings(self) -> dict[str, Any]: ...
    def forward(self, input: Tensor) -> Tensor: ...
    __call__ = forward
    def extra_repr(self) -> str: ...

class SELU(Module):
    function: Any
    inplace: bool
    signature: Any
    def __init__(self, inplace: bool = False) -> None: ...
    def settings(self) -> dict[str, Any]: ...
    def forward(self, input: Tensor) -> Tensor: ...
    __call__ = forward
    def extra_repr(self) -> str: ...

class SiLU(Module):
    function: Any
    inplace: bool
    signature: Any
    def __init__(self, inplace: bool = False) -> None: ...
    def settings(self) -> dict[str, Any]: ...
    def forward(self, input: Tensor) -> Tensor: ...
    __call__ = forward
    def extra_repr(self) -> str: ...

class Sigmoid(Module):
    function: Any
    signature: Any
    def settings(self) -> dict[str, Any]: ...
    def forward(self, input: Tensor) -> Tensor: ...
    __call__ = forward
    def extra_repr(self) -> str: ...

class Softmax(Module):
    dim: int | None
    function: Any
    signature: Any
    def __init__(self, dim: int | None = None) -> None: ...
    def settings(self) -> dict[str, Any]: ...
    def forward(self, input: Tensor, dtype: npt.DTypeLike | None = None) -> Tensor: ...
    __call__ = forward
    def extra_repr(self) -> str: ...

class Softplus(Module):
    beta: float
    function: Any
    signature: Any
    threshold: float
    def __init__(self, beta: float = 1.0, threshold: float = 20.0) -> None: ...
    def settings(self) -> dict[str, Any]: ...
    def forward(self, input: Tensor) -> Tensor: ...
    __call__ = forward
    def extra_repr(self) -> str: ...

class Tanh(Module):
    function: Any
    signature: Any
    def settings(self) -> dict[str, Any]: ...
    def forward(self, input: Tensor) -> Tensor: ...
    __call__ = forward
    def extra_repr(self) -> str: ...

class Bilinear(Module):
    bias: Parameter | None
    in1_features: int
    in2_features: int
    out_features: int
    weight: Parameter
    def extra_repr(self) -> str: ...
    def __init__(
        self,
        in1_features: int,
        in2_features: int,
        out_features: int,
        bias: bool = True,
    ) -> None: ...
    def forward(self, input1: Tensor, input2: Tensor) -> Tensor: ...
    __call__ = forward

class Dropout(Module):
    function: Any
    inplace: bool
    p: float
    signature: Any
    def __init__(self, p: float = 0.5, inplace: bool = False) -> None: ...
    def settings(self) -> dict[str, Any]: ...
    def forward(self, input: Tensor) -> Tensor: ...
    __call__ = forward
    def extra_repr(self) -> str: ...

class Dropout1d(Module):
    function: Any
    inplace: bool
    p: float
    signature: Any
    def __init__(self, p: float = 0.5, inplace: bool = False) -> None: ...
    def settings(self) -> dict[str, Any]: ...
    def forward(self, input: Tensor) -> Tensor: ...
    __call__ = forward
    def extra_repr(self) -> str: ...

class Dropout2d(Module):
    function: Any
    inplace: bool
    p: float
    signature: Any
    def __init__(self, p: float = 0.5, inplace: bool = False) -> None: ...
    def settings(self) -> dict[str, Any]: ...
    def forward(self, input: Tensor) -> Tensor: ...
    __call__ = forward
    def extra_repr(self) -> str: ...

class Dropout3d(Module):
    function: Any
    inplace: bool
    p: float
    signature: Any
    def __init__(self, p: float = 0.5, inplace: bool = False) -> None: ...
    def settings(self) -> dict[str, Any]: ...
    def forward(self, input: Tensor) -> Tensor: ...
    __call__ = forward
    def extra_repr(self) -> str: ...

class Embedding(Module):
    embedding_dim: int
    max_norm: float | None
    norm_type: float
    num_embeddings: int
    padding_idx: int | None
    scale_grad_by_freq: bool
    sparse: bool
    weight: Parameter
    def extra_repr(self) -> str: ...
    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        padding_idx: int | None = None,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        sparse: bool = False,
    ) -> None: ...
    from_pretrained: Any
    def forward(self, input: Tensor) -> Tensor: ...
    __call__ = forward

class Flatten(Module):
    end_dim: int
    start_dim: int
    def __init__(self, start_dim: int = 1, end_dim: int = -1) -> None: ...
    def forward(self, input: Tensor) -> Tensor: ...
    __call__ = forward
    def extra_repr(self) -> str: ...

class Identity(Module):
    def __init__(self, *args: Any, **kwargs: Any) -> None: ...
    def forward(self, input: Any) -> Tensor: ...
    __call__ = forward

class Linear(Module):
    bias: Parameter | None
    in_features: int
    out_features: int
    weight: Parameter
    def extra_repr(self) -> str: ...
    def __init__(self, in_features: int, out_features: int, bias: bool = True) -> None: ...
    def forward(self, input: Tensor) -> Tensor: ...
    __call__ = forward

class Unflatten(Module):
    dim: int
    unflattened_size: int | Sequence[int]
    def __init__(self, dim: int, unflattened_size: int | Sequence[int]) -> None: ...
    def forward(self, input: Tensor) -> Tensor: ...
    __call__ = forward
    def extra_repr(self) -> str: ...

class Conv1d(Module):
    bias: Parameter | None
    dilation: tuple[int, ...]
    groups: int
    in_channels: int
    kernel_size: tuple[int, ...]
    out_channels: int
    padding: int | str | Sequence[int | tuple[int, int]]
    padding_mode: str
    stride: tuple[int, ...]
    weight: Parameter
    transposed: bool
    def extra_repr(self) -> str: ...
    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | Sequence[int],
        stride: int | Sequence[int] = 1,
        padding: int | str | Sequence[int | tuple[int, int]] = 0,
        dilation: int | Sequence[int] = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
    ) -> None: ...
    def forward(self, input: Tensor) -> Tensor: ...
    __call__ = forward
    axes: int

class Conv2d(Module):
    bias: Parameter | None
    dilation: tuple[int, ...]
    groups: int
    in_channels: int
    kernel_size: tuple[int, ...]
    out_channels: int
    padding: int | str | Sequence[int | tuple[int, int]]
    padding_mode: str
    stride: tuple[int, ...]
    weight: Parameter
    transposed: bool
    def extra_repr(self) -> str: ...
    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | Sequence[int],
        stride: int | Sequence[int] = 1,
        padding: int | str | Sequence[int | tuple[int, int]] = 0,
        dilation: int | Sequence[int] = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
    ) -> None: ...
    def forward(self, input: Tensor) -> Tensor: ...
    __call__ = forward
    axes: int

class Conv3d(Module):
    bias: Parameter | None
    dilation: tuple[int, ...]
    groups: int
    in_channels: int
    kernel_size: tuple[int, ...]
    out_channels: int
    padding: int | str | Sequence[int | tuple[int, int]]
    padding_mode: str
    stride: tuple[int, ...]
    weight: Parameter
    transposed: bool
    def extra_repr(self) -> str: ...
    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | Sequence[int],
        stride: int | Sequence[int] = 1,
        padding: int | str | Sequence[int | tuple[int, int]] = 0,
        dilation: int | Sequence[int] = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
    ) -> None: ...
    def forward(self, input: Tensor) -> Tensor: ...
    __call__ = forward
    axes: int

class ConvTranspose1d(Module):
    bias: Parameter | None
    dilation: tuple[int, ...]
    groups: int
    in_channels: int
    kernel_size: tuple[int, ...]
    out_channels: int
    output_padding: int | Sequence[int]
    padding: int | str | Sequence[int | tuple[int, int]]
    padding_mode: str
    stride: tuple[int, ...]
    weight: Parameter
    transposed: bool
    def extra_repr(self) -> str: ...
    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | Sequence[int],
        stride: int | Sequence[int] = 1,
        padding: int | str | Sequence[int | tuple[int, int]] = 0,
        output_padding: int | Sequence[int] = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: int | Sequence[int] = 1,
        padding_mode: str = "zeros",
    ) -> None: ...
    def forward(
        self,
        input: Tensor,
        output_size: int | Sequence[int] | None = None,
    ) -> Tensor: ...
    __call__ = forward
    axes: int

class ConvTranspose2d(Module):
    bias: Parameter | None
    dilation: tuple[int, ...]
    groups: int
    in_channels: int
    kernel_size: tuple[int, ...]
    out_channels: int
    output_padding: int | Sequence[int]
    padding: int | str | Sequence[int | tuple[int, int]]
    padding_mode: str
    stride: tuple[int, ...]
    weight: Parameter
    transposed: bool
    def extra_repr(self) -> str: ...
    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | Sequence[int],
        stride: int | Sequence[int] = 1,
        padding: int | str | Sequence[int | tuple[int, int]] = 0,
        output_padding: int | Sequence[int] = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: int | Sequence[int] = 1,
        padding_mode: str = "zeros",
    ) -> None: ...
    def forward(
        self,
        input: Tensor,
        output_size: int | Sequence[int] | None = None,
    ) -> Tensor: ...
    __call__ = forward
    axes: int

class ConvTranspose3d(Module):
    bias: Parameter | None
    dilation: tuple[int, ...]
    groups: int
    in_channels: int
    kernel_size: tuple[int, ...]
    out_channels: int
    output_padding: int | Sequence[int]
    padding: int | str | Sequence[int | tuple[int, int]]
    padding_mode: str
    stride: tuple[int, ...]
    weight: Parameter
    transposed: bool
    def extra_repr(self) -> str: ...
    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | Sequence[int],
        stride: int | Sequence[int] = 1,
        padding: int | str | Sequence[int | tuple[int, int]] = 0,
        output_padding: int | Sequence[int] = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: int | Sequence[int] = 1,
        padding_mode: str = "zeros",
    ) -> None: ...
    def forward(
        self,
        input: Tensor,
        output_size: int | Sequence[int] | None = None,
    ) -> Tensor: ...
    __call__ = forward
    axes: int

class Fold(Module):
    dilation: int | Sequence[int]
    function: Any
    kernel_size: int | Sequence[int]
    output_size: int | Sequence[int]
    padding: int | str | Sequence[int | tuple[int, int]]
    signature: Any
    stride: int | Sequence[int]
    def __init__(
        self,
        output_size: int | Sequence[int],
        kernel_size: int | Sequence[int],
        dilation: int | Sequence[int] = 1,
        padding: int | str | Sequence[int | tuple[int, int]] = 0,
        stride: int | Sequence[int] = 1,
    ) -> None: ...
    def settings(self) -> dict[str, Any]: ...
    def forward(self, input: Tensor) -> Tensor: ...
    __call__ = forward
    def extra_repr(self) -> str: ...

class Unfold(Module):
    dilation: int | Sequence[int]
    function: Any
    kernel_size: int | Sequence[int]
    padding: int | Sequence[int]
    signature: Any
    stride: int | Sequence[int]
    def __init__(
        self,
        kernel_size: int | Sequence[int],
        dilation: int | Sequence[int] = 1,
        padding: int | Sequence[int] = 0,
        stride: int | Sequence[int] = 1,
    ) -> None: ...
    def settings(self) -> dict[str, Any]: ...
    def forward(self, input: Tensor) -> Tensor: ...
    __call__ = forward
    def extra_repr(self) -> str: ...

class BCELoss(Module):
    function: Any
    reduction: Literal["none", "mean", "sum"]
    signature: Any
    weight: Buffer | None
    def __init__(
        self,
        weight: Tensor | None = None,
        reduction: Literal["none", "mean", "sum"] = "mean",
    ) -> None: ...
    def settings(self) -> dict[str, Any]: ...
    def forward(self, input: Tensor, target: Tensor) -> Tensor: ...
    __call__ = forward
    def extra_repr(self) -> str: ...

class BCEWithLogitsLoss(Module):
    function: Any
    pos_weight: Buffer | None
    reduction: Literal["none", "mean", "sum"]
    signature: Any
    weight: Buffer | None
    def __init__(
        self,
        weight: Tensor | None = None,
        reduction: Literal["none", "mean", "sum"] = "mean",
        pos_weight: Tensor | None = None,
    ) -> None: ...
    def settings(self) -> dict[str, Any]: ...
    def forward(self, input: Tensor, target: Tensor) -> Tensor: ...
    __call__ = forward
    def extra_repr(self) -> str: ...

class CosineSimilarity(Module):
    dim: int
    eps: float
    function: Any
    signature: Any
    def __init__(self, dim: int = 1, eps: float = 1e-08) -> None: ...
    def settings(self) -> dict[str, Any]: ...
    def forward(self, x1: Tensor, x2: Tensor) -> Tensor: ...
    __call__ = forward
    def extra_repr(self) -> str: ...

class CrossEntropyLoss(Module):
    function: Any
    ignore_index: int
    label_smoothing: float
    reduction: Literal["none", "mean", "sum"]
    signature: Any
    weight: Buffer | None
    def __init__(
        self,
        weight: Tensor | None = None,
        ignore_index: int = -100,
        reduction: Literal["none", "mean", "sum"] = "mean",
        label_smoothing: float = 0.0,
    ) -> None: ...
    def settings(self) -> dict[str, Any]: ...
    def forward(self, input: Tensor, target: Tensor) -> Tensor: ...
    __call__ = forward
    def extra_repr(self) -> str: ...

class HuberLoss(Module):
    delta: float
    function: Any
    reduction: Literal["none", "mean", "sum"]
    signature: Any
    def __init__(
        self,
        reduction: Literal["none", "mean", "sum"] = "mean",
        delta: float = 1.0,
    ) -> None: ...
    def settings(self) -> dict[str, Any]: ...
    def forward(self, input: Tensor, target: Tensor, weight: Tensor | None = None) -> Tensor: ...
    __call__ = forward
    def extra_repr(self) -> str: ...

class KLDivLoss(Module):
    function: Any
    log_target: bool
    reduction: Literal["none", "mean", "sum", "batchmean"]
    signature: Any
    def __init__(
        self,
        reduction: Literal["none", "mean", "sum", "batchmean"] = "mean",
        log_target: bool = False,
    ) -> None: ...
    def settings(self) -> dict[str, Any]: ...
    def forward(self, input: Tensor, target: Tensor) -> Tensor: ...
    __call__ = forward
    def extra_repr(self) -> str: ...

class L1Loss(Module):
    function: Any
    reduction: Literal["none", "mean", "sum"]
    signature: Any
    def __init__(self, reduction: Literal["none", "mean", "sum"] = "mean") -> None: ...
    def settings(self) -> dict[str, Any]: ...
    def forward(self, input: Tensor, target: Tensor, weight: Tensor | None = None) -> Tensor: ...
    __call__ = forward
    def extra_repr(self) -> str: ...

class MSELoss(Module):
    function: Any
    reduction: Literal["none", "mean", "sum"]
    signature: Any
    def __init__(self, reduction: Literal["none", "mean", "sum"] = "mean") -> None: ...
    def settings(self) -> dict[str, Any]: ...
    def forward(self, input: Tensor, target: Tensor, weight: Tensor | None = None) -> Tensor: ...
    __call__ = forward
    def extra_repr(self) -> str: ...

class NLLLoss(Module):
    function: Any
    ignore_index: int
    reduction: Literal["none", "mean", "sum"]
    signature: Any
    weight: Buffer | None
    def __init__(
        self,
        weight: Tensor | None = None,
        ignore_index: int = -100,
        reduction: Literal["none", "mean", "sum"] = "mean",
    ) -> None: ...
    def settings(self) -> dict[str, Any]: ...
    def forward(self, input: Tensor, target: Tensor) -> Tensor: ...
    __call__ = forward
    def extra_repr(self) -> str: ...

class SmoothL1Loss(Module):
    beta: float
    function: Any
    reduction: Literal["none", "mean", "sum"]
    signature: Any
    def __init__(
        self,
        reduction: Literal["none", "mean", "sum"] = "mean",
        beta: float = 1.0,
    ) -> None: ...
    def settings(self) -> dict[str, Any]: ...
    def forward(self, input: Tensor, target: Tensor) -> Tensor: ...
    __call__ = forward
    def extra_repr(self) -> str: ...

class BatchNorm1d(Module):
    affine: bool
    bias: Parameter | None
    eps: float
    momentum: float | None
    num_batches_tracked: Buffer | None
    num_features: int
    running_mean: Buffer | None
    running_var: Buffer | None
    track_running_stats: bool
    weight: Parameter | None
    def extra_repr(self) -> str: ...
    @property
    def dims(self) -> Any: ...
    def __init__(
        self,
        num_features: int,
        eps: float = 1e-05,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        *,
        bias: bool = True,
    ) -> None: ...
    def forward(self, input: Tensor) -> Tensor: ...
    __call__ = forward
    axes: int

class BatchNorm2d(Module):
    affine: bool
    bias: Parameter | None
    eps: float
    momentum: float | None
    num_batches_tracked: Buffer | None
    num_features: int
    running_mean: Buffer | None
    running_var: Buffer | None
    track_running_stats: bool
    weight: Parameter | None
    def extra_repr(self) -> str: ...
    @property
    def dims(self) -> Any: ...
    def __init__(
        self,
        num_features: int,
        eps: float = 1e-05,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        *,
        bias: bool = True,
    ) -> None: ...
    def forward(self, input: Tensor) -> Tensor: ...
    __call__ = forward
    axes: int

class BatchNorm3d(Module):
    affine: bool
    bias: Parameter | None
    eps: float
    momentum: float | None
    num_batches_tracked: Buffer | None
    num_features: int
    running_mean: Buffer | None
    running_var: Buffer | None
    track_running_stats: bool
    weight: Parameter | None
    def extra_repr(self) -> str: ...
    @property
    def dims(self) -> Any: ...
    def __init__(
        self,
        num_features: int,
        eps: float = 1e-05,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        *,
        bias: bool = True,
    ) -> None: ...
    def forward(self, input: Tensor) -> Tensor: ...
    __call__ = forward
    axes: int

class GroupNorm(Module):
    affine: bool
    bias: Parameter | None
    eps: float
    num_channels: int
    num_groups: int
    weight: Parameter | None
    def extra_repr(self) -> str: ...
    def __init__(
        self,
        num_groups: int,
        num_channels: int,
        eps: float = 1e-05,
        affine: bool = True,
        *,
        bias: bool = True,
    ) -> None: ...
    def forward(self, input: Tensor) -> Tensor: ...
    __call__ = forward

class InstanceNorm1d(Module):
    affine: bool
    bias: Parameter | None
    eps: float
    momentum: float | None
    num_batches_tracked: Buffer | None
    num_features: int
    running_mean: Buffer | None
    running_var: Buffer | None
    track_running_stats: bool
    weight: Parameter | None
    def extra_repr(self) -> str: ...
    @property
    def dims(self) -> Any: ...
    def __init__(
        self,
        num_features: int,
        eps: float = 1e-05,
        momentum: float | None = 0.1,
        affine: bool = False,
        track_running_stats: bool = False,
        *,
        bias: bool = True,
    ) -> None: ...
    def forward(self, input: Tensor) -> Tensor: ...
    __call__ = forward
    axes: int

class InstanceNorm2d(Module):
    affine: bool
    bias: Parameter | None
    eps: float
    momentum: float | None
    num_batches_tracked: Buffer | None
    num_features: int
    running_mean: Buffer | None
    running_var: Buffer | None
    track_running_stats: bool
    weight: Parameter | None
    def extra_repr(self) -> str: ...
    @property
    def dims(self) -> Any: ...
    def __init__(
        self,
        num_features: int,
        eps: float = 1e-05,
        momentum: float | None = 0.1,
        affine: bool = False,
        track_running_stats: bool = False,
        *,
        bias: bool = True,
    ) -> None: ...
    def forward(self, input: Tensor) -> Tensor: ...
    __call__ = forward
    axes: int

class InstanceNorm3d(Module):
    affine: bool
    bias: Parameter | None
    eps: float
    momentum: float | None
    num_batches_tracked: Buffer | None
    num_features: int
    running_mean: Buffer | None
    running_var: Buffer | None
    track_running_stats: bool
    weight: Parameter | None
    def extra_repr(self) -> str: ...
    @property
    def dims(self) -> Any: ...
    def __init__(
        self,
        num_features: int,
        eps: float = 1e-05,
        momentum: float | None = 0.1,
        affine: bool = False,
        track_running_stats: bool = False,
        *,
        bias: bool = True,
    ) -> None: ...
    def forward(self, input: Tensor) -> Tensor: ...
    __call__ = forward
    axes: int

class LayerNorm(Module):
    bias: Parameter | None
    elementwise_affine: bool
    eps: float
    normalized_shape: int | Sequence[int]
    weight: Parameter | None
    def extra_repr(self) -> str: ...
    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float = 1e-05,
        elementwise_affine: bool = True,
        bias: bool = True,
    ) -> None: ...
    def forward(self, input: Tensor) -> Tensor: ...
    __call__ = forward

class AdaptiveAvgPool1d(Module):
    function: Any
    output_size: int | Sequence[int | None] | None
    signature: Any
    def __init__(self, output_size: int | Sequence[int | None] | None) -> None: ...
    def settings(self) -> dict[str, Any]: ...
    def forward(self, input: Tensor) -> Tensor: ...
    __call__ = forward
    def extra_repr(self) -> str: ...

class AdaptiveAvgPool2d(Module):
    function: Any
    output_size: int | Sequence[int | None] | None
    signature: Any
    def __init__(self, output_size: int | Sequence[int | None] | None) -> None: ...
    def settings(self) -> dict[str, Any]: ...
    def forward(self, input: Tensor) -> Tensor: ...
    __call__ = forward
    def extra_repr(self) -> str: ...

class AdaptiveAvgPool3d(Module):
    function: Any
    output_size: int | Sequence[int | None] | None
    signature: Any
    def __init__(self, output_size: int | Sequence[int | None] | None) -> None: ...
    def settings(self) -> dict[str, Any]: ...
    def forward(self, input: Tensor) -> Tensor: ...
    __call__ = forward
    def extra_repr(self) -> str: ...

class AdaptiveMaxPool1d(Module):
    function: Any
    output_size: int | Sequence[int | None] | None
    return_indices: bool
    signature: Any
    def __init__(
        self,
        output_size: int | Sequence[int | None] | None,
        return_indices: bool = False,
    ) -> None: ...
    def settings(self) -> dict[str, Any]: ...
    def forward(self, input: Tensor) -> Any: ...
    __call__ = forward
    def extra_repr(self) -> str: ...

class AdaptiveMaxPool2d(Module):
    function: Any
    output_size: int | Sequence[int | None] | None
    return_indices: bool
    signature: Any
    def __init__(
        self,
        output_size: int | Sequence[int | None] | None,
        return_indices: bool = False,
    ) -> None: ...
    def settings(self) -> dict[str, Any]: ...
    def forward(self, input: Tensor) -> Any: ...
    __call__ = forward
    def extra_repr(self) -> str: ...

class AdaptiveMaxPool3d(Module):
    function: Any
    output_size: int | Sequence[int | None] | None
    return_indices: bool
    signature: Any
    def __init__(
        self,
        output_size: int | Sequence[int | None] | None,
        return_indices: bool = False,
    ) -> None: ...
    def settings(self) -> dict[str, Any]: ...
    def forward(self, input: Tensor) -> Any: ...
    __call__ = forward
    def extra_repr(self) -> str: ...

class AvgPool1d(Module):
    ceil_mode: bool
    count_include_pad: bool
    function: Any
    kernel_size: int | Sequence[int]
    padding: int | Sequence[int]
    signature: Any
    stride: int | Sequence[int] | None
    def __init__(
        self,
        kernel_size: int | Sequence[int],
        stride: int | Sequence[int] | None = None,
        padding: int | Sequence[int] = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
    ) -> None: ...
    def settings(self) -> dict[str, Any]: ...
    def forward(self, input: Tensor, divisor_override: int | None = None) -> Tensor: ...
    __call__ = forward
    def extra_repr(self) -> str: ...

class AvgPool2d(Module):
    ceil_mode: bool
    count_include_pad: bool
    divisor_override: int | None
    function: Any
    kernel_size: int | Sequence[int]
    padding: int | Sequence[int]
    signature: Any
    stride: int | Sequence[int] | None
    def __init__(
        self,
        kernel_size: int | Sequence[int],
        stride: int | Sequence[int] | None = None,
        padding: int | Sequence[int] = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ) -> None: ...
    def settings(self) -> dict[str, Any]: ...
    def forward(self, input: Tensor) -> Tensor: ...
    __call__ = forward
    def extra_repr(self) -> str: ...

class AvgPool3d(Module):
    ceil_mode: bool
    count_include_pad: bool
    divisor_override: int | None
    function: Any
    kernel_size: int | Sequence[int]
    padding: int | Sequence[int]
    signature: Any
    stride: int | Sequence[int] | None
    def __init__(
        self,
        kernel_size: int | Sequence[int],
        stride: int | Sequence[int] | None = None,
        padding: int | Sequence[int] = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ) -> None: ...
    def settings(self) -> dict[str, Any]: ...
    def forward(self, input: Tensor) -> Tensor: ...
    __call__ = forward
    def extra_repr(self) -> str: ...

class MaxPool1d(Module):
    ceil_mode: bool
    dilation: int | Sequence[int]
    function: Any
    kernel_size: int | Sequence[int]
    padding: int | Sequence[int]
    return_indices: bool
    signature: Any
    stride: int | Sequence[int] | None
    def __init__(
        self,
        kernel_size: int | Sequence[int],
        stride: int | Sequence[int] | None = None,
        padding: int | Sequence[int] = 0,
        dilation: int | Sequence[int] = 1,
        return_indices: bool = False,
        ceil_mode: bool = False,
    ) -> None: ...
    def settings(self) -> dict[str, Any]: ...
    def forward(self, input: Tensor) -> Any: ...
    __call__ = forward
    def extra_repr(self) -> str: ...

class MaxPool2d(Module):
    ceil_mode: bool
    dilation: int | Sequence[int]
    function: Any
    kernel_size: int | Sequence[int]
    padding: int | Sequence[int]
    return_indices: bool
    signature: Any
    stride: int | Sequence[int] | None
    def __init__(
        self,
        kernel_size: int | Sequence[int],
        stride: int | Sequence[int] | None = None,
        padding: int | Sequence[int] = 0,
        dilation: int | Sequence[int] = 1,
        return_indices: bool = False,
        ceil_mode: bool = False,
    ) -> None: ...
    def settings(self) -> dict[str, Any]: ...
    def forward(self, input: Tensor) -> Any: ...
    __call__ = forward
    def extra_repr(self) -> str: ...

class MaxPool3d(Module):
    ceil_mode: bool
    dilation: int | Sequence[int]
    function: Any
    kernel_size: int | Sequence[int]
    padding: int | Sequence[int]
    return_indices: bool
    signature: Any
    stride: int | Sequence[int] | None
    def __init__(
        self,
        kernel_size: int | Sequence[int],
        stride: int | Sequence[int] | None = None,
        padding: int | Sequence[int] = 0,
        dilation: int | Sequence[int] = 1,
        return_indices: bool = False,
        ceil_mode: bool = False,
    ) -> None: ...
    def settings(self) -> dict[str, Any]: ...
    def forward(self, input: Tensor) -> Any: ...
    __call__ = forward
    def extra_repr(self) -> str: ...

class MaxUnpool1d(Module):
    function: Any
    kernel_size: int | Sequence[int]
    padding: int | Sequence[int]
    signature: Any
    stride: int | Sequence[int] | None
    def __init__(
        self,
        kernel_size: int | Sequence[int],
        stride: int | Sequence[int] | None = None,
        padding: int | Sequence[int] = 0,
    ) -> None: ...
    def settings(self) -> dict[str, Any]: ...
    def forward(
        self,
        input: Tensor,
        indices: Tensor,
        output_size: int | Sequence[int] | None = None,
    ) -> Tensor: ...
    __call__ = forward
    def extra_repr(self) -> str: ...

class MaxUnpool2d(Module):
    function: Any
    kernel_size: int | Sequence[int]
    padding: int | Sequence[int]
    signature: Any
    stride: int | Sequence[int] | None
    def __init__(
        self,
        kernel_size: int | Sequence[int],
        stride: int | Sequence[int] | None = None,
        padding: int | Sequence[int] = 0,
    ) -> None: ...
    def settings(self) -> dict[str, Any]: ...
    def forward(
        self,
        input: Tensor,
        indices: Tensor,
        output_size: int | Sequence[int] | None = None,
    ) -> Tensor: ...
    __call__ = forward
    def extra_repr(self) -> str: ...

class MaxUnpool3d(Module):
    function: Any
    kernel_size: int | Sequence[int]
    padding: int | Sequence[int]
    signature: Any
    stride: int | Sequence[int] | None
    def __init__(
        self,
        kernel_size: int | Sequence[int],
        stride: int | Sequence[int] | None = None,
        padding: int | Sequence[int] = 0,
    ) -> None: ...
    def settings(self) -> dict[str, Any]: ...
    def forward(
        self,
        input: Tensor,
        indices: Tensor,
        output_size: int | Sequence[int] | None = None,
    ) -> Tensor: ...
    __call__ = forward
    def extra_repr(self) -> str: ...

class CircularPad1d(Module):
    padding: int | Sequence[int]
    def extra_repr(self) -> str: ...
    mode: str
    value: float
    def __init__(self, padding: int | Sequence[int]) -> None: ...
    def forward(self, input: Tensor) -> Tensor: ...
    __call__ = forward
    axes: int

class CircularPad2d(Module):
    padding: int | Sequence[int]
    def extra_repr(self) -> str: ...
    mode: str
    value: float
    def __init__(self, padding: int | Sequence[int]) -> None: ...
    def forward(self, input: Tensor) -> Tensor: ...
    __call__ = forward
    axes: int

class CircularPad3d(Module):
    padding: int | Sequence[int]
    def extra_repr(self) -> str: ...
    mode: str
    value: float
    def __init__(self, padding: int | Sequence[int]) -> None: ...
    def forward(self, input: Tensor) -> Tensor: ...
    __call__ = forward
    axes: int

class ConstantPad1d(Module):
    padding: int | Sequence[int]
    def extra_repr(self) -> str: ...
    mode: str
    value: float
    def __init__(self, padding: int | Sequence[int], value: Any) -> None: ...
    def forward(self, input: Tensor) -> Tensor: ...
    __call__ = forward
    axes: int

class ConstantPad2d(Module):
    padding: int | Sequence[int]
    def extra_repr(self) -> str: ...
    mode: str
    value: float
    def __init__(self, padding: int | Sequence[int], value: Any) -> None: ...
    def forward(self, input: Tensor) -> Tensor: ...
    __call__ = forward
    axes: int

class ConstantPad3d(Module):
    padding: int | Sequence[int]
    def extra_repr(self) -> str: ...
    mode: str
    value: float
    def __init__(self, padding: int | Sequence[int], value: Any) -> None: ...
    def forward(self, input: Tensor) -> Tensor: ...
    __call__ = forward
    axes: int

class PixelShuffle(Module):
    function: Any
    signature: Any
    upscale_factor: int
    def __init__(self, upscale_factor: int) -> None: ...
    def settings(self) -> dict[str, Any]: ...
    def forward(self, input: Tensor) -> Tensor: ...
    __call__ = forward
    def extra_repr(self) -> str: ...

class PixelUnshuffle(Module):
    downscale_factor: int
    function: Any
    signature: Any
    def __init__(self, downscale_factor: int) -> None: ...
    def settings(self) -> dict[str, Any]: ...
    def forward(self, input: Tensor) -> Tensor: ...
    __call__ = forward
    def extra_repr(self) -> str: ...

class ReflectionPad1d(Module):
    padding: int | Sequence[int]
    def extra_repr(self) -> str: ...
    mode: str
    value: float
    def __init__(self, padding: int | Sequence[int]) -> None: ...
    def forward(self, input: Tensor) -> Tensor: ...
    __call__ = forward
    axes: int

class ReflectionPad2d(Module):
    padding: int | Sequence[int]
    def extra_repr(self) -> str: ...
    mode: str
    value: float
    def __init__(self, padding: int | Sequence[int]) -> None: ...
    def forward(self, input: Tensor) -> Tensor: ...
    __call__ = forward
    axes: int

class ReflectionPad3d(Module):
    padding: int | Sequence[int]
    def extra_repr(self) -> str: ...
    mode: str
    value: float
    def __init__(self, padding: int | Sequence[int]) -> None: ...
    def forward(self, input: Tensor) -> Tensor: ...
    __call__ = forward
    axes: int

class ReplicationPad1d(Module):
    padding: int | Sequence[int]
    def extra_repr(self) -> str: ...
    mode: str
    value: float
    def __init__(self, padding: int | Sequence[int]) -> None: ...
    def forward(self, input: Tensor) -> Tensor: ...
    __call__ = forward
    axes: int

class ReplicationPad2d(Module):
    padding: int | Sequence[int]
    def extra_repr(self) -> str: ...
    mode: str
    value: float
    def __init__(self, padding: int | Sequence[int]) -> None: ...
    def forward(self, input: Tensor) -> Tensor: ...
    __call__ = forward
    axes: int

class ReplicationPad3d(Module):
    padding: int | Sequence[int]
    def extra_repr(self) -> str: ...
    mode: str
    value: float
    def __init__(self, padding: int | Sequence[int]) -> None: ...
    def forward(self, input: Tensor) -> Tensor: ...
    __call__ = forward
    axes: int

class Upsample(Module):
    align_corners: bool | None
    function: Any
    mode: str
    recompute_scale_factor: bool | None
    scale_factor: float | Sequence[float] | None
    signature: Any
    size: int | Sequence[int] | None
    def __init__(
        self,
        size: int | Sequence[int] | None = None,
        scale_factor: float | Sequence[float] | None = None,
        mode: str = "nearest",
        align_corners: bool | None = None,
        recompute_scale_factor: bool | None = None,
    ) -> None: ...
    def settings(self) -> dict[str, Any]: ...
    def forward(self, input: Tensor, antialias: bool = False) -> Tensor: ...
    __call__ = forward
    def extra_repr(self) -> str: ...

class UpsamplingBilinear2d(Module):
    function: Any
    scale_factor: float | Sequence[float] | None
    signature: Any
    size: int | Sequence[int] | None
    def __init__(
        self,
        size: int | Sequence[int] | None = None,
        scale_factor: float | Sequence[float] | None = None,
    ) -> None: ...
    def settings(self) -> dict[str, Any]: ...
    def forward(self, input: Tensor) -> Tensor: ...
    __call__ = forward
    def extra_repr(self) -> str: ...

class UpsamplingNearest2d(Module):
    function: Any
    scale_factor: float | Sequence[float] | None
    signature: Any
    size: int | Sequence[int] | None
    def __init__(
        self,
        size: int | Sequence[int] | None = None,
        scale_factor: float | Sequence[float] | None = None,
    ) -> None: ...
    def settings(self) -> dict[str, Any]: ...
    def forward(self, input: Tensor) -> Tensor: ...
    __call__ = forward
    def extra_repr(self) -> str: ...

class ZeroPad1d(Module):
    padding: int | Sequence[int]
    def extra_repr(self) -> str: ...
    mode: str
    value: float
    def __init__(self, padding: int | Sequence[int]) -> None: ...
    def forward(self, input: Tensor) -> Tensor: ...
    __call__ = forward
    axes: int

class ZeroPad2d(Module):
    padding: int | Sequence[int]
    def extra_repr(self) -> str: ...
    mode: str
    value: float
    def __init__(self, padding: int | Sequence[int]) -> None: ...
    def forward(self, input: Tensor) -> Tensor: ...
    __call__ = forward
    axes: int

class ZeroPad3d(Module):
    padding: int | Sequence[int]
    def extra_repr(self) -> str: ...
    mode: str
    value: float
    def __init__(self, padding: int | Sequence[int]) -> None: ...
    def forward(self, input: Tensor) -> Tensor: ...
    __call__ = forward
    axes: int

class ConvLSTMCell(Module):
    bias: Parameter | None
    hidden_channels: int
    in_channels: int
    kernel_size: tuple[int, ...]
    weight: Parameter
    def extra_repr(self) -> str: ...
    def __init__(
        self,
        in_channels: int,
        hidden_channels: int,
        kernel_size: int | Sequence[int],
        bias: bool = True,
    ) -> None: ...
    def forward(
        self,
        input: Tensor,
        hx: tuple[Tensor, Tensor] | None = None,
    ) -> tuple[Tensor, Tensor]: ...
    __call__ = forward

class GRU(Module):
    batch_first: bool
    bias: bool
    bidirectional: bool
    dropout: float
    hidden_size: int
    input_size: int
    nonlinearity: Any
    num_layers: int
    def extra_repr(self) -> str: ...
    proj_size: int
    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
    ) -> None: ...
    def forward(self, input: Tensor, hx: Tensor | None = None) -> tuple[Tensor, Tensor]: ...
    __call__ = forward
    mode: str
    def __getattr__(self, name: str) -> Parameter | None: ...

class GRUCell(Module):
    bias: bool
    hidden_size: int
    input_size: int
    nonlinearity: Any
    def extra_repr(self) -> str: ...
    proj_size: int
    def __init__(self, input_size: int, hidden_size: int, bias: bool = True) -> None: ...
    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor: ...
    __call__ = forward
    mode: str

class LSTM(Module):
    batch_first: bool
    bias: bool
    bidirectional: bool
    dropout: float
    hidden_size: int
    input_size: int
    nonlinearity: Any
    num_layers: int
    def extra_repr(self) -> str: ...
    proj_size: int
    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
    ) -> None: ...
    def forward(
        self,
        input: Tensor,
        hx: tuple[Tensor, Tensor] | None = None,
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]: ...
    __call__ = forward
    mode: str
    def __getattr__(self, name: str) -> Parameter | None: ...

class LSTMCell(Module):
    bias: bool
    hidden_size: int
    input_size: int
    nonlinearity: Any
    def extra_repr(self) -> str: ...
    proj_size: int
    def __init__(self, input_size: int, hidden_size: int, bias: bool = True) -> None: ...
    def forward(
        self,
        input: Tensor,
        hx: tuple[Tensor, Tensor] | None = None,
    ) -> tuple[Tensor, Tensor]: ...
    __call__ = forward
    mode: str

class RNN(Module):
    batch_first: bool
    bias: bool
    bidirectional: bool
    dropout: float
    hidden_size: int
    input_size: int
    mode: Any
    nonlinearity: str
    num_layers: int
    def extra_repr(self) -> str: ...
    proj_size: int
    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: str = "tanh",
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
    ) -> None: ...
    def forward(self, input: Tensor, hx: Tensor | None = None) -> tuple[Tensor, Tensor]: ...
    __call__ = forward
    def __getattr__(self, name: str) -> Parameter | None: ...

class RNNCell(Module):
    bias: bool
    hidden_size: int
    input_size: int
    mode: Any
    nonlinearity: str
    def extra_repr(self) -> str: ...
    proj_size: int
    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        nonlinearity: str = "tanh",
    ) -> None: ...
    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor: ...
    __call__ = forward

def summary(
    model: Module,
    input_shape: int | Sequence[int],
    dtype: npt.DTypeLike | None = None,
) -> Tensor: ...

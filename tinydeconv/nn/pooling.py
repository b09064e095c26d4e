"""Pooling over 1, 2 and 3 spatial axes: functions and layers."""

from .. import ops
from ..ops import resampling, windows
from .families import FunctionLayer, for_axes, layer, layers

max_pool1d, max_pool2d, max_pool3d = for_axes(ops.max_pool)
max_unpool1d, max_unpool2d, max_unpool3d = for_axes(ops.max_unpool)
avg_pool1d, avg_pool2d, avg_pool3d = for_axes(ops.avg_pool)
adaptive_max_pool1d, adaptive_max_pool2d, adaptive_max_pool3d = for_axes(windows.adaptive_max_pool)
adaptive_avg_pool1d, adaptive_avg_pool2d, adaptive_avg_pool3d = for_axes(
    resampling.adaptive_avg_pool
)

# ---------------------------------------------------------------- layers

MaxPool1d, MaxPool2d, MaxPool3d = layers(
    "MaxPool", (max_pool1d, max_pool2d, max_pool3d),
    order="kernel_size stride padding dilation return_indices ceil_mode",
)  # fmt: skip


class _MaxUnpool(FunctionLayer):
    def forward(self, input, indices, output_size=None):
        return super().forward(input, indices, output_size=output_size)


MaxUnpool1d, MaxUnpool2d, MaxUnpool3d = layers(
    "MaxUnpool", (max_unpool1d, max_unpool2d, max_unpool3d), without="output_size", base=_MaxUnpool
)
AvgPool1d = layer("AvgPool1d", avg_pool1d, without="divisor_override")
AvgPool2d, AvgPool3d = layer("AvgPool2d", avg_pool2d), layer("AvgPool3d", avg_pool3d)
AdaptiveMaxPool1d, AdaptiveMaxPool2d, AdaptiveMaxPool3d = layers(
    "AdaptiveMaxPool", (adaptive_max_pool1d, adaptive_max_pool2d, adaptive_max_pool3d)
)
AdaptiveAvgPool1d, AdaptiveAvgPool2d, AdaptiveAvgPool3d = layers(
    "AdaptiveAvgPool", (adaptive_avg_pool1d, adaptive_avg_pool2d, adaptive_avg_pool3d)
)

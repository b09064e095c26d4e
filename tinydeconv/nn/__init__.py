"""Layers and networks; each family has a page of its own."""

# ruff: noqa: F401, I001

from . import functional, init
from .activations import LeakyReLU, PReLU, ReLU, Sigmoid, Tanh
from .basic import Flatten, Linear, Unflatten
from .convolution import (
    Conv1d, Conv2d, Conv3d, ConvTranspose1d, ConvTranspose2d, ConvTranspose3d, Fold, Unfold,
)
from .losses import BCEWithLogitsLoss, CrossEntropyLoss, L1Loss, MSELoss
from .module import Buffer, Module, ModuleList, Parameter, Sequential
from .normalization import BatchNorm1d, BatchNorm2d, BatchNorm3d
from .pooling import (
    AvgPool1d, AvgPool2d, AvgPool3d, MaxPool1d, MaxPool2d, MaxPool3d, MaxUnpool1d, MaxUnpool2d,
    MaxUnpool3d,
)

__all__ = sorted(name for name, kind in vars().items() if isinstance(kind, type))

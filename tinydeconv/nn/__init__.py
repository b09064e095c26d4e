"""Layers and networks."""

# ruff: noqa: F401, I001

from . import functional, init
from .layers import (
    AvgPool1d,
    AvgPool2d,
    AvgPool3d,
    BatchNorm1d,
    BatchNorm2d,
    BatchNorm3d,
    BCEWithLogitsLoss,
    Conv1d,
    Conv2d,
    Conv3d,
    ConvTranspose1d,
    ConvTranspose2d,
    ConvTranspose3d,
    CrossEntropyLoss,
    Flatten,
    L1Loss,
    LeakyReLU,
    Linear,
    MaxPool1d,
    MaxPool2d,
    MaxPool3d,
    MaxUnpool1d,
    MaxUnpool2d,
    MaxUnpool3d,
    MSELoss,
    PReLU,
    ReLU,
    Sigmoid,
    Tanh,
    Unflatten,
)
from .module import Buffer, Module, ModuleList, Parameter, Sequential

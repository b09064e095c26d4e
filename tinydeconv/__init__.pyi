# Written by tools/stubs.py: do not edit.
# mypy: disable-error-code="override"

from tinydeconv.cuda import Backends
import numpy as np
from tinydeconv import cuda as cuda
from tinydeconv import nn as nn
from tinydeconv import optim as optim
from tinydeconv.backend import device as device
from tinydeconv.backend import get_rng_state as get_rng_state
from tinydeconv.backend import manual_seed as manual_seed
from tinydeconv.backend import set_rng_state as set_rng_state
from tinydeconv.engine import Op as Op
from tinydeconv.engine import detect_anomaly as detect_anomaly
from tinydeconv.engine import enable_grad as enable_grad
from tinydeconv.engine import grad as grad
from tinydeconv.engine import is_grad_enabled as is_grad_enabled
from tinydeconv.engine import no_grad as no_grad
from tinydeconv.gradcheck import adjointcheck as adjointcheck
from tinydeconv.gradcheck import gradcheck as gradcheck
from tinydeconv.gradcheck import gradgradcheck as gradgradcheck
from tinydeconv.kernels.threads import get_num_threads as get_num_threads
from tinydeconv.kernels.threads import set_num_threads as set_num_threads
from tinydeconv.ops import abs as abs
from tinydeconv.ops import acos as acos
from tinydeconv.ops import add as add
from tinydeconv.ops import all as all
from tinydeconv.ops import allclose as allclose
from tinydeconv.ops import amax as amax
from tinydeconv.ops import amin as amin
from tinydeconv.ops import any as any
from tinydeconv.ops import arange as arange
from tinydeconv.ops import argmax as argmax
from tinydeconv.ops import argmin as argmin
from tinydeconv.ops import argsort as argsort
from tinydeconv.ops import asarray as asarray
from tinydeconv.ops import asin as asin
from tinydeconv.ops import atan as atan
from tinydeconv.ops import bitwise_and as bitwise_and
from tinydeconv.ops import bitwise_not as bitwise_not
from tinydeconv.ops import bitwise_or as bitwise_or
from tinydeconv.ops import bitwise_xor as bitwise_xor
from tinydeconv.ops import bmm as bmm
from tinydeconv.ops import cat as cat
from tinydeconv.ops import ceil as ceil
from tinydeconv.ops import chunk as chunk
from tinydeconv.ops import clamp as clamp
from tinydeconv.ops import clone as clone
from tinydeconv.ops import cos as cos
from tinydeconv.ops import cosh as cosh
from tinydeconv.ops import count_nonzero as count_nonzero
from tinydeconv.ops import cumsum as cumsum
from tinydeconv.ops import diag as diag
from tinydeconv.ops import diagonal as diagonal
from tinydeconv.ops import diff as diff
from tinydeconv.ops import div as div
from tinydeconv.ops import dot as dot
from tinydeconv.ops import einsum as einsum
from tinydeconv.ops import eq as eq
from tinydeconv.ops import equal as equal
from tinydeconv.ops import erf as erf
from tinydeconv.ops import exp as exp
from tinydeconv.ops import expm1 as expm1
from tinydeconv.ops import eye as eye
from tinydeconv.ops import flatten as flatten
from tinydeconv.ops import flip as flip
from tinydeconv.ops import floor as floor
from tinydeconv.ops import floor_divide as floor_divide
from tinydeconv.ops import from_dlpack as from_dlpack
from tinydeconv.ops import from_numpy as from_numpy
from tinydeconv.ops import full as full
from tinydeconv.ops import full_like as full_like
from tinydeconv.ops import gather as gather
from tinydeconv.ops import ge as ge
from tinydeconv.ops import gt as gt
from tinydeconv.ops import index_select as index_select
from tinydeconv.ops import isclose as isclose
from tinydeconv.ops import isfinite as isfinite
from tinydeconv.ops import isinf as isinf
from tinydeconv.ops import isnan as isnan
from tinydeconv.ops import le as le
from tinydeconv.ops import lerp as lerp
from tinydeconv.ops import linspace as linspace
from tinydeconv.ops import log as log
from tinydeconv.ops import log10 as log10
from tinydeconv.ops import log1p as log1p
from tinydeconv.ops import log2 as log2
from tinydeconv.ops import log_softmax as log_softmax
from tinydeconv.ops import logical_and as logical_and
from tinydeconv.ops import logical_not as logical_not
from tinydeconv.ops import logical_or as logical_or
from tinydeconv.ops import logical_xor as logical_xor
from tinydeconv.ops import logsumexp as logsumexp
from tinydeconv.ops import lt as lt
from tinydeconv.ops import masked_fill as masked_fill
from tinydeconv.ops import masked_select as masked_select
from tinydeconv.ops import matmul as matmul
from tinydeconv.ops import max as max
from tinydeconv.ops import maximum as maximum
from tinydeconv.ops import mean as mean
from tinydeconv.ops import meshgrid as meshgrid
from tinydeconv.ops import min as min
from tinydeconv.ops import minimum as minimum
from tinydeconv.ops import mm as mm
from tinydeconv.ops import movedim as movedim
from tinydeconv.ops import mul as mul
from tinydeconv.ops import mv as mv
from tinydeconv.ops import narrow as narrow
from tinydeconv.ops import ne as ne
from tinydeconv.ops import neg as neg
from tinydeconv.ops import nonzero as nonzero
from tinydeconv.ops import norm as norm
from tinydeconv.ops import ones as ones
from tinydeconv.ops import ones_like as ones_like
from tinydeconv.ops import outer as outer
from tinydeconv.ops import permute as permute
from tinydeconv.ops import pow as pow
from tinydeconv.ops import prod as prod
from tinydeconv.ops import rand as rand
from tinydeconv.ops import rand_like as rand_like
from tinydeconv.ops import randint as randint
from tinydeconv.ops import randint_like as randint_like
from tinydeconv.ops import randn as randn
from tinydeconv.ops import randn_like as randn_like
from tinydeconv.ops import randperm as randperm
from tinydeconv.ops import reciprocal as reciprocal
from tinydeconv.ops import relu as relu
from tinydeconv.ops import remainder as remainder
from tinydeconv.ops import repeat_interleave as repeat_interleave
from tinydeconv.ops import reshape as reshape
from tinydeconv.ops import result_type as result_type
from tinydeconv.ops import roll as roll
from tinydeconv.ops import round as round
from tinydeconv.ops import rsqrt as rsqrt
from tinydeconv.ops import scatter as scatter
from tinydeconv.ops import scatter_add as scatter_add
from tinydeconv.ops import sigmoid as sigmoid
from tinydeconv.ops import sign as sign
from tinydeconv.ops import sin as sin
from tinydeconv.ops import sinh as sinh
from tinydeconv.ops import softmax as softmax
from tinydeconv.ops import sort as sort
from tinydeconv.ops import split as split
from tinydeconv.ops import sqrt as sqrt
from tinydeconv.ops import square as square
from tinydeconv.ops import squeeze as squeeze
from tinydeconv.ops import stack as stack
from tinydeconv.ops import std as std
from tinydeconv.ops import std_mean as std_mean
from tinydeconv.ops import sub as sub
from tinydeconv.ops import sum as sum
from tinydeconv.ops import tan as tan
from tinydeconv.ops import tanh as tanh
from tinydeconv.ops import tensor as tensor
from tinydeconv.ops import topk as topk
from tinydeconv.ops import trace as trace
from tinydeconv.ops import transpose as transpose
from tinydeconv.ops import tril as tril
from tinydeconv.ops import triu as triu
from tinydeconv.ops import trunc as trunc
from tinydeconv.ops import unbind as unbind
from tinydeconv.ops import unflatten as unflatten
from tinydeconv.ops import unsqueeze as unsqueeze
from tinydeconv.ops import var as var
from tinydeconv.ops import var_mean as var_mean
from tinydeconv.ops import where as where
from tinydeconv.ops import zeros as zeros
from tinydeconv.ops import zeros_like as zeros_like
from tinydeconv.serialize import load as load
from tinydeconv.serialize import load_metadata as load_metadata
from tinydeconv.serialize import save as save
from tinydeconv.tensor import Tensor as Tensor

backends: Backends
__version__: str
float16: np.dtype[np.float16]
float32: np.dtype[np.float32]
float64: np.dtype[np.float64]
uint8: np.dtype[np.uint8]
int8: np.dtype[np.int8]
int16: np.dtype[np.int16]
int32: np.dtype[np.int32]
int64: np.dtype[np.int64]
bool: np.dtype[np.bool]
half: np.dtype[np.float16]
float: np.dtype[np.float32]
double: np.dtype[np.float64]
short: np.dtype[np.int16]
int: np.dtype[np.int32]
long: np.dtype[np.int64]

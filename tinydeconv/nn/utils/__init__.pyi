# Written by tools/stubs.py: do not edit.
# mypy: disable-error-code="override"

from collections.abc import Iterable
from tinydeconv.tensor import Tensor
from tinydeconv.nn.utils import parametrizations as parametrizations
from tinydeconv.nn.utils.parametrizations import spectral_norm as spectral_norm
from tinydeconv.nn.utils.parametrizations import weight_norm as weight_norm

def clip_grad_norm_(
    parameters: Iterable[Tensor] | Tensor,
    max_norm: float,
    norm_type: float | str = 2.0,
    error_if_nonfinite: bool = False,
) -> Tensor: ...
def clip_grad_value_(parameters: Iterable[Tensor] | Tensor, clip_value: float) -> None: ...
def parameters_to_vector(parameters: Iterable[Tensor] | Tensor) -> Tensor: ...
def vector_to_parameters(vec: Tensor, parameters: Iterable[Tensor] | Tensor) -> None: ...

# Written by tools/stubs.py: do not edit.
# mypy: disable-error-code="override"

from tinydeconv.tensor import _Array

def psnr(a: _Array, b: _Array, data_range: float = 1.0) -> float: ...
def ssim(
    a: _Array,
    b: _Array,
    data_range: float,
    gaussian_weights: bool = False,
) -> float: ...

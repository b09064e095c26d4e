"""What training loops do to gradients and parameters, and weights that are computed."""

# ruff: noqa: F401

from ...engine import no_grad
from ...ops import cat, norm, stack, tensor
from ...tensor import Tensor
from . import parametrizations
from .parametrizations import spectral_norm, weight_norm


def clip_grad_norm_(parameters, max_norm, norm_type=2.0, error_if_nonfinite=False):
    """Scales all gradients down together to a norm of at most `max_norm`, each .grad being a new
    Tensor; returns the norm that they had (Pascanu et al. 2013).
    """
    held = [p for p in _listed(parameters) if p.grad is not None]
    with no_grad():
        norms = [norm(p.grad, float(norm_type)) for p in held if p.numel()]
        total = norm(stack(norms), float(norm_type)) if norms else tensor(0.0)
        if error_if_nonfinite and not total.isfinite().item():
            raise RuntimeError(f"expected gradients with a finite norm, got {total.item()}")
        scale = (max_norm / (total + 1e-6)).clamp(max=1.0)
        for p in held:
            p.grad = (p.grad * scale).astype(p.dtype)
    return total


def clip_grad_value_(parameters, clip_value):
    """Brings every number of every gradient into [-clip_value, clip_value]."""
    with no_grad():
        for p in _listed(parameters):
            if p.grad is not None:
                p.grad = p.grad.clamp(-clip_value, clip_value)


def parameters_to_vector(parameters):
    """All parameters one after another, as one differentiable vector."""
    return cat([p.reshape(-1) for p in _listed(parameters)])


def vector_to_parameters(vec, parameters):
    """Overwrites the parameters with copies of the numbers of a vector; the inverse of
    parameters_to_vector.
    """
    parameters = _listed(parameters)
    count = sum(p.numel() for p in parameters)
    if not isinstance(vec, Tensor) or vec.shape != (count,):
        found = f"shape {vec.shape}" if isinstance(vec, Tensor) else type(vec).__name__
        raise ValueError(f"expected a vector (a Tensor) of {count} numbers, got {found}")
    start = 0
    for p in parameters:
        numbers = vec.data[start : start + p.numel()].reshape(p.shape)
        p.data = numbers.astype(p.dtype)
        start += p.numel()


def _listed(parameters):
    return [parameters] if isinstance(parameters, Tensor) else list(parameters)

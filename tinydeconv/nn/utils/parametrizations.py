"""Weights that are computed from others: spectral norm and weight norm.

A parametrised layer keeps what it learns under `parametrizations`, by the names that PyTorch's
torch.nn.utils.parametrizations gives it; its weight is worked out whenever it is read.
"""

from ...engine import no_grad
from ...ops import movedim, norm
from ...ops.shape import axis
from .. import init
from ..module import Buffer, Module, ModuleDict, ModuleList, Parameter


def spectral_norm(module, name="weight", n_power_iterations=1, eps=1e-12, dim=None):
    """The module with its weight divided by the weight's largest singular value, so that the layer
    enlarges no difference of its inputs (Miyato et al. 2018).

    The weight is taken as a matrix whose rows are its dimension `dim`: by default that of the
    outputs. Each reading in training mode goes `n_power_iterations` steps nearer to the value.
    """
    dim = (1 if getattr(module, "transposed", False) else 0) if dim is None else dim
    function = SpectralNorm(_parameter(module, name), n_power_iterations, eps, dim)
    return _parametrized(module, name, function)


def weight_norm(module, name="weight", dim=0):
    """The module with its weight as length times direction, which are learned apart: one length for
    each index of `dim`, a single one for None (Salimans & Kingma 2016).
    """
    return _parametrized(module, name, WeightNorm(dim))


class SpectralNorm(Module):
    """weight / (u^T weight v), with the singular vectors u and v found by power iteration; of a
    vector, weight / |weight|.
    """

    def __init__(self, weight, n_power_iterations, eps, dim):
        if n_power_iterations < 1:
            raise ValueError(f"expected at least 1 power iteration, got {n_power_iterations}")
        self.n_power_iterations, self.eps = n_power_iterations, eps
        self.dim = axis(dim, weight.ndim)
        if weight.ndim > 1:
            matrix = self._matrix(weight)
            self._u, self._v = (Buffer(row.data.copy()) for row in (matrix[:, 0], matrix[0]))
            init.normal_(self._v)
            self._iterate(matrix, 15)

    def forward(self, weight):
        if weight.ndim < 2:
            return self._unit(weight)
        matrix = self._matrix(weight)
        if self.training:
            self._iterate(matrix, self.n_power_iterations)
        return weight / (self._u @ (matrix @ self._v))

    def _matrix(self, weight):
        return movedim(weight, self.dim, 0).flatten(1)

    def _iterate(self, matrix, steps):
        with no_grad():
            for _ in range(steps):  # new Buffers: older graphs keep theirs
                self._u = self._unit(matrix @ self._v)
                self._v = self._unit(self._u @ matrix)

    def _unit(self, vector):
        return vector / norm(vector).clamp(min=self.eps)

    def originals(self, weight):
        return {"original": weight}


class WeightNorm(Module):
    """g v / |v|, with the norm over all dimensions but one."""

    def __init__(self, dim):
        self.dim = dim

    def forward(self, g, v):
        return v * (g / self._norm(v))

    def _norm(self, v):
        if self.dim in (None, -1):  # PyTorch's -1 is not the last one either
            return norm(v)
        kept = axis(self.dim, v.ndim)
        rows = movedim(v, kept, 0).reshape(v.shape[kept], -1)
        return norm(rows, 2, 1).reshape([-1 if i == kept else 1 for i in range(v.ndim)])

    def originals(self, weight):
        g, v = self._norm(weight).detach(), weight
        return {
            "original0": Parameter(g, weight.requires_grad),
            "original1": Parameter(v, weight.requires_grad),
        }


# ---------------------------------------------------------------- how a weight is computed


class ParametrizationList(ModuleList):
    """The function that makes a weight, and the Parameters that it is made from."""

    def forward(self):
        return self[0].forward(*self.parameters(recurse=False))


def _parameter(module, name):
    found = vars(module).get(name)
    if not isinstance(found, Parameter):
        raise ValueError(
            f"expected a Parameter {name!r} that is not computed already, {type(module).__name__} "
            "has none"
        )
    return found


def _parametrized(module, name, function):
    """The module whose Parameter `name` is from now on what the function makes of others."""
    made = ParametrizationList([function])
    for key, original in function.originals(_parameter(module, name)).items():
        setattr(made, key, original)
    if "parametrizations" not in vars(module):
        module.parametrizations = ModuleDict()
    module.parametrizations[name] = made.train(module.training)
    delattr(module, name)
    # A class of its own, because Python looks for properties on the class.
    kind = type(module)
    title = f"Parametrized{kind.__name__.removeprefix('Parametrized')}"
    computed = property(lambda self: self.parametrizations[name].forward())
    module.__class__ = type(title, (kind,), {name: computed, "__module__": kind.__module__})
    return module

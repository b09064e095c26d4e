"""The libraries behind one face: tensors, convolution, clearing of gradients, backward."""

import platform
from importlib import import_module

import numpy as np

NAMES = {
    "tinydeconv": "tinydeconv", "torch": "PyTorch", "dezero": "DeZero", "mygrad": "MyGrad",
}  # fmt: skip
PIP = {"torch": "torch==2.13.0", "dezero": "dezero", "mygrad": "mygrad"}  # what it calls them


def open_library(name):
    return {"dezero": DeZero, "mygrad": MyGrad}.get(name, TorchLike)(name)


class TorchLike:
    """tinydeconv or PyTorch."""

    def __init__(self, name):
        self.name = name
        self.lib = self.ops = import_module(name)
        self.nn, self.optim = import_module(f"{name}.nn"), import_module(f"{name}.optim")
        self.functional = import_module(f"{name}.nn.functional")

    def describe(self):
        from threadpoolctl import threadpool_info

        keys = ["user_api", "internal_api", "version", "architecture", "num_threads"]
        return {
            "version": self.lib.__version__,
            "numpy": np.__version__,
            "python": platform.python_version(),
            "pools": [{key: pool.get(key) for key in keys} for pool in threadpool_info()],
        }

    def tensor(self, array, requires_grad=False):
        return self.lib.tensor(array, requires_grad=requires_grad)

    def convolve(self, x, w, *, transposed, **options):
        name = f"conv{'_transpose' if transposed else ''}{w.ndim - 2}d"
        return getattr(self.functional, name)(x, w, **options)

    def clear(self, *tensors):
        for tensor in tensors:
            tensor.grad = None

    def backward(self, y, gradient):
        y.backward(gradient)


class DeZero(TorchLike):
    def __init__(self, name):
        # NumPy dropped np.int in 1.24; DeZero 0.0.13 asks for it while it is imported.
        np.int = int
        self.name, self.lib = name, import_module(name)
        self.ops = import_module("dezero.functions")

    def tensor(self, array, requires_grad=False):
        return self.lib.Variable(array)  # each wants its gradient

    def convolve(self, x, w, *, transposed, stride=1, padding=0):
        function = self.ops.deconv2d if transposed else self.ops.conv2d
        return function(x, w, stride=stride, pad=padding)

    def clear(self, *tensors):
        for tensor in tensors:
            tensor.cleargrad()

    def backward(self, y, gradient):
        y.grad = gradient
        y.backward()


class MyGrad(TorchLike):
    def __init__(self, name):
        self.name, self.lib = name, import_module(name)
        self.ops = self.lib
        self.conv_nd = import_module("mygrad.nnet.layers").conv_nd

    def tensor(self, array, requires_grad=False):
        return self.lib.tensor(array, constant=not requires_grad)

    def convolve(self, x, w, *, transposed, stride=1, **options):
        return self.conv_nd(x, w, stride=stride, **options)

    def clear(self, *tensors):
        for tensor in tensors:
            tensor.null_grad()

    def backward(self, y, gradient):
        y.backward(gradient.data)

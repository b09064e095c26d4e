"""Kernels: arrays in, arrays out. They know neither Tensors nor gradients."""

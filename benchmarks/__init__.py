"""How fast tinydeconv is beside PyTorch, DeZero and MyGrad: python -m benchmarks --help

A subject is a page (kernels, steps, engine, memory, scaling): its cases, what one call of a case
is, and the tables of what came out. harness.py says how two libraries are timed side by side.
"""

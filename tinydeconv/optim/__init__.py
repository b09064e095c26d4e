"""Optimisers, and the schedules of their learning rates; names, defaults and rules are PyTorch's.

    optimizer = SGD(model.parameters(), lr=0.1)
    schedule = lr_scheduler.StepLR(optimizer, step_size=30)
    optimizer.zero_grad(); loss.backward(); optimizer.step(); schedule.step()

Left out of PyTorch's arguments: foreach, fused, capturable and differentiable, which say how a step
is computed and not which.
"""

from . import lr_scheduler
from .lr_scheduler import OneCycleLR
from .optimizers import SGD, Adagrad, Adam, AdamW, Optimizer, RMSprop, l1_penalty

__all__ = [
    "SGD", "Adagrad", "Adam", "AdamW", "OneCycleLR", "Optimizer", "RMSprop", "l1_penalty",
    "lr_scheduler",
]  # fmt: skip

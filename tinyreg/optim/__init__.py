"""Optimizers: they read gradients and give leaves new values. Nothing here is recorded on a tape but the proximal steps."""

from .adam import Adam, AdamW
from .averaging import WeightAverage
from .clipping import clip_grad_norm, clip_grad_value
from .optimizer import Optimizer
from .proximal import Proximal, prox_elastic_net, prox_group_lasso, prox_l1
from .schedules import CosineAnnealingLR, LinearLR, LRScheduler, SequentialLR, StepLR
from .sgd import SGD

__all__ = [
    "SGD",
    "Adam",
    "AdamW",
    "CosineAnnealingLR",
    "LRScheduler",
    "LinearLR",
    "Optimizer",
    "Proximal",
    "SequentialLR",
    "StepLR",
    "WeightAverage",
    "clip_grad_norm",
    "clip_grad_value",
    "prox_elastic_net",
    "prox_group_lasso",
    "prox_l1",
]

"""Losses: how far a prediction is from its target, as compositions; the fast forms of some stand in `fast`.

Shapes never broadcast here: a prediction of shape (N, 1) against a target of shape (N,) is an error, not an (N, N)
mean. `reduction` is "mean", "sum" or "none", as in PyTorch; a mean over nothing is 0, where PyTorch's is NaN.

A loss has the dtype of the prediction: targets and weights are cast to it. float16 is worked out in float32 and rounded at
the end. What has the weight 0, or is ignored, may hold anything, NaN and infinities too: it is 0, and so is its gradient.
"""

from . import fast  # noqa: F401  (which declares the fast forms; without this line each loss is its definition)
from .classification import binary_cross_entropy, cross_entropy, hinge, kl_divergence
from .regression import huber, mae, mse

__all__ = ["binary_cross_entropy", "cross_entropy", "hinge", "huber", "kl_divergence", "mae", "mse"]

"""Normalization of activations and of weights, as compositions.

`axes` are those over which mean and variance are taken. The variance is biased (divided by n, not by n - 1) and worked
out in two passes, the mean first; float16 is computed in float32 and rounded at the end. `weight` and `bias` (gamma
and beta) may be left out; `eps` is added to the variance, once.
"""

from .norms import batch_norm, group_norm, instance_norm, layer_norm, rms_norm
from .weights import conv_power_iteration, conv_spectral_norm, power_iteration, spectral_norm, weight_norm

__all__ = [
    "batch_norm",
    "conv_power_iteration",
    "conv_spectral_norm",
    "group_norm",
    "instance_norm",
    "layer_norm",
    "power_iteration",
    "rms_norm",
    "spectral_norm",
    "weight_norm",
]

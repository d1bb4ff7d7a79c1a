"""Writes torch_values.json: what PyTorch gives for layers, norms and losses, in float64, with its gradients.

Run it with PyTorch installed: `python tests/reference/torch_values.py`. The tests read the file and need no PyTorch.
"""

import json
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F  # noqa: N812 (everybody's name for it)

RNG = np.random.default_rng(0)


def normal(*shape):
    return RNG.normal(size=shape).round(6)


def positive(*shape):
    return RNG.uniform(0.25, 2.0, size=shape).round(6)


def labels(high, *shape):
    return RNG.integers(0, high, size=shape)


def probabilities(*shape):
    p = positive(*shape)
    return (p / p.sum(axis=-1, keepdims=True)).round(6)


def spectral(weight, x):
    """The wrapper of a Linear after one call in training, from the singular vectors themselves."""
    layer = torch.nn.Linear(weight.shape[1], weight.shape[0], bias=False).double()
    wrapped = torch.nn.utils.parametrizations.spectral_norm(layer)
    u, _, vh = torch.linalg.svd(weight.detach())
    wrapped.parametrizations.weight[0]._u.copy_(u[:, 0])
    wrapped.parametrizations.weight[0]._v.copy_(vh[0])
    wrapped.eval()
    return x @ wrapped.parametrizations.weight[0](weight).T


IGNORED = np.array([0, -100, 2, 1, -100])
IMAGES = normal(2, 4, 5, 6)

FUNCTIONS = {
    "relu": (F.relu, [normal(3, 4)]),
    "leaky_relu": (lambda x: F.leaky_relu(x, 0.2), [normal(3, 4)]),
    "elu": (lambda x: F.elu(x, 0.7), [normal(3, 4)]),
    "gelu": (F.gelu, [3 * normal(3, 4)]),
    "gelu_tanh": (lambda x: F.gelu(x, approximate="tanh"), [3 * normal(3, 4)]),
    "silu": (F.silu, [3 * normal(3, 4)]),
    "sigmoid": (torch.sigmoid, [3 * normal(3, 4)]),
    "tanh": (torch.tanh, [normal(3, 4)]),
    "softplus": (lambda x: F.softplus(x, beta=2.0, threshold=1e9), [3 * normal(3, 4)]),
    "softmax": (lambda x: F.softmax(x, dim=1), [normal(3, 4, 2)]),
    "log_softmax": (lambda x: F.log_softmax(x, dim=-1), [10 * normal(3, 4)]),
    "linear": (F.linear, [normal(3, 4), normal(2, 4), normal(2)]),
    "conv2d": (F.conv2d, [IMAGES, normal(3, 4, 3, 2), normal(3)]),
    "conv2d_settings": (
        lambda x, w, b: F.conv2d(x, w, b, stride=(2, 1), padding=(1, 2), dilation=(1, 2), groups=2),
        [IMAGES, normal(6, 2, 3, 2), normal(6)],
    ),
    "max_pool2d": (lambda x: F.max_pool2d(x, 3, stride=2, padding=1), [normal(1, 2, 5, 6)]),
    "avg_pool2d": (lambda x: F.avg_pool2d(x, 2, stride=1, padding=1), [normal(1, 2, 3, 4)]),
    "avg_pool2d_inside": (
        lambda x: F.avg_pool2d(x, 2, stride=1, padding=1, count_include_pad=False),
        [normal(1, 2, 3, 4)],
    ),
    "embedding": (lambda i, w: F.embedding(i, w, padding_idx=1), [labels(4, 2, 3), normal(4, 3)]),
    "batch_norm": (lambda x, w, b: F.batch_norm(x, None, None, w, b, training=True), [normal(5, 3), normal(3), normal(3)]),
    "batch_norm_images": (
        lambda x, w, b: F.batch_norm(x, None, None, w, b, training=True, eps=1e-3),
        [normal(2, 3, 2, 4), normal(3), normal(3)],
    ),
    "batch_norm_eval": (
        lambda x, mean, var, w, b: F.batch_norm(x, mean.detach(), var.detach(), w, b),
        [normal(5, 3), normal(3), positive(3), normal(3), normal(3)],
    ),
    "layer_norm": (lambda x, w, b: F.layer_norm(x, (4,), w, b), [normal(3, 4), normal(4), normal(4)]),
    "layer_norm_two_axes": (lambda x: F.layer_norm(x, (3, 4), eps=0.1), [normal(2, 3, 4)]),
    "group_norm": (lambda x, w, b: F.group_norm(x, 2, w, b), [normal(2, 4, 3), normal(4), normal(4)]),
    "instance_norm": (lambda x, w, b: F.instance_norm(x, weight=w, bias=b), [normal(2, 3, 2, 2), normal(3), normal(3)]),
    "rms_norm": (lambda x, w: F.rms_norm(x, (4,), w, eps=1e-6), [normal(3, 4), normal(4)]),
    "weight_norm": (lambda v, g: torch._weight_norm(v, g, 0), [normal(3, 4), positive(3, 1)]),
    "weight_norm_last_axis": (lambda v, g: torch._weight_norm(v, g, 1), [normal(3, 4), positive(1, 4)]),
    "spectral_norm": (spectral, [normal(3, 4), normal(2, 4)]),
    "mse": (F.mse_loss, [normal(3, 4), normal(3, 4)]),
    "mae": (F.l1_loss, [normal(3, 4), normal(3, 4)]),
    "huber": (lambda x, y: F.huber_loss(x, y, delta=0.7), [normal(3, 4), normal(3, 4)]),
    "cross_entropy": (F.cross_entropy, [3 * normal(5, 3), labels(3, 5)]),
    "cross_entropy_everything": (
        lambda z, t, w: F.cross_entropy(z, t, w.detach(), ignore_index=-100, label_smoothing=0.1),
        [3 * normal(5, 3), IGNORED, positive(3)],
    ),
    "cross_entropy_images": (lambda z, t: F.cross_entropy(z, t, reduction="none"), [normal(2, 3, 4), labels(3, 2, 4)]),
    "cross_entropy_soft": (lambda z, q: F.cross_entropy(z, q, label_smoothing=0.2), [normal(4, 3), probabilities(4, 3)]),
    "binary_cross_entropy": (
        lambda z, t, w, p: F.binary_cross_entropy_with_logits(z, t, weight=w.detach(), pos_weight=p.detach()),
        [3 * normal(4, 3), positive(4, 3) / 2, positive(4, 3), positive(3)],
    ),
    "kl_divergence": (
        lambda q, p: F.kl_div(F.log_softmax(q, dim=-1), p, reduction="batchmean"),
        [normal(4, 3), probabilities(4, 3)],
    ),
    "kl_divergence_of_logs": (
        lambda q, p: F.kl_div(q, p, reduction="batchmean", log_target=True),
        [normal(4, 3), np.log(probabilities(4, 3))],
    ),
}


def running(momentum):
    """The running averages of a layer after two batches in training, and what it gives out of training."""
    layer = torch.nn.BatchNorm1d(3, momentum=momentum).double()
    batches = [normal(4, 3), normal(5, 3)]
    for batch in batches:
        layer(torch.tensor(batch))
    state = {name: value.tolist() for name, value in layer.state_dict().items()}
    return {
        "batches": [b.tolist() for b in batches],
        "state": state,
        "eval": layer.eval()(torch.tensor(batches[0])).tolist(),
    }


def entry(function, arrays):
    inputs = [torch.tensor(a, requires_grad=a.dtype.kind == "f") for a in arrays]
    y = function(*inputs)
    g = torch.tensor(normal(*y.shape))
    y.backward(g)
    gradients = [None if t.grad is None else t.grad.tolist() for t in inputs]
    return {"inputs": [a.tolist() for a in arrays], "g": g.tolist(), "y": y.tolist(), "gradients": gradients}


def main():
    found = {
        "made by": f"tests/reference/torch_values.py with PyTorch {torch.__version__}",
        "functions": {name: entry(*given) for name, given in FUNCTIONS.items()},
        "running": {str(momentum): running(momentum) for momentum in (0.1, 0.3, None)},
    }
    Path(__file__).with_suffix(".json").write_text(json.dumps(found, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()

"""Values and gradients of layers, norms and losses against PyTorch's, which are stored beside the script that made them."""

import json
import re
from functools import partial
from pathlib import Path

import numpy as np
import pytest

import tinyreg as tr
from tinyreg import losses
from tinyreg import normalization as norm

REFERENCE = Path(__file__).parent / "reference"
STORED = json.loads((REFERENCE / "torch_values.json").read_text())


def padded_embedding(index, weight):
    layer = tr.nn.Embedding(4, 3, padding_idx=1)
    vars(layer)["weight"] = weight
    return layer(index)


def eval_batch_norm(x, mean, var, weight, bias):
    return norm.batch_norm(x, weight, bias, mean=mean, var=var)


def spectral(weight, x):
    u, _, vh = np.linalg.svd(weight.numpy())
    return x @ norm.spectral_norm(weight, u[:, 0], vh[0]).T


def weighted_cross_entropy(logits, target, weight):
    return losses.cross_entropy(logits, target, weight=weight, ignore_index=-100, label_smoothing=0.1)


def weighted_binary_cross_entropy(logits, target, weight, pos_weight):
    return losses.binary_cross_entropy(logits, target, weight=weight, pos_weight=pos_weight)


FUNCTIONS = {
    "relu": tr.relu,
    "leaky_relu": partial(tr.leaky_relu, negative_slope=0.2),
    "elu": partial(tr.elu, alpha=0.7),
    "gelu": tr.gelu,
    "gelu_tanh": partial(tr.gelu, approximate="tanh"),
    "silu": tr.silu,
    "sigmoid": tr.sigmoid,
    "tanh": tr.tanh,
    "softplus": partial(tr.softplus, beta=2.0),
    "softmax": partial(tr.softmax, axis=1),
    "log_softmax": tr.log_softmax,
    "linear": lambda x, w, b: x @ w.T + b,
    "conv2d": tr.conv2d,
    "conv2d_settings": partial(tr.conv2d, stride=(2, 1), padding=(1, 2), dilation=(1, 2), groups=2),
    "max_pool2d": partial(tr.max_pool2d, kernel_size=3, stride=2, padding=1),
    "avg_pool2d": partial(tr.avg_pool2d, kernel_size=2, stride=1, padding=1),
    "avg_pool2d_inside": partial(tr.avg_pool2d, kernel_size=2, stride=1, padding=1, count_include_pad=False),
    "embedding": padded_embedding,
    "batch_norm": norm.batch_norm,
    "batch_norm_images": partial(norm.batch_norm, eps=1e-3),
    "batch_norm_eval": eval_batch_norm,
    "layer_norm": norm.layer_norm,
    "layer_norm_two_axes": partial(norm.layer_norm, axes=(1, 2), eps=0.1),
    "group_norm": lambda x, w, b: norm.group_norm(x, 2, w, b),
    "instance_norm": norm.instance_norm,
    "rms_norm": norm.rms_norm,
    "weight_norm": norm.weight_norm,
    "weight_norm_last_axis": partial(norm.weight_norm, axis=1),
    "spectral_norm": spectral,
    "mse": losses.mse,
    "mae": losses.mae,
    "huber": partial(losses.huber, delta=0.7),
    "cross_entropy": losses.cross_entropy,
    "cross_entropy_everything": weighted_cross_entropy,
    "cross_entropy_images": partial(losses.cross_entropy, reduction="none"),
    "cross_entropy_soft": partial(losses.cross_entropy, label_smoothing=0.2),
    "binary_cross_entropy": weighted_binary_cross_entropy,
    "kl_divergence": lambda q, p: losses.kl_divergence(tr.log_softmax(q), p),
    "kl_divergence_of_logs": partial(losses.kl_divergence, log_target=True),
}


def test_every_stored_value_is_compared():
    assert list(FUNCTIONS) == list(STORED["functions"])
    assert re.search(r"PyTorch \d", STORED["made by"])


@pytest.mark.parametrize("name", FUNCTIONS)
def test_values_and_gradients_are_those_of_pytorch(name):
    stored = STORED["functions"][name]
    inputs = [tr.tensor(np.asarray(a), requires_grad=np.asarray(a).dtype.kind == "f") for a in stored["inputs"]]
    y = FUNCTIONS[name](*inputs)
    np.testing.assert_allclose(y.numpy(), stored["y"], rtol=1e-13, atol=1e-14)
    y.backward(np.asarray(stored["g"]))
    for x, expected in zip(inputs, stored["gradients"], strict=True):
        if expected is not None:
            np.testing.assert_allclose(x.grad.numpy(), expected, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("momentum", STORED["running"])
def test_running_averages_are_those_of_pytorch(momentum):
    stored = STORED["running"][momentum]
    layer = tr.nn.BatchNorm(3, momentum=json.loads(momentum.replace("None", "null")), running="unbiased")
    batches = [tr.tensor(np.asarray(batch), dtype="float32") for batch in stored["batches"]]
    for batch in batches:
        layer(batch)
    assert list(layer.state_dict()) == list(stored["state"])
    for name, value in layer.state_dict().items():
        np.testing.assert_allclose(value.numpy(), stored["state"][name], rtol=1e-6)
    np.testing.assert_allclose(layer.eval()(batches[0]).numpy(), stored["eval"], rtol=1e-5, atol=1e-6)

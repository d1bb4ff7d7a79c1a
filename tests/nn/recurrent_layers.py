"""Recurrent layers for the tests of what they compute and of their dropout, on the backend in use."""

import numpy as np
import pytest

import tinyreg as tr
from tinyreg.nn.recurrent import GRU, LSTM, RNN

EACH = pytest.mark.parametrize("layer", [RNN, LSTM, GRU])
rng = np.random.default_rng(3)


def tensor(values, requires_grad=False, dtype="float32"):
    return tr.tensor(np.asarray(values), dtype=dtype, backend=tr.zeros(0).backend, requires_grad=requires_grad)


def made(layer, *sizes, **settings):
    """A layer whose biases are not 0."""
    built = layer(*sizes, rng=tr.Generator(0), **settings)
    for name, parameter in built.named_parameters():
        if "bias" in name:
            parameter.assign(rng.normal(size=parameter.shape) / 2)
    return built

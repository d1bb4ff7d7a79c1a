"""Attention layers for the tests of attention and of the block that is built on it, on the backend in use, in float64."""

import numpy as np

import tinyreg as tr
from tinyreg.nn.attention import MultiHeadAttention, TransformerBlock

rng = np.random.default_rng(4)


def tensor(values, requires_grad=False, dtype="float64"):
    return tr.tensor(np.asarray(values), dtype=dtype, backend=tr.zeros(0).backend, requires_grad=requires_grad)


def booleans(values):
    return tensor(values, dtype="bool")


def drawn_tensors(*shapes):
    return [tensor(rng.normal(size=shape), requires_grad=True) for shape in shapes]


def heads(batch_first=False, **settings):
    return MultiHeadAttention(8, 2, batch_first=batch_first, rng=tr.Generator(0), **settings)


def block(**settings):
    return TransformerBlock(8, 2, 6, rng=tr.Generator(0), **settings)

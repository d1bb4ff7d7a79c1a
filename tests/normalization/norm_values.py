"""Tensors on the backend of a test."""

import numpy as np

import tinyreg as tr

rng = np.random.default_rng(7)


def tensor(values, dtype="float32", requires_grad=False):
    here = tr.zeros(0).backend
    return tr.tensor(np.asarray(values), dtype=dtype, backend=here, requires_grad=requires_grad)


def normal(*shape, dtype="float32", requires_grad=False):
    return tensor(rng.normal(size=shape), dtype, requires_grad)

"""Tensors and class indices on the backend of a test."""

import numpy as np

import tinyreg as tr


def tensor(values, dtype="float64", requires_grad=False):
    here = tr.zeros(0).backend
    return tr.tensor(np.asarray(values), dtype=dtype, backend=here, requires_grad=requires_grad)


def indices(values):
    return tensor(values, dtype="int64")

"""Leaves and their gradients for the tests of optimizers, on the backend in use."""

import numpy as np
import pytest

import tinyreg as tr

W = np.array([[1.0, -2.0], [0.5, 3.0]])
MAKERS = {
    "SGD": lambda parameters: tr.optim.SGD(parameters, 0.1, l2=0.1, weight_decay=0.2),
    "momentum": lambda parameters: tr.optim.SGD(parameters, 0.1, momentum=0.9, l2=0.1),
    "nesterov": lambda parameters: tr.optim.SGD(parameters, 0.1, momentum=0.9, nesterov=True, weight_decay=0.2),
    "Adam": lambda parameters: tr.optim.Adam(parameters, 0.1, l2=0.1),
    "AdamW": lambda parameters: tr.optim.AdamW(parameters, 0.1, weight_decay=0.2),
}
each_maker = pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
GRADIENTS = [np.array([[0.3, -1.0], [2.0, 0.1]]), np.array([[-0.7, 0.4], [1.0, -0.2]]), np.array([[0.1, 0.2], [0.3, 4.0]])]


def leaf(values, dtype="float64"):
    return tr.tensor(np.asarray(values), dtype=dtype, backend=tr.zeros(0).backend, requires_grad=True)


def set_gradient(w, g):
    w.grad = None if g is None else tr.tensor(np.asarray(g), dtype=w.dtype, backend=w.backend)


def run(w, optimizer, gradients=GRADIENTS):
    """The value of w after a step with each gradient."""
    for g in gradients:
        optimizer.zero_grad()
        set_gradient(w, g)
        optimizer.step()
    return w.numpy()


def two_groups():
    return tr.optim.SGD([{"params": [leaf([1.0])], "lr": 0.5}, {"params": [leaf([1.0])]}], lr=0.1)

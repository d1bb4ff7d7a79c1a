"""A leaf takes over the gradient that an op made for it: what came as a view would be copied once more."""

import tracemalloc

import numpy as np
import pytest

import tinyreg as tr

ROWS, COLUMNS = 2048, 512
FEW = np.array([3, 0, 3])
CALLS = {
    "diagonal": tr.diagonal,
    "trace": tr.trace,
    "rows by index": lambda x: x[FEW],
    "take": lambda x: tr.take(x, FEW, axis=0),
    "take_along_axis": lambda x: tr.take_along_axis(x, np.zeros((ROWS, 1), int), axis=1),
    "topk": lambda x: tr.topk(x, 2)[0],
    "relu": tr.relu,
    "leaky_relu": tr.leaky_relu,
    "gelu": tr.gelu,
    "clip": lambda x: tr.clip(x, -1.0, 1.0),
    "layer_norm": tr.normalization.layer_norm,
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_a_backward_makes_one_array_of_the_size_of_its_leaf(call):
    values = np.random.default_rng(0).normal(size=(ROWS, COLUMNS)).astype("float32")
    x = tr.tensor(values, requires_grad=True)
    y = call(x)
    g = tr.ones_like(y)
    tracemalloc.start()
    try:
        y.backward(g)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert x.grad.data.base is None
    assert peak < 1.8 * values.nbytes  # masks and blocks beside it

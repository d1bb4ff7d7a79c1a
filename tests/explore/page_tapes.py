"""Tapes for the tests of the page: one small enough to work out by hand, one with layers, and a long one."""

import numpy as np

import tinyreg as tr

RNG = np.random.default_rng(0)
X = RNG.normal(size=(4, 3)).astype("float32")
W = RNG.normal(size=(3, 2)).astype("float32")
B = RNG.normal(size=2).astype("float32")


def small():
    """x @ w + b, its squares' mean; h is used twice."""
    w, b = tr.tensor(W, requires_grad=True), tr.tensor(B, requires_grad=True)
    with tr.explain():
        h = tr.tensor(X) @ w + b
        loss = (h * h).mean()
        return tr.tape(loss, w=w, b=b)


def layered(definitions=True):
    tr.seed(0)
    model = tr.nn.Sequential(tr.nn.Linear(3, 16), tr.nn.Tanh(), tr.nn.Linear(16, 2))
    with tr.explain(definitions=definitions):
        y = model(tr.tensor(X))
        return tr.tape((y * y).mean())


def fast():
    return layered(definitions=False)


def long():
    x = tr.tensor(np.linspace(-1, 1, 40, dtype="float32"), requires_grad=True)
    with tr.explain():
        y = x
        for _ in range(1000):
            y = tr.tanh(y) + x
        return tr.tape(y.sum(), x=x)

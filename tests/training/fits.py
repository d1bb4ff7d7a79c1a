"""Short runs of fit on a small model, with what a test does not care about filled in."""

import numpy as np

import tinyreg as tr
from tinyreg.core.tape import is_recording
from tinyreg.training import fit

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(10, 3)), RNG.normal(size=(10, 2))
mse = tr.losses.mse


def tensor(values, dtype="float64"):
    return tr.tensor(np.asarray(values), dtype=dtype, backend=tr.zeros(0).backend)


def data():
    return tensor(X), tensor(Y)


class Line(tr.nn.Module):
    """x W, which notes the rows, the modes and the recording that it sees."""

    def __init__(self, *inside):
        self.weight, self.inside = tr.nn.Parameter(tensor(np.ones((3, 2)) / 4)), inside
        self.seen = []

    def forward(self, x):
        self.seen.append((x.numpy().copy(), self.training, is_recording()))
        for module in self.inside:
            x = module(x)
        return x @ self.weight


def quick(model=None, training=None, epochs=2, lr=0.1, **settings):
    """fit with what a test does not care about filled in; gives the model and the history."""
    model = model or Line()
    settings = {"loss": mse, "progress": False, "batch_size": 4, **settings}
    optimizer = settings.pop("optimizer", None) or tr.optim.SGD(model.parameters(), lr=lr)
    return model, fit(model, data() if training is None else training, optimizer=optimizer, epochs=epochs, **settings)

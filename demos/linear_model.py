"""Least squares on a table of patients, where theory says what penalties and early stopping do: for section 6.2 and 6.6."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

import tinyreg as tr

from .learning import train

LEARNING_RATE = 0.1  # below 2 / the largest curvature, which is about 9


class Table(NamedTuple):
    """Inputs (N, features) and targets (N, 1), float32; a pair that `fit` takes."""

    inputs: tr.Tensor
    targets: tr.Tensor


def diabetes(*sizes: int, seed: int, permuted: bool = False) -> list[Table]:
    """Parts of so many of the 442 patients with diabetes, drawn by `seed`, and the rest.

    Ten measurements of a patient, and how far the disease went in a year. permuted: ten more columns, the same ones, in
    each of which the patients are mixed up, so that nothing can be learned from them. All columns have mean 0 and
    variance 1 in the first part.

    Source: Efron, Hastie, Johnstone and Tibshirani, "Least Angle Regression", 2004; for permuted columns, Kursa and
    Rudnicki, "Feature Selection with the Boruta Package", 2010.
    """
    from sklearn.datasets import load_diabetes

    rng = np.random.default_rng(seed)
    inputs, targets = load_diabetes(return_X_y=True)
    if permuted:
        inputs = np.concatenate([inputs, rng.permuted(inputs, axis=0)], axis=1)
    rows = np.concatenate([inputs, targets[:, None]], axis=1)[rng.permutation(len(inputs))]
    first = rows[: sizes[0]]
    rows = ((rows - first.mean(axis=0)) / first.std(axis=0)).astype(np.float32)
    backend = tr.zeros(0).backend  # where data is born; NumPy's arrays would stay with NumPy
    parts = [tr.tensor(part, backend=backend) for part in np.split(rows, np.cumsum(sizes))]
    return [Table(part[:, :-1], part[:, -1:]) for part in parts]


def model(data: Table) -> tr.nn.Linear:
    """A linear model without bias, at 0."""
    linear = tr.nn.Linear(data.inputs.shape[1], 1, bias=False, rng=tr.Generator(0))
    linear.weight.assign(tr.zeros_like(linear.weight))
    return linear


def descend(
    linear: tr.nn.Linear,
    data: Table,
    steps: int,
    *,
    momentum: float = 0.0,
    l2: float = 0.0,
    penalty: Callable[[Any], Any] | None = None,
    validation: Table | None = None,
    callbacks: Sequence[tr.training.Callback] = (),
) -> None:
    """Steps of gradient descent on the mean squared error and (l2 / 2) |w|^2; an epoch is one step, over all samples."""
    train(
        linear,
        [data],
        loss=tr.losses.mse,
        optimizer=tr.optim.SGD(linear.parameters(), lr=LEARNING_RATE, momentum=momentum, l2=l2),
        epochs=steps,
        penalty=penalty,
        validation=None if validation is None else [validation],
        callbacks=callbacks,
        tick=lambda: None,
    )


class Proximal(tr.training.Callback):
    """After each step of gradient descent the proximal step of l1 |w|_1 + l2 |w|^2, so that descent has these penalties."""

    def __init__(self, l1: float, l2: float = 0.0) -> None:
        self.l1, self.l2 = l1, l2

    def on_batch_end(self, run: tr.training.Run) -> None:
        """One step of the optimizer is done."""
        lr = run.optimizer.lr
        for weight in run.optimizer.parameters:
            weight.assign(tr.optim.prox_elastic_net(weight.detach(), lr * self.l1, lr * self.l2))


def ridge(data: Table, strength: float) -> Any:
    """(2/N X^T X + strength I)^-1 2/N X^T y: where the mean squared error + strength / 2 |w|^2 is least; (1, features)."""
    x, y = (part.astype("float64") for part in data)
    eye = tr.tensor(np.eye(x.shape[1]), backend=x.backend)
    return tr.solve(x.T @ x * (2 / len(x)) + eye * strength, x.T @ y * (2 / len(x))).T


def error(weight: Any, data: Table) -> float:
    """The mean squared error of a linear model with weight (1, features), in % of the variance in the first part."""
    return 100 * float(tr.losses.mse(data.inputs @ weight.T, data.targets).item())


def distance(weight: Any, other: Any) -> float:
    """|weight - other| / |other|."""
    return float((tr.norm(weight - other) / tr.norm(other)).item())

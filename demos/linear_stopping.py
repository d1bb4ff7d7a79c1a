"""Descent in a linear model, stopped early, beside the ridge regression that theory takes it for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import tinyreg as tr

from .linear_model import LEARNING_RATE, Table, descend, diabetes, distance, error, model, ridge

TO_THE_END, STOPPED, BY_L2 = ARMS = ("to the end", "stopped early", "L2, to the end")
PATIENTS = (150, 100)  # to learn from, and to see by when to stop
TIMES, FAST_TIMES = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000), (1, 2, 5, 10, 20, 50)  # steps after which to look


class Linear(NamedTuple):
    """A linear model after so many steps, or ridge regression of the strength for as many."""

    steps: int
    error: float  # on patients that had no say in anything, in % of the variance
    norm: float  # of the weights
    apart: float  # distance from the model that was stopped early, in % of that one's norm


class Moment(NamedTuple):
    """Descent at a moment, beside ridge regression of the strength for it."""

    norm: float
    ridge_norm: float
    apart: float  # distance of the two


class Descents(NamedTuple):
    """What one seed gave."""

    ends: dict[str, Linear]  # for each of ARMS; L2 is what theory takes stopping for
    moments: list[Moment]  # after each of TIMES


class Snapshots(tr.training.Callback):
    """Keeps the weight of a linear model after each of `times` steps."""

    def __init__(self, times: Sequence[int]) -> None:
        self.times = times
        self.weights: list[Any] = []

    def on_epoch_end(self, run: tr.training.Run) -> None:
        """One step is done."""
        if run.epoch in self.times:
            self.weights.append(run.optimizer.parameters[0].detach())


def descents(seed: int, fast: bool, patience: int) -> Descents:
    """Descent from 0, once to the end and once with early stopping."""
    training, validation, others = diabetes(*PATIENTS, seed=seed)
    times = FAST_TIMES if fast else TIMES
    snapshots, early = Snapshots(times), tr.training.EarlyStopping(patience=patience)
    descend(model(training), training, times[-1], callbacks=[snapshots])
    linear = model(training)
    descend(linear, training, times[-1], validation=validation, callbacks=[early])
    stopped, steps = linear.weight.detach(), early.best_epoch or 1

    def found(weight: Any, steps: int) -> Linear:
        norm, apart = tr.norm(weight).item(), 100 * distance(weight, stopped)
        return Linear(steps, error(weight, others), norm, apart)

    ends = {
        TO_THE_END: found(snapshots.weights[-1], times[-1]),
        STOPPED: found(stopped, steps),
        BY_L2: found(as_by_theory(training, steps), steps),
    }
    return Descents(
        ends, [moment(weight, as_by_theory(training, t)) for weight, t in zip(snapshots.weights, times, strict=True)]
    )


def as_by_theory(training: Table, steps: int) -> Any:
    """The weights of ridge regression with strength 1 / (learning rate * steps), (1, features).

    Source: Goodfellow, Bengio and Courville, "Deep Learning", 2016, section 7.8.
    """
    return ridge(training, 1 / (LEARNING_RATE * steps))


def moment(weight: Any, by_ridge: Any) -> Moment:
    """Both weights compared."""
    return Moment(*(tr.norm(w).item() for w in (weight, by_ridge, weight - by_ridge)))

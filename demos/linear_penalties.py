"""Linear models with L2, L1 and elastic net of several strengths: how many weights are exactly 0, and whose."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import tinyreg as tr

from .linear_model import Proximal, Table, descend, diabetes, distance, error, model, ridge
from .seeds import Tick

NONE, L2, BY_GRADIENT, L1, ELASTIC_NET = ARMS = ("without", "L2", "L1 by gradient", "L1", "elastic net")
PATH = (1.0, 0.5, 0.2, 0.1, 0.05, 0.02)  # strengths; each goes on from the one before
STEPS, FAST_STEPS = 1000, 40  # for each of these
PATIENTS = (150, 100)  # to learn from, and to choose a strength by
MEASUREMENTS = 10  # of a patient, before as many permuted columns


class Point(NamedTuple):
    """A linear model after descent with a penalty of that strength. Errors are in % of the variance."""

    strength: float
    kept: tuple[int, int]  # how many weights are not 0, of measurements and of permuted columns
    validation_error: float
    error: float  # on patients that had no say in anything
    off: float  # relative distance of the weights from those of ridge regression with this strength


def paths(seed: int, fast: bool, tick: Tick) -> dict[str, list[Point]]:
    """For each of ARMS a point for each of PATH; without a penalty one, least squares."""
    patients = diabetes(*PATIENTS, seed=seed, permuted=True)
    found = {NONE: [point(ridge(patients[0], 0.0), 0.0, patients)]}
    for arm in ARMS[1:]:
        found[arm] = path(arm, patients, FAST_STEPS if fast else STEPS)
        tick()
    return found


def path(arm: str, patients: Sequence[Table], steps: int) -> list[Point]:
    """A point for each of PATH."""
    linear, points = model(patients[0]), []
    for strength in PATH:
        learn(linear, patients[0], arm, strength, steps)
        points.append(point(linear.weight.detach(), strength, patients))
    return points


def learn(linear: tr.nn.Linear, data: Table, arm: str, strength: float, steps: int) -> None:
    """Gradient descent with strength / 2 |w|^2, strength |w|_1, or half of each."""
    if arm == L2:
        descend(linear, data, steps, momentum=0.9, l2=strength)
    elif arm == BY_GRADIENT:
        descend(linear, data, steps, penalty=lambda linear: tr.regularizers.l1(linear.weight, strength))
    else:
        step = Proximal(strength) if arm == L1 else Proximal(strength / 2, strength / 4)
        descend(linear, data, steps, callbacks=[step])


def point(weight: Any, strength: float, patients: Sequence[Table]) -> Point:
    """What is measured of a linear model's weight, a Tensor (1, features)."""
    training, validation, others = patients
    kept = (weight != 0).numpy()[0]
    return Point(
        strength,
        (int(kept[:MEASUREMENTS].sum()), int(kept[MEASUREMENTS:].sum())),
        error(weight, validation),
        error(weight, others),
        distance(weight, ridge(training, strength)),
    )


def best(points: Sequence[Point]) -> Point:
    """The one with the least validation error."""
    return min(points, key=lambda point: point.validation_error)

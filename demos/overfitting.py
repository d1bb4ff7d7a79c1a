"""Networks that overfit digits of MNIST, with L2 of several strengths, watched after each epoch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import tinyreg as tr

from . import arms
from .arms import Arm
from .data import Split
from .seeds import Tick

SETTINGS = {"500 digits": Arm(steps=1000), "noisy labels": Arm(steps=1000, redrawn=0.3)}
STRENGTHS = (0.001, 0.003, 0.01, 0.03)  # of L2


class Course(NamedTuple):
    """A training after each epoch: cross-entropy without the penalty in nats, and the norm of all weights."""

    training_loss: list[float]  # mean over the epoch's batches, as they were learned from
    validation_loss: list[float]
    norm: list[float]


class Norms(tr.training.Callback):
    """Notes |W|_F of all weights together, without biases, after each epoch."""

    def __init__(self) -> None:
        self.values: list[float] = []

    def on_epoch_end(self, run: tr.training.Run) -> None:
        """One epoch is done."""
        self.values.append(tr.norm(arms.weights(run.model)).item())


class Strengths(NamedTuple):
    """Trainings to the end, without L2 (strength 0) and with each of STRENGTHS, from the same weights."""

    models: dict[float, tr.nn.Module]
    courses: dict[float, Course]
    parts: Sequence[Split]  # to learn from, to validate by, to test


def by_strength(arm: Arm, seed: int, fast: bool, tick: Tick) -> Strengths:
    """Train all of them."""
    models, courses = {}, {}
    for strength in (0.0, *STRENGTHS):
        norms = Norms()
        settings = replace(arm, l2=strength)
        models[strength], parts, history = arms.trained(settings, seed, fast, callbacks=[norms], watched=True)
        courses[strength] = Course(history["loss"], history["validation_loss"], norms.values)
        tick()
    return Strengths(models, courses, parts)


def chosen(courses: Mapping[float, Course]) -> float:
    """The strength of L2 with the least validation loss at the end."""
    return min(STRENGTHS, key=lambda strength: courses[strength].validation_loss[-1])

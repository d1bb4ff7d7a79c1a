"""A network that overfits a few digits, with L2 of several strengths, watched after each epoch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import tinyreg as tr

from .data import Split
from .digit_network import BATCH, LEARNING_RATE, MOMENTUM, linears
from .learning import train
from .seeds import Tick

EACH = 10  # digits of every class to learn from
STRENGTHS = (0.001, 0.003, 0.01, 0.03)  # of L2
EPOCHS, FAST_EPOCHS = 300, 12


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
        self.values.append(tr.norm(weights(run.model)).item())


def weights(model: tr.nn.Module) -> Any:
    """All weights in one row, without biases: a Tensor."""
    return tr.concat([p.detach().reshape((-1,)) for p in model.parameters() if p.ndim > 1])


def network(seed: int) -> tr.nn.Sequential:
    """That of `digit_network`; the same weights for the same seed."""
    first, second, last = linears(tr.Generator(seed))
    return tr.nn.Sequential(first, tr.nn.ReLU(), second, tr.nn.ReLU(), last)


def watched(
    model: tr.nn.Module,
    training: Split,
    validation: Split,
    seed: int,
    fast: bool,
    *,
    l2: float = 0.0,
    callbacks: Sequence[tr.training.Callback] = (),
) -> Course:
    """Train it with L2 of that strength; trainings of one seed see the same batches."""
    norms = Norms()
    history = train(
        model,
        training,
        validation=[validation],
        loss=tr.losses.cross_entropy,
        optimizer=tr.optim.SGD(model.parameters(), lr=LEARNING_RATE, momentum=MOMENTUM, l2=l2),
        epochs=FAST_EPOCHS if fast else EPOCHS,
        batch_size=BATCH,
        rng=tr.Generator(seed),
        callbacks=[*callbacks, norms],
        tick=lambda: None,
    )
    return Course(history["loss"], history["validation_loss"], norms.values)


def by_strength(
    training: Split, validation: Split, seed: int, fast: bool, tick: Tick
) -> tuple[dict[float, tr.nn.Module], dict[float, Course]]:
    """Networks and their trainings, without L2 (strength 0) and with each of STRENGTHS, from the same weights."""
    models: dict[float, tr.nn.Module] = {}
    courses = {}
    for strength in (0.0, *STRENGTHS):
        models[strength] = network(seed)
        courses[strength] = watched(models[strength], training, validation, seed, fast, l2=strength)
        tick()
    return models, courses


def chosen(courses: Mapping[float, Course]) -> float:
    """The strength of L2 with the least validation loss at the end."""
    return min(STRENGTHS, key=lambda strength: courses[strength].validation_loss[-1])

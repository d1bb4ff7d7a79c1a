"""What the demo of batch norm measures: trainings of a deep network with it before and after relu, and without."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

import tinyreg as tr

from . import arms
from .arms import Arm
from .data import Split, digits
from .deep_network import WIDTH, Between, Watch, Watching, deep
from .learning import train
from .seeds import Tick
from .sizes import wide

nn = tr.nn
ARMS: dict[str, Between] = {
    "none": lambda: [nn.ReLU()],
    "before relu": lambda: [nn.BatchNorm(wide(WIDTH)), nn.ReLU()],
    "after relu": lambda: [nn.ReLU(), nn.BatchNorm(wide(WIDTH))],
}
NONE, BEFORE, AFTER = ARMS
RATES, SCALES = (0.03, 0.1, 0.3, 1.0), (0.25, 0.5, 1.0, 2.0, 4.0)
RATE, SCALE = RATES.index(0.1), SCALES.index(1.0)  # where nothing else is said
EACH, FAST_EACH, BATCH, EPOCHS, FAST_EPOCHS = 50, 10, 25, 15, 2
TARGET = 0.5  # nats; to guess has 2.3. It and EPOCHS are such that without batch norm one gets there, at some rate
SIZES = (5, 10, 25, 50)
NOISE = {"none": Arm(), **{f"by {size}": Arm(norm="batch", groups=size) for size in SIZES}}
"""By the statistics of so many digits, which are noisier the fewer these are."""


class Run(NamedTuple):
    """What one seed gave, for each of ARMS, and for each of NOISE."""

    budget: int  # how many steps a training has at most
    steps: dict[str, list[list[float]]]  # to TARGET, infinite where it was not reached, for each of SCALES and RATES
    losses: dict[str, list[float]]  # of each epoch, in nats
    moves: dict[str, list[float]]  # how far layer inputs moved in each epoch but the first
    noise: dict[str, dict[str, float]]  # scores of `arms.measured`


class Reached(tr.training.Callback):
    """Stops when an epoch's loss is at most TARGET, or no number any more."""

    def on_epoch_end(self, run: tr.training.Run) -> None:
        """Look at the last loss."""
        loss = run.history[-1]["loss"]
        run.stop = loss <= TARGET or not math.isfinite(loss)


def measure(seed: int, fast: bool, tick: Tick) -> Run:
    """Networks start from the same weights, but for their scale, and see the same batches."""
    training, _ = digits(FAST_EACH if fast else EACH, seed=seed)
    epochs = FAST_EPOCHS if fast else EPOCHS
    steps = {
        arm: [[steps_to_target(training, arm, rate, scale, seed, epochs, tick) for rate in RATES] for scale in SCALES]
        for arm in ARMS
    }
    watched = {arm: losses_and_moves(training, arm, seed, epochs, tick) for arm in ARMS}
    losses, moves = ({arm: of_arm[i] for arm, of_arm in watched.items()} for i in (0, 1))
    noise = {}
    for name, arm in NOISE.items():
        model, (*_, test), _ = arms.trained(arm, seed, fast)
        noise[name] = arms.measured(model, test)
        tick()
    return Run(epochs * len(training.labels) // BATCH, steps, losses, moves, noise)


def trainings() -> int:
    """How many a seed has."""
    return len(ARMS) * (len(RATES) * len(SCALES) + 1) + len(NOISE)


def steps_to_target(training: Split, arm: str, rate: float, scale: float, seed: int, epochs: int, tick: Tick) -> float:
    """Until the mean loss of an epoch's batches is at most TARGET."""
    rng = tr.Generator(seed)
    model = deep(rng, ARMS[arm], scale)
    with np.errstate(over="ignore", invalid="ignore"):  # some diverge, as they are meant to
        losses = learn(model, training, rate, BATCH, epochs, rng, [Reached()])
    tick()
    return len(losses) * len(training.labels) // BATCH if losses[-1] <= TARGET else math.inf


def losses_and_moves(training: Split, arm: str, seed: int, epochs: int, tick: Tick) -> tuple[list[float], list[float]]:
    """With the usual rate and scale: each epoch's loss, and the mean over layers of how far their inputs moved."""
    rng = tr.Generator(seed)
    model = deep(rng, lambda: [*ARMS[arm](), Watch()])
    watches = [layer for layer in model.modules() if isinstance(layer, Watch)]
    losses = learn(model, training, RATES[RATE], BATCH, epochs, rng, [Watching(watches)])
    tick()
    return losses, [math.fsum(moves) / len(moves) for moves in zip(*(watch.moves() for watch in watches), strict=True)]


def learn(
    model: tr.nn.Module,
    training: Split,
    rate: float,
    batch: int,
    epochs: int,
    rng: tr.Generator,
    callbacks: Sequence[tr.training.Callback] = (),
) -> list[float]:
    """SGD; returns the loss of each epoch."""
    optimizer = tr.optim.SGD(model.parameters(), lr=rate)
    history = train(
        model, training, tick=lambda: None, callbacks=callbacks, loss=tr.losses.cross_entropy, optimizer=optimizer,
        epochs=epochs, batch_size=batch, rng=rng,
    )  # fmt: skip
    return history["loss"]

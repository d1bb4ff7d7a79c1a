"""A network for digits of 8 x 8 pixels and how it learns, as several demos have it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tinyreg as tr

from .data import Split
from .learning import train
from .seeds import Tick
from .sizes import wide

WIDTH, BATCH, LEARNING_RATE, MOMENTUM = 128, 25, 0.05, 0.9


def linears(rng: tr.Generator) -> list[tr.nn.Linear]:
    """The layers, 64-128-128-10; relu is to come after the first two."""
    hidden = [tr.nn.Linear(64, wide(WIDTH), rng=rng), tr.nn.Linear(wide(WIDTH), wide(WIDTH), rng=rng)]
    return [*hidden, tr.nn.Linear(wide(WIDTH), 10, nonlinearity="linear", rng=rng)]


def learn(
    model: tr.nn.Module,
    training: Split,
    epochs: int,
    rng: tr.Generator,
    tick: Tick,
    loss: Callable[[Any, Any], Any] = tr.losses.cross_entropy,
) -> None:
    """SGD with momentum, in batches whose order comes from rng."""
    optimizer = tr.optim.SGD(model.parameters(), lr=LEARNING_RATE, momentum=MOMENTUM)
    train(model, training, tick=tick, loss=loss, optimizer=optimizer, epochs=epochs, batch_size=BATCH, rng=rng)

"""Training as all demos do it: quietly, with a tick after each epoch, and interrupted for good by Ctrl-C."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import tinyreg as tr
from tinyreg.augment import Compose

from .seeds import Tick


class Ticks(tr.training.Callback):
    """Calls tick() after each epoch."""

    def __init__(self, tick: Tick) -> None:
        self.tick = tick

    def on_epoch_end(self, run: tr.training.Run) -> None:
        """One epoch is done."""
        self.tick()


def train(
    model: tr.nn.Module, data: Any, *, tick: Tick, callbacks: Sequence[tr.training.Callback] = (), **settings: Any
) -> tr.training.History:
    """`tr.training.fit` with these settings. Ctrl-C raises KeyboardInterrupt: it ends the demo, not one training of it."""
    history = tr.training.fit(model, data, callbacks=[*callbacks, Ticks(tick)], progress=False, **settings)
    if history.interrupted:
        raise KeyboardInterrupt
    return history


def apart(transform: Compose, seed: int) -> Callable[[Any, Any, Any], tuple[Any, Any]]:
    """The transform with a generator of its own, so that the order of the batches does not depend on what it draws."""
    own = tr.Generator(1000 + seed)
    return lambda images, labels, rng: transform(images, labels, own)


def accuracy(logits: tr.Tensor, labels: tr.Tensor) -> tr.Tensor:
    """The share of labels, in %, at which the largest logit is; a metric for `train`."""
    share: tr.Tensor = 100 * tr.astype(tr.argmax(logits, axis=-1) == labels, "float32").mean()
    return share


def answers(model: tr.nn.Module, inputs: tr.Tensor) -> tr.Tensor:
    """What the model says in evaluation mode, without a tape."""
    training = model.training
    try:
        with tr.no_grad():
            said: tr.Tensor = model.eval()(inputs)
    finally:
        model.train(training)
    return said

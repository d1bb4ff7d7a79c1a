"""A run of training, as callbacks see it."""

from __future__ import annotations

from typing import Any

from ..nn.module import Module
from .history import History


class Run:
    """What is being trained and how far it is: `fit` makes one and hands it to every callback.

    model, optimizer: as given to `fit`. epochs: how many were asked for. history: the rows so far, that of the epoch that
    has just ended last. stop: set it to True, and training ends after this epoch.

    >>> import tinyreg as tr
    >>> model = tr.nn.Linear(2, 1)
    >>> run = tr.training.Run(model, tr.optim.SGD(model.parameters(), lr=0.1), epochs=3)
    >>> run.epoch, run.stop
    (0, False)
    """

    def __init__(self, model: Module, optimizer: Any, epochs: int) -> None:
        self.model, self.optimizer, self.epochs = model, optimizer, epochs
        self.history, self.stop = History(), False

    @property
    def epoch(self) -> int:
        """How many epochs are done."""
        return len(self.history)

    @property
    def over(self) -> bool:
        """Whether no further epoch is to be trained."""
        return self.stop or self.epoch >= self.epochs

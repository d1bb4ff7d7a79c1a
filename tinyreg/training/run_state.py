"""A run of training, as callbacks see it."""

from __future__ import annotations

from typing import Any

from ..nn.module import Module
from .history import History


class Run:
    """What is being trained and how far it is: `fit` makes one and hands it to every callback.

    model, optimizer: as given to `fit`. epochs: how many were asked for. history: the rows so far, that of the epoch that
    has just ended last. stop: set it to True, and training ends after this epoch. stopped_by: the callback that did so.

    >>> import tinyreg as tr
    >>> model = tr.nn.Linear(2, 1)
    >>> run = tr.training.Run(model, tr.optim.SGD(model.parameters(), lr=0.1), epochs=3)
    >>> run.epoch, run.stop
    (0, False)
    """

    model: Module
    optimizer: Any
    epochs: int
    history: History
    stop: bool

    def __init__(self, model: Module, optimizer: Any, epochs: int) -> None:
        self.model, self.optimizer, self.epochs = model, optimizer, epochs
        self.history, self.stop = History(), False
        self.stopped_by: Any = None

    @property
    def epoch(self) -> int:
        """How many epochs are done."""
        return len(self.history)

    def note(self, callback: Any) -> None:
        """Note that the callback was called last, which tells who stopped the run."""
        if not self.stop:
            self.stopped_by = None
        elif self.stopped_by is None:
            self.stopped_by = callback

    def why(self) -> str:
        """Why the run is over, in words."""
        after = f"epoch {self.epoch} of {self.epochs}"
        if self.history.interrupted:
            return f"interrupted by Ctrl-C after {after}"
        if self.stop:
            return f"stopped by {type(self.stopped_by).__name__} after {after}"
        return f"all {self.epochs} epochs are done"

    @property
    def over(self) -> bool:
        """Whether no further epoch is to be trained."""
        return self.stop or self.epoch >= self.epochs

"""Callbacks: objects that `fit` calls at certain moments, and early stopping, which is one."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Protocol

from ..arguments import integer, number
from .run_state import Run


class CallbackLike(Protocol):
    """What `fit` takes as a callback: a `Callback`, or anything else with its methods, such as `optim.Proximal`."""

    def on_start(self, run: Run, /) -> None:
        """Before the first batch."""

    def on_batch_end(self, run: Run, /) -> None:
        """After each step of the optimizer."""

    def on_epoch_end(self, run: Run, /) -> None:
        """After each epoch."""

    def on_end(self, run: Run, /) -> None:
        """When training ends."""


class Callback:
    """What `fit` calls as it goes; a subclass writes the methods it needs. `run.stop = True` ends training.

    A callback with a state writes `state_dict()` and `load_state_dict(state)` too, and so goes on where it was when `fit`
    resumes from a checkpoint. The state is a tree that `save` can write.

    >>> import tinyreg as tr
    >>> class StopAt(tr.training.Callback):
    ...     def __init__(self, loss):
    ...         self.loss = loss
    ...     def on_epoch_end(self, run):
    ...         run.stop = run.history[-1]["loss"] < self.loss
    >>> callbacks = [StopAt(loss=0.1)]
    """

    def on_start(self, run: Run) -> None:
        """Before the first batch; after a resumption, with `run.epoch` above 0."""

    def on_batch_end(self, run: Run) -> None:
        """After each step of the optimizer."""

    def on_epoch_end(self, run: Run) -> None:
        """After each epoch and its validation; `run.history[-1]` is its row, before the checkpoint is written."""

    def on_end(self, run: Run) -> None:
        """When training ends, however it ends: also after Ctrl-C and where anything raised."""


class EarlyStopping(Callback):
    """Stops when `patience` epochs without improvement have gone by, and puts the best weights back at the end.

    An epoch improves where its number is better than the best so far by more than min_delta: below best - min_delta in
    mode "min", above best + min_delta in mode "max". NaN is never better. With restore_best, the weights and buffers of
    the best epoch are put back however training ends: by patience, after the last epoch, by Ctrl-C or by an error. The
    optimizer keeps its last state.

    monitor: a column of the history. patience: at least 1. min_delta: at least 0, in the units of the column. After
    training, `best` is the best number, and `best_epoch` its epoch, counted from 1; both None where all were NaN.

    Raises `TypeError` and `ValueError` for settings out of range, and, after the first epoch, for a column that is
    not there.

    Source: Prechelt, "Early Stopping - But When?", 1998.

    >>> import tinyreg as tr
    >>> early = tr.training.EarlyStopping("validation_loss", patience=5, min_delta=0.001)
    """

    patience: int
    min_delta: float
    monitor: str
    restore_best: bool
    waited: int

    def __init__(
        self,
        monitor: str = "validation_loss",
        *,
        patience: int = 10,
        min_delta: float = 0.0,
        mode: str = "min",
        restore_best: bool = True,
    ) -> None:
        self.patience = integer("EarlyStopping", "patience", patience, least=1)
        expected = "a number of at least 0; it is a size, in any mode"
        self.min_delta = number("EarlyStopping", "min_delta", min_delta, least=0, expected=expected)
        if mode not in ("min", "max"):
            raise ValueError(f"EarlyStopping: got mode={mode!r}, expected 'min' or 'max'")
        self.monitor, self.mode, self.restore_best = monitor, mode, restore_best
        self._forget()

    def _forget(self) -> None:
        self.best: float | None = None
        self.best_epoch: int | None = None
        self.waited = 0  # epochs since then
        self._weights: dict[str, Any] | None = None

    def on_start(self, run: Run) -> None:
        """Forget an earlier run, unless this one is resumed."""
        if run.epoch == 0:
            self._forget()

    def on_epoch_end(self, run: Run) -> None:
        """Compare the epoch with the best, and stop the run where patience is over."""
        row = run.history[-1]
        if self.monitor not in row:
            raise ValueError(
                f"EarlyStopping: got monitor={self.monitor!r}, expected one of {', '.join(row)}; "
                "columns of validation need fit(..., validation=...)"
            )
        value = row[self.monitor]
        if self._improves(value):
            self.best, self.best_epoch, self.waited = value, run.epoch, 0
            self._weights = run.model.state_dict() if self.restore_best else None
        else:
            self.waited += 1
            run.stop = run.stop or self.waited >= self.patience

    def _improves(self, value: float) -> bool:
        if self.best is None:
            return not math.isnan(value)
        return value < self.best - self.min_delta if self.mode == "min" else value > self.best + self.min_delta

    def on_end(self, run: Run) -> None:
        """Put the best weights back."""
        if self._weights is not None:
            run.model.load_state_dict(self._weights)

    def state_dict(self) -> dict[str, Any]:
        """The best so far, how long ago it was, and its weights."""
        state = {"best": self.best, "best_epoch": self.best_epoch, "waited": self.waited, "weights": self._weights}
        return {**state, "watched": (self.monitor, self.mode)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from where `state` was taken; from the beginning where that watched another column, or in another mode.

        Raises `ValueError` for what is no state of it, before anything is changed.
        """
        if not _is_state(state):
            raise ValueError(f"EarlyStopping.load_state_dict: got {state!r:.200}, expected what its state_dict() gave")
        if state.get("watched", (self.monitor, self.mode)) != (self.monitor, self.mode):
            self._forget()
            return
        self.best, self.best_epoch, self.waited = state["best"], state["best_epoch"], state["waited"]
        self._weights = state["weights"]


def _is_state(state: Any) -> bool:
    kinds = {"best": int | float | None, "best_epoch": int | None, "waited": int, "weights": dict | None}
    return isinstance(state, Mapping) and all(k in state and isinstance(state[k], kind) for k, kind in kinds.items())

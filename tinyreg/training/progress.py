"""The progress bar of `fit`."""

from __future__ import annotations

import time
from collections.abc import Sized
from typing import Any

from .batches import Means
from .extra import extra
from .run import Run


class Progress:
    """One bar over all batches of a run, with the loss, the validation loss and the speed; nothing unless `shown`."""

    def __init__(self, run: Run, batches: Any, shown: bool) -> None:
        self._run = run
        self._bar: Any = None
        if shown:
            n = len(batches) if isinstance(batches, Sized) else None
            total, done = (None, 0) if n is None else (run.epochs * n, run.epoch * n)
            self._bar = extra("tqdm").tqdm(total=total, initial=done, unit="batch")

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *error: object) -> None:
        if self._bar is not None:
            self._bar.close()

    def start_epoch(self) -> None:
        """Measure the speed of this epoch from now on."""
        self._start = time.perf_counter()
        if self._bar is not None:
            self._bar.set_description(f"epoch {self._run.epoch + 1}/{self._run.epochs}", refresh=False)

    def count_batch(self, means: Means) -> None:
        """Count a batch; the means are read, which waits for the device, only where the bar is drawn anew."""
        self._speed = means.samples / (time.perf_counter() - self._start)
        if self._bar is not None and self._bar.update():
            self._show(means.read()["loss"], refresh=True)

    def end_epoch(self) -> None:
        """Show what the epoch gave, when the bar is next drawn."""
        if self._bar is not None:
            self._show(self._run.history[-1]["loss"], refresh=False)

    def _show(self, loss: float, refresh: bool) -> None:
        validation = self._run.history[-1].get("validation_loss") if self._run.epoch else None
        parts = [f"loss {loss:.4g}", f"validation {validation:.4g}" if validation is not None else ""]
        self._bar.set_postfix_str(", ".join([*filter(None, parts), f"{self._speed:,.0f} samples/s"]), refresh)

"""What `fit` shows as it goes: a bar on a terminal, a line an epoch in a log, and in both why it ended."""

from __future__ import annotations

import math
import sys
from collections.abc import Sized
from typing import Any

from ..messages import printable
from .batches import Means
from .extra import extra
from .run_state import Run


class Progress:
    """A bar over all batches of a run, a line an epoch, or nothing; all on the standard error stream.

    wanted: True for the bar, which needs tqdm, False for nothing; None for the bar on a terminal where tqdm is there, and
    otherwise for lines. A bar that is written elsewhere than to a terminal is drawn once an epoch.
    """

    def __init__(self, wanted: bool | None) -> None:
        self._terminal = hasattr(sys.stderr, "isatty") and sys.stderr.isatty()
        self._tqdm: Any = None
        if wanted or (wanted is None and self._terminal):
            try:
                self._tqdm = extra("tqdm").tqdm
            except ModuleNotFoundError:
                if wanted:
                    raise
        self._lines = wanted is None and self._tqdm is None
        self._bar: Any = None

    def start(self, run: Run, batches: Any) -> None:
        """Draw the bar, at the place where the run begins."""
        self._run = run
        if self._tqdm is not None and not run.over:
            n = len(batches) if isinstance(batches, Sized) else None
            total, done = (None, 0) if n is None else (run.epochs * n, run.epoch * n)
            pause = 0.1 if self._terminal else math.inf
            self._bar = self._tqdm(total=total, initial=done, unit="batch", mininterval=pause)

    def start_epoch(self) -> None:
        """Say which epoch it is."""
        if self._bar is not None:
            self._bar.set_description(f"epoch {self._run.epoch + 1}/{self._run.epochs}", refresh=False)

    def count_batch(self, means: Means) -> None:
        """Count a batch; the means are read, which waits for the device, only where the bar is drawn anew."""
        if self._bar is not None and self._bar.update():
            self._show(means.read()["loss"], refresh=True)

    def end_epoch(self) -> None:
        """Show what the epoch gave."""
        row = self._run.history[-1]
        if self._bar is not None:
            self._show(row["loss"], refresh=not self._terminal)
        if self._lines:
            numbers = ", ".join(f"{name} {value:.4g}" for name, value in row.items())
            say(f"epoch {self._run.epoch}/{self._run.epochs}: {numbers}")

    def close(self) -> None:
        """Leave the bar as it is."""
        if self._bar is not None:
            self._bar.close()

    def say_why(self, run: Run) -> None:
        """Say why the run ended."""
        if self._lines or self._tqdm is not None:
            say(f"fit: {run.history.ended}")

    def _show(self, loss: float, refresh: bool) -> None:
        validation = self._run.history[-1].get("validation_loss") if self._run.epoch else None
        parts = [f"loss {loss:.4g}", f"validation {validation:.4g}" if validation is not None else ""]
        self._bar.set_postfix_str(", ".join(filter(None, parts)), refresh)


def say(line: str) -> None:
    """Write a line to the standard error stream, if there is one."""
    if sys.stderr is not None:
        sys.stderr.write(f"{printable(line)}\n")
        sys.stderr.flush()

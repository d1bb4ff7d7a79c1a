"""History: what each epoch of a run gave, as a table to read, plot and export."""

from __future__ import annotations

import io
import math
import os
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, overload

from .. import files
from ..messages import html_table, printable
from .batches import number
from .extra import figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LONGEST = 40  # characters of a name in the table


class History:
    """A table with a row of numbers for each epoch: `history["loss"]` is a column, `history[-1]` the last row.

    epochs: the rows, as dicts from column to number. interrupted: whether Ctrl-C ended the run. ended: why the run
    ended, in words, once it has. A number that an epoch lacks is NaN in the column.

    >>> import tinyreg as tr
    >>> history = tr.training.History()
    >>> history.append({"loss": 0.5, "validation_loss": 0.75})
    >>> history.append({"loss": 0.25, "validation_loss": 0.8125})
    >>> history["loss"]
    [0.5, 0.25]
    >>> history
    epoch  loss  validation_loss
        1   0.5             0.75
        2  0.25           0.8125
    """

    interrupted: bool
    ended: str

    def __init__(self) -> None:
        self.epochs: list[dict[str, float]] = []
        self.interrupted, self.ended = False, ""

    def append(self, row: Mapping[str, float]) -> None:
        """Add the row of an epoch."""
        self.epochs.append({name: number(value) for name, value in row.items()})

    @property
    def columns(self) -> list[str]:
        """The names of the columns, in the order in which they first came."""
        return list(dict.fromkeys(name for row in self.epochs for name in row))

    def __len__(self) -> int:
        return len(self.epochs)

    def __iter__(self) -> Iterator[dict[str, float]]:
        return iter(self.epochs)

    @overload
    def __getitem__(self, which: str) -> list[float]: ...
    @overload
    def __getitem__(self, which: int) -> dict[str, float]: ...
    def __getitem__(self, which: str | int) -> list[float] | dict[str, float]:
        """A column by its name, or the row of an epoch, counted from 0."""
        if not isinstance(which, str):
            return self.epochs[which]
        if which not in self.columns:
            raise KeyError(f"History: got {which!r}, expected one of {', '.join(self.columns) or 'no columns yet'}")
        return [row.get(which, math.nan) for row in self.epochs]

    def __repr__(self) -> str:
        if not self.epochs:
            return "History of no epochs"
        cells = [
            [printable(name, LONGEST), *(f"{value:.5g}" for value in values)] for name, values in self.to_dict().items()
        ]
        widths = [max(map(len, column)) for column in cells]
        rows = zip(*cells, strict=True)
        return "\n".join("  ".join(map(str.rjust, row, widths)) for row in rows)

    def _repr_html_(self) -> str:
        """The table in a notebook: of many epochs the first and the last."""
        columns = self.to_dict()
        rows = [[f"{value:.5g}" for value in row] for row in zip(*columns.values(), strict=True)]
        return html_table([list(columns), *rows])

    # ---- to elsewhere

    def to_dict(self) -> dict[str, list[float]]:
        """The columns by name, "epoch" first, which counts from 1: what a data frame is made from."""
        return {"epoch": list(range(1, len(self) + 1)), **{name: self[name] for name in self.columns}}

    def to_csv(self, path: str | os.PathLike[str]) -> None:
        """Write the table with a line of names first, numbers with all their digits; all of it or nothing.

        Raises `OSError` where the folder is missing or cannot be written.
        """
        import csv

        table, columns = io.StringIO(newline=""), self.to_dict()
        writer = csv.writer(table)
        writer.writerow(columns)
        writer.writerows(zip(*columns.values(), strict=True))
        files.write(path, table.getvalue(), "to_csv")

    def to_json(self, path: str | os.PathLike[str]) -> None:
        """Write the columns as one JSON object; infinity and NaN, which JSON lacks, as null.

        Raises `OSError` where the folder is missing or cannot be written.
        """
        import json

        columns = {name: [v if math.isfinite(v) else None for v in values] for name, values in self.to_dict().items()}
        files.write(path, json.dumps(columns), "to_json")

    def plot(self, path: str | os.PathLike[str] | None = None) -> Figure:
        """Draw every column over the epochs, validation beside training; returns matplotlib's figure, saved at `path`.

        Raises `ValueError` where there are no epochs, and `ModuleNotFoundError` without matplotlib.
        """
        if not self.epochs:
            raise ValueError("plot: this history has no epochs; expected at least one")
        names = dict.fromkeys(name.removeprefix("validation_") for name in self.columns)
        picture = figure(figsize=(5 * len(names), 4))
        epochs = range(1, len(self) + 1)
        for axes, name in zip(picture.subplots(1, len(names), squeeze=False)[0], names, strict=True):
            for column, look in ((name, "o--"), (f"validation_{name}", "s-")):
                if column in self.columns:
                    label = "training" if column == name else "validation"
                    axes.plot(epochs, self[column], look, markersize=3, label=label)
            axes.set(xlabel="epoch", ylabel=name.replace("_", " "))
            axes.legend()
            axes.grid(alpha=0.25)
        if path is not None:
            files.write_figure(path, picture, "plot")
        return picture

    # ---- state

    def state_dict(self) -> dict[str, Any]:
        """A copy of the rows, as `tr.training.save` stores it."""
        return {"epochs": [dict(row) for row in self.epochs]}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take the rows of `state` in place of those that are here.

        Raises `ValueError` for what is no state of a history, before anything is changed.
        """
        rows = state.get("epochs") if isinstance(state, Mapping) else None
        if not isinstance(rows, list) or not all(map(_is_row, rows)):
            raise ValueError(f'History.load_state_dict: got {state!r:.80}, expected {{"epochs": [...]}}, numbers by column')
        self.epochs = [dict(row) for row in rows]


def _is_row(row: Any) -> bool:
    return isinstance(row, dict) and all(isinstance(n, str) and isinstance(x, int | float) for n, x in row.items())

"""Pictures without a display: one look for all demos, readable in grey."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from matplotlib.figure import Figure

from tinyreg import files

from .estimate import Estimate


class Look(NamedTuple):
    """How a curve is drawn; two that share a panel differ in more than colour."""

    colour: str
    dashes: str
    marker: str


LOOKS = (
    Look("#08306b", "-", "o"),
    Look("#e6701a", "--", "s"),
    Look("#2a9d6f", "-.", "^"),
    Look("#8c2d8c", ":", "D"),
    Look("#7a7a7a", "-", "v"),
    Look("#b8860b", "--", "P"),
)
"""For the arms of a comparison, in order."""


def new(title: str, panels: int, height: float = 4.6, rows: int = 1, width: float = 5.2) -> tuple[Figure, Sequence[Any]]:
    """A figure with rows of panels side by side, all of them one after the other, under one title."""
    figure = Figure(figsize=(max(width * panels, 7), rows * height), layout="constrained")
    figure.suptitle(title, fontsize=12)
    axes = figure.subplots(rows, panels, squeeze=False).ravel()
    for one in axes:
        one.grid(alpha=0.25, linewidth=0.6)
        one.spines[["top", "right"]].set_visible(False)
    return figure, list(axes)


def curve(axes: Any, x: Sequence[float], runs: Sequence[Sequence[float]], label: str, look: Look) -> None:
    """The mean over runs as a line, and its 95% interval as a band. runs: a sequence as long as x for each seed."""
    estimates = [Estimate.of(values) for values in zip(*runs, strict=True)]
    mean, half = [estimate.mean for estimate in estimates], [estimate.half for estimate in estimates]
    every = max(len(x) // 8, 1)
    axes.plot(x, mean, look.dashes, color=look.colour, marker=look.marker, markevery=every, markersize=5, label=label)
    if len(runs) > 1:
        low, high = ([m + sign * h for m, h in zip(mean, half, strict=True)] for sign in (-1, 1))
        axes.fill_between(x, low, high, color=look.colour, alpha=0.15, linewidth=0)


def points(
    axes: Any, names: Sequence[str], runs: Sequence[Sequence[float]], label: str, look: Look, shift: float = 0
) -> None:
    """A row for each name, from above: the mean over seeds as a point, its 95% interval as a line, `shift` rows lower."""
    estimates = [Estimate.of(values) for values in runs]
    rows = [-i - shift for i in range(len(names))]
    halves = [estimate.half for estimate in estimates] if all(len(values) > 1 for values in runs) else None
    means = [estimate.mean for estimate in estimates]
    axes.errorbar(means, rows, xerr=halves, fmt=look.marker, color=look.colour, markersize=5, capsize=2, label=label)
    axes.set_yticks([-i for i in range(len(names))], names)


def save(figure: Figure, path: Path, note: str, *, legend: bool = True) -> Path:
    """Write the figure as PNG, with one legend for all panels, and a note, below them; returns the path.

    legend: whether that of the first panel stands for all.
    """
    handles, labels = figure.axes[0].get_legend_handles_labels() if legend else ([], [])
    figure.legend(
        handles,
        labels,
        loc="outside lower center",
        ncols=min(len(labels), 4) or 1,
        frameon=False,
        title=note,
        title_fontsize="small",
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    return files.write_figure(path, figure, "picture")


def over_seeds(n: int) -> str:
    """What lines and bands are, for the note."""
    return f"mean of {n} seeds, and its 95% interval" if n > 1 else "one seed"

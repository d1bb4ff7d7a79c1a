"""Pictures without a display: one look for all demos, readable in grey."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure


class Look(NamedTuple):
    """How a curve is drawn; two that share a panel differ in more than colour."""

    colour: str
    dashes: str
    marker: str


def new(title: str, panels: int) -> tuple[Figure, Sequence[Any]]:
    """A figure with panels side by side under one title."""
    figure = Figure(figsize=(5.2 * panels, 4.6), layout="constrained")
    figure.suptitle(title, fontsize=12)
    axes = figure.subplots(1, panels, squeeze=False)[0]
    for one in axes:
        one.grid(alpha=0.25, linewidth=0.6)
        one.spines[["top", "right"]].set_visible(False)
    return figure, axes


def curve(axes: Any, x: Sequence[float], runs: Sequence[Sequence[float]], label: str, look: Look) -> None:
    """The mean over runs as a line, and one standard deviation to either side as a band."""
    values = np.asarray(runs)
    mean = values.mean(axis=0)
    every = max(len(x) // 8, 1)
    axes.plot(x, mean, look.dashes, color=look.colour, marker=look.marker, markevery=every, markersize=5, label=label)
    if len(values) > 1:
        spread = values.std(axis=0, ddof=1)
        axes.fill_between(x, mean - spread, mean + spread, color=look.colour, alpha=0.15, linewidth=0)


def save(figure: Figure, path: Path, note: str) -> Path:
    """Write the figure as PNG, with one legend for all panels, and a note, below them; returns the path."""
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(
        handles,
        labels,
        loc="outside lower center",
        ncols=len(labels),
        frameon=False,
        title=note,
        title_fontsize="small",
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150)
    return path

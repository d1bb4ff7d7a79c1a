"""How large values and gradients are over training: for each parameter, and for each layer."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from .. import files
from ..core.backend import Array, described, get
from ..messages import html_table
from ..nn.module import Module
from ..training.callbacks import Callback
from ..training.extra import extra, figure
from ..training.run_state import Run

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Norms = dict[str, list[float | None]]

ROW = 0.17  # inches that a row of the picture takes
MOST = 400  # rows of which a picture can be read
SPAN = 1e6  # from the largest norm to the smallest that has a colour of its own
MARKS = {"0": "0.75", "not finite": "red"}


class GradientFlow(Callback):
    """The norms of a model's parameters and gradients, one column for each `record()`; `gradient_flow` makes one.

    values, gradients: the Euclidean norms by name, oldest first: of each parameter, and of each layer that holds several,
    of all of them together. None where there is no gradient.
    """

    def __init__(self, model: Module) -> None:
        if not isinstance(model, Module):
            raise TypeError(
                f"gradient_flow: got {described(model):.80}, expected a Module, such as the model that you train; put "
                "several in one tr.nn.Sequential"
            )
        self._named = model.named_parameters()
        if not self._named:
            raise ValueError(f"gradient_flow: got {type(model).__name__} without parameters, expected at least one")
        self._layers: dict[str, list[str]] = {}
        for name, _ in self._named:
            self._layers.setdefault(name.rpartition(".")[0], []).append(name)
        self.values: Norms = {name: [] for name in self.rows}
        self.gradients: Norms = {name: [] for name in self.rows}

    def __len__(self) -> int:
        return len(next(iter(self.values.values())))

    @property
    def rows(self) -> list[str]:
        """The names in the order in which they are drawn: a layer of several parameters before these."""
        return [
            name for layer, names in self._layers.items() for name in ([_shown(layer), *names] if len(names) > 1 else names)
        ]

    def record(self) -> None:
        """Note the norms as they are now: call it after a backward, before the gradients are cleared."""
        values: dict[str, float | None] = {name: _norm(parameter.data) for name, parameter in self._named}
        gradients = {name: _norm(p.grad.data) if p.grad is not None else None for name, p in self._named}
        for norms, new in ((self.values, values), (self.gradients, gradients)):
            for layer, names in self._layers.items():
                known = [norm for name in names if (norm := new[name]) is not None]
                if len(names) > 1:
                    norms[_shown(layer)].append(math.hypot(*known) if known else None)
                for name in names:
                    norms[name].append(new[name])

    def on_epoch_end(self, run: Run) -> None:
        """As a callback of `fit`: note the norms after the last step of each epoch."""
        self.record()

    def _repr_html_(self) -> str:
        """The latest norms in a notebook, a row for each name, of many the first and the last."""
        if not len(self):
            return "<p>Nothing was recorded yet: call record() after each backward.</p>"
        rows = [[name, *(_told(norms[name][-1]) for norms in (self.values, self.gradients))] for name in self.rows]
        return html_table([["parameter", "norm of the value", "norm of the gradient"], *rows])

    def plot(self, path: str | os.PathLike[str] | None = None) -> Figure:
        """Draw values and gradients as two maps, a row for each name; returns matplotlib's figure, saved at `path`.

        The colours are logarithmic, over six decades. Grey is a norm of exactly 0, red one that is not finite, and white
        with a cross no gradient.

        Raises `ValueError` where nothing was recorded, and `ModuleNotFoundError` without matplotlib.
        """
        if not len(self):
            raise ValueError("plot: nothing was recorded; call record() after each backward")
        layers = {_shown(layer) for layer, names in self._layers.items() if len(names) > 1}
        rows = self.rows if len(self.rows) <= MOST else [name for name in self.rows if name in layers]
        picture = figure(figsize=(11, 1.6 + ROW * max(len(rows), 6)))
        axes = picture.subplots(1, 2, sharey=True)
        for ax, title, norms in zip(axes, ("value", "gradient"), (self.values, self.gradients), strict=True):
            _draw(picture, ax, [norms[name] for name in rows])
            ax.set(title=f"norm of the {title}", xlabel="record")
            for row in (row for row, name in enumerate(rows) if row and name in layers):
                ax.axhline(row - 0.5, color="white", linewidth=2)
        letters = 7 if len(rows) > 20 else 9
        axes[0].set_yticks(range(len(rows)), rows, fontsize=letters)
        for label, name in zip(axes[0].get_yticklabels(), rows, strict=True):
            label.set_fontweight("bold" if name in layers else "normal")
        picture.legend(handles=_legend(), loc="outside lower center", ncols=3, frameon=False)
        if path is not None:
            files.write_figure(path, picture, "plot")
        return picture


def gradient_flow(model: Module) -> GradientFlow:
    """A record of |w| and |g| for each parameter w of a model, its gradient g, and each layer: fill it, then plot it.

    Call `record()` after each backward, or hand it to `tr.training.fit` as a callback; `plot(path)` draws it. Gradients
    that shrink from layer to layer towards the input vanish there; those that grow explode.

    Raises `TypeError` for what is no Module, and `ValueError` for a model without parameters.

    Source: Glorot and Bengio, "Understanding the difficulty of training deep feedforward neural networks", 2010.

    >>> import tinyreg as tr
    >>> model = tr.nn.Linear(2, 1)
    >>> flow = tr.explore.gradient_flow(model)
    >>> for _ in range(3):
    ...     model.zero_grad()
    ...     model(tr.ones((4, 2))).sum().backward()
    ...     flow.record()
    >>> flow.gradients["bias"]
    [4.0, 4.0, 4.0]
    """
    return GradientFlow(model)


def _told(norm: float | None) -> str:
    return "none" if norm is None else f"{norm:.5g}"


def _shown(layer: str) -> str:
    return layer or "(all)"


def _norm(array: Array) -> float:
    """The Euclidean norm, in float64, where squares neither overflow nor vanish for what a float32 can hold."""
    return float((array.astype("float64") ** 2).sum() ** 0.5)


def _draw(figure: Any, ax: Any, norms: Sequence[Sequence[float | None]]) -> None:
    """One map: logarithmic colours for the norms that are positive and finite, marks for the others."""
    xp, colors = get("numpy"), extra("matplotlib.colors")
    table = xp.asarray([[math.nan if norm is None else norm for norm in row] for row in norms])
    missing = xp.asarray([[norm is None for norm in row] for row in norms])
    usual = xp.isfinite(table) & (table > 0)
    high = table[usual].max() if usual.any() else 1.0
    low = max(table[usual].min(), high / SPAN) if usual.any() else 1.0
    look: Mapping[str, Any] = {
        "aspect": "auto",
        "interpolation": "nearest",
        "extent": (0.5, table.shape[1] + 0.5, table.shape[0] - 0.5, -0.5),
    }
    scale = colors.LogNorm(low, high if high > low else low * 10)
    image = ax.imshow(xp.where(usual, table, xp.nan), norm=scale, cmap="viridis", **look)
    for where, color in zip((table == 0, ~xp.isfinite(table) & ~missing), MARKS.values(), strict=True):
        ax.imshow(xp.where(where, 1.0, xp.nan), cmap=colors.ListedColormap([color]), **look)
    rows, columns = xp.nonzero(missing)
    ax.plot(columns + 1, rows, "x", color="0.6", markersize=3)
    ax.set(xlim=look["extent"][:2], ylim=look["extent"][2:])
    ax.xaxis.get_major_locator().set_params(integer=True)
    figure.colorbar(image, ax=ax, extend="min" if (table[usual] < low).any() else "neither")


def _legend() -> list[Any]:
    patches, lines = extra("matplotlib.patches"), extra("matplotlib.lines")
    cross = lines.Line2D([], [], linestyle="", marker="x", color="0.6", label="no gradient")
    return [*(patches.Patch(color=color, label=label) for label, color in MARKS.items()), cross]

"""A contact sheet: images beside what a transform makes of them."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from .. import files
from ..arguments import integer
from ..core.backend import Array, described, get
from ..core.tensor import Tensor
from ..creation import backend_of
from ..random import Generator, as_generator
from .drawing import check_images

if TYPE_CHECKING:
    from matplotlib.figure import Figure

INCHES = 1.1
"""The size of a picture on the sheet."""


def preview(
    images: Tensor | Array,
    transform: Callable[..., Any],
    path: str | os.PathLike[str] | None = None,
    *,
    versions: int = 6,
    rng: Generator | int | None = None,
) -> Figure:
    """Draw each image in a row with `versions` of what the transform makes of it; returns matplotlib's figure.

    images: (N, 1 or 3, height, width), floats in [0, 1]; a row for each, so pass a few. transform: a function of
    (images, rng=rng), such as a `Compose`; the title is what it prints as. path: where to save the picture too. rng:
    the default generator if None.

    Raises `ModuleNotFoundError` without matplotlib, `TypeError` for images that are not floats, and `ValueError` for
    other shapes, for no images and for fewer than one version.

    >>> import tinyreg as tr
    >>> figure = tr.augment.preview(tr.ones((2, 1, 8, 8)), tr.augment.cutout, versions=3)
    >>> len(figure.axes)
    8
    """
    check_images("preview", images)
    if images.shape[1] not in (1, 3) or not images.shape[0]:
        raise ValueError(f"preview: got images {described(images)}, expected at least one, of 1 or 3 channels")
    versions = integer("preview", "versions", versions, least=1, expected="at least 1")
    rng = as_generator(rng, "preview")
    figure_class = _matplotlib_figure()
    sheet = [_shown(images), *(_shown(transform(images, rng=rng)) for _ in range(versions))]
    title = getattr(transform, "__name__", None) or repr(transform)
    rows, columns, lines = images.shape[0], versions + 1, title.count("\n") + 1
    above = 0.16 * lines + 0.35
    figure = figure_class(figsize=(max(columns * INCHES, 7.0), rows * INCHES + above), layout="constrained")
    figure.suptitle(title, fontsize=8, family="monospace", ha="left", x=0.02)
    grid = figure.subplots(rows, columns, squeeze=False)
    for row, column in itertools.product(range(rows), range(columns)):
        axes = grid[row, column]
        axes.imshow(sheet[column][row], cmap="gray", vmin=0, vmax=1)
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set(color="lightgrey" if column else "black")
        if row == 0:
            axes.set_title(f"version {column}" if column else "original", fontsize=8)
    if path is not None:
        files.write_figure(path, figure, "preview")
    return figure


def _shown(images: Any) -> Any:
    """Images on the host as matplotlib wants them: (N, height, width, 1 or 3)."""
    array = getattr(images, "_array", images)
    return get(backend_of(array)).to_host(array).clip(0, 1).astype("float32").transpose(0, 2, 3, 1)


def _matplotlib_figure() -> type[Figure]:
    try:
        from matplotlib.figure import Figure
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError("augment.preview needs matplotlib: pip install matplotlib", name="matplotlib") from error
    return Figure

"""What training needs beyond NumPy, imported when it is asked for."""

from __future__ import annotations

import functools
import importlib
import io
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def extra(name: str) -> Any:
    """The module `name`; raises `ModuleNotFoundError` with the command that installs it."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        package = name.partition(".")[0]
        if str(error.name).partition(".")[0] != package:
            raise
        raise ModuleNotFoundError(f"tr.training needs {package}: pip install 'tinyreg[training]'", name=package) from error


def figure(**settings: Any) -> Figure:
    """A figure of matplotlib that a notebook shows as a picture, whether or not pyplot has been asked to."""
    made: Any = extra("matplotlib.figure").Figure(layout="constrained", **settings)
    made._repr_png_ = functools.partial(_png, made)
    return cast("Figure", made)


def _png(figure: Figure) -> bytes:
    picture = io.BytesIO()
    figure.savefig(picture, format="png")
    return picture.getvalue()

"""A backend that behaves as CuPy does but needs no GPU: how code that will run on CuPy is kept honest without one.

It offers only the names and keyword arguments that CuPy has (cupy_names.json, read from CuPy itself), answers with
arrays where NumPy would answer with scalars, and refuses NumPy arrays. Its values come from NumPy.
"""

from __future__ import annotations

from tinyreg.core.backend import LOADERS, cupy_backend, get

from .module import cupy, cupyx, special


def install() -> None:
    """Make it the backend "standin", through tinyreg's own adapter for CuPy."""
    LOADERS["standin"] = lambda: cupy_backend("standin", cupy, cupyx, special)
    get("standin")

"""What an import costs, in fresh interpreters that take turns."""

from __future__ import annotations

from .base import Library, Program, Settings, Workload, milliseconds


def build(library: Library, settings: Settings) -> Program:
    """There is no step: the import is what is measured."""
    raise NotImplementedError


IMPORTS = Workload(
    "imports",
    "the import of a library in a fresh interpreter",
    "ms",
    milliseconds,
    {"import": {}},
    {"import": {}},
    build,
    quantity="import",
    without={"PyTorch compiled": "the import is that of PyTorch eager"},
)

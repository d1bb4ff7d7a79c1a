"""What training needs beyond NumPy, imported when it is asked for."""

from __future__ import annotations

import importlib
from typing import Any


def extra(name: str) -> Any:
    """The module `name`; raises `ModuleNotFoundError` with the command that installs it."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        package = name.partition(".")[0]
        if str(error.name).partition(".")[0] != package:
            raise
        raise ModuleNotFoundError(f"tr.training needs {package}: pip install 'tinyreg[training]'", name=package) from error

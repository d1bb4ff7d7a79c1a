"""What CuPy offers, from cupy_names.json, and the check of a call against it."""

from __future__ import annotations

import functools
import inspect
import json
from pathlib import Path
from typing import Any

NAMES: dict[str, Any] = json.loads(Path(__file__).with_name("cupy_names.json").read_text())
CUPY = "CuPy " + " and ".join(NAMES["versions"])


def accepted(full_name: str) -> str | None:
    """The parameters of a function, a ufunc or, by its bare name, a method of ndarray."""
    if full_name in NAMES["ufuncs"]:
        return str(NAMES["ufuncs"][full_name][0])
    return NAMES["functions"].get(full_name) or NAMES["methods"].get(full_name)


@functools.cache
def signature(full_name: str) -> inspect.Signature:
    return inspect.signature(eval(f"lambda {accepted(full_name)}: None"))


def bound(full_name: str, args: Any, kwargs: Any) -> dict[str, Any]:
    """The arguments of a call by parameter; `TypeError` where CuPy does not take them."""
    try:
        return signature(full_name).bind(*args, **kwargs).arguments
    except TypeError as error:
        raise TypeError(f"{full_name}: {error}; {CUPY} takes ({accepted(full_name)})") from None

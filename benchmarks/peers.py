"""Who takes part: what each peer is called, the distribution that it comes from, and the class that runs it."""

from __future__ import annotations

import importlib
import importlib.metadata
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple


class Entrant(NamedTuple):
    """A peer by its names; nothing of it is imported before `start`."""

    distribution: str
    module: str
    kind: str
    settings: Mapping[str, Any] = MappingProxyType({})

    def start(self) -> Any:
        """Its library. Raises `ModuleNotFoundError` where it is not installed."""
        importlib.import_module(self.distribution)
        return getattr(importlib.import_module(f".libraries.{self.module}", __package__), self.kind)(**self.settings)

    def version(self) -> str:
        """The installed version."""
        if self.distribution == "tinyreg":
            return str(importlib.import_module("tinyreg").__version__)
        return importlib.metadata.version(self.distribution)


BY_HAND, OURS = "numpy by hand", "tinyreg"
REFERENCES = (BY_HAND, "PyTorch eager")
"""Peers that others are given as multiples of."""

PEERS: dict[str, Entrant] = {
    BY_HAND: Entrant("numpy", "numpy_by_hand", "NumPy"),
    OURS: Entrant("tinyreg", "layered", "TinyReg"),
    "tinyreg, memory kept": Entrant("tinyreg", "layered", "TinyReg", {"keep_memory": True}),
    "tinyreg captured (NumPy)": Entrant("tinyreg", "layered", "TinyReg", {"captured": "numpy"}),
    "tinyreg captured (native)": Entrant("tinyreg", "layered", "TinyReg", {"captured": "native"}),
    "tinyreg captured, definitions only": Entrant(
        "tinyreg", "layered", "TinyReg", {"captured": "native", "definitions": True}
    ),
    "PyTorch eager": Entrant("torch", "layered", "PyTorch"),
    "PyTorch compiled": Entrant("torch", "layered", "PyTorch", {"compiled": True}),
    "JAX jit": Entrant("jax", "jax", "Jax"),
    "HIPS autograd": Entrant("autograd", "autograd", "Autograd"),
    "MyGrad": Entrant("mygrad", "mygrad", "MyGrad"),
    "tinygrad": Entrant("tinygrad", "tinygrad", "TinyGrad"),
}
"""The first is who the others' values are compared with."""

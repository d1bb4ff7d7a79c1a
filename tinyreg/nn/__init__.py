"""Layers: compositions with parameters, put together as modules. Names and layouts are those of PyTorch."""

from . import init
from .activations import ReLU
from .containers import Sequential
from .linear import Linear
from .module import Buffer, Module, Parameter
from .shape import Flatten

__all__ = ["Buffer", "Flatten", "Linear", "Module", "Parameter", "ReLU", "Sequential", "init"]

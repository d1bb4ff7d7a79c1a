"""Fast forms of ops: a file can be deleted, with its import here, and its ops are then their definitions."""

from . import convolution, linear, pooling

__all__ = ["convolution", "linear", "pooling"]

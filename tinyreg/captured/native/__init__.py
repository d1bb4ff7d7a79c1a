"""The native executor: groups of ops as machine code, each run of neighbours one call; all else is NumPy's as before."""

from .compile import missing
from .executor import NativeExecutor
from .program import NativeProgram

__all__ = ["NativeExecutor", "NativeProgram", "missing"]

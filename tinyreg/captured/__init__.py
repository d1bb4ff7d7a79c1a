"""A training step as a program: see `capture`."""

from .program import Program
from .refusal import CaptureError
from .step import Captured, capture

__all__ = ["CaptureError", "Captured", "Program", "capture"]


def __dir__() -> list[str]:
    return sorted(__all__)

"""Whose code called: the frames that are the reader's own, and warnings that point there.

This stands below the core: nothing here knows of tensors or tapes.
"""

from __future__ import annotations

import os
import sys
import warnings
from types import FrameType

PACKAGE = os.path.dirname(os.path.abspath(__file__)) + os.sep
STANDARD = os.path.dirname(os.__file__) + os.sep  # functools and the like, by which the package calls itself


def is_own(frame: FrameType) -> bool:
    """Whether a frame is tinyreg's own, also of what it wrote itself, or Python's."""
    path = frame.f_code.co_filename
    if path.startswith(STANDARD):
        return "-packages" + os.sep not in path
    return path.startswith((PACKAGE, "<tinyreg "))


def warn_caller(text: str, category: type[Warning] = UserWarning) -> None:
    """Warn at the reader's line that called into tinyreg, however many frames of tinyreg lie between."""
    frame: FrameType | None = sys._getframe()
    level = 1
    while frame is not None and is_own(frame):
        frame, level = frame.f_back, level + 1
    warnings.warn(text, category, stacklevel=level)

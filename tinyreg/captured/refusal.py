"""What cannot be captured, and the line of the reader's code that did it."""

from __future__ import annotations

import linecache
import os
import re
import sys
import traceback
from types import FrameType
from typing import NamedTuple

from ..callers import PACKAGE, is_own
from ..core.primitive import Primitive
from ..core.tape import fitted, walk
from ..nn.module import Module


class CaptureError(RuntimeError):
    """A step that cannot be replayed faithfully: what was done, in which line, and what to do instead.

    >>> import tinyreg as tr
    >>> step = tr.capture(lambda x: x * x.sum().item())
    >>> _ = step(tr.ones(2))
    >>> try:
    ...     step(tr.ones(2))
    ... except tr.CaptureError as error:
    ...     print(str(error)[:61])
    capture: the step asks for the values of float32[], which onl
    """


class ChangedError(Exception):
    """A check came out otherwise than in the recording: this call has to run eagerly."""


class WarnedError(Exception):
    """Machine code met overflow or the like, of which NumPy tells, or its bits may not be NumPy's: as `ChangedError`."""


HERE = os.path.dirname(__file__) + os.sep
TRACING = HERE + "tracing.py"
"""Beyond its frames the step was not yet begun."""
MIXED = re.compile("and traced|traced and|on traced where NumPy")
"""How an error tells of an array of the recording beside another library's."""


def _is_between(frame: FrameType) -> bool:
    """Whether a frame is tinyreg's, Python's or NumPy's own."""
    return is_own(frame) or f"{os.sep}numpy{os.sep}" in frame.f_code.co_filename


class Origin(NamedTuple):
    """What an instruction was a part of: an op of the tape, forward or backward, or else a layer or a function."""

    name: str
    phase: str  # "forward", "backward", or ""


NOWHERE = Origin("", "")


def whence() -> tuple[tuple[str, int], Origin]:
    """The file and the line of the reader's code that called into tinyreg, and what for: the outermost op, if any."""
    place, origin, layer, outermost = ("", 0), NOWHERE, "", ""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and frame.f_code.co_filename != TRACING:
        code = frame.f_code
        if _is_between(frame):
            origin = _of_op(frame, origin)
            if not place[1] and code.co_filename.startswith(PACKAGE) and not code.co_filename.startswith(HERE):
                outermost = code.co_qualname.partition(".<locals>")[0]
                layer = layer or (type(frame.f_locals["self"]).__name__ if code is Module.__call__.__code__ else "")
        elif not place[1]:
            place = code.co_filename, frame.f_lineno
        frame = frame.f_back
    return place, origin if origin.phase else Origin(layer or outermost, "")


def _of_op(frame: FrameType, inner: Origin) -> Origin:
    """What a frame of tinyreg is a part of: an op, an entry of the tape on the way back, or what it calls."""
    code = frame.f_code
    if code is Primitive.apply.__code__:
        return Origin(frame.f_locals["self"].name, "forward")
    if code.co_name == "pull" and "entry" in code.co_varnames:
        return Origin(frame.f_locals["entry"].op.name, "backward")
    if code is fitted.__code__:
        return Origin(frame.f_locals["op"].name, "backward")
    return Origin(inner.name or "sum of gradients", "backward") if code is walk.__code__ else inner


def line() -> tuple[str, int]:
    """The file and the line of the reader's code that called into tinyreg."""
    return whence()[0]


def shown(place: tuple[str, int]) -> str:
    """A line as an error shows it: the file, its number and its text."""
    text = linecache.getline(*place).strip()
    return f"{place[0]}:{place[1]}" + (f": {text}" if text else "")


def refusal(what: str, remedy: str) -> CaptureError:
    """The error for what the step did just now."""
    return CaptureError(f"capture: {what}, at {shown(line())}; {remedy}")


def cause(error: BaseException | None) -> CaptureError | None:
    """The refusal that an error tells of, also where an op has wrapped it."""
    first = error
    while error is not None and not isinstance(error, CaptureError):
        error = error.__cause__ or error.__context__
    if error is None and isinstance(first, TypeError) and MIXED.search(str(first)):
        frames = [(f, n) for f, n in traceback.walk_tb(first.__traceback__) if not _is_between(f)]
        place = (frames[-1][0].f_code.co_filename, frames[-1][1]) if frames else ("", 0)
        return CaptureError(
            f"capture: the step uses an array that is neither its argument nor its state, or hands one to NumPy, at "
            f"{shown(place)}; pass it in, or make it before the step; draw random numbers from a tr.Generator"
        )
    return error

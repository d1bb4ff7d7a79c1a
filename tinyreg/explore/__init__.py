"""See the tape: `tr.tape(tensor)` takes a snapshot of it, which prints as a table."""

from .snapshot import Tape, tape

__all__ = ["Tape", "tape"]

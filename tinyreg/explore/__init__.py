"""See the tape: `tr.tape(tensor)` takes a snapshot of it, and `tr.explain()` notes what made it and what goes wrong."""

from typing import TYPE_CHECKING, Any

from .checks import NonFiniteError
from .explain import explain
from .tape import Tape, tape

if TYPE_CHECKING:
    from .flow import GradientFlow, gradient_flow

__all__ = ["GradientFlow", "NonFiniteError", "Tape", "explain", "gradient_flow", "tape"]


def __getattr__(name: str) -> Any:
    if name in ("GradientFlow", "gradient_flow"):  # a callback of tr.training, which is imported when it is asked for
        from . import flow

        return getattr(flow, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

"""Training: the loop, what watches it, what it leaves behind, and files that a kill at any moment leaves whole."""

from .callbacks import Callback, EarlyStopping
from .history import History
from .loop import fit
from .run_state import Run
from .saving import load, save

__all__ = ["Callback", "EarlyStopping", "History", "Run", "fit", "load", "save"]


def __dir__() -> list[str]:
    return __all__

"""Layers: compositions with parameters, put together as modules. Names and layouts are those of PyTorch.

What each module lists in its `__all__` is public here.
"""

# ruff: noqa: F403  (a module's `__all__` says what the star brings)

from . import (
    activations,
    attention,
    containers,
    conv,
    dropout,
    embedding,
    functional,
    init,
    linear,
    module,
    norm,
    parameter,
    recurrent,
    shape,
    wrappers,
)
from .activations import *
from .attention import *
from .containers import *
from .conv import *
from .dropout import *
from .embedding import *
from .functional import *
from .linear import *
from .module import *
from .norm import *
from .parameter import *
from .recurrent import *
from .shape import *
from .wrappers import *

__all__ = ["init"]
__all__ += activations.__all__
__all__ += attention.__all__
__all__ += containers.__all__
__all__ += conv.__all__
__all__ += dropout.__all__
__all__ += embedding.__all__
__all__ += functional.__all__
__all__ += linear.__all__
__all__ += module.__all__
__all__ += norm.__all__
__all__ += parameter.__all__
__all__ += recurrent.__all__
__all__ += shape.__all__
__all__ += wrappers.__all__


def __dir__() -> list[str]:
    return __all__

"""The primitives, by family; what each module lists in its `__all__` is public, here and as `tr.*`."""

# ruff: noqa: F403  (a module's `__all__` says what the star brings)

from typing import TYPE_CHECKING

from . import (
    decomposition,
    elementwise,
    exponential,
    indexing,
    linalg,
    precision,
    reduction,
    shape,
    smooth,
    transcendental,
    window,
)
from . import fast as fast
from .decomposition import *
from .elementwise import *
from .exponential import *
from .indexing import *
from .linalg import *
from .operators import bind
from .precision import *
from .reduction import *
from .shape import *
from .smooth import *
from .transcendental import *
from .window import *

if not TYPE_CHECKING:  # mypy, which adds up no lists, would take all names for private
    __all__ = []
    __all__ += decomposition.__all__
    __all__ += elementwise.__all__
    __all__ += exponential.__all__
    __all__ += indexing.__all__
    __all__ += linalg.__all__
    __all__ += precision.__all__
    __all__ += reduction.__all__
    __all__ += shape.__all__
    __all__ += smooth.__all__
    __all__ += transcendental.__all__
    __all__ += window.__all__

bind()

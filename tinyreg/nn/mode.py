"""The mode of a model, in training or out of it, for one context."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from ..switches import Manager, Switch

if TYPE_CHECKING:
    from .module import Module

modes: Final = Switch[Mapping[int, bool]]("modes", {}, replayed=True)
"""The modes of this context, by the id of a module, in place of those that `train` and `eval` have set."""


def in_mode(model: Module, training: bool) -> Manager:
    """Have a model and all inside it act as in training, or as out of it, in this context and in no other thread.

    What `train` and `eval` have set is left alone.

    >>> import tinyreg as tr
    >>> from tinyreg.nn.mode import in_mode
    >>> layer = tr.nn.Dropout(0.5)
    >>> with in_mode(layer, False):
    ...     layer(tr.ones(3)), layer.training
    (tensor([1., 1., 1.]), False)
    >>> layer.training
    True
    """
    return modes({**modes.get(), **dict.fromkeys(map(id, model.modules()), training)})

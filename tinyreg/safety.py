"""Checks that look at values, and so make a GPU wait in the middle of a step: on by default, switched off by name."""

from __future__ import annotations

import contextvars
from collections.abc import Iterator

from .within import context

CHECKS = ("labels", "gradients")
_off: contextvars.ContextVar[frozenset[str]] = contextvars.ContextVar("tinyreg_unchecked", default=frozenset())


@context
def unchecked(*names: str) -> Iterator[None]:
    """In this context some values are taken as they come, so that a step on a GPU never waits for one.

    names: "labels": whether class indices are in range, which `losses.cross_entropy` looks at; "gradients": whether they
    are finite and can be squared, which `optim.clip_grad_norm` looks at, which then returns the norm as a Tensor. What
    is wrong there gives wrong numbers, or NaN, without an error: so check some steps first.

    Raises `ValueError` for an unknown name and for none.

    >>> import tinyreg as tr
    >>> w = tr.tensor([3.0, 4.0], requires_grad=True)
    >>> w.grad = tr.tensor([3.0, 4.0])
    >>> with tr.unchecked("gradients"):
    ...     tr.optim.clip_grad_norm([w], 1.0)
    tensor(5.)
    """
    if not names or not set(names) <= set(CHECKS):
        raise ValueError(f"unchecked: got {', '.join(map(repr, names)) or 'no names'}, expected any of {', '.join(CHECKS)}")
    token = _off.set(_off.get() | set(names))
    try:
        yield
    finally:
        _off.reset(token)


def checked(name: str) -> bool:
    """Whether a check is on."""
    return name not in _off.get()

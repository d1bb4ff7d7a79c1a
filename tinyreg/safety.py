"""Checks that look at values, and so make a GPU wait in the middle of a step: on by default, switched off by name."""

from __future__ import annotations

from .switches import Context, Switch

CHECKS = ("labels", "gradients")
_off = Switch[frozenset[str]]("unchecked", frozenset())


def unchecked(*names: str) -> Context:
    """In this context some values are taken as they come, so that a step on a GPU never waits for one.

    names: "labels": whether class indices are in range, which `losses.cross_entropy` looks at; "gradients": whether they
    are finite and can be squared, which `optim.clip_grad_norm` looks at, which then returns the norm as a Tensor. What
    is wrong there gives wrong numbers, or NaN, without an error: so check some steps first. With the names it is a
    decorator too: `@tr.unchecked("labels")`.

    Raises `ValueError` for an unknown name and for none, and `TypeError` for what is no name.

    >>> import tinyreg as tr
    >>> w = tr.tensor([3.0, 4.0], requires_grad=True)
    >>> w.grad = tr.tensor([3.0, 4.0])
    >>> with tr.unchecked("gradients"):
    ...     tr.optim.clip_grad_norm([w], 1.0)
    tensor(5.)
    """
    if not names or not set(names) <= set(CHECKS):
        kind = ValueError if all(isinstance(name, str) for name in names) else TypeError
        raise kind(f"unchecked: got {', '.join(map(repr, names)) or 'no names'}, expected any of {', '.join(CHECKS)}")
    return Context("unchecked", lambda: _off(_off.get() | set(names)))


def switched_off() -> frozenset[str]:
    """The checks that are off."""
    return _off.get()


def checked(name: str) -> bool:
    """Whether a check is on."""
    return name not in _off.get()

"""Wrong versions of a VJP that need not know its source: each takes the right one and gives one that errs in its own way.

They take arrays and Tensors alike, since a VJP runs on both.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ... import ops
from ...core.backend import get, home
from ...core.tensor import Tensor

Vjp = Callable[..., Any]
Wrapper = Callable[[Vjp], Vjp]

WRAPPERS: dict[str, Wrapper] = {}


def _after(name: str, change: Callable[[Any], Any]) -> None:
    """A wrong version that changes what the VJP returns: of several gradients, each."""

    def wrapper(vjp: Vjp) -> Vjp:
        def wrong(g: Any, *saved: Any, **named: Any) -> Any:
            gradients = vjp(g, *saved, **named)
            if isinstance(gradients, tuple | list):
                return tuple(None if part is None else change(part) for part in gradients)
            return None if gradients is None else change(gradients)

        return wrong

    WRAPPERS[name] = wrapper


def _before(name: str, change: Callable[[Any], Any]) -> None:
    """A wrong version that changes the incoming gradient: of several results, each."""

    def wrapper(vjp: Vjp) -> Vjp:
        def wrong(g: Any, *saved: Any, **named: Any) -> Any:
            several = isinstance(g, tuple | list)
            return vjp([None if part is None else change(part) for part in g] if several else change(g), *saved, **named)

        return wrong

    WRAPPERS[name] = wrapper


def _stateful(name: str) -> Callable[[Wrapper], Wrapper]:
    def declare(wrapper: Wrapper) -> Wrapper:
        WRAPPERS[name] = wrapper
        return wrapper

    return declare


def _data(x: Any) -> Any:
    return x.data if isinstance(x, Tensor) else x


def _like(x: Any, array: Any) -> Any:
    """A NumPy array as what x is: an array or a Tensor on its backend."""
    place = get(home(_data(x)).name)  # type: ignore[union-attr]
    moved = place.asarray(array)
    return Tensor(moved) if isinstance(x, Tensor) else moved


def _one_element(x: Any) -> Any:
    """Twice the last element, the others as they are."""
    factors = np.ones(x.shape, dtype=x.dtype)
    factors[(-1,) * x.ndim if x.size else ...] = 2.0
    return x * _like(x, factors)


def _detached(x: Any) -> Any:
    return x.detach() if isinstance(x, Tensor) else x


def _in_memory_order(g: Any) -> Any:
    """The elements as they lie in memory, taken for rows."""
    if isinstance(g, Tensor) or g.ndim < 2:
        return g
    return g.ravel(order="K").reshape(g.shape)


def _in_place(g: Any) -> Any:
    if not isinstance(g, Tensor):
        g += 0.0
    return g


_after("sign", lambda x: -x)
_after("factor 2", lambda x: 2.0 * x)
_after("factor 1 + 1e-3", lambda x: (1 + 1e-3) * x)
_after("factor 1 + 1e-4", lambda x: (1 + 1e-4) * x)
_after("factor 1 + 1e-6", lambda x: (1 + 1e-6) * x)
_after("zeros", lambda x: 0.0 * x)
_after("an offset", lambda x: x + 1e-3)
_after("one wrong element", _one_element)
_after("reversed", lambda x: ops.flip(x, axis=None))
_after("sizes only", ops.abs)
_after("no negative gradients", ops.relu)
_after("computed in float32", lambda x: ops.astype(ops.astype(x, "float32"), x.dtype))
_after("float64 for float32", lambda x: ops.astype(x, "float64"))
_after("detached result", _detached)
_after("nothing", lambda x: None)
_before("|g|", ops.abs)
_before("relu(g)", ops.relu)
_before("clip(g, -1, 1)", lambda g: ops.clip(g, -1.0, 1.0))
_before("ones for g", lambda g: 0.0 * g + 1.0)
_before("tanh(g)", ops.tanh)
_before("the mean of g", lambda g: 0.0 * g + ops.mean(g))
_before("detached g", _detached)
_before("g in memory order", _in_memory_order)
_before("g changed in place", _in_place)


@_stateful("detached arguments")
def _(vjp: Vjp) -> Vjp:
    def wrong(g: Any, *saved: Any, **named: Any) -> Any:
        return vjp(g, *(tuple(map(_detached, a)) if isinstance(a, tuple) else _detached(a) for a in saved), **named)

    return wrong


@_stateful("arguments changed in place")
def _(vjp: Vjp) -> Vjp:
    def wrong(g: Any, *saved: Any, **named: Any) -> Any:
        gradients = vjp(g, *saved, **named)
        for a in saved:
            if home(a) and a.dtype.kind == "f":
                a *= 1.5
        return gradients

    return wrong


@_stateful("the first gradient of a shape for all")
def _(vjp: Vjp) -> Vjp:
    first: dict[Any, Any] = {}

    def wrong(g: Any, *saved: Any, **named: Any) -> Any:
        if isinstance(g, Tensor):
            return vjp(g, *saved, **named)
        shapes = tuple(getattr(part, "shape", None) for part in g) if isinstance(g, list) else g.shape
        return first.setdefault((shapes, *named.values()), vjp(g, *saved, **named))

    return wrong


@_stateful("another gradient the second time")
def _(vjp: Vjp) -> Vjp:
    before: list[Any] = []

    def wrong(g: Any, *saved: Any, **named: Any) -> Any:
        again = any(len(saved) == len(old) and all(a is b for a, b in zip(saved, old, strict=True)) for old in before)
        before[:] = [*before[-50:], saved]
        if again and isinstance(g, list):
            g = [None if part is None else 2.0 * part for part in g]
        return vjp(2.0 * g if again and not isinstance(g, list) else g, *saved, **named)

    return wrong

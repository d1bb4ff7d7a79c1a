"""Blocks: what takes many steps goes over a large array a part at a time.

What stands between two steps then stays in the processor's cache, and the system is asked for no memory but the result's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def by_blocks(f: Callable[..., Any], xp: Any, *arrays: Any) -> Any:
    """`f(xp, *arrays)` for an elementwise f, whose result is one array or several; on a GPU in one go.

    arrays: of one shape, or numbers. Where they differ in shape or are not contiguous, they are taken whole. f may also
    write to some of them, which saves a copy of what it would return.
    """
    first = next((a for a in arrays if isinstance(a, xp.ndarray)), None)
    if first is None or first.size <= xp.block or not all(_alike(a, first, xp) for a in arrays):
        return f(xp, *arrays)
    flat = [a.reshape(-1) if isinstance(a, xp.ndarray) else a for a in arrays]
    whole: list[Any] = []
    for start in range(0, first.size, xp.block):
        part = slice(start, start + xp.block)
        made = f(xp, *[a[part] if isinstance(a, xp.ndarray) else a for a in flat])
        blocks = made if isinstance(made, tuple) else () if made is None else (made,)
        whole = whole or [xp.empty(first.shape, dtype=block.dtype) for block in blocks]
        for y, block in zip(whole, blocks, strict=True):
            y.reshape(-1)[part] = block
    return tuple(whole) if isinstance(made, tuple) else None if made is None else whole[0]


def _alike(a: Any, first: Any, xp: Any) -> bool:
    return not isinstance(a, xp.ndarray) or (a.shape == first.shape and a.flags.c_contiguous)

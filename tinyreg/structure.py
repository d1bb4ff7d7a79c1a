"""Values in tuples, lists and dicts, as deep as one likes: to go through them, and to put others in their places."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any


def leaves(tree: Any) -> Iterator[Any]:
    """What is in the tree, in order, but for None."""
    if isinstance(tree, dict | tuple | list):
        for each in tree.values() if isinstance(tree, dict) else tree:
            yield from leaves(each)
    elif tree is not None:
        yield tree


def mapped(function: Callable[[Any], Any], tree: Any) -> Any:
    """The tree with function(leaf) in place of each leaf; None stays."""
    if isinstance(tree, dict):
        made = copy.copy(tree)  # of its own kind, such as a defaultdict
        for key, each in tree.items():
            made[key] = mapped(function, each)
        return made
    if isinstance(tree, tuple | list):
        inside = [mapped(function, each) for each in tree]
        return type(tree)(*inside) if hasattr(tree, "_fields") else type(tree)(inside)  # _fields: a named tuple
    return None if tree is None else function(tree)

"""The long form of an error: what is wrong, what was got, what was expected, and what to do about it.

This stands below the core: nothing here knows of tensors or tapes.
"""

from __future__ import annotations


def explained(where: str, problem: str, *, got: str, expected: str, remedy: str) -> str:
    """The text of an error in four lines. where: the function that was called."""
    return f"{where}: {problem}\n  got       {got}\n  expected  {expected}\n  try       {remedy}"

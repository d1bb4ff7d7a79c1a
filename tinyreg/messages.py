"""The long form of an error: what is wrong, what was got, what was expected, and what to do about it.

This stands below the core: nothing here knows of tensors or tapes.
"""

from __future__ import annotations


def explained(where: str, problem: str, *, got: str, expected: str, remedy: str) -> str:
    """The text of an error in four lines. where: the function that was called."""
    return f"{where}: {problem}\n  got       {got}\n  expected  {expected}\n  try       {remedy}"


def printable(text: str, longest: int = 10**9) -> str:
    """The text in one line, with what a terminal would obey, or nobody could see, as Python escapes it.

    These are control characters, marks of direction, separators of lines, and halves of surrogate pairs. What a person
    named goes through this before it is shown, in an error or on a tape. One that is longer than that is cut.
    """
    begin = text[: longest + 1]
    if not begin.isprintable():
        begin = "".join(c if c.isprintable() else repr(c)[1:-1] for c in begin)
    return begin if len(begin) <= longest else f"{begin[: longest - 1]}…"

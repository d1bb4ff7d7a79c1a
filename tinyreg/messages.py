"""The long form of an error: what is wrong, what was got, what was expected, and what to do about it.

This stands below the core: nothing here knows of tensors or tapes.
"""

from __future__ import annotations

from collections.abc import Sequence


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


def html_table(rows: Sequence[Sequence[str]], most: int = 20) -> str:
    """A table for a notebook, whose first row is its head; of more than `most` rows the first and the last."""
    head, *body = rows
    if len(body) > most:
        body = [*body[: most // 2], [f"{len(body) - most // 2 * 2:,} more", *[""] * (len(head) - 1)], *body[-(most // 2) :]]
    lines = [_html_row(row, tag) for row, tag in zip([head, *body], ["th", *["td"] * len(body)], strict=True)]
    return f"<table>{''.join(lines)}</table>"


def _html_row(cells: Sequence[str], tag: str) -> str:
    import html  # of notebooks alone

    style = 'style="text-align: left; white-space: nowrap; padding: 0 1em 0 0"'
    return f"<tr>{''.join(f'<{tag} {style}>{html.escape(printable(cell))}</{tag}>' for cell in cells)}</tr>"

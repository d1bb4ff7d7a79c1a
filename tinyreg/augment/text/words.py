"""The words of a text: found among punctuation and spaces, changed, and put back.

A word goes from its first letter, digit or "_" to its last, by Unicode's categories; what is inside, such as apostrophes
and hyphens, belongs to it, and what is around it is punctuation, symbols and emoji too. Marks (accents, vowel signs) and
joiners belong to the character before them, so that no character that a reader sees is torn. Only spaces part
words: a sentence of a script that is written without them, such as Chinese or Thai, is one word; pass a list of tokens.

Source: The Unicode Consortium, "Unicode Standard Annex #29: Unicode Text Segmentation", 2023.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, replace
from typing import Any, TypeVar

Text = TypeVar("Text", str, list[str])

ATTACHED = "\u200c\u200d\u05f3"  # both joiners, and the geresh, which ends Hebrew words as an apostrophe does within others


@dataclass(frozen=True)
class Token:
    """A word with the punctuation before and after it, and the space up to the next; of punctuation only, no word."""

    before: str
    word: str
    after: str
    space: str = " "

    def __str__(self) -> str:
        return self.before + self.word + self.after

    def renamed(self, word: str) -> Token:
        """The same token around another word."""
        return replace(self, word=word)


def check_text(name: str, text: Any) -> None:
    """Raise unless text is a string or a list of strings."""
    if not isinstance(text, str) and not (isinstance(text, list) and all(isinstance(piece, str) for piece in text)):
        raise TypeError(f"{name}: got {text!r:.80}, expected a string or a list of strings")


def tokens_of(name: str, text: str | list[str]) -> list[Token]:
    """The tokens of a string, which spaces part, or of a list."""
    check_text(name, text)
    if not isinstance(text, str):
        return [token(piece) for piece in text]
    return [replace(token(piece), space=space) for piece, space in re.findall(r"(\S+)(\s*)", text)]


def token(piece: str) -> Token:
    """A piece of text as a token: what belongs to words inside, anything else around it."""
    inside: list[bool] = []
    for character in piece:
        mark = _is_mark(character)
        if inside and (mark or character in ATTACHED):
            inside.append(inside[-1])
        else:
            inside.append(mark or character.isalnum() or character == "_")
    if True not in inside:
        return Token(piece, "", "")
    start, end = inside.index(True), len(piece) - inside[::-1].index(True)
    return Token(piece[:start], piece[start:end], piece[end:])


def joined(tokens: list[Token], like: Text) -> Text:
    """Tokens as a text of the kind that they came from; a string begins and ends with the spaces that it had."""
    pieces = [str(t) for t in tokens]
    if not isinstance(like, str):
        return pieces
    spaces = [*(t.space for t in tokens[:-1]), like[len(like.rstrip()) :]]
    start = like[: len(like) - len(like.lstrip())]
    return start + "".join(piece + space for piece, space in zip(pieces, spaces, strict=True))


def folded(word: str) -> str:
    """A word as it is looked up: in small letters, with accents composed, and the Turkish capital I with a dot as i."""
    return unicodedata.normalize("NFC", word.lower()).replace("i\u0307", "i")


def cased(word: str, like: str) -> str:
    """A word in the case of another: CAPITALS, a capital First, or as it is; by Unicode's rules, without a language's."""
    if like.isupper() and sum(not _is_mark(character) for character in like) > 1:
        return word.upper()
    first = like[:1]
    return word[:1].title() + word[1:] if first.isupper() or first.istitle() else word


def _is_mark(character: str) -> bool:
    return unicodedata.category(character)[0] == "M"

"""The words of a text: found among punctuation and spaces, changed, and put back."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any, TypeVar

Text = TypeVar("Text", str, list[str])

PARTS = re.compile(r"(\W*)(.*?)(\W*)", re.DOTALL)


@dataclass(frozen=True)
class Token:
    """A word with the punctuation before and after it; a token of punctuation only has an empty word."""

    before: str
    word: str
    after: str

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
    return [token(piece) for piece in (text.split() if isinstance(text, str) else text)]


def token(piece: str) -> Token:
    """A piece of text as a token: letters and digits inside, anything else around them."""
    found = PARTS.fullmatch(piece)
    assert found  # every part may be empty
    return Token(*found.groups())


def joined(tokens: list[Token], like: Text) -> Text:
    """Tokens as a text of the kind that they came from; in a string one space goes between them."""
    pieces = [str(t) for t in tokens]
    return " ".join(pieces) if isinstance(like, str) else pieces


def cased(word: str, like: str) -> str:
    """A word in the case of another: CAPITALS, a capital First, or as it is."""
    if like.isupper() and len(like) > 1:
        return word.upper()
    return word[:1].upper() + word[1:] if like[:1].isupper() else word

"""A thesaurus of one's own, and what every thesaurus has."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Protocol

from .words import folded


class Synonyms(Protocol):
    """What a thesaurus is: `synonyms(word)` gives a list, empty where it knows none. The word comes in small letters."""

    def synonyms(self, word: str) -> list[str]:
        """Other words for this one."""


class Thesaurus:
    """Synonyms from a mapping: each word with a list of others.

    Words are looked up in small letters, with accents however they are encoded, and only as they stand: "happy" says
    nothing of "happier".

    Raises `TypeError` where the synonyms of a word are one string, and for words that are none.

    >>> from tinyreg.augment.text import Thesaurus
    >>> Thesaurus({"happy": ["joyful", "glad"]}).synonyms("happy")
    ['joyful', 'glad']
    """

    def __init__(self, entries: Mapping[str, Iterable[str]]) -> None:
        for word, others in entries.items():
            if isinstance(others, str):
                raise TypeError(f"Thesaurus: got {others!r} for {word!r}, expected a list of words: [{others!r}]")
        listed = {word: list(others) for word, others in entries.items()}
        if strange := [w for word, others in listed.items() for w in (word, *others) if not isinstance(w, str)]:
            raise TypeError(f"Thesaurus: got {strange[0]!r:.80}, expected words, which are strings")
        self._entries = {folded(word): others for word, others in listed.items()}

    def __repr__(self) -> str:
        return f"Thesaurus of {len(self._entries)} words"

    def synonyms(self, word: str) -> list[str]:
        """Other words for this one."""
        return list(self._entries.get(folded(word), ()))

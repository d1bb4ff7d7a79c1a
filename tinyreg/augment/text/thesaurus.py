"""A thesaurus of one's own, and what every thesaurus has."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Protocol


class Synonyms(Protocol):
    """What a thesaurus is: `synonyms(word)` gives a list, empty where it knows none. The word comes in small letters."""

    def synonyms(self, word: str) -> list[str]:
        """Other words for this one."""


class Thesaurus:
    """Synonyms from a mapping: each word with a list of others.

    Words are looked up in small letters, and only as they stand: "happy" says nothing of "happier".

    Raises `TypeError` where the synonyms of a word are one string.

    >>> from tinyreg.augment.text import Thesaurus
    >>> Thesaurus({"happy": ["joyful", "glad"]}).synonyms("happy")
    ['joyful', 'glad']
    """

    def __init__(self, entries: Mapping[str, Iterable[str]]) -> None:
        for word, others in entries.items():
            if isinstance(others, str):
                raise TypeError(f"Thesaurus: got {others!r} for {word!r}, expected a list of words: [{others!r}]")
        self._entries = {word.lower(): list(others) for word, others in entries.items()}

    def __repr__(self) -> str:
        return f"Thesaurus of {len(self._entries)} words"

    def synonyms(self, word: str) -> list[str]:
        """Other words for this one."""
        return list(self._entries.get(word.lower(), ()))

"""Synonyms from the files of the WordNet database, read as they stand in the package of that name.

Source: Miller, "WordNet: A Lexical Database for English", 1995; the manual page wndb(5WN) for the format.
"""

from __future__ import annotations

import itertools
import operator
import os
from bisect import bisect_left
from functools import cached_property
from pathlib import Path

PLACES = ("/usr/share/wordnet", "/usr/local/share/wordnet", "/usr/local/WordNet-3.0/dict", "/opt/homebrew/opt/wordnet/dict")

PARTS = ("noun", "verb", "adj", "adv")
FILES = [f"{kind}.{part}" for part in PARTS for kind in ("index", "data")]
AGAIN = "install the package again (Debian, Ubuntu: apt-get install --reinstall wordnet-base)"

ENDINGS = {
    "noun": (
        ("s", ""),
        ("ses", "s"),
        ("xes", "x"),
        ("zes", "z"),
        ("ches", "ch"),
        ("shes", "sh"),
        ("men", "man"),
        ("ies", "y"),
    ),
    "verb": (("s", ""), ("ies", "y"), ("es", "e"), ("es", ""), ("ed", "e"), ("ed", ""), ("ing", "e"), ("ing", "")),
    "adj": (("er", ""), ("est", ""), ("er", "e"), ("est", "e")),
    "adv": (),
}
"""What to take off a word, and put in its place, to get to its base form: the rules of the manual page morphy(7WN)."""


class WordNet:
    """Synonyms from WordNet: all words of all the senses that a word has, in any part of speech.

    path: the folder with index.noun, data.noun and the like. If None: that of $WNHOME/dict, $WORDNET, or the usual places;
    Debian's package `wordnet-base` puts it into /usr/share/wordnet. A word that is not in it, such as "dogs", stands for
    its base form, by WordNet's lists of exceptions and its rules; synonyms come in base form themselves. Those of several
    words have spaces.

    Raises `FileNotFoundError` where the files are not there, with the package to install; `ValueError` where a file is
    damaged, when the first word is looked up or when the damage is met.
    """

    def __init__(self, path: str | os.PathLike[str] | None = None) -> None:
        places = _places() if path is None else [Path(path)]
        there = {place: [name for name in FILES if (place / name).is_file()] for place in places}
        complete = [place for place in places if len(there[place]) == len(FILES)]
        if not complete and (begun := [place for place in places if there[place]]):
            missing = [name for name in FILES if name not in there[begun[0]]]
            raise FileNotFoundError(f"WordNet: {begun[0]} lacks {', '.join(missing)}; {AGAIN}")
        if not complete:
            raise FileNotFoundError(
                f"WordNet: found no index.noun in {', '.join(map(str, places))}; install the package wordnet-base "
                "(Debian, Ubuntu: apt-get install wordnet-base), or say where it is: WordNet(path), or $WORDNET"
            )
        self.path: Path = complete[0]
        self._known: dict[str, list[str]] = {}

    def __repr__(self) -> str:
        return f"WordNet({str(self.path)!r})"

    def synonyms(self, word: str) -> list[str]:
        """Other words for this one, the most frequent senses first; empty where it is not known."""
        word = word.lower().replace(" ", "_")
        if word not in self._known:
            synonyms = [name for part in self._parts for name in part.synonyms(word)]
            self._known[word] = [name.replace("_", " ") for name in dict.fromkeys(synonyms) if name.lower() != word]
        return list(self._known[word])

    @cached_property
    def _parts(self) -> list[_PartOfSpeech]:
        return [_PartOfSpeech(self.path, part) for part in PARTS]


def _places() -> list[Path]:
    own = [Path(os.environ["WNHOME"]) / "dict"] if "WNHOME" in os.environ else []
    own += [Path(os.environ["WORDNET"])] if "WORDNET" in os.environ else []
    return [*own, *map(Path, PLACES)]


class _PartOfSpeech:
    """The files of one part of speech: what is not in the order or at the place that it says is damaged."""

    def __init__(self, path: Path, part: str) -> None:
        self._index_path, self._data_path = (path / f"{kind}.{part}" for kind in ("index", "data"))
        self._index, self._data = self._index_path.read_bytes(), self._data_path.read_bytes()
        for file, content in ((self._index_path, self._index), (self._data_path, self._data)):
            if not content.endswith(b"\n"):
                raise _damaged(file, "it is empty" if not content else "it ends within a line")
            if not content.isascii() or b"\0" in content:
                raise _damaged(file, "it has bytes that are no text")
        lines = [line for line in self._index.splitlines() if not line.startswith(b" ")]  # without those of the licence
        if not all(itertools.starmap(operator.le, itertools.pairwise(lines))):
            raise _damaged(self._index_path, "its lines are not in order")
        exceptions = path / f"{part}.exc"
        try:
            pairs = exceptions.read_text("ascii").splitlines() if exceptions.is_file() else []
        except UnicodeDecodeError:
            raise _damaged(exceptions, "it has bytes that are no text") from None
        self._exceptions = {word: bases for word, *bases in filter(None, map(str.split, pairs))}
        self._endings = ENDINGS[part]

    def synonyms(self, word: str) -> list[str]:
        """The words of all senses of a word, or else of its base forms."""
        for base in (word, *self._exceptions.get(word, ()), *self._without_ending(word)):
            if senses := self._senses(base):
                return [name for sense in senses for name in self._words(sense) if name.lower() != base]
        return []

    def _without_ending(self, word: str) -> list[str]:
        return [word.removesuffix(old) + new for old, new in self._endings if word.endswith(old) and word != old]

    def _senses(self, word: str) -> list[int]:
        """Where the senses of a word stand in the data: the last numbers of its line, as many as its third field says.

        Lines are in the order of their bytes, those of the licence first, because they begin with a space.
        """
        if not word or not word.isascii():
            return []
        start = bisect_left(range(len(self._index)), word.encode() + b" ", key=self._line)
        if not self._index.startswith(word.encode() + b" ", start):
            return []
        fields = self._line(start).split()
        try:
            count = int(fields[2])
            senses = [int(field) for field in fields[-count:]]
        except (ValueError, IndexError):
            count, senses = 0, []
        if not 0 < count == len(senses):
            raise _damaged(self._index_path, f"the line of {word!r} does not say where its senses are")
        return senses

    def _line(self, i: int) -> bytes:
        """The line of the index to which byte i belongs."""
        return self._index[self._index.rfind(b"\n", 0, i) + 1 : self._index.index(b"\n", i)]

    def _words(self, sense: int) -> list[str]:
        """The words of a sense: behind their hexadecimal number, each before a number; after adjectives marks, "(p)"."""
        fields = self._data[sense : self._data.find(b"\n", sense)].decode("ascii").split(" ") if sense >= 0 else []
        try:
            count = int(fields[3], 16) if fields[0] == f"{sense:08d}" else 0  # a line begins with its own place
        except (ValueError, IndexError):
            count = 0
        words = [word.partition("(")[0] for word in fields[4 : 4 + 2 * count : 2]]
        if not words or len(words) != count:
            raise _damaged(self._data_path, f"no sense stands at byte {sense}, where {self._index_path.name} says")
        return words


def _damaged(path: Path, why: str) -> ValueError:
    return ValueError(f"WordNet: {path} is damaged: {why}; {AGAIN}")

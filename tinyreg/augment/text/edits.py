"""Small random edits of a text, one word at a time.

Source: Wei and Zou, "EDA: Easy Data Augmentation Techniques for Boosting Performance on Text Classification Tasks", 2019.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, TypeVar

from ...arguments import integer, number
from ...random import Generator, as_generator
from .thesaurus import Synonyms
from .words import Text, Token, cased, folded, joined, tokens_of

T = TypeVar("T")

_GRAMMAR = """
a about after all also am an and any are as at be because been before being but by can could did do does doing down
during each few for from had has have having he her here hers him his how i if in into is it its itself just me more
most my no nor not now of off on once only or other our out over own per same she should so some such than that the
their them then there these they this those through to too under until up us very was we were what when where which
while who whom why will with would you your yours
"""
STOP_WORDS = frozenset(_GRAMMAR.split())
"""English words of grammar rather than meaning, which are not replaced: WordNet takes "a" for an angstrom."""


def synonym_replacement(
    text: Text, n: int = 1, *, thesaurus: Synonyms, skip: frozenset[str] = STOP_WORDS, rng: Generator | int | None = None
) -> Text:
    """The text with up to n of its words, chosen at random, each replaced by a random synonym of the thesaurus.

    text: a string or a list of tokens. n: at least 0. thesaurus: `Thesaurus`, `WordNet` or anything with
    `synonyms(word)`; synonyms of several words are passed over. skip: words in small letters that stay. rng: a
    generator or a seed; the default generator if None. Punctuation and spaces stay, and a synonym takes the case of the
    word. A text without such words, or an empty one, stays as it is.

    Raises `TypeError` for what is neither a string nor a list of strings, for an n that is no integer and an rng that
    is none of these, and `ValueError` for a negative n.

    >>> from tinyreg.augment.text import Thesaurus, synonym_replacement
    >>> synonym_replacement("Happy, as you see.", thesaurus=Thesaurus({"happy": ["joyful"]}))
    'Joyful, as you see.'
    """
    tokens, n, rng = _checked("synonym_replacement", text, n, rng)
    known = _with_synonyms(tokens, thesaurus, skip)
    chosen = _chosen(list(known), n, rng)
    for i in chosen:
        tokens[i] = tokens[i].renamed(cased(_one_of(known[i], rng), tokens[i].word))
    return joined(tokens, text) if chosen else text


def random_insertion(
    text: Text, n: int = 1, *, thesaurus: Synonyms, skip: frozenset[str] = STOP_WORDS, rng: Generator | int | None = None
) -> Text:
    """The text with n words put in at random places, each a random synonym of a random word of the text.

    text: a string or a list of tokens. n: at least 0. thesaurus, skip, rng: as in `synonym_replacement`. Words go in
    before others, so that the text ends as it did; one that comes first takes the case of the first. A text none of
    whose words has a synonym, or an empty one, stays as it is; a single word gets one before it.

    Raises `TypeError` for what is neither a string nor a list of strings, for an n that is no integer and an rng that
    is none of these, and `ValueError` for a negative n.

    >>> import tinyreg as tr
    >>> from tinyreg.augment.text import Thesaurus, random_insertion
    >>> random_insertion("A happy day.", thesaurus=Thesaurus({"happy": ["joyful"]}), rng=tr.Generator(0))
    'A happy joyful day.'
    """
    tokens, n, rng = _checked("random_insertion", text, n, rng)
    known = list(_with_synonyms(tokens, thesaurus, skip).values())
    if not known or not n:
        return text
    for _ in range(n):
        word = _one_of(_one_of(known, rng), rng)
        place = int(rng.integers(0, len(tokens)))
        tokens.insert(place, Token("", cased(word, tokens[0].word) if place == 0 else word, ""))
    return joined(tokens, text)


def random_swap(text: Text, n: int = 1, *, rng: Generator | int | None = None) -> Text:
    """The text with two random words swapped, n times over; punctuation stays in its place.

    text: a string or a list of tokens. n: at least 0. rng: a generator or a seed; the default generator if None. Words
    keep their case. A text of fewer than two words stays as it is.

    Raises `TypeError` for what is neither a string nor a list of strings, for an n that is no integer and an rng that
    is none of these, and `ValueError` for a negative n.

    >>> import tinyreg as tr
    >>> from tinyreg.augment.text import random_swap
    >>> random_swap("one two, three.", rng=tr.Generator(0))
    'three two, one.'
    """
    tokens, n, rng = _checked("random_swap", text, n, rng)
    places = _places(tokens)
    if len(places) < 2 or not n:
        return text
    for _ in range(n):
        i, j = _chosen(places, 2, rng)
        tokens[i], tokens[j] = tokens[i].renamed(tokens[j].word), tokens[j].renamed(tokens[i].word)
    return joined(tokens, text)


def random_deletion(text: Text, p: float = 0.1, *, rng: Generator | int | None = None) -> Text:
    """The text without each of its words with probability p, but never without all: then a random one stays.

    text: a string or a list of tokens. p: in [0, 1]. rng: a generator or a seed; the default generator if None. What
    follows a word that goes, such as a full stop, goes over to the word before it where that has nothing there, unless
    something, as a bracket, comes before it too; a line ends where it did. A text of fewer than two words stays as it
    is.

    Raises `TypeError` for what is neither a string nor a list of strings, for a p that is no number and an rng that is
    none of these, and `ValueError` for a p out of range.

    >>> import tinyreg as tr
    >>> from tinyreg.augment.text import random_deletion
    >>> random_deletion("one two three four five.", 0.5, rng=tr.Generator(4))
    'two four.'
    """
    tokens = tokens_of("random_deletion", text)
    p = number("random_deletion", "p", p, least=0, most=1, expected="a probability from 0 to 1")
    rng = as_generator(rng, "random_deletion")
    places = _places(tokens)
    if len(places) < 2 or not p:
        return text
    dropped = {i for i, drop in zip(places, rng.bernoulli(p, len(places)).tolist(), strict=True) if drop}
    if len(dropped) == len(places):
        dropped.remove(_one_of(places, rng))
    remaining: list[Token] = []
    for i, token in enumerate(tokens):
        if i not in dropped:
            remaining.append(token)
        elif remaining:
            after = remaining[-1].after or ("" if token.before else token.after)
            space = token.space if "\n" in token.space else remaining[-1].space
            remaining[-1] = replace(remaining[-1], after=after, space=space)
    return joined(remaining, text) if dropped else text


# ---- parts -----------------------------------------------------------------------------------------------------------


def _checked(name: str, text: str | list[str], n: int, rng: Any) -> tuple[list[Token], int, Generator]:
    n = integer(name, "n", n, least=0, expected="how many words, at least 0")
    return tokens_of(name, text), n, as_generator(rng, name)


def _places(tokens: list[Token]) -> list[int]:
    """Where there are words, and not only punctuation."""
    return [i for i, token in enumerate(tokens) if token.word]


def _with_synonyms(tokens: list[Token], thesaurus: Synonyms, skip: frozenset[str]) -> dict[int, list[str]]:
    """The synonyms of each word that has some, by its place."""
    of_word = {}
    for i in _places(tokens):
        word = folded(tokens[i].word)
        synonyms = [] if word in skip else thesaurus.synonyms(word)
        others = [other for other in synonyms if len(other.split()) == 1 and folded(other) != word]
        if others:
            of_word[i] = others
    return of_word


def _chosen(values: list[int], n: int, rng: Generator) -> list[int]:
    """n of the values, or all where there are fewer, in random order."""
    return [values[i] for i in rng.permutation(len(values)).tolist()[:n]] if values else []


def _one_of(values: list[T], rng: Generator) -> T:
    return values[int(rng.integers(0, len(values)))]

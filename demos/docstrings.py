"""A text task from the Python that runs it: a first sentence of a docstring, and of which package it is."""

from __future__ import annotations

import ast
import platform
import re
import sysconfig
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

import tinyreg as tr

from .data import parts

PACKAGES = ("asyncio", "email", "importlib", "logging", "unittest", "xml")
SHORTEST, LENGTH = 4, 12  # sentences of fewer words are left out; more words than LENGTH are cut off
PADDING, UNKNOWN = 0, 1  # what stands for no word, and for one that the vocabulary lacks


class Texts(NamedTuple):
    """Sentences, as they stand there, and from which of PACKAGES they are: int64 of shape (N,)."""

    sentences: list[str]
    labels: tr.Tensor


def docstrings(*each: int, seed: int) -> list[Texts]:
    """The corpus in parts, on the default backend: each[0] sentences of every package, each[1] others, ..., and the rest.

    No two are the same but for case, and none comes from two packages.
    """
    sentences, labels = corpus()
    divided = parts(np.asarray(labels), each, seed)
    return [Texts([sentences[i] for i in rows], tr.tensor([labels[i] for i in rows], dtype="int64")) for rows in divided]


def encode(sentences: Sequence[str]) -> tr.Tensor:
    """The numbers of their first words in the vocabulary, (N, LENGTH), int64, with PADDING after the last."""
    known = vocabulary()
    rows = [[known.get(word, UNKNOWN) for word in words(sentence)[:LENGTH]] or [UNKNOWN] for sentence in sentences]
    return tr.tensor([row + [PADDING] * (LENGTH - len(row)) for row in rows], dtype="int64")


@cache
def vocabulary() -> dict[str, int]:
    """A number for each word that occurs at least twice, in whatever part: no label is looked at."""
    counts = Counter(word for sentence in corpus()[0] for word in words(sentence))
    return {word: i for i, word in enumerate(sorted(w for w, n in counts.items() if n > 1), UNKNOWN + 1)}


@cache
def corpus() -> tuple[list[str], list[int]]:
    """All sentences, and the number of the package of each."""
    found = [{sentence.lower(): sentence for sentence in of_package(package)} for package in PACKAGES]
    if missing := [package for package, sentences in zip(PACKAGES, found, strict=True) if not sentences]:
        raise FileNotFoundError(
            f"docstrings: found none of {', '.join(missing)} in {sysconfig.get_path('stdlib')}, expected the sources of "
            "the standard library; use a Python that comes with them"
        )
    packages = Counter(key for sentences in found for key in sentences)
    kept = [(s, i) for i, sentences in enumerate(found) for key, s in sentences.items() if packages[key] == 1]
    return [sentence for sentence, _ in kept], [label for _, label in kept]


def of_package(name: str) -> Iterator[str]:
    """The first sentences of the docstrings of a package's modules, classes and functions; its tests are left out."""
    folder = Path(sysconfig.get_path("stdlib")) / name
    for path in sorted(folder.rglob("*.py")):
        if not {"test", "tests"} & set(path.relative_to(folder).parts):
            for node in ast.walk(ast.parse(path.read_bytes())):
                if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                    sentence = first_sentence(ast.get_docstring(node) or "")
                    if len(words(sentence)) >= SHORTEST:
                        yield sentence


def first_sentence(docstring: str) -> str:
    """What comes before the first full stop, or the first empty line, on one line."""
    paragraph = " ".join(docstring.strip().split("\n\n")[0].split())
    return re.split(r"(?<=[.!?])\s", paragraph)[0]


def words(sentence: str) -> list[str]:
    """Its words in small letters, without digits and punctuation."""
    return re.findall("[a-z]+", sentence.lower())


def python() -> str:
    """Of which Python the sentences are."""
    return f"{platform.python_implementation()} {platform.python_version()}"

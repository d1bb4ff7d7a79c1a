"""The text data of the demos: which sentences are taken, how they are divided, and as what numbers a network sees them."""

import asyncio
import platform
import sysconfig

import numpy as np
import pytest

from demos.docstrings import (
    LENGTH,
    PACKAGES,
    PADDING,
    UNKNOWN,
    corpus,
    docstrings,
    encode,
    first_sentence,
    python,
    vocabulary,
)


@pytest.fixture
def library(monkeypatch, tmp_path):
    """An empty standard library, to be filled; `add` writes a module into one of its packages."""
    monkeypatch.setattr(sysconfig, "get_path", lambda name: str(tmp_path))

    def add(package, path, source):
        file = tmp_path / package / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(source)

    for cached in (corpus, vocabulary):
        cached.cache_clear()
    yield add
    for cached in (corpus, vocabulary):
        cached.cache_clear()


def filled(add):
    for package in PACKAGES:
        add(package, "__init__.py", f'"""The {package} package does things."""')


def sentences_of(package):
    sentences, labels = corpus()
    return [s for s, label in zip(sentences, labels, strict=True) if PACKAGES[label] == package]


# ---- which sentences


def test_first_sentences_of_modules_classes_and_functions_are_taken(library):
    filled(library)
    source = '''
"""Says what the module does. And more of it."""
class A:
    """One whole sentence without an end

    Another paragraph.
    """
    async def f(self):
        """A function that
        waits for something.
        """
        def inner():
            "Too short this."
'''
    library("email", "mime/parts.py", source)
    assert sentences_of("email") == [
        "The email package does things.",
        "Says what the module does.",
        "One whole sentence without an end",
        "A function that waits for something.",
    ]


def test_tests_are_left_out_and_no_sentence_is_there_twice_or_in_two_packages(library):
    filled(library)
    library("xml", "test/test_a.py", '"""A test of the package."""')
    library("xml", "a.py", '"""The same words in both."""\ndef f():\n    """A sentence of its own."""')
    library("xml", "b.py", '"""a sentence of its own."""')
    library("email", "a.py", '"""The same words in both."""')
    assert sentences_of("xml") == ["The xml package does things.", "a sentence of its own."]
    assert sentences_of("email") == ["The email package does things."]


def test_a_python_without_the_sources_of_its_library_is_an_error(library):
    filled(library)
    library("xml", "__init__.py", "")
    with pytest.raises(
        FileNotFoundError, match=r"docstrings: found none of xml in .*, expected the sources of the standard"
    ):
        corpus()


def test_the_sentences_are_those_of_the_python_that_runs():
    assert first_sentence(asyncio.sleep.__doc__) in sentences_of("asyncio")
    assert min(map(len, map(sentences_of, PACKAGES))) > 100
    assert python().endswith(f" {platform.python_version()}")


# ---- parts and numbers


def test_parts_are_even_and_do_not_overlap_and_none_is_lost(backend):
    parts = docstrings(4, 3, seed=1)
    assert [np.bincount(part.labels.numpy()).tolist() for part in parts[:2]] == [[4] * 6, [3] * 6]
    pairs = [pair for part in parts for pair in zip(part.sentences, part.labels.tolist(), strict=True)]
    assert sorted(pairs) == sorted(zip(*corpus(), strict=True))
    assert (parts[0].labels.backend, parts[0].labels.dtype) == (backend, "int64")
    assert docstrings(4, 3, seed=1)[0].sentences == parts[0].sentences != docstrings(4, 3, seed=2)[0].sentences


def test_words_become_numbers_whatever_their_case_and_punctuation(library, backend):
    filled(library)
    known = vocabulary()
    assert sorted(known) == ["does", "package", "the", "things"]  # the names of the packages occur once each
    assert sorted(known.values()) == [2, 3, 4, 5]
    rows = encode(["THE package, (things)!", "does xml? " + "the " * LENGTH, "3.11"])
    assert (rows.shape, rows.dtype, rows.backend) == ((3, LENGTH), "int64", backend)
    padded = [known["the"], known["package"], known["things"]] + [PADDING] * (LENGTH - 3)
    assert rows.tolist() == [
        padded,
        [known["does"], UNKNOWN] + [known["the"]] * (LENGTH - 2),
        [UNKNOWN] + [PADDING] * (LENGTH - 1),
    ]

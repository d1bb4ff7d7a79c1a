"""Damaged files of WordNet give words or a clear error, in little time and memory.

They have no checksum, so a letter of a word may be another one.
"""

import os

import attacked
import pytest

from tinyreg.augment.text import WordNet

WORDS = {"noun": ["dog", "hound", "cat", "house"], "verb": ["go", "run"], "adj": ["big"], "adv": ["soon"]}
ASKED = ["dog", "Dogs", "dogges", "house", "running", "big", "soon", "", " ", "\n", "é", "\ud800", "a" * 10_000, "dog\0"]


@pytest.fixture
def folder(tmp_path):
    """A database of a few words, in the format of WordNet's files."""
    for part, words in WORDS.items():
        data, index = "  1 A line of the licence.  \n", "  1 A line of the licence.  \n"
        for word in sorted(words):
            index += f"{word} {part[0]} 1 1 @ 1 1 {len(data):08d}  \n"
            data += f"{len(data):08d} 05 {part[0]} 02 {word} 0 other_{word} 1 000 | a gloss  \n"
        (tmp_path / f"data.{part}").write_text(data)
        (tmp_path / f"index.{part}").write_text(index)
    (tmp_path / "noun.exc").write_text("dogges dog\n")
    return tmp_path


def synonyms(folder):
    wordnet = WordNet(folder)
    return {word: wordnet.synonyms(word) for word in ASKED}


def test_words_of_any_letters_are_looked_up(folder):
    found = synonyms(folder)
    assert found["dog"] == found["Dogs"] == found["dogges"] == ["other dog"]
    assert [word for word in ASKED if found[word]] == ["dog", "Dogs", "dogges", "house", "big", "soon"]


def test_damaged_files_give_words_or_a_clear_error(folder):
    chance, n = attacked.seeded(300, 5000)
    whole = {name: (folder / name).read_bytes() for name in sorted(os.listdir(folder))}
    cases = [(name := chance.choice(list(whole)), attacked.damaged(whole[name], chance)) for _ in range(n)]

    def read(case):
        name, (_, content) = case
        (folder / name).write_bytes(content)
        try:
            found = synonyms(folder)
        finally:
            (folder / name).write_bytes(whole[name])
        return all(isinstance(word, str) for words in found.values() for word in words)

    found = attacked.outcomes(read, cases)
    said = f"WordNet: {folder}{os.sep}"
    bad = [(case[0], case[1][0], outcome) for case, outcome in zip(cases, found, strict=True) if not _good(outcome, said)]
    assert bad == []
    assert sum(kind == "ValueError" for kind, _ in found) > n / 3


def _good(outcome, said):
    kind, text = outcome
    return outcome == ("gave", "True") or (kind == "ValueError" and text.startswith(said) and "install the package" in text)


def test_what_is_no_file_is_not_read(folder):
    (folder / "noun.exc").unlink()
    os.mkfifo(folder / "noun.exc")
    assert attacked.outcomes(lambda _: WordNet(folder).synonyms("dog"), [None]) == [("gave", "['other dog']")]
    (folder / "data.noun").unlink()
    os.mkfifo(folder / "data.noun")
    ((kind, text),) = attacked.outcomes(lambda _: WordNet(folder), [None])
    assert (kind, "lacks data.noun" in text) == ("FileNotFoundError", True)

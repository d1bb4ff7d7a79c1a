"""WordNet and translation as sources of synonyms and of other words."""

import math
import random
import re
import shutil
import time
from pathlib import Path

import numpy as np
import pytest

import tinyreg as tr
from tinyreg.augment import text
from tinyreg.augment.text import Apertium, Thesaurus, WordNet

OWN = Thesaurus({"happy": ["joyful"], "big": ["large", "great"], "dog": ["hound"], "Paris": ["the French capital"]})
EDITS = {
    "synonym_replacement": lambda t, n, rng=None: text.synonym_replacement(t, n, thesaurus=OWN, rng=rng),
    "random_insertion": lambda t, n, rng=None: text.random_insertion(t, n, thesaurus=OWN, rng=rng),
    "random_swap": lambda t, n, rng=None: text.random_swap(t, n, rng=rng),
    "random_deletion": lambda t, n, rng=None: text.random_deletion(t, min(n / 4, 1), rng=rng),
}
SENTENCE = "The big, happy dog barks (loudly) at me."


def installed(make, *arguments):
    try:
        return make(*arguments)
    except (FileNotFoundError, ValueError) as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def wordnet():
    return installed(WordNet)


# ---- WordNet


@pytest.fixture
def small_wordnet(tmp_path):
    """A database of two senses, in the format of WordNet's files."""
    licence = "  1 This line is one of the licence's.  \n"
    sense_1 = "{:08d} 05 n 02 dog 0 domestic_dog 1 000 | a gloss  \n"
    sense_2 = (
        "{:08d} 00 a 0b " + " ".join(f"{w} 0" for w in ["big", *[f"w{i}" for i in range(9)], "large(p)"]) + " 000 | b  \n"
    )
    for part in ("noun", "verb", "adj", "adv"):
        data, index = licence, licence
        if part == "noun":
            index += f"dog n 1 2 @ ~ 1 1 {len(data):08d}  \n"
            data += sense_1.format(len(data))
        if part == "adj":
            index += f"big a 1 0 1 1 {len(data):08d}  \n"
            data += sense_2.format(len(data))
        (tmp_path / f"data.{part}").write_text(data)
        (tmp_path / f"index.{part}").write_text(index)
    (tmp_path / "noun.exc").write_text("dogges dog\n")
    return tmp_path


def test_the_files_of_wordnet_are_read(small_wordnet, monkeypatch):
    found = WordNet(small_wordnet)
    for word in ("dog", "Dog", "dogs", "dogges"):
        assert found.synonyms(word) == ["domestic dog"]
    assert found.synonyms("big") == [*(f"w{i}" for i in range(9)), "large"]
    assert found.synonyms("bigger") == []  # its rules know "bigger" only from the list of exceptions
    assert found.synonyms("cat") == found.synonyms("") == found.synonyms("n") == []
    monkeypatch.setenv("WORDNET", str(small_wordnet))
    assert WordNet().path == small_wordnet
    assert repr(WordNet()) == f"WordNet({str(small_wordnet)!r})"


def test_synonyms_come_from_every_part_of_speech_that_a_word_has(small_wordnet):
    licence = "  1 This line is one of the licence's.  \n"
    for part, letter, word in (
        ("noun", "n", "hound"),
        ("verb", "v", "trail"),
        ("adj", "a", "canine"),
        ("adv", "r", "doggedly"),
    ):
        (small_wordnet / f"index.{part}").write_text(f"{licence}dog {letter} 1 0 1 1 {len(licence):08d}  \n")
        sense = f"{len(licence):08d} 05 {letter} 02 dog 0 {word} 0 000 | a gloss  \n"
        (small_wordnet / f"data.{part}").write_text(licence + sense)
    assert WordNet(small_wordnet).synonyms("dog") == ["hound", "trail", "canine", "doggedly"]


@pytest.mark.parametrize("licence", ["", "  1 This line is one of the licence's.  \n  2 And this.  \n"])
def test_every_line_of_the_index_is_found_and_no_other_word(small_wordnet, licence):
    words, sense = ["'hood", "a", "ab", "abc", "b-c", "b_c", "zz"], len("  1 This line is one of the licence's.  \n")
    index = "".join(f"{word} n 1 0 1 0 {sense:08d}  \n" for word in words)
    (small_wordnet / "index.noun").write_text(licence + index)
    found = WordNet(small_wordnet)
    assert [found.synonyms(word) for word in words] == [["dog", "domestic dog"]] * len(words)
    assert [word for word in ("", "!", "0", "aa", "abcd", "b", "b-", "z", "zzz", "é") if found.synonyms(word)] == []


DAMAGE = {
    "index is empty": ("index.noun", lambda old: b"", "it is empty"),
    "data is empty": ("data.verb", lambda old: b"", "it is empty"),
    "index is cut off": ("index.noun", lambda old: old[:-9], "it ends within a line"),
    "data is cut off": ("data.noun", lambda old: old[:-30], "it ends within a line"),
    "data is cut off after a line": ("data.noun", lambda old: old[:41], "no sense stands at byte 41"),
    "index is zeros": ("index.adj", lambda old: bytes(len(old)) + b"\n", "it has bytes that are no text"),
    "data has a byte that is no text": ("data.noun", lambda old: old.replace(b"dog", b"d\xf6g"), "no text"),
    "exceptions have a byte that is no text": ("noun.exc", lambda old: b"d\xf6gs dog\n", "it has bytes that are no text"),
    "data has other line ends": ("data.noun", lambda old: old.replace(b"\n", b"\r\n"), "no sense stands at byte 41"),
    "data has lost a byte": ("data.noun", lambda old: old[1:], "no sense stands at byte 41"),
    "an offset beyond the end": (
        "index.noun",
        lambda old: old.replace(b"00000041", b"00000999"),
        "no sense stands at byte 999",
    ),
    "an offset within a line": (
        "index.noun",
        lambda old: old.replace(b"00000041", b"00000044"),
        "no sense stands at byte 44",
    ),
    "an offset that is no number": ("index.noun", lambda old: old.replace(b"00000041", b"0000004x"), "the line of 'dog'"),
    "a negative offset": ("index.noun", lambda old: old.replace(b"00000041", b"-0000041"), "no sense stands at byte -41"),
    "no offset": ("index.noun", lambda old: old.replace(b"n 1 2", b"n 0 2"), "the line of 'dog' does not say where"),
    "a line that is too short": ("index.noun", lambda old: old[:41] + b"dog n\n", "the line of 'dog' does not say where"),
    "no order": ("index.noun", lambda old: old + b"cat n 1 0 1 0 00000041\n", "its lines are not in order"),
    "a count of words that is none": ("data.noun", lambda old: old.replace(b"n 02 dog", b"n zz dog"), "no sense stands at"),
    "more words than there are": ("data.noun", lambda old: old.replace(b"n 02 dog", b"n ff dog"), "no sense stands at"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_wordnet_says_so_and_which_file(small_wordnet, damage):
    name, change, why = DAMAGE[damage]
    path = small_wordnet / name
    path.write_bytes(change(path.read_bytes()))
    if "byte" in why and name == "index.noun":  # from one that is wrong the other looks so
        path = small_wordnet / "data.noun"
    with pytest.raises(
        ValueError, match=rf"WordNet: {re.escape(str(path))} is damaged: .*{why}.*; install the package again"
    ):
        WordNet(small_wordnet).synonyms("dogs")


@pytest.mark.parametrize("name", ["data.noun", "index.adv"])
def test_a_wordnet_that_lacks_a_file_says_which(small_wordnet, name):
    (small_wordnet / name).unlink()
    with pytest.raises(FileNotFoundError, match=rf"WordNet: {re.escape(str(small_wordnet))} lacks {name}; install"):
        WordNet(small_wordnet)


def test_wordnet_is_looked_for_where_the_environment_says(small_wordnet, monkeypatch, tmp_path):
    (tmp_path / "dict").symlink_to(small_wordnet)
    monkeypatch.setenv("WNHOME", str(tmp_path))
    assert WordNet().path == tmp_path / "dict"


def test_without_wordnet_the_error_names_the_package(tmp_path):
    with pytest.raises(
        FileNotFoundError, match=r"WordNet: found no index.noun in .*; install the package wordnet-base \(De"
    ):
        WordNet(tmp_path)


def test_the_real_wordnet_knows_synonyms(wordnet):
    assert {"auto", "automobile"} <= set(wordnet.synonyms("car"))
    assert "glad" in wordnet.synonyms("happy")
    assert "larger" in wordnet.synonyms("bigger")
    assert "computer mouse" in wordnet.synonyms("mice")
    assert wordnet.synonyms("churches") == wordnet.synonyms("church")
    assert "run away" in wordnet.synonyms("ran")
    assert wordnet.synonyms("qwxyz") == []
    assert all("(" not in word and "_" not in word for word in wordnet.synonyms("galore") + wordnet.synonyms("asleep"))
    assert "car" not in wordnet.synonyms("car")


@pytest.mark.parametrize("part", ["noun", "verb", "adj", "adv"])
def test_words_of_the_real_index_are_found_as_by_reading_it_through(wordnet, tmp_path, part):
    for other in ("noun", "verb", "adj", "adv"):
        for file in (f"index.{other}", f"data.{other}"):
            (tmp_path / file).write_bytes((wordnet.path / file).read_bytes() if other == part else b"  1 A licence.  \n")
    found, data = WordNet(tmp_path), (tmp_path / f"data.{part}").read_text("ascii")
    lines = [line for line in (tmp_path / f"index.{part}").read_text("ascii").splitlines() if line[0] != " "]
    for line in [lines[0], *random.Random(0).sample(lines, 200), lines[-1]]:
        word, _, count, *fields = line.split()
        senses = [data[int(start) :].partition("\n")[0].split() for start in fields[-int(count) :]]
        names = [name.partition("(")[0].replace("_", " ") for s in senses for name in s[4 : 4 + 2 * int(s[3], 16) : 2]]
        others = [name for name in dict.fromkeys(names) if name.lower() != word.replace("_", " ")]
        assert found.synonyms(word) == others
        assert found.synonyms(f"{word}qx") == []


def test_a_sentence_with_the_real_wordnet(wordnet):
    made = text.synonym_replacement("Happy people buy a car.", 3, thesaurus=wordnet, rng=tr.Generator(0))
    assert re.fullmatch(r"[A-Z]\S* \S+ \S+ a \S+\.", made)
    changed = [a != b for a, b in zip(made.split(), ["Happy", "people", "buy", "a", "car."], strict=True)]
    assert sum(changed) == 3
    assert len(text.random_insertion("Happy people buy a car.", 2, thesaurus=wordnet).split()) == 7


# ---- translation there and back


def test_any_callables_translate():
    there = {"A big house.": "Una casa grande."}.__getitem__
    back = {"Una casa grande.": "A large house."}.__getitem__
    assert text.back_translation("A big house.", there, back) == "A large house."
    assert text.back_translation(["A", "big", "house."], there, back) == ["A", "large", "house."]


@pytest.mark.parametrize("empty", ["", " \n", [], [""]])
def test_an_empty_text_is_not_sent(empty):
    assert text.back_translation(empty, pytest.fail, pytest.fail) == empty


def test_a_translator_must_return_a_string():
    with pytest.raises(TypeError, match="back_translation: got None from .* for 'Hola', expected a string"):
        text.back_translation("Hello", lambda t: "Hola", {}.get)
    with pytest.raises(TypeError, match="back_translation: got 3, expected a string or a list of strings"):
        text.back_translation(3, str, str)


@pytest.mark.parametrize("sentence", [SENTENCE, ""])
def test_a_translator_is_a_function(sentence):
    with pytest.raises(
        TypeError, match=r"""got 'en' as there, expected a function from a string .*; .* pass Apertium\("en", "es"\)"""
    ):
        text.back_translation(sentence, "en", "es")
    with pytest.raises(TypeError, match="got None as back, expected a function from a string to a string"):
        text.back_translation(sentence, str, None)


def test_without_apertium_the_error_names_the_packages(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(
        FileNotFoundError, match=r"Apertium: found no program apertium; .* apt-get install apertium apertium-en-es \("
    ):
        Apertium("es", "en")


@pytest.fixture
def fake_apertium(tmp_path, monkeypatch):
    """A program called apertium that knows one pair, and shouts."""
    program = tmp_path / "apertium"
    program.write_text(
        '#!/bin/sh\nif [ "$1" = -l ]; then echo "  eng-spa"; elif [ "$2" = eng-spa ]; then tr a-z A-Z; else exit 3; fi\n'
    )
    program.chmod(0o755)
    monkeypatch.setattr(shutil, "which", lambda name: str(program))
    return program


def test_apertium_is_asked_for_the_pair_by_either_code(fake_apertium):
    for codes in (("en", "es"), ("eng", "spa")):
        assert Apertium(*codes)("¿Hello, world?\n") == "¿HELLO, WORLD?\n"
    assert repr(Apertium("en", "es")) == "Apertium('en', 'es')"
    with pytest.raises(
        ValueError, match="Apertium: got 'en' to 'fr', expected one of eng-spa; .* apt-get install apertium-en-fr"
    ):
        Apertium("en", "fr")


def test_wrong_calls_of_apertium_are_told(fake_apertium):
    with pytest.raises(
        ValueError,
        match="got 'en' to 'xx', expected one of eng-spa; .*`apt-cache search apertium-` lists the pairs that exist",
    ):
        Apertium("en", "xx")
    for wrong in (("en", 3), (None, "es")):
        with pytest.raises(TypeError, match='Apertium: got (3|None), expected the code of a language, such as "en"'):
            Apertium(*wrong)
    with pytest.raises(TypeError, match=r"Apertium\('en', 'es'\): got \['Hello'\], expected a string"):
        Apertium("en", "es")(["Hello"])


def test_a_failure_of_apertium_is_told(fake_apertium):
    translate = Apertium("en", "es")
    fake_apertium.write_text("#!/bin/sh\necho no dictionary >&2\nexit 3\n")
    with pytest.raises(RuntimeError, match="Apertium: -u eng-spa failed with 3: no dictionary"):
        translate("Hello")


def test_an_apertium_that_hangs_is_stopped_with_all_that_it_started(fake_apertium, tmp_path):
    started = tmp_path / "started"
    translate = Apertium("en", "es", timeout=np.float32(0.5))
    fake_apertium.write_text(f"#!/bin/sh\nsleep 600 &\necho $! > {started}\nsleep 600\n")
    with pytest.raises(TimeoutError, match=r"Apertium: has not ended after 0.5 seconds, and was stopped: .*-u eng-spa"):
        translate("Hello")
    for _ in range(500):  # until the system has taken it away
        state = Path(f"/proc/{started.read_text().strip()}/stat")
        if not state.exists() or state.read_text().split()[2] == "Z":
            break
        time.sleep(0.01)
    else:
        pytest.fail("what it started goes on")


def test_an_apertium_that_hangs_on_its_list_is_stopped(fake_apertium):
    fake_apertium.write_text("#!/bin/sh\nsleep 600\n")
    with pytest.raises(
        TimeoutError, match=r"Apertium: has not ended after 0.5 seconds, and was stopped: .* -l; if it needs"
    ):
        Apertium("en", "es", timeout=0.5)


def test_a_long_text_is_waited_for_longer(fake_apertium):
    translate = Apertium("en", "es", timeout=0.25)
    fake_apertium.write_text("#!/bin/sh\nsleep 600\n")
    with pytest.raises(TimeoutError, match="Apertium: has not ended after 0.75 seconds"):
        translate("Hello " * 4000)


def test_what_is_no_time_is_refused(fake_apertium):
    for timeout, error in ((0, ValueError), (-1, ValueError), (math.nan, ValueError), (None, TypeError), ("1", TypeError)):
        with pytest.raises(error, match="Apertium: got timeout=.*, expected seconds, above 0"):
            Apertium("en", "es", timeout=timeout)
    assert Apertium("en", "es", timeout=math.inf)("Hello") == "HELLO"


def test_there_and_back_with_the_real_apertium():
    there, back = installed(Apertium, "en", "es"), installed(Apertium, "es", "en")
    assert there("The house is big.") == "La casa es grande."
    assert text.back_translation("The house is big.", there, back) == "The house is big."
    assert "*" not in text.back_translation("Qwxyz!", there, back)  # an unknown word stays, without a mark
    made = text.back_translation(["Happy", "dogs", "ran", "quickly", "home."], there, back)
    assert isinstance(made, list)
    assert made[0][0].isupper()
    assert made[-1].endswith(".")

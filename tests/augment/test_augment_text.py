"""Text augmentation: what changes, what survives, the real WordNet and the real Apertium where they are installed."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinyreg as tr
from tinyreg.augment import text
from tinyreg.augment.text import Thesaurus, WordNet

OWN = Thesaurus({"happy": ["joyful"], "big": ["large", "great"], "dog": ["hound"], "Paris": ["the French capital"]})
EDITS = {
    "synonym_replacement": lambda t, n, rng=None: text.synonym_replacement(t, n, thesaurus=OWN, rng=rng),
    "random_insertion": lambda t, n, rng=None: text.random_insertion(t, n, thesaurus=OWN, rng=rng),
    "random_swap": lambda t, n, rng=None: text.random_swap(t, n, rng=rng),
    "random_deletion": lambda t, n, rng=None: text.random_deletion(t, min(n / 4, 1), rng=rng),
}
SENTENCE = "The big, happy dog barks (loudly) at me."


@pytest.fixture(params=EDITS)
def edit(request):
    """Each of the random edits, as a function of a text and how much."""
    found = EDITS[request.param]
    found.__name__ = request.param
    return found


def installed(make, *arguments):
    try:
        return make(*arguments)
    except (FileNotFoundError, ValueError) as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def wordnet():
    return installed(WordNet)


# ---- synonyms


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("Happy,", "Joyful,"),
        ("(happy)", "(joyful)"),
        ("HAPPY!", "JOYFUL!"),
        ("I am happy.", "I am joyful."),
        ("“Happy”…", "“Joyful”…"),
        ("un-happy", "un-happy"),
    ],
)
def test_case_and_punctuation_survive(before, after):
    assert text.synonym_replacement(before, thesaurus=OWN) == after


def test_n_words_are_replaced_and_no_more_than_have_synonyms():
    for n, changed in ((0, 0), (1, 1), (2, 2), (3, 3), (9, 3)):
        made = text.synonym_replacement(SENTENCE, n, thesaurus=OWN, rng=tr.Generator(0))
        assert sum(a != b for a, b in zip(made.split(), SENTENCE.split(), strict=True)) == changed


def test_every_word_and_every_synonym_gets_its_turn():
    rng = tr.Generator(0)
    made = {text.synonym_replacement("A big dog.", thesaurus=OWN, rng=rng) for _ in range(50)}
    assert made == {"A large dog.", "A great dog.", "A big hound."}


def test_synonyms_of_several_words_and_words_of_grammar_are_passed_over():
    assert text.synonym_replacement("in Paris", thesaurus=OWN) == "in Paris"
    iodine = Thesaurus({"I": ["iodine"], "see": ["perceive"]})
    assert text.synonym_replacement("I see", 2, thesaurus=iodine) == "I perceive"
    assert text.synonym_replacement("I see", 2, thesaurus=iodine, skip=frozenset()) == "Iodine perceive"


def test_a_thesaurus_is_whatever_has_synonyms():
    class Backwards:
        def synonyms(self, word):
            return [word[::-1]]

    assert text.synonym_replacement("Stop dogs", 2, thesaurus=Backwards()) == "Pots sgod"


def test_a_thesaurus_is_a_mapping_to_lists():
    assert repr(OWN) == "Thesaurus of 4 words"
    assert OWN.synonyms("HAPPY") == ["joyful"]
    assert OWN.synonyms("sad") == []
    with pytest.raises(TypeError, match=r"Thesaurus: got 'joyful' for 'happy', expected a list of words: \['joyful'\]"):
        Thesaurus({"happy": "joyful"})
    for wrong in ({"happy": [3]}, {3: ["happy"]}):
        with pytest.raises(TypeError, match="Thesaurus: got 3, expected words, which are strings"):
            Thesaurus(wrong)
    assert Thesaurus({"happy": (word for word in ["glad"])}).synonyms("happy") == ["glad"]


# ---- insertion, swap, deletion


def test_inserted_words_are_synonyms_and_the_rest_stays_in_order():
    rng = tr.Generator(0)
    places = set()
    for _ in range(60):
        made = text.random_insertion(SENTENCE, thesaurus=OWN, rng=rng).split()
        (new,) = [i for i, word in enumerate(made) if [*made[:i], *made[i + 1 :]] == SENTENCE.split()]
        assert made[new].lower() in {"joyful", "large", "great", "hound"}
        assert made[new].istitle() == (new == 0)
        places.add(new)
    assert places == set(range(8))  # before any word, and never behind the full stop


def test_a_single_word_gets_one_before_it():
    assert text.random_insertion("Happy!", thesaurus=OWN) == "Joyful Happy!"


def test_a_swap_changes_two_words_and_leaves_punctuation_in_its_place():
    rng = tr.Generator(0)
    made = {text.random_swap("one, two (three) - four.", rng=rng) for _ in range(100)}
    words = ["one", "two", "three", "four"]
    expected = set()
    for i in range(4):
        for j in range(i):
            swapped = list(words)
            swapped[i], swapped[j] = swapped[j], swapped[i]
            expected.add("{}, {} ({}) - {}.".format(*swapped))
    assert made == expected


def test_about_a_share_of_p_is_deleted():
    words = [f"word{i}" for i in range(4000)]
    kept = text.random_deletion(words, 0.3, rng=tr.Generator(0))
    assert abs(len(kept) / 4000 - 0.7) < 4 * (0.21 / 4000) ** 0.5
    assert kept == [word for word in words if word in set(kept)]


@given(st.integers(2, 6), st.integers(0, 1000))
def test_never_is_everything_deleted(n, seed):
    assert len(text.random_deletion(["word"] * n, 1.0, rng=tr.Generator(seed))) == 1


def test_the_end_of_a_sentence_outlives_its_last_word():
    made = {text.random_deletion("Go (there) now!", 0.5, rng=tr.Generator(seed)) for seed in range(60)}
    assert made == {"Go (there) now!", "Go (there)", "Go now!", "(there) now!", "Go!", "(there)", "now!"}


# ---- what all edits have in common


def test_the_kind_of_text_is_kept(edit):
    made = edit(SENTENCE, 2, rng=tr.Generator(1))
    assert isinstance(made, str)
    assert made != SENTENCE
    assert edit(SENTENCE.split(), 2, rng=tr.Generator(1)) == made.split()


def test_the_seed_decides(edit):
    first = [edit(SENTENCE, 2, rng=tr.Generator(seed)) for seed in range(20)]
    assert first == [edit(SENTENCE, 2, rng=tr.Generator(seed)) for seed in range(20)]
    assert len(set(first)) > 3
    tr.seed(5)
    assert edit(SENTENCE, 2) == first[5]


@pytest.mark.parametrize("same", ["", "  ", "?", "barks", "Barks!", [], ["!"], ["barks"]])
def test_a_text_with_nothing_to_change_stays_as_it_is(edit, same):
    assert edit(same, 3) == same


def test_no_change_asked_for_is_no_change(edit):
    spaced = "The big  dog\n\tbarks. "
    assert edit(spaced, 0) == spaced


def test_a_list_is_not_changed_in_place(edit):
    tokens = SENTENCE.split()
    edit(tokens, 3)
    assert tokens == SENTENCE.split()


@pytest.mark.parametrize("wrong", [None, 3, ["a", 1], ("a", "b"), b"bytes"])
def test_what_is_no_text_is_refused(edit, wrong):
    with pytest.raises(TypeError, match=rf"{edit.__name__}: got .*, expected a string or a list of strings"):
        edit(wrong, 1)


def test_amounts_that_are_none_are_refused():
    for name in ("synonym_replacement", "random_insertion", "random_swap"):
        for n, error in ((-1, ValueError), (0.5, TypeError), (True, TypeError)):
            with pytest.raises(error, match=rf"{name}: got n={n}, expected how many words, at least 0"):
                EDITS[name](SENTENCE, n)
    for p, error in ((-0.1, ValueError), (1.1, ValueError), (np.nan, ValueError), ("0.1", TypeError)):
        with pytest.raises(error, match="random_deletion: got p=.*, expected a probability from 0 to 1"):
            text.random_deletion(SENTENCE, p)


def test_numbers_of_numpy_and_seeds_are_taken(edit):
    assert edit(SENTENCE, np.int64(2), rng=np.int64(3)) == edit(SENTENCE, 2, rng=tr.Generator(3))
    assert text.random_deletion(SENTENCE, np.float32(0.5), rng=0) == text.random_deletion(SENTENCE, 0.5, rng=0)
    with pytest.raises(TypeError, match=rf"{edit.__name__}|random_deletion.*: got rng=.*, expected a tr.Generator"):
        edit(SENTENCE, 2, rng=np.random.default_rng(0))


# ---- words of all scripts

WORDS = {
    "Devanagari": ["\u0939\u093f\u0928\u094d\u0926\u0940", "\u092d\u093e\u0937\u093e"],
    "Devanagari with a joiner": ["\u0915\u094d\u200d", "\u0915\u094d\u200d\u0937"],
    "Tamil": ["\u0ba4\u0bae\u0bbf\u0bb4\u0bcd", "\u0bae\u0bca\u0bb4\u0bbf"],
    "Thai": ["\u0e20\u0e32\u0e29\u0e32", "\u0e17\u0e35\u0e48"],
    "Arabic": ["\u0643\u0650\u062a\u064e\u0627\u0628\u064c", "\u0642\u064e\u0644\u064e\u0645\u064f"],
    "Persian": ["\u0645\u06cc\u200c\u0631\u0648\u0645", "\u062e\u0627\u0646\u0647\u200c"],
    "Hebrew": ["\u05e9\u05b8\u05c1\u05dc\u05d5\u05b9\u05dd", "\u05d0\u05b8", "\u05d2\u05f3", "\u05e6\u05d4\u05f4\u05dc"],
    "decomposed": ["cafe\u0301", "a\u030a"],
    "composed": ["caf\u00e9", "\u00e5"],
    "apostrophes and hyphens": ["don't", "l\u2019\u00e9t\u00e9", "well-known", "e.g", "snake_case", "_x"],
    "digits": ["3.14", "x\u00b2", "\u0663\u0664", "1\ufe0f\u20e3"],
    "Chinese": ["\u732b\u559c\u6b22", "\u6211"],
}
MANY = [word for words in WORDS.values() for word in words]


@pytest.mark.parametrize("script", WORDS)
def test_two_words_that_are_swapped_are_the_same_words_in_every_script(script):
    words = WORDS[script]
    for seed in range(5):
        made = text.random_swap(f"({words[0]}), {words[1]}.", rng=seed)
        assert made == f"({words[1]}), {words[0]}."


@pytest.mark.parametrize(
    "emoji", ["\u2764\ufe0f", "\U0001f44d\U0001f3fd", "\U0001f468\u200d\U0001f469\u200d\U0001f467", "#\ufe0f\u20e3"]
)
def test_emoji_are_no_words_and_stay_whole_in_their_place(emoji):
    assert text.random_swap(f"one{emoji} {emoji} {emoji}two", rng=0) == f"two{emoji} {emoji} {emoji}one"


@given(st.lists(st.sampled_from(MANY), min_size=2, max_size=6), st.integers(0, 3), st.integers(0, 99))
def test_no_edit_tears_a_word(words, n, seed):
    swapped = text.random_swap(" ".join(words), n, rng=seed).split(" ")
    assert sorted(swapped) == sorted(words)
    rest = iter(words)
    assert all(word in rest for word in text.random_deletion(" ".join(words), 0.5, rng=seed).split(" "))
    marked = Thesaurus({word: ["other"] for word in MANY})
    made = text.synonym_replacement(" ".join(words), n, thesaurus=marked, skip=frozenset(), rng=seed).split(" ")
    assert sum(word.lower() == "other" for word in made) == min(n, len(words))
    assert all(word in (old, "other") for word, old in zip(made, words, strict=True))


@given(st.text(max_size=40), st.integers(0, 5), st.integers(0, 99))
def test_a_swap_moves_characters_and_leaves_every_space_where_it_stood(any_text, n, seed):
    made = text.random_swap(any_text, n, rng=seed)
    assert sorted(made) == sorted(any_text)
    assert re.findall(r"\s+", made) == re.findall(r"\s+", any_text)
    assert [not piece for piece in re.split(r"\s+", made)] == [not piece for piece in re.split(r"\s+", any_text)]


@given(st.text(max_size=40), st.integers(0, 99))
def test_a_deletion_only_leaves_out(any_text, seed):
    rest = iter(any_text)
    assert all(character in rest for character in text.random_deletion(any_text, 0.5, rng=seed))


def test_lines_and_spaces_of_a_text_stay():
    assert text.random_swap(" one\n\n\ttwo \n", rng=0) == " two\n\n\tone \n"
    assert text.synonym_replacement("A  happy\nday", thesaurus=OWN) == "A  joyful\nday"
    assert {text.random_deletion("one  two\nthree\n", 0.4, rng=seed) for seed in range(40)} == {
        "one  two\nthree\n", "one  two\n", "one\nthree\n", "two\nthree\n", "one\n", "two\n", "three\n",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("word", "synonym", "made"),
    [
        ("\u00c9t\u00e9", "\u00e9clair", "\u00c9clair"),
        ("E\u0301te\u0301", "e\u0301clair", "E\u0301clair"),
        ("\u00c9", "one", "One"),
        ("E\u0301", "one", "One"),
        ("HAPPY", "stra\u00dfe", "STRASSE"),
        ("Happy", "\u00dfa", "Ssa"),
        ("Happy", "\u01c6ep", "\u01c5ep"),
        ("\u01c5ep", "happy", "Happy"),
        ("\u0130yi", "happy", "Happy"),
        ("I'M", "am", "AM"),
        ("4X4", "car", "CAR"),
        ("\u0939\u093f", "word", "word"),
        ("iPhone", "phone", "phone"),
        ("3Dprinted", "moulded", "moulded"),
    ],
)
def test_a_synonym_takes_the_case_of_the_word(word, synonym, made):
    own = Thesaurus({word: [synonym]})
    assert text.synonym_replacement(f"({word})", thesaurus=own, skip=frozenset()) == f"({made})"


def test_a_thesaurus_does_not_mind_how_accents_are_encoded():
    for known, asked in (
        ("cafe\u0301", "caf\u00e9"),
        ("caf\u00e9", "cafe\u0301"),
        ("iyi", "\u0130yi"),
        ("\u0130yi", "iyi"),
    ):
        assert Thesaurus({known: ["other"]}).synonyms(asked) == ["other"]
        assert text.synonym_replacement(f"{asked}!", thesaurus=Thesaurus({known: ["other"]})).lower() == "other!"


def test_synonyms_that_are_empty_or_of_several_words_are_passed_over():
    assert text.synonym_replacement("one", thesaurus=Thesaurus({"one": ["", "a\u00a0b", "a\tb", "One"]})) == "one"

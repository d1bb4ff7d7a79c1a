"""The demo of text augmentation: its network, what is edited, and what is said of it."""

import functools

import numpy as np
import pytest
from findings import clear, unclear

import tinyreg as tr
from demos import text
from demos.base import Settings
from demos.compared import SCORES
from demos.docstrings import PADDING, Texts, docstrings, encode, python
from demos.text import BACK, DEMO, NETWORKS, NONE, OWN_SYNONYMS, THERE, Edited, Transformer, edits, finding, named

SENTENCES = ["Return the name of the file.", "Create an event loop, and run the given function in it."]


@pytest.fixture
def without_wordnet(monkeypatch):
    """As where WordNet is not installed."""

    monkeypatch.setattr("tinyreg.augment.text.wordnet.PLACES", ())
    for name in ("WNHOME", "WORDNET"):
        monkeypatch.delenv(name, raising=False)
    text.thesaurus.cache_clear()
    yield
    text.thesaurus.cache_clear()


# ---- the network


def test_padding_is_neither_attended_to_nor_averaged(backend):
    model = Transformer(tr.Generator(0)).eval()
    words = encode(SENTENCES)
    before = model(words).numpy()
    changed = model.table.weight.numpy().copy()
    changed[PADDING] += 5.0
    model.table.weight.assign(tr.tensor(changed, backend=backend))
    np.testing.assert_allclose(model(words).numpy(), before, atol=1e-5)


def test_networks_of_a_seed_start_from_the_same_weights_and_differ_in_norm_and_dropout_alone():
    plain, regularized = (Transformer(tr.Generator(0), dropout=p, layer_norm=p > 0) for p in (0.0, 0.3))
    weights = regularized.state_dict()
    assert {name.split(".")[1] for name in weights.keys() - plain.state_dict().keys()} == {"norm1", "norm2"}
    for name, value in plain.state_dict().items():
        np.testing.assert_array_equal(value.numpy(), weights[name].numpy())
    words = encode(SENTENCES)
    assert (plain(words) == plain(words)).all()
    assert not (regularized(words) == regularized(words)).all()


# ---- what is edited


def test_the_order_of_the_batches_is_the_same_whatever_the_edit():
    texts = docstrings(20, seed=0)[0]
    plain, edited = (Edited(texts, edit, seed=3) for edit in (None, tr.augment.text.random_swap))
    for _ in range(2):
        batches = [[(x.tolist(), y.tolist()) for x, y in data] for data in (plain, edited)]
        labels = [[y for _, y in batch] for batch in batches]
        assert labels[0] == labels[1]
        assert sorted(label for batch in labels[0] for label in batch) == texts.labels.tolist()
        assert batches[0] != batches[1]


def test_each_epoch_has_each_sentence_once_with_its_label_newly_edited():
    texts = Texts(SENTENCES, tr.tensor([4, 5]))
    rows = {tuple(row): label for row, label in zip(encode(SENTENCES).tolist(), [4, 5], strict=True)}
    (x, y), *others = Edited(texts, None, seed=0)
    assert not others
    assert {tuple(row): label for row, label in zip(x.tolist(), y.tolist(), strict=True)} == rows
    swapped = Edited(texts, tr.augment.text.random_swap, seed=0)
    epochs = [sorted(next(iter(swapped))[0].tolist()) for _ in range(3)]
    assert epochs[0] != epochs[1] != epochs[2]


def test_an_edit_changes_about_one_word(without_wordnet):
    assert text.thesaurus().synonyms("return") == OWN_SYNONYMS["return"]
    words, rng = SENTENCES[1].split(), tr.Generator(0)
    made = {name: edit(SENTENCES[1], rng=rng).split() for name, edit in edits().items() if edit is not None}
    differing = {
        name: sum(a != b for a, b in zip(words, m, strict=True)) for name, m in made.items() if len(m) == len(words)
    }
    assert differing["synonym replacement"] == 1
    assert differing["random swap"] == 2
    assert len(made["random insertion"]) == len(words) + 1
    lengths = [len(edits()["random deletion"](SENTENCES[1], rng=rng).split()) for _ in range(200)]
    assert np.mean(lengths) == pytest.approx(0.9 * len(words), rel=0.05)


def test_one_of_the_four_is_any_of_them():
    rng = tr.Generator(0)
    names = [lambda sentence, rng, name=name: name for name in "abcd"]
    assert {text.one_of(names, "a sentence", rng=rng) for _ in range(100)} == set("abcd")


# ---- back-translation


@pytest.fixture
def apertium(monkeypatch):
    """Apertium, as it were: it says each word twice there, and "again" before each sentence on the way back."""
    asked = []

    def translate(pair, whole):
        asked.append((pair, whole))
        if pair == THERE:
            return "\n\n".join(" ".join(word * 2 for word in one.split()) for one in whole.split("\n\n"))
        return "\n\n".join(f"again {one}" for one in whole.split("\n\n"))

    monkeypatch.setattr(tr.augment.text, "Apertium", lambda *pair, timeout: functools.partial(translate, pair))
    forget()
    yield asked
    forget()


@pytest.fixture
def without_apertium(monkeypatch):
    """As where it is not installed."""
    monkeypatch.setenv("PATH", "")
    forget()
    yield
    forget()


def forget():
    text.translators.cache_clear()
    text.returned.cache_clear()


def test_all_sentences_go_there_and_back_in_one_call_each(apertium):
    assert text.returned(("a b", "c")) == {"a b": "again aa bb", "c": "again cc"}
    assert text.returned(("a b", "c"))["c"] == "again cc"
    assert asked_of(apertium) == [THERE, THERE[::-1]]


def asked_of(calls):
    return [pair for pair, _ in calls]


def test_half_of_all_times_a_sentence_is_the_one_that_came_back(apertium):
    known, rng = text.returned(("a b",)), tr.Generator(0)
    made = [text.half_returned(known, "a b", rng=rng) for _ in range(400)]
    assert set(made) == {"a b", "again aa bb"}
    assert 160 < made.count("a b") < 240


def test_where_apertium_is_missing_back_translation_is_left_out_and_the_reason_is_said(without_apertium, tmp_path):
    assert BACK not in text.compared()
    assert "apt-get install apertium" in text.untranslated()
    runs = [{row: scores for row, scores in run.items() if BACK not in row} for run in made(5.0, -2.0)]
    result = DEMO.report(runs, Settings("numpy", 3, True, tmp_path))
    assert "apt-get install apertium" in result.note
    assert "back-translation was not tried" in result.finding
    assert clear(result.finding) == []


@pytest.mark.skipif(bool(text.untranslated()), reason=text.untranslated() or "installed")
def test_real_sentences_come_back_as_many_and_some_as_others():
    back = text.returned(tuple(SENTENCES))
    assert list(back) == SENTENCES
    assert all(sentence.strip() and "\n" not in sentence for sentence in back.values())
    assert set(back.values()) != set(SENTENCES)


# ---- what is said


def test_the_table_has_the_numbers_of_the_runs_and_the_note_says_of_what(tmp_path, backend, without_wordnet, apertium):
    runs = [DEMO.measure(seed, True, lambda: None) for seed in (0, 1)]
    result = DEMO.report(runs, Settings(backend, 2, True, tmp_path))
    rows = [named(network, edit) for network in NETWORKS for edit in text.compared()]
    assert [row[0] for row in result.table[1:]] == rows
    assert any(BACK in row for row in rows)
    for row, *cells in result.table[1:]:
        for cell, (score, (_, decimals, _)) in zip(cells[::2], SCORES.items(), strict=True):
            assert cell.split(" ")[0] == f"{np.mean([run[row][score] for run in runs]):.{decimals}f}"
    assert text.python() in result.note
    assert "Synonyms are from a small Thesaurus of 25 words of the demo's own" in result.note


def made(plain, regularized, noise=0.001):
    """Runs of three seeds: back-translation changes every score so much, a swap one more, and a deletion two less."""
    runs = []
    for e in (-noise, 0.0, noise):
        run = {}
        for network, change in zip(NETWORKS, (plain, regularized), strict=True):
            for edit in (*edits(), BACK):
                changed = {NONE: 0.0, BACK: change + e, "random swap": 1 + e, "random deletion": e - 2}.get(edit, e)
                run[named(network, edit)] = dict.fromkeys((*SCORES, "training"), 40.0 + changed)
        runs.append(run)
    return runs


@pytest.mark.parametrize(
    ("changes", "noise", "clearly", "not_clearly"),
    [((5.0, -2.0), 0.001, [5.0, -2.0], []), ((-3.0, 0.5), 2.0, [], [-3.0, 0.5])],
)
def test_the_finding_says_what_the_numbers_say(changes, noise, clearly, not_clearly):
    said = finding(made(*changes, noise))
    assert (clear(said), unclear(said)) == (clearly, not_clearly)
    assert said.count("random swap (+1.0 ± ") == len(NETWORKS)
    assert python() in said


def test_back_translation_is_compared_only_where_all_runs_have_it():
    runs = made(5.0, -2.0)
    for network in NETWORKS:
        del runs[1][named(network, BACK)]
    assert BACK not in text.tried(runs)
    assert len(text.comparison(runs).table()) == 1 + len(NETWORKS) * (1 + len(text.tried(runs)))


def test_the_finding_stays_short_where_nothing_is_clear():
    assert len(finding(made(0.0, 0.0, noise=20.0)).split()) <= 60

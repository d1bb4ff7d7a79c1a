"""The demo of text augmentation: its network, what is edited, and what is said of it."""

import numpy as np
import pytest
import scipy.stats
from findings import clear, unclear

import tinyreg as tr
from demos import text
from demos.base import Settings
from demos.docstrings import PADDING, Texts, docstrings, encode, python
from demos.text import ANY, DEMO, NETWORKS, NONE, OWN_SYNONYMS, Edited, Scores, Transformer, edits, finding, table

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


# ---- what is said


def test_the_table_has_the_numbers_of_the_runs_and_the_note_says_of_what(tmp_path, backend, without_wordnet):
    runs = [DEMO.measure(seed, True, lambda: None) for seed in (0, 1)]
    result = DEMO.report(runs, Settings(backend, 2, True, tmp_path))
    for name, plain, gain, regularized, change in result.table[1:]:
        means = np.array([[scores.held_out for scores in run[name]] for run in runs]).mean(axis=0)
        none = np.array([[scores.held_out for scores in run[NONE]] for run in runs]).mean(axis=0)
        assert [cell.split(" ")[0] for cell in (plain, regularized)] == [f"{mean:.1f}" for mean in means]
        if name != NONE:
            assert [cell.split(" ")[0] for cell in (gain, change)] == [f"{mean:+.1f}" for mean in means - none]
    assert text.python() in result.note
    assert "synonyms are from a small Thesaurus of 25 words of the demo's own" in result.note


def made(plain, regularized, spread=0.1):
    """Runs of three seeds: accuracies of 40 and 50, these changes by every edit, and 1 more by a swap or a deletion."""
    return [
        {
            name: [
                Scores(40 + e + plain * (name != NONE) + (name == "random swap"), 100.0),
                Scores(50 + e + regularized * (name != NONE) + (name == "random deletion") + 5 * e * (name == ANY), 100.0),
            ]
            for name in edits()
        }
        for e in (-spread, 0.0, spread)
    ]


@pytest.mark.parametrize(
    ("changes", "clearly", "not_clearly", "best"),
    [
        ((5.0, -2.0), [5.0, -2.0], [], ("random swap (+6.0 ± 0.0)", "random deletion (-1.0 ± 0.0)")),
        ((-3.0, 0.5), [-3.0], [0.5], ("random swap (-2.0 ± 0.0)", "random deletion (+1.5 ± 0.0)")),
    ],
)
def test_the_finding_says_what_the_numbers_say(changes, clearly, not_clearly, best):
    said = finding(made(*changes))
    assert (clear(said), unclear(said)) == (clearly, not_clearly)
    assert all(part in said for part in (*best, python()))


def test_the_best_edit_has_the_interval_of_the_best_of_four():
    runs = made(5.0, -2.0)
    for run, value in zip(runs, (45.9, 46.0, 46.1), strict=True):
        run["random swap"][0] = Scores(value + run[NONE][0].held_out - 40, 100.0)
    half = scipy.stats.t.ppf(1 - 0.025 / 4, 2) * 0.1 / 3**0.5
    assert f"random swap (+6.0 ± {half:.1f}) and" in finding(runs)


def test_the_table_has_two_columns_a_network():
    assert len(NETWORKS) == len(table(made(5.0, -2.0))[0]) // 2


def test_the_finding_stays_short_where_nothing_is_clear():
    assert len(finding(made(0.0, 0.0, spread=20.0)).split()) <= 60

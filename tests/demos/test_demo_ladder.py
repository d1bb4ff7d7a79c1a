"""The demo of the ladder: what each rung changes, what it does not touch, and what is said of it."""

import re

import numpy as np
import pytest
from fast_runs import fast_runs
from findings import clear, unclear

import tinyreg as tr
from demos import ladder
from demos.base import Settings
from demos.data import mnist
from demos.ladder import BASELINE, DEMO, LAST, RUNGS, WATCHED, Course, Run, Scores, finding, network, scores, trained
from tinyreg.augment import Compose

PARTS = {"each": (5, 5), "seed": 0}


def measured(parts, **settings):
    return scores(trained(parts, 0, True, **settings)[0], parts[-1])


def test_a_rung_stands_on_all_before_it(monkeypatch):
    seen = []

    def noted(parts, seed, fast, watched=False, **settings):
        seen.append((settings, watched))
        return len(seen) - 1, Course([0.0], [0.0])

    monkeypatch.setattr(ladder, "trained", noted)
    monkeypatch.setattr(ladder, "scores", lambda number, test: number)
    run = DEMO.measure(0, True, lambda: None)
    assert {name: seen[number][0] for name, number in run.alone.items()} == {BASELINE: {}, **RUNGS}
    below = {}
    for name, settings in RUNGS.items():
        below |= settings
        assert seen[run.stacked[name]][0] == below
    assert seen[run.stacked[BASELINE]][0] == {}
    assert {name for name, number in run.stacked.items() if seen[number][1]} == set(WATCHED) == set(run.courses)
    assert len(seen) == 2 * len(RUNGS)  # the baseline, and the first rung, are the same alone and stacked


def test_a_technique_that_does_nothing_gives_the_baseline_so_batches_and_weights_are_the_same(backend):
    parts = mnist(*PARTS["each"], seed=0)
    baseline = measured(parts)
    assert measured(parts, transform=Compose([]), dropout=0.0, l2=0.0) == baseline
    assert measured(parts, watched=True) == baseline


@pytest.mark.parametrize(
    "settings", [{"dropout": 0.9}, {"l2": 1.0}, {"norm": tr.nn.LayerNorm}, RUNGS["batch norm"], RUNGS["augmentation"]]
)
def test_every_technique_reaches_the_training(settings):
    parts = mnist(*PARTS["each"], seed=0)
    assert measured(parts, **settings) != measured(parts)


def test_only_early_stopping_looks_at_its_part_and_nothing_at_the_test_digits():
    training, validation, test = mnist(*PARTS["each"], seed=0)
    wrong = validation._replace(labels=9 - validation.labels)
    assert measured([training, wrong, test]) == measured([training, validation, test])
    stopped = trained([training, validation, test], 0, False, patience=1, watched=True)[1]
    assert len(stopped.training) < ladder.EPOCHS
    assert trained([training, wrong, test], 0, False, patience=1, watched=True)[1] != stopped
    assert trained([training, validation, wrong], 0, False, patience=1, watched=True)[1] == stopped


def test_norms_stand_before_relu_and_dropout_behind_it():
    layers = network(tr.Generator(0), 0.5, tr.nn.BatchNorm)
    names = [type(layer).__name__ for layer in layers]
    assert names == ["Flatten", *["Linear", "BatchNorm", "ReLU", "Dropout"] * 2, "Linear"]


def test_the_scores_are_those_of_the_test_digits():
    parts = mnist(*PARTS["each"], seed=0)
    model, _ = trained(parts, 0, True)
    model.eval()
    found, logits = scores(model, parts[-1]), model(parts[-1].inputs).numpy().astype(float)
    rows, labels = np.arange(len(logits)), parts[-1].labels.numpy()
    logits -= logits.max(axis=1, keepdims=True)
    nll = np.log(np.exp(logits).sum(axis=1)) - logits[rows, labels]
    assert found.accuracy == pytest.approx(100 * (logits.argmax(axis=1) == labels).mean())
    assert found.loss == pytest.approx(nll.mean(), rel=1e-5)
    assert 0 < found.calibration < 100


def test_the_table_has_the_numbers_of_the_runs(tmp_path):
    runs = fast_runs(DEMO)
    head, *rows = DEMO.report(runs, Settings("numpy", 2, True, tmp_path)).table
    assert head[1:] == [f"{way}: {number}" for way in ("alone", "stacked") for number in Scores._fields]
    for row, rung in zip(rows, (BASELINE, *RUNGS), strict=True):
        assert rung in row[0]
        expected = np.concatenate(
            [np.mean([getattr(run, way)[rung] for run in runs], axis=0) for way in ("alone", "stacked")]
        )
        digits = [len(cell.split(" ")[0].partition(".")[2]) for cell in row[1:]]
        assert [cell.split(" ")[0] for cell in row[1:]] == [f"{x:.{d}f}" for x, d in zip(expected, digits, strict=True)]


def runs(dropout=90.0, everything=90.0, loss=0.5, noise=(-0.1, 0.0, 0.1)):
    """Of three seeds: the baseline at 90% and 0.5 nats, dropout alone and all rungs together as given."""
    made = []
    for e in noise:
        same = {rung: Scores(90.0 + e, 0.5 + e / 10, 5.0) for rung in (BASELINE, *RUNGS)}
        alone = same | {"dropout 0.2": Scores(dropout - e, 0.5, 5.0)}
        made.append(Run(alone, same | {LAST: Scores(everything - e, loss - e / 10, 4.0)}, {}))
    return made


@pytest.mark.parametrize(
    ("dropout", "everything", "loss", "clearly", "not_clearly", "best"),
    [
        (99.0, 93.0, 0.3, [3.0, -0.2], [], True),
        (91.0, 93.0, 0.3, [3.0, -0.2], [], False),  # 1.0 ± 0.5 by itself, and ± 2.6 as the best of several
        (90.0, 87.0, 0.7, [-3.0, 0.2], [], False),
        (99.0, 90.0, 0.3, [-0.2], [0.0], False),
        (99.0, 93.0, 0.5, [3.0], [0.0], False),
    ],
)
def test_the_finding_says_what_the_numbers_say_in_25_words(dropout, everything, loss, clearly, not_clearly, best):
    said = finding(runs(dropout, everything, loss))
    assert (clear(said), unclear(said)) == (clearly, not_clearly)
    assert ("dropout 0.2" in said) == best
    assert len(said.split()) <= 25


def test_where_nothing_is_clear_the_finding_says_so_in_25_words():
    said = finding(runs(99.0, 90.0, 0.5))
    assert re.search(r"neither .*\(\+0\.0 ± 0\.5 points\).*\(\+0\.00 ± 0\.05 nats\)", said)
    assert "dropout" not in said
    assert len(said.split()) <= 25

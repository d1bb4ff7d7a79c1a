"""The demo of the ladder: what each rung changes, what it does not touch, and what is said of it."""

import re

import numpy as np
import pytest
from fast_runs import fast_runs
from findings import clear, unclear

import tinyreg as tr
from demos import ladder
from demos.base import Settings
from demos.ladder import BASELINE, DEMO, RUNGS, Run, Scores, finding, network, scores
from demos.mixup import digit_images
from tinyreg.augment import Compose


def test_a_rung_stands_on_all_before_it_and_batch_norm_takes_the_place_of_layer_norm(monkeypatch):
    trained = []

    def noted(parts, seed, fast, **settings):
        trained.append(settings)
        return Scores(100.0, float(len(trained)))

    monkeypatch.setattr(ladder, "scores", noted)
    run = DEMO.measure(0, True, lambda: None)
    settings = {name: trained[int(each.test) - 1] for name, each in run.stacked.items()}
    assert {name: trained[int(each.test) - 1] for name, each in run.alone.items()} == {BASELINE: {}, **RUNGS}
    assert settings[BASELINE] == {}
    assert settings["dropout 0.5"] == {"dropout": 0.5}
    assert settings["weight decay 1e-4"] == {"dropout": 0.5, "l2": 1e-4}
    assert settings["layer norm"] == {"dropout": 0.5, "l2": 1e-4, "norm": tr.nn.LayerNorm}
    assert settings["batch norm"] == settings["layer norm"] | {"norm": tr.nn.BatchNorm}
    assert settings["early stopping"] == settings["batch norm"] | RUNGS["augmentation"] | {"patience": 10}
    assert len(trained) == 1 + 2 * len(RUNGS) - 1  # the first rung is the same alone and stacked


def test_a_technique_that_does_nothing_gives_the_baseline_so_batches_and_weights_are_the_same(backend):
    parts = digit_images(10, 10, seed=0)
    assert scores(parts, 0, True, transform=Compose([]), dropout=0.0, l2=0.0) == scores(parts, 0, True)


@pytest.mark.parametrize(
    "settings", [{"dropout": 0.9}, {"l2": 1.0}, *(RUNGS[name] for name in ("layer norm", "batch norm", "augmentation"))]
)
def test_every_technique_reaches_the_training(settings):
    parts = digit_images(10, 10, seed=0)
    assert scores(parts, 0, True, **settings) != scores(parts, 0, True)


def test_only_early_stopping_looks_at_its_part_and_nothing_at_the_test_digits():
    training, validation, test = digit_images(10, 10, seed=0)
    wrong = validation._replace(labels=9 - validation.labels)
    assert scores([training, wrong, test], 0, True) == scores([training, validation, test], 0, True)
    stopped = scores([training, validation, test], 0, True, patience=1)
    assert scores([training, wrong, test], 0, True, patience=1).training != stopped.training
    assert scores([training, validation, wrong], 0, True, patience=1).training == stopped.training


def test_norms_stand_before_relu_and_dropout_behind_it():
    layers = network(tr.Generator(0), 0.5, tr.nn.BatchNorm)
    names = [type(layer).__name__ for layer in layers]
    assert names == ["Flatten", *["Linear", "BatchNorm", "ReLU", "Dropout"] * 2, "Linear"]


def test_the_table_has_the_numbers_of_the_runs(tmp_path):
    runs = fast_runs(DEMO)
    head, *rows = DEMO.report(runs, Settings("numpy", 2, True, tmp_path)).table
    assert head[1:] == [f"{way}: {number}" for way in ("alone", "stacked") for number in ("training", "test", "gap")]
    for row, rung in zip(rows, (BASELINE, *RUNGS), strict=True):
        assert rung in row[0]
        both = [np.mean([getattr(run, way)[rung] for run in runs], axis=0) for way in ("alone", "stacked")]
        expected = [number for training, test in both for number in (training, test, training - test)]
        assert [cell.split(" ")[0] for cell in row[1:]] == [f"{number:.1f}" for number in expected]


def runs(dropout=90.0, everything=90.0, noise=(-0.1, 0.0, 0.1)):
    made = []
    for e in noise:
        same = {rung: Scores(100.0, 90.0 + e) for rung in (BASELINE, *RUNGS)}
        alone = same | {"dropout 0.5": Scores(100.0, dropout - e)}
        made.append(Run(alone, same | {"early stopping": Scores(98.0, everything - e)}))
    return made


@pytest.mark.parametrize(
    ("dropout", "everything", "clearly", "not_clearly", "named"),
    [
        (92.0, 93.0, [-5.0, 3.0], [], 2),
        (88.0, 87.0, [1.0, -3.0], [], 2),
        (90.7, 90.0, [-2.0], [None, None, 0.0], 0),  # ± 0.5 by itself, and ± 1.3 of six
    ],
)
def test_the_finding_says_what_the_numbers_say(dropout, everything, clearly, not_clearly, named):
    said = finding(runs(dropout, everything))
    assert (clear(said), unclear(said)) == (clearly, not_clearly)
    assert said.count("dropout 0.5") == named
    assert re.search(r"10\.0 points .* 90\.0%", said)

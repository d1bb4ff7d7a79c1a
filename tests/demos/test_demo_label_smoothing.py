"""The demo of label smoothing: bins of confidence, the calibration error, and what is said of them."""

import numpy as np
import pytest
from fast_runs import fast_run, fast_runs
from findings import clear, unclear

import tinyreg as tr
from demos import arms
from demos.base import Settings
from demos.data import Split
from demos.label_smoothing import (
    BINS,
    COLUMNS,
    DEMO,
    SETTINGS,
    SMOOTHINGS,
    USUAL,
    Bin,
    Run,
    binned,
    bins,
    finding,
    named,
    reliability,
)


def test_the_calibration_error_is_that_of_the_bins_and_of_a_plain_loop(backend):
    logits = np.random.default_rng(0).normal(0, 2, (500, 10)).astype("float32")
    labels = np.random.default_rng(1).integers(0, 10, 500)
    model = tr.nn.Sequential(tr.nn.Linear(10, 10), tr.nn.Linear(10, 10))
    for layer in model:  # the network says what it is asked
        layer.weight.assign(np.eye(10, dtype="float32"))
        layer.bias.assign(np.zeros(10, dtype="float32"))
    test = Split(tr.tensor(logits, backend=backend), tr.tensor(labels, backend=backend))
    found, of_bins = arms.measured(model, test), bins(model, test)

    probabilities = np.exp(logits.astype(float)) / np.exp(logits.astype(float)).sum(axis=1, keepdims=True)
    confidence, correct = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
    expected = 0.0
    for b in range(BINS):
        inside = (confidence > b / BINS) & (confidence <= (b + 1) / BINS)
        if inside.any():
            expected += inside.mean() * abs(confidence[inside].mean() - correct[inside].mean())
    assert found["calibration"] == pytest.approx(100 * expected, rel=1e-5)
    assert sum(abs(one.confidence - one.correct) for one in of_bins) / 5 == pytest.approx(100 * expected, rel=1e-5)
    assert found["confidence"] == pytest.approx(100 * confidence.mean(), rel=1e-5)
    assert found["accuracy"] == pytest.approx(100 * correct.mean(), rel=1e-5)
    assert found["loss"] == pytest.approx(-np.log(probabilities[np.arange(500), labels]).mean(), rel=1e-5)


def test_bins_have_each_answer_once_also_at_their_edges():
    confidence = np.array([0.0, 1 / BINS, 0.5, 1.0])
    found = binned(confidence, np.array([True, False, True, True]))
    assert [(b, *one) for b, one in enumerate(found) if one.answers] == [
        (0, 2, 1 / BINS, 1),
        (7, 1, 0.5, 1),
        (14, 1, 1.0, 1),
    ]


def test_the_diagram_pools_seeds_and_leaves_out_bins_of_few_answers():
    runs = [[Bin(99, 50.0, 40), Bin(1, 0.9, 1)], [Bin(100, 50.0, 60), Bin(0, 0.0, 0)]]
    assert reliability(runs) == ([pytest.approx(100 * 100 / 199)], [pytest.approx(100 * 100 / 199)])


def test_the_table_has_the_numbers_of_the_runs(tmp_path, backend):
    runs = fast_runs(DEMO, backend)
    _, *rows = DEMO.report(runs, Settings(backend, len(runs), True, tmp_path)).table
    assert [row[0] for row in rows] == [named(setting, i) for setting in SETTINGS for i in range(len(SMOOTHINGS))]
    for arm, *cells in rows:
        expected = [np.mean([run.scores[arm][score] for run in runs]) for score in COLUMNS]
        decimals = [score.decimals for score in COLUMNS.values()]
        assert [cell.split(" ")[0] for cell in cells[::2]] == [
            f"{x:.{d}f}" for x, d in zip(expected, decimals, strict=True)
        ]


def test_runs_differ_in_smoothing_and_setting_alone():
    scores = fast_run(DEMO).scores
    for setting in SETTINGS:
        losses = [scores[named(setting, i)]["confidence"] for i in range(len(SMOOTHINGS))]
        assert len(set(losses)) == len(SMOOTHINGS)
    assert scores[named("as usual", 0)] != scores[named("noisy labels", 0)]


def made(usual, other, noise):
    """Of three seeds: by how much every score changes with the usual smoothing, and with 0.01, in all settings."""
    changes = [other if i == 1 else usual if i == USUAL else 0.0 for i in range(len(SMOOTHINGS))]
    runs = []
    for e in (-noise, 0.0, noise):
        values = [dict.fromkeys(COLUMNS, 10.0 + change + e * bool(change)) for change in changes]
        runs.append(Run({named(setting, i): value for setting in SETTINGS for i, value in enumerate(values)}, {}))
    return runs


@pytest.mark.parametrize(
    ("usual", "other", "noise", "clearly", "not_clearly", "least"),
    [
        (2.0, -1.0, 0.001, [2.0, 2.0, 2.0, -1.0, -1.0, -1.0], [], "0.01"),
        (-2.0, -1.0, 0.001, [-2.0] * 6, [], "0.1"),
        (2.0, -1.0, 1.0, [], [2.0, 2.0, 2.0], "0.01"),
        (2.0, 1.0, 0.001, [2.0] * 3, [], "0"),
    ],
)
def test_the_finding_says_what_the_numbers_say(usual, other, noise, clearly, not_clearly, least):
    said = finding(made(usual, other, noise))
    assert (clear(said), unclear(said)) == (clearly, not_clearly)
    assert [f"{least} ({setting}" in said for setting in SETTINGS] == [True] * len(SETTINGS)

"""The demo of label smoothing: the calibration error and its bins, and what is said of them."""

import numpy as np
import pytest
from fast_runs import fast_run, fast_runs
from findings import clear, unclear

import tinyreg as tr
from demos.base import Settings
from demos.data import Split
from demos.label_smoothing import BINS, DEMO, SMOOTHINGS, USUAL, Bin, Scores, binned, finding, reliability, scores


def test_the_calibration_error_is_that_of_a_plain_loop(backend):
    logits = np.random.default_rng(0).normal(0, 2, (500, 10)).astype("float32")
    labels = np.random.default_rng(1).integers(0, 10, 500)
    got = scores(tr.nn.Sequential(), Split(tr.tensor(logits, backend=backend), tr.tensor(labels, backend=backend)))

    probabilities = np.exp(logits.astype(float)) / np.exp(logits.astype(float)).sum(axis=1, keepdims=True)
    confidence, correct = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
    expected = 0.0
    for b in range(BINS):
        inside = (confidence > b / BINS) & (confidence <= (b + 1) / BINS)
        if inside.any():
            expected += inside.mean() * abs(confidence[inside].mean() - correct[inside].mean())
    assert got.calibration_error == pytest.approx(100 * expected, rel=1e-5)
    assert got.confidence == pytest.approx(100 * confidence.mean(), rel=1e-5)
    assert got.accuracy == pytest.approx(100 * correct.mean(), rel=1e-5)
    assert got.loss == pytest.approx(-np.log(probabilities[np.arange(500), labels]).mean(), rel=1e-5)


def test_bins_have_each_answer_once_also_at_their_edges():
    confidence = np.array([0.0, 1 / BINS, 0.5, 1.0])
    bins = binned(confidence, np.array([True, False, True, True]))
    assert [(b, *one) for b, one in enumerate(bins) if one.answers] == [
        (0, 2, 1 / BINS, 1),
        (7, 1, 0.5, 1),
        (14, 1, 1.0, 1),
    ]


def test_gaps_of_opposite_sign_in_different_bins_do_not_cancel():
    calibrated_on_average = Scores(50.0, 50.0, 1.0, [Bin(10, 2.0, 5), Bin(10, 8.0, 5)])
    assert calibrated_on_average.overconfidence == 0
    assert calibrated_on_average.calibration_error == pytest.approx(30.0)


def test_the_diagram_pools_seeds_and_leaves_out_bins_of_few_answers():
    runs = [[Bin(99, 50.0, 40), Bin(1, 0.9, 1)], [Bin(100, 50.0, 60), Bin(0, 0.0, 0)]]
    assert reliability(runs) == ([pytest.approx(100 * 100 / 199)], [pytest.approx(100 * 100 / 199)])


def test_the_table_has_the_numbers_of_the_runs(tmp_path, backend):
    runs = fast_runs(DEMO, backend)
    result = DEMO.report(runs, Settings(backend, len(runs), True, tmp_path))
    for i, row in enumerate(result.table[1:]):
        accuracy, confidence, error = (
            np.mean([getattr(run[i], name) for run in runs]) for name in ("accuracy", "confidence", "calibration_error")
        )
        expected = [accuracy, confidence, confidence - accuracy, error]
        assert row[0] == f"{SMOOTHINGS[i]:g}"
        assert [cell.split(" ")[0] for cell in row[1:5]] == [f"{value:.1f}" for value in expected]


def test_runs_differ_in_smoothing_alone():
    run = fast_run(DEMO)
    confidences = [scores.confidence for scores in run]
    assert confidences == sorted(confidences, reverse=True)


def made(accuracy, confidence):
    right, sure = round(accuracy), float(confidence)
    return Scores(accuracy, confidence, 1.0, [Bin(100, sure, right)])


@pytest.mark.parametrize(("confidence", "change", "gap"), [(91.0, -7.0, "1.0 ± 0.0"), (60.0, 22.0, "-30.0 ± 0.0")])
def test_the_finding_says_what_the_numbers_say(confidence, change, gap):
    runs = [[made(90.0, confidence if i == USUAL else 98.0 + e) for i in range(len(SMOOTHINGS))] for e in (-0.1, 0.0, 0.1)]
    said = finding(runs)
    assert (clear(said), unclear(said)) == ([change], [0.0])
    assert f"from 8.0 ± 0.2 to {gap} points" in said


@pytest.mark.parametrize(("confidence", "clearly", "not_clearly"), [(91.0, [-7.0], []), (97.6, [], [-0.4])])
def test_the_least_error_of_several_is_clear_where_it_is_so_among_them(confidence, clearly, not_clearly):
    runs = [[made(90.0, confidence if i == 1 else 98.0 + e) for i in range(len(SMOOTHINGS))] for e in (-0.1, 0.0, 0.1)]
    least = finding(runs).partition("least with smoothing 0.01")[2]
    assert (clear(least), unclear(least)) == (clearly, not_clearly)

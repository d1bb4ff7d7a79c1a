"""The demo of dropout: sub-networks, their average and how far they are apart, and what is said of them."""

import re

import numpy as np
import pytest
from fast_runs import fast_runs
from findings import clear, unclear

import tinyreg as tr
from demos.base import Settings
from demos.dropout import ARMS, CHAPTER, DEMO, FULL, ROWS, TRIED, Run, Score, Views, all_rates, alone, best_rates, finding
from demos.sub_networks import averaged, different, disagreement, passes, spread, told


def probabilities(backend):
    p = np.random.default_rng(0).dirichlet(np.ones(4), size=(6, 50))  # 6 passes, 50 inputs, 4 classes
    return p, tr.tensor(np.log(p), backend=backend)


def test_the_average_is_that_of_probabilities(backend):
    p, log_p = probabilities(backend)
    np.testing.assert_allclose(np.exp(averaged(log_p).numpy()), p.mean(axis=0), rtol=1e-6)


def test_spread_and_disagreement_are_those_of_plain_formulas(backend):
    p, log_p = probabilities(backend)
    mean = p.mean(axis=0)
    expected = [p[:, i, mean[i].argmax()].std(ddof=1) for i in range(50)]
    np.testing.assert_allclose(spread(log_p), expected, atol=2e-5)
    information = (p * np.log(p / mean)).sum(axis=2).mean(axis=0)
    np.testing.assert_allclose(disagreement(log_p), information, atol=2e-5)


def test_passes_that_are_all_the_same_do_not_spread():
    log_p = tr.log_softmax(tr.tensor(np.random.default_rng(0).normal(size=(1, 50, 4)).astype("float32")), axis=2)
    same = tr.concat([log_p] * 7, axis=0)
    assert not spread(same).any()
    assert not disagreement(same).any()
    assert different(same) == 1


def test_pairs_are_counted_as_one_would_by_hand():
    assert told(np.array([0.0, 1.0]), np.array([1.0, 2.0])) == pytest.approx(100 * 3.5 / 4)
    assert told(np.zeros(3), np.zeros(5)) == 50


def test_every_training_pass_gives_another_output_and_evaluation_the_same(backend):
    model = tr.nn.Sequential(tr.nn.Dropout(0.5, rng=tr.Generator(0)), tr.nn.Linear(64, 10, rng=tr.Generator(1)))
    inputs = tr.tensor(np.random.default_rng(0).uniform(0.1, 1, (20, 64)).astype("float32"), backend=backend)
    assert different(passes(model.train(), inputs, 5)) == 5
    assert different(passes(model.eval(), inputs, 5)) == 1
    with tr.nn.monte_carlo(model):
        assert different(passes(model, inputs, 5)) == 5


def test_the_chapters_rates_are_those_of_the_arms():
    assert ARMS[FULL] == tuple(high for _, high in CHAPTER.values())
    assert len(all_rates()) == len(set(all_rates())) == 2 + len(CHAPTER) * len(TRIED)


def test_the_table_has_the_numbers_of_the_runs(tmp_path):
    runs = fast_runs(DEMO)
    result = DEMO.report(runs, Settings("numpy", 2, True, tmp_path))
    rows = {row[0]: row[1:] for row in result.table}
    for column, (arm, rates) in enumerate(ARMS.items()):
        numbers = {
            "accuracy (%)": [run.scores[rates].accuracy for run in runs],
            "accuracy of one sub-network": [run.views[arm].averages[0].accuracy for run in runs],
            "accuracy of their average": [run.views[arm].averages[-1].accuracy for run in runs],
            "different outputs in training mode": [1.0 if arm == "none" else 3.0] * 2,
            "different outputs in evaluation mode": [1.0] * 2,
            "told apart by doubt (%)": [run.views[arm].told_by_doubt for run in runs],
        }
        for row, values in numbers.items():
            assert rows[row][column].split(" ")[0] == f"{np.mean(values):.1f}"


def run(loss, average, accuracy=90.0, best=0.0):
    scores = {rates: Score(accuracy, loss) for rates in all_rates()} | {alone(1, 0.3): Score(accuracy + best, loss)}
    scores[ARMS["none"]] = Score(90.0, 0.5)
    view = Views(5.0, 1.0, [Score(80.0, 1.0), Score(90.0, average)], 1.0, 2.0, 60.0, 70.0, 80.0)
    return Run(scores, dict.fromkeys(ARMS, view) | {"none": view._replace(averages=[scores[ARMS["none"]]] * 2)})


@pytest.mark.parametrize(
    ("accuracy", "average", "clearly", "not_clearly"),
    [(88.0, 0.4, [-2.0, -0.1], []), (93.0, 0.8, [3.0, 0.3], []), (90.0, 0.5, [], [0.0, 0.0])],
)
def test_the_finding_says_what_the_numbers_say(accuracy, average, clearly, not_clearly):
    said = finding([run(0.5 + e, average, accuracy + 10 * e) for e in (-0.01, 0.0, 0.01)], 5)
    assert (clear(said), unclear(said)) == (clearly, not_clearly)
    assert re.search(r"5 passes gave 5\.0 .* 1\.0 ", said)


@pytest.mark.parametrize(
    ("best", "noise", "said"),
    [(2.0, 0.1, "clear"), (-2.0, 0.1, "unclear"), (1.0, 0.38, "unclear")],  # ± 0.94 for itself, and 2.2 of five rates
)
def test_the_best_rate_is_clear_where_it_is_above_none_also_as_the_best_of_five(best, noise, said):
    runs = [run(0.5, 0.6, 80.0, best + 10 + e) for e in (-noise, 0.0, noise)]
    assert best_rates(runs) == f"input 0.1 (unclear), hidden 0.3 ({said}) and before the output 0.1 (unclear)"


def test_no_rate_is_clear_over_one_seed():
    assert best_rates([run(0.1, 0.6, best=9.0)]).count("(unclear)") == 3


def test_rows_are_numbers_of_every_arm():
    for _, number in ROWS.values():
        assert all(isinstance(number(run(0.5, 0.6), arm), float) for arm in ARMS)

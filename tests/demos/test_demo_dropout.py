"""The demo of dropout: sub-networks, their average and how far they are apart, and what is said of them."""

import re

import numpy as np
import pytest
from fast_runs import fast_runs
from findings import clear, unclear

import tinyreg as tr
from demos.base import Settings
from demos.dropout import (
    ARMS,
    CHAPTER,
    CLEAN,
    COLUMNS,
    DEMO,
    FULL,
    NOISY,
    NONE,
    ROWS,
    SETTINGS,
    TRIED,
    Run,
    all_rates,
    alone,
    best_rates,
    finding,
    named,
)
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
    rows = {row[0]: row[1:] for row in DEMO.report(runs, Settings("numpy", 2, True, tmp_path)).table}
    for column, arm in enumerate(ARMS):
        for setting in SETTINGS:
            for score, (head, decimals, _) in COLUMNS.items():
                mean, before = (np.mean([run.scores[named(setting, one)][score] for run in runs]) for one in (arm, NONE))
                assert rows[f"{setting}: {head}"][column].split(" ")[0] == f"{mean:.{decimals}f}"
                change = rows[f"{setting}: {head}, change"][column].split(" ")[0]
                assert change == ("" if arm == NONE else f"{mean - before:+.{decimals}f}")
        for row, (decimals, number) in ROWS.items():
            mean = np.mean([number(run.views[arm]) for run in runs])
            assert rows[row][column].split(" ")[0] == f"{mean:.{decimals}f}"
        assert rows["different outputs in training mode"][column].startswith("1.0" if arm == NONE else "3.0")
        assert rows["different outputs in evaluation mode"][column].startswith("1.0")


def run(loss=0.0, accuracy=0.0, correlation=0.0, best=0.0):
    """By how much dropout everywhere changes scores, and 0.3 in the hidden layer alone the loss."""
    scores = {named(setting, arm): dict.fromkeys(COLUMNS, 10.0) for setting in SETTINGS for arm in ARMS}
    scores[named(CLEAN, FULL)] |= {"loss": 10 + loss, "correlation": 10 + correlation}
    scores[named(NOISY, FULL)] |= {"accuracy": 10 + accuracy}
    return Run(scores, dict.fromkeys(all_rates(), 10.0) | {alone(1, 0.3): 10 + best}, {})


@pytest.mark.parametrize("sign", [-1, 1])
def test_the_finding_says_what_the_numbers_say(sign):
    said = finding([run(sign * 0.5 + e, sign * 11 + e, sign * 4 + e) for e in (-0.0001, 0.0, 0.0001)])
    assert (clear(said), unclear(said)) == ([sign * 0.5, sign * 11.0, sign * 4.0], [])
    said = finding([run(sign * 0.5 + e, sign * 1 + e, sign * 1 + e) for e in (-1, 0.0, 1)])
    assert (clear(said), unclear(said)) == ([], [sign * 0.5, sign * 1.0, sign * 1.0])


@pytest.mark.parametrize(
    ("best", "noise", "said"),
    [(-2.0, 0.001, "clear"), (2.0, 0.001, "unclear"), (-1.0, 0.2, "unclear")],  # clear by itself
)
def test_the_best_rate_is_clear_where_it_is_below_none_also_as_one_of_all(best, noise, said):
    found = best_rates([run(best=best + e) for e in (-noise, 0.0, noise)])
    assert re.search(rf"hidden {'0.3' if best < 0 else '0.1'} \({said}\)", found)
    assert found.count("(unclear)") == 3 - (said == "clear")


def test_no_rate_is_clear_over_one_seed():
    assert best_rates([run(best=-9.0)]).count("(unclear)") == 3

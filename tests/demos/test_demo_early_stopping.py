"""The demo of early stopping: that it stops where it says, what descent is by theory, and what is said of it."""

import re
from dataclasses import replace

import numpy as np
import pytest
from fast_runs import fast_run, fast_runs
from findings import clear, unclear

import tinyreg as tr
from demos import arms
from demos.arms import Arm
from demos.base import Settings
from demos.compared import SCORES
from demos.early_stopping import DEMO, OF_NETWORK, Run, finding, named
from demos.linear_model import LEARNING_RATE, diabetes
from demos.linear_stopping import ARMS, BY_L2, FAST_TIMES, STOPPED, TO_THE_END, Descents, Linear, as_by_theory, descents
from demos.overfitting import SETTINGS, Norms


def test_the_network_that_stopped_is_the_other_one_at_that_epoch(backend):
    arm = Arm(each=5, steps=40, rate=0.1)
    norms = Norms()
    _, _, plain = arms.trained(arm, 0, False, callbacks=[norms], watched=True)
    stopped, _, history = arms.trained(replace(arm, patience=3 * arm.epoch(False)), 0, False)
    losses = plain["validation_loss"]
    best = losses.index(min(losses))
    assert history["validation_loss"] == losses[: best + 4]
    assert tr.norm(arms.weights(stopped)).item() == pytest.approx(norms.values[best], rel=1e-6)


def test_a_run_says_of_each_network_what_it_is(backend):
    run = fast_run(DEMO, backend=backend)
    for setting in SETTINGS:
        to_the_end, stopped, l2 = (run.networks[named(setting, arm)] for arm in ARMS)
        courses = run.courses[setting]
        assert courses[0.0].norm[int(stopped["epochs"]) - 1] == pytest.approx(stopped["norm"], rel=1e-6)
        assert (stopped["apart"], stopped["same"]) == (0, 100)
        assert to_the_end["norm"] == pytest.approx(courses[0.0].norm[-1], rel=1e-6)
        assert l2["norm"] == pytest.approx(courses[run.strengths[setting]].norm[-1], rel=1e-6)


def test_descent_after_so_many_steps_is_what_its_formula_says(backend):
    data = diabetes(150, 100, seed=0)[0]
    x, y = (part.numpy().astype(float) for part in data)
    curvature, directions = np.linalg.eigh(2 / len(x) * x.T @ x)
    slope = directions.T @ (2 / len(x) * x.T @ y)[:, 0]
    for steps, moment in zip(FAST_TIMES, descents(0, True, patience=10).moments, strict=True):
        w = (1 - (1 - LEARNING_RATE * curvature) ** steps) / curvature * slope
        by_ridge = slope / (curvature + 1 / (LEARNING_RATE * steps))
        assert moment.norm == pytest.approx(np.linalg.norm(w), rel=1e-4)
        assert moment.ridge_norm == pytest.approx(np.linalg.norm(by_ridge), rel=1e-4)
        assert moment.apart == pytest.approx(np.linalg.norm(w - by_ridge), rel=1e-4)


def test_theory_holds_where_steps_are_few_and_curvature_is_small():
    """Then both are steps * learning rate * slope: the closer, the smaller the curvature."""
    data = diabetes(150, seed=0)[0]
    flat = data._replace(inputs=data.inputs * 0.01)
    x, y = (part.numpy().astype(float) for part in flat)
    first_step = LEARNING_RATE * 2 / len(x) * x.T @ y
    np.testing.assert_allclose(as_by_theory(flat, 1).numpy(), first_step.T, rtol=1e-3)


def test_the_linear_model_stops_where_the_validation_error_is_least():
    found = descents(0, True, patience=10)
    assert found.ends[STOPPED].steps <= FAST_TIMES[-1] == found.ends[TO_THE_END].steps
    assert found.ends[BY_L2].steps == found.ends[STOPPED].steps
    assert found.ends[STOPPED].apart == 0


def test_the_table_has_the_numbers_of_the_runs(tmp_path):
    runs = fast_runs(DEMO)
    rows = {row[0]: row[1:] for row in DEMO.report(runs, Settings("numpy", 2, True, tmp_path)).table}
    for column, arm in enumerate(ARMS):
        for setting in SETTINGS:
            shown = {score: (head, decimals) for score, (head, decimals, _) in SCORES.items()} | OF_NETWORK
            for score, (head, decimals) in shown.items():
                expected = np.mean([run.networks[named(setting, arm)][score] for run in runs])
                assert rows[f"{setting}: {head}"][column].split(" ")[0] == f"{expected:.{decimals}f}"
        expected = np.mean([run.linear.ends[arm].apart for run in runs])
        assert rows["linear: distance from stopped early (%)"][column].split(" ")[0] == f"{expected:.1f}"


def made(clean, noisy, noise):
    """Runs in which stopping changes the loss so much."""
    runs = []
    for e in (-noise, 0.0, noise):
        networks = {}
        for setting, change in zip(SETTINGS, (clean, noisy), strict=True):
            same = dict.fromkeys(SCORES, 1.0)
            networks[named(setting, TO_THE_END)] = same | {"epochs": 100, "apart": 2.0}
            networks[named(setting, STOPPED)] = same | {"epochs": 20, "apart": 0.0, "loss": 1.0 + change + e}
            networks[named(setting, BY_L2)] = same | {"epochs": 100, "apart": 1.0}
        ends = {arm: Linear(5, 50.0, 0.5, {STOPPED: 0.0, BY_L2: 17.0, TO_THE_END: 60.0}[arm]) for arm in ARMS}
        runs.append(Run({}, {}, networks, Descents(ends, [])))
    return runs


@pytest.mark.parametrize(
    ("clean", "noisy", "noise", "clearly", "not_clearly"),
    [
        (-0.05, -0.4, 0.0001, [-0.05, -0.4], []),
        (0.1, -0.4, 0.0001, [0.1, -0.4], []),
        (0.1, -0.4, 3.0, [], [0.1, -0.4]),
    ],
)
def test_the_finding_says_what_the_numbers_say(clean, noisy, noise, clearly, not_clearly):
    said = finding(made(clean, noisy, noise))
    assert (clear(said), unclear(said)) == (clearly, not_clearly)
    assert re.search("20 of 100 .* 17 ± 0% .* 60 ± 0%", said)

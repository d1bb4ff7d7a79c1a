"""The demo of early stopping: that it stops where it says, what descent is by theory, and what is said of it."""

import re

import numpy as np
import pytest
from fast_runs import fast_run, fast_runs
from findings import clear, unclear

from demos.base import Settings
from demos.early_stopping import DEMO, Network, Run, finding
from demos.linear_model import LEARNING_RATE, diabetes
from demos.linear_stopping import ARMS, BY_L2, FAST_TIMES, STOPPED, TO_THE_END, Descents, Linear, as_by_theory, descents


def test_the_network_that_stopped_is_the_other_one_at_that_epoch(backend):
    run = fast_run(DEMO, backend=backend)
    stopped, plain = run.networks[STOPPED], run.courses[0.0]
    assert plain.validation_loss.index(min(plain.validation_loss)) == stopped.epochs - 1  # of 12
    assert plain.norm[stopped.epochs - 1] == pytest.approx(stopped.norm, rel=1e-6)
    assert (stopped.apart, stopped.same) == (0, 100)
    assert run.networks[TO_THE_END].norm == pytest.approx(plain.norm[-1], rel=1e-6)
    assert run.courses[run.strength].validation_loss[-1] == min(
        course.validation_loss[-1] for strength, course in run.courses.items() if strength
    )


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
        for row, field, decimals in (("epochs", 0, 0), ("test loss (nats)", 1, 3), ("norm of the weights", 3, 1)):
            expected = np.mean([run.networks[arm][field] for run in runs])
            assert rows[f"network: {row}"][column].split(" ")[0] == f"{expected:.{decimals}f}"
        expected = np.mean([run.linear.ends[arm].apart for run in runs])
        assert rows["linear: distance from stopped early (%)"][column].split(" ")[0] == f"{expected:.1f}"


def made(loss, apart, noise=(-0.01, 0.0, 0.01)):
    """Runs in which stopping has this loss against 0.5, and L2 is so far from it, against 2."""
    runs = []
    for e in noise:
        networks = {
            TO_THE_END: Network(300, 0.5 + e, 90.0, 25.0, 7.0, 2.0 + e, 95.0),
            STOPPED: Network(20, loss, 90.0 + e, 24.0 + e, 6.0, 0.0, 100.0),
            BY_L2: Network(300, 0.4, 90.0, 13.0, 14.0, apart, 93.0),
        }
        ends = {arm: Linear(5, 50.0, 0.5, {STOPPED: 0.0, BY_L2: 17.0, TO_THE_END: 60.0}[arm]) for arm in ARMS}
        runs.append(Run({}, 0.001, networks, Descents(ends, [])))
    return runs


@pytest.mark.parametrize(
    ("loss", "apart", "clearly", "not_clearly"),
    [(0.45, 13.0, [-0.05, 11.0], []), (0.6, 1.0, [0.1, -1.0], []), (0.5, 2.0, [], [0.0, 0.0])],
)
def test_the_finding_says_what_the_numbers_say(loss, apart, clearly, not_clearly):
    said = finding(made(loss, apart))
    assert (clear(said), unclear(said)) == (clearly, not_clearly)
    assert re.search("20 of 300 .* 17 ± 0% .* 60 ± 0%", said)

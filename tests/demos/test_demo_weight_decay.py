"""The demo of weight decay: what descent reaches, against closed forms and scikit-learn, and what is said of it."""

import numpy as np
import pytest
from fast_runs import fast_run, fast_runs
from findings import clear, unclear
from sklearn.datasets import load_diabetes
from sklearn.linear_model import ElasticNet, Lasso

from demos.base import Settings
from demos.linear_model import diabetes, model, ridge
from demos.linear_penalties import ARMS, BY_GRADIENT, ELASTIC_NET, L1, L2, NONE, PATH, Point, best, learn
from demos.overfitting import STRENGTHS, Course
from demos.weight_decay import DEMO, Network, Run, finding

# ---- what descent reaches


def reached(arm, strength, steps=500):
    data, _ = diabetes(150, seed=0, permuted=True)
    linear = model(data)
    learn(linear, data, arm, strength, steps)
    x, y = (part.numpy().astype(float) for part in data)
    return linear.weight.numpy()[0], x, y[:, 0]


@pytest.mark.parametrize("strength", [0.5, 0.1])
def test_l2_by_descent_and_in_closed_form_are_where_the_gradient_is_0(backend, strength):
    w, x, y = reached(L2, strength)
    in_closed_form = ridge(diabetes(150, seed=0, permuted=True)[0], strength).numpy()[0]
    gradient = 2 / len(y) * x.T @ (x @ in_closed_form - y) + strength * in_closed_form
    np.testing.assert_allclose(gradient, 0, atol=1e-12)
    np.testing.assert_allclose(w, in_closed_form, atol=1e-5)


@pytest.mark.parametrize("strength", [0.5, 0.2])
def test_proximal_steps_reach_the_lasso_and_the_elastic_net_of_scikit_learn(backend, strength):
    settings = {"alpha": strength / 2, "fit_intercept": False, "tol": 1e-10}
    for arm, reference in ((L1, Lasso(**settings)), (ELASTIC_NET, ElasticNet(**settings, l1_ratio=0.5))):
        w, x, y = reached(arm, strength)
        expected = reference.fit(x, y).coef_
        np.testing.assert_allclose(w, expected, atol=1e-5)
        np.testing.assert_array_equal(w == 0, expected == 0)
        assert (w == 0).any()


def test_descent_along_l1_comes_near_the_lasso_without_a_single_0():
    w, x, y = reached(BY_GRADIENT, 0.2)
    np.testing.assert_allclose(w, Lasso(alpha=0.1, fit_intercept=False).fit(x, y).coef_, atol=0.1)
    assert (w != 0).all()


def test_patients_are_divided_without_overlap_and_scaled_by_the_first_part(backend):
    training, validation, others = parts = diabetes(150, 100, seed=3, permuted=True)
    assert [part.inputs.shape for part in parts] == [(150, 20), (100, 20), (192, 20)]
    for array in (training.inputs.numpy(), training.targets.numpy()):
        np.testing.assert_allclose(array.mean(axis=0), 0, atol=1e-6)
        np.testing.assert_allclose(array.std(axis=0), 1, atol=1e-6)
    whole = np.concatenate([part.inputs.numpy() for part in (training, validation, others)])
    assert len(np.unique(whole, axis=0)) == 442
    measured, permuted = np.split((whole - whole.mean(axis=0)) / whole.std(axis=0), 2, axis=1)
    np.testing.assert_allclose(np.sort(permuted, axis=0), np.sort(measured, axis=0), atol=1e-4)
    assert np.abs((measured * permuted).mean(axis=0)).max() < 0.2
    assert np.abs(np.corrcoef(permuted.T) - np.eye(10)).max() < 0.2  # each column by itself
    x = load_diabetes().data
    np.testing.assert_allclose(np.sort(measured, axis=0), np.sort((x - x.mean(axis=0)) / x.std(axis=0), axis=0), atol=1e-4)


def test_weights_that_are_not_0_are_counted_apart():
    run = fast_run(DEMO)
    assert run.paths[NONE][0].kept == (10, 10)
    assert [point.strength for point in run.paths[L1]] == list(PATH)
    strong, weak = run.paths[L1][0], run.paths[L1][-1]
    assert sum(strong.kept) < sum(weak.kept)
    assert strong.kept[0] > strong.kept[1] == 0


# ---- what a run shows


def test_the_table_has_the_numbers_of_the_runs(tmp_path):
    runs = fast_runs(DEMO)
    rows = {row[0]: row[1:] for row in DEMO.report(runs, Settings("numpy", 2, True, tmp_path)).table}
    for column, arm in enumerate((NONE, L2)):
        networks = [run.networks[arm] for run in runs]
        gap = np.mean([network.loss - network.course.training_loss[-1] for network in networks])
        assert rows["network: gap of the losses (nats)"][column].split(" ")[0] == f"{gap:.3f}"
        share = np.mean([network.accuracy for network in networks])
        assert rows["network: test accuracy (%)"][column].split(" ")[0] == f"{share:.1f}"
    for column, arm in enumerate(ARMS):
        points = [min(run.paths[arm], key=lambda point: point.validation_error) for run in runs]
        kept = np.mean([point.kept for point in points], axis=0)
        assert rows["linear: measurements kept, of 10"][column].split(" ")[0] == f"{kept[0]:.1f}"
        assert rows["linear: permuted columns kept, of 10"][column].split(" ")[0] == f"{kept[1]:.1f}"
    assert all(run.networks[L2].strength in STRENGTHS for run in runs)


def test_l2_makes_the_weights_smaller():
    run = fast_run(DEMO)
    assert run.networks[L2].course.norm[-1] < run.networks[NONE].course.norm[-1]


def made(loss, kept=None, noise=(-0.01, 0.0, 0.01)):
    """Runs in which L2 has this loss against 0.5, and so much is kept by each penalty, and all by others."""

    def network(strength, loss):
        return Network(strength, Course([0.1], [0.5], [20.0]), loss, 90.0)

    def points(kept):
        return [Point(0.1, kept, 1.0, 50.0, 2e-7), Point(0.2, (0, 0), 2.0, 0.0, 1e-7)]

    found = {arm: points((10, 10)) for arm in ARMS} | {
        arm: points(counts) for arm, counts in ({L1: (6, 4)} if kept is None else kept).items()
    }
    return [Run({NONE: network(0.0, 0.5 + e), L2: network(0.01, loss)}, found) for e in noise]


@pytest.mark.parametrize(("loss", "clearly", "not_clearly"), [(0.4, [-0.1], []), (0.7, [0.2], []), (0.5, [], [0.0])])
def test_the_finding_says_what_the_numbers_say(loss, clearly, not_clearly):
    said = finding(made(loss))
    assert (clear(said), unclear(said)) == (clearly, not_clearly)


@pytest.mark.parametrize("which", [[L1], [*ARMS], []], ids=["one", "every", "no"])
def test_the_finding_says_of_each_penalty_that_made_a_0_what_it_left(which):
    said = finding(made(0.4, dict.fromkeys(which, (6, 4))))
    assert said.count("6.0 and 4.0") == len([arm for arm in which if arm != NONE])


def test_the_note_says_how_far_descent_was_from_the_closed_form(tmp_path):
    runs = fast_runs(DEMO)
    farthest = max(point.off for run in runs for point in run.paths[L2])
    assert f"ended within {farthest:.0e} of the closed form" in DEMO.report(runs, Settings("numpy", 2, True, tmp_path)).note


def test_the_strength_is_chosen_by_validation_and_not_by_the_error():
    assert best(made(0.5)[0].paths[L1]).strength == 0.1

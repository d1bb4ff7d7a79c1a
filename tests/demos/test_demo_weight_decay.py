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
from demos.overfitting import SETTINGS, STRENGTHS, Course, chosen
from demos.weight_decay import COLUMNS, DEMO, Run, finding, named

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
        for setting in SETTINGS:
            for score, (head, decimals, _) in COLUMNS.items():
                expected = np.mean([run.networks[named(setting, arm)][score] for run in runs])
                assert rows[f"{setting}: {head}"][column].split(" ")[0] == f"{expected:.{decimals}f}"
    for column, arm in enumerate(ARMS):
        points = [min(run.paths[arm], key=lambda point: point.validation_error) for run in runs]
        kept = np.mean([point.kept for point in points], axis=0)
        assert rows["linear: measurements kept, of 10"][column].split(" ")[0] == f"{kept[0]:.1f}"
        assert rows["linear: permuted columns kept, of 10"][column].split(" ")[0] == f"{kept[1]:.1f}"
    assert all(strength in STRENGTHS for run in runs for strength in run.strengths.values())


def test_l2_makes_the_weights_smaller_and_the_gap_is_that_of_the_last_epoch():
    run = fast_run(DEMO)
    for setting in SETTINGS:
        without, l2 = (run.networks[named(setting, arm)] for arm in (NONE, L2))
        assert l2["norm"] < without["norm"]
        for arm, scores in ((NONE, without), (L2, l2)):
            course = run.courses[named(setting, arm)]
            assert scores["norm"] == pytest.approx(course.norm[-1], rel=1e-6)
            assert scores["gap"] == scores["loss"] - course.training_loss[-1]
            assert scores["risen"] == course.validation_loss[-1] - min(course.validation_loss) >= 0


def test_the_strength_of_l2_is_the_one_with_the_least_validation_loss_in_the_end():
    made = {s: Course([0.1], [0.2, abs(s - 0.003)], [1.0]) for s in (0.0, *STRENGTHS)}
    assert chosen(made) == 0.003


def made(clean, noisy=0.0, kept=None, noise=0.001):
    """Runs in which L2 changes the loss so much, and so much is kept by each penalty, and all by others."""

    def points(kept):
        return [Point(0.1, kept, 1.0, 50.0, 2e-7), Point(0.2, (0, 0), 2.0, 0.0, 1e-7)]

    found = {arm: points((10, 10)) for arm in ARMS} | {
        arm: points(counts) for arm, counts in ({L1: (6, 4)} if kept is None else kept).items()
    }
    runs = []
    for e in (-noise, 0.0, noise):
        networks = {named(setting, NONE): dict.fromkeys(COLUMNS, 1.0) for setting in SETTINGS}
        for setting, change in zip(SETTINGS, (clean, noisy), strict=True):
            networks[named(setting, L2)] = dict.fromkeys(COLUMNS, 1.0) | {"loss": 1.0 + change + e}
        runs.append(Run({}, networks, {}, found))
    return runs


@pytest.mark.parametrize(
    ("clean", "noisy", "noise", "clearly", "not_clearly"),
    [
        (-0.1, -0.3, 0.001, [-0.1, -0.3], []),
        (0.2, -0.3, 0.001, [0.2, -0.3], []),
        (-0.1, -0.3, 1.0, [], [-0.1, -0.3]),
    ],
)
def test_the_finding_says_what_the_numbers_say(clean, noisy, noise, clearly, not_clearly):
    said = finding(made(clean, noisy, noise=noise))
    assert (clear(said), unclear(said)) == (clearly, not_clearly)


@pytest.mark.parametrize("which", [[L1], [*ARMS], []], ids=["one", "every", "no"])
def test_the_finding_says_of_each_penalty_that_made_a_0_what_it_left(which):
    said = finding(made(0.4, kept=dict.fromkeys(which, (6, 4))))
    assert said.count("6.0 and 4.0") == len([arm for arm in which if arm != NONE])


def test_the_note_says_how_far_descent_was_from_the_closed_form(tmp_path):
    runs = fast_runs(DEMO)
    farthest = max(point.off for run in runs for point in run.paths[L2])
    assert f"ended within {farthest:.0e} of the closed form" in DEMO.report(runs, Settings("numpy", 2, True, tmp_path)).note


def test_the_strength_is_chosen_by_validation_and_not_by_the_error():
    assert best(made(0.5)[0].paths[L1]).strength == 0.1

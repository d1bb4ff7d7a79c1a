"""The demo of spectral normalization: bounds of the Lipschitz constant, the safe distance, and what is said of them."""

import re

import numpy as np
import pytest
from fast_runs import fast_runs
from findings import clear, unclear

import tinyreg as tr
from demos.base import Settings
from demos.data import digits
from demos.learning import answers
from demos.spectral_norm import (
    ARMS,
    DEMO,
    NOISES,
    Scores,
    finding,
    jacobians,
    layer_norm,
    noisy_accuracy,
    radii,
    scores,
    trained,
)


def made(arm):
    training, held_out = digits(50, seed=0)
    model, layers = trained(training, arm, 0, True, lambda: None)
    return model, layers, training, held_out


def test_jacobians_are_those_of_each_input_by_itself(backend):
    model, _, _, held_out = made("spectral norm")
    inputs = held_out.inputs[::400]
    expected = [tr.jacobian(model)(x).numpy() for x in inputs]
    np.testing.assert_allclose(jacobians(model, inputs).numpy(), expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("arm", ARMS)
def test_no_two_digits_are_further_apart_than_the_bound_allows_nor_is_it_below_the_steepest(arm):
    model, layers, training, held_out = made(arm)
    found = scores(model, layers, training, held_out, 0)
    assert found.steepest <= found.bound * (1 + 1e-5)
    x = held_out.inputs.numpy()
    y = answers(model, held_out.inputs).numpy()
    distances = np.linalg.norm(x[1:] - x[:-1], axis=1), np.linalg.norm(y[1:] - y[:-1], axis=1)
    assert (distances[1] <= found.bound * distances[0] * (1 + 1e-5)).all()


def test_the_norm_is_that_of_the_weight_in_use(backend):
    layer = tr.nn.Linear(6, 4, rng=tr.Generator(0))
    weight = layer.weight.numpy().astype(float)
    assert layer_norm(layer) == pytest.approx(np.linalg.norm(weight, 2), rel=1e-5)
    wrapped = tr.nn.SpectralNorm(layer, rng=tr.Generator(0)).eval()
    used = wrapped(tr.tensor(np.eye(6, dtype="float32"), backend=backend)).detach().numpy() - layer.bias.numpy()
    assert layer_norm(wrapped) == pytest.approx(np.linalg.norm(used, 2), rel=1e-4)


def test_no_change_within_the_safe_distance_makes_an_answer_wrong():
    """The worst change of a linear network is known: along the difference of two rows."""
    weight = np.random.default_rng(0).normal(size=(3, 5))
    x, labels = np.random.default_rng(1).normal(size=(200, 5)), np.random.default_rng(2).integers(0, 3, 200)
    logits = x @ weight.T
    safe = radii(tr.tensor(logits), tr.tensor(labels), float(np.linalg.norm(weight, 2))).numpy()
    to_edge = [
        min((z[k] - z[j]) / np.linalg.norm(weight[k] - weight[j]) for j in range(3) if j != k)
        for z, k in zip(logits, labels, strict=True)
    ]
    assert (safe[np.array(to_edge) < 0] == 0).all()
    assert (safe <= np.maximum(to_edge, 0) * (1 + 1e-6)).all()
    assert (safe > 0).any()


def test_the_safe_distance_of_two_opposite_outputs_is_the_distance_to_the_edge():
    x = np.array([[0.3], [-2.0]])
    logits = np.concatenate([x, -x], axis=1)  # a network of norm sqrt(2), whose answers change at 0
    np.testing.assert_allclose(radii(tr.tensor(logits), tr.tensor([0, 1]), 2**0.5).numpy(), [0.3, 2.0], rtol=1e-6)


def test_noise_of_nothing_changes_nothing_and_much_noise_leaves_chance():
    model, _, _, held_out = made("plain")
    plain = 100 * (answers(model, held_out.inputs).numpy().argmax(axis=1) == held_out.labels.numpy()).mean()
    assert noisy_accuracy(model, held_out, 0.0, tr.Generator(0)) == pytest.approx(plain, abs=1e-3)
    assert noisy_accuracy(model, held_out, 1000.0, tr.Generator(0)) == pytest.approx(10, abs=5)


def test_the_table_has_the_numbers_of_the_runs(tmp_path):
    runs = fast_runs(DEMO)
    rows = {row[0]: row[1:] for row in DEMO.report(runs, Settings("numpy", 2, True, tmp_path)).table}
    for i in range(len(ARMS)):
        bounds = [np.prod(run[i].layers) for run in runs]
        assert rows["Lipschitz constant, at most"][i].split(" ")[0] == f"{np.mean(bounds):.2f}"
        assert rows["Lipschitz constant, at least"][i].split(" ")[0] == f"{np.mean([r[i].steepest for r in runs]):.2f}"
        assert rows["loss (nats)"][i].split(" ")[0] == f"{np.mean([run[i].loss for run in runs]):.3f}"
        assert rows["calibration error"][i].split(" ")[0] == f"{np.mean([run[i].calibration for run in runs]):.1f}"
        for k, std in enumerate(NOISES):
            shares = [run[i].accuracies[k] for run in runs]
            assert rows[f"accuracy, noise {std:g} (%)"][i].split(" ")[0] == f"{np.mean(shares):.1f}"


def pair(change, radius=0.3):
    plain = Scores([4.0, 2.0, 2.0], 12.0, 100.0, [90.0 - 5 * i for i in range(len(NOISES))], 0.5, 5.0, 0.1)
    shares = [share + change * sign for share, sign in zip(plain.accuracies, [-1, 0, 0, 0, 0, 0, 0, 1], strict=True)]
    return [plain, Scores([1.0, 1.1, 1.0], 0.9, 95.0, shares, 0.4, 6.0, radius)]


@pytest.mark.parametrize(
    ("change", "clearly", "not_clearly"),
    [(3.0, [-3.0, 3.0, 0.2], []), (-3.0, [3.0, -3.0, 0.2], []), (0.0, [0.2], [0.0, 0.0])],
)
def test_the_finding_says_what_the_numbers_say(change, clearly, not_clearly):
    said = finding([pair(change, radius) for radius in (0.29, 0.3, 0.31)])
    assert (clear(said), unclear(said)) == (clearly, not_clearly)
    assert re.search(r"0\.9 and 1\.1, .* 12\.0 and 16\.0", said)

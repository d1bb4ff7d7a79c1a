"""A module as a function of its parameters."""

import threading

import numpy as np
import pytest

import tinyreg as tr
from tinyreg import nn


def model():
    tr.seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm(4), nn.Tanh(), nn.Dropout(0.5), nn.Linear(4, 2))


X = tr.Generator(1).normal(shape=(5, 3))


def values(module):
    return {name: value.numpy().copy() for name, value in module.state_dict().items()}


def test_it_is_what_the_module_gives_with_those_values():
    one, other = model().eval(), model().eval()
    given = {name: tr.tensor(np.cos(p.numpy())) for name, p in one.named_parameters()}
    other.load_state_dict(given, strict=False)
    before = values(one)
    assert np.array_equal(nn.functional_call(one, given, X).numpy(), other(tr.tensor(X)).numpy())
    assert all(np.array_equal(before[name], value) for name, value in values(one).items())
    some = {"4.bias": given["4.bias"]}
    assert not np.array_equal(nn.functional_call(one, some, X).numpy(), one(tr.tensor(X)).numpy())


def test_its_gradient_is_that_of_the_parameters():
    module = model().eval()
    parameters = {name: tr.tensor(p.numpy()) for name, p in module.named_parameters()}
    slopes = tr.grad(lambda p: tr.square(nn.functional_call(module, p, X)).sum())(parameters)
    tr.square(module(tr.tensor(X))).sum().backward()
    for name, parameter in module.named_parameters():
        np.testing.assert_array_equal(slopes[name].numpy(), parameter.grad.numpy())


def test_a_step_of_meta_learning_has_the_gradient_of_differences():
    module = nn.Sequential(nn.Linear(3, 3, rng=0), nn.Tanh(), nn.Linear(3, 1, rng=1))
    parameters = {name: tr.tensor(p.numpy().astype("f8")) for name, p in module.named_parameters()}
    x = X.astype("f8")

    def loss(p):
        return tr.square(nn.functional_call(module, p, tr.astype(x, p["0.weight"].dtype))).mean()

    def after_a_step(p):
        slopes = tr.grad(loss)(p)
        return loss({name: value - 0.1 * slopes[name] for name, value in p.items()})

    names = [*parameters]
    report = tr.testing.check_gradients(
        lambda *each: after_a_step(dict(zip(names, each, strict=True))), *parameters.values(), order=1
    )
    assert report, str(report)


def test_statistics_go_to_the_module_and_modes_and_generators_are_its_own():
    module, twin = model(), model()
    tr.seed(3)
    one = nn.functional_call(module, dict(module.named_parameters()), X)
    tr.seed(3)
    other = twin(tr.tensor(X))
    assert np.array_equal(one.numpy(), other.numpy())
    assert all(np.array_equal(values(module)[name], value) for name, value in values(twin).items())
    with nn.monte_carlo(module.eval()):
        passes = [nn.functional_call(module, {}, X).numpy() for _ in range(2)]
    assert not np.array_equal(*passes)


def test_a_parameter_in_two_places_is_replaced_in_both():
    class Tied(nn.Module):
        def __init__(self):
            self.a = nn.Linear(2, 2, rng=0)
            self.held = {"b": [self.a], "weight": self.a.weight}

        def forward(self, x):
            return self.held["b"][0](x) + x @ self.held["weight"].T + x @ self.a.weight.T

    given = {"a.weight": tr.zeros((2, 2)), "a.bias": tr.ones(2)}
    assert nn.functional_call(Tied(), given, tr.ones((1, 2))).tolist() == [[1.0, 1.0]]


def test_threads_share_the_module():
    module = nn.Linear(3, 1, rng=0)
    found = {}

    def call(k):
        weight = tr.full((1, 3), float(k))
        found[k] = {nn.functional_call(module, {"weight": weight}, tr.ones((1, 3))).item() for _ in range(200)}

    threads = [threading.Thread(target=call, args=(k,)) for k in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert found == {k: {3.0 * k} for k in range(4)}


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ({"weights": tr.ones((1, 3))}, ValueError, "got 'weights', expected names of Linear: weight, bias"),
        ({"weight": tr.ones((3, 1))}, ValueError, r"got weight float32\[3, 1\], expected float32\[1, 3\]"),
        ({"weight": np.ones((1, 3))}, TypeError, "as weight, expected a Tensor"),
    ],
)
def test_what_does_not_fit_is_told(given, error, message):
    with pytest.raises(error, match=message):
        nn.functional_call(nn.Linear(3, 1), given, tr.ones((1, 3)))

"""A Sequential in which a BatchNorm does the ReLU and the Dropout that follow it: the same numbers as layer by layer."""

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

import tinyreg as tr
from tinyreg import nn

pytestmark = pytest.mark.usefixtures("float64")

LAYERS = {
    "Linear": lambda: nn.Linear(4, 4),
    "BatchNorm": lambda: nn.BatchNorm(4),
    "ReLU": nn.ReLU,
    "Dropout": lambda: nn.Dropout(0.5),
    "Tanh": nn.Tanh,
}


def built(*names, seed=0):
    tr.seed(seed)
    return nn.Sequential(*(LAYERS[name]() for name in names))


def one_by_one(model):
    def run(x):
        for layer in model:
            x = layer(x)
        return x

    return run


def ops(y):
    return [entry.op.name for entry in tr.tape(y)]


def step(model, run, x):
    """Value, gradients and running averages of one step, from the same random numbers."""
    tr.seed(7)
    x = tr.tensor(x, requires_grad=True)
    y = run(x)
    (y * y).sum().backward()
    return [y, x.grad, *(p.grad for p in model.parameters()), *model.buffers()]


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


@given(names=st.lists(st.sampled_from([*LAYERS, "BatchNorm", "ReLU"]), min_size=1, max_size=8), seed=st.integers(0, 99))
def test_joined_layers_give_what_they_give_one_by_one(names, seed):
    joined, apart = built("Linear", *names), built("Linear", *names)
    results = step(joined, joined, normal(6, 4, seed=seed)), step(apart, one_by_one(apart), normal(6, 4, seed=seed))
    for found, expected in zip(*results, strict=True):
        np.testing.assert_allclose(found.numpy(), expected.numpy(), rtol=1e-8, atol=1e-9)


def test_a_batch_norm_does_the_relu_and_the_dropout_that_follow_it():
    model, x = built("Linear", "BatchNorm", "ReLU", "Dropout", "BatchNorm", "ReLU", "ReLU", "BatchNorm"), normal(6, 4)
    fewer = ["linear", "batch_norm", "batch_norm", "relu", "batch_norm"]
    assert ops(model(tr.tensor(x))) == fewer


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda model: model.eval(), None),
        (lambda model: setattr(model[0], "frozen", True), None),
        (lambda model: setattr(model[2], "p", 0.0), ["batch_norm"]),
        (lambda model: model[2].eval(), ["batch_norm"]),
        (lambda model: None, ["batch_norm"]),
    ],
    ids=["out of training", "frozen", "nothing is dropped", "dropout is out of training", "as it is"],
)
def test_layers_are_joined_only_where_they_act_so(change, expected):
    model, x = built("BatchNorm", "ReLU", "Dropout"), normal(6, 4)
    change(model)
    recorded = ops(model(tr.tensor(x, requires_grad=True)))
    assert recorded == expected if expected else "batch_norm" not in recorded and "relu" in recorded


def test_a_layer_of_ones_own_is_called_as_it_is():
    class Leaky(nn.ReLU):
        def forward(self, x):
            return tr.leaky_relu(x)

    model = nn.Sequential(nn.BatchNorm(4), Leaky())
    assert ops(model(tr.tensor(normal(6, 4)))) == ["batch_norm", "leaky_relu"]


def test_the_entry_says_what_was_joined():
    entry = tr.tape(built("BatchNorm", "ReLU", "Dropout")(tr.tensor(normal(6, 4))))[0]
    assert entry.op.name == "batch_norm"
    assert (entry.settings["relu"], entry.settings["dropout"]) == (True, 0.5)


def test_without_the_table_every_layer_runs_by_itself_and_gives_the_same_numbers(monkeypatch):
    model, x = built("Linear", "BatchNorm", "ReLU", "Dropout"), normal(6, 4)
    tr.seed(7)
    joined = model(tr.tensor(x))
    monkeypatch.setattr(nn.fusion, "TABLE", {})
    tr.seed(7)
    apart = model(tr.tensor(x))
    assert ops(joined) == ["linear", "batch_norm"]
    assert ops(apart) == ["linear", "batch_norm", "relu", "dropout"]
    np.testing.assert_allclose(joined.numpy(), apart.numpy(), rtol=1e-12)


def test_layers_know_nothing_of_what_is_joined():
    rooms = [nn.norm, nn.dropout, nn.activations, nn.module, tr.normalization.norms, tr.dropout]
    assert not [room for room in rooms if "fusion" in vars(room)]


def test_inside_explain_each_layer_has_its_own_entry():
    model, x = built("BatchNorm", "ReLU", "Dropout"), tr.tensor(normal(6, 4))
    with tr.explain():
        assert ops(model(x)) == ["batch_norm", "relu", "dropout"]


def test_second_derivatives_of_joined_layers_are_those_of_the_layers():
    model = built("BatchNorm", "ReLU")
    report = tr.testing.check_gradients(lambda x: model(x).sum(axis=0), normal(5, 4), order=2)
    assert report, str(report)


def test_nan_and_infinity_go_the_way_of_the_layers():
    x = normal(6, 4)
    x[0, 0], x[1, 1] = np.nan, np.inf
    for run in (lambda model: model, one_by_one):
        model = built("BatchNorm", "ReLU")
        with np.errstate(invalid="ignore"):
            y = run(model)(tr.tensor(x)).numpy()
        assert np.isnan(y[:, :2]).all()
        assert np.isfinite(y[:, 2:]).all()


def test_float16_is_normalized_in_float32_and_stays_float16():
    model, x = built("BatchNorm", "ReLU"), tr.tensor(1000 * normal(64, 4), dtype="float16")
    assert model(x).dtype == "float16"
    np.testing.assert_allclose(model(x).numpy(), one_by_one(model)(x).numpy(), rtol=2e-3, atol=1e-3)


def test_joined_layers_have_the_settings_of_each():
    model, x = nn.Sequential(nn.BatchNorm(4, eps=3.0), nn.ReLU()), tr.tensor(normal(6, 4))
    np.testing.assert_allclose(model(x).numpy(), one_by_one(model)(x).numpy(), rtol=1e-12)


def test_a_batch_that_is_refused_draws_nothing():
    model = built("BatchNorm", "ReLU", "Dropout")
    tr.seed(3)
    with pytest.raises(ValueError, match="expected  more than one value for each channel"):
        model(tr.ones((1, 4)))
    after = tr.Generator(3).uniform(shape=3)
    np.testing.assert_array_equal(tr.random.default_generator.uniform(shape=3), after)

"""Dropout in recurrent layers: between layers and on the way to the next step, over time and under Monte Carlo."""

import copy
import pickle

import numpy as np
import pytest
from recurrent_layers import EACH, made, tensor

import tinyreg as tr
from tinyreg import nn
from tinyreg.nn.recurrent import LSTM

pytestmark = pytest.mark.usefixtures("backend")

rng = np.random.default_rng(3)


def transparent(**settings):
    """An LSTM of two layers of which the second shows what reaches it: 0 where the dropout between them dropped."""
    model = LSTM(2, 8, num_layers=2, rng=tr.Generator(1), **settings)
    state = {n: np.zeros(p.shape) for n, p in model.named_parameters() if n.endswith("l1")}
    state["weight_ih_l1"][16:24] = np.eye(8)
    state["bias_ih_l1"][:] = np.repeat([1e4, -1e4, 0.0, 1e4], 8)  # the gates i and o open, f closed
    model.load_state_dict(model.state_dict() | state)
    return model


@pytest.mark.parametrize("variational", [False, True])
def test_the_mask_between_layers_is_the_same_at_every_step_if_variational(variational):
    model, x = transparent(dropout=0.5, variational=variational), tensor(rng.normal(size=(6, 16, 2)))
    dropped = model(x)[0].numpy() == 0
    assert 0.4 < dropped.mean() < 0.6
    assert (dropped == dropped[:1]).all() == variational
    assert not (dropped == dropped[:, :1]).all()  # each sequence has its own
    again = model(x)[0].numpy() == 0
    assert (again != dropped).any()


def test_dropout_keeps_the_mean_of_what_goes_from_layer_to_layer():
    model, x = transparent(dropout=0.5), tensor(np.ones((1, 4000, 2)))
    kept = np.arctanh(np.arctanh(model(x)[0].numpy()[0]))
    expected = np.arctanh(np.arctanh(model.eval()(x)[0].numpy()[0, 0]))
    np.testing.assert_allclose(kept.mean(axis=0), expected, atol=5 * np.abs(expected).max() / np.sqrt(4000))


@EACH
def test_there_is_no_dropout_after_the_last_layer(layer):
    model, x = made(layer, 2, 3, num_layers=2, dropout=1.0), tensor(rng.normal(size=(4, 2, 2)))
    y = model(x)[0].numpy()
    assert y.all()
    np.testing.assert_array_equal(y, model(tensor(np.ones((4, 2, 2))))[0].numpy())  # nothing passes between the layers


def repeating(layer, **settings):
    """A layer without weights from the input, each of whose features depends on itself one step before."""
    model = layer(1, 16, rng=tr.Generator(0), **settings)
    gates = np.arange(16 * model.gates) // 16
    state = {n: np.zeros(p.shape) for n, p in model.named_parameters()}
    state["weight_hh_l0"] = np.tile(np.eye(16), (model.gates, 1))
    state["bias_ih_l0"] = np.where(gates == 1, 0.0, 1.0)
    model.load_state_dict(state)
    return model


def test_the_mask_on_what_is_fed_back_is_the_same_at_every_step():
    model, x = repeating(LSTM, recurrent_dropout=0.5), tensor(np.zeros((4, 32, 1)))
    alone = repeating(LSTM, recurrent_dropout=1.0)(x)[0].numpy()
    dropped = np.isclose(model(x)[0].numpy(), alone, rtol=1e-6)
    assert dropped[0].all()  # at first there is nothing to feed back
    assert 0.4 < dropped[1].mean() < 0.6
    assert (dropped[1:] == dropped[1]).all()
    assert not (dropped[1] == dropped[1, :1]).all()
    again = np.isclose(model(x)[0].numpy(), alone, rtol=1e-6)
    assert (again[1] != dropped[1]).any()


@EACH
def test_what_is_fed_back_is_made_larger_by_what_is_dropped(layer):
    model, twice = repeating(layer, recurrent_dropout=0.5), repeating(layer)
    twice.weight_hh_l0.assign(2 * twice.weight_hh_l0.numpy())
    x = tensor(np.zeros((3, 32, 1)))
    y = model(x)[0].numpy()[1]
    kept, dropped = twice(x)[0].numpy()[1], repeating(layer, recurrent_dropout=1.0)(x)[0].numpy()[1]
    assert (np.isclose(y, kept, rtol=1e-6) ^ np.isclose(y, dropped, rtol=1e-6)).all()


def test_what_is_dropped_on_its_way_back_may_be_infinite():
    model = tr.nn.RNN(1, 16, nonlinearity="relu", recurrent_dropout=1.0, rng=tr.Generator(0))
    hx = tensor(np.full((1, 4, 16), np.inf), requires_grad=True)
    y = model(tensor(np.zeros((1, 4, 1))), hx)[0]
    y.sum().backward()
    assert not y.numpy().any()
    assert not hx.grad.numpy().any()


def dropping(layer):
    return made(layer, 2, 4, num_layers=2, dropout=0.5, recurrent_dropout=0.5, variational=True)


@EACH
def test_dropout_is_off_in_eval(layer):
    model, x, plain = dropping(layer), tensor(rng.normal(size=(4, 3, 2))), layer(2, 4, num_layers=2)
    plain.load_state_dict(model.state_dict())
    assert (model(x)[0].numpy() != plain(x)[0].numpy()).any()
    model.eval()
    np.testing.assert_array_equal(model(x)[0].numpy(), plain(x)[0].numpy())


@EACH
def test_monte_carlo_has_it_drop_in_eval_too(layer):
    model, x = dropping(layer).eval(), tensor(rng.normal(size=(4, 3, 2)))
    expected = model(x)[0].numpy()
    with nn.monte_carlo(model):
        found = [model(x)[0].numpy() for _ in range(2)]
    assert (found[0] != expected).any()
    assert (found[0] != found[1]).any()
    np.testing.assert_array_equal(model(x)[0].numpy(), expected)


@EACH
@pytest.mark.parametrize("kind", [{"recurrent_dropout": 0.5}, {"dropout": 0.5, "num_layers": 2}])
def test_monte_carlo_predicts_with_either_dropout_alone(layer, kind):
    class Last(nn.Module):
        def __init__(self):
            self.inner = made(layer, 2, 4, **kind)

        def forward(self, x):
            return self.inner(x)[0][-1]

    _, std = nn.monte_carlo_predict(Last(), tensor(rng.normal(size=(4, 3, 2))), passes=4)
    assert std.numpy().all()


def test_the_seed_decides_what_is_dropped():
    def output():
        return LSTM(2, 4, num_layers=2, dropout=0.5, recurrent_dropout=0.5)(tensor(np.ones((4, 3, 2))))[0].numpy()

    tr.seed(5)
    first = output()
    tr.seed(5)
    np.testing.assert_array_equal(output(), first)
    assert (output() != first).any()


@EACH
def test_a_checkpoint_gives_the_same_gradient_under_dropout(layer):
    def gradients(wrap):
        model, x = dropping(layer), tensor(np.ones((4, 3, 2)), requires_grad=True)
        model.load_state_dict({n: np.full(p.shape, 0.3) for n, p in model.named_parameters()})
        tr.seed(1)
        wrap(lambda x: model(x, lengths=[4, 2, 3])[0])(x).sum().backward()
        return [leaf.grad.numpy() for leaf in (x, *model.parameters())]

    for plain, again in zip(gradients(lambda f: f), gradients(tr.checkpoint), strict=True):
        np.testing.assert_allclose(again, plain, rtol=1e-6)


@EACH
@pytest.mark.parametrize("copied", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_a_copy_stands_for_itself(layer, copied):
    model, x = dropping(layer), tensor(rng.normal(size=(4, 3, 2)))
    twin = copied(model)
    np.testing.assert_array_equal(twin(x)[0].numpy(), model(x)[0].numpy())  # the same masks, from a generator each
    twin.weight_hh_l0.assign(np.zeros(twin.weight_hh_l0.shape))
    assert model.weight_hh_l0.numpy().any()

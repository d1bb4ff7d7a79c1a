"""Recurrent layers: against PyTorch's, and lengths against sequences by themselves."""

import json

import numpy as np
import pytest
from recurrent_layers import EACH, made, tensor
from reference.recurrent_and_attention import CALLS, STORED, drawn

import tinyreg as tr
from tinyreg import nn
from tinyreg.nn.recurrent import GRU, LSTM, RNN

pytestmark = pytest.mark.usefixtures("backend")

EXPECTED = json.loads(STORED.read_text(encoding="utf-8"))
rng = np.random.default_rng(3)


def states(end):
    """The final states as a list, of any of the layers."""
    return list(end) if isinstance(end, tuple) else [end]


# ---- as PyTorch's

OWN = {"RNN": RNN, "LSTM": LSTM, "GRU": GRU}


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("name", [name for name, call in CALLS.items() if call["layer"] in OWN])
def test_values_and_gradients_are_those_of_pytorch(name):
    call, expected = CALLS[name], EXPECTED[name]
    layer = OWN[call["layer"]](**call["sizes"])
    layer.load_state_dict(drawn(name, {n: p.shape for n, p in layer.named_parameters()}))
    leaves = {n: tensor(v, requires_grad=True, dtype="float64") for n, v in drawn(name, call["inputs"]).items()}
    x, *state = leaves.values()
    hx = (tuple(state) if len(state) > 1 else state[0]) if state else None
    output, end = layer(x, hx, lengths=call.get("lengths"))
    outputs = [output, *states(end)]
    for found, values in zip(outputs, expected["outputs"], strict=True):
        np.testing.assert_allclose(found.numpy(), values, rtol=1e-13, atol=1e-15)
    incoming = drawn(name, {f"g{i}": y.shape for i, y in enumerate(outputs)}).values()
    sum((y * tensor(g, dtype="float64")).sum() for y, g in zip(outputs, incoming, strict=True)).backward()
    leaves |= dict(layer.named_parameters())
    assert leaves.keys() == expected["gradients"].keys()
    for n, leaf in leaves.items():
        np.testing.assert_allclose(leaf.grad.numpy(), expected["gradients"][n], rtol=1e-12, atol=1e-14, err_msg=n)


@EACH
def test_the_state_fits_pytorchs_layer_and_comes_back(layer):
    torch = pytest.importorskip("torch", exc_type=ImportError)
    sizes = {"num_layers": 2, "bidirectional": True, "batch_first": True}
    own, theirs = layer(3, 4, **sizes), getattr(torch.nn, layer.__name__)(3, 4, **sizes)
    theirs.load_state_dict({n: torch.tensor(v.numpy()) for n, v in own.state_dict().items()}, strict=True)
    other = layer(3, 4, **sizes)
    other.load_state_dict({n: v.numpy() for n, v in theirs.state_dict().items()})
    x = rng.normal(size=(2, 5, 3)).astype("float32")
    expected = theirs(torch.tensor(x))[0].detach().numpy()
    for each in (own, other):
        np.testing.assert_allclose(each(tensor(x))[0].numpy(), expected, rtol=1e-5, atol=1e-6)


# ---- shapes and states


@EACH
@pytest.mark.parametrize("bidirectional", [False, True])
def test_batch_first_is_the_same_with_two_axes_exchanged(layer, bidirectional):
    settings = {"num_layers": 2, "bidirectional": bidirectional}
    one, other = layer(3, 4, **settings), layer(3, 4, batch_first=True, **settings)
    other.load_state_dict(one.state_dict())
    x, ways = rng.normal(size=(5, 2, 3)), 1 + bidirectional
    (y, end), (z, other_end) = one(tensor(x)), other(tensor(x.swapaxes(0, 1)))
    assert y.shape == (5, 2, 4 * ways)
    np.testing.assert_array_equal(y.numpy(), z.numpy().swapaxes(0, 1))
    for part, other_part in zip(states(end), states(other_end), strict=True):
        assert part.shape == (2 * ways, 2, 4)
        np.testing.assert_array_equal(part.numpy(), other_part.numpy())


@EACH
def test_a_sequence_may_be_gone_through_in_pieces(layer):
    model, x = made(layer, 3, 4, num_layers=2), tensor(rng.normal(size=(7, 2, 3)))
    whole, end = model(x)
    first, between = model(x[:3])
    rest, other_end = model(x[3:], between)
    np.testing.assert_allclose(np.concatenate([first.numpy(), rest.numpy()]), whole.numpy(), rtol=1e-5, atol=1e-6)
    for part, other in zip(states(end), states(other_end), strict=True):
        np.testing.assert_allclose(part.numpy(), other.numpy(), rtol=1e-5, atol=1e-6)


@EACH
def test_the_last_output_is_the_last_h_and_the_state_gets_a_gradient(layer):
    model = made(layer, 3, 4)
    start = [tensor(rng.normal(size=(1, 2, 4)), requires_grad=True) for _ in model.states]
    y, end = model(tensor(rng.normal(size=(5, 2, 3))), tuple(start) if len(start) > 1 else start[0])
    np.testing.assert_array_equal(states(end)[0][0].numpy(), y[-1].numpy())
    y.sum().backward()
    assert all(part.grad.numpy().all() for part in start)


@EACH
def test_the_second_direction_sees_what_comes_later(layer):
    x = tensor(rng.normal(size=(4, 1, 2)), requires_grad=True)
    made(layer, 2, 3, bidirectional=True)(x)[0][1, 0, 3:].sum().backward()
    assert x.grad.numpy().any(axis=2).ravel().tolist() == [False, True, True, True]
    x.zero_grad()
    made(layer, 2, 3, bidirectional=True)(x)[0][1, 0, :3].sum().backward()
    assert x.grad.numpy().any(axis=2).ravel().tolist() == [True, True, False, False]


@EACH
def test_an_empty_batch(layer):
    y, end = layer(2, 3)(tensor(np.ones((4, 0, 2))))
    assert y.shape == (4, 0, 3)
    assert {part.shape for part in states(end)} == {(1, 0, 3)}


def test_more_steps_than_python_may_recurse():  # micrograd#90
    x = tensor(np.ones((1100, 1, 1)), requires_grad=True)
    GRU(1, 1)(x)[0].sum().backward()
    assert x.grad.numpy().all()


@EACH
def test_arrays_are_taken_as_they_are(layer):
    model, x = layer(2, 3), tensor(rng.normal(size=(4, 2, 2)))
    np.testing.assert_array_equal(model(x.data)[0].numpy(), model(x)[0].numpy())


@EACH
def test_float32_stays_float32(layer):
    model = layer(2, 3, num_layers=2, dropout=0.5, recurrent_dropout=0.5, variational=True)
    x = tensor(np.ones((4, 2, 2)), requires_grad=True)
    y, end = model(x, lengths=[4, 2])
    y.sum().backward()
    found = [y, *states(end), x.grad, *(p.grad for p in model.parameters())]
    assert {str(part.dtype) for part in found} == {"float32"}


# ---- lengths

LENGTHS = [3, 5, 1, 0]


@EACH
def test_with_lengths_every_sequence_is_as_if_it_were_alone(layer):
    model, x = made(layer, 3, 4, num_layers=2, bidirectional=True), rng.normal(size=(5, 4, 3))
    y, end = model(tensor(x), lengths=LENGTHS)
    for n, length in enumerate(LENGTHS[:3]):
        alone, alone_end = model(tensor(x[:length, n : n + 1]))
        np.testing.assert_allclose(y.numpy()[:length, n], alone.numpy()[:, 0], rtol=1e-5, atol=1e-6)
        for part, other in zip(states(end), states(alone_end), strict=True):
            np.testing.assert_allclose(part.numpy()[:, n], other.numpy()[:, 0], rtol=1e-5, atol=1e-6)
    for n, length in enumerate(LENGTHS):
        assert not y.numpy()[length:, n].any()
    assert not any(part.numpy()[:, 3].any() for part in states(end))


@EACH
def test_no_gradient_reaches_the_steps_beyond_a_length(layer):
    x = tensor(rng.normal(size=(5, 4, 3)), requires_grad=True)
    y, end = made(layer, 3, 4, bidirectional=True)(x, lengths=LENGTHS)
    (y.sum() + sum(part.sum() for part in states(end))).backward()
    active = np.arange(5)[:, None] < LENGTHS
    assert (x.grad.numpy().any(axis=2) == active).all()


@EACH
@pytest.mark.parametrize("filler", [np.nan, np.inf, -np.inf, 3e38])
@pytest.mark.parametrize("settings", [{}, {"num_layers": 2, "bidirectional": True, "batch_first": True}])
@pytest.mark.parametrize("drop", [{}, {"recurrent_dropout": 0.5}])
def test_what_stands_beyond_a_length_does_not_count(layer, filler, settings, drop):  # tensorflow#6209
    model, clean = made(layer, 3, 4, **settings, **drop), rng.normal(size=(5, 4, 3))
    start = rng.normal(size=(4 if settings else 1, 4, 4))

    def found(padding):
        model.recurrent_dropout.rng.seed(1)
        x, first = clean.copy(), start.copy()
        for n, length in enumerate(LENGTHS):
            x[length:, n] = padding
        x = tensor(x.swapaxes(0, 1) if settings else x, requires_grad=True)
        hx = [tensor(first, requires_grad=True) for _ in model.states]
        leaves = [x, *hx, *model.parameters()]
        y, end = model(x, tuple(hx) if len(hx) > 1 else hx[0], lengths=LENGTHS)
        loss = sum((part * part).sum() for part in (y, *states(end)))
        loss.backward(create_graph=True)
        first = [leaf.grad.numpy() for leaf in leaves]
        total = sum((leaf.grad * leaf.grad).sum() for leaf in leaves)
        for leaf in leaves:
            leaf.zero_grad()
        total.backward()
        second = [leaf.grad.numpy() for leaf in leaves]
        for leaf in leaves:
            leaf.zero_grad()
        return [y.numpy(), *(part.numpy() for part in states(end)), *first, *second]

    for plain, padded in zip(found(0.0), found(filler), strict=True):
        np.testing.assert_array_equal(plain, padded)


@EACH
def test_a_sequence_of_no_steps_hands_on_any_state_and_shares_it_with_no_other(layer):
    model = made(layer, 3, 4)
    start = np.zeros((1, 2, 4))
    start[0, 1] = np.nan
    hx = [tensor(start, requires_grad=True) for _ in model.states]
    y, end = model(tensor(np.ones((3, 2, 3))), tuple(hx) if len(hx) > 1 else hx[0], lengths=[3, 0])
    y.sum().backward()
    assert np.isnan(states(end)[0].numpy()[0, 1]).all()
    assert not y.numpy()[:, 1].any()
    for leaf in (*hx, *model.parameters()):
        assert np.isfinite(leaf.grad.numpy()).all()


@EACH
def test_lengths_may_be_a_list_an_array_or_a_tensor(layer):
    model, x = layer(2, 3), tensor(rng.normal(size=(3, 2, 2)))
    expected = model(x, lengths=[2, 3])[0].numpy()
    for lengths in (np.array([2, 3], dtype="uint8"), tensor([2, 3], dtype="int64"), tensor([2, 3], dtype="int32").data):
        np.testing.assert_array_equal(model(x, lengths=lengths)[0].numpy(), expected)


# ---- initial values, text


@EACH
def test_initial_values(layer):
    model = layer(20, 30, num_layers=2, bidirectional=True, rng=tr.Generator(2))
    state = {n: v.numpy() for n, v in model.state_dict().items()}
    for name, value in state.items():
        if name.startswith("weight_hh"):
            for square in np.split(value, model.gates):
                np.testing.assert_allclose(square @ square.T, np.eye(30), atol=1e-5)
        elif name.startswith("weight_ih"):
            bound = np.sqrt(6 / (value.shape[1] + 30))
            assert 0.95 * bound < np.abs(value).max() <= bound
        else:
            forget = layer is LSTM and name.startswith("bias_ih")
            np.testing.assert_array_equal(value, np.repeat([0.0, 1.0, 0.0, 0.0] if forget else [0.0] * model.gates, 30))
    assert {n: p.decay for n, p in model.named_parameters()} == {n: "weight" in n for n in state}


def test_the_nonlinearity_stands_where_it_does_in_pytorch():
    x = tensor(rng.normal(size=(5, 2, 3)))
    tanh, relu = RNN(3, 4, 1, "tanh", False), RNN(3, 4, 1, "relu", False)
    relu.load_state_dict(tanh.state_dict())
    assert (tanh(x)[0].numpy() < 0).any()
    assert relu(x)[0].numpy().min() == 0
    assert list(relu.state_dict()) == ["weight_ih_l0", "weight_hh_l0"]


def test_without_a_bias_there_is_none():
    assert list(LSTM(2, 3, bias=False).state_dict()) == ["weight_ih_l0", "weight_hh_l0"]


def test_as_text():
    assert repr(RNN(2, 3, bias=False)).startswith("RNN(2, 3, bias=False\n")
    assert repr(RNN(2, 3, 2, "relu")).startswith("RNN(2, 3, num_layers=2, nonlinearity='relu'\n")
    model = nn.Sequential(GRU(2, 3, num_layers=2, bias=False, bidirectional=True, dropout=0.25, variational=True))
    assert repr(model) == (
        "Sequential(\n"
        "  (0): GRU(2, 3, num_layers=2, bias=False, bidirectional=True\n"
        "    (dropout): SpatialDropout(p=0.25)\n"
        "    (recurrent_dropout): Dropout(p=0)\n"
        "  )\n"
        ")"
    )


# ---- refusals

X = np.ones((4, 2, 3))


@pytest.mark.parametrize(
    ("x", "settings", "text"),
    [
        (np.ones((4, 3)), {}, r"LSTM: got x float32\[4, 3\], expected shape \(T, N, 3\)"),
        (np.ones((4, 2, 2)), {"batch_first": True}, r"got x float32\[4, 2, 2\], expected shape \(N, T, 3\)"),
        (np.ones((0, 2, 3)), {}, r"LSTM: got x float32\[0, 2, 3\] of no steps, expected at least one"),
    ],
)
def test_inputs_that_do_not_fit(x, settings, text):
    with pytest.raises(ValueError, match=text):
        LSTM(3, 4, **settings)(tensor(x))


@pytest.mark.parametrize("dtype", ["int64", "float64"])
def test_an_input_of_another_dtype_than_the_parameters_is_refused(dtype):
    with pytest.raises(TypeError, match=rf"GRU: got x {dtype}\[4, 2, 3\], expected float32, the dtype of the layer's"):
        GRU(3, 4)(tensor(X, dtype=dtype))
    with pytest.raises(TypeError, match=r"LSTM: got c float64\[1, 2, 4\], expected float32, the dtype of the layer's"):
        LSTM(3, 4)(tensor(X), (tr.zeros((1, 2, 4)), tr.zeros((1, 2, 4), dtype="float64")))


def test_states_that_do_not_fit():
    h, wrong = tensor(np.zeros((1, 2, 4))), tensor(np.zeros((2, 2, 4)))
    text = r"LSTM: got the state float32\[1, 2, 4\], float32\[2, 2, 4\], expected h and c of shape \[1, 2, 4\]"
    with pytest.raises(ValueError, match=text):
        LSTM(3, 4)(tensor(X), (h, wrong))
    with pytest.raises(ValueError, match=r"LSTM: got the state float32\[1, 2, 4\], expected h and c of shape"):
        LSTM(3, 4)(tensor(X), (h,))
    with pytest.raises(ValueError, match=r"GRU: got the state float32\[2, 2, 4\], expected h of shape \[1, 2, 4\]"):
        GRU(3, 4)(tensor(X), wrong)


@pytest.mark.parametrize(
    ("lengths", "text"),
    [
        ([2], r"LSTM: got lengths int64\[1\], expected 2 integers, one a sequence"),
        ([2.0, 3.0], r"LSTM: got lengths float32\[2\], expected 2 integers"),
        ([5, 2], r"LSTM: got lengths \[5, 2\], expected each from 0 to 4, the number of steps"),
        ([-1, 2], r"LSTM: got lengths \[-1, 2\], expected each from 0 to 4"),
    ],
)
def test_lengths_that_do_not_fit(lengths, text):
    with pytest.raises(ValueError, match=text):
        LSTM(3, 4)(tensor(X), lengths=lengths)


def test_settings_out_of_range():
    with pytest.raises(
        ValueError, match="GRU: got input_size=3, hidden_size=0 and num_layers=1, expected at least 1 of each"
    ):
        GRU(3, 0)
    with pytest.raises(ValueError, match="RNN: got nonlinearity='sigmoid', expected 'tanh' or 'relu'"):
        RNN(3, 4, nonlinearity="sigmoid")
    with pytest.raises(ValueError, match=r"Dropout: got p=1.5, expected a share from 0 to 1"):
        LSTM(3, 4, 2, dropout=1.5)
    with pytest.raises(ValueError, match=r"Dropout: got p=-0.5, expected a share from 0 to 1"):
        LSTM(3, 4, recurrent_dropout=-0.5)


@EACH
def test_a_seed_stands_for_a_generator(layer):
    settings = {"num_layers": np.int64(2), "dropout": 0.5, "recurrent_dropout": 0.5}
    one, other, given = (layer(np.int64(3), 4, rng=rng, **settings) for rng in (7, 7, tr.Generator(7)))
    for (n, a), b, c in zip(one.named_parameters(), other.parameters(), given.parameters(), strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy(), err_msg=n)
        np.testing.assert_array_equal(a.numpy(), c.numpy(), err_msg=n)
    assert not np.array_equal(one.weight_hh_l0.numpy(), one.weight_hh_l1.numpy())
    assert one.dropout.rng is one.recurrent_dropout.rng
    np.testing.assert_array_equal(one(tensor(X))[0].numpy(), other(tensor(X))[0].numpy())
    with pytest.raises(TypeError, match=f"{layer.__name__}: got rng='7', expected a tr.Generator, an integer seed"):
        layer(3, 4, rng="7")
    with pytest.raises(TypeError, match=f"{layer.__name__}: got hidden_size=4.0, expected an integer"):
        layer(3, 4.0)


def test_dropout_between_layers_of_which_there_is_one_is_warned_of():
    for layer in (LSTM, RNN):
        text = rf"{layer.__name__}: got dropout=0.5 with one layer, where it does nothing"
        with pytest.warns(UserWarning, match=text) as caught:
            layer(3, 4, dropout=0.5)
        assert caught[0].filename == __file__


@pytest.mark.parametrize("kind", [RNN, LSTM, GRU])
def test_a_step_of_ones_own_counts(kind):
    class Still(kind):
        def step(self, x, h, state):
            return state

    layer = Still(3, 4, rng=0)
    start = tr.ones((1, 2, 4))
    output = layer(tensor(X), (start, start) if kind is LSTM else start)[0]
    np.testing.assert_array_equal(output.numpy(), 1.0)


@pytest.mark.parametrize("kind", [RNN, LSTM, GRU])
def test_a_layer_gives_the_same_where_the_steps_of_its_definition_are_shown(kind):
    layer = kind(3, 2, num_layers=2, bidirectional=True, rng=0)
    x = tensor(np.random.default_rng(0).normal(size=(4, 2, 3)).astype("float32"))
    lengths = np.array([4, 2])
    fast = layer(x, lengths=lengths)[0]
    with tr.explain(definitions=True):
        shown = layer(x, lengths=lengths)[0]
    np.testing.assert_allclose(fast.numpy(), shown.numpy(), rtol=1e-5, atol=1e-6)

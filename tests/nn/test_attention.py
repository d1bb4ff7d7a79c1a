"""Attention: against PyTorch's, what masks let through, queries without a key, and dropout in all its places."""

import json

import numpy as np
import pytest
from attention_layers import booleans, drawn_tensors, heads, rng, tensor
from reference.recurrent_and_attention import CALLS, STORED, drawn

import tinyreg as tr
from tinyreg.nn.attention import MultiHeadAttention, TransformerBlock, attention

pytestmark = pytest.mark.usefixtures("backend", "float64")

EXPECTED = json.loads(STORED.read_text(encoding="utf-8"))


# ---- as PyTorch's

OWN = {"MultiheadAttention": MultiHeadAttention, "TransformerEncoderLayer": TransformerBlock}


@pytest.mark.parametrize("name", [name for name, call in CALLS.items() if call["layer"] in OWN])
def test_values_and_gradients_are_those_of_pytorch(name):
    call, expected = CALLS[name], EXPECTED[name]
    layer = OWN[call["layer"]](**call["sizes"])
    layer.load_state_dict(drawn(name, {n: p.shape for n, p in layer.named_parameters()}))
    leaves = {n: tensor(v, requires_grad=True) for n, v in drawn(name, call["inputs"]).items()}
    masks = {n: tensor(m, dtype=np.array(m).dtype) for n, m in call.get("masks", {}).items()}
    if isinstance(layer, TransformerBlock):
        outputs = [layer(*leaves.values(), **masks)]
    else:
        outputs = layer(*leaves.values(), need_weights=True, **masks)
    for found, values in zip(outputs, expected["outputs"], strict=True):
        np.testing.assert_allclose(found.numpy(), values, rtol=1e-13, atol=1e-15)
    incoming = drawn(name, {f"g{i}": y.shape for i, y in enumerate(outputs)}).values()
    sum((y * tensor(g)).sum() for y, g in zip(outputs, incoming, strict=True)).backward()
    leaves |= dict(layer.named_parameters())
    assert leaves.keys() == expected["gradients"].keys()
    for n, leaf in leaves.items():
        np.testing.assert_allclose(leaf.grad.numpy(), expected["gradients"][n], rtol=1e-12, atol=1e-14, err_msg=n)


@pytest.mark.parametrize("name", OWN)
def test_the_state_fits_pytorchs_layer_and_comes_back(name):
    torch = pytest.importorskip("torch", exc_type=ImportError)
    sizes = (8, 2) if name == "MultiheadAttention" else (8, 2, 16, 0.0)
    own, theirs = OWN[name](*sizes, batch_first=True), getattr(torch.nn, name)(*sizes, batch_first=True).double()
    theirs.load_state_dict({n: torch.tensor(v.numpy()) for n, v in own.state_dict().items()}, strict=True)
    other = OWN[name](*sizes, batch_first=True)
    other.load_state_dict({n: v.numpy() for n, v in theirs.state_dict().items()})
    x = rng.normal(size=(2, 5, 8))
    given = 3 if name == "MultiheadAttention" else 1
    expected = theirs(*[torch.tensor(x)] * given)
    for layer in (own, other):
        found = layer(*[tensor(x)] * given)
        found, wanted = (found[0], expected[0]) if given == 3 else (found, expected)
        np.testing.assert_allclose(found.numpy(), wanted.detach().numpy(), rtol=1e-10, atol=1e-12)


# ---- the function


def test_attention_is_a_mean_of_values_by_the_softmax_of_products():
    q, k, v = drawn_tensors((2, 3, 4), (2, 5, 4), (2, 5, 6))
    scores = q.numpy() @ k.numpy().swapaxes(1, 2) / 2
    e = np.exp(scores)
    expected = (e / e.sum(axis=-1, keepdims=True)) @ v.numpy()
    np.testing.assert_allclose(attention(q, k, v, training=False).numpy(), expected, rtol=1e-12)


def test_axes_in_front_broadcast_and_arrays_give_an_array():
    q, k, v = drawn_tensors((2, 1, 3, 4), (5, 4), (3, 5, 2))
    y = attention(q, k, v, training=False)
    assert y.shape == (2, 3, 3, 2)
    array = attention(q.data, k.data, v.data, training=False)
    assert type(array) is type(q.data)
    np.testing.assert_array_equal(tr.tensor(array).numpy(), y.numpy())


def test_large_scores_do_not_overflow():
    q, k, v = tensor([[1e4]]), tensor([[1e4], [-1e4]]), tensor([[2.0], [7.0]])
    assert attention(q, k, v, training=False).tolist() == [[2.0]]


@pytest.mark.parametrize("kind", ["booleans", "floats"])
def test_a_mask_leaves_keys_out_as_if_they_were_not_there(kind):
    q, k, v = drawn_tensors((3, 4), (5, 4), (5, 2))
    allowed = np.array([True, False, True, True, False])
    mask = booleans(allowed) if kind == "booleans" else tensor(np.where(allowed, 0.0, -np.inf))
    y = attention(q, k, v, mask=mask, training=False)
    expected = attention(q, k[[0, 2, 3]], v[[0, 2, 3]], training=False)
    np.testing.assert_allclose(y.numpy(), expected.numpy(), rtol=1e-12)
    y.sum().backward()
    assert k.grad.numpy().any(axis=1).tolist() == v.grad.numpy().any(axis=1).tolist() == allowed.tolist()


def test_a_mask_of_floats_is_added_and_gets_a_gradient():
    q, k, v = drawn_tensors((3, 4), (5, 4), (5, 2))
    mask = tensor(rng.normal(size=(3, 5)), requires_grad=True)
    e = np.exp(q.numpy() @ k.numpy().T / 2 + mask.numpy())
    y = attention(q, k, v, mask=mask, training=False)
    np.testing.assert_allclose(y.numpy(), e / e.sum(axis=1, keepdims=True) @ v.numpy(), rtol=1e-12)
    y[:, 0].sum().backward()
    assert mask.grad.numpy().all()
    np.testing.assert_allclose(mask.grad.numpy().sum(axis=1), 0.0, atol=1e-15)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("kind", ["booleans", "floats"])
def test_a_query_without_a_key_gives_0_and_no_gradient(kind, dtype):
    q, k, v = (tensor(rng.normal(size=shape), True, dtype) for shape in ((3, 4), (2, 4), (2, 4)))
    allowed = np.array([[True, False], [False, False], [True, True]])
    mask = booleans(allowed) if kind == "booleans" else tensor(np.where(allowed, 0.0, -np.inf), kind == "floats", dtype)
    y = attention(q, k, v, mask=mask, training=False)
    y.sum().backward()
    assert y.numpy()[1].tolist() == q.grad.numpy()[1].tolist() == [0.0] * 4
    for leaf in (q, k, v, mask) if kind == "floats" else (q, k, v):
        assert np.isfinite(leaf.grad.numpy()).all()
        assert leaf.grad.dtype == y.dtype == dtype
    again = tr.hvp(lambda q: (attention(q, k, v, mask=mask, training=False) ** 2).sum(), q, tr.ones_like(q))
    assert np.isfinite(again.numpy()).all()


def test_dropout_zeroes_weights_and_makes_the_rest_larger():
    q, k, v = tensor(np.zeros((400, 2))), tensor(np.zeros((4, 2))), tensor(np.eye(4))
    weights = attention(q, k, v, p=0.5, training=True, rng=tr.Generator(0)).numpy()
    again = attention(q, k, v, p=0.5, training=True, rng=tr.Generator(0)).numpy()
    np.testing.assert_array_equal(again, weights)
    assert set(weights.ravel().tolist()) == {0.0, 0.5}
    assert 0.4 < (weights == 0).mean() < 0.6
    assert (attention(q, k, v, p=0.5, training=False).numpy() == 0.25).all()
    assert not attention(q, k, v, p=1.0, training=True).numpy().any()


# ---- the layer


def randomized(layer):
    """The layer with biases, and weights of norms, that are not what they start from."""
    for parameter in layer.parameters():
        if parameter.ndim == 1:
            parameter.assign(rng.normal(size=parameter.shape))
    return layer


@pytest.mark.parametrize("cls", [MultiHeadAttention, TransformerBlock])
def test_batch_first_is_the_same_with_two_axes_exchanged(cls):
    settings = {} if cls is MultiHeadAttention else {"dim_feedforward": 6}
    one, other = randomized(cls(8, 2, **settings)).eval(), cls(8, 2, batch_first=True, **settings).eval()
    other.load_state_dict(one.state_dict())
    x = rng.normal(size=(5, 3, 8))
    given, masks = 3 if cls is MultiHeadAttention else 1, {"is_causal": True}
    found = [layer(*[tensor(a)] * given, **masks) for layer, a in ((one, x), (other, x.swapaxes(0, 1)))]
    y, z = (f[0] if given == 3 else f for f in found)
    assert y.shape == (5, 3, 8)
    np.testing.assert_allclose(y.numpy(), z.numpy().swapaxes(0, 1), rtol=1e-12, atol=1e-14)


def test_padded_keys_change_nothing_and_get_no_gradient():
    layer = randomized(heads(batch_first=True))
    query, keys = drawn_tensors((2, 3, 8), (2, 4, 8))
    ignored = np.array([[False, False, True, True], [False, False, False, True]])
    y, weights = layer(query, keys, keys, key_padding_mask=booleans(ignored), need_weights=True)
    assert not weights.numpy()[np.broadcast_to(ignored[:, None], (2, 3, 4))].any()
    alone, _ = layer(query[:1], keys[:1, :2], keys[:1, :2])
    np.testing.assert_allclose(y.numpy()[:1], alone.numpy(), rtol=1e-12)
    y.sum().backward()
    assert (keys.grad.numpy().any(axis=2) == ~ignored).all()


def test_true_has_opposite_meanings_for_the_layer_and_for_the_function():
    layer, x = heads(), tensor(rng.normal(size=(3, 1, 8)))
    later = np.triu(np.ones((3, 3), dtype=bool), 1)
    y, weights = layer(x, x, x, attn_mask=booleans(later), need_weights=True)
    assert not weights.numpy()[0][later].any()
    assert weights.numpy()[0][~later].all()
    as_floats, _ = layer(x, x, x, attn_mask=tensor(np.where(later, -np.inf, 0.0)))
    np.testing.assert_array_equal(as_floats.numpy(), y.numpy())
    np.testing.assert_array_equal(layer(x, x, x, is_causal=True)[0].numpy(), y.numpy())
    first = attention(x[:, 0], x[:, 0], x[:, 0], mask=booleans(~later), training=False)
    np.testing.assert_allclose(first.numpy()[0], x.numpy()[0, 0], rtol=1e-12)  # which may attend to itself alone


def test_a_mask_for_each_head():
    layer, x = heads(), tensor(rng.normal(size=(3, 2, 8)))
    masks = rng.integers(0, 2, (4, 3, 3)).astype(bool)
    masks[:, :, 0] = False
    y, _ = layer(x, x, x, attn_mask=booleans(masks))
    for n in range(2):  # sample n has the masks 2 n and 2 n + 1
        alone, _ = layer(x[:, n : n + 1], x[:, n : n + 1], x[:, n : n + 1], attn_mask=booleans(masks[2 * n : 2 * n + 2]))
        np.testing.assert_allclose(y.numpy()[:, n], alone.numpy()[:, 0], rtol=1e-12)
    same = np.repeat(masks[:1], 4, axis=0)
    np.testing.assert_array_equal(
        layer(x, x, x, attn_mask=booleans(same))[0].numpy(), layer(x, x, x, attn_mask=booleans(masks[0]))[0].numpy()
    )


def test_masks_of_both_kinds_work_together():
    layer, x = heads(batch_first=True), tensor(rng.normal(size=(2, 3, 8)))
    ignored = np.array([[False, True, False], [False, False, False]])
    added = rng.normal(size=(3, 3))
    y, weights = layer(
        x, x, x, key_padding_mask=booleans(ignored), attn_mask=tensor(added), is_causal=True, need_weights=True
    )
    forbidden = np.triu(np.ones((3, 3), dtype=bool), 1) | ignored[:, None]
    assert (weights.numpy() == 0).tolist() == forbidden.tolist()
    whole = np.where(np.repeat(forbidden, 2, axis=0), -np.inf, added)
    np.testing.assert_allclose(layer(x, x, x, attn_mask=tensor(whole))[0].numpy(), y.numpy(), rtol=1e-12)
    as_float = tensor(np.where(ignored, -np.inf, 0.0))
    z, _ = layer(x, x, x, key_padding_mask=as_float, attn_mask=tensor(added), is_causal=True)
    np.testing.assert_allclose(z.numpy(), y.numpy(), rtol=1e-12)


def test_a_sample_of_nothing_but_padding_gives_the_bias():
    layer = randomized(heads(batch_first=True))
    x = tensor(rng.normal(size=(2, 3, 8)), requires_grad=True)
    y, _ = layer(x, x, x, key_padding_mask=booleans([[True] * 3, [False] * 3]))
    np.testing.assert_array_equal(y.numpy()[0], np.tile(layer.out_proj.bias.numpy(), (3, 1)))
    y.sum().backward()
    assert x.grad.numpy().any(axis=(1, 2)).tolist() == [False, True]
    assert all(np.isfinite(p.grad.numpy()).all() for p in layer.parameters())


def test_weights_are_the_mean_over_heads_of_what_dropout_leaves():
    layer, x = heads(dropout=0.5), tensor(np.zeros((4, 50, 8)))
    _, weights = layer(x, x, x, need_weights=True)
    assert weights.shape == (50, 4, 4)
    assert set(weights.numpy().ravel().tolist()) == {0.0, 0.25, 0.5}
    assert layer(x, x, x)[1] is None
    _, weights = layer.eval()(x, x, x, need_weights=True)
    assert (weights.numpy() == 0.25).all()


def test_initial_values():
    layer = MultiHeadAttention(30, 3, rng=tr.Generator(0))
    bound = np.sqrt(6 / 60)
    for part in (*np.split(layer.in_proj_weight.numpy(), 3), layer.out_proj.weight.numpy()):
        assert 0.95 * bound < np.abs(part).max() <= bound
    assert not layer.in_proj_bias.numpy().any()
    assert {n: p.decay for n, p in layer.named_parameters()} == {
        "in_proj_weight": True,
        "in_proj_bias": False,
        "out_proj.weight": True,
        "out_proj.bias": False,
    }
    assert list(heads(bias=False).state_dict()) == ["in_proj_weight", "out_proj.weight"]


# ---- refusals


@pytest.mark.parametrize(
    ("shapes", "text"),
    [
        (((3, 4), (2, 5), (2, 5)), r"attention: got q float64\[3, 4\], k float64\[2, 5\] and v float64\[2, 5\], expected"),
        (((3, 4), (2, 4), (3, 4)), r"expected \(..., L, d\), \(..., S, d\) and \(..., S, e\)"),
        (((4,), (2, 4), (2, 4)), r"attention: got q float64\[4\]"),
    ],
)
def test_shapes_that_do_not_fit(shapes, text):
    with pytest.raises(ValueError, match=text):
        attention(*drawn_tensors(*shapes), training=False)


def test_masks_that_do_not_fit():
    q, k, v = drawn_tensors((3, 4), (2, 4), (2, 4))
    with pytest.raises(ValueError, match=r"attention: got mask bool\[2, 2\], expected what broadcasts to \[3, 2\]"):
        attention(q, k, v, mask=booleans(np.ones((2, 2))), training=False)
    with pytest.raises(ValueError, match=r"attention: got mask bool\[1, 3, 2\], expected what broadcasts to \[3, 2\]"):
        attention(q, k, v, mask=booleans(np.ones((1, 3, 2))), training=False)
    with pytest.raises(TypeError, match=r"attention: got mask int64\[3, 2\], expected booleans, or floats to be added"):
        attention(q, k, v, mask=tensor(np.ones((3, 2)), dtype="int64"), training=False)
    with pytest.raises(TypeError, match=r"attention: got mask \[\[True\]\], expected booleans"):
        attention(q, k, v, mask=[[True]], training=False)


def test_shapes_and_masks_that_do_not_fit_the_layer():
    layer, x = heads(), tensor(np.ones((3, 2, 8)))
    with pytest.raises(ValueError, match=r"got query float64\[3, 2, 7\], .* expected \(L, N, 8\) and \(S, N, 8\) twice"):
        layer(x[:, :, 1:], x, x)
    with pytest.raises(ValueError, match=r"key float64\[3, 1, 8\] and value float64\[3, 1, 8\], expected"):
        layer(x, x[:, :1], x[:, :1])
    with pytest.raises(ValueError, match=r"expected \(N, L, 8\) and \(N, S, 8\) twice"):
        heads(batch_first=True)(x, x, x[:, :1])
    with pytest.raises(ValueError, match=r"MultiHeadAttention: got key_padding_mask bool\[3, 2\], expected shape \[2, 3\]"):
        layer(x, x, x, key_padding_mask=booleans(np.zeros((3, 2))))
    with pytest.raises(ValueError, match=r"MultiHeadAttention: got attn_mask bool\[2, 3, 3\], expected shape \[4, 3, 3\]"):
        layer(x, x, x, attn_mask=booleans(np.zeros((2, 3, 3))))
    with pytest.raises(TypeError, match=r"MultiHeadAttention: got attn_mask int64\[3, 3\], expected booleans, or floats"):
        layer(x, x, x, attn_mask=tensor(np.zeros((3, 3)), dtype="int64"))


def test_settings_out_of_range():
    with pytest.raises(
        ValueError, match="MultiHeadAttention: got embed_dim=8 and num_heads=3, expected heads that divide it"
    ):
        MultiHeadAttention(8, 3)
    with pytest.raises(ValueError, match=r"Dropout: got p=2, expected a share from 0 to 1"):
        MultiHeadAttention(8, 2, dropout=2)
    q, k, v = drawn_tensors((3, 4), (2, 4), (2, 4))
    with pytest.raises(ValueError, match=r"got p=1.5, expected a share from 0 to 1"):
        attention(q, k, v, p=1.5, training=True)

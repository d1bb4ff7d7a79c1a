"""Masks of attention: what they leave out does not enter, not even as NaN, and they decide no dtype."""

import numpy as np
import pytest

import tinyreg as tr
from tinyreg import nn
from tinyreg.nn.attention import attention

rng = np.random.default_rng(12)
POISON = pytest.mark.parametrize("poison", [np.nan, np.inf, -np.inf], ids=str)
KINDS = pytest.mark.parametrize("kind", ["booleans", "floats"])


def normal(*shape, requires_grad=False):
    return tr.tensor(rng.normal(size=shape), dtype="float32", requires_grad=requires_grad)


def mask_of(ignored, kind, meaning="ignored"):
    """A mask in the meaning of the layer, or of the function (meaning="allowed"), as NumPy has it."""
    if kind == "floats":
        return np.where(ignored, -np.inf, 0.0)
    return ignored if meaning == "ignored" else ~ignored


def same(found, expected):
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


# ---- the function


@POISON
@KINDS
@pytest.mark.parametrize("which", ["keys", "values", "both"])
def test_what_no_query_may_attend_to_reaches_no_result_and_no_gradient(poison, kind, which):
    q, k, v = (rng.normal(size=shape).astype("float32") for shape in ((3, 4), (5, 4), (5, 2)))
    ignored = np.array([False, True, False, False, True])
    k[ignored] = poison if which != "values" else k[ignored]
    v[ignored] = poison if which != "keys" else v[ignored]
    q, k, v = (tr.tensor(x, requires_grad=True) for x in (q, k, v))
    y = attention(q, k, v, mask=mask_of(ignored, kind, "allowed"), training=False)
    (y * y).sum().backward()
    alone = [tr.tensor(x, requires_grad=True) for x in (q.numpy(), k.numpy()[~ignored], v.numpy()[~ignored])]
    z = attention(*alone, training=False)
    (z * z).sum().backward()
    same(y.numpy(), z.numpy())
    same(q.grad.numpy(), alone[0].grad.numpy())
    for full, part in ((k, alone[1]), (v, alone[2])):
        same(full.grad.numpy()[~ignored], part.grad.numpy())
        assert not full.grad.numpy()[ignored].any()


@POISON
def test_later_keys_do_not_reach_earlier_queries(poison):
    q, k, v = (rng.normal(size=(4, 3)).astype("float32") for _ in "qkv")
    k[3], v[3, 1] = poison, poison
    q, k, v = (tr.tensor(x, requires_grad=True) for x in (q, k, v))
    y = attention(q, k, v, mask=np.tril(np.ones((4, 4), dtype=bool)), training=False)
    assert np.isfinite(y.numpy()).all(axis=1).tolist() == [True, True, True, False]
    assert np.isnan(y.numpy()[3]).all()
    (y[:3] ** 2).sum().backward()
    for leaf in (q, k, v):
        assert np.isfinite(leaf.grad.numpy()).all()
    assert not q.grad.numpy()[3].any()
    expected = attention(q[:3], k[:3], v[:3], mask=np.tril(np.ones((3, 3), dtype=bool)), training=False)
    same(y.numpy()[:3], expected.numpy())


@POISON
@pytest.mark.parametrize("of", ["keys", "values", "both"])
def test_what_is_not_finite_spoils_the_queries_that_may_attend_to_it(poison, of):
    q, k, v = normal(3, 4), normal(5, 4).numpy(), normal(5, 4).numpy()
    for array in {"keys": (k,), "values": (v,), "both": (k, v)}[of]:
        array[1, 2] = poison
    allowed = np.ones((3, 5), bool)
    allowed[0, 1] = False
    y = attention(q, tr.tensor(k), tr.tensor(v), mask=allowed, training=False).numpy()
    assert np.isfinite(y).all(axis=1).tolist() == [True, False, False]


def test_a_mask_may_have_the_axes_of_keys_that_queries_lack_and_the_other_way_round():
    q, k, v = normal(3, 4), normal(2, 5, 4), normal(2, 5, 4)
    allowed = rng.random((2, 3, 5)) < 0.7
    y = attention(q, k, v, mask=allowed, training=False)
    same(y.numpy(), np.stack([attention(q, k[i], v[i], mask=allowed[i], training=False).numpy() for i in (0, 1)]))
    q, k, v = normal(2, 3, 4), normal(5, 4), normal(5, 4)
    same(
        attention(q, k, v, mask=allowed, training=False).numpy()[1],
        attention(q[1], k, v, mask=allowed[1], training=False).numpy(),
    )


def test_without_a_mask_what_is_not_finite_goes_the_way_of_the_formula():
    v = tr.tensor([[1.0], [np.inf]])
    assert attention(tr.ones((1, 2)), tr.ones((2, 2)), v, training=False).tolist() == [[np.inf]]


def test_attention_to_no_keys_gives_0():
    for mask in (None, np.zeros((2, 0), dtype=bool), np.zeros((2, 0), "float32")):
        q, k, v = normal(2, 4, requires_grad=True), normal(0, 4, requires_grad=True), normal(0, 3, requires_grad=True)
        y = attention(q, k, v, mask=mask, p=0.5, training=True)
        assert y.tolist() == [[0.0] * 3] * 2
        y.sum().backward()
        assert not q.grad.numpy().any()
        assert k.grad.shape == (0, 4)
        assert v.grad.shape == (0, 3)
    assert attention(normal(0, 4), normal(3, 4), normal(3, 2), training=False).shape == (0, 2)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("mask_dtype", ["float16", "float32", "float64"])
def test_a_mask_takes_the_dtype_of_the_scores(dtype, mask_dtype):
    q, k, v = (tr.tensor(rng.normal(size=shape), dtype=dtype) for shape in ((3, 4), (5, 4), (5, 2)))
    mask = np.triu(np.full((3, 5), -np.inf, mask_dtype), 1)
    assert attention(q, k, v, mask=mask, training=False).dtype == dtype
    wanted = tr.tensor(np.zeros((3, 5)), dtype=mask_dtype, requires_grad=True)
    attention(q, k, v, mask=wanted, training=False)[:, 0].sum().backward()
    assert wanted.grad.dtype == mask_dtype
    assert wanted.grad.numpy().any()


def test_queries_keys_and_values_of_several_dtypes_are_refused():
    with pytest.raises(TypeError, match=r"attention: got q float32.*, k float64.* and v float32.*, expected one dtype"):
        attention(normal(2, 3), normal(2, 3).astype("float64"), normal(2, 3), training=False)


def test_attention_draws_from_a_seed():
    q = tr.ones((4, 4))
    once, again = (attention(q, q, q, p=0.5, training=True, rng=0).numpy() for _ in range(2))
    np.testing.assert_array_equal(once, again)
    with pytest.raises(TypeError, match=r"attention: got rng=.*, expected a tr.Generator"):
        attention(q, q, q, p=0.5, training=True, rng=np.random.default_rng(0))


# ---- the layer and the block


def gradients(layer, loss):
    layer.zero_grad()
    loss.backward()
    return {name: p.grad.numpy() for name, p in layer.named_parameters()}


@POISON
@KINDS
@pytest.mark.parametrize("batch_first", [True, False])
@pytest.mark.parametrize("mask", ["key_padding_mask", "attn_mask", "one for each head"])
def test_padding_takes_no_part_in_self_attention(poison, kind, batch_first, mask):
    layer = nn.MultiHeadAttention(8, 2, batch_first=batch_first, rng=0)
    x = rng.normal(size=(2, 5, 8)).astype("float32")
    shape = {"key_padding_mask": (2, 5), "attn_mask": (5, 5), "one for each head": (4, 5, 5)}[mask]
    ignored = np.zeros(shape, dtype=bool)
    ignored[..., 3:] = True
    settings = {mask if mask == "key_padding_mask" else "attn_mask": mask_of(ignored, kind)}

    def step(values, settings):
        leaf = tr.tensor(values if batch_first else values.swapaxes(0, 1), requires_grad=True)
        y = layer(leaf, leaf, leaf, **settings)[0]
        y = y if batch_first else y.permute_dims(axes=(1, 0, 2))
        found = gradients(layer, (y[:, :3] ** 2).sum())
        g = leaf.grad.numpy() if batch_first else leaf.grad.numpy().swapaxes(0, 1)
        return y.numpy()[:, :3], g, found

    x[:, 3:] = poison
    y, g, found = step(x, settings)
    expected_y, expected_g, expected = step(x[:, :3], {})
    same(y, expected_y)
    same(g[:, :3], expected_g)
    assert not g[:, 3:].any()
    for name, values in found.items():
        np.testing.assert_allclose(values, expected[name], rtol=1e-4, atol=1e-5, err_msg=name)


@POISON
def test_padding_takes_no_part_in_attention_to_another_sequence(poison):
    layer = nn.MultiHeadAttention(8, 2, batch_first=True, rng=0)
    query, key, value = (rng.normal(size=(2, n, 8)).astype("float32") for n in (3, 4, 4))
    key[0, 2:], value[1, 3] = poison, poison
    ignored = np.array([[False, False, True, True], [False, False, False, True]])
    leaves = [tr.tensor(x, requires_grad=True) for x in (query, key, value)]
    y, weights = layer(*leaves, key_padding_mask=ignored, need_weights=True)
    found = gradients(layer, (y * y).sum())
    assert np.isfinite(y.numpy()).all()
    assert not weights.numpy()[np.broadcast_to(ignored[:, None], (2, 3, 4))].any()
    assert all(np.isfinite(g).all() for g in (*found.values(), *(leaf.grad.numpy() for leaf in leaves)))
    alone, _ = layer(leaves[0][:1], leaves[1][:1, :2], leaves[2][:1, :2])
    same(y.numpy()[:1], alone.numpy())


@POISON
@pytest.mark.parametrize("norm_first", [True, False])
@pytest.mark.parametrize("batch_first", [True, False])
def test_padding_takes_no_part_in_a_block(poison, norm_first, batch_first):
    block = nn.TransformerBlock(8, 2, 16, 0.0, norm_first=norm_first, batch_first=batch_first, rng=0)
    x = rng.normal(size=(2, 5, 8)).astype("float32")
    x[:, 3:] = poison
    leaf = tr.tensor(x if batch_first else x.swapaxes(0, 1), requires_grad=True)
    ignored = np.zeros((2, 5), dtype=bool)
    ignored[:, 3:] = True
    y = block(leaf, src_key_padding_mask=ignored, is_causal=True)
    y = y if batch_first else y.permute_dims(axes=(1, 0, 2))
    found = gradients(block, (y[:, :3] ** 2).sum())
    alone = tr.tensor(x[:, :3] if batch_first else x[:, :3].swapaxes(0, 1))
    z = block(alone, is_causal=True)
    z = z if batch_first else z.permute_dims(axes=(1, 0, 2))
    expected = gradients(block, (z**2).sum())
    same(y.numpy()[:, :3], z.numpy())
    assert np.isfinite(leaf.grad.numpy()).all()
    for name, values in found.items():
        np.testing.assert_allclose(values, expected[name], rtol=1e-4, atol=1e-4, err_msg=name)


def test_finite_padding_gives_what_it_gave():
    layer, x = nn.MultiHeadAttention(8, 2, batch_first=True, rng=0), normal(2, 5, 8)
    ignored = np.array([[False] * 3 + [True] * 2] * 2)
    found = layer(x, x, x, key_padding_mask=ignored)[0].numpy()
    one_by_one = layer(x, x[:, :3], x[:, :3])[0].numpy()
    same(found, one_by_one)  # queries in the padding too


@POISON
@KINDS
def test_a_query_without_a_key_takes_no_part(poison, kind):
    q, k, v = (rng.normal(size=shape).astype("float32") for shape in ((3, 4), (2, 4), (2, 4)))
    q[1] = poison
    ignored = np.array([[False, True], [True, True], [False, False]])
    leaves = [tr.tensor(x, requires_grad=True) for x in (q, k, v)]
    y = attention(*leaves, mask=mask_of(ignored, kind, "allowed"), training=False)
    assert y.numpy()[1].tolist() == [0.0] * 4
    (y * y).sum().backward()
    assert all(np.isfinite(leaf.grad.numpy()).all() for leaf in leaves)
    assert not leaves[0].grad.numpy()[1].any()
    layer = nn.MultiHeadAttention(4, 2, rng=0)
    query, keys = tr.tensor(q[:, None], requires_grad=True), tr.tensor(k[:, None], requires_grad=True)
    z = layer(query, keys, keys, attn_mask=mask_of(ignored, kind))[0]
    found = gradients(layer, (z * z).sum())
    assert np.isfinite(z.numpy()).all()
    assert all(np.isfinite(g).all() for g in (*found.values(), query.grad.numpy(), keys.grad.numpy()))


@POISON
def test_padding_that_is_masked_as_keys_and_as_queries_takes_no_part(poison):
    layer, x = nn.MultiHeadAttention(8, 2, batch_first=True, rng=0), rng.normal(size=(2, 4, 8)).astype("float32")
    lengths, masks = (3, 2), np.ones((2, 2, 4, 4), dtype=bool)
    for n, length in enumerate(lengths):
        x[n, length:], masks[n, :, :length, :length] = poison, False
    leaf = tr.tensor(x, requires_grad=True)
    y = layer(leaf, leaf, leaf, attn_mask=masks.reshape(4, 4, 4))[0]
    found = gradients(layer, (y * y).sum())
    assert np.isfinite(y.numpy()).all()
    assert all(np.isfinite(g).all() for g in (*found.values(), leaf.grad.numpy()))
    for n, length in enumerate(lengths):
        alone = tr.tensor(x[n : n + 1, :length])
        same(y.numpy()[n : n + 1, :length], layer(alone, alone, alone)[0].numpy())


@POISON
def test_keys_beyond_the_last_query_take_no_part_in_causal_attention(poison):
    layer = nn.MultiHeadAttention(8, 2, batch_first=True, rng=0)
    query, keys = rng.normal(size=(1, 2, 8)).astype("float32"), rng.normal(size=(1, 4, 8)).astype("float32")
    keys[:, 2:] = poison
    y = layer(tr.tensor(query), tr.tensor(keys), tr.tensor(keys), is_causal=True)[0]
    found = gradients(layer, (y * y).sum())
    z = layer(tr.tensor(query), tr.tensor(keys[:, :2]), tr.tensor(keys[:, :2]), is_causal=True)[0]
    same(y.numpy(), z.numpy())
    for name, values in gradients(layer, (z * z).sum()).items():
        np.testing.assert_allclose(found[name], values, rtol=1e-4, atol=1e-5, err_msg=name)


@pytest.mark.parametrize("batch_first", [True, False])
def test_the_layer_attends_to_no_keys(batch_first):
    layer = nn.MultiHeadAttention(8, 2, batch_first=batch_first, rng=0)
    layer.out_proj.bias.assign(np.arange(8.0))
    query, nothing = (tr.ones((2, n, 8) if batch_first else (n, 2, 8)) for n in (3, 0))
    for masks in ({}, {"key_padding_mask": np.zeros((2, 0), dtype=bool)}, {"is_causal": True}):
        y, weights = layer(query, nothing, nothing, need_weights=True, **masks)
        assert weights.shape == (2, 3, 0)
        np.testing.assert_array_equal(y.numpy(), np.broadcast_to(np.arange(8.0), query.shape))
        assert all(np.isfinite(g).all() for g in gradients(layer, y.sum()).values())


def test_float64_masks_leave_a_network_of_float32_what_it_is():
    layer, block, x = nn.MultiHeadAttention(8, 2), nn.TransformerBlock(8, 2, 16), normal(5, 1, 8)
    causal = np.triu(np.full((5, 5), -np.inf), 1)
    y, weights = layer(x, x, x, attn_mask=causal, key_padding_mask=np.zeros((1, 5)), need_weights=True)
    assert y.dtype == weights.dtype == block(x, causal, np.zeros((1, 5))).dtype == "float32"
    same(y.numpy(), layer(x, x, x, is_causal=True)[0].numpy())


@pytest.mark.parametrize(("dtype", "least"), [("float32", -1.7e308), ("float32", -1e300), ("float16", -1e9)])
def test_what_the_dtype_of_a_network_cannot_hold_is_minus_infinity(dtype, least):
    tr.set_default_dtype(dtype)
    try:
        layer = nn.MultiHeadAttention(8, 2, batch_first=True, rng=0)
    finally:
        tr.set_default_dtype("float32")
    x = normal(2, 4, 8).astype(dtype)
    with np.errstate(over="raise", invalid="raise"):
        y = layer(x, x, x, attn_mask=np.triu(np.full((4, 4), least), 1))[0]
    np.testing.assert_array_equal(y.numpy(), layer(x, x, x, is_causal=True)[0].numpy())


@pytest.mark.parametrize("name", ["key_padding_mask", "attn_mask"])
def test_masks_that_are_no_arrays_are_refused(name):
    layer, x = nn.MultiHeadAttention(8, 2), normal(2, 1, 8)
    with pytest.raises(
        TypeError, match=rf"MultiHeadAttention: got {name} \[\[True, False\]\], expected booleans, or floats"
    ):
        layer(x, x, x, **{name: [[True, False]]})

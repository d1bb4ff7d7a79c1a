"""The Transformer block: where its norms stand, dropout in all its places, copies, and what it refuses."""

import copy
import pickle

import numpy as np
import pytest
from attention_layers import block, booleans, heads, rng, tensor

import tinyreg as tr
from tinyreg import nn
from tinyreg.nn.attention import TransformerBlock

pytestmark = pytest.mark.usefixtures("backend", "float64")


def test_the_two_places_of_the_norms():
    x = tensor(rng.normal(size=(5, 3, 8)) * 10 + 3)
    y = block(dropout=0.0)(x).numpy()
    np.testing.assert_allclose(y.mean(axis=-1), 0.0, atol=1e-12)
    np.testing.assert_allclose(y.var(axis=-1), 1.0, rtol=1e-3)
    first = block(dropout=0.0, norm_first=True)
    first.load_state_dict(
        first.state_dict() | {"linear2.weight": np.zeros((8, 6)), "self_attn.out_proj.weight": np.zeros((8, 8))}
    )
    np.testing.assert_array_equal(first(x).numpy(), x.numpy())  # with empty branches x goes through as it is


@pytest.mark.parametrize("norm_first", [False, True])
def test_a_causal_block_does_not_see_what_comes_later(norm_first):
    x = tensor(rng.normal(size=(5, 1, 8)), requires_grad=True)
    block(norm_first=norm_first, activation="gelu").eval()(x, is_causal=True)[2, 0, 0].backward()
    assert x.grad.numpy().any(axis=(1, 2)).tolist() == [True, True, True, False, False]


def test_dropout_of_a_block_is_off_in_eval_and_on_in_monte_carlo():
    layer, plain, x = block(dropout=0.5, drop_path=0.5), block(dropout=0.0).eval(), tensor(rng.normal(size=(5, 3, 8)))
    expected = plain(x).numpy()
    assert (layer(x).numpy() != expected).any()
    np.testing.assert_array_equal(layer.eval()(x).numpy(), expected)
    with nn.monte_carlo(layer):
        assert (layer(x).numpy() != layer(x).numpy()).any()
    np.testing.assert_array_equal(layer(x).numpy(), expected)


def test_monte_carlo_reaches_the_attention_weights():
    layer, x = heads(dropout=0.5).eval(), tensor(rng.normal(size=(5, 3, 8)))
    with nn.monte_carlo(layer):
        found = [layer(x, x, x)[0].numpy() for _ in range(2)]
    assert (found[0] != found[1]).any()


def test_each_place_of_dropout_drops():
    x = tensor(rng.normal(size=(5, 3, 8)))
    expected = block(dropout=0.0)(x).numpy()
    for place in ("self_attn.dropout", "dropout", "dropout1", "dropout2", "drop_path"):
        layer = block(dropout=0.0)
        *path, last = place.split(".")
        setattr(layer.self_attn if path else layer, last, nn.Dropout(0.5))
        assert (layer(x).numpy() != expected).any(), place


@pytest.mark.parametrize("other", ["linear2.weight", "self_attn.out_proj.weight"])
@pytest.mark.parametrize("batch_first", [False, True])
def test_drop_path_skips_either_branch_for_whole_samples(batch_first, other):
    layer = block(dropout=0.0, drop_path=0.5, activation="gelu", norm_first=True, batch_first=batch_first)
    state = layer.state_dict()
    layer.load_state_dict(state | {other: np.zeros(state[other].shape)})  # so that one of the two adds nothing
    x = rng.normal(size=(64, 3, 8) if batch_first else (3, 64, 8))
    changed = layer(tensor(x)).numpy() != x
    by_sample = changed if batch_first else changed.swapaxes(0, 1)
    skipped = ~by_sample.any(axis=(1, 2))
    assert by_sample[~skipped].all()
    assert 0.25 < skipped.mean() < 0.75


@pytest.mark.parametrize("norm_first", [False, True])
def test_a_checkpoint_gives_the_same_gradient_under_dropout(norm_first):
    def gradients(wrap):
        layer, x = block(dropout=0.3, drop_path=0.3, norm_first=norm_first), tensor(np.ones((4, 5, 8)), requires_grad=True)
        x.assign(np.random.default_rng(0).normal(size=x.shape))
        (wrap(layer)(x, is_causal=True) ** 2).sum().backward()
        return [leaf.grad.numpy() for leaf in (x, *layer.parameters())]

    for plain, again in zip(
        gradients(lambda f: f), gradients(lambda f: tr.checkpoint(lambda *a, **k: f(*a, **k))), strict=True
    ):
        np.testing.assert_array_equal(again, plain)


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_a_copy_stands_for_itself(copied):
    layer, x = block(dropout=0.5), tensor(rng.normal(size=(4, 3, 8)))
    twin = copied(layer)
    np.testing.assert_array_equal(twin(x).numpy(), layer(x).numpy())  # the same masks, from a generator each
    twin.self_attn.in_proj_weight.assign(np.zeros((24, 8)))
    assert layer.self_attn.in_proj_weight.numpy().any()


def test_float32_stays_float32():
    tr.set_default_dtype("float32")
    layer, x = block(dropout=0.5, drop_path=0.5, activation="gelu"), tensor(np.ones((4, 3, 8)), True, "float32")
    y = layer(x, src_key_padding_mask=booleans(np.zeros((3, 4))), is_causal=True)
    y.sum().backward()
    assert {str(part.dtype) for part in (y, x.grad, *(p.grad for p in layer.parameters()))} == {"float32"}


def test_names_and_text():
    layer = block(norm_first=True)
    assert list(layer.state_dict()) == [
        "self_attn.in_proj_weight",
        "self_attn.in_proj_bias",
        "self_attn.out_proj.weight",
        "self_attn.out_proj.bias",
        "linear1.weight",
        "linear1.bias",
        "linear2.weight",
        "linear2.bias",
        "norm1.weight",
        "norm1.bias",
        "norm2.weight",
        "norm2.bias",
    ]
    assert repr(layer).splitlines()[0] == "TransformerBlock(norm_first=True"
    assert "  (self_attn): MultiHeadAttention(8, 2\n" in repr(layer)


def test_settings_out_of_range():
    with pytest.raises(ValueError, match="got embed_dim=8 and num_heads=0"):
        TransformerBlock(8, 0)
    with pytest.raises(ValueError, match=r"DropPath: got p=-1, expected a share from 0 to 1"):
        block(drop_path=-1)
    with pytest.raises(ValueError, match="TransformerBlock: got activation='tanh', expected 'relu' or 'gelu'"):
        block(activation="tanh")

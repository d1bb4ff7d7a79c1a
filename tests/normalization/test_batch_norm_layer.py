"""Batch norm as a layer: statistics and running averages, in training and out of it; and what optimizers leave alone."""

import numpy as np
import pytest
from norm_values import normal, rng, tensor

import tinyreg as tr
from tinyreg import nn

pytestmark = pytest.mark.usefixtures("backend")


def test_layer_norm_is_the_same_in_training_and_out_of_it_and_batch_norm_is_not():
    x = normal(6, 3)
    for layer, same in (
        (nn.LayerNorm(3), True),
        (nn.RMSNorm(3), True),
        (nn.GroupNorm(3, 3), True),
        (nn.BatchNorm(3), False),
    ):
        assert np.array_equal(layer(x).numpy(), layer.eval()(x).numpy()) == same


def test_momentum_is_the_share_of_the_new_batch():  # pytorch/examples#289, keras#6839
    layer, x = nn.BatchNorm(2, momentum=0.25), normal(8, 2)
    layer(x)
    np.testing.assert_allclose(layer.running_mean.numpy(), 0.25 * x.numpy().mean(axis=0), rtol=1e-5)
    np.testing.assert_allclose(layer.running_var.numpy(), 0.75 + 0.25 * x.numpy().var(axis=0), rtol=1e-5)


def test_the_running_variance_starts_at_1():  # equinox#955
    assert nn.BatchNorm(2).running_var.tolist() == [1.0, 1.0]
    x = normal(3, 2)
    np.testing.assert_allclose(nn.BatchNorm(2).eval()(x).numpy(), x.numpy(), rtol=1e-4)


@pytest.mark.parametrize(("running", "divisor"), [("biased", 24), ("unbiased", 23)])
def test_the_stored_variance_is_what_was_asked_for(running, divisor):  # pytorch#60528, mlx#3817
    layer, x = nn.BatchNorm(3, momentum=1.0, running=running), normal(4, 3, 2, 3)  # tinygrad#807: over 4 * 2 * 3 values
    y = layer(x)
    centred = x.numpy() - x.numpy().mean(axis=(0, 2, 3), keepdims=True)
    np.testing.assert_allclose(layer.running_var.numpy(), (centred**2).sum(axis=(0, 2, 3)) / divisor, rtol=1e-5)
    np.testing.assert_allclose(y.numpy().var(axis=(0, 2, 3)), 1.0, rtol=1e-4)  # normalized by the biased one either way


def test_one_value_for_each_channel_is_refused_and_leaves_the_averages_alone():  # pytorch#1381, Flux#1992
    layer = nn.BatchNorm(3)
    before = layer.state_dict()
    for shape in ((1, 3), (0, 3), (1, 3, 1, 1)):
        with pytest.raises(ValueError, match=r"^batch_norm: .*\n  got       x float32.*\n  expected  more than one value"):
            layer(normal(*shape))
    for name, value in layer.state_dict().items():
        np.testing.assert_array_equal(value.numpy(), before[name].numpy())
    assert layer.eval()(normal(1, 3)).shape == (1, 3)


def test_statistics_are_no_parameters_and_want_no_gradient():
    layer = nn.BatchNorm(3)
    assert [name for name, _ in layer.named_parameters()] == ["weight", "bias"]
    assert [name for name, _ in layer.named_buffers()] == ["running_mean", "running_var", "num_batches_tracked"]
    layer(normal(4, 3)).sum().backward()
    assert not any(b.requires_grad for b in layer.buffers())


def test_out_of_training_nothing_is_updated():
    layer = nn.BatchNorm(3).eval()
    before = layer.state_dict()
    layer(normal(4, 3))
    assert all(np.array_equal(value.numpy(), before[name].numpy()) for name, value in layer.state_dict().items())


def test_a_frozen_layer_stays_frozen_in_training():
    layer = nn.Sequential(nn.BatchNorm(3, frozen=True), nn.BatchNorm(3))
    layer.train()
    x = normal(4, 3)
    layer(x)
    assert layer[0].running_mean.tolist() == [0.0, 0.0, 0.0]
    assert any(layer[1].running_mean.tolist())
    np.testing.assert_allclose(layer[0](x).numpy(), x.numpy(), rtol=1e-4)
    layer[0].frozen = False
    layer(x)
    assert any(layer[0].running_mean.tolist())


def test_without_momentum_all_batches_count_alike():
    layer, batches = nn.BatchNorm(2, momentum=None), [normal(4, 2) for _ in range(3)]
    for batch in batches:
        layer(batch)
    np.testing.assert_allclose(
        layer.running_mean.numpy(), np.mean([b.numpy().mean(axis=0) for b in batches], axis=0), rtol=1e-5, atol=1e-7
    )
    assert layer.num_batches_tracked.item() == 3


def test_a_checkpoint_counts_a_batch_once():
    layer, x = nn.BatchNorm(3), normal(4, 3, requires_grad=True)
    tr.checkpoint(layer)(x).sum().backward()
    assert layer.num_batches_tracked.item() == 1
    np.testing.assert_allclose(layer.running_mean.numpy(), 0.1 * x.numpy().mean(axis=0), rtol=1e-4, atol=1e-7)


def test_two_forwards_and_one_backward_each_use_their_own_statistics():
    layer, first, second = nn.BatchNorm(3), normal(4, 3, requires_grad=True), normal(4, 3, requires_grad=True)
    g = rng.normal(size=(4, 3))
    both = [layer(first), layer(second)]
    for y in both:
        y.backward(tensor(g))
    for x in (first, second):
        alone = tensor(x.numpy(), requires_grad=True)
        nn.BatchNorm(3)(alone).backward(tensor(g))
        np.testing.assert_allclose(x.grad.numpy(), alone.grad.numpy(), rtol=1e-5, atol=1e-7)


def test_norm_layers_are_left_out_of_decay_and_may_have_no_parameters():
    for layer in (nn.BatchNorm(4), nn.LayerNorm(4), nn.RMSNorm(4), nn.GroupNorm(2, 4), nn.InstanceNorm(4, affine=True)):
        assert layer.parameters()
        assert not any(p.decay for p in layer.parameters())
    for layer in (
        nn.BatchNorm(4, affine=False),
        nn.LayerNorm(4, affine=False),
        nn.RMSNorm(4, affine=False),
        nn.GroupNorm(2, 4, affine=False),
        nn.InstanceNorm(4),
    ):
        assert layer.parameters() == []
        assert layer(normal(3, 4, 2) if not isinstance(layer, nn.LayerNorm | nn.RMSNorm) else normal(3, 4)).size

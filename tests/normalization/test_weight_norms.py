"""Spectral norm and weight norm."""

import numpy as np
import pytest
from norm_values import normal, rng, tensor

import tinyreg as tr
from tinyreg import nn
from tinyreg import normalization as norm

pytestmark = pytest.mark.usefixtures("backend")


# ---- spectral norm


def weight(layer):
    return layer.value(layer.weight).numpy()


def spectral(rows=4, columns=3, **settings):
    return nn.SpectralNorm(nn.Linear(columns, rows, rng=tr.Generator(3)), rng=tr.Generator(4), **settings)


def test_a_spectrally_normalized_layer_has_norm_1():
    exact = spectral(exact=True)
    np.testing.assert_allclose(np.linalg.svd(weight(exact))[1][0], 1.0, rtol=1e-5)
    iterated = spectral()
    for _ in range(30):
        iterated(normal(2, 3))
    np.testing.assert_allclose(weight(iterated.eval()), weight(exact), rtol=1e-4)
    assert list(iterated.state_dict()) == ["layer.weight", "layer.bias", "u", "v"]
    assert list(exact.state_dict()) == ["layer.weight", "layer.bias"]


def test_out_of_training_the_vectors_stay():  # pytorch#8208
    layer, x = spectral(iterations=1), normal(2, 3)
    layer.layer.weight.assign(rng.normal(size=(4, 3)))
    layer.eval()
    first, u = layer(x).numpy(), layer.u.numpy()
    np.testing.assert_array_equal(layer(x).numpy(), first)
    np.testing.assert_array_equal(layer.u.numpy(), u)
    layer.train()(x)
    assert not np.array_equal(layer.u.numpy(), u)


def test_the_gradient_flows_through_sigma():  # pytorch#13350
    w = normal(4, 3, dtype="float64", requires_grad=True)
    g = rng.normal(size=(4, 3))
    norm.spectral_norm(w).backward(tensor(g, "float64"))
    u, s, vh = np.linalg.svd(w.numpy())
    expected = g / s[0] - (g * w.numpy()).sum() / s[0] ** 2 * np.outer(u[:, 0], vh[0])
    np.testing.assert_allclose(w.grad.numpy(), expected, rtol=1e-10)
    again = tensor(w.numpy(), "float64", requires_grad=True)
    norm.spectral_norm(again, tensor(u[:, 0], "float64"), tensor(vh[0], "float64")).backward(tensor(g, "float64"))
    np.testing.assert_allclose(again.grad.numpy(), expected, rtol=1e-10)


def test_two_forwards_before_one_backward():  # pytorch#13350, #62293: the vectors were replaced in place
    layer = spectral()
    layer.layer.weight.assign(rng.normal(size=(4, 3)))
    x = normal(2, 3)
    first = layer(x).sum()
    u, v = layer.u.numpy(), layer.v.numpy()
    (first + layer(x).sum()).backward()
    w = tensor(layer.layer.weight.numpy(), requires_grad=True)
    total = (x @ norm.spectral_norm(w, tensor(u), tensor(v)).T).sum()
    (total + (x @ norm.spectral_norm(w, layer.u, layer.v).T).sum()).backward()
    np.testing.assert_allclose(layer.layer.weight.grad.numpy(), w.grad.numpy(), rtol=1e-4, atol=1e-6)


def test_rows_are_along_the_axis_that_is_named():  # pytorch#7865
    w = normal(2, 3, 4, dtype="float64")
    for axis in (0, 1, 2, -1):
        matrix = np.moveaxis(w.numpy(), axis, 0).reshape(w.shape[axis], -1)
        expected = w.numpy() / np.linalg.svd(matrix)[1][0]
        np.testing.assert_allclose(norm.spectral_norm(w, axis=axis).numpy(), expected, rtol=1e-12)
        u, v = norm.power_iteration(w, tensor(np.ones(w.shape[axis]), "float64"), iterations=500, axis=axis)
        np.testing.assert_allclose(norm.spectral_norm(w, u, v, axis=axis).numpy(), expected, rtol=1e-8)


def test_a_checkpoint_does_not_iterate_twice():
    layer, x = spectral(), normal(2, 3, requires_grad=True)
    layer.layer.weight.assign(rng.normal(size=(4, 3)))
    twin = spectral()
    twin.load_state_dict(layer.state_dict())
    tr.checkpoint(layer)(x).sum().backward()
    twin(x)
    np.testing.assert_array_equal(layer.u.numpy(), twin.u.numpy())


# ---- weight norm


def test_weight_norm_changes_nothing_at_first_and_splits_length_from_direction():
    bare = nn.Linear(3, 2, rng=tr.Generator(0))
    x = normal(4, 3)
    expected = bare(x).numpy()
    layer = nn.WeightNorm(bare)
    np.testing.assert_allclose(layer(x).numpy(), expected, rtol=1e-5)
    layer.g.assign(2 * layer.g.numpy())
    np.testing.assert_allclose(layer(x).numpy() - bare.bias.numpy(), 2 * expected, rtol=1e-5)
    assert (layer.g.decay, layer.layer.weight.decay) == (True, False)
    layer(x).sum().backward()
    v = layer.layer.weight
    np.testing.assert_allclose((v.grad.numpy() * v.numpy()).sum(axis=1), 0.0, atol=1e-5)  # the length of v does not count


def test_a_wrapped_convolution():
    conv = nn.Conv2d(2, 3, 2, rng=tr.Generator(0))
    x = normal(1, 2, 4, 4)
    for wrapper in (nn.WeightNorm(conv), nn.SpectralNorm(conv, exact=True)):
        assert wrapper(x).shape == (1, 3, 3, 3)
        assert isinstance(conv.weight, nn.Parameter)


def test_the_layer_has_its_parameter_back_after_an_error():
    layer = nn.WeightNorm(nn.Linear(3, 2))
    with pytest.raises(ValueError, match="Linear: got x"):
        layer(normal(4, 5))
    assert isinstance(layer.layer.weight, nn.Parameter)


@pytest.mark.parametrize("layer", [nn.ReLU(), nn.Sequential(nn.Linear(2, 2))])
def test_a_layer_without_that_parameter_is_refused(layer):
    for wrapper in (nn.WeightNorm, nn.SpectralNorm, nn.DropConnect):
        with pytest.raises(TypeError, match=f"(?s){wrapper.__name__}: got .*expected a layer with a parameter 'weight'"):
            wrapper(layer)

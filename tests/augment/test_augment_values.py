"""Colours, noise, blur, boxes, mixup and CutMix: their values, and what is refused."""

import math

import numpy as np
import pytest
from photos import patches
from scipy import ndimage

import tinyreg as tr
from tinyreg import augment

pytestmark = pytest.mark.usefixtures("backend")

MIXING = {"mixup": augment.mixup, "cutmix": augment.cutmix}


@pytest.fixture(params=MIXING)
def mix(request):
    """mixup and cutmix."""
    return MIXING[request.param]


def tensor(values, **settings):
    return tr.tensor(np.asarray(values), backend=tr.zeros(0).backend, **settings)


def ones(*shape):
    return tensor(np.ones(shape, dtype="float32"))


# ---- colours, by torchvision's definitions


def grey_of(x):
    return (0.2989 * x[:, 0] + 0.587 * x[:, 1] + 0.114 * x[:, 2])[:, None]


@pytest.mark.parametrize("factor", [0.0, 0.4, 1.0, 1.7])
def test_colours_are_mixed_with_black_with_the_mean_and_with_grey(factor):
    x = patches(4, 10).astype("float64")
    grey = grey_of(x)
    others = {"brightness": 0.0, "contrast": grey.mean(axis=(1, 2, 3), keepdims=True), "saturation": grey}
    for name, other in others.items():
        y = getattr(augment, name)(tensor(x), (factor, factor)).numpy()
        np.testing.assert_allclose(y, np.clip(factor * x + (1 - factor) * other, 0, 1), atol=1e-12)


def test_a_grey_image_has_contrast_but_no_saturation():
    x = patches(2, 6)[:, :1]
    np.testing.assert_array_equal(augment.saturation(tensor(x), (0, 0)).numpy(), x)
    y = augment.contrast(tensor(x), (0, 0)).numpy()
    np.testing.assert_allclose(y, np.broadcast_to(x.mean(axis=(1, 2, 3), keepdims=True), x.shape), atol=1e-6)


def test_factors_are_drawn_from_all_of_the_range():
    y = augment.brightness(ones(2000, 1, 1, 1), (0.25, 0.75), rng=tr.Generator(0)).numpy()
    assert y.min() >= 0.25
    assert y.max() < 0.75
    assert abs(y.mean() - 0.5) < 4 * 0.5 / math.sqrt(12 * 2000)


@pytest.mark.parametrize("name", ["contrast", "saturation"])
def test_a_colour_needs_three_channels(name):
    with pytest.raises(
        ValueError, match=rf"{name}: got images float32\[1, 2, 3, 3\], expected 1 channel, or 3: red, green"
    ):
        getattr(augment, name)(ones(1, 2, 3, 3))


@pytest.mark.parametrize("name", ["brightness", "contrast", "saturation", "gaussian_noise"])
@pytest.mark.parametrize("value", [255.0, -1.0, math.nan, math.inf])
def test_values_out_of_range_are_refused_where_they_would_be_clipped(name, value):
    x = np.full((1, 3, 2, 2), 0.5)
    x[0, 0, 1, 1] = value
    with pytest.raises(ValueError, match=rf"{name}: got values from .*, expected \[0, 1\]; for 0 to 255 use images / 255"):
        getattr(augment, name)(tensor(x))


def test_what_interpolation_rounds_above_1_is_let_pass():
    turned = augment.rotate(ones(20, 3, 9, 9), padding="edge", rng=tr.Generator(0)) + 2e-7
    assert augment.brightness(turned, (1, 1)).numpy().max() == 1.0


# ---- noise and blur


def test_noise_has_its_standard_deviation_for_each_element():
    x = np.full((10, 3, 20, 20), 0.5)
    noise = augment.gaussian_noise(tensor(x), 0.05, rng=tr.Generator(0)).numpy() - 0.5
    assert abs(noise.mean()) < 4 * 0.05 / math.sqrt(noise.size)
    assert noise.std() == pytest.approx(0.05, rel=4 / math.sqrt(2 * noise.size))
    assert len(np.unique(noise)) == noise.size


def test_no_noise_changes_nothing():
    x = patches(2, 4)
    np.testing.assert_array_equal(augment.gaussian_noise(tensor(x), 0.0).numpy(), x)
    for std, error in ((-0.1, ValueError), (math.nan, ValueError), (math.inf, ValueError), ("much", TypeError)):
        with pytest.raises(error, match="gaussian_noise: got std=.*, expected a number of at least 0"):
            augment.gaussian_noise(tensor(x), std)


@pytest.mark.parametrize("shape", [(12, 12), (5, 9), (1, 4), (2, 3)])
def test_blur_is_that_of_scipy(shape):
    x = np.random.default_rng(0).random((6, 2, *shape))
    rng = tr.Generator(3)
    y = augment.gaussian_blur(tensor(x), (0.2, 2.5), rng=tr.Generator(3)).numpy()
    sigmas = tr.tensor(rng.uniform(0.2, 2.5, 6, "float64")).numpy()
    for got, images, sigma in zip(y, x, sigmas, strict=True):
        for channel, image in zip(got, images, strict=True):
            np.testing.assert_allclose(channel, ndimage.gaussian_filter(image, sigma, mode="reflect"), atol=1e-12)


def test_hardly_any_blur_changes_nothing():
    x = np.random.default_rng(0).random((2, 1, 5, 5))
    np.testing.assert_array_equal(augment.gaussian_blur(tensor(x), (2e-6, 2e-6)).numpy(), x)


# ---- boxes


def test_a_box_is_erased_around_a_pixel_and_cut_off_at_the_edges():
    y = augment.cutout(ones(3000, 2, 5, 6), (2, 3), rng=tr.Generator(0)).numpy()
    assert set(np.unique(y)) == {0.0, 1.0}
    assert (y[:, 0] == y[:, 1]).all()
    holes = y[:, 0] == 0
    erased = [(int(hole.any(axis=1).sum()), int(hole.any(axis=0).sum())) for hole in holes]
    assert set(erased) == {(r, c) for r in (1, 2) for c in (2, 3)}
    assert all(hole.sum() == r * c for hole, (r, c) in zip(holes, erased, strict=True))
    share = holes.mean(axis=0)
    assert share.min() > 0  # the corners too
    assert share[2, 2] == pytest.approx(2 * 3 / (5 * 6), abs=0.04)


def test_the_size_of_a_box_may_be_a_share_and_its_value_any():
    y = augment.cutout(ones(1, 1, 9, 9), 1.0, value=0.25, rng=tr.Generator(1)).numpy()
    rows, columns = np.where(y[0, 0] == 0.25)
    assert len(rows) == len(np.unique(rows)) * len(np.unique(columns)) > 16
    np.testing.assert_array_equal(augment.cutout(ones(2, 1, 3, 3), 0).numpy(), np.ones((2, 1, 3, 3)))


@pytest.mark.parametrize("size", [-1, 1.5, (1,), "2", (0.5, 0.5)])
def test_a_size_that_is_none_is_refused(size):
    error = TypeError if size in ("2", (0.5, 0.5)) else ValueError
    with pytest.raises(error, match=r"cutout: got size=.*, expected pixels, \(rows, columns\) or one number, or a share"):
        augment.cutout(ones(1, 1, 3, 3), size)


# ---- mixup


def levels(n, size=4):
    """Images of one value each, which say how much of each is in a mixture; and soft labels, one class an image."""
    return np.broadcast_to((np.arange(n) / n).reshape(n, 1, 1, 1), (n, 1, size, size)).copy(), np.eye(n)


@pytest.mark.parametrize("per", ["sample", "batch"])
def test_mixup_mixes_images_and_labels_by_the_same_share(per):
    n = 50
    images, labels = levels(n)
    mixed, soft = (
        t.numpy() for t in augment.mixup(tensor(images), tensor(labels), alpha=0.4, per=per, rng=tr.Generator(0))
    )
    np.testing.assert_allclose(mixed[:, 0, 0, 0], soft @ np.arange(n) / n, atol=1e-12)
    np.testing.assert_allclose(soft.sum(axis=1), 1)
    own = np.diag(soft)
    assert len(np.unique(own[own < 1].round(9))) == (1 if per == "batch" else (own < 1).sum())
    assert ((soft > 0).sum(axis=1) <= 2).all()
    assert (own < 1).sum() > n / 2


@pytest.mark.parametrize("alpha", [0.2, 1.0, 4.0])
def test_the_shares_of_mixup_are_those_of_the_beta_distribution(alpha):
    """Half of the images are black, half white: where two unlike ones meet, the mixture is lambda or 1 - lambda."""
    n = 8000
    colours = tensor((np.arange(n) % 2.0).reshape(n, 1, 1, 1))
    mixed, _ = augment.mixup(colours, tensor(np.arange(n) % 2), num_classes=2, alpha=alpha, rng=tr.Generator(1))
    shares = mixed.numpy().ravel()
    shares = shares[(shares > 0) & (shares < 1)]
    assert shares.size > n / 3
    assert shares.mean() == pytest.approx(0.5, abs=0.02)
    assert shares.var() == pytest.approx(1 / (4 * (2 * alpha + 1)), rel=0.08)


def test_alpha_0_mixes_nothing(mix):  # NumPy's beta(0, 0) raises
    x, labels = tensor(patches(5, 4)), tensor([0, 2, 1, 1, 0])
    rng = tr.Generator(0)
    before = rng.state
    mixed, soft = mix(x, labels, alpha=0, num_classes=3, rng=rng)
    assert rng.state == before
    np.testing.assert_array_equal(mixed.numpy(), x.numpy())
    np.testing.assert_array_equal(soft.numpy(), np.eye(3)[[0, 2, 1, 1, 0]])


def test_integer_labels_become_soft_ones_that_a_loss_takes(mix):  # keras-cv#445
    x, labels = tensor(patches(8, 6)), tensor(np.arange(8) % 3)
    mixed, soft = mix(x, labels, alpha=1.0, num_classes=3, rng=tr.Generator(0))
    assert soft.shape == (8, 3)
    assert soft.dtype == x.dtype
    np.testing.assert_allclose(soft.numpy().sum(axis=1), 1, rtol=1e-6)
    assert (soft.numpy() > 0).sum() > 8
    assert isinstance(mixed, tr.Tensor)
    tr.losses.cross_entropy(mixed.mean(axis=(2, 3)), soft)


def test_indices_and_soft_labels_give_the_same(mix):
    x, labels = tensor(patches(8, 6)), np.arange(8) % 3
    by_index = mix(x, tensor(labels), alpha=1.0, num_classes=3, rng=tr.Generator(0))
    by_share = mix(x, tensor(np.eye(3, dtype="float32")[labels]), alpha=1.0, rng=tr.Generator(0))
    for a, b in zip(by_index, by_share, strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy())


@pytest.mark.parametrize("shape", [(), (3,), (4, 3), (2, 4, 3), (3, 5, 5)])
@pytest.mark.parametrize("per", ["sample", "batch"])
def test_rows_sequences_and_embeddings_are_mixed_and_so_are_their_gradients(shape, per):
    n = 6
    values, g = np.random.default_rng(0).normal(size=(2, n, *shape))
    x = tr.tensor(values, requires_grad=True, backend=tr.zeros(0).backend)
    labels = tr.tensor(np.arange(n), backend=x.backend)
    mixed, soft = augment.mixup(x * 1.0, labels, alpha=1.0, num_classes=n, per=per, rng=tr.Generator(1))
    (mixed * tensor(g)).sum().backward()
    weights = soft.numpy()  # sample i is made of weights[i, j] of sample j
    assert (weights.max(axis=1) < 1).any()
    np.testing.assert_allclose(mixed.numpy(), np.tensordot(weights, values, 1), atol=1e-12)
    np.testing.assert_allclose(x.grad.numpy(), np.tensordot(weights.T, g, 1), atol=1e-12)


def test_embeddings_on_the_tape_hand_their_gradient_on():
    table = tr.nn.Embedding(5, 3, rng=tr.Generator(0))
    mixed, _ = augment.mixup(table(tr.tensor([[0, 1], [2, 3]])), tr.tensor([0, 1]), alpha=1.0, num_classes=2, rng=0)
    mixed.sum().backward()
    np.testing.assert_allclose(table.weight.grad.numpy().sum(), 12, rtol=1e-6)
    with pytest.raises(
        TypeError, match=r"mixup: got images int64\[2, 2\], expected floats; .* of tokens mix the embeddings"
    ):
        augment.mixup(tr.tensor([[0, 1], [2, 3]]), tr.tensor([0, 1]), alpha=1.0, num_classes=2)
    with pytest.raises(ValueError, match=r"mixup: got images float32\[\], expected \(N, ...\)"):
        augment.mixup(tr.tensor(1.0), tr.tensor([0]), alpha=1.0, num_classes=1)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_sample_with_no_share_does_not_enter(bad):  # Beta(1e-4, 1e-4) is 0 or 1 in nearly every draw
    values = np.random.default_rng(0).normal(size=(40, 3))
    values[7] = bad
    labels = tensor(np.arange(40))
    mixed, soft = augment.mixup(tensor(values), labels, alpha=1e-4, num_classes=40, rng=0)
    takes = soft.numpy()[:, 7] > 0
    assert 0 < takes.sum() < 4
    np.testing.assert_array_equal(np.isfinite(mixed.numpy()).all(axis=1), ~takes)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_batch_with_one_share_lets_in_one_order_only(bad):
    values = np.ones((4, 3))
    values[2] = bad
    for seed in range(8):  # the share is 0 or 1
        mixed, soft = augment.mixup(tensor(values), tensor(np.arange(4)), alpha=1e-6, num_classes=4, per="batch", rng=seed)
        np.testing.assert_array_equal(np.isfinite(mixed.numpy()).all(axis=1), soft.numpy()[:, 2] == 0)


@pytest.mark.parametrize(("shape", "most"), [((8, 8), 5 * 5), ((4, 12), 2 * 8), ((12, 4), 8 * 2)])
def test_the_sides_of_a_box_of_cutmix_are_rounded_down(shape, most):
    images, labels = np.ones((40, 1, *shape)), np.eye(40)
    _, soft = augment.cutmix(tensor(images), tensor(labels), alpha=1e9, rng=0)  # sides times the root of 1/2
    others = np.where(labels == 1, 0, soft.numpy()).max(axis=1)
    assert others.max() == pytest.approx(most / math.prod(shape))


def test_what_is_cut_out_drops_nan_in_both_directions():
    x = tr.tensor(np.full((1, 1, 3, 3), np.nan), requires_grad=True, backend=tr.zeros(0).backend)
    y = augment.cutout(x, (9, 9), rng=0)
    y.sum().backward()
    np.testing.assert_array_equal(y.numpy(), np.zeros((1, 1, 3, 3)))
    np.testing.assert_array_equal(x.grad.numpy(), np.zeros((1, 1, 3, 3)))


@pytest.mark.parametrize("dtype", ["int64", "bool", "uint8"])
def test_one_hot_labels_of_whole_numbers_are_soft_labels(mix, dtype):
    x, labels = tensor(patches(4, 5)), np.array([0, 2, 1, 0])
    by_index = mix(x, tensor(labels), alpha=1.0, num_classes=3, rng=0)[1]
    hot = np.eye(3)[labels].astype(dtype)
    np.testing.assert_array_equal(mix(x, tensor(hot), alpha=1.0, num_classes=3, rng=0)[1].numpy(), by_index.numpy())


def test_numbers_of_numpy_and_seeds_mix_too(mix):
    x, labels = tensor(patches(4, 5)), tensor([0, 2, 1, 0])
    plain = mix(x, labels, alpha=0.5, num_classes=3, rng=tr.Generator(3))
    for a, b in zip(plain, mix(x, labels, alpha=np.float32(0.5), num_classes=np.int64(3), rng=np.int64(3)), strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy())
    mix(x, labels, alpha=1.0, num_classes=labels.max() + 1)
    for wrong in (np.random.default_rng(0), "0", 1.5):
        with pytest.raises(TypeError, match=rf"{mix.__name__}: got rng=.*, expected a tr.Generator, an integer seed"):
            mix(x, labels, alpha=1.0, num_classes=3, rng=wrong)


# ---- CutMix


def test_the_share_of_cutmix_is_that_of_the_box_as_clipped():  # CutMix-PyTorch#1
    n = 300
    images, labels = levels(n, 7)
    mixed, soft = (t.numpy() for t in augment.cutmix(tensor(images), tensor(labels), alpha=1.0, rng=tr.Generator(0)))
    np.testing.assert_allclose(mixed.mean(axis=(1, 2, 3)), soft @ np.arange(n) / n, atol=1e-12)
    seen = np.isclose(mixed, images).mean(axis=(1, 2, 3))
    np.testing.assert_allclose(np.diag(soft), seen, atol=1e-12)
    assert len(np.unique(np.diag(soft))) > 15  # each with a box of its own


def test_what_cutmix_puts_in_comes_from_the_same_place_of_another_image():
    x = np.random.default_rng(0).random((6, 3, 8, 5))
    mixed, soft = (t.numpy() for t in augment.cutmix(tensor(x), tensor(np.eye(6)), alpha=1.0, rng=tr.Generator(2)))
    for i in range(6):
        others = [j for j in range(6) if soft[i, j] > 0]
        inside = (mixed[i] != x[i]).any(axis=0)
        for j in set(others) - {i}:
            np.testing.assert_array_equal(mixed[i][:, inside], x[j][:, inside])
            assert soft[i, j] == pytest.approx(inside.mean())
            rows, columns = np.where(inside)
            assert inside.sum() == (np.ptp(rows) + 1) * (np.ptp(columns) + 1)  # a box


# ---- both


def test_mixing_keeps_dtypes_and_kinds(mix):
    for dtype in ("float16", "float32", "float64"):
        x = tensor(patches(4, 5).astype(dtype))
        mixed, soft = mix(x, tensor([0, 1, 0, 1]), alpha=1.0, num_classes=2)
        assert mixed.dtype == soft.dtype == dtype
        arrays = mix(x.data, tensor([0, 1, 0, 1]).data, alpha=1.0, num_classes=2)
        assert [type(a) for a in arrays] == [type(x.data)] * 2


def test_the_seed_decides_how_images_are_mixed(mix):
    x, labels = tensor(patches(8, 6)), tensor(np.arange(8))

    def mixed(rng=None):
        return mix(x, labels, alpha=1.0, num_classes=8, rng=rng)[1].numpy()

    np.testing.assert_array_equal(mixed(tr.Generator(3)), mixed(tr.Generator(3)))
    tr.seed(3)
    np.testing.assert_array_equal(mixed(), mixed(tr.Generator(3)))
    assert not np.array_equal(mixed(), mixed(tr.Generator(3)))


def test_an_empty_batch_gives_an_empty_batch(mix):
    mixed, soft = mix(tensor(np.empty((0, 3, 4, 4))), tensor(np.empty(0, dtype="int64")), alpha=1.0, num_classes=3)
    assert mixed.shape == (0, 3, 4, 4)
    assert soft.shape == (0, 3)


@pytest.mark.parametrize("alpha", [-0.1, math.nan, math.inf, None])
def test_an_alpha_below_0_is_refused(mix, alpha):
    error = TypeError if alpha is None else ValueError
    with pytest.raises(error, match=rf"{mix.__name__}: got alpha={alpha}, expected a number of at least 0; 0 mixes no"):
        mix(ones(2, 1, 3, 3), tensor([0, 1]), alpha=alpha, num_classes=2)


def test_labels_that_are_none_are_refused(mix):
    x, name = ones(2, 1, 3, 3), mix.__name__
    with pytest.raises(ValueError, match=rf"{name}: got num_classes=0, expected how many classes there are"):
        mix(x, tensor([0, 1]), alpha=1.0, num_classes=0)
    with pytest.raises(ValueError, match=rf"{name}: got num_classes=None with class indices, expected how many classes"):
        mix(x, tensor([0, 1]), alpha=1.0)
    with pytest.raises(IndexError, match=rf"{name}: got class indices from 0 to 2, expected 0 to 1"):
        mix(x, tensor([0, 2]), alpha=1.0, num_classes=2)
    with pytest.raises(IndexError, match=rf"{name}: got class indices from -1 to 1, expected 0 to 1"):
        mix(x, tensor([-1, 1]), alpha=1.0, num_classes=2)
    with pytest.raises(ValueError, match=rf"{name}: got labels int64\[2, 1\], expected class indices of shape \[2\]"):
        mix(x, tensor([[0], [1]]), alpha=1.0, num_classes=2)
    with pytest.raises(ValueError, match=rf"{name}: got labels float64\[2\], expected soft labels of shape \[2, 2\]"):
        mix(x, tensor(np.zeros(2)), alpha=1.0, num_classes=2)
    with pytest.raises(ValueError, match=rf"{name}: got labels float64\[3, 2\], expected soft labels of shape \[2, K\]"):
        mix(x, tensor(np.zeros((3, 2))), alpha=1.0)
    with pytest.raises(TypeError, match=rf"{name}: got labels \[0, 1\], expected integers \(N,\) or floats \(N, K\)"):
        mix(x, [0, 1], alpha=1.0, num_classes=2)
    with pytest.raises(TypeError, match=rf"{name}: got images int64"):
        mix(tensor([[[[1]]]]), tensor([0]), alpha=1.0, num_classes=2)


def test_per_is_sample_or_batch():
    with pytest.raises(ValueError, match="mixup: got per='image', expected 'sample' or 'batch'"):
        augment.mixup(ones(2, 1, 3, 3), tensor([0, 1]), alpha=1.0, num_classes=2, per="image")

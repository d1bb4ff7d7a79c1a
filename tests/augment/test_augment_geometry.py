"""Rotation, scale and shift against scipy.ndimage; flips and crops; what each sample draws; what is refused."""

import math

import numpy as np
import pytest
from photos import patches
from scipy import ndimage

import tinyreg as tr
from tinyreg import augment
from tinyreg.augment import sampling
from tinyreg.augment.geometry import cut_out

pytestmark = pytest.mark.usefixtures("backend")

RANDOM = {
    "rotate": lambda x, rng=None: augment.rotate(x, (-30, 30), rng=rng),
    "scale": lambda x, rng=None: augment.scale(x, (0.7, 1.4), rng=rng),
    "shift": lambda x, rng=None: augment.shift(x, (-0.3, 0.3), rng=rng),
    "flip": lambda x, rng=None: augment.flip(x, rng=rng),
    "crop": lambda x, rng=None: augment.crop(x, (4, 3), padding=2, rng=rng),
    "brightness": lambda x, rng=None: augment.brightness(x, (0.5, 1.5), rng=rng),
    "contrast": lambda x, rng=None: augment.contrast(x, (0.5, 1.5), rng=rng),
    "saturation": lambda x, rng=None: augment.saturation(x, (0.5, 1.5), rng=rng),
    "gaussian_noise": lambda x, rng=None: augment.gaussian_noise(x, 0.1, rng=rng),
    "gaussian_blur": lambda x, rng=None: augment.gaussian_blur(x, (0.3, 1.5), rng=rng),
    "cutout": lambda x, rng=None: augment.cutout(x, 2, rng=rng),
}


@pytest.fixture(params=RANDOM)
def change(request):
    """Each of the transforms of images, with its name."""
    found = RANDOM[request.param]
    found.__name__ = request.param
    return found


def drawn(*shape, seed=0, dtype="float64"):
    return np.random.default_rng(seed).random(shape).astype(dtype)


def tensor(values, **settings):
    return tr.tensor(np.asarray(values), backend=tr.zeros(0).backend, **settings)


# ---- against scipy.ndimage


@pytest.mark.parametrize(("padding", "mode"), [("zeros", "grid-constant"), ("edge", "nearest")])
@pytest.mark.parametrize("shape", [(7, 7), (6, 9), (10, 3)])
def test_rotation_is_that_of_scipy(shape, padding, mode):
    x, angles = drawn(5, 2, *shape), np.array([-170.0, -33.0, 0.0, 12.5, 90.0])
    y = augment.affine(tensor(x), tensor(angles), padding=padding).numpy()
    for ours, images, angle in zip(y, x, angles, strict=True):
        for got, image in zip(ours, images, strict=True):
            expected = ndimage.rotate(image, angle, reshape=False, order=1, mode=mode)
            np.testing.assert_allclose(got, expected, atol=1e-12)


@pytest.mark.parametrize(("padding", "mode"), [("zeros", "grid-constant"), ("edge", "nearest")])
def test_shift_is_that_of_scipy(padding, mode):
    x, down, right = drawn(3, 1, 6, 8), np.array([0.25, -0.4, 0.05]), np.array([-0.3, 0.0, 0.11])
    y = augment.affine(tensor(x), down=tensor(down), right=tensor(right), padding=padding).numpy()
    for i in range(3):
        expected = ndimage.shift(x[i, 0], (down[i] * 6, right[i] * 8), order=1, mode=mode)
        np.testing.assert_allclose(y[i, 0], expected, atol=1e-12)


def test_scale_is_that_of_scipy():
    x, factors = drawn(4, 1, 7, 5), np.array([0.5, 0.9, 1.3, 2.0])
    y = augment.affine(tensor(x), scale=tensor(factors)).numpy()
    for got, image, factor in zip(y, x, factors, strict=True):
        middle = np.array([3.0, 2.0])
        matrix = np.eye(2) / factor
        expected = ndimage.affine_transform(image[0], matrix, middle - matrix @ middle, order=1, mode="grid-constant")
        np.testing.assert_allclose(got[0], expected, atol=1e-12)


def test_scaling_up_is_the_middle_of_a_zoomed_image():
    image = drawn(1, 1, 9, 9)
    ours = augment.affine(tensor(image), scale=2.0).numpy()[0, 0]
    zoomed = ndimage.zoom(image[0, 0], (17 / 9, 17 / 9), order=1)  # which puts one pixel between each two
    np.testing.assert_allclose(ours, zoomed[4:13, 4:13], atol=1e-12)


def test_turned_scaled_and_shifted_at_once_is_one_after_the_other():
    x = drawn(2, 3, 8, 6)
    angles, factors = np.array([20.0, -50.0]), np.array([0.8, 1.2])
    y = augment.affine(tensor(x), tensor(angles), tensor(factors), 0.1, -0.2).numpy()
    for got, images, angle, factor in zip(y, x, angles, factors, strict=True):
        a = math.radians(angle)
        matrix = np.array([[math.cos(a), math.sin(a)], [-math.sin(a), math.cos(a)]]) / factor
        middle = np.array([3.5, 2.5])
        offset = middle - matrix @ (middle + np.array([0.8, -1.2]))
        for channel, image in zip(got, images, strict=True):
            expected = ndimage.affine_transform(image, matrix, offset, order=1, mode="grid-constant")
            np.testing.assert_allclose(channel, expected, atol=1e-12)


# ---- the fast form


@pytest.mark.parametrize("padding", ["zeros", "edge"])
@pytest.mark.parametrize("block", [1, 25, 1 << 16])
def test_the_fast_form_is_the_definition_whatever_the_size_of_a_block(padding, block, monkeypatch):
    monkeypatch.setattr(sampling, "BLOCK", block)
    x, rows, columns = drawn(5, 2, 4, 6), 8 * drawn(5, 3, 4, seed=1) - 2, 10 * drawn(5, 3, 4, seed=2) - 2
    given = [tensor(a) for a in (x, rows, columns)]
    fast, slow = augment.sample(*given, padding=padding), augment.sample.definition(*given, padding=padding)
    np.testing.assert_allclose(fast.numpy(), slow.numpy(), atol=1e-14)


@pytest.mark.parametrize("padding", ["zeros", "edge"])
def test_at_the_places_of_pixels_samples_are_the_pixels(padding):
    x = drawn(2, 3, 4, 5, dtype="float32")
    rows, columns = np.meshgrid(np.arange(4.0), np.arange(5.0), indexing="ij")
    places = [np.stack([p, p]).astype("float32") for p in (rows, columns)]
    np.testing.assert_array_equal(augment.sample(tensor(x), *map(tensor, places), padding=padding).numpy(), x)


def test_a_place_in_an_image_of_more_pixels_than_a_float32_counts_is_exact():
    x = np.zeros((1, 1, 4100, 4100), dtype="float16")
    x[0, 0, 4098, 4097] = 1.0
    places = [tensor(np.full((1, 1, 3), 4098.0, "float32")), tensor(np.array([[[4096.0, 4097.0, 4098.0]]], "float32"))]
    assert augment.sample(tensor(x), *places).tolist() == [[[[0.0, 1.0, 0.0]]]]


@pytest.mark.parametrize("far", [1e6, -1e6, 1e30, -1e30, math.inf, -math.inf])
def test_places_far_outside_are_zeros_or_the_edge(far):
    x = np.arange(6.0).reshape(1, 1, 2, 3)
    place, middle = tensor([[[far]]]), tensor([[[1.0]]])
    for sample in (augment.sample, augment.sample.definition):
        assert sample(tensor(x), place, middle).numpy().item() == 0.0
        assert sample(tensor(x), place, middle, padding="edge").numpy().item() == (4.0 if far > 0 else 1.0)


def test_the_gradient_finds_the_angle_by_which_an_image_was_turned():
    image = tensor(augment.gaussian_blur(patches(1, 24).astype("float64"), (2, 2)))
    target = augment.affine(image, 12.0)
    angle = tensor([0.0], dtype="float64", requires_grad=True)
    optimizer = tr.optim.Adam([angle], lr=0.5)
    for _ in range(80):
        optimizer.zero_grad()
        tr.losses.mse(augment.affine(image, angle), target).backward()
        optimizer.step()
    assert angle.item() == pytest.approx(12.0, abs=0.2)


# ---- directions


def test_above_0_is_counterclockwise_down_and_right():
    dot = np.zeros((1, 1, 5, 5))
    dot[0, 0, 2, 4] = 1.0  # in the middle of the right side

    def place(y):
        return tuple(int(i) for i in np.unravel_index(y.numpy().argmax(), (5, 5)))

    assert place(augment.rotate(tensor(dot), (90, 90))) == (0, 2)
    assert place(augment.scale(tensor(dot), (0.5, 0.5))) == (2, 3)
    assert place(augment.shift(tensor(dot), (-0.2, -0.2))) == (1, 3)
    assert place(augment.affine(tensor(dot), down=0.2)) == (3, 4)


def test_down_and_right_are_drawn_apart():
    """A dot in the middle of a black image: where it goes in one direction says nothing of the other."""
    dot = np.zeros((200, 1, 21, 21))
    dot[:, 0, 10, 10] = 1.0
    y = augment.shift(tensor(dot), (-0.4, 0.4), rng=tr.Generator(0)).numpy()[:, 0]
    down, right = (y.sum(axis=axis) @ np.arange(21) - 10 for axis in (2, 1))
    for moved in (down, right):
        assert moved.min() < -7
        assert moved.max() > 7
    assert abs(np.corrcoef(down, right)[0, 1]) < 0.3


def test_the_corners_of_a_crop_are_drawn_apart():
    """Each pixel says where it is: so does what is cut out."""
    at = np.broadcast_to(np.arange(20.0), (200, 1, 20, 20))
    both = np.concatenate([at.swapaxes(2, 3), at], axis=1)
    top, left = augment.crop(tensor(both), 1, rng=tr.Generator(0)).numpy()[:, :, 0, 0].T
    for place in (top, left):
        assert set(place) == set(range(20))
    assert abs(np.corrcoef(top, left)[0, 1]) < 0.3


def test_flips_mirror_left_and_right_or_top_and_bottom():
    x = drawn(3, 2, 4, 5)
    np.testing.assert_array_equal(augment.flip(tensor(x), 1.0).numpy(), x[..., ::-1])
    np.testing.assert_array_equal(augment.flip(tensor(x), 1.0, axis="vertical").numpy(), x[..., ::-1, :])
    np.testing.assert_array_equal(augment.flip(tensor(x), 0.0).numpy(), x)


def test_about_a_share_of_p_is_flipped():
    x = np.broadcast_to(np.arange(2.0).reshape(1, 1, 1, 2), (4000, 1, 1, 2))
    flipped = augment.flip(tensor(x), 0.3, rng=tr.Generator(0)).numpy()[:, 0, 0, 0] == 1
    assert abs(flipped.mean() - 0.3) < 4 * math.sqrt(0.21 / 4000)


def test_crops_are_parts_of_the_padded_image_and_reach_all_of_it():
    image = 1 + np.arange(12.0).reshape(3, 4)
    padded = np.pad(image, 1)
    parts = augment.crop(tensor(np.broadcast_to(image, (500, 1, 3, 4))), (2, 3), padding=1, rng=tr.Generator(0)).numpy()
    expected = {padded[i : i + 2, j : j + 3].tobytes() for i in range(4) for j in range(4)}
    assert {part.tobytes() for part in parts[:, 0]} == expected


def test_a_crop_of_the_whole_image_is_the_image():
    x = drawn(3, 2, 4, 5)
    np.testing.assert_array_equal(augment.crop(tensor(x), (4, 5)).numpy(), x)


def test_a_cut_of_a_view_takes_the_right_pixels():
    x = drawn(2, 3, 5, 4).transpose(0, 1, 3, 2)[:, ::-1]
    y = cut_out(tensor(x), tensor([0, 1]), tensor([2, 0]), size=(3, 2)).numpy()
    np.testing.assert_array_equal(y, np.stack([x[0, :, 0:3, 2:4], x[1, :, 1:4, 0:2]]))


# ---- what all transforms of images have in common


def test_every_sample_has_random_numbers_of_its_own(change):  # 3dunet#32: the same for the whole batch
    one = patches(1, 12)
    batch = tensor(np.broadcast_to(one, (16, 3, 12, 12)))
    y = change(batch, rng=tr.Generator(0)).numpy()
    assert len({image.tobytes() for image in y}) > (1 if change.__name__ == "flip" else 8)
    again = change(batch, rng=tr.Generator(1)).numpy()  # and every call
    assert not np.array_equal(y, again)


def test_the_seed_decides(change):
    x = tensor(patches(6, 12))
    first = change(x, rng=tr.Generator(5)).numpy()
    np.testing.assert_array_equal(change(x, rng=tr.Generator(5)).numpy(), first)
    tr.seed(5)
    np.testing.assert_array_equal(change(x).numpy(), first)


def test_a_tensor_gives_a_tensor_and_an_array_an_array(change):
    x = tensor(patches(3, 8))
    y, z = change(x, rng=tr.Generator(0)), change(x.data, rng=tr.Generator(0))
    assert isinstance(y, tr.Tensor)
    assert type(z) is type(x.data)
    np.testing.assert_array_equal(y.numpy(), tr.tensor(z).numpy())


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_the_dtype_stays(change, dtype):
    x = tensor(patches(3, 8).astype(dtype), requires_grad=True)
    y = change(x, rng=tr.Generator(0))
    assert y.dtype == dtype
    y.sum().backward()
    assert x.grad.dtype == dtype


def test_half_precision_comes_close(change):
    x = patches(3, 8)
    half, single = (change(tensor(x.astype(d)), rng=tr.Generator(0)).numpy() for d in ("float16", "float32"))
    np.testing.assert_allclose(half, single, atol=4e-3)


def test_an_empty_batch_stays_empty(change):
    y = change(tensor(np.empty((0, 3, 5, 4), dtype="float32")))
    assert y.shape == ((0, 3, 4, 3) if change.__name__ == "crop" else (0, 3, 5, 4))


def test_the_argument_stays_as_it_is(change):
    x = patches(3, 8)
    given = tensor(x)
    change(given)
    np.testing.assert_array_equal(given.numpy(), x)


def test_images_need_not_be_square_and_may_be_grey(change):
    assert change(tensor(drawn(2, 1, 6, 9, dtype="float32"))).shape[:2] == (2, 1)


def test_values_stay_in_the_unit_interval(change):
    y = change(tensor(patches(8, 10))).numpy()
    assert y.min() >= 0
    assert y.max() <= 1 + 1e-6


@pytest.mark.parametrize("wrong", ["uint8", "int64"])
def test_integer_images_are_refused(change, wrong):
    with pytest.raises(
        TypeError, match=rf"{change.__name__}: got images {wrong}\[1, 3, 4, 4\], expected floats in \[0, 1\]; "
    ):
        change(tensor(np.ones((1, 3, 4, 4), dtype=wrong)))


def test_a_wrong_rank_is_refused(change):
    with pytest.raises(ValueError, match=rf"{change.__name__}: got images float64\[3, 4, 4\], .* use images\[None\]"):
        change(tensor(drawn(3, 4, 4)))
    with pytest.raises(
        ValueError, match=r"got images float64\[2, 3, 0, 4\], expected at least one channel, row and column"
    ):
        change(tensor(np.empty((2, 3, 0, 4))))
    with pytest.raises(TypeError, match=rf"{change.__name__}: got images \[\[0.5\]\], expected a Tensor or an array"):
        change([[0.5]])


# ---- settings


@pytest.mark.parametrize(
    ("name", "setting", "value"),
    [
        ("rotate", "degrees", (10, -10)),
        ("rotate", "degrees", 15),
        ("rotate", "degrees", (-math.inf, math.nan)),
        ("rotate", "degrees", (math.nan, math.nan)),
        ("shift", "shares", (0.0, math.inf)),
        ("brightness", "factors", (0.5, np.float32("nan"))),
        ("scale", "factors", (0, 1)),
        ("scale", "factors", (1.1, 0.9)),
        ("shift", "shares", (0.1,)),
        ("brightness", "factors", (-0.1, 1.0)),
        ("contrast", "factors", (1.2, 0.8)),
        ("saturation", "factors", "high"),
        ("gaussian_blur", "sigmas", (0.0, 1.0)),
    ],
)
def test_a_range_that_is_none_is_refused(name, setting, value):
    error = ValueError if isinstance(value, tuple) else TypeError
    with pytest.raises(error, match=rf"{name}: got {setting}=.*, expected \(low, high\), numbers.* not above the second"):
        getattr(augment, name)(tensor(drawn(1, 3, 4, 4)), **{setting: value})


def test_a_crop_larger_than_the_padded_image_is_refused():
    with pytest.raises(
        ValueError, match=r"crop: got size=8 .*\[1, 3, 4, 6\] with padding=1, expected at most 6 by 8; use more"
    ):
        augment.crop(tensor(drawn(1, 3, 4, 6)), 8, padding=1)
    for size, error in ((0, ValueError), (2.0, TypeError), ((1, 2, 3), ValueError), ("4", TypeError), (True, TypeError)):
        with pytest.raises(error, match=r"crop: got size=.*, expected \(rows, columns\) or one number, whole and above 0"):
            augment.crop(tensor(drawn(1, 3, 4, 6)), size)
    with pytest.raises(ValueError, match="crop: got padding=-1, expected a whole number of pixels of at least 0"):
        augment.crop(tensor(drawn(1, 3, 4, 6)), 2, padding=-1)


def test_numbers_of_numpy_are_taken(change):
    x = tensor(drawn(2, 3, 4, 6))
    settings = {
        "rotate": {"degrees": (np.float32(-5), np.int64(5))},
        "scale": {"factors": np.array([0.5, 1.5], dtype="float32")},
        "shift": {"shares": [np.float16(-0.5), np.float64(0.5)]},
        "flip": {"p": np.float32(0.5)},
        "crop": {"size": (np.int64(2), np.int32(3)), "padding": np.uint8(1)},
        "gaussian_noise": {"std": np.float32(0.5)},
        "gaussian_blur": {"sigmas": (np.float32(0.5), np.int64(1))},
        "cutout": {"size": np.float32(0.5), "value": np.float32(0.5)},
    }.get(change.__name__, {"factors": (np.float32(0.5), np.int64(1))})
    plain = {name: tuple(v.item() for v in value) if np.ndim(value) else value.item() for name, value in settings.items()}
    f = getattr(augment, change.__name__)
    np.testing.assert_array_equal(f(x, **settings, rng=0).numpy(), f(x, **plain, rng=tr.Generator(0)).numpy())
    if "size" in settings:
        np.testing.assert_array_equal(f(x, np.int64(2), rng=0).numpy(), f(x, 2, rng=0).numpy())


def test_a_seed_gives_the_same_numbers_at_every_call_and_other_generators_are_refused(change):
    x = tensor(drawn(2, 3, 4, 6))
    for seed in (0, 7, np.int64(7)):
        np.testing.assert_array_equal(change(x, rng=seed).numpy(), change(x, rng=tr.Generator(int(seed))).numpy())
    for wrong in (np.random.default_rng(0), 0.5, "0", True):
        with pytest.raises(TypeError, match=rf"{change.__name__}: got rng=.*, expected a tr.Generator, an integer seed"):
            change(x, rng=wrong)
    with pytest.raises(ValueError, match=rf"{change.__name__}: got rng=-1, expected a tr.Generator"):
        change(x, rng=-1)


class Frame:
    """What matters of a data frame, or of a sparse matrix: a shape, and no array."""

    shape, dtype, ndim = (2, 3, 4, 4), np.dtype("float64"), 4

    def __array__(self, dtype=None, copy=None):
        return np.ones(self.shape)


def test_what_is_no_array_is_refused(change):
    with pytest.raises(TypeError, match=rf"{change.__name__}: got images <.*Frame.*>, expected a Tensor or an array; use"):
        change(Frame())


@pytest.mark.parametrize("bad", [math.nan, math.inf])
@pytest.mark.parametrize("padding", ["zeros", "edge"])
@pytest.mark.parametrize("shares", [(0.0, 0.0), (0.25, -0.5), (-0.75, 0.25), (2.0, 0.0)])
def test_a_pixel_with_no_share_does_not_enter(bad, padding, shares):
    """Images moved by whole pixels: one that is not finite stays alone, and outside of the image there is none."""
    x = drawn(2, 3, 4, 4)
    x[1, 2, 0, 0] = x[1, 0, 3, 2] = x[0, 1, 1, 3] = bad
    down, right = (round(4 * share) for share in shares)
    rows, columns = np.arange(4) - down, np.arange(4) - right
    expected = x[:, :, rows.clip(0, 3)][..., columns.clip(0, 3)]
    if padding == "zeros":
        inside = ((rows >= 0) & (rows < 4))[:, None] & (columns >= 0) & (columns < 4)
        expected = np.where(inside, expected, 0)
    moved = augment.affine(tensor(x), down=shares[0], right=shares[1], padding=padding)
    np.testing.assert_allclose(moved.numpy(), expected, atol=1e-12)
    leaf = tr.tensor(x, requires_grad=True, backend=tr.zeros(0).backend)
    augment.affine(leaf, down=shares[0], right=shares[1], padding=padding).sum().backward()
    assert np.isfinite(leaf.grad.numpy()).all()
    places = (tensor(np.broadcast_to(where, (2, 4, 4)).astype("float64")) for where in (rows[:, None], columns))
    by_definition = sampling.sample.definition(tensor(x), *places, padding=padding)
    np.testing.assert_allclose(by_definition.numpy(), expected, atol=1e-12)


def test_places_that_are_not_finite_are_refused():
    x = tensor(drawn(2, 3, 4, 6))
    for name in ("angle", "scale", "down", "right"):
        with pytest.raises(ValueError, match=rf"affine: got {name} float64\[2\] with NaN or infinity, expected numbers"):
            augment.affine(x, **{name: tensor([1.0, math.nan])})
        with pytest.raises(ValueError, match=rf"affine: got {name}=nan, expected a number"):
            augment.affine(x, **{name: math.nan})


def test_settings_that_do_not_exist_are_refused():
    x = tensor(drawn(2, 3, 4, 6))
    with pytest.raises(ValueError, match="flip: got p=1.5, expected a probability from 0 to 1"):
        augment.flip(x, 1.5)
    with pytest.raises(ValueError, match="flip: got axis='x', expected 'horizontal' or 'vertical'"):
        augment.flip(x, axis="x")
    with pytest.raises(ValueError, match="affine: got padding='wrap', expected 'zeros' or 'edge'"):
        augment.rotate(x, padding="wrap")
    with pytest.raises(ValueError, match="affine: got scale=0.0, expected sizes above 0 throughout"):
        augment.affine(x, scale=0.0)
    with pytest.raises(
        ValueError, match=r"affine: got angle float64\[3\] for images float64\[2, 3, 4, 6\], .* each: \[2\]"
    ):
        augment.affine(x, angle=tensor(np.zeros(3)))

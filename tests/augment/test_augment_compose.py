"""Compose: probabilities, what it prints, labels, use in `fit`; the same on every backend; the contact sheet."""

import functools
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from photos import patches

import tinyreg as tr
from tinyreg import augment
from tinyreg.augment import Apply, Compose

ALL = Compose(
    [
        Apply(augment.rotate, degrees=(-20, 20), chance=0.7),
        Apply(augment.scale, padding="edge"),
        augment.shift,
        augment.flip,
        Apply(augment.crop, size=(14, 12), padding=2),
        augment.brightness,
        augment.contrast,
        augment.saturation,
        Apply(augment.gaussian_blur, sigmas=(0.3, 1.0), chance=0.5),
        Apply(augment.gaussian_noise, std=0.02),
        Apply(augment.cutout, size=4),
    ]
)


def double(images, *, rng):
    return 2 * images


def tensor(values, backend=None):
    return tr.tensor(np.asarray(values), backend=backend or tr.zeros(0).backend)


# ---- what is done


@pytest.mark.usefixtures("backend")
def test_transforms_follow_one_another_from_one_generator():
    x = tensor(patches(6, 12))
    both = Compose([augment.rotate, Apply(augment.cutout, size=3)])
    rng = tr.Generator(4)
    expected = augment.cutout(augment.rotate(x, rng=rng), 3, rng=rng)
    np.testing.assert_array_equal(both(x, rng=tr.Generator(4)).numpy(), expected.numpy())
    tr.seed(4)
    np.testing.assert_array_equal(both(x).numpy(), expected.numpy())


@pytest.mark.parametrize("nested", [False, True])
def test_a_seed_is_one_generator_for_all_transforms(nested):
    x = tensor(patches(6, 12))
    steps = [Apply(augment.cutout, size=3), Apply(augment.cutout, size=3)]
    both = Compose([Compose(steps)] if nested else steps)
    np.testing.assert_array_equal(both(x, rng=4).numpy(), both(x, rng=tr.Generator(4)).numpy())
    np.testing.assert_array_equal(both(x, rng=np.int64(4)).numpy(), both(x, rng=4).numpy())
    assert not np.array_equal(both(x, rng=4).numpy(), augment.cutout(x, 3, rng=4).numpy())
    for transform, name in ((both, "Compose"), (steps[0], "Apply")):
        with pytest.raises(TypeError, match=f"{name}: got rng=.*, expected a tr.Generator, an integer seed"):
            transform(x, rng=np.random.default_rng(0))


def test_a_chance_of_numpy_is_taken():
    assert repr(Apply(augment.flip, chance=np.float32(0.5))) == "Apply(flip, p=0.5, axis='horizontal', chance=0.5)"


@pytest.mark.usefixtures("backend")
def test_a_chance_decides_for_each_sample():
    n = 3000
    doubled = Apply(double, chance=0.3)(tensor(np.ones((n, 1, 1, 1))), rng=tr.Generator(0)).numpy() == 2
    assert abs(doubled.mean() - 0.3) < 4 * np.sqrt(0.21 / n)


@pytest.mark.usefixtures("backend")
def test_a_chance_for_a_whole_compose_takes_it_whole_or_not():
    x = tensor(np.ones((300, 1, 1, 1)))
    y = Compose([Apply(Compose([double, double]), chance=0.5)])(x, rng=tr.Generator(0)).numpy()
    assert set(y.ravel()) == {1.0, 4.0}


@pytest.mark.usefixtures("backend")
def test_labels_stay_unless_they_are_mixed():
    x, labels = tensor(patches(8, 8)), tensor(np.arange(8) % 3)
    assert Compose([augment.flip])(x, labels, tr.Generator(0))[1] is labels
    mixing = Compose([augment.flip, Apply(augment.mixup, alpha=1.0, num_classes=3)])
    images, soft = mixing(x, labels, tr.Generator(0))
    rng = tr.Generator(0)
    expected = augment.mixup(augment.flip(x, rng=rng), labels, alpha=1.0, num_classes=3, rng=rng)
    np.testing.assert_array_equal(images.numpy(), expected[0].numpy())
    np.testing.assert_array_equal(soft.numpy(), expected[1].numpy())


@pytest.mark.usefixtures("backend")
def test_whether_samples_are_mixed_is_decided_for_the_batch():
    x, labels = tensor(patches(4, 8)), tensor(np.arange(4) % 2)
    mixing = Apply(augment.cutmix, alpha=1.0, num_classes=2, chance=0.4)
    rng = tr.Generator(0)
    left = [mixing(x, labels, rng)[1] is labels for _ in range(400)]
    assert abs(np.mean(left) - 0.6) < 4 * np.sqrt(0.24 / 400)


@pytest.mark.parametrize("make", [lambda f: Compose([f]), lambda f: Compose([Compose([f])]), lambda f: f])
def test_mixing_without_labels_is_refused(make):
    with pytest.raises(ValueError, match="(mixup|Compose): got images and no labels, expected both, which it mixes"):
        make(Apply(augment.mixup, alpha=1.0))(tensor(patches(2, 8)))


def test_nothing_to_compose_changes_nothing():
    x = tensor(patches(2, 8))
    assert Compose([])(x) is x


def test_the_same_numbers_on_every_backend(other_backend):
    x, labels = patches(9, 16), np.arange(9) % 3
    mixing = Compose([ALL, *(Apply(f, alpha=0.7, num_classes=3) for f in (augment.mixup, augment.cutmix))])
    here = mixing(tensor(x, "numpy"), tensor(labels, "numpy"), tr.Generator(8))
    there = mixing(tensor(x, other_backend), tensor(labels, other_backend), tr.Generator(8))
    for a, b in zip(here, there, strict=True):
        assert b.backend == other_backend
        np.testing.assert_allclose(a.numpy(), b.numpy(), atol=1e-6)


def test_a_single_transform_needs_no_list():
    assert repr(Compose(augment.flip)) == repr(Compose([augment.flip]))


# ---- in fit


@pytest.mark.usefixtures("backend")
def test_it_is_a_transform_for_fit_which_a_seed_repeats():
    x, labels = patches(24, 8), np.arange(24) % 2
    transform = Compose([augment.flip, Apply(augment.mixup, alpha=0.4, num_classes=2, chance=0.5)])

    def losses():
        tr.seed(0)
        model = tr.nn.Sequential(tr.nn.Flatten(), tr.nn.Linear(3 * 64, 2))
        optimizer = tr.optim.SGD(model.parameters(), lr=0.05)
        settings = {"loss": tr.losses.cross_entropy, "optimizer": optimizer, "epochs": 15, "progress": False}
        data = tensor(x), tensor(labels)
        return tr.training.fit(model, data, transform=transform, rng=tr.Generator(0), **settings)["loss"]

    first = losses()
    assert first == losses()
    assert sum(first[-5:]) < sum(first[:5])


# ---- what it prints


def test_it_prints_what_it_does_and_reads_back():
    transform = Compose([Apply(augment.rotate, degrees=(-5, 5), chance=0.5), augment.flip, Apply(Compose([augment.shift]))])
    assert repr(transform) == (
        "Compose([\n"
        "    Apply(rotate, degrees=(-5, 5), padding='zeros', chance=0.5),\n"
        "    Apply(flip, p=0.5, axis='horizontal'),\n"
        "    Apply(Compose([\n"
        "        Apply(shift, shares=(-0.1, 0.1), padding='zeros'),\n"
        "    ])),\n"
        "])"
    )
    assert repr(eval(repr(transform), vars(augment))) == repr(transform)
    assert repr(Compose([])) == "Compose([])"


# ---- what is refused


def test_what_is_no_transform_is_refused():
    with pytest.raises(
        TypeError, match=r"Compose: got 3, expected functions of \(images, \*, rng\), or Apply\(function, ...\)"
    ):
        Compose([augment.flip, 3])
    with pytest.raises(
        TypeError, match=r"Apply: got rotate with degree, expected a function .*; it has images, degrees, padding"
    ):
        Apply(augment.rotate, degree=(-5, 5))
    with pytest.raises(
        TypeError, match=r"Apply: got <lambda> with no settings, expected a function of \(images, \*, rng\)"
    ):
        Compose([lambda images: images])
    for name in ("rng", "images"):
        with pytest.raises(TypeError, match=f"Apply: got rotate with {name}, expected"):
            Apply(augment.rotate, **{name: None})
    with pytest.raises(TypeError, match="Apply: got mixup with labels, alpha, expected"):
        Apply(augment.mixup, labels=None, alpha=1.0)
    for chance, error in ((-0.1, ValueError), (1.1, ValueError), ("0.5", TypeError)):
        with pytest.raises(error, match="Apply: got chance=.*, expected a probability from 0 to 1"):
            Apply(augment.flip, chance=chance)


def test_some_samples_only_cannot_change_their_shape():
    with pytest.raises(
        ValueError, match=r"Apply: crop made float32\[2, 3, 4, 4\] of float32\[2, 3, 8, 8\], .* use chance=1"
    ):
        Apply(augment.crop, size=4, chance=0.5)(tensor(patches(2, 8)))


def test_a_partial_is_a_transform_too():
    made = Compose([functools.partial(augment.rotate, degrees=(90, 90))])(tensor(patches(2, 8)))
    np.testing.assert_array_equal(made.numpy(), augment.rotate(tensor(patches(2, 8)), (90, 90)).numpy())


# ---- the contact sheet


@pytest.mark.usefixtures("backend")
@pytest.mark.parametrize("channels", [1, 3])
def test_the_sheet_shows_originals_beside_different_versions(tmp_path, channels):
    pytest.importorskip("matplotlib")
    x = patches(2, 16)[:, :channels]
    figure = augment.preview(tensor(x), augment.cutout, tmp_path / "sheet.png", versions=3, rng=tr.Generator(0))
    shown = [np.asarray(axes.get_images()[0].get_array()) for axes in figure.axes]
    assert len(shown) == 8
    assert [axes.get_title() for axes in figure.axes[:5]] == ["original", "version 1", "version 2", "version 3", ""]
    for row in range(2):
        own = x[row].transpose(1, 2, 0) if channels == 3 else x[row, 0]
        np.testing.assert_array_equal(shown[4 * row], own)
        assert len({picture.tobytes() for picture in shown[4 * row : 4 * row + 4]}) == 4
    assert (tmp_path / "sheet.png").read_bytes().startswith(b"\x89PNG")


def test_a_seed_gives_a_sheet_of_different_versions():
    pytest.importorskip("matplotlib")
    figure = augment.preview(tensor(patches(1, 16)), augment.cutout, versions=np.int64(4), rng=0)
    shown = [np.asarray(axes.get_images()[0].get_array()).tobytes() for axes in figure.axes]
    assert len(set(shown)) == 5
    assert len(augment.preview(tensor(patches(1, 16)), augment.cutout, versions=1, rng=0).axes) == 2


def test_the_sheet_needs_pictures():
    pytest.importorskip("matplotlib")
    for shape in ((0, 3, 8, 8), (1, 2, 8, 8)):
        with pytest.raises(ValueError, match=r"preview: got images float64.*, expected at least one, of 1 or 3 channels"):
            augment.preview(np.ones(shape), augment.flip)
    with pytest.raises(ValueError, match="preview: got versions=0, expected at least 1"):
        augment.preview(np.ones((1, 1, 8, 8)), augment.flip, versions=0)


def test_without_matplotlib_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ModuleNotFoundError, match="augment.preview needs matplotlib: pip install matplotlib"):
        augment.preview(np.ones((1, 1, 8, 8)), augment.flip)


def test_augmentation_imports_neither_scipy_nor_matplotlib():
    code = "import sys, tinyreg.augment; print(*{name.partition('.')[0] for name in sys.modules})"
    root = Path(__file__).parents[2]
    out = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=root, timeout=600
    ).stdout
    assert not {"scipy", "matplotlib", "sklearn", "PIL"} & set(out.split())

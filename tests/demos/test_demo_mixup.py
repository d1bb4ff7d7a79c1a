"""The demo of mixup and the other augmentations of images: what is compared, what is drawn, and what is said of it."""

import re

import numpy as np
import pytest
from fast_runs import fast_runs
from findings import clear, unclear

import tinyreg as tr
from demos.arms import ALL_KINDS, AUGMENTATIONS
from demos.base import Settings
from demos.compared import SCORES
from demos.data import mnist
from demos.learning import apart
from demos.mixup import DEMO, MIXUP, NONE, SETTINGS, contact_sheet, finding, named
from demos.problems import PATCHES, augmentations
from tinyreg.augment import Compose, flip

MIXTURES = ("mixup 0.2", "mixup 1", "CutMix", ALL_KINDS)


def samples(seed=0):
    return mnist(3, seed=seed)[0]


# ---- what is compared


def order_of_labels(transform, images, labels):
    """The labels as training sees them, in two epochs, whatever the transform makes of them."""
    seen, changed = [], apart(transform, 0)

    def watched(x, y, rng):
        seen.extend(y.tolist())
        return changed(x, y, rng)

    model = tr.nn.Sequential(tr.nn.Flatten(), tr.nn.Linear(28**2, 10, rng=tr.Generator(0)))
    settings = {"transform": watched, "rng": tr.Generator(0), "batch_size": 7, "epochs": 2, "progress": False}
    optimizer = tr.optim.SGD(model.parameters(), lr=0.1)
    tr.training.fit(model, (images, labels), loss=tr.losses.cross_entropy, optimizer=optimizer, **settings)
    return seen


def test_the_order_of_the_batches_is_the_same_whatever_is_drawn_for_the_images():
    images, labels = samples()
    plain, noisy = (order_of_labels(transform, images, labels) for transform in (Compose([]), AUGMENTATIONS["noise"]))
    assert plain == noisy
    assert sorted(plain[:30]) == labels.tolist() != plain[:30]


def test_a_digit_is_never_mirrored_and_a_patch_is():
    assert flip in [apply.function for apply in augmentations(PATCHES)["geometric"].transforms]
    assert flip not in [apply.function for apply in AUGMENTATIONS["geometric"].transforms]


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_images_keep_their_shape_and_range_and_only_mixtures_change_labels(name, backend):
    images, labels = samples()
    changed, told = AUGMENTATIONS[name](images, labels, tr.Generator(0))
    assert (changed.shape, changed.backend) == (images.shape, backend)
    assert changed.numpy().min() >= -1e-6
    assert changed.numpy().max() <= 1 + 1e-6
    assert not (changed == images).all()
    if name in MIXTURES:
        np.testing.assert_allclose(told.numpy().sum(axis=1), 1, atol=1e-6)
        assert told.shape == (len(labels), 10)
    else:
        assert told.tolist() == labels.tolist()


@pytest.mark.parametrize(("name", "alpha"), [("mixup 0.2", 0.2), ("mixup 1", 1.0)])
def test_mixup_is_the_chapters_formula(name, alpha):
    images, labels = samples()
    mixed, soft = AUGMENTATIONS[name](images, labels, tr.Generator(5))
    rng = tr.Generator(5)
    share, order = rng.beta(alpha, alpha, 30).astype("float64"), rng.permutation(30)
    x, y = images.numpy(), np.eye(10)[labels.numpy()]
    np.testing.assert_allclose(
        mixed.numpy(), share[:, None, None, None] * x + (1 - share)[:, None, None, None] * x[order], atol=1e-6
    )
    np.testing.assert_allclose(soft.numpy(), share[:, None] * y + (1 - share)[:, None] * y[order], atol=1e-6)


def test_the_contact_sheet_has_a_row_for_each_augmentation_that_shows_what_it_makes_of_digits():
    sheet = contact_sheet(across=2)
    assert sheet.shape == (len(AUGMENTATIONS) * 30, 2 * 30)
    brighter = sheet[30 * list(AUGMENTATIONS).index("erasing") :][1:29, 1:29]
    digits = mnist(50, seed=0)[0].inputs.numpy()[:, 0]
    assert any(((shown := brighter == digit) | (brighter == 0)).all() and shown.mean() > 0.5 for digit in digits)


# ---- what is said


def test_the_table_has_the_numbers_of_the_runs(tmp_path, backend):
    runs = fast_runs(DEMO, backend)
    _, *rows = DEMO.report(runs, Settings(backend, len(runs), True, tmp_path)).table
    assert [row[0] for row in rows] == [named(setting, name) for setting in SETTINGS for name in (NONE, *AUGMENTATIONS)]
    for arm, *cells in rows:
        for k, (score, (_, decimals, _)) in enumerate(SCORES.items()):
            assert cells[2 * k].split(" ")[0] == f"{np.mean([run[arm][score] for run in runs]):.{decimals}f}"


def made(changes, noise=0.001):
    """Runs of three seeds: 80 of every score without augmentation, and with one, that and its change in both settings."""
    names = (NONE, *AUGMENTATIONS)
    return [
        {
            named(setting, name): dict.fromkeys(SCORES, 80 + (changes.get(name, 0) + e if name != NONE else 0))
            for setting in SETTINGS
            for name in names
        }
        for e in (-noise, 0.0, noise)
    ]


@pytest.mark.parametrize(
    ("changes", "noise", "clearly", "not_clearly", "others"),
    [
        ({MIXUP: -2.0, "colour": 1.0, "blur": -1.0}, 0.001, [-2.0] * 2, [], "8 other .* 1 \\(most: colour\\) .* 1 "),
        ({MIXUP: 2.0, "colour": 1.0, "noise": 3.0}, 0.001, [2.0] * 2, [], "2 \\(most: noise\\) .* 2 "),
        ({MIXUP: -2.0, "colour": 1.0}, 1.0, [], [-2.0] * 2, "none .* none"),
        ({"blur": -1.0}, 0.001, [], [0.0] * 2, "none .* none"),
    ],
)
def test_the_finding_says_what_the_numbers_say(changes, noise, clearly, not_clearly, others):
    said = finding(made(changes, noise))
    assert (clear(said), unclear(said)) == (clearly, not_clearly)
    assert re.search(others, said)

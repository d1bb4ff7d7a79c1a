"""The demo of mixup and the other augmentations of images: what is compared, what is drawn, and what is said of it."""

import re

import numpy as np
import pytest
from fast_runs import fast_runs
from findings import clear, unclear

import tinyreg as tr
from demos.base import Settings
from demos.mixup import (
    ALPHA,
    DEMO,
    MIXUP,
    NONE,
    SIZE,
    TASKS,
    TOGETHER,
    Scores,
    apart,
    augmentations,
    contact_sheet,
    finding,
)
from tinyreg.augment import flip


def samples(task, seed=0):
    return TASKS[task].load(3, seed=seed)[0]


# ---- what is compared


def order_of_labels(transform, images, labels):
    """The labels as training sees them, in two epochs, whatever the transform makes of them."""
    seen, changed = [], apart(transform, 0)

    def watched(x, y, rng):
        seen.extend(y.tolist())
        return changed(x, y, rng)

    model = tr.nn.Sequential(tr.nn.Flatten(), tr.nn.Linear(SIZE**2, 10, rng=tr.Generator(0)))
    settings = {"transform": watched, "rng": tr.Generator(0), "batch_size": 7, "epochs": 2, "progress": False}
    optimizer = tr.optim.SGD(model.parameters(), lr=0.1)
    tr.training.fit(model, (images, labels), loss=tr.losses.cross_entropy, optimizer=optimizer, **settings)
    return seen


def test_the_order_of_the_batches_is_the_same_whatever_is_drawn_for_the_images():
    images, labels = samples("digits")
    plain, noisy = (order_of_labels(augmentations(TASKS["digits"])[name], images, labels) for name in (NONE, "noise"))
    assert plain == noisy
    assert sorted(plain[:30]) == labels.tolist() != plain[:30]


def test_a_digit_is_never_mirrored_and_a_patch_is():
    first = {name: augmentations(task)["geometric"].transforms[0].function for name, task in TASKS.items()}
    assert first["patches"] is flip
    assert flip not in [apply.function for apply in augmentations(TASKS["digits"])["geometric"].transforms]


@pytest.mark.parametrize("task", TASKS)
def test_images_keep_their_shape_and_range_and_only_mixtures_change_labels(task, backend):
    images, labels = samples(task)
    for name, transform in augmentations(TASKS[task]).items():
        changed, told = transform(images, labels, tr.Generator(0))
        assert (changed.shape, changed.backend) == (images.shape, backend)
        assert changed.numpy().min() >= -1e-6
        assert changed.numpy().max() <= 1 + 1e-6
        assert bool((changed == images).all()) == (name == NONE)
        if name in (MIXUP, "CutMix", TOGETHER):
            np.testing.assert_allclose(told.numpy().sum(axis=1), 1, atol=1e-6)
            assert told.shape == (len(labels), TASKS[task].classes)
        else:
            assert told.tolist() == labels.tolist()


def test_mixup_is_the_chapters_formula():
    images, labels = samples("patches")
    mixed, soft = augmentations(TASKS["patches"])[MIXUP](images, labels, tr.Generator(5))
    rng = tr.Generator(5)
    share, order = rng.beta(ALPHA, ALPHA, 6).astype("float64"), rng.permutation(6)
    x, y = images.numpy(), np.eye(2)[labels.numpy()]
    np.testing.assert_allclose(
        mixed.numpy(), share[:, None, None, None] * x + (1 - share)[:, None, None, None] * x[order], atol=1e-6
    )
    np.testing.assert_allclose(soft.numpy(), share[:, None] * y + (1 - share)[:, None] * y[order], atol=1e-6)


def test_the_contact_sheet_has_a_row_for_each_augmentation_and_the_first_one_shows_the_images_as_they_are():
    sheet = contact_sheet(across=2)
    assert sheet.shape == (len(augmentations(TASKS["digits"])) * (SIZE + 2), 2 * len(TASKS) * (SIZE + 2), 3)
    shown = sheet[1 : SIZE + 1, 1 : SIZE + 1, 0]
    assert any(
        (shown == image).all() for image in TASKS["digits"].load(TASKS["digits"].each, seed=0)[0].inputs.numpy()[:, 0]
    )


# ---- what is said


def test_the_table_has_the_numbers_of_the_runs(tmp_path, backend):
    runs = fast_runs(DEMO, backend)
    result = DEMO.report(runs, Settings(backend, len(runs), True, tmp_path))
    for name, *cells in result.table[1:]:
        for k, task in enumerate(TASKS):
            accuracy, loss, _ = np.array([run[task][name] for run in runs]).mean(axis=0)
            before = np.mean([run[task][NONE].accuracy for run in runs])
            change = "" if name == NONE else f"{accuracy - before:+.1f}"
            assert [cell.split(" ")[0] for cell in cells[3 * k : 3 * k + 3]] == [f"{accuracy:.1f}", change, f"{loss:.2f}"]


def made(changes):
    """Runs of three seeds: accuracy 80 without augmentation, and with one, that and its change, for digits and patches."""
    return [
        {
            task: {
                name: Scores(80 + e + changes.get(name, (0, 0))[k] * (1 + e), 0.5, 100.0)
                for name in augmentations(TASKS[task])
            }
            for k, task in enumerate(TASKS)
        }
        for e in (-0.1, 0.0, 0.1)
    ]


@pytest.mark.parametrize(
    ("changes", "clearly", "not_clearly", "named"),
    [
        ({MIXUP: (2.0, -3.0), "colour": (0.0, 1.0)}, [2.0, -3.0], [None], "higher .* colour on patches"),
        (
            {"noise": (-1.0, 1.0), "blur": (-2.0, 0.0)},
            [],
            [0.0, 0.0],
            "lower .* noise and blur on digits.* higher .* noise on patches",
        ),
    ],
)
def test_the_finding_says_what_the_numbers_say(changes, clearly, not_clearly, named):
    said = finding(made(changes))
    assert (clear(said), unclear(said)) == (clearly, not_clearly)
    assert re.search(named, said)


def test_one_of_several_is_clear_only_where_it_is_so_among_them():
    noisy = made({"noise": (1.0, 0.0)})
    for run, value in zip(noisy, (80.6, 81.0, 81.4), strict=True):  # +1 ± 0.7 by itself, and ± 2.1 of seven
        run["digits"]["noise"] = Scores(value, 0.5, 100.0)
    assert unclear(finding(noisy)) == [0.0, 0.0, None, None]

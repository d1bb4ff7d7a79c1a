"""A batch through rotate, flip, crop, brightness and cutout: tinyreg's batch at once, SciPy image by image.

    python -m benchmarks.augment [--images 256] [--few 16] [--rounds 30] [--json FILE]

Both do the same to float32 images of 3 channels and 32 by 32 pixels, with one thread, in a process whose OpenBLAS is free
to choose its kernels. tinyreg does all images, the loop over scipy.ndimage a few of them; the ratio is the median, over
the rounds, of the loop's time for its few divided by tinyreg's for all, so that above 1 tinyreg is `images / few` times as
fast or more. What both make of the same random numbers is compared before anything is timed.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .machine import ROOT, facts, surroundings

SIZE, PADDING, BOX = 32, 4, 8
DEGREES, FACTORS = (-15.0, 15.0), (0.8, 1.2)
TOLERANCE = 1e-5  # float32 places of up to 32 pixels, rounded to 2e-6


def batch(images: Any, rng: Any) -> Any:
    """What is measured, by tinyreg."""
    from tinyreg import augment

    images = augment.rotate(images, DEGREES, rng=rng)
    images = augment.flip(images, rng=rng)
    images = augment.crop(images, SIZE, padding=PADDING, rng=rng)
    images = augment.brightness(images, FACTORS, rng=rng)
    return augment.cutout(images, BOX, rng=rng)


def one_by_one(images: Any, numbers: Any) -> Any:
    """The same by scipy.ndimage and NumPy, for each image with its own numbers."""
    from scipy import ndimage

    made = []
    for image, angle, flipped, top, left, factor, row, column in zip(images, *numbers, strict=True):
        image = ndimage.rotate(image, angle, axes=(2, 1), reshape=False, order=1, mode="grid-constant")
        image = image[:, :, ::-1] if flipped else image
        image = np.pad(image, ((0, 0), (PADDING, PADDING), (PADDING, PADDING)))[:, top : top + SIZE, left : left + SIZE]
        image = np.clip(image * factor, 0, 1)
        row, column = row - BOX // 2, column - BOX // 2
        image[:, max(row, 0) : max(row + BOX, 0), max(column, 0) : max(column + BOX, 0)] = 0
        made.append(image)
    return np.stack(made)


def drawn(n: int, rng: Any) -> list[Any]:
    """Random numbers for n images, in the order in which `batch` draws them."""
    numbers = [rng.uniform(*DEGREES, n), rng.bernoulli(0.5, n), *(rng.integers(0, 2 * PADDING + 1, n) for _ in range(2))]
    return [*numbers, rng.uniform(*FACTORS, n), *(rng.integers(0, SIZE, n) for _ in range(2))]


def measure(images: int, few: int, rounds: int) -> dict[str, Any]:
    """Seconds of each round of both, which take turns, each round with new random numbers."""
    import scipy

    import tinyreg as tr

    x = tr.Generator(0).uniform(shape=(images, 3, SIZE, SIZE))
    by_batch, by_loop = batch(x, tr.Generator(1)), one_by_one(x, drawn(images, tr.Generator(1)))
    np.testing.assert_allclose(by_batch, by_loop, atol=TOLERANCE)
    seconds: dict[str, list[float]] = {"tinyreg": [], "scipy.ndimage": []}
    rng = tr.Generator(2)
    for _ in range(rounds + 1):  # the first is for warming up
        start = time.perf_counter()
        batch(x, rng)
        middle = time.perf_counter()
        one_by_one(x[:few], drawn(few, rng))
        end = time.perf_counter()
        seconds["tinyreg"].append(middle - start)
        seconds["scipy.ndimage"].append(end - middle)
    versions = {"numpy": np.__version__, "scipy": scipy.__version__, "tinyreg": tr.__version__}
    return {"seconds": {name: times[1:] for name, times in seconds.items()}, "versions": versions}


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure in a process of its own, print, and store."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.augment", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--images", type=int, default=256, help="images in tinyreg's batch (default: %(default)s)")
    parser.add_argument("--few", type=int, default=16, help="images that the loop does (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=30, help="rounds of each, at least 2 (default: %(default)s)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="store the result here too")
    chosen = parser.parse_args(arguments)
    code = (
        "import json; from benchmarks.augment import measure; "
        f"print(json.dumps(measure({chosen.images}, {chosen.few}, {chosen.rounds})))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=surroundings(), cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True
    )
    found = json.loads(done.stdout)
    seconds, counts = found["seconds"], {"tinyreg": chosen.images, "scipy.ndimage": chosen.few}
    medians = {name: statistics.median(times) for name, times in seconds.items()}
    ratios = [loop / own for own, loop in zip(seconds["tinyreg"], seconds["scipy.ndimage"], strict=True)]
    about = facts()
    print(f"{about['cpu']}, {about['system']}, Python {about['python']}; one thread, OPENBLAS_CORETYPE unset")
    print(", ".join(f"{name} {version}" for name, version in found["versions"].items()))
    for name, median in medians.items():
        print(f"{name:15}{counts[name]:5} images{median * 1e3:9.2f} ms{counts[name] / median:12,.0f} images/s")
    ratio = statistics.median(ratios)
    named = f"ratio of the loop's {chosen.few} images to tinyreg's {chosen.images}"
    print(f"{named}: {ratio:.2f} (median of {chosen.rounds} rounds)")
    if chosen.json:
        settings = {"images": chosen.images, "few": chosen.few, "rounds": chosen.rounds, "threads": 1}
        stored = {**about, **found, **settings, "OPENBLAS_CORETYPE": None, "ratio": ratio, "medians": medians}
        chosen.json.write_text(json.dumps(stored, indent=1) + "\n")


if __name__ == "__main__":
    main()

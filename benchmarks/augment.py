"""A batch through rotate, flip, crop, brightness and cutout: tinyreg's batch at once, other libraries image by image.

    python -m benchmarks.augment [--images 256] [--few 16] [--rounds 30] [--json FILE]

All do the same to float32 images of 3 channels and 32 by 32 pixels, with one thread, each other library beside tinyreg in
a process of its own whose OpenBLAS is free to choose its kernels. tinyreg does all images, the loop a few of them; the
ratio is the median, over the rounds, of the loop's time for its few divided by tinyreg's for all, so that above 1 tinyreg
is `images / few` times as fast or more. Time is the processor's, which other processes do not lengthen by taking turns.
What both make of the same random numbers is compared before anything is timed, except with a library that draws its own.
What is not installed is left out, and said to be.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tinyreg import files
from tinyreg.interrupts import counted
from tinyreg.processes import finished

from .image_loops import BOX, DEGREES, FACTORS, LOOPS, PADDING, SIZE
from .machine import ROOT, facts, surroundings

PATIENCE = 3600  # seconds for one library
TOLERANCE = 1e-5  # float32 places of up to 32 pixels, rounded to 2e-6


def batch(images: Any, rng: Any) -> Any:
    """What is measured, by tinyreg."""
    from tinyreg import augment

    images = augment.rotate(images, DEGREES, rng=rng)
    images = augment.flip(images, rng=rng)
    images = augment.crop(images, SIZE, padding=PADDING, rng=rng)
    images = augment.brightness(images, FACTORS, rng=rng)
    return augment.cutout(images, BOX, rng=rng)


def drawn(n: int, rng: Any) -> list[Any]:
    """Random numbers for n images, in the order in which `batch` draws them."""
    numbers = [rng.uniform(*DEGREES, n), rng.bernoulli(0.5, n), *(rng.integers(0, 2 * PADDING + 1, n) for _ in range(2))]
    return [*numbers, rng.uniform(*FACTORS, n), *(rng.integers(0, SIZE, n) for _ in range(2))]


def measure(name: str, images: int, few: int, rounds: int) -> dict[str, Any]:
    """Processor seconds of each round of tinyreg and of a loop, which take turns, each round with new random numbers."""
    import tinyreg as tr

    try:
        loop = LOOPS[name]()
    except ModuleNotFoundError as error:
        return {"missing": str(error)}
    x = tr.Generator(0).uniform(shape=(images, 3, SIZE, SIZE))
    taken = loop.images(x)
    if not loop.draws:
        by_loop = np.asarray(loop(taken, drawn(images, tr.Generator(1))))
        np.testing.assert_allclose(batch(x, tr.Generator(1)), by_loop, atol=TOLERANCE)
    seconds: dict[str, list[float]] = {"tinyreg": [], name: []}
    rng = tr.Generator(2)
    for _ in range(rounds + 1):  # the first is for warming up
        start = time.process_time()
        batch(x, rng)
        middle = time.process_time()
        loop(taken[:few], drawn(few, rng))
        end = time.process_time()
        seconds["tinyreg"].append(middle - start)
        seconds[name].append(end - middle)
    seconds = {who: times[1:] for who, times in seconds.items()}
    ratios = [theirs / ours for ours, theirs in zip(seconds["tinyreg"], seconds[name], strict=True)]
    versions = {
        "numpy": np.__version__,
        "tinyreg": tr.__version__,
        loop.distribution: importlib.metadata.version(loop.distribution),
    }
    return {"seconds": seconds, "ratio": statistics.median(ratios), "versions": versions}


def measured(name: str, images: int, few: int, rounds: int) -> dict[str, Any]:
    """What `measure` finds in a process of its own."""
    asked = f"measure({name!r}, {images}, {few}, {rounds})"
    code = f"import json; from benchmarks.augment import measure; print(json.dumps({asked}))"
    command = [sys.executable, "-c", code]
    done = finished(command, timeout=PATIENCE, program=name, env=surroundings(), cwd=ROOT, stderr=None)
    if done.returncode:
        return {"missing": f"failed with status {done.returncode}; see its error above"}
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def told(name: str, found: dict[str, Any], counts: dict[str, int]) -> str:
    """A library's part of what is printed. counts: the images of tinyreg, and of the loop."""
    if "missing" in found:
        return f"{name}: left out, {found['missing']}"
    lines = [", ".join(f"{library} {version}" for library, version in found["versions"].items())]
    for who, times in found["seconds"].items():
        count, median = counts.get(who, counts["loop"]), statistics.median(times)
        lines.append(f"{who:15}{count:5} images{median * 1e3:9.2f} ms{count / median:12,.0f} images/s")
    compared = "drew its own random numbers, so not compared" if LOOPS[name].draws else "made the same pictures"
    ratio = f"ratio of the loop's {counts['loop']} images to tinyreg's {counts['tinyreg']}: {found['ratio']:.2f}"
    return "\n".join([*lines, f"{name} {compared}; {ratio}"])


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure beside each library, print, and store."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.augment", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--images", type=int, default=256, help="images in tinyreg's batch (default: %(default)s)")
    parser.add_argument("--few", type=int, default=16, help="images that the loops do (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=30, help="rounds of each, at least 1 (default: %(default)s)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="store the result here too")
    chosen = parser.parse_args(arguments)
    about = facts()
    print(f"{about['cpu']}, {about['system']}, Python {about['python']}; one thread, OPENBLAS_CORETYPE unset")
    print(f"medians of {chosen.rounds} rounds")
    beside = {}
    with counted() as interrupts:
        for name in LOOPS:
            try:
                with interrupts.through():
                    beside[name] = measured(name, chosen.images, chosen.few, chosen.rounds)
            except KeyboardInterrupt:
                print(f"interrupted in {name}", file=sys.stderr)
                break
            print("\n" + told(name, beside[name], {"tinyreg": chosen.images, "loop": chosen.few}), flush=True)
        if chosen.json and beside:
            settings = {"images": chosen.images, "few": chosen.few, "rounds": chosen.rounds, "threads": 1}
            stored = {**about, **settings, "OPENBLAS_CORETYPE": None, "beside": beside}
            files.write(chosen.json, json.dumps(stored, indent=1) + "\n", "--json")


if __name__ == "__main__":
    main()

"""Functions of arrays, captured for the native executor."""

from __future__ import annotations

import itertools
import warnings

import numpy as np
from captured.steps import poison, values

import tinyreg as tr


def both(f, *batches):
    """Assert that a captured function gives the bits of the function at each batch; returns it."""
    step = tr.capture(f)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for batch in itertools.islice(itertools.cycle(batches), max(6, 3 + len(batches))):
            expected = values(f(*batch))
            assert values(step(*batch)) == expected
            poison(step)
    return step


def normal(*shape, dtype="f4", seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(dtype)


def groups(step):
    """The group of each op that is in one, as the program shows it."""
    lines = str(step.program).splitlines()
    start, end = lines[0].index("group"), lines[0].index("memory")
    return [line[start:end].strip() for line in lines[1:-1] if line[start:end].strip()]

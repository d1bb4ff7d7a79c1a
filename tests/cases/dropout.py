"""Cases of dropout: a call draws the seed of its generator, so that it is the same function whenever it runs."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import hypothesis.strategies as st
import numpy as np
from hypothesis.strategies import SearchStrategy
from numpy.typing import NDArray

import tinyreg as tr
from tinyreg.ops.elementwise import masked
from tinyreg.testing import Call, Case, at
from tinyreg.testing.strategies import arrays, shapes

Array = NDArray[Any]
Pick = Callable[[Any], Any]

SEED = st.integers(0, 100)
ALPHA, SCALE = 1.6732632423543772, 1.0507009873554805  # of selu


def seeded(f: Callable[..., Any]) -> Callable[..., Any]:
    """A dropout as a function whose `rng` is a seed."""

    def op(x: Any, *, p: float, training: bool, rng: int) -> Any:
        return f(x, p, training=training, rng=tr.Generator(rng))

    op.__name__ = f.__name__
    return op


def kept(bits: Any, p: float, shape: tuple[int, ...]) -> Array:
    """1 where the next mask from a bit generator keeps, 0 where it drops."""
    n = math.prod(shape)
    drawn = bits.random_raw(-(-n // 4)).view(np.uint16)[:n].reshape(shape)
    return np.where(drawn < round((1 - p) * 2**16), 1.0, 0.0)


def dropped(x: Array, p: float, training: bool, seed: int, axes: int | None = None) -> Array:
    """Inverted dropout with a mask over the first `axes` axes."""
    if not training or p == 1:
        return x * (1.0 - training)
    shape = x.shape if axes is None else (*x.shape[:axes], *[1] * (x.ndim - axes))
    return x * kept(np.random.PCG64(seed), p, shape) / (1 - p)


def _alpha_dropout(x: Array, p: float, training: bool, rng: int) -> Array:
    if not training or p == 1:
        return x * (1.0 - training)
    low, mask = -ALPHA * SCALE, kept(np.random.PCG64(rng), p, x.shape)
    a = 1 / math.sqrt((1 - p) * (1 + p * low**2))
    return a * (mask * x + (1 - mask) * low - p * low)


def _gaussian_dropout(x: Array, p: float, training: bool, rng: int) -> Array:
    noise = np.random.Generator(np.random.PCG64(rng)).normal(1.0, math.sqrt(p / (1 - p)), x.shape)
    return x * noise if training and p else x


def drops(min_dims: int = 0, p: SearchStrategy[float] | None = None) -> SearchStrategy[Call]:
    """Calls with a share, a mode and a seed."""

    @st.composite
    def draw(pick: Pick) -> Call:
        x = pick(arrays(shapes(min_dims=min_dims)))
        share = pick(st.sampled_from([0.25, 0.5, 0.0, 1.0]) if p is None else p)
        return Call((x,), {"p": share, "training": pick(st.sampled_from([True, True, False])), "rng": pick(SEED)})

    return draw()


def _masked(min_dims: int = 0) -> SearchStrategy[Call]:
    """Calls with a mask that broadcasts."""

    @st.composite
    def draw(pick: Pick) -> Call:
        x = pick(arrays(shapes(min_dims=min_dims)))
        shape = pick(st.sampled_from([x.shape, x.shape[-1:]]))
        mask = pick(arrays(shape, st.booleans(), dtype=np.bool_))
        return Call((x, mask), {"scale": pick(st.sampled_from([2.0, 1.25]))})

    return draw()


CASES = [
    Case(
        masked,
        _masked(),
        lambda x, mask, scale: np.where(mask, scale * x, 0.0),
        points=[at([math.inf, 1.0], [False, True], scale=2.0, gradient=[0.0, 2.0])],
        reach=math.inf,
    ),
    Case(
        seeded(tr.dropout.dropout),
        drops(),
        lambda x, p, training, rng: dropped(x, p, training, rng),
        points=[
            at([math.inf, 1.0], p=1.0, training=True, rng=0, gradient=[0.0, 0.0]),
            at([0.0, 1.0], p=0.0, training=True, rng=0, gradient=[1.0, 1.0]),
        ],
        reach=math.inf,
    ),
    Case(
        seeded(tr.dropout.spatial_dropout),
        drops(min_dims=2),
        lambda x, p, training, rng: dropped(x, p, training, rng, axes=2),
        reach=math.inf,
    ),
    Case(
        seeded(tr.dropout.drop_path),
        drops(min_dims=1),
        lambda x, p, training, rng: dropped(x, p, training, rng, axes=1),
        reach=math.inf,
    ),
    Case(
        seeded(tr.dropout.drop_connect),
        drops(),
        lambda x, p, training, rng: dropped(x, p, training, rng),
        reach=math.inf,
    ),
    Case(seeded(tr.dropout.alpha_dropout), drops(), _alpha_dropout, reach=math.inf),
    Case(
        seeded(tr.dropout.gaussian_dropout),
        drops(p=st.sampled_from([0.25, 0.5, 0.0])),
        _gaussian_dropout,
        reach=math.inf,
    ),
]

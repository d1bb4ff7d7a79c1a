"""Cases of the ops that change shapes and put arrays together."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import hypothesis.strategies as st
import numpy as np

import tinyreg as tr
from tinyreg.ops.shape import cut
from tinyreg.testing import Call, Case
from tinyreg.testing.strategies import BUDGET, arrays, axes, broadcasting, calls, shapes

Pick = Callable[[Any], Any]


def _calls(
    settings: Callable[[Pick, tuple[int, ...]], dict[str, Any]],
    min_dims: int = 0,
    among: Callable[[tuple[int, ...]], bool] = lambda shape: True,
) -> st.SearchStrategy[Call]:
    """Calls of an op on one array, whose settings are drawn once its shape is known."""

    @st.composite
    def draw(pick: Pick) -> Call:
        array = pick(arrays(shapes(min_dims).filter(among)))
        return Call((array,), settings(pick, array.shape))

    return draw()


def _new_shape(pick: Pick, shape: tuple[int, ...]) -> dict[str, Any]:
    flattened = (int(np.prod(shape)),)
    grouped = (*shape[:1], -1) if 0 not in shape else flattened
    return {"shape": pick(st.sampled_from([shape[::-1], flattened, (1, *shape), grouped]))}


def _order(pick: Pick, shape: tuple[int, ...]) -> dict[str, Any]:
    return {"axes": tuple(pick(st.permutations(range(-len(shape), 0) if pick(st.booleans()) else range(len(shape)))))}


def _new_axes(pick: Pick, shape: tuple[int, ...]) -> dict[str, Any]:
    ndim = len(shape)
    return {"axis": pick(st.one_of(st.integers(-ndim - 1, ndim), st.just((0, ndim + 1))))}


def _long_axes(pick: Pick, shape: tuple[int, ...]) -> dict[str, Any]:
    ones = tuple(i for i, n in enumerate(shape) if n == 1)
    return {"axis": pick(st.sampled_from([None, ones, ones[0] if ones else ()]))}


def _axis(pick: Pick, shape: tuple[int, ...]) -> dict[str, Any]:
    return {"axis": pick(axes(len(shape)))}


def _shifts(pick: Pick, shape: tuple[int, ...]) -> dict[str, Any]:
    axis = pick(axes(len(shape)))
    several = isinstance(axis, tuple)
    shift = st.integers(-4, 4)
    return {"shift": tuple(pick(shift) for _ in axis) if several else pick(shift), "axis": axis}


def _widths(pick: Pick, shape: tuple[int, ...]) -> dict[str, Any]:
    pair = st.tuples(st.integers(0, 2), st.integers(0, 2))
    return {"pad_width": tuple(pick(pair) for _ in shape), "value": pick(st.sampled_from([0.0, -1.5]))}


def _repetitions(pick: Pick, shape: tuple[int, ...]) -> dict[str, Any]:
    several = st.lists(st.integers(0, 2), max_size=3).map(tuple)
    return {"repetitions": pick(st.one_of(st.integers(0, 2), several))}


def _broadcasts() -> st.SearchStrategy[Call]:
    def drawn(pair: Any) -> st.SearchStrategy[Call]:
        return calls(arrays(pair[0]), shape=st.just(np.broadcast_shapes(*pair)))

    return broadcasting(2).flatmap(drawn)


@st.composite
def _along(pick: Pick, lengths: tuple[int, ...]) -> tuple[list[tuple[int, ...]], int]:
    """Shapes of these lengths along an axis, counted from either end, and alike along the others; and the axis."""
    others = pick(shapes(max_dims=4, budget=BUDGET))
    axis = pick(st.integers(-len(others) - 1, len(others)))
    at = axis % (len(others) + 1)
    return [(*others[:at], n, *others[at:]) for n in lengths], axis


@st.composite
def _joined(pick: Pick) -> Call:
    made, axis = pick(_along(pick(st.sampled_from([(2,), (1, 2), (2, 0), (3, 1, 2), (0,), (5, 2)]))))
    flat = pick(st.integers(0, 4)) == 4
    return Call((*(pick(arrays(s)) for s in made), *[pick(arrays(()))] * flat), {"axis": None if flat else axis})


@st.composite
def _stacked(pick: Pick) -> Call:
    shape = pick(shapes(max_dims=4))
    made = [pick(arrays(shape)) for _ in range(pick(st.integers(1, 3)))]
    return Call(tuple(made), {"axis": pick(st.integers(-len(shape) - 1, len(shape)))})


@st.composite
def _cut(pick: Pick) -> Call:
    sections = pick(st.sampled_from([1, 2, 4, [1], [0, 3], [2, 2]]))
    (shape,), axis = pick(_along((4,)))
    return Call((pick(arrays(shape)),), {"sections": sections, "axis": axis})


def _places(pick: Pick, shape: tuple[int, ...]) -> dict[str, Any]:
    return {
        "sections": pick(st.sampled_from([(1,), (), (0, 1), (1, 1)])),
        "axis": pick(st.integers(-len(shape), len(shape) - 1)),
    }


def _apart(pick: Pick, shape: tuple[int, ...]) -> dict[str, Any]:
    parted = [i for i, n in enumerate(shape) if _few(n)]
    return {"axis": pick(st.sampled_from([i - past for i in parted for past in (0, len(shape))]))}


def _few(n: int) -> bool:
    """Whether so many results are not too many: a thousand tensors take a thousand times as long as one."""
    return 0 < n <= 80


CASES = [
    Case(tr.reshape, _calls(_new_shape), lambda x, shape: np.reshape(x, shape), reach=math.inf),
    Case(tr.flatten, _calls(lambda pick, shape: {}), np.ravel, reach=math.inf),
    Case(tr.permute_dims, _calls(_order), lambda x, axes: np.transpose(x, axes), reach=math.inf),
    Case(tr.matrix_transpose, _calls(lambda pick, shape: {}, min_dims=2), np.matrix_transpose, reach=math.inf),
    Case(tr.expand_dims, _calls(_new_axes), np.expand_dims, reach=math.inf),
    Case(tr.squeeze, _calls(_long_axes), np.squeeze, reach=math.inf),
    Case(tr.broadcast_to, _broadcasts(), np.broadcast_to, reach=math.inf),
    Case(tr.concat, _joined(), lambda *xs, axis: np.concatenate(xs, axis), reach=math.inf),
    Case(tr.stack, _stacked(), lambda *xs, axis: np.stack(xs, axis), reach=math.inf),
    Case(tr.split, _cut(), lambda x, sections, axis: np.split(x, sections, axis), reach=math.inf),
    Case(cut, _calls(_places, min_dims=1), lambda x, sections, axis: np.split(x, sections, axis), reach=math.inf),
    Case(
        tr.unstack,
        _calls(_apart, among=lambda shape: any(map(_few, shape))),
        lambda x, axis: list(np.moveaxis(x, axis, 0)),
        reach=math.inf,
    ),
    Case(tr.flip, _calls(_axis), np.flip, reach=math.inf),
    Case(tr.roll, _calls(_shifts), np.roll, reach=math.inf),
    Case(
        tr.pad,
        _calls(_widths),
        lambda x, pad_width, value: np.pad(x, pad_width, constant_values=value) if pad_width else x,
        reach=math.inf,
    ),
    Case(tr.tile, _calls(_repetitions), lambda x, repetitions: np.tile(x, repetitions), reach=math.inf),
]

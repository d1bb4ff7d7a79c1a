"""All that is asked of an op, in the order in which it is asked. What each means stands where it is defined.

`P12 backends agree` is not in the list: it is asked once for each backend that works, by `search.run_backend`.
"""

from __future__ import annotations

from .contract import fan_out, gradients, layouts, purity, two_inputs
from .derivatives import first_order, linearity, second_order, special_points
from .property import Property
from .values import fast_form, float32, value

_ALL = (
    Property("P1", "value", value, order=0, anywhere=False, turn=10),
    Property("P2", "one gradient each", gradients, turn=3),
    Property("P3", "numeric first order", first_order, numeric=True, costly=True, turn=1),
    Property("P4", "linearity", linearity, turn=2),
    Property("P5", "purity", purity, turn=4),
    Property("P6", "fan-out", fan_out, pairs=False, turn=9),
    Property("P7", "layouts", layouts, turn=6),
    Property("P8", "float32 against float64", float32, turn=5),
    Property("P9", "two inputs of one shape", two_inputs, costly=True, anywhere=False, turn=8),
    Property("P10", "numeric second order", second_order, order=2, pairs=False, numeric=True, costly=True, turn=12),
    Property("P11", "special points", special_points, at="points"),
    Property("P13", "fast form equals definition", fast_form, pairs=False, anywhere=False, turn=11),
)
PROPERTIES: dict[str, Property] = {which.key: which for which in _ALL}

OF_CALLS_IN_TURN = sorted((which for which in _ALL if which.at == "calls"), key=lambda which: which.turn)
OF_POINTS = [which for which in _ALL if which.at == "points"]
ANYWHERE = [which for which in _ALL if which.anywhere]


def property_named(which: str) -> Property:
    """Give the property of a name such as "linearity", or of a key such as "P4".

    Raises `ValueError` for any other.
    """
    for one in _ALL:
        if which in (one.key, one.name):
            return one
    known = ", ".join(f"{one.name!r}" for one in _ALL)
    raise ValueError(f"got the property {which!r}, expected one of {known}")

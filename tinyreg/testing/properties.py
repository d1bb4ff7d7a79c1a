"""All that is asked of an op, in the order in which it is asked. What each means stands where it is defined.

`P12 backends agree` is not in the list: it is asked once for each backend that works, by `search.run_backend`.
"""

from __future__ import annotations

from .capturing import captured
from .contexts import contexts
from .contract import fan_out, gradients, layouts, purity, two_inputs
from .derivatives import first_order, linearity, second_order, special_points
from .extremes import limits, magnitudes, not_finite
from .memory import fresh_memory, nothing_written, own_gradients
from .property import Property
from .repetition import repeated, threads
from .spellings import spellings
from .third import third_order
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
    Property("P14", "contexts", contexts, anywhere=False, costly=True, turn=None, every=8),
    Property("P15", "repeated calls", repeated, turn=None, every=8),
    Property("P16", "threads", threads, anywhere=False, costly=True, turn=None, every=12),
    Property("P17", "nothing written", nothing_written, anywhere=False, costly=True, turn=None, every=8),
    Property("P18", "own gradients", own_gradients, turn=None, every=4),
    Property("P19", "fresh memory", fresh_memory, turn=None, every=4),
    Property(
        "P20", "numeric third order", third_order, order=2, pairs=False, anywhere=False, costly=True, turn=None, every=25
    ),
    Property("P21", "spellings of settings", spellings, order=0, anywhere=False, turn=12),
    Property("P22", "infinities and NaN", not_finite, anywhere=False, turn=13, every=2),
    Property("P23", "limits", limits, anywhere=False, turn=14, every=2),
    Property("P24", "magnitudes", magnitudes, costly=True, anywhere=False, turn=15, every=2),
    Property("P25", "captured equals eager", captured, order=0, pairs=False, anywhere=False, turn=None, every=48),
)
PROPERTIES: dict[str, Property] = {which.key: which for which in _ALL}

OF_CALLS_IN_TURN = sorted((one for one in _ALL if one.at == "calls" and one.turn), key=lambda one: one.turn or 0)
OF_POINTS = [which for which in _ALL if which.at == "points"]
ANYWHERE = [which for which in _ALL if which.anywhere]
# On these the rest of what is asked of a gradient rests.
FOUNDATIONS = [which for which in _ALL if which.holds in (gradients, first_order)]
# What can be asked of any call: all but what needs a reference or a definition.
OF_ANY_CALL = [which for which in _ALL if which.at == "calls" and which.holds not in (value, fast_form)]


def property_named(which: str) -> Property:
    """Give the property of a name such as "linearity", or of a key such as "P4".

    Raises `ValueError` for any other.
    """
    for one in _ALL:
        if which in (one.key, one.name):
            return one
    known = ", ".join(f"{one.name!r}" for one in _ALL)
    raise ValueError(f"got the property {which!r}, expected one of {known}")

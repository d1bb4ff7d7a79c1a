"""Why a leaf got no gradient: the place where the path from it to what a backward walked was cut."""

from __future__ import annotations

from typing import Any

from ..callers import warn_caller
from ..core.backend import Array
from .checks import checksum
from .record import Log
from .rows import Record

REASONS = {
    "detach": "detach()",
    "no_grad": "{name} ran with recording off (tr.no_grad)",
    "data": "its value came into {name} as a plain array (.data, .numpy())",
    "nondifferentiable": "{name} has no gradient",
}


def warn_of_cuts(log: Log) -> None:
    """Warn of each leaf that got no gradient from a backward although its value went into what that walked.

    Other leaves were not meant to get one.
    """
    walked = {moment for moment, record in log.records.items() if record.given}
    arrived = {record.sources[i] for record in log.records.values() for i in record.given}
    if not walked or log.leaves.keys() <= arrived:
        return
    _follow_copies(log)
    behind = _behind(log, walked)
    for moment, leaf in log.leaves.items():
        if moment not in arrived and (cuts := _cuts(log, moment, behind)):
            name = leaf.leaf.name or leaf.name or str(leaf.leaf)
            places = "; ".join(dict.fromkeys(f"{record.line}: {reason}" for record, reason in cuts))
            warn_caller(
                f"explain: {name}, used at {leaf.line}, got no gradient, because the path to it was cut at {places}",
            )


def _follow_copies(log: Log) -> None:
    """Find what made the arrays that came in as copies (.numpy()): the last result before with the same elements."""
    made: dict[Any, int] = {}
    for moment in sorted(log.records):
        record = log.records[moment]
        for i, value in enumerate(record.inputs):
            if record.sources[i] is None and hasattr(value, "shape"):
                record.sources[i] = made.get(_key(value))
        for array in record.result if type(record.result) is tuple else (record.result,):
            made[_key(array)] = moment


def _key(array: Array) -> Any:
    """What two equal arrays have in common; nothing, where all elements are one number, which says little."""
    if array is None or array.size < 2 or bool((array == array.reshape(-1)[0]).all()):
        return object()
    return array.shape, array.dtype, checksum(array)


def _behind(log: Log, walked: set[int]) -> set[int]:
    """The moments of all ops and leaves whose values went into the walked ones, whether a gradient goes back or not."""
    behind = set(walked)
    for moment in sorted(log.records, reverse=True):
        if moment in behind:
            behind |= {source for source in log.records[moment].sources if source is not None}
    return behind


def _cuts(log: Log, leaf: int, behind: set[int]) -> list[tuple[Record, str]]:
    """The ops at which what rests on the leaf goes on without a gradient."""
    live, cuts = {leaf}, []
    for moment in sorted(log.records):
        record = log.records[moment]
        touched = [i for i, source in enumerate(record.sources) if source in live]
        wanting = [i for i in touched if record.wants[i]]
        if wanting and record.state == "recorded":
            live.add(moment)
        elif touched and moment in behind:
            cuts.append((record, _reason(record, bool(wanting))))
    return cuts


def _reason(record: Record, wanting: bool) -> str:
    kind = "data" if not wanting else "detach" if record.name == "detach" else record.state
    return REASONS[kind].format(name=record.name)

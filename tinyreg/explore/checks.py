"""What `tr.explain()` looks for: a first NaN or infinity, a saved array that was changed, and where an error came from."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from typing import Any

from ..core.backend import Array, described, home, is_float
from ..core.tape import Entry, Gradient, Op, Parents, explainer, fitted, reach
from ..core.tensor import Tensor
from ..messages import explained
from .record import owner
from .rows import Record


class NonFiniteError(FloatingPointError):
    """The first NaN or infinity, forward or backward, that came up inside `tr.explain()`.

    >>> import tinyreg as tr
    >>> w = tr.tensor([1.0, 2.0], requires_grad=True)
    >>> try:
    ...     with tr.explain():
    ...         w * float("nan")
    ... except tr.explore.NonFiniteError as error:
    ...     print(str(error).partition(", from")[0])
    explain: entry #0, multiply(w, nan)
    """


class Explained:
    """The op of an entry that was made inside explain(): it knows the line, and checks the backward."""

    op: Op
    record: Record
    name: str
    broadcasting: bool

    def __init__(self, op: Op, record: Record, entry: Entry) -> None:
        self.op, self.record = op, record
        self.name, self.broadcasting = op.name, op.broadcasting
        self._saved = [(name, array, checksum(array)) for name, v in entry.saved.items() for array in arrays_in(v)]

    def pull(self, entry: Entry, parents: Parents, g: Any, create_graph: bool) -> list[tuple[int, Gradient | None]]:
        """What the op itself gives, or its error with the line that made the entry."""
        explaining = explainer.get() is not None
        try:
            if explaining:
                self._check_saved()
            contributions = list(self.op.pull(entry, parents, g, create_graph))
            pairs = [(i, raw) for i, raw in contributions if raw is not None and parents[i] is not None]
            sent = [fitted(raw, parents[i], self.op) for i, raw in pairs]  # type: ignore[arg-type]
            if explaining:
                self._check_gradients(g, pairs, sent)
        except Exception as error:
            error.add_note(f"in the backward of {self.record.text}, from {_shown(self.record)}")
            raise
        self.record.given.update(i for i, _ in pairs if explaining)
        return contributions

    def _check_saved(self) -> None:
        for name, array, before in self._saved:
            if checksum(array) != before:
                op = f"{self.record.text} at {self.record.line}"
                raise RuntimeError(
                    explained(
                        "backward",
                        "an array was changed in place after the tape had saved it",
                        got=f"other values in {name} {described(array)}, which {op} saved",
                        expected="it as it was",
                        remedy="a change of a copy, or after the backward",
                    )
                )

    def _check_gradients(self, g: Any, pairs: Sequence[tuple[int, Any]], each_sent: Sequence[Any]) -> None:
        incoming = [_kinds(part) for part in (g if isinstance(g, list) else [g])]
        if any(incoming):
            raise NonFiniteError(
                explained(
                    "explain",
                    f"the incoming gradient of {self._where()} is {_counted(g)}",
                    got="it as the argument of backward, or finite contributions add up to it",
                    expected="finite numbers",
                    remedy="a loss that is scaled down",
                )
            )
        inputs = set[str]().union(*map(_kinds, self.record.inputs), _kinds(self.record.result))
        for (i, raw), sent in zip(pairs, each_sent, strict=True):
            kinds = _kinds(raw) | _kinds(sent)
            if ("nan" in kinds and "nan" not in inputs) or (kinds and not inputs):
                given = _counted(raw if _kinds(raw) else sent)
                raise NonFiniteError(
                    explained(
                        "explain",
                        f"backward of {self._where()} gave {given} for argument {self.record.label(i)}",
                        got=f"incoming gradient: {ranged(g)}; inputs: {_inputs(self.record)}",
                        expected="finite numbers",
                        remedy="inputs away from where the derivative is infinite",
                    )
                )

    def _where(self) -> str:
        return f"{self.record.text}, from {_shown(self.record)},"


def unwrapped(op: Any) -> Any:
    """The op of an entry, without what explain() put around it."""
    return op.op if isinstance(op, Explained) else op


def check_forward(record: Record, entry: Entry) -> None:
    """Raise `NonFiniteError` where an entry's result is the first that is not finite.

    An infinity that was given as a constant or a setting, such as that of a mask, is intended, and what is made of it may
    be infinite; but not NaN.
    """
    made = _kinds(record.result)
    if not made:
        return
    from_before, came_in, intended = set[str](), dict[str, set[str]](), _kinds(list(entry.settings.values()))
    for i, parent in enumerate(entry.parents):
        kinds = _kinds(record.inputs[i])
        if parent is not None and isinstance(getattr(owner(parent), "op", None), Explained):
            from_before |= kinds
        elif parent is None:
            intended |= kinds - {"nan"}
            came_in[record.label(i)] = kinds & {"nan"}
        else:
            came_in[record.label(i)] = kinds
    bad = "nan" if "nan" in made else "inf"
    if bad in from_before or (bad == "inf" and (from_before or intended)):
        return
    made_by = f"entry{_number(entry)}, {record.text}, from {_shown(record)}, gave {_counted(record.result)}"
    if names := [name for name, kinds in came_in.items() if kinds]:
        problem = f"{made_by}, which came in with {' and '.join(names)}"
        remedy = "a look at where that was made"
    else:
        problem = f"{made_by}, the first that is not finite"
        remedy = "inputs of a smaller range; or give an intended infinity as a constant"
    got = f"inputs: {_inputs(record)}"
    raise NonFiniteError(explained("explain", problem, got=got, expected="finite numbers", remedy=remedy))


def _number(entry: Entry) -> str:
    """The entry's number on its own tape; nothing where a part of that was freed."""
    try:
        return f" #{sum(type(node) is Entry for node in reach([entry])) - 1}"
    except RuntimeError:
        return ""


def arrays_in(value: Any) -> Iterator[Array]:
    """The arrays in what an entry saves: alone, or in tuples, lists, dicts and Tensors."""
    if isinstance(value, Tensor):
        yield value._array
    elif isinstance(value, tuple | list | dict):
        for part in value.values() if isinstance(value, dict) else value:
            yield from arrays_in(part)
    elif hasattr(value, "nbytes"):
        yield value


def ranged(value: Any) -> str:
    """An argument with its range: "float32[3] from -1 to 2"."""
    if isinstance(value, tuple | list):
        return " and ".join(map(ranged, value))
    array = getattr(value, "_array", value)
    if not hasattr(array, "shape") or not array.size:
        return described(array)
    xp: Any = home(array)
    if array.dtype.kind == "b":
        return described(array)
    some = array[xp.isfinite(array)]
    extent = f" from {float(some.min()):.6g} to {float(some.max()):.6g}" if some.size else ""
    counts = _counts(array)
    return f"{described(array)}{extent}{f' with {counts}' if counts else ''}"


def _shown(record: Record) -> str:
    """The line, with its text where that is known."""
    return f"{record.line} `{record.line.source}`" if record.line.source else str(record.line)


def _inputs(record: Record) -> str:
    return ", ".join(f"{record.label(i)} {ranged(value)}" for i, value in enumerate(record.inputs)) or "none"


def _kinds(value: Any) -> set[str]:
    """Which of "nan" and "inf" are in an array, a number, a Tensor, or any of several."""
    if isinstance(value, tuple | list):
        return set[str]().union(*map(_kinds, value))
    array = getattr(value, "_array", value)
    if isinstance(array, float):
        return {"nan"} if array != array else {"inf"} if array in (float("inf"), -float("inf")) else set()
    if not is_float(array):
        return set()
    xp: Any = home(array)
    if bool(xp.isfinite(array).all()):
        return set()
    return {name for name, test in (("nan", xp.isnan), ("inf", xp.isinf)) if bool(test(array).any())}


def _counts(array: Any) -> str:
    xp: Any = home(array)
    if not is_float(array):
        return ""
    counts = {"NaN": int(xp.isnan(array).sum()), "infinite": int(xp.isinf(array).sum())}
    return " and ".join(f"{n:,} {name}" for name, n in counts.items() if n)


def _counted(value: Any) -> str:
    """An array and what is wrong with it: "float32[3] with 1 NaN"."""
    if isinstance(value, tuple | list):
        return " and ".join(_counted(part) for part in value if _kinds(part))
    array = getattr(value, "_array", value)
    return f"{described(array)} with {_counts(array)}"


def checksum(array: Array) -> int:
    """A number that changes with any element."""
    where: Any = home(array)
    return zlib.crc32(where.to_host(array).tobytes())

"""What a step has changed when it is done: each place that holds something new, as Python that does it again."""

from __future__ import annotations

from typing import Any

from ..core.tape import Leaf
from ..core.tensor import Tensor
from ..symbols import Symbol, literal
from .recording import Recording, Traced, View, comparable, numpy
from .refusal import CaptureError
from .state import SIMPLE, Holder, Walk


class Writer:
    """Writes the lines that make new values and put them in their places, and names what they need.

    In these lines `E` is the list of all holders and values of a walk, `x0` and so on are arrays that go out, `K` are
    constants. The lines of `making` may fail, and change nothing.
    """

    def __init__(self, recording: Recording, walk: Walk, keep_grads: bool) -> None:
        self.recording: Recording = recording
        self.walk: Walk = walk
        self.making: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []  # what is set in the end: an object, the name, the value
        self.items: list[tuple[str, str, str]] = []  # a list or dict, the key, the value
        self.slots: list[tuple[int, str]] = []  # of E
        self.arrays: dict[int, tuple[Any, View]] = {}  # by the id of the array that was recorded
        self.constants: list[Any] = []
        self.regular: bool = True  # whether what is put can be found again without a new walk
        self.first: int = len(walk.holders)  # the slot of the first place
        self._keep_grads, self._made = keep_grads, dict[int, str]()
        starts, start = list[int](), self.first
        for holder in walk.holders:
            starts.append(start)
            start += len(holder.keys)
        self._starts = starts

    def key(self) -> tuple[Any, ...]:
        """What has to be the same in two runs."""
        going = [view for _, view in self.arrays.values()]
        return self.making, self.attributes, self.items, self.slots, going, [*map(comparable, self.constants)]

    # ---- places

    def place(self, number: int, holder: Holder, key: Any, was: Any, now: Any) -> None:
        """Put what now stands at a place."""
        expression = self.value(now, f"{holder.path}.{key}" if holder.kind == "item" else holder.path, was)
        self.put(number, holder, key, expression)

    def put(self, number: int, holder: Holder, key: Any, expression: str) -> None:
        """Put an expression at a place."""
        thing = f"E[{self.walk.index[id(holder.thing)]}]"
        changes = self.items if holder.kind == "item" else self.attributes
        changes.append((thing, self.constant(key), expression))
        self.slots.append((self.first + number, expression))

    def value(self, now: Any, path: str, was: Any = None) -> str:
        """The expression of a value: the name of a variable where it has to be made."""
        if isinstance(now, Symbol):
            return now.text
        if isinstance(now, Traced):
            return self.array(now)
        if isinstance(now, SIMPLE) and not isinstance(now, slice | range):
            known = type(now) is type(was) and repr(now) == repr(was)
            if now is None or known or isinstance(now, bool | str):
                return literal(now)
            raise CaptureError(
                f"capture: the step changes the number {path} from {was!r:.40} to {now!r:.40}, and a replay runs no "
                "Python; count outside of the step, or keep it in an array"
            )
        if id(now) in self.walk.index:
            return f"E[{self.walk.index[id(now)]}]"
        if now is was or isinstance(now, numpy.dtype):
            return self.constant(now)
        if id(now) in self._made:
            return self._made[id(now)]
        return self._new(now, path, was)

    def _new(self, now: Any, path: str, was: Any) -> str:
        """A variable for a value that the step made."""
        name = f"v{len(self._made)}"
        self._made[id(now)] = name
        old = self._old(was, now)
        if type(now) in (list, tuple, dict):
            each = dict(now) if isinstance(now, dict) else dict(enumerate(now))
            before = old.values if old else [None] * len(each)
            parts = [self.value(v, f"{path}[{k!r}]", w) for (k, v), w in zip(each.items(), before, strict=True)]
            pairs = zip(map(self.constant, each), parts, strict=True)
            wholes: dict[Any, str] = {
                list: f"[{', '.join(parts)}]",
                tuple: f"({''.join(f'{part}, ' for part in parts)})",
                dict: "{" + ", ".join(f"{k}: {v}" for k, v in pairs) + "}",
            }
            self.making.append(f"{name} = {wholes[type(now)]}")
        elif isinstance(now, Leaf) and old and isinstance(was, Leaf):
            parts = [self.value(now.grad, f"{path}.grad", before) for before in old.values]
            before_it = f"E[{self.walk.index[id(was)]}]"
            self.making.append(f"{name} = {before_it}.replaced()")
            self.making += [f"{name}.grad = {part}" for part in (parts if self._keep_grads else ["None"])]
            self.attributes.append((before_it, "'retired'", "True"))
        elif type(now) is Tensor and now._node is None:
            parts = [self.value(now._array, path), "None"]
            self.making.append(f"{name} = wrap({parts[0]})")
        else:
            tape = isinstance(now, Tensor)
            raise CaptureError(
                f"capture: the step puts {'a tensor with its tape' if tape else f'a {type(now).__name__}'} into {path}; "
                + ("put .detach() there" if tape else "make such objects before the step")
            )
        self._follow(old, name, parts)
        return name

    def _old(self, was: Any, now: Any) -> Holder | None:
        """The holder in whose place a new one comes that is built alike."""
        at = self.walk.index.get(id(was))
        if at is None:
            return None
        old = self.walk.holders[at]
        if type(was) is not type(now):
            return None
        if isinstance(now, list | tuple | dict):
            keys = tuple(now) if isinstance(now, dict) else tuple(range(len(now)))
            return old if keys == old.keys else None
        return old

    def _follow(self, old: Holder | None, name: str, parts: list[str]) -> None:
        """Have the list of all holders and values know the new one."""
        if old is None:
            self.regular = False
            return
        at = self.walk.index[id(old.thing)]
        self.slots.append((at, name))
        self.slots += [(self._starts[at] + i, part) for i, part in enumerate(parts)]

    def array(self, traced: Traced) -> str:
        """The variable of an array that goes out."""
        if id(traced) not in self.arrays:
            self.arrays[id(traced)] = traced, self.recording.view(traced)
        return f"x{[*self.arrays].index(id(traced))}"

    def constant(self, value: Any) -> str:
        """A key or another constant."""
        if isinstance(value, str | int | bool):
            return repr(value)
        self.constants.append(value)
        return f"K[{len(self.constants) - 1}]"

    # ---- results

    def result(self, outcome: Any, copies: list[View]) -> str:
        """The expression of what the step returns, whose arrays are new ones."""
        if isinstance(outcome, Symbol):
            return outcome.text
        if isinstance(outcome, Tensor) and not isinstance(outcome._array, Traced) and id(outcome) in self.walk.index:
            return f"E[{self.walk.index[id(outcome)]}]"
        if isinstance(outcome, Tensor | Traced):
            array = outcome if isinstance(outcome, Traced) else outcome._array
            if not isinstance(array, Traced):
                raise CaptureError(
                    "capture: the step returns a tensor that it made of numbers, not of its arguments or its state; make "
                    "it before the step"
                )
            copies.append(self.recording.view(array))
            copy = f"r{len(copies) - 1}"
            return f"wrap({copy})" if isinstance(outcome, Tensor) else copy
        if isinstance(outcome, SIMPLE):
            return literal(outcome) if not isinstance(outcome, slice | range) else repr(outcome)
        if isinstance(outcome, numpy.generic):
            return self.constant(outcome)
        if isinstance(outcome, tuple) and hasattr(outcome, "_fields"):
            return f"{self.constant(type(outcome))}({', '.join(self.result(v, copies) for v in outcome)})"
        if type(outcome) is tuple:
            return f"({''.join(self.result(v, copies) + ', ' for v in outcome)})"
        if type(outcome) is list:
            return f"[{', '.join(self.result(v, copies) for v in outcome)}]"
        if type(outcome) is dict:
            return "{" + ", ".join(f"{self.constant(k)}: {self.result(v, copies)}" for k, v in outcome.items()) + "}"
        if id(outcome) in self.walk.index:
            return f"E[{self.walk.index[id(outcome)]}]"
        raise CaptureError(
            f"capture: the step returns a {type(outcome).__name__}, expected tensors, arrays, numbers and text, in tuples, "
            "lists and dicts"
        )

"""`tr.explain()`: note where every op comes from while it lasts, and say what goes wrong where it does."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator
from typing import Any, overload

from ..core.tape import explainer
from ..switches import Context, F
from .checks import Explained, check_forward
from .cuts import warn_of_cuts
from .record import Log


class Observer:
    """What notes and checks every op that runs inside explain()."""

    definitions: bool
    log: Log

    def __init__(self, definitions: bool, log: Log) -> None:
        self.definitions, self.log = definitions, log

    def __call__(self, name: str, entry: Any, parents: Any, arrays: Any, result: Any) -> None:
        """Note the op, and look at its result."""
        record = self.log.add(name, entry, parents, arrays, result)
        if entry is not None:
            entry.op = Explained(entry.op, record, entry)
            check_forward(record, entry)


@overload
def explain(*, definitions: bool = False) -> Context: ...
@overload
def explain(f: F, /, *, definitions: bool = False) -> F: ...
def explain(f: Any = None, /, *, definitions: bool = False) -> Any:
    """Note, of every op that runs inside, the line of your code, the layer, the names of its inputs and its result.

    A tape that is taken inside shows them, and the gradients of a backward (`tr.tape`, `save_html`). With `definitions`,
    compositions run by their definition, not by their fast form. An error comes where something goes wrong: for the first
    NaN or infinity, forward or backward, a `NonFiniteError`; for an array that was changed in place after the tape saved
    it, a `RuntimeError` that names the op that saved it. An error in a backward has a note with the line that made the
    entry. At the end a `UserWarning` names each leaf that got no gradient because the path to it was cut, and the place
    of the cut.

    It costs time, and every result stays in memory until explain() ends and the tape is gone: put a step inside, not a
    whole training. It nests, and holds for the thread that entered it. It is a decorator too: `@tr.explain` or
    `@tr.explain()`.

    >>> import tinyreg as tr
    >>> w = tr.tensor([1.0, 2.0], requires_grad=True)
    >>> with tr.explain():
    ...     loss = (w * w).sum()
    >>> tr.tape(loss).leaves[0].label
    'w'
    >>> with tr.explain():
    ...     w * float("nan")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    tinyreg.explore.checks.NonFiniteError: explain: entry #0, multiply(w, nan), from ...
    """
    explaining = Context("explain", functools.partial(_explaining, definitions))
    return explaining if f is None else explaining(f)


@contextlib.contextmanager
def _explaining(definitions: bool) -> Iterator[None]:
    outer = explainer.get()
    log = outer.log if outer else Log()
    with explainer(Observer(definitions, log)):
        yield
    if outer is None:
        warn_of_cuts(log)

"""Weight averaging."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ..core.backend import Array, underflow_ignored
from ..core.tensor import Tensor, replace, wrap
from ..creation import as_array
from . import accepted
from .locked import Locked
from .packing import Pack


class WeightAverage(Locked):
    """average = decay * average + (1 - decay) * w: an exponential moving average (EMA) of the weights.

    It starts at the weights, so it needs no correction. Where a weight stands still, also at infinity, the average stays
    exactly itself. It is kept in float32 for float16.

    model_or_parameters: a `nn.Module`, whose parameters() are averaged, those that it has now; or leaves. decay: in
    [0, 1). Buffers, such as running statistics, are not averaged and not touched: with the averages in place they are the
    model's own, as in PyTorch's AveragedModel. Call `update` after each step of the optimizer, and evaluate inside
    `applied`. Threads may share it: each `update` counts as one; but in `applied` every thread sees the averages.

    Raises `ValueError` for no parameters, for one that is given twice or was computed, and for a decay out of range.

    Source: Polyak and Juditsky, "Acceleration of Stochastic Approximation by Averaging", 1992, where all steps weigh the
    same.

    >>> import tinyreg as tr
    >>> w = tr.tensor([1.0, 2.0], requires_grad=True)
    >>> average = tr.optim.WeightAverage([w], decay=0.75)
    >>> w.assign([5.0, 2.0])
    tensor([5., 2.], requires_grad=True)
    >>> average.update()
    >>> with average.applied():
    ...     print(w)
    tensor([2., 2.], requires_grad=True)
    >>> w
    tensor([5., 2.], requires_grad=True)
    """

    def __init__(self, model_or_parameters: Any, decay: float = 0.999) -> None:
        of_module = getattr(model_or_parameters, "parameters", None)
        parameters: Iterable[Tensor] = of_module() if callable(of_module) else model_or_parameters
        self.decay: float = accepted.number("WeightAverage", "decay", decay, below=1)
        self._parameters = tuple(accepted.leaves("WeightAverage", parameters))
        self._packs = tuple(Pack.all(self._parameters))
        self._averages = self._gathered([parameter.data for parameter in self._parameters])

    def update(self) -> None:
        """Take the present weights into the average."""
        with self._lock, underflow_ignored():
            weights = self._gathered([parameter.data for parameter in self._parameters])
            triples = zip(self._packs, self._averages, weights, strict=True)
            self._averages = [self._next(pack.xp, average, w) for pack, average, w in triples]

    def _next(self, xp: Any, average: Array, w: Array) -> Array:
        """The formula; what counts nothing is not looked at, since 0 times infinity is NaN."""
        if not self.decay:
            return w
        return xp.where(w == average, average, self.decay * average + (1 - self.decay) * w)

    @property
    def averages(self) -> list[Tensor]:
        """The averages, in the order and with the dtypes of the parameters."""
        pairs = zip(self._packs, self._averages, strict=True)
        return [wrap(array) for array in self._split([pack.narrowed(average) for pack, average in pairs])]

    def copy_to_parameters(self) -> None:
        """Give the parameters the averages as their values, for good."""
        replace(self._parameters, [average.data for average in self.averages])

    @contextlib.contextmanager
    def applied(self) -> Iterator[None]:
        """A context in which the parameters have the averages as their values.

        Afterwards, also after an exception, they have their own again, whatever they were given in between.
        """
        own = [parameter.data for parameter in self._parameters]
        try:
            self.copy_to_parameters()
            yield
        finally:
            try:
                replace(self._parameters, own)
            except BaseException:  # Ctrl-C, before anything is replaced
                replace(self._parameters, own)
                raise

    def state_dict(self) -> dict[str, Any]:
        """Return the decay and copies of the averages, in the order of the parameters."""
        return {"decay": self.decay, "averages": [Tensor(as_array(array)) for array in self._split(self._averages)]}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state_dict` gave.

        Raises `ValueError` for another number of averages, for other shapes, and for a decay out of range: all before
        anything is changed.
        """
        where = "WeightAverage.load_state_dict"
        accepted.same_names(where, state, ("decay", "averages"))
        decay, values = accepted.number(where, "decay", state["decay"], below=1), state["averages"]
        accepted.same_count(where, "averages", values, self._parameters)
        pairs = zip(values, self._parameters, strict=True)
        averages = self._gathered([accepted.fitted(where, f"average {i}", v, p) for i, (v, p) in enumerate(pairs)])
        self._averages, self.decay = averages, decay

    def _gathered(self, arrays: list[Array]) -> list[Array]:
        """Arrays of all parameters, in order, as flat ones."""
        return [pack.gather([arrays[i] for i in pack.positions]) for pack in self._packs]

    def _split(self, flats: list[Array]) -> list[Array]:
        """Flat arrays as one for each parameter, in order."""
        pairs = zip(self._packs, flats, strict=True)
        parts = {i: part for pack, array in pairs for i, part in zip(pack.positions, pack.split(array), strict=True)}
        return [parts[i] for i in range(len(parts))]

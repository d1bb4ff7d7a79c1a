"""Parameter groups: what an optimizer moves, and with which settings. Both may be changed between two steps."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import chain
from operator import is_
from typing import Any

from ..core.tensor import Tensor
from ..interrupts import deferred, uninterrupted
from . import accepted
from .locked import Locked

Parameters = Iterable[Tensor] | Iterable[tuple[str, Tensor]] | Iterable[dict[str, Any]]


class Groups(Locked):
    """Groups of parameters, each with settings of its own: dicts in a list, as in PyTorch."""

    def __init__(self, parameters: Parameters, defaults: dict[str, Any]) -> None:
        self._name = type(self).__name__
        self.defaults = defaults
        self.param_groups: list[dict[str, Any]] = self._as_groups(parameters)
        # Tuples, since they come and go as a whole: a captured step has nothing to look at inside of them.
        self._parameters: tuple[Tensor, ...] = ()
        self._sizes: tuple[int, ...] = ()
        self._group_of: tuple[int, ...] = ()  # of each parameter
        self._decays: tuple[bool, ...] = ()
        self._take_in_groups()

    @property
    def parameters(self) -> list[Tensor]:
        """The parameters of all groups, in order."""
        self._take_in_groups()
        return [*self._parameters]

    def add_param_group(self, group: dict[str, Any]) -> None:
        """Add a group: a dict of parameters under "params" and of settings, those of the optimizer where it has none.

        Raises `ValueError` and `TypeError`, before anything is changed, for what the constructor refuses.

        >>> import tinyreg as tr
        >>> a, b = tr.zeros(2, requires_grad=True), tr.zeros(2, requires_grad=True)
        >>> optimizer = tr.optim.SGD([a], lr=0.5)
        >>> optimizer.add_param_group({"params": [b], "lr": 0.25})
        >>> [group["lr"] for group in optimizer.param_groups]
        [0.5, 0.25]
        """
        with self._lock, deferred():
            self.param_groups.append(group)
            try:
                self._take_in_groups()
            except BaseException:
                self.param_groups.pop()
                raise

    @property
    def lr(self) -> float:
        """The learning rate of all groups; set, it is given to all, and schedules count from it.

        `ValueError` where they differ: see `param_groups`.
        """
        rates = [group["lr"] for group in self.param_groups]
        if any(rate != rates[0] for rate in rates):
            raise ValueError(f"lr: got groups with {', '.join(map(str, rates))}, expected one for all; see param_groups")
        rate: float = rates[0]
        return rate

    @lr.setter
    def lr(self, value: float) -> None:
        for group in self.param_groups:
            group["lr"] = value
            group.pop("scheduled_lr", None)

    def _settings(self, group: Mapping[str, Any]) -> dict[str, Any]:
        """Check the settings of a group, which may have been set since the last step; the same as Python numbers."""
        return accepted.settings(self._name, group)

    def _as_groups(self, parameters: Any) -> list[dict[str, Any]]:
        """Parameter groups as they were given, or one of the parameters."""
        given = accepted.listed(self._name, parameters)
        return given if any(isinstance(group, dict) for group in given) else [{"params": given}]

    def _take_in_groups(self) -> None:
        """Look at which parameters are in the groups, and take in what has changed; raises where something is none."""
        if self._unchanged():
            return
        groups = self.param_groups
        completed = [self._completed(group) for group in groups]
        parameters = accepted.leaves(self._name, [parameter for group in completed for parameter in group["params"]])
        sizes = tuple([len(group["params"]) for group in completed])
        group_of = tuple([k for k, size in enumerate(sizes) for _ in range(size)])
        decays = tuple([getattr(parameter, "decay", True) for parameter in parameters])
        further = self._for_parameters(parameters)
        own = {"_parameters": tuple(parameters), "_sizes": sizes, "_group_of": group_of, "_decays": decays}
        uninterrupted(map(dict.update, [*groups, vars(self)], [*completed, {**own, **further}]))

    def _unchanged(self) -> bool:
        """Whether the groups are complete, and hold the parameters that were taken in: this is looked at in every step."""
        lists = []
        for group in self.param_groups:
            params = group.get("params") if isinstance(group, dict) else None
            if type(params) is not list or not self.defaults.keys() <= group.keys():
                return False
            lists.append(params)
        same_sizes = tuple(map(len, lists)) == self._sizes
        return same_sizes and all(map(is_, chain.from_iterable(lists), self._parameters))

    def _for_parameters(self, parameters: list[Tensor]) -> dict[str, Any]:
        """What a class holds beside, in attributes, when `parameters` are these and no longer what they were."""
        return {}

    def _completed(self, group: Any) -> dict[str, Any]:
        """A group with a list of its parameters and every setting; raises where it is none."""
        known = {"params", *self.defaults, *accepted.SCHEDULED}
        if not isinstance(group, dict) or "params" not in group or not set(group) <= known:
            got = f"with {', '.join(group) or 'nothing'}" if isinstance(group, dict) else f"{group!r:.80}"
            raise ValueError(
                f"{self._name}: got a group {got}, expected a dict with params and any of {', '.join(self.defaults)}"
            )
        params = group["params"]
        whole = {**self.defaults, **group}
        self._settings(whole)
        return {**whole, "params": [params] if isinstance(params, Tensor) else accepted.listed(self._name, params)}

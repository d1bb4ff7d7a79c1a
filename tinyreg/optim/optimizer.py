"""What all optimizers share: parameter groups, decay, the step, saving and loading. Each adds the direction of its step."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from itertools import chain
from operator import is_
from typing import Any

from ..core.backend import Array, underflow_ignored
from ..core.tape import recording
from ..core.tensor import Tensor
from ..creation import as_array, zeros_like
from . import checks
from .flat import Bucket, alike
from .locked import Locked

Parameters = Iterable[Tensor] | Iterable[tuple[str, Tensor]] | Iterable[dict[str, Any]]
State = dict[str, Any]

FEW = 8
"""Up to this many stretches, a flat array is taken whole: the processor's outer cache holds it between two operations."""


def elementwise(direction: Any) -> Any:
    """Mark a `direction` of which each element depends on the same element of g and of the state alone.

    A large flat array is then given to it in blocks, so that what one operation writes is in the cache for the next.
    """
    direction.elementwise = True
    return direction


class Optimizer(Locked):
    """w = (1 - lr * weight_decay) * w - lr * d, where d is the optimizer's direction for g = grad + l2 * w.

    `param_groups` may be changed between steps: settings, and which parameters are in a group. What is put into a group
    moves from the next step on, and its state begins there; what is taken out is left alone, and its state forgotten. A
    group that is added, best by `add_param_group`, has the settings of the optimizer where it has none of its own.

    Threads may share an optimizer: each `step` is a whole one, and they wait for each other. A forward or a backward in
    one thread while another steps is not kept apart, so let the threads meet between the two.

    An optimizer of your own writes `direction`, and says in `state_names` what it keeps for each parameter. Its further
    settings are numbers of at least 0.

    >>> import tinyreg as tr
    >>> class SignSGD(tr.optim.Optimizer):
    ...     def direction(self, xp, g, state, settings):
    ...         return xp.sign(g)
    >>> w = tr.tensor([1.0, -2.0], requires_grad=True)
    >>> optimizer = SignSGD([w], lr=0.5)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w
    tensor([ 0.5, -1.5], requires_grad=True)
    """

    state_names: tuple[str, ...] = ()

    def __init__(
        self, parameters: Parameters, *, lr: float, l2: float = 0.0, weight_decay: float = 0.0, **settings: Any
    ) -> None:
        self._name = type(self).__name__
        self.defaults = {"lr": lr, **settings, "l2": l2, "weight_decay": weight_decay}
        self.param_groups: list[dict[str, Any]] = self._as_groups(parameters)
        self._parameters: list[Tensor] = []
        self._sizes: list[int] = []
        # The state of a parameter stands in its bucket, or here while it is in none.
        self._states: list[State] = []
        self._buckets: list[Bucket] = []
        self._stepping: list[bool] = []
        self._take_in_groups()

    @property
    def parameters(self) -> list[Tensor]:
        """The parameters of all groups, in order."""
        self._take_in_groups()
        return self._parameters

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Give every parameter that has a gradient its next value.

        closure: a function that is called first, to set the gradients; its result, such as the loss, comes back, as in
        PyTorch. Raises `ValueError` and `TypeError` where groups were changed to something that is none: nothing moves.
        """
        loss = None
        if closure is not None:
            with recording(True):
                loss = closure()
        with self._lock, underflow_ignored():
            self._take_in_groups()
            settings = [self._settings(group) for group in self.param_groups]
            gradients = [parameter.grad for parameter in self._parameters]
            stepping = [gradient is not None for gradient in gradients]
            if stepping != self._stepping:
                self._regroup(stepping)
            gathered = [bucket.gather([gradients[i].data for i in bucket.positions]) for bucket in self._buckets]  # type: ignore[union-attr]
            for bucket, g in zip(self._buckets, gathered, strict=True):
                bucket.put(*self._moved(bucket, g, settings[self._group_of[bucket.positions[0]]]))
            self._stepped_with = settings
        return loss

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients of all parameters, or make them 0: then momentum and decay go on, as in PyTorch."""
        for parameter in self.parameters:
            if set_to_none or parameter.grad is None:
                parameter.zero_grad()
            else:
                parameter.grad = zeros_like(parameter)

    def add_param_group(self, group: dict[str, Any]) -> None:
        """One more group: a dict of parameters under "params" and of settings, those of the optimizer where it has none.

        Raises `ValueError` and `TypeError`, before anything is changed, for what the constructor refuses.

        >>> import tinyreg as tr
        >>> a, b = tr.zeros(2, requires_grad=True), tr.zeros(2, requires_grad=True)
        >>> optimizer = tr.optim.SGD([a], lr=0.5)
        >>> optimizer.add_param_group({"params": [b], "lr": 0.25})
        >>> [group["lr"] for group in optimizer.param_groups]
        [0.5, 0.25]
        """
        with self._lock:
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

    # ---- the step

    @property
    def _elementwise(self) -> bool:
        """Whether the direction is marked; one that overrides it is not, unless it is marked too."""
        return getattr(self.direction, "elementwise", False)

    def direction(self, xp: Any, g: Array, state: State, settings: Mapping[str, Any]) -> Array:
        """What parameters in one flat array move against, given g; gives `state` its new arrays and "step", a number."""
        raise NotImplementedError(f"{self._name} has no direction; write one")

    def gain(self, xp: Any, state: State, settings: Mapping[str, Any]) -> Any:
        """The direction for a gradient of 1 that stays: a number, or an array of one an element. For proximal steps."""
        raise TypeError(f"{self._name} does not say how far its steps go; expected SGD, Adam or AdamW")

    def lengths(self) -> list[tuple[Tensor, Any]]:
        """What the last step moved, each with lr times its gain: how far a gradient of 1 that stays would have moved it.

        Raises `TypeError` for an optimizer that does not say, or whose direction is not the one that its gain is of.
        """
        order = type(self).__mro__
        of_gain, of_direction = (next(cls for cls in order if n in vars(cls)) for n in ("gain", "direction"))
        if order.index(of_gain) > order.index(of_direction):
            Optimizer.gain(self, None, {}, {})
        found: list[tuple[Tensor, Any]] = []
        for bucket in self._buckets:
            settings = self._stepped_with[self._group_of[bucket.positions[0]]]
            length = settings["lr"] * self.gain(bucket.xp, bucket.state, settings)
            parts = bucket.split(length) if hasattr(length, "shape") else [length] * len(bucket.tensors)
            found += zip(bucket.tensors, parts, strict=True)
        return found

    def _moved(self, bucket: Bucket, g: Array, settings: Mapping[str, Any]) -> tuple[Array, State]:
        """The next values and the next state of a bucket, worked out in blocks where it is large."""
        xp, w, state, decayed = bucket.xp, bucket.values(), dict(bucket.state), bucket.decayed
        if g.size <= FEW * xp.stretch or not self._elementwise:
            return self._next(xp, w, g, state, settings, decayed), state
        values = xp.empty_like(w)
        for start in range(0, g.size, xp.stretch):
            part = slice(start, start + xp.stretch)
            given = {name: value if name == "step" else value[part] for name, value in bucket.state.items()}
            new = dict(given)
            self._next(xp, w[part], g[part], new, settings, min(max(decayed - start, 0), len(g[part])), values[part])
            for name, value in new.items():
                if name == "step":
                    state[name] = value
                elif value is not given.get(name):  # otherwise it was written to in place
                    if name not in state:
                        state[name] = xp.empty_like(w)
                    state[name][part] = value
        return values, state

    def _next(
        self, xp: Any, w: Array, g: Array, state: State, settings: Mapping[str, Any], decayed: int, out: Array = None
    ) -> Array:
        """The next values of parameters in one flat array, of which the first `decayed` decay; given `out`, in it."""
        lr, l2, weight_decay = settings["lr"], settings["l2"], settings["weight_decay"]
        if l2 and decayed == g.size:
            g = g + l2 * w
        elif l2 and decayed:  # g was gathered from several gradients, so nobody else holds it
            g[:decayed] += l2 * w[:decayed]
        d = self.direction(xp, g, state, settings)
        if not lr:  # 0 times an infinite direction is NaN
            d = xp.zeros_like(w)
        if weight_decay and decayed:
            shrunk = (1 - lr * weight_decay) * w
            shrunk[decayed:] = w[decayed:]
            w = shrunk
        if out is None:
            return w + -lr * d  # a sum, because NumPy reuses the product's memory for it
        step = xp.multiply(d, -lr, out=out)
        step += w
        return step

    def _regroup(self, stepping: list[bool]) -> None:
        """Put the parameters that have a gradient into buckets, and take the others out of theirs."""
        states = self._state_of_each()
        active = sorted((i for i, steps in enumerate(stepping) if steps), key=lambda i: not self._decays[i])
        # Only a direction that is elementwise sees no difference where its parameters are together with others.
        apart = [False] * len(stepping) if self._elementwise else self._decays
        keys = [(self._group_of[i], apart[i], states[i].get("step"), *states[i]) for i in active]
        together = alike([self._parameters[i] for i in active], keys)
        self._buckets = [Bucket(self._parameters, [active[k] for k in places], states, self._decays) for places in together]
        self._states = [{} if steps else state for steps, state in zip(stepping, states, strict=True)]
        self._stepping = stepping

    def _state_of_each(self) -> list[State]:
        states = list(self._states)
        for bucket in self._buckets:
            for i, state in zip(bucket.positions, bucket.states(), strict=True):
                states[i] = state
        return states

    # ---- settings

    def _settings(self, group: Mapping[str, Any]) -> dict[str, Any]:
        """The settings of a group as Python numbers, checked: they may have been set since the last step."""
        return checks.settings(self._name, group)

    def _as_groups(self, parameters: Any) -> list[dict[str, Any]]:
        """Parameter groups as they were given, or one of the parameters."""
        given = checks.listed(self._name, parameters)
        return given if any(isinstance(group, dict) for group in given) else [{"params": given}]

    def _take_in_groups(self) -> None:
        """Look at which parameters are in the groups; where these have changed, each takes its state along."""
        groups = self.param_groups
        whole = [isinstance(group, dict) and self.defaults.keys() <= group.keys() for group in groups]
        lists: list[Any] = [group.get("params") for group in groups] if all(whole) else [None]
        same = all(type(params) is list for params in lists) and list(map(len, lists)) == self._sizes
        if same and all(map(is_, chain.from_iterable(lists), self._parameters)):
            return
        completed = [self._completed(group) for group in groups]
        parameters = checks.leaves(self._name, [parameter for group in completed for parameter in group["params"]])
        known = dict(zip(map(id, self._parameters), self._state_of_each(), strict=True))
        for group, new in zip(groups, completed, strict=True):
            group.update(new)
        self._parameters, self._sizes = parameters, [len(group["params"]) for group in groups]
        self._group_of = [k for k, size in enumerate(self._sizes) for _ in range(size)]
        self._decays = [getattr(parameter, "decay", True) for parameter in parameters]
        self._states = [known.get(id(parameter), {}) for parameter in parameters]
        self._buckets, self._stepping = [], []

    def _completed(self, group: Any) -> dict[str, Any]:
        """A group with a list of its parameters and every setting; raises where it is none."""
        known = {"params", *self.defaults, *checks.SCHEDULED}
        if not isinstance(group, dict) or "params" not in group or not set(group) <= known:
            got = f"with {', '.join(group) or 'nothing'}" if isinstance(group, dict) else f"{group!r:.80}"
            raise ValueError(
                f"{self._name}: got a group {got}, expected a dict with params and any of {', '.join(self.defaults)}"
            )
        params = group["params"]
        whole = {**self.defaults, **group}
        self._settings(whole)
        return {**whole, "params": [params] if isinstance(params, Tensor) else checks.listed(self._name, params)}

    # ---- saving and loading

    def state_dict(self) -> dict[str, Any]:
        """The settings of each group and the state of each parameter, in order, as a tree of plain values and Tensors.

        The Tensors are copies. A parameter that has no state yet has None.
        """
        self._take_in_groups()
        groups, end = [], 0
        for group in self.param_groups:
            settings = {k: list(v) if isinstance(v, tuple) else v for k, v in self._settings(group).items()}
            start, end = end, end + len(group["params"])
            groups.append({**settings, "params": list(range(start, end))})
        states = [
            {name: value if name == "step" else Tensor(as_array(value)) for name, value in state.items()} or None
            for state in self._state_of_each()
        ]
        return {"optimizer": self._name, "param_groups": groups, "state": states}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state_dict` gave: the next steps have the same bits.

        Raises `ValueError`, before anything is changed, for a state of another class of optimizer, of other numbers of
        groups or parameters, of other shapes, and for settings that are unknown, missing or out of range.
        """
        with self._lock:
            self._take_in_groups()
            groups, states = self._checked(state)
            for group, loaded in zip(self.param_groups, groups, strict=True):
                params = group["params"]
                group.clear()  # of what the state does not have, too
                group.update(loaded, params=params)
            self._states, self._buckets, self._stepping = states, [], []

    def _checked(self, state: Mapping[str, Any]) -> tuple[list[dict[str, Any]], list[State]]:
        """The settings of the groups and the states of the parameters in a saved state; raises where they do not fit."""
        where = f"{self._name}.load_state_dict"
        checks.same_names(where, state, ("optimizer", "param_groups", "state"))
        if state["optimizer"] != self._name:
            raise ValueError(f"{where}: got the state of {state['optimizer']}, expected one of {self._name}")
        checks.same_count(where, "groups", len(state["param_groups"]), len(self.param_groups))
        checks.same_count(where, "parameters", len(state["state"]), len(self._parameters))
        for group, own in zip(state["param_groups"], self.param_groups, strict=True):
            expected = [name for name in own if name not in checks.SCHEDULED]
            checks.same_names(where, group, expected, optional=checks.SCHEDULED)
            checks.same_count(where, "parameters in a group", len(group["params"]), len(own["params"]))
        states: list[State] = []
        for i, (each, parameter) in enumerate(zip(state["state"], self._parameters, strict=True)):
            if each is not None:
                checks.same_names(where, each, self.state_names)
            states.append(
                {
                    name: checks.count(where, name, value)
                    if name == "step"
                    else checks.fitted(where, f"{name} of parameter {i}", value, parameter)
                    for name, value in (each or {}).items()
                }
            )
        return [self._settings(group) for group in state["param_groups"]], states

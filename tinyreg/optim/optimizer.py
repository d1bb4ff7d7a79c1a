"""What all optimizers share: the step, with l2 and decay, and saving. Each adds the direction, which is its formula."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from itertools import chain
from typing import Any, TypeVar

from ..core.backend import Array, underflow_ignored
from ..core.tape import recording
from ..core.tensor import Tensor, replace
from ..creation import as_array, zeros_like
from ..interrupts import deferred, uninterrupted
from . import accepted
from .groups import Groups, Parameters
from .packing import Pack, State, arithmetic_may_raise

Loss = TypeVar("Loss")
Direction = TypeVar("Direction", bound=Callable[..., Array])


def elementwise(direction: Direction) -> Direction:
    """Mark a `direction` of which each element depends on the same element of g and of the state alone.

    A large flat array is then given to it in blocks, so that what one operation writes is in the cache for the next.
    It does not raise, but for what NumPy is asked to raise.
    """
    direction.elementwise = True  # type: ignore[attr-defined]
    return direction


class Optimizer(Groups):
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
        # The state of a parameter stands in its pack, or here while it is in none.
        self._states: tuple[State, ...] = ()
        self._packs: tuple[Pack, ...] = ()
        self._stepping: tuple[bool, ...] = ()
        super().__init__(parameters, {"lr": lr, **settings, "l2": l2, "weight_decay": weight_decay})

    # ---- what an optimizer writes

    def direction(self, xp: Any, g: Array, state: State, settings: Mapping[str, Any]) -> Array:
        """What parameters in one flat array move against, given g; gives `state` its new arrays and "step", a number.

        Of what it was given, it may write to the arrays of `state` alone. If it raises, the step has changed nothing.
        """
        raise NotImplementedError(f"{self._name} has no direction; write one")

    def gain(self, xp: Any, state: State, settings: Mapping[str, Any]) -> float | Array:
        """The direction for a gradient of 1 that stays: a number, or an array of one an element. For proximal steps."""
        raise TypeError(f"{self._name} does not say how far its steps go; expected SGD, Adam or AdamW")

    # ---- the step

    def step(self, closure: Callable[[], Loss] | None = None) -> Loss | None:
        """Give every parameter that has a gradient its next value; if that fails, none. Ctrl-C waits until it is done.

        closure: a function that is called first, to set the gradients; its result, such as the loss, comes back, as in
        PyTorch. Raises `ValueError` and `TypeError` where groups were changed to something that is none: nothing moves.
        """
        loss = None
        if closure is not None:
            with recording(True):
                loss = closure()
        with self._lock, deferred(), underflow_ignored():
            self._take_in_groups()
            settings = [self._settings(group) for group in self.param_groups]
            gradients = [parameter.grad for parameter in self._parameters]
            stepping = tuple([gradient is not None for gradient in gradients])
            if stepping != self._stepping:
                self._repack(stepping)
            # Where arithmetic does not raise, the state changes in place, and no old values wait for the other packs.
            sure = self._elementwise and not arithmetic_may_raise()
            moved: list[tuple[Pack, Array, State]] = []
            try:
                for pack in self._packs:
                    g = pack.gather([gradients[i].data for i in pack.positions])  # type: ignore[union-attr]
                    formula = partial(self._next, pack.xp, settings[self._group_of[pack.positions[0]]])
                    moved.append((pack, *pack.worked_out(formula, g, in_place=sure)))
                    if sure:
                        _put(moved)
            except MemoryError as error:
                if sure:
                    error.add_note(
                        f"{self._name}.step: some parameters may have moved, and some not; go on from a saved state"
                    )
                raise
            _put(moved)
            self._stepped_with = settings
        return loss

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients of all parameters, or make them 0: then momentum and decay go on, as in PyTorch."""
        for parameter in self.parameters:
            if set_to_none or parameter.grad is None:
                parameter.zero_grad()
            else:
                parameter.grad = zeros_like(parameter)

    def last_step(self) -> Iterator[tuple[Pack, Mapping[str, Any]]]:
        """What the last step moved together, and with which settings."""
        for pack in self._packs:
            yield pack, self._stepped_with[self._group_of[pack.positions[0]]]

    @property
    def _elementwise(self) -> bool:
        """Whether the direction is marked; one that overrides it is not, unless it is marked too."""
        return getattr(self.direction, "elementwise", False)

    def _next(
        self, xp: Any, settings: Mapping[str, Any], w: Array, g: Array, state: State, decayed: int, out: Array
    ) -> None:
        """Write to `out` what the formula of the class gives; the first `decayed` elements are of parameters that decay."""
        lr, l2, weight_decay = settings["lr"], settings["l2"], settings["weight_decay"]
        if l2 and decayed == g.size:
            g = g + l2 * w
        elif l2 and decayed:  # g was gathered from several gradients, so nobody else holds it
            g[:decayed] += l2 * w[:decayed]
        d = self.direction(xp, g, state, settings)
        if weight_decay and decayed:
            shrunk = (1 - lr * weight_decay) * w
            shrunk[decayed:] = w[decayed:]
            w = shrunk
        if lr:
            xp.multiply(d, -lr, out=out)
            out += w
        else:  # 0 times an infinite direction is NaN
            out[:] = w

    def _repack(self, stepping: tuple[bool, ...]) -> None:
        """Put the parameters that have a gradient into packs, and take the others out of theirs."""
        states = self._state_of_each()
        active = sorted((i for i, steps in enumerate(stepping) if steps), key=lambda i: not self._decays[i])
        # Only a direction that is elementwise sees no difference where its parameters are together with others.
        apart = (False,) * len(stepping) if self._elementwise else self._decays
        keys = [(self._group_of[i], apart[i], states[i].get("step"), *states[i]) for i in active]
        self._packs = tuple(Pack.all(self._parameters, active, self._decays, keys))
        for pack in self._packs:
            pack.gather_states(states)
            pack.in_blocks = self._elementwise and pack.large
        self._states = tuple([{} if steps else state for steps, state in zip(stepping, states, strict=True)])
        self._stepping = stepping

    def _state_of_each(self) -> list[State]:
        states = list(self._states)
        for pack in self._packs:
            for i, state in zip(pack.positions, pack.split_states(), strict=True):
                states[i] = state
        return states

    def _for_parameters(self, parameters: list[Tensor]) -> dict[str, Any]:
        """Let each parameter take its state along."""
        known = dict(zip(map(id, self._parameters), self._state_of_each(), strict=True))
        states = tuple([known.get(id(parameter), {}) for parameter in parameters])
        return {"_states": states, "_packs": (), "_stepping": ()}

    # ---- saving and loading

    def state_dict(self) -> dict[str, Any]:
        """Return the settings of each group and the state of each parameter, in order: a tree of numbers, text and Tensors.

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
            own = self.param_groups
            loaded = [{**new, "params": group["params"]} for group, new in zip(own, groups, strict=True)]
            held = {"_states": tuple(states), "_packs": (), "_stepping": ()}
            changes = map(dict.update, [*own, vars(self)], [*loaded, held])
            uninterrupted(chain(map(dict.clear, own), changes))  # of what the state does not have, too

    def _checked(self, state: Mapping[str, Any]) -> tuple[list[dict[str, Any]], list[State]]:
        """The settings of the groups and the states of the parameters in a saved state; raises where they do not fit."""
        where = f"{self._name}.load_state_dict"
        accepted.same_names(where, state, ("optimizer", "param_groups", "state"))
        if state["optimizer"] != self._name:
            raise ValueError(f"{where}: got the state of {state['optimizer']}, expected one of {self._name}")
        accepted.same_count(where, "groups", state["param_groups"], self.param_groups)
        accepted.same_count(where, "parameters", state["state"], self._parameters)
        for group, own in zip(state["param_groups"], self.param_groups, strict=True):
            expected = [name for name in own if name not in accepted.SCHEDULED]
            accepted.same_names(where, group, expected, optional=accepted.SCHEDULED)
            accepted.same_count(where, "parameters in a group", group["params"], own["params"])
        states: list[State] = []
        for i, (each, parameter) in enumerate(zip(state["state"], self._parameters, strict=True)):
            if each is not None:
                accepted.same_names(where, each, self.state_names)
            states.append(
                {
                    name: accepted.count(where, name, value)
                    if name == "step"
                    else accepted.fitted(where, f"{name} of parameter {i}", value, parameter)
                    for name, value in (each or {}).items()
                }
            )
        return [self._settings(group) for group in state["param_groups"]], states


def _put(moved: list[tuple[Pack, Array, State]]) -> None:
    """Put what was worked out in place, all of it at once, and forget it."""
    packs, values, states = zip(*moved, strict=True) if moved else ((), (), ())
    views = [pack.split(flat) for pack, flat in zip(packs, values, strict=True)]
    tensors, arrays = [t for pack in packs for t in pack.tensors], [view for parts in views for view in parts]
    replace(tensors, arrays, (packs, "flat", values), (packs, "views", views), (packs, "state", states))
    moved.clear()

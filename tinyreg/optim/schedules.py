"""Schedules: the learning rate of each group as a formula in its initial one and the number of steps so far.

Names, arguments and values are PyTorch's. Call `step()` after the optimizer's, once an epoch or as often as you count.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from typing import Any, cast

from .. import arguments
from ..interrupts import uninterrupted
from . import accepted
from .locked import Locked
from .optimizer import Optimizer


class LRScheduler(Locked):
    """lr = rate(base, t), where t is the number of `step()`s: write `rate`, linear in base, and it is a schedule.

    The base of each group is the lr that it has when the schedule is made, whether it was given, set by hand or left by an
    earlier schedule. The schedule sets lr at once and at every step; `last_epoch` is t. **A rate that was set in between**,
    by hand or by another schedule, **counts**: the schedule goes on from there, with the base for which its formula gives
    that rate at t. So the factors of two schedules that take turns multiply, and a group that is added takes part. All of
    this is as in PyTorch.

    "initial_lr" in a group is the rate that it had when it was last given or set by hand: that is where `SequentialLR`
    begins. Threads may share a schedule: each `step` counts as one.

    >>> import tinyreg as tr
    >>> class Halving(tr.optim.LRScheduler):
    ...     def rate(self, initial_lr, t):
    ...         return initial_lr / 2**t
    >>> optimizer = tr.optim.SGD([tr.zeros(1, requires_grad=True)], lr=0.5)
    >>> schedule = Halving(optimizer)
    >>> schedule.step()
    >>> optimizer.lr
    0.25
    >>> optimizer.lr = 0.125
    >>> schedule.step()
    >>> optimizer.lr
    0.0625
    """

    optimizer: Optimizer
    last_epoch: int
    base_lrs: list[float]

    def __init__(self, optimizer: Optimizer) -> None:
        if not isinstance(optimizer, Optimizer):
            raise TypeError(f"{type(self).__name__}: got {optimizer!r:.80}, expected an optimizer")
        self.optimizer, self.last_epoch = optimizer, 0
        for group in self._groups():
            if group["lr"] != group.get("scheduled_lr"):  # not by a schedule
                group["initial_lr"] = group["lr"]
        self._lrs: list[float] = []  # what this schedule set last
        self.base_lrs: Sequence[float] = self._bases()
        self._set(0, self.base_lrs)

    def rate(self, initial_lr: float, t: int) -> float:
        """The learning rate after t steps."""
        raise NotImplementedError(f"{type(self).__name__} has no rate; write one")

    def step(self) -> None:
        """Count one step, and set the learning rate of every group."""
        with self._lock:
            self._set(self.last_epoch + 1, self._followed())

    def get_last_lr(self) -> list[float]:
        """The learning rate of each group."""
        return [group["lr"] for group in self.optimizer.param_groups]

    def state_dict(self) -> dict[str, Any]:
        """How far it has come, from which bases, and the rates that it set last. Settings such as gamma are not in it."""
        with self._lock:
            state = {"schedule": type(self).__name__, "last_epoch": self.last_epoch}
            return {**state, "base_lrs": list(self.base_lrs), "lrs": list(self._lrs)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state_dict` gave; load the optimizer's state first.

        A rate that still is as this schedule set it becomes that of the state; one that came with the optimizer's state,
        or was set by hand, stays. A state without rates sets those of its bases, and one without bases counts from each
        group's "initial_lr": so earlier versions saved it.

        Raises `ValueError` for a state of another class of schedule or of another number of groups, before anything is
        changed.
        """
        name, where = type(self).__name__, f"{type(self).__name__}.load_state_dict"
        accepted.same_names(where, state, ("schedule", "last_epoch"), optional=("base_lrs", "lrs"))
        if state["schedule"] != name:
            raise ValueError(f"{where}: got the state of {state['schedule']}, expected one of {name}")
        t, groups = accepted.count(where, "last_epoch", state["last_epoch"]), self._groups()
        given = [state.get(key) for key in ("base_lrs", "lrs")]
        for values, what in zip(given, ("base rates", "rates"), strict=True):
            if values is not None:
                accepted.same_count(where, what, values, groups)
        bases, lrs = ([accepted.number(where, "rate", value) for value in values or ()] for values in given)
        bases = bases or [group.get("initial_lr", group["lr"]) for group in groups]
        with self._lock:
            if not lrs:
                self._set(t, bases)
                return
            lasts = [group["lr"] if group["lr"] == group.get("scheduled_lr") else None for group in groups]
            triples = zip(lasts, self._lrs, lrs, strict=False)
            new: list[dict[str, float]] = [{"lr": lr, "scheduled_lr": lr} if a == b else {} for a, b, lr in triples]
            self._change(new, t, bases, lrs)

    def _groups(self) -> list[dict[str, Any]]:
        """The optimizer's groups, their rates as Python numbers."""
        groups = self.optimizer.param_groups
        for group in groups:
            group["lr"] = accepted.number(type(self).__name__, "lr", group.get("lr", self.optimizer.defaults["lr"]))
        return groups

    def _bases(self) -> list[float]:
        """Where the groups begin."""
        return [group["lr"] for group in self.optimizer.param_groups]

    def _set(self, t: int, bases: Sequence[float]) -> None:
        """Set the rates of step t."""
        lrs = [float(self.rate(base, t)) for base in bases]
        pairs = zip(self.optimizer.param_groups, lrs, strict=True)
        new = [{"lr": lr, "scheduled_lr": lr, "initial_lr": group.get("initial_lr", lr)} for group, lr in pairs]
        self._change(new, t, bases, lrs)

    def _change(self, groups: list[dict[str, float]], t: int, bases: Sequence[float], lrs: list[float]) -> None:
        """Give the groups these settings, and the schedule its place, its bases and the rates that it set: all at once."""
        changed, update = [*self.optimizer.param_groups, vars(self)], cast("Any", dict.update)
        uninterrupted(map(update, changed, [*groups, {"last_epoch": t, "base_lrs": bases, "_lrs": lrs}]))

    def _followed(self) -> list[float]:
        """The bases, with those of rates that somebody else has set since, and of groups that were added."""
        lrs = [group["lr"] for group in self._groups()]
        before = [*zip(self._lrs, self.base_lrs, strict=True), *[(None, 0.0)] * len(lrs)]
        return [base if lr == last else self._base_for(lr) for lr, (last, base) in zip(lrs, before, strict=False)]

    def _base_for(self, lr: float) -> float:
        """The base for which the present rate is lr; lr itself where none is, as at the end of a cosine."""
        zero = self.rate(0.0, self.last_epoch)
        slope = self.rate(1.0, self.last_epoch) - zero
        base = (lr - zero) / slope if abs(slope) > 1e-15 else lr
        return base if base >= 0 else lr

    def _number(self, name: str, value: Any, least: float = 0) -> float:
        return arguments.number(type(self).__name__, name, value, least=least, expected=f"at least {least}")

    def _expect(self, fits: bool, got: str, expected: str) -> None:
        if not fits:
            raise ValueError(f"{type(self).__name__}: got {got}, expected {expected}")


class StepLR(LRScheduler):
    """lr = initial_lr * gamma^floor(t / step_size): smaller by the factor gamma every step_size steps.

    step_size: at least 1. gamma: at least 0. Raises `ValueError` outside of these.

    >>> import tinyreg as tr
    >>> optimizer = tr.optim.SGD([tr.zeros(1, requires_grad=True)], lr=0.5)
    >>> schedule = tr.optim.StepLR(optimizer, step_size=2, gamma=0.5)
    >>> for _ in range(4):
    ...     schedule.step()
    >>> optimizer.lr
    0.125
    """

    step_size: float
    gamma: float

    def __init__(self, optimizer: Optimizer, step_size: int, gamma: float = 0.1) -> None:
        self.step_size, self.gamma = self._number("step_size", step_size, 1), self._number("gamma", gamma)
        super().__init__(optimizer)

    def rate(self, initial_lr: float, t: int) -> float:
        """The formula of the class."""
        return float(initial_lr * self.gamma ** (t // self.step_size))


class CosineAnnealingLR(LRScheduler):
    """lr = eta_min + (initial_lr - eta_min) * (1 + cos(pi t / T_max)) / 2: down to eta_min at T_max, then up again.

    T_max: at least 1. eta_min: at least 0. Raises `ValueError` outside of these.

    Source: Loshchilov and Hutter, "SGDR: Stochastic Gradient Descent with Warm Restarts", 2017.

    >>> import tinyreg as tr
    >>> optimizer = tr.optim.SGD([tr.zeros(1, requires_grad=True)], lr=0.5)
    >>> schedule = tr.optim.CosineAnnealingLR(optimizer, T_max=2)
    >>> schedule.step()
    >>> optimizer.lr
    0.25
    """

    T_max: float
    eta_min: float

    def __init__(self, optimizer: Optimizer, T_max: int, eta_min: float = 0.0) -> None:
        self.T_max, self.eta_min = self._number("T_max", T_max, 1), self._number("eta_min", eta_min)
        super().__init__(optimizer)

    def rate(self, initial_lr: float, t: int) -> float:
        """The formula of the class."""
        return self.eta_min + (initial_lr - self.eta_min) * (1 + math.cos(math.pi * t / self.T_max)) / 2


class LinearLR(LRScheduler):
    """lr = initial_lr * (start_factor + (end_factor - start_factor) * min(t / total_iters, 1)): a warm-up by default.

    start_factor, end_factor: in [0, 1], where PyTorch does not take a start_factor of 0. total_iters: at least 1. Raises
    `ValueError` outside of these.

    >>> import tinyreg as tr
    >>> optimizer = tr.optim.SGD([tr.zeros(1, requires_grad=True)], lr=0.5)
    >>> schedule = tr.optim.LinearLR(optimizer, start_factor=0.5, total_iters=2)
    >>> schedule.step()
    >>> optimizer.lr
    0.375
    """

    start_factor: float
    end_factor: float
    total_iters: float

    def __init__(
        self, optimizer: Optimizer, start_factor: float = 1 / 3, end_factor: float = 1.0, total_iters: int = 5
    ) -> None:
        self.start_factor, self.end_factor = (
            arguments.number(type(self).__name__, name, factor, least=0, most=1)
            for name, factor in (("start_factor", start_factor), ("end_factor", end_factor))
        )
        self.total_iters = self._number("total_iters", total_iters, 1)
        super().__init__(optimizer)

    def rate(self, initial_lr: float, t: int) -> float:
        """The formula of the class."""
        share = min(t / self.total_iters, 1.0)
        return initial_lr * (self.start_factor + (self.end_factor - self.start_factor) * share)


class SequentialLR(LRScheduler):
    """One schedule after the other: from each milestone on the next, which counts t from there.

    schedulers: schedules of the same optimizer; only their formulas are used, so call `step()` of this one alone. It
    begins at each group's "initial_lr", which is the rate from before they were made. milestones: increasing, one fewer
    than schedulers. Raises `ValueError` where these do not fit.

    >>> import tinyreg as tr
    >>> optimizer = tr.optim.SGD([tr.zeros(1, requires_grad=True)], lr=0.5)
    >>> warm_up = tr.optim.LinearLR(optimizer, start_factor=0.5, total_iters=2)
    >>> decay = tr.optim.CosineAnnealingLR(optimizer, T_max=2)
    >>> schedule = tr.optim.SequentialLR(optimizer, [warm_up, decay], milestones=[2])
    >>> rates = [optimizer.lr]
    >>> for _ in range(4):
    ...     schedule.step()
    ...     rates.append(optimizer.lr)
    >>> rates
    [0.25, 0.375, 0.5, 0.25, 0.0]
    """

    schedulers: list[LRScheduler]
    milestones: list[int]

    def __init__(self, optimizer: Optimizer, schedulers: Sequence[LRScheduler], milestones: Sequence[int]) -> None:
        same = len(schedulers) > 0 and all(schedule.optimizer is optimizer for schedule in schedulers)
        self._expect(same, f"{len(schedulers)} schedulers", "at least one, and all of them for this optimizer")
        steps = [arguments.integer("SequentialLR", "milestones", milestone) for milestone in milestones]
        fits = len(steps) == len(schedulers) - 1 and sorted(set(steps)) == steps
        self._expect(fits, f"milestones={steps}", f"{len(schedulers) - 1} increasing numbers")
        self.schedulers, self.milestones = list(schedulers), steps
        super().__init__(optimizer)

    def _bases(self) -> list[float]:
        return [group["initial_lr"] for group in self.optimizer.param_groups]

    def rate(self, initial_lr: float, t: int) -> float:
        """The rate of the schedule that is in force after t steps."""
        i = bisect_right(self.milestones, t)
        return self.schedulers[i].rate(initial_lr, t - (self.milestones[i - 1] if i else 0))

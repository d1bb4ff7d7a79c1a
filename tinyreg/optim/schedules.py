"""Schedules: the learning rate of each group as a formula in its initial one and the number of steps so far.

Names, arguments and values are PyTorch's. Call `step()` after the optimizer's, once an epoch or as often as you count.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from typing import Any

from . import checks
from .optimizer import Optimizer


class LRScheduler:
    """lr = rate(initial_lr, t), where t is the number of `step()`s: write `rate`, and it is a schedule.

    The initial rate is the group's lr when its first schedule is made, which notes it in the group as "initial_lr". The
    schedule sets lr at once and at every step; `last_epoch` is t.

    >>> import tinyreg as tr
    >>> class Halving(tr.optim.LRScheduler):
    ...     def rate(self, initial_lr, t):
    ...         return initial_lr / 2**t
    >>> optimizer = tr.optim.SGD([tr.zeros(1, requires_grad=True)], lr=0.5)
    >>> schedule = Halving(optimizer)
    >>> schedule.step()
    >>> optimizer.lr
    0.25
    """

    def __init__(self, optimizer: Optimizer) -> None:
        self.optimizer, self.last_epoch = optimizer, 0
        for group in optimizer.param_groups:
            group.setdefault("initial_lr", group["lr"])
        self._set()

    def rate(self, initial_lr: float, t: int) -> float:
        """The learning rate after t steps."""
        raise NotImplementedError(f"{type(self).__name__} has no rate; write one")

    def step(self) -> None:
        """Count one step, and set the learning rate of every group."""
        self.last_epoch += 1
        self._set()

    def get_last_lr(self) -> list[float]:
        """The learning rate of each group."""
        return [group["lr"] for group in self.optimizer.param_groups]

    def state_dict(self) -> dict[str, Any]:
        """How far it has come. Settings such as gamma are not in it; the initial rates are in the optimizer's state."""
        return {"schedule": type(self).__name__, "last_epoch": self.last_epoch}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state_dict` gave; load the optimizer's state first.

        Raises `ValueError` for a state of another class of schedule, before anything is changed.
        """
        name, where = type(self).__name__, f"{type(self).__name__}.load_state_dict"
        checks.same_names(where, state, ("schedule", "last_epoch"))
        if state["schedule"] != name:
            raise ValueError(f"{where}: got the state of {state['schedule']}, expected one of {name}")
        self.last_epoch = checks.count(where, "last_epoch", state["last_epoch"])
        self._set()

    def _set(self) -> None:
        for group in self.optimizer.param_groups:
            group["lr"] = self.rate(group["initial_lr"], self.last_epoch)

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

    def __init__(self, optimizer: Optimizer, step_size: int, gamma: float = 0.1) -> None:
        self._expect(step_size >= 1, f"step_size={step_size}", "at least 1")
        self._expect(gamma >= 0, f"gamma={gamma}", "at least 0")
        self.step_size, self.gamma = step_size, gamma
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

    def __init__(self, optimizer: Optimizer, T_max: int, eta_min: float = 0.0) -> None:
        self._expect(T_max >= 1, f"T_max={T_max}", "at least 1")
        self._expect(eta_min >= 0, f"eta_min={eta_min}", "at least 0")
        self.T_max, self.eta_min = T_max, eta_min
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

    def __init__(
        self, optimizer: Optimizer, start_factor: float = 1 / 3, end_factor: float = 1.0, total_iters: int = 5
    ) -> None:
        for name, factor in (("start_factor", start_factor), ("end_factor", end_factor)):
            self._expect(0 <= factor <= 1, f"{name}={factor}", "a number from 0 to 1")
        self._expect(total_iters >= 1, f"total_iters={total_iters}", "at least 1")
        self.start_factor, self.end_factor, self.total_iters = start_factor, end_factor, total_iters
        super().__init__(optimizer)

    def rate(self, initial_lr: float, t: int) -> float:
        """The formula of the class."""
        return initial_lr * (self.start_factor + (self.end_factor - self.start_factor) * min(t / self.total_iters, 1.0))


class SequentialLR(LRScheduler):
    """One schedule after the other: from each milestone on the next, which counts t from there.

    schedulers: schedules of the same optimizer; only their formulas are used, so call `step()` of this one alone.
    milestones: increasing, one fewer than schedulers. Raises `ValueError` where these do not fit.

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

    def __init__(self, optimizer: Optimizer, schedulers: Sequence[LRScheduler], milestones: Sequence[int]) -> None:
        same = len(schedulers) > 0 and all(schedule.optimizer is optimizer for schedule in schedulers)
        self._expect(same, f"{len(schedulers)} schedulers", "at least one, and all of them for this optimizer")
        fits = len(milestones) == len(schedulers) - 1 and sorted(set(milestones)) == list(milestones)
        self._expect(fits, f"milestones={milestones}", f"{len(schedulers) - 1} increasing numbers")
        self.schedulers, self.milestones = list(schedulers), list(milestones)
        super().__init__(optimizer)

    def rate(self, initial_lr: float, t: int) -> float:
        """The rate of the schedule that is in force after t steps."""
        i = bisect_right(self.milestones, t)
        return self.schedulers[i].rate(initial_lr, t - (self.milestones[i - 1] if i else 0))

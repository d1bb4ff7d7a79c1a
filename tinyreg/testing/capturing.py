"""Capture: a step that is recorded and replayed gives what the op gives, to the last bit (P25)."""

from __future__ import annotations

import functools
import operator
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..captured import CaptureError, capture
from ..captured.native import missing
from ..core.tensor import Tensor
from ..structure import leaves
from .bits import Outcome, odd_incoming
from .run import cast
from .trial import Trial

CALLS = 4  # one that runs, two that are recorded, one that is replayed


def captured(trial: Trial) -> None:
    """Value and gradient are the same bits at every call of a captured step; what is refused is not asked."""
    call, wanted, op = cast(trial.call, np.float32), trial.wanted, trial.case.op
    given_arrays, settings = call.arrays, call.settings  # the step rests on these, and not on all that a trial holds
    arrays = [a for a in given_arrays if isinstance(a, np.ndarray)]
    g = odd_incoming(trial, trial.run(dtype=np.float32).outputs)

    def step(arrays: Sequence[Any], g: Sequence[Any]) -> Any:
        """Forward and backward, on arrays that stand for those of the call."""
        given = iter(arrays)
        taken = [next(given) if isinstance(a, np.ndarray) else a for a in given_arrays]
        inputs = [Tensor(a, requires_grad=i in wanted) if hasattr(a, "dtype") else a for i, a in enumerate(taken)]
        results = [y for y in leaves(op(*inputs, **settings)) if isinstance(y, Tensor)]
        ends = [y for y in results if y.requires_grad]
        parts = [(y * Tensor(part)).sum() for y, part in zip(ends, g, strict=True)]
        if parts:
            functools.reduce(operator.add, parts).backward()
        return [y.data for y in results], [inputs[i].grad for i in wanted]

    def outcome(f: Any) -> Outcome:
        results, gradients = f(arrays, g)
        return Outcome(trial, results, [x.data if isinstance(x, Tensor) else x for x in gradients])

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = outcome(step)
        for executor in ("numpy",) if missing() else ("numpy", "native"):
            program = capture(step, keep_grads=True, executor=executor)
            try:
                seen = [outcome(program) for _ in range(CALLS)]
            except CaptureError:
                return
            if outcome(step).bits == expected.bits:  # otherwise it is not the same twice, whether captured or not
                for k, one in enumerate(seen):
                    expected.check_equal(one, f"at call {k + 1} of a step captured for {executor}")

"""Every op, layer, loss and regularizer of the table of cases, in a small step: captured equals eager, in all bits."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from captured.steps import poison, values
from cases import CASES
from hypothesis import HealthCheck, Phase, given, settings

import tinyreg as tr
from tinyreg.core.tensor import Tensor
from tinyreg.structure import leaves

pytestmark = pytest.mark.usefixtures("each_executor")

FEW, MANY = 3, 20
DRAWN = settings(
    derandomize=True,
    database=None,
    deadline=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
CALLS = 5


def inputs(case, call, i):
    """The arguments of the i-th call: those that have a gradient differ a little from call to call."""
    wanted = case.wanted(call) if case.order else []
    arrays = [a.astype("f4") if getattr(a, "dtype", None) == np.float64 else a for a in call.arrays]
    return [np.asarray(a * np.float32(1 - i / 1024)) if k in wanted else a for k, a in enumerate(arrays)], wanted


def made(case, call):
    """Arguments as tensors, in a list so that the step rests on them, and the step itself."""
    arrays, wanted = inputs(case, call, 0)
    arguments = [
        tr.Tensor(np.array(a), requires_grad=k in wanted) if isinstance(a, np.ndarray) else a for k, a in enumerate(arrays)
    ]
    rng = np.random.default_rng(0)
    weights, op, given_settings = {}, case.op, call.settings

    def step():
        for k in wanted:
            arguments[k].zero_grad()
        outcome = op(*arguments, **given_settings)
        results = [y for y in leaves(outcome) if isinstance(y, Tensor)]
        floats = [y for y in results if y.requires_grad]
        total = sum(((y * tr.Tensor(weights[k, y.shape, y.dtype])).sum() for k, y in enumerate(floats)), 0.0)
        if floats:
            total.backward()
        return results

    outcome = case.op(*arguments, **call.settings)
    drawn = [y for y in leaves(outcome) if isinstance(y, Tensor) and y.requires_grad]
    for k, y in enumerate(drawn):
        weights[k, y.shape, y.dtype] = rng.normal(size=y.shape).astype(y.dtype)
    return arguments, wanted, step


def run(case, call, capturing):
    tr.seed(0)
    arguments, wanted, step = made(case, call)
    tr.seed(0)
    step = tr.capture(step, keep_grads=True) if capturing else step
    history = []
    for i in range(CALLS):
        for k, a in enumerate(inputs(case, call, i)[0]):
            if k in wanted:
                arguments[k].assign(a)
        outcome = values(step())
        history.append((outcome, [None if arguments[k].grad is None else values(arguments[k].grad) for k in wanted]))
        if capturing:
            poison(step)
    return history, step


def drawn(case, most):
    """The largest of some calls of a case; in a long search all of more."""
    calls = []

    @settings(DRAWN, max_examples=most)
    @given(call=case.calls)
    def draw(call):
        calls.append(call)

    draw()
    return [max(calls, key=lambda call: sum(np.size(a) for a in call.arrays))] if most == FEW else calls


def by_mask(call):
    """Whether a call takes the elements where a mask holds."""
    given = [*call.arrays, *leaves(call.settings)]
    return any(np.asarray(each).dtype == bool for each in given if not isinstance(each, slice) and each is not None)


REFUSED = {
    "to": (
        "asks for the values",
        "it takes values to another backend, which a program does not know",
        lambda call: 1,
    ),
    "getitem": ("as many as there are", "the shape of its result depends on how often the mask holds", by_mask),
}
"""The cases that are not captured: how the error reads, why that is meant so, and which of their calls it is about."""


@pytest.mark.parametrize("case", CASES.values(), ids=str)
def test_captured_equals_eager(case, request, each_executor):
    most = MANY if request.config.getoption("--profile") in ("ci", "deep") else FEW
    for call in drawn(case, most):
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            expected, _ = run(case, call, False)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if str(case) in REFUSED and REFUSED[str(case)][2](call):
                with pytest.raises(tr.CaptureError, match=REFUSED[str(case)][0]):
                    run(case, call, True)
            else:
                got, step = run(case, call, True)
                eager = each_executor == "native" and (warned or " rows " in repr(step.program))
                assert eager or step.replays == CALLS - 3
                assert got == expected

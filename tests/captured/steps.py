"""Small models and steps, made twice alike: one to run eagerly, one to capture."""

from __future__ import annotations

import numpy as np

import tinyreg as tr
from tinyreg.core.tensor import Tensor


def data(n, *, batch=5, seed=0):
    """Batches (x, y) of 4 features and 3 classes."""
    rng = np.random.default_rng(seed)
    return [(tr.tensor(rng.normal(size=(batch, 4)).astype("f4")), rng.integers(0, 3, batch)) for _ in range(n)]


def layers(*inside):
    """A network with layers inside."""
    return tr.nn.Sequential(tr.nn.Linear(4, 8), *inside, tr.nn.Linear(8, 3))


def sgd(parameters):
    return tr.optim.SGD(parameters, lr=0.1, momentum=0.9)


def network(model=lambda: layers(tr.nn.ReLU()), optimizer=sgd):
    tr.seed(0)
    made = model()
    return made, optimizer(made.parameters())


def plain(model, optimizer):
    """The step of every example."""

    def step(x, y):
        optimizer.zero_grad()
        loss = tr.losses.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        return loss

    return step


def state(model, optimizer=None):
    """All that a step changes, as bytes."""
    arrays = [t.data for t in (*model.parameters(), *model.buffers())]
    numbers = []
    for each in optimizer.state_dict()["state"] if optimizer else ():
        for value in (each or {}).values():
            (arrays if isinstance(value, Tensor) else numbers).append(getattr(value, "data", value))
    generator = str(tr.random.default_generator.state)
    return [(a.dtype.str, a.shape, a.tobytes(), layout(a)) for a in arrays], numbers, generator


def values(outcome):
    """What a step returned, as bytes, and how it stands in memory."""
    if isinstance(outcome, dict):
        outcome = [*outcome.values()]
    if isinstance(outcome, tuple | list):
        return [values(each) for each in outcome]
    array = np.asarray(outcome.data if isinstance(outcome, Tensor) else outcome)
    return array.tobytes(), layout(array)


def layout(array):
    """The strides of the axes that have more than one element."""
    return [s for s, n in zip(array.strides, array.shape, strict=True) if n > 1] if array.size else []


def poison(captured):
    """Write NaN to all memory that results share: what a program reads, it must have written."""
    for variant in captured._variants:
        for block in variant.program.blocks:
            block.memory[:] = 255


def compare(make, batches, body=plain, between=lambda i, model, optimizer: None, *, programs=1):
    """Assert that captured steps give what eager ones give, in all bits; returns the captured step."""
    runs = []
    for capturing in (False, True):
        model, optimizer = make()
        step = body(model, optimizer)
        step = tr.capture(step) if capturing else step
        run = []
        for i, batch in enumerate(batches):
            between(i, model, optimizer)
            run.append((values(step(*batch)), state(model, optimizer)))
            if capturing:
                poison(step)
        runs.append(run)
    for i, (eager, captured) in enumerate(zip(*runs, strict=True)):
        assert captured == eager, f"call {i}"
    assert len(step._variants) == programs, step._eager or step
    assert step.replays or len(batches) < 4 * programs, "every call ran eagerly"
    return step

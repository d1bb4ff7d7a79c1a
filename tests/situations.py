"""What may be interrupted: calls, each with the state that it changes, all of it or none."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

import tinyreg as tr
from tinyreg.core import backend, tape, tensor
from tinyreg.nn.mode import modes


@dataclass
class Situation:
    """A call, a function that gives what it may change, what to call again, and locks that it takes."""

    call: Callable[[], Any]
    state: Callable[[], Any]
    locks: list[Any] = field(default_factory=list)
    again: Any = None
    may_fail: bool = True  # whether it is all or none also where memory is short

    def __post_init__(self):
        self.again = self.again or self.call


SITUATIONS: dict[str, Callable[[], Situation]] = {}


def situation(make):
    """Take up a function that makes a situation anew."""
    SITUATIONS[make.__name__] = make
    return make


SWITCHES = [tape.recording, tape.observed, tape.explainer, tape.watch, backend.chosen_for_context, modes]


def switches():
    return [switch.get() for switch in SWITCHES]


def bits(tree):
    """A tree of Tensors, arrays and plain values, to be compared bit for bit."""
    if isinstance(tree, dict):
        return {name: bits(value) for name, value in tree.items()}
    if isinstance(tree, list | tuple):
        return [bits(value) for value in tree]
    array = tree.data if isinstance(tree, tr.Tensor) else tree
    return (str(array.dtype), array.shape, array.tobytes()) if isinstance(array, np.ndarray) else repr(tree)


def of(*tensors):
    """Values and gradients."""
    return [bits([t.data, t.grad]) for t in tensors]


# ---- the engine


def _small_graph():
    """A loss over a checkpoint that draws and counts, an op of several results, and a fast form; and its state."""
    rng = tr.Generator(0)
    x, w = tr.tensor([1.0, 2.0], requires_grad=True), tr.tensor([[0.5, -1.0], [1.0, 0.25]], requires_grad=True)
    b, n = tr.tensor([0.0, 1.0], requires_grad=True), tr.tensor(1.0)

    def block(t):
        n.assign(n + 1.0)
        return tr.tanh(t * n) * rng.uniform(shape=2)

    def loss():
        hidden = tr.relu(x @ w + b)
        hidden.retain_grad()
        first, second = tr.unstack(tr.stack(tr.checkpoint(block)(hidden), hidden * b))
        return (first * x).sum() + tr.losses.cross_entropy(tr.stack(second, first), np.array([0, 1])), hidden

    y, hidden = loss()
    for leaf in (x, w, b):
        leaf.grad = tr.ones_like(leaf)
    return y, lambda: [*of(x, w, b, n), of(hidden), bits(rng.state)]


@situation
def backward():
    loss, state = _small_graph()
    return Situation(lambda: loss.backward(retain_graph=True), state, [tensor._adding])


def _frozen(before):
    w, x = tr.tensor([1.0, 2.0], requires_grad=True), tr.tensor([3.0, 4.0], requires_grad=True)
    y = (w * x).sum()
    w.requires_grad = before

    def state():
        w.zero_grad()
        x.zero_grad()
        y.backward(retain_graph=True)
        return [w.requires_grad, *of(w, x)]

    return Situation(lambda: setattr(w, "requires_grad", not before), state)


@situation
def freezing():
    return _frozen(True)


@situation
def thawing():
    return _frozen(False)


@situation
def backward_that_frees():
    w = tr.tensor([1.0, 2.0], requires_grad=True)

    def loss():
        return tr.tanh(tr.exp(w) * w).sum()

    tape_of = [loss()]

    def again():
        try:
            tape_of[0].backward()
        except RuntimeError as error:
            assert "was freed by an earlier backward" in str(error)  # noqa: PT017  (it may or may not be raised)
            loss().backward()

    return Situation(lambda: tape_of[0].backward(), lambda: of(w), [tensor._adding], again)


@situation
def backward_that_records():
    loss, state = _small_graph()
    return Situation(lambda: loss.backward(create_graph=True), state, [tensor._adding])


@situation
def assign():
    x = tr.tensor([1.0, 2.0], requires_grad=True)
    return Situation(lambda: x.assign([3.0, 4.0]), lambda: [of(x), x._node.version])


@situation
def gradients_of_functions():
    made = []

    def call():
        made[:] = [tr.grad(lambda x: tr.tanh(x * x).sum())(np.ones(2)), tr.jvp(tr.sin, 2.0, 1.0)[1]]

    return Situation(call, lambda: bits(made))


@situation
def contexts():
    made = []

    def call():
        with tr.no_grad(), tr.use("standin"), tr.unchecked("labels"), tr.explain():
            y = tr.ones(2) * 2.0
        made[:] = [y.tolist()]

    return Situation(call, lambda: made[:])


# ---- optimizers


LARGE = 2**16 * 8 + 1  # is worked out in blocks


def _weights(*further):
    """Leaves of several dtypes and sizes, with gradients."""
    rng, kinds = np.random.default_rng(0), [(3, "f"), (2, "f"), (2, "d"), (2, "e"), *((size, "f") for size in further)]
    leaves = [tr.tensor(rng.random(size=n, dtype="f"), dtype=d, requires_grad=True) for n, d in kinds]
    for leaf in leaves:
        leaf.grad = tr.tensor(rng.random(size=leaf.shape, dtype="f") - 0.5, dtype=leaf.dtype)
    return leaves


def _state_of(optimizer, leaves):
    def state():
        return [of(*leaves), [leaf._node.version for leaf in leaves], bits(optimizer.state_dict())]

    return state


def _step(make, steps, *further):
    leaves = _weights(*further)
    optimizer = make(leaves)
    for _ in range(steps):
        optimizer.step()
    return Situation(optimizer.step, _state_of(optimizer, leaves), [optimizer._lock], may_fail=False)


@situation
def first_step_of_sgd():
    return _step(lambda leaves: tr.optim.SGD(leaves, lr=0.1, momentum=0.9), 0)


@situation
def step_of_sgd():
    return _step(lambda leaves: tr.optim.SGD(leaves, lr=0.1, momentum=0.9, nesterov=True, l2=0.1), 1, LARGE)


@situation
def step_of_adam():
    return _step(lambda leaves: tr.optim.AdamW([{"params": leaves[:2]}, {"params": leaves[2:], "lr": 0.5}]), 1)


@situation
def step_where_arithmetic_raises():
    made = _step(lambda leaves: tr.optim.SGD(leaves, lr=0.1, momentum=0.9, nesterov=True), 1)
    made.may_fail, step = True, made.call

    def call():
        with np.errstate(over="raise"):
            step()

    made.call = made.again = call
    return made


@situation
def step_with_other_gradients():
    made = _step(tr.optim.Adam, 1)
    made.call.__self__.parameters[1].grad = None
    return made


@situation
def optimizer_takes_a_state():
    leaves = _weights()[:3]
    optimizer, other = tr.optim.Adam(leaves, lr=0.5), tr.optim.Adam(leaves, lr=0.25, betas=(0.5, 0.5))
    values = [leaf.data for leaf in leaves]
    other.step()
    state = other.state_dict()
    for leaf, value in zip(leaves, values, strict=True):
        leaf.assign(value)
    return Situation(lambda: optimizer.load_state_dict(state), _state_of(optimizer, leaves), [optimizer._lock])


@situation
def group_is_added():
    leaves = _weights()[:3]
    optimizer = tr.optim.SGD(leaves[:2], lr=0.5, momentum=0.5)
    optimizer.step()
    return Situation(
        lambda: optimizer.add_param_group({"params": leaves[2:], "lr": 0.1}),
        _state_of(optimizer, leaves),
        [optimizer._lock],
    )


def _scheduled():
    leaves = _weights()[:3]
    optimizer = tr.optim.SGD([{"params": [leaf]} for leaf in leaves], lr=0.5)
    schedule = tr.optim.StepLR(optimizer, 2)
    schedule.step()
    return schedule, lambda: [bits(optimizer.state_dict()), bits(schedule.state_dict())]


@situation
def step_of_a_schedule():
    schedule, state = _scheduled()
    return Situation(schedule.step, state, [schedule._lock])


@situation
def schedule_takes_a_state():
    schedule, state = _scheduled()
    saved = {**schedule.state_dict(), "last_epoch": 7, "lrs": [0.25] * 3}
    return Situation(lambda: schedule.load_state_dict(saved), state, [schedule._lock])


@situation
def weights_are_averaged():
    leaves = _weights()
    average = tr.optim.WeightAverage(leaves, 0.5)
    for leaf in leaves:
        leaf.assign(leaf * 2.0)
    return Situation(average.update, lambda: [of(*leaves), bits(average.state_dict())], [average._lock])


@situation
def averages_are_applied():
    leaves = _weights()[:3]
    average = tr.optim.WeightAverage(leaves, 0.5)
    for leaf in leaves:
        leaf.assign(leaf * 2.0)
    average.update()

    def call():
        with average.applied():
            pass

    return Situation(call, lambda: of(*leaves))


@situation
def averages_take_a_state():
    leaves = _weights()[:3]
    average = tr.optim.WeightAverage(leaves, 0.5)
    state = {"decay": 0.25, "averages": [leaf * 3.0 for leaf in leaves]}
    return Situation(lambda: average.load_state_dict(state), lambda: bits(average.state_dict()))


@situation
def norm_is_clipped():
    leaves = _weights()
    return Situation(lambda: tr.optim.clip_grad_norm(leaves, 0.5), lambda: of(*leaves))


@situation
def norm_that_is_not_finite():
    leaves = _weights()[:3]
    leaves[1].grad = tr.tensor(np.array([np.nan, 1.0], dtype="f"))
    return Situation(lambda: tr.optim.clip_grad_norm(leaves, 0.5, on_nonfinite="zero"), lambda: of(*leaves))


@situation
def values_are_clipped():
    leaves = _weights()[:4]
    return Situation(lambda: tr.optim.clip_grad_value(leaves, 0.5), lambda: of(*leaves))


@situation
def proximal_step():
    leaves = _weights()[:3]
    optimizer, proximal = tr.optim.SGD(leaves, lr=0.5), tr.optim.Proximal(leaves, l1=0.5, l2=0.1)
    optimizer.step()
    return Situation(lambda: proximal.step(optimizer), lambda: of(*leaves))


# ---- models and files


def _model(seed=0):
    rng = tr.Generator(seed)
    nn = tr.nn
    return nn.Sequential(nn.Linear(2, 3, rng=rng), nn.BatchNorm(3), nn.Dropout(0.5, rng=rng), nn.Linear(3, 1, rng=rng))


def _state_of_model(model):
    return lambda: [bits(model.state_dict()), [module.training for module in model.modules()]]


@situation
def model_takes_a_state():
    model, state = _model(), _model(1).state_dict()
    return Situation(lambda: model.load_state_dict(state), _state_of_model(model))


@situation
def statistics_are_updated():
    norm = tr.nn.BatchNorm(2)
    x = tr.tensor([[1.0, 2.0], [3.0, 5.0]])
    return Situation(lambda: norm(x), _state_of_model(norm))


class _Folder:
    """A folder that goes with its last user."""

    def __init__(self):
        self.path = Path(tempfile.mkdtemp())

    def __del__(self):
        shutil.rmtree(self.path, ignore_errors=True)

    def contents(self):
        """Each file, by what is in it: of the same contents safetensors makes several files."""
        return {file.name: bits(tr.training.load(file)) for file in self.path.iterdir()}


@situation
def save():
    folder, model = _Folder(), _model()
    tr.training.save(folder.path / "run", epoch=1)
    return Situation(lambda: tr.training.save(folder.path / "run", model=model, epoch=2), folder.contents)


@situation
def save_where_nothing_was():
    folder, model = _Folder(), _model()
    return Situation(lambda: tr.training.save(folder.path / "run", model=model), folder.contents)


def _trained(seed):
    model = _model(seed)
    optimizer = tr.optim.Adam(model.parameters(), lr=0.1 * (1 + seed))
    model(tr.ones((3, 2))).sum().backward()
    optimizer.step()
    optimizer.zero_grad()
    return {"model": model, "optimizer": optimizer, "rng": model[2].rng, "schedule": tr.optim.StepLR(optimizer, 1 + seed)}


@situation
def load():
    folder = _Folder()
    objects = _trained(0)
    tr.training.save(folder.path / "run", **_trained(1))
    state = _state_of_model(objects["model"])
    return Situation(
        lambda: tr.training.load(folder.path / "run", **objects),
        lambda: [
            state(),
            bits(objects["optimizer"].state_dict()),
            bits(objects["rng"].state),
            bits(objects["schedule"].state_dict()),
            list(folder.contents()),
        ],
    )

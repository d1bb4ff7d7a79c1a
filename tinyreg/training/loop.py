"""fit: the training loop, written out."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .. import optim
from ..core.tape import no_grad
from ..nn.module import Module
from ..random import Generator, default_generator
from .batches import Batch, Means, as_batches
from .callbacks import Callback
from .history import History
from .progress import Progress
from .run import Run
from .saving import checked_target, load, save

Data = tuple[Any, Any] | Iterable[Batch]


def fit(
    model: Module,
    data: Data,
    *,
    loss: Callable[[Any, Any], Any],
    optimizer: Any,
    epochs: int,
    validation: Data | None = None,
    batch_size: int = 32,
    shuffle: bool = True,
    rng: Generator | None = None,
    transform: Callable[[Any, Any, Generator], Batch] | None = None,
    penalty: Callable[[Module], Any] | None = None,
    clip_norm: float | None = None,
    schedule: Any = None,
    metrics: Mapping[str, Callable[[Any, Any], Any]] | None = None,
    callbacks: Sequence[Callback] = (),
    checkpoint: str | os.PathLike[str] | None = None,
    progress: bool = True,
) -> History:
    """Train a model: for each batch, the gradient of loss(model(x), y) + penalty(model), and a step of the optimizer.

    data, validation: a tuple (inputs, targets) with samples along the first axis, cut into batches of `batch_size`; or an
    iterable of batches (x, y) that can be gone through once an epoch. shuffle: a new order of the tuple `data` in each
    epoch, from rng, which is the default generator (`tr.seed`) if None. loss, and each of metrics by name: a function
    of (output, target) that gives the mean over a batch. transform: a function (x, y, rng) -> (x, y) for the batches of
    training, such as one that rotates or mixes images. penalty: a function of the model. clip_norm: the largest norm of
    all gradients together. schedule: its `step()` is called after each epoch. progress: whether to show a bar.

    A row of the history has "loss", without the penalty, and each metric: means over the samples of the epoch, in
    training mode, while the weights change; "penalty", where there is one, averaged alike; with clip_norm, "grad_norm":
    the mean over the batches of the norm before clipping; with `validation`, the same as "validation_loss" and so on after
    the epoch, in evaluation mode and unrecorded; with a schedule, the "lr" that the epoch had. All modules are in
    training mode while they train, and at the end each in the one in which it was.

    Ctrl-C ends training, and the history so far is returned, with `interrupted` set. Anything else that is raised is
    passed on; either way every callback's `on_end` is called.

    checkpoint: a file to which `save` writes all that the run needs after each epoch: model, optimizer, schedule, history,
    callbacks, and the generators: rng, the default one, and those in attributes of the model. **Where the file is there
    already, the run goes on after the epoch at which it was written**, up to `epochs`, and on the CPU gives bit for bit
    what it would have given at one go; so begin a new run with a new file. `load(path, model=model)` gets the weights out.

    Raises `ValueError` and `TypeError` for settings and data out of range, and what `load` raises for a checkpoint that
    does not fit, before anything is changed.

    >>> import tinyreg as tr
    >>> tr.seed(0)
    >>> x = tr.tensor([[0.0], [1.0], [2.0], [3.0]])
    >>> model = tr.nn.Linear(1, 1)
    >>> optimizer = tr.optim.SGD(model.parameters(), lr=0.1)
    >>> history = tr.training.fit(
    ...     model, (x, 2 * x), loss=tr.losses.mse, optimizer=optimizer, epochs=50, batch_size=2, progress=False
    ... )
    >>> history["loss"][-1] < 0.01 < history["loss"][0]
    True
    """
    _check(epochs, batch_size, metrics or {})
    rng = rng or default_generator
    run = Run(model, optimizer, epochs)
    step = _Step(model, optimizer, loss, metrics or {}, transform, penalty, clip_norm, rng)
    batches = as_batches(data, batch_size, rng if shuffle else None)
    held_out = None if validation is None else as_batches(validation, batch_size, None)
    kept = _kept(run, schedule, callbacks, rng)
    if checkpoint is not None and checked_target(checkpoint).exists():
        run.stop = load(checkpoint, **kept)["stop"]

    with contextlib.ExitStack() as ending:
        ending.enter_context(_modes_kept(model))
        bar = ending.enter_context(Progress(run, batches, progress))
        try:
            for callback in callbacks:
                callback.on_start(run)
                ending.callback(callback.on_end, run)
            while not run.over:
                row = _train(run, step, batches, callbacks, bar)
                row |= _validate(model, step, held_out)
                if schedule is not None:
                    row["lr"] = optimizer.param_groups[0]["lr"]
                    schedule.step()
                run.history.append(row)
                bar.end_epoch()
                for callback in callbacks:
                    callback.on_epoch_end(run)
                if checkpoint is not None:
                    save(checkpoint, **kept, stop=run.stop)
        except KeyboardInterrupt:
            run.history.interrupted = True
    return run.history


def _check(epochs: Any, batch_size: Any, metrics: Mapping[str, Any]) -> None:
    for name, value in (("epochs", epochs), ("batch_size", batch_size)):
        if not isinstance(value, int) or value < 1:
            raise ValueError(f"fit: got {name}={value!r}, expected an integer of at least 1")
    for name in ("loss", "penalty", "grad_norm", "lr"):
        if name in metrics:
            raise ValueError(f"fit: got a metric called {name!r}, which is a column of its own; give it another name")


@dataclass(frozen=True)
class _Step:
    """What is done with one batch; gives the number of samples, means over them, and what counts once a batch."""

    model: Module
    optimizer: Any
    loss: Callable[[Any, Any], Any]
    metrics: Mapping[str, Callable[[Any, Any], Any]]
    transform: Callable[[Any, Any, Generator], Batch] | None
    penalty: Callable[[Module], Any] | None
    clip_norm: float | None
    rng: Generator

    def train(self, x: Any, y: Any) -> tuple[int, dict[str, Any], dict[str, Any]]:
        if self.transform is not None:
            x, y = self.transform(x, y, self.rng)
        output = self.model(x)
        total = loss = self.loss(output, y)
        values = {"loss": loss}
        if self.penalty is not None:
            values["penalty"] = self.penalty(self.model)
            total = loss + values["penalty"]
        self.optimizer.zero_grad()
        total.backward()
        once = {}
        if self.clip_norm is not None:
            once["grad_norm"] = optim.clip_grad_norm(self.model.parameters(), self.clip_norm)
        self.optimizer.step()
        return len(x), values | self._measured(output, y), once

    def validate(self, x: Any, y: Any) -> tuple[int, dict[str, Any]]:
        output = self.model(x)
        return len(x), {"loss": self.loss(output, y)} | self._measured(output, y)

    def _measured(self, output: Any, y: Any) -> dict[str, Any]:
        with no_grad():
            return {name: metric(output, y) for name, metric in self.metrics.items()}


def _train(run: Run, step: _Step, batches: Any, callbacks: Sequence[Callback], bar: Progress) -> dict[str, float]:
    """An epoch of training: the means over its samples, or over its batches."""
    run.model.train()
    means = Means()
    bar.start_epoch()
    for x, y in batches:
        means.add(*step.train(x, y))
        bar.count_batch(means)
        for callback in callbacks:
            callback.on_batch_end(run)
    return means.read()


def _validate(model: Module, step: _Step, batches: Any) -> dict[str, float]:
    """The means over the samples that are not trained on; nothing where there are none."""
    if batches is None:
        return {}
    model.eval()
    means = Means()
    with no_grad():
        for x, y in batches:
            means.add(*step.validate(x, y))
    return {f"validation_{name}": value for name, value in means.read().items()}


def _kept(run: Run, schedule: Any, callbacks: Sequence[Callback], rng: Generator) -> dict[str, Any]:
    """All that a checkpoint holds, by name."""
    kept = {"model": run.model, "optimizer": run.optimizer, "history": run.history, "rng": rng}
    kept |= {"default rng": default_generator, **{f"rng of {path}": found for path, found in _generators(run.model)}}
    with_state = [callback for callback in callbacks if hasattr(callback, "state_dict")]
    kept |= {f"callback {i} {type(callback).__name__}": callback for i, callback in enumerate(with_state)}
    return kept if schedule is None else {**kept, "schedule": schedule}


def _generators(model: Module) -> Iterator[tuple[str, Generator]]:
    """The generators that modules hold in attributes, such as that of a dropout layer, by path."""
    for path, module in model.named_modules():
        for name, value in module.members():
            if isinstance(value, Generator):
                yield f"{path}.{name}" if path else name, value


@contextlib.contextmanager
def _modes_kept(model: Module) -> Iterator[None]:
    """Puts every module back into the mode in which it was."""
    modes = [(module, module.training) for module in model.modules()]
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode

"""fit: the training loop, written out."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .. import captured, interrupts, optim
from ..arguments import flag, integer, number
from ..callers import warn_caller
from ..core.backend import described
from ..core.tape import no_grad
from ..core.tensor import Tensor
from ..nn.module import Module
from ..random import Generator, as_generator
from ..structure import leaves
from .batches import Batch, Means, as_batches, as_data, parts, place
from .callbacks import CallbackLike
from .checkpoint import RESUME, Checkpoint
from .history import History
from .nested import detached, elements, shapes_in
from .progress import Progress
from .run_state import Run

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
    drop_last: bool = False,
    rng: Generator | int | None = None,
    transform: Callable[[Any, Any, Generator], Batch] | None = None,
    penalty: Callable[[Module], Any] | None = None,
    clip_norm: float | None = None,
    schedule: Any = None,
    metrics: Mapping[str, Callable[[Any, Any], Any]] | None = None,
    reduction: str = "mean",
    count: Callable[[Any, Any], Any] | None = None,
    callbacks: Sequence[CallbackLike] = (),
    checkpoint: str | os.PathLike[str] | None = None,
    resume: str = "error",
    progress: bool | None = None,
    capture: bool = False,
) -> History:
    """Train a model: for each batch, the gradient of loss(model(x), y) + penalty(model), and a step of the optimizer.

    data, validation: a tuple (inputs, targets) with samples along the first axis, cut into batches of `batch_size`; or an
    iterable of batches (x, y) that can be gone through once an epoch. Inputs and targets may be several arrays, in a tuple
    or a dict. shuffle: a new order of the tuple `data` in each epoch, from rng: a Generator, a seed, or None for the
    default generator (`tr.seed`). drop_last: leave out the last batch of the tuple `data` where it is smaller. loss, and
    each of metrics by name: a function of (output, target) that gives the mean over a batch; the results that metrics get
    are detached, so that `np.asarray` takes them. transform: a function (x, y, rng) -> (x, y) for the batches of training,
    such as one that rotates or mixes images. penalty: a function of the model. clip_norm: the largest norm of all
    gradients together. schedule: its `step()` is called after each epoch. progress: True for a bar, which needs tqdm,
    False for silence; None for a bar on a terminal where tqdm is there, and elsewhere a line an epoch.

    A row of the history has "loss", without the penalty, and each metric: means over the epoch, in training mode, while
    the weights change; "penalty", where there is one, averaged alike; with clip_norm, "grad_norm": the mean over the
    batches of the norm before clipping; with `validation`, the same as "validation_loss" and so on after the epoch, in
    evaluation mode and unrecorded; with a schedule, the "lr" that the epoch had. All modules are in training mode while
    they train, and at the end each in the one in which it was.

    Batches are weighed by the number of elements of their targets (of the inputs, without targets): so the mean of a loss
    over samples, or over the steps of sequences, is what it is over all data at once, whichever axis has the samples.
    count: a function of (x, y) that says otherwise how much a batch counts, such as the number of labels that are not
    padding. reduction: "sum" where the loss is a sum over the batch; the history then has it divided by what the batch
    counts. Where a transform turns integer labels into soft ones, as mixup does, metrics and the count get the labels from
    before it. A metric that is no mean over samples, such as a calibration error, is here a mean over batches.

    capture: whether forward, backward, clipping and the optimizer's step are replayed as a program from the fourth batch of
    a shape on: see `tr.capture`, which says what is refused. All numbers are the same, and sooner there; no callback sees
    the gradients of a batch. Transforms, metrics and validation run as always.

    Ctrl-C ends training, and the history so far is returned, with `interrupted` set. Anything else that is raised is
    passed on; either way every callback's `on_end` is called, for which a Ctrl-C meanwhile waits.

    checkpoint: a file to which `save` writes all that the run needs after each epoch: model, optimizer, schedule, history,
    callbacks, and the generators: rng, the default one, and those in attributes of the model. **Where the file is there
    already, the run goes on after the epoch at which it was written**, says so in one line, and on the CPU gives bit for
    bit what it would have given at one go. At the end its model is the one that `fit` leaves, best weights included:
    `load(path, model=model)` gets it out. More epochs go on; so does a run that a callback stopped, where the callback
    is missing or has other settings, such as more patience.

    resume: what to do where the file's run had other settings than the call: another lr or another setting of the
    optimizer, the schedule, a layer (the p of dropout) or `fit`, another loss, another seed, fewer epochs than are done.
    "error": refuse, and name them. "file": go on with those of the file. "call": go on with those of the call. Data, and
    what functions use beyond plain values, are not compared.

    Raises `ValueError` and `TypeError` for settings and data out of range, for an optimizer that holds no parameter of
    the model, and what `load` raises for a checkpoint that does not fit, before anything is changed; `OSError` and
    `ModuleNotFoundError` where no checkpoint can be written; and `CaptureError` for what cannot be captured.

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
    own: dict[str, Any] = {"batch_size": integer("fit", "batch_size", batch_size, least=1)}
    capture = flag("fit", "capture", capture)
    own |= {"shuffle": flag("fit", "shuffle", shuffle), "drop_last": flag("fit", "drop_last", drop_last)}
    own["clip_norm"] = None if clip_norm is None else number("fit", "clip_norm", clip_norm, least=0)
    own["reduction"] = _one_of("reduction", reduction, ("mean", "sum"))
    measures = _checked_metrics(metrics)
    code = {"loss": loss, "transform": transform, "penalty": penalty, "count": count}
    code |= {f"metric {name}": metric for name, metric in measures.items()}
    callbacks = _checked_callables(code, callbacks)
    rng = as_generator(rng, "fit")
    _check_optimizer(model, optimizer, schedule)
    training, held_out = as_data(data), None if validation is None else as_data(validation)
    bar = Progress(progress)
    run = Run(model, optimizer, integer("fit", "epochs", epochs, least=1))
    file = None
    _one_of("resume", resume, RESUME)
    if checkpoint is not None:
        file = Checkpoint(checkpoint, run, schedule, callbacks, rng, own, code)
        file.resume(resume)
    moving = _Moving(model, optimizer, loss, penalty, own["clip_norm"])
    move = captured.capture(moving.move) if capture else moving.move
    step = _Step(move, model, loss, measures, transform, own["reduction"], count, rng)
    batches = as_batches(training, own["batch_size"], rng if own["shuffle"] else None, own["drop_last"])
    unseen = None if held_out is None else as_batches(held_out, own["batch_size"])

    ending = contextlib.ExitStack()
    try:
        ending.enter_context(_modes_restored(model))
        for callback in callbacks:
            callback.on_start(run)
            ending.callback(callback.on_end, run)
            run.note(callback)
        bar.start(run, batches)
        while not run.over:
            row = _train(run, step, batches, callbacks, bar)
            row |= _validate(run, step, unseen)
            if schedule is not None:
                row["lr"] = optimizer.param_groups[0]["lr"]
                schedule.step()
            run.history.append(row)
            bar.end_epoch()
            for callback in callbacks:
                callback.on_epoch_end(run)
                run.note(callback)
            if file is not None:
                file.write()
    except KeyboardInterrupt:
        run.history.interrupted = True
    finally:
        try:
            _end(bar, ending)
        except KeyboardInterrupt:  # which may have come before all was done
            _end(bar, ending)
            raise
    run.history.ended = run.why()
    bar.say_why(run)
    if file is not None:
        file.finish()
    return run.history


def _end(bar: Progress, ending: contextlib.ExitStack) -> None:
    """Do what is left to be done at the end."""
    with interrupts.deferred():
        bar.close()
        ending.close()


def _one_of(name: str, value: Any, expected: Sequence[str]) -> str:
    if value not in expected:
        raise ValueError(f"fit: got {name}={value!r:.80}, expected one of {', '.join(map(repr, expected))}")
    return str(value)


def _checked_metrics(metrics: Any) -> Mapping[str, Callable[[Any, Any], Any]]:
    if metrics is None:
        return {}
    if not isinstance(metrics, Mapping):
        raise TypeError(f"fit: got metrics={metrics!r:.80}, expected a dict from names to functions of (output, target)")
    for name in metrics:
        if name in ("loss", "penalty", "grad_norm", "lr") or str(name).startswith("validation_"):
            raise ValueError(f"fit: got a metric called {name!r}, which is a column of its own; give it another name")
    return metrics


def _checked_callables(code: Mapping[str, Any], callbacks: Any) -> list[CallbackLike]:
    """The callbacks; `TypeError` for what cannot be called where it is to be."""
    for name, function in code.items():
        if not callable(function) and (function is not None or name.startswith(("loss", "metric"))):
            raise TypeError(f"fit: got {name}={function!r:.80}, expected a function")
    made = list(callbacks) if isinstance(callbacks, Iterable) else []
    if not isinstance(callbacks, Iterable) or any(isinstance(each, type) for each in made):
        raise TypeError(f"fit: got callbacks={callbacks!r:.80}, expected a list of callbacks, each made by a call")
    return made


def _check_optimizer(model: Module, optimizer: Any, schedule: Any) -> None:
    """An error where it would move nothing of the model, and a warning where it holds a part that was replaced."""
    if not hasattr(optimizer, "param_groups"):
        raise TypeError(f"fit: got optimizer={optimizer!r:.80}, expected one of tr.optim, made of model.parameters()")
    if getattr(schedule, "optimizer", optimizer) is not optimizer:
        raise ValueError("fit: got a schedule of another optimizer, which would change nothing here; make it of this one")
    held = {id(p) for group in optimizer.param_groups for p in group["params"]}
    own = {id(p): name for name, p in model.named_parameters()}
    if not held & own.keys():
        raise ValueError(
            f"fit: got an optimizer that holds none of the {len(own)} parameters of {type(model).__name__}, so nothing "
            "would be trained; make it of model.parameters(), after the model"
        )
    trained = [name for name, p in model.named_parameters() if p.requires_grad and id(p) not in held]
    if trained and held - own.keys():
        warn_caller(
            f"fit: the optimizer holds parameters that are not the model's, and does not hold {', '.join(trained):.80}; "
            "where a part of the model was replaced after the optimizer was made, make it anew",
        )


@dataclass(frozen=True)
class _Moving:
    """What moves a model: forward, backward, clipping and a step of the optimizer."""

    model: Module
    optimizer: Any
    loss: Callable[[Any, Any], Any]
    penalty: Callable[[Module], Any] | None
    clip_norm: float | None

    def move(self, x: Any, y: Any) -> tuple[Any, Tensor, dict[str, Any], dict[str, Any]]:
        """Move it by one batch; gives the output, the loss, the penalty and the norm of the gradient."""
        output = self.model(x)
        total = loss = _loss(self.loss, output, y)
        values, once = {}, {}
        if self.penalty is not None:
            values["penalty"] = self.penalty(self.model)
            total = loss + values["penalty"]
        self.optimizer.zero_grad()
        total.backward()
        if self.clip_norm is not None:
            once["grad_norm"] = optim.clip_grad_norm(self.model.parameters(), self.clip_norm)
        self.optimizer.step()
        return output, loss, values, once


@dataclass(frozen=True)
class _Step:
    """What is done with one batch; gives how much it counts, means over it, and what counts once a batch."""

    move: Callable[[Any, Any], tuple[Any, Tensor, dict[str, Any], dict[str, Any]]]
    model: Module
    loss: Callable[[Any, Any], Any]
    metrics: Mapping[str, Callable[[Any, Any], Any]]
    transform: Callable[[Any, Any, Generator], Batch] | None
    reduction: str
    count: Callable[[Any, Any], Any] | None
    rng: Generator

    def train(self, x: Any, y: Any) -> tuple[Any, dict[str, Any], dict[str, Any]]:
        labels = y
        if self.transform is not None:
            x, y = self.transform(x, y, self.rng)
            labels = labels if _softened(labels, y) else y
        output, loss, values, once = self.move(x, y)
        n, measured = self._measured(loss, output, x, labels)
        return n, {"loss": measured.pop("loss"), **values, **measured}, once

    def validate(self, x: Any, y: Any) -> tuple[Any, dict[str, Any]]:
        output = self.model(x)
        return self._measured(_loss(self.loss, output, y), output, x, y)

    def _measured(self, loss: Tensor, output: Any, x: Any, y: Any) -> tuple[Any, dict[str, Any]]:
        """How much a batch counts, and its loss and metrics."""
        with no_grad():
            n = self.count(x, y) if self.count is not None else elements(y) or elements(x)
            if self.count is None:
                _check_count(n, y, self.reduction)
            output = detached(output) if self.metrics else output
            measured = {name: metric(output, y) for name, metric in self.metrics.items()}
            return n, {"loss": loss.detach() / n if self.reduction == "sum" else loss} | measured


def _loss(of: Callable[[Any, Any], Any], output: Any, y: Any) -> Tensor:
    loss = of(output, y)
    if not isinstance(loss, Tensor):
        raise TypeError(f"fit: got loss {described(loss):.80}, expected a Tensor, without float() or .item()")
    if loss.size != 1:
        raise ValueError(f"fit: got loss {described(loss)}, expected one number: take its mean, or reduction='mean'")
    return loss


def _check_count(n: int, y: Any, reduction: str) -> None:
    if not n:
        raise ValueError("fit: got a batch without a sample, expected at least one")
    if reduction == "sum" and len(list(leaves(y))) != 1:
        raise ValueError(
            f"fit: got targets {shapes_in(y)} and reduction='sum', and cannot tell what to divide by; say how much a batch "
            "counts: count=lambda x, y: ..."
        )


def _softened(before: Any, after: Any) -> bool:
    """Whether labels were integers, are something else now, and stand for as many samples."""
    kinds = [getattr(getattr(y, "dtype", None), "kind", "") for y in (before, after)]
    return kinds[0] in ("b", "i", "u") and kinds[1] == "f" and before.shape[:1] == after.shape[:1]


def _train(run: Run, step: _Step, batches: Any, callbacks: Sequence[CallbackLike], bar: Progress) -> dict[str, float]:
    """An epoch of training: its means."""
    run.model.train()
    bar.start_epoch()
    return _gone_through(run, step.train, batches, "data", lambda means: _batch_ended(run, callbacks, bar, means))


def _batch_ended(run: Run, callbacks: Sequence[CallbackLike], bar: Progress, means: Means) -> None:
    bar.count_batch(means)
    for callback in callbacks:
        callback.on_batch_end(run)
        run.note(callback)


def _validate(run: Run, step: _Step, batches: Any) -> dict[str, float]:
    """The means over what is not trained on; nothing where there is none."""
    if batches is None:
        return {}
    run.model.eval()
    with no_grad():
        means = _gone_through(run, step.validate, batches, "validation", lambda means: None)
    return {f"validation_{name}": value for name, value in means.items()}


def _gone_through(
    run: Run, do: Callable[[Any, Any], Any], batches: Any, what: str, after: Callable[[Means], None]
) -> dict[str, float]:
    """Do something with each batch; the means of what it gives."""
    means = Means()
    for i, batch in enumerate(batches, start=1):
        try:
            means.add(*do(*parts(batch)))
        except Exception as error:
            error.add_note(place(batches, i, run.epoch + 1, what))
            raise
        after(means)
    if row := means.read():
        return row
    raise ValueError(
        f"fit: the {what} gave no batches in epoch {run.epoch + 1}, expected at least one; an iterator serves once"
    )


@contextlib.contextmanager
def _modes_restored(model: Module) -> Iterator[None]:
    """Put every module back into the mode in which it was."""
    modes = [(module, module.training) for module in model.modules()]
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode

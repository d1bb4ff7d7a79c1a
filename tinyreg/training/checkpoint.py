"""The file of a run: what is in it, how a run goes on from it, and whether the call has the settings of the run."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from .. import files
from ..core.tensor import Tensor
from ..messages import printable
from ..nn.module import Module
from ..random import Generator, default_generator
from . import settings
from .callbacks import CallbackLike
from .extra import extra
from .progress import say
from .run_state import Run
from .saving import load, loaded, save

RESUME = ("error", "file", "call")
LAST = "model after the last epoch"
"""In the file where `fit` left the model otherwise than the last epoch did, as early stopping does."""


class Checkpoint:
    """The file at `path` of a run, and all that it holds, by name.

    own: settings of `fit` that a resumed run may get from the file. code: functions by name.
    """

    path: str | os.PathLike[str]
    run: Run
    schedule: Any
    generators: dict[str, Generator]
    callbacks: dict[str, CallbackLike]
    contents: dict[str, Any]
    places: dict[str, tuple[dict[str, Any], str]]
    seeds: dict[int, str]
    start: dict[str, Any]
    of_callbacks: dict[str, dict[str, Any]]

    def __init__(
        self,
        path: str | os.PathLike[str],
        run: Run,
        schedule: Any,
        callbacks: Sequence[CallbackLike],
        rng: Generator,
        own: dict[str, Any],
        code: Mapping[str, Callable[..., Any] | None],
    ) -> None:
        extra("safetensors.numpy")
        files.check(path, "fit")
        self.path, self.run, self.schedule = path, run, schedule
        self.generators = {"rng": rng, "default rng": default_generator}
        self.generators |= {f"rng of {name}": generator for name, generator in _generators(run.model)}
        self.callbacks = dict(_numbered(callbacks))
        with_state = {name: callback for name, callback in self.callbacks.items() if hasattr(callback, "state_dict")}
        self.contents = {"model": run.model, "optimizer": run.optimizer, "history": run.history}
        self.contents |= {**self.generators, **with_state, **({} if schedule is None else {"schedule": schedule})}
        self.places = {name: (own, name) for name in own}
        self.places |= {f"code of {name}": settings.of_code(function) for name, function in code.items()}
        self.places |= settings.of_optimizer(run.optimizer)
        self.places |= settings.of_object(schedule, "schedule")
        for name, module in run.model.named_modules():
            self.places |= settings.of_module(module, f"model.{name}" if name else "model")
        # One generator may have two names.
        self.seeds = {id(each): f"seed of {name}" for name, each in self.generators.items()}
        self.places |= {self.seeds[id(each)]: settings.of_generator(each) for each in self.generators.values()}
        self.start = settings.values(self.places)
        self.begun: Any = None if schedule is None else schedule.state_dict()
        self.of_callbacks = {name: self._settings_of(name) for name in self.callbacks}

    def resume(self, how: str) -> None:
        """Go on where the file says, if there is one: nothing is changed where it does not fit, or has other settings."""
        if not os.path.exists(self.path):
            return
        state = load(self.path)
        if not _is_run(state):
            path = printable(os.fspath(self.path))
            raise ValueError(
                f"fit: {path} holds {printable(', '.join(state)):.200}, but no run that fit can go on with; choose another"
            )
        had = state.get("settings", {"start": {}, "now": {}})
        call, start, now = self.start, had["start"], had["now"]
        others = settings.differing(call, start, now)
        if LAST in state:
            state["model"] = state[LAST]
        taken = self.contents
        if how == "call":  # what is new in the call, or has another seed, begins as it is
            new = {name for name, thing in taken.items() if name not in state or self.seeds.get(id(thing)) in others}
            taken = {name: thing for name, thing in taken.items() if name not in new - {"optimizer", "history"}}
        with loaded(self.path, state, taken):
            fewer = self.run.epochs < self.run.epoch
            self._refuse(how, others, fewer, {**start, "epochs": f"{self.run.epoch} done"})
        of_call = {name: call[name] for name in others} if how == "call" else {}
        self._put(now, of_call, state["schedule"] if "schedule" in taken else None)
        if fewer and how == "file":
            self.run.epochs = had["epochs"]
        if start:
            self.start = start | of_call
        self.run.stop = self._still_stopped(state.get("stopped by"))
        self._say([f"{name}={value}" for name, value in of_call.items()])

    def write(self) -> None:
        """Save all that the run needs to go on."""
        had = {"start": self.start, "now": settings.values(self.places), "epochs": self.run.epochs}
        by = next((name for name, callback in self.callbacks.items() if callback is self.run.stopped_by), None)
        stopped = None if by is None else {"callback": by, "settings": [self.of_callbacks[by], self._settings_of(by)]}
        save(self.path, **self.contents, **{"settings": had, "stopped by": stopped})

    def finish(self) -> None:
        """Put the model that `fit` leaves into the file; that of the last epoch, from which a run goes on, stays beside."""
        if not os.path.exists(self.path):
            return
        state, left = load(self.path), self.run.model.state_dict()
        if _bits(left) != _bits(state["model"]):
            save(self.path, **{**state, "model": left, LAST: state.get(LAST, state["model"])})

    def _put(self, now: Mapping[str, Any], of_call: Mapping[str, Any], scheduled: Any) -> None:
        """Put back the settings that the run had, but for those of the call; scheduled: the state of the schedule."""
        rates = {name for name in of_call if self.places[name][1] == "lr"}
        counts = isinstance(scheduled, dict) and "last_epoch" in scheduled  # as one's own need not
        anew = counts and (rates or any(name.startswith("schedule") for name in of_call))
        for name in now.keys() & self.places:
            settings.put(self.places[name], of_call.get(name, now[name]))
        if anew:  # the schedule knows what rate this epoch has
            base = self.begun if rates else scheduled
            state = {name: value for name, value in base.items() if name != "lrs"}
            self.schedule.load_state_dict({**state, "last_epoch": scheduled["last_epoch"]})

    def _refuse(self, how: str, others: list[str], fewer: bool, had: Mapping[str, Any]) -> None:
        """Raise where settings differ and `how` does not say what to do, or no file can hold them."""
        if how == "error":
            wrong = [*others, *["epochs"] * fewer]
            remedy = "a new file for a new run; or resume='file' or resume='call', whose settings the run then goes on with"
        else:
            wrong = [name for name in others if settings.is_code(self.places[name])] if how == "file" else []
            remedy = "the same here, since these are code, which no file can hold; or resume='call'"
        if wrong:
            call = {**self.start, "epochs": self.run.epochs}
            lines = [f"  {name.removeprefix('code of ')}: {had[name]} there, {call[name]} here" for name in wrong]
            raise ValueError("\n".join([f"fit: {self.path} holds a run with other settings", *lines, f"  try {remedy}"]))

    def _settings_of(self, callback: str) -> dict[str, Any]:
        return settings.values(settings.of_object(self.callbacks[callback], callback))

    def _still_stopped(self, by: Mapping[str, Any] | None) -> bool:
        """Whether the callback that stopped the run is here again, and has the same settings."""
        if by is None or self.of_callbacks.get(by["callback"]) not in by["settings"]:
            return False
        self.run.stopped_by = self.callbacks[by["callback"]]
        return True

    def _say(self, instead: list[str]) -> None:
        run, name = self.run, Path(self.path).name
        if run.stop:
            how = f"was stopped by {type(run.stopped_by).__name__} after epoch {run.epoch}: nothing is trained"
            say(f"fit: the run in {name} {how}; with other settings of it, or without it, the run goes on")
        elif run.over:
            say(f"fit: the run in {name} has done {run.epoch} epochs, all that were asked for: nothing is trained")
        else:
            besides = f", with {', '.join(instead)}" if instead else ""
            say(f"fit: goes on from {name} after epoch {run.epoch} of {run.epochs}{besides}")


def _is_run(state: Mapping[str, Any]) -> bool:
    """Whether what `fit` itself writes into the file of a run, beside objects that check their own state, is that."""
    had, by = state.get("settings", {"start": {}, "now": {}, "epochs": 1}), state.get("stopped by")
    by = {"callback": "", "settings": []} if by is None else by
    kinds = [(had, "start", dict), (had, "now", dict), (had, "epochs", int), (by, "callback", str), (by, "settings", list)]
    if not all(isinstance(held, dict) and isinstance(held.get(key), kind) for held, key, kind in kinds):
        return False
    models = [state.get("model"), state.get(LAST, {})]
    tensors = all(isinstance(m, dict) and all(isinstance(each, Tensor) for each in m.values()) for m in models)
    given = [had["start"], had["now"], *by["settings"]]
    return tensors and all(isinstance(each, dict) and settings.are_plain(each.values()) for each in given)


def _bits(state: Mapping[str, Any]) -> dict[str, Any]:
    return {name: (str(value.dtype), value.shape, value.numpy().tobytes()) for name, value in state.items()}


def _numbered(callbacks: Sequence[CallbackLike]) -> Iterator[tuple[str, CallbackLike]]:
    """The callbacks by the name of their class, and which of that class each is."""
    seen: dict[str, int] = {}
    for callback in callbacks:
        name = type(callback).__name__
        seen[name] = seen.get(name, -1) + 1
        yield f"callback {seen[name]} {name}", callback


def _generators(model: Module) -> Iterator[tuple[str, Generator]]:
    """The generators that modules hold in attributes, such as that of a dropout layer, by path."""
    for path, module in model.named_modules():
        for name, value in module.members():
            if isinstance(value, Generator):
                yield f"{path}.{name}" if path else name, value

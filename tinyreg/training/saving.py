"""One file that holds the state of a run: arrays as safetensors, the rest as JSON in its metadata. No pickle anywhere.

The format finds a file that was cut short, but has no checksum: a digest of names, dtypes, shapes, bytes and JSON finds
accidents of all other kinds, and not who means to deceive. Files are written beside their target and moved into its place,
so that there is always a whole one.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from typing import Any

from .. import files, interrupts
from ..core.backend import Array
from ..messages import printable
from ..random import Generator
from . import container
from .extra import extra
from .tree import put_together, take_apart

FORMAT, VERSION = "tinyreg.training", "1"


def save(path: str | os.PathLike[str], /, **objects: Any) -> None:
    """Write objects to one safetensors file by name, so that a kill at any moment leaves the old or the new file whole.

    objects: anything with `state_dict()`, such as a model, an optimizer, a schedule or a `History`; a `Generator`, such
    as `tr.random.default_generator`; or a tree of plain values, lists, dicts, Tensors and arrays. In the file, an array
    has the path to it as its name, such as "model/0.weight", by which other readers of safetensors find it.

    The file is written under another name in the same folder, forced to the disk and then moved; what an earlier save
    left there when it was killed is removed. Of two saves to one path at the same time, that which ends last stays.

    Raises `TypeError` for what no file can hold, `ValueError` where nothing is given, or what could not be read again,
    and `OSError` where the folder is missing, full, or cannot be written.

    >>> import tempfile, tinyreg as tr
    >>> model = tr.nn.Linear(2, 1)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     tr.training.save(f"{folder}/run.safetensors", model=model, generator=tr.Generator(0), epoch=3)
    ...     state = tr.training.load(f"{folder}/run.safetensors", model=model)
    >>> list(state), state["epoch"]
    (['model', 'generator', 'epoch'], 3)
    """
    if not objects:
        raise ValueError("save: got nothing to save, expected objects by name, such as model=model")
    arrays, text = take_apart({name: _state(value) for name, value in objects.items()})
    metadata = {"format": FORMAT, "version": VERSION, "tree": text, "digest": _digest(arrays, text)}
    files.write(path, extra("safetensors.numpy").save(arrays, metadata), "save")


def load(path: str | os.PathLike[str], /, **objects: Any) -> dict[str, Any]:
    """The states in a file that `save` wrote, by name; objects that are given by these names get theirs put back.

    objects: a `Generator`, or anything with `state_dict()` and `load_state_dict(state)`, under the name by which it was
    saved. All or nothing: the whole file is checked first, and if an object refuses its state, the others get back what
    they had. Nothing from the file is run. Its Tensors are born on the backend in use.

    Raises `FileNotFoundError` and the like for a file that cannot be read, also for pipes and devices; `ValueError` for
    one that is damaged, cut short, not from `save`, or lacks a name; `MemoryError` for one that is too large; and what an
    object raises for a state that does not fit.

    >>> import tempfile, tinyreg as tr
    >>> one, other = tr.nn.Linear(2, 1), tr.nn.Linear(2, 1)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     tr.training.save(f"{folder}/run.safetensors", model=one)
    ...     state = tr.training.load(f"{folder}/run.safetensors", model=other)
    >>> other.weight.tolist() == one.weight.tolist() == state["model"]["weight"].tolist()
    True
    """
    for name, value in objects.items():
        if not isinstance(value, Generator) and not (hasattr(value, "state_dict") and hasattr(value, "load_state_dict")):
            raise TypeError(
                f"load: got {name}={value!r:.80}, expected a Generator, or an object with state_dict and load_state_dict"
            )
    state = _read(path)
    with loaded(path, state, objects):
        return state


@contextlib.contextmanager
def loaded(path: str | os.PathLike[str], state: Mapping[str, Any], objects: Mapping[str, Any]) -> Iterator[None]:
    """Give objects their states; if one refuses, or the body of the context raises, all get back what they had."""
    file = printable(os.fspath(path))
    if unknown := objects.keys() - state.keys():
        raise ValueError(f"load: {file} lacks {', '.join(sorted(unknown))}; it has {printable(', '.join(state)):.1000}")
    before: dict[str, Any] = {}
    about = ""
    try:
        for name, value in objects.items():
            about = f"load: this is about {name} in {file}; nothing was changed"
            before[name] = _state(value)
            try:
                _put_back(value, state[name])
            except (LookupError, AttributeError, OverflowError) as error:
                raise ValueError(
                    f"load: {file} has as {name} what is no state of {type(value).__name__} ({error!r:.200})"
                ) from error
        about = ""
        yield
    except BaseException as error:
        if about:
            error.add_note(about)
        with interrupts.deferred():
            for name in reversed(before):  # two of them may share something
                try:
                    _put_back(objects[name], before[name])
                except Exception as refusal:
                    error.add_note(f"load: {name} did not take its own state back, and is left changed ({refusal!r})")
        raise


def _state(value: Any) -> Any:
    if isinstance(value, Generator):
        return value.state
    return value.state_dict() if hasattr(value, "state_dict") else value


def _put_back(value: Any, state: Any) -> None:
    if isinstance(value, Generator):
        value.state = state
    else:
        value.load_state_dict(state)


def _digest(arrays: dict[str, Array], text: str) -> str:
    names = sorted(arrays)
    table = [(name, arrays[name].dtype.str, arrays[name].shape) for name in names]
    digest = hashlib.sha256(json.dumps([text, table]).encode())
    for name in names:
        digest.update(arrays[name].tobytes())
    return digest.hexdigest()


def _read(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read the tree in a file, and check everything about it."""
    with files.opened(path, "load") as file:
        about = f"load: {printable(os.fspath(path))}"
        damaged = f"{about} is damaged, cut short, or no safetensors file at all"
        with _refused(damaged):
            metadata, entries = container.header(file)
        if metadata.get("format") != FORMAT:
            raise ValueError(
                f"{about} is a safetensors file, but not one that tr.training.save wrote; load it with safetensors"
            )
        if metadata.get("version") != VERSION:
            raise ValueError(f"{about} has version {metadata.get('version')!r:.80}, expected {VERSION!r}; update tinyreg")
        with _refused(damaged):
            arrays = container.arrays(file, entries)
    text = metadata.get("tree", "")
    if metadata.get("digest") != _digest(arrays, text):
        raise ValueError(f"{about} is damaged: its contents are not what was written; take another copy")
    with _refused(f"{about} is not in the form that tr.training.save writes"):
        return put_together(arrays, text)


@contextlib.contextmanager
def _refused(problem: str) -> Iterator[None]:
    """Say what an error in reading a file comes from, and what to do."""
    try:
        yield
    except MemoryError as error:
        raise MemoryError(f"{problem}; or it holds more than there is memory for") from error
    except (ValueError, TypeError, LookupError, AttributeError, OverflowError, RecursionError) as error:
        said = str(error) if type(error) is ValueError else repr(error)
        raise ValueError(f"{problem} ({printable(said):.200}); take another copy") from error

"""`python -m tinyreg explore SCRIPT.py`: run a script under explain(), and write the page of one of its backwards."""

from __future__ import annotations

import argparse
import contextlib
import os
import runpy
import sys
import threading
import traceback
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NoReturn

from ..core.tape import Result, explainer
from ..core.tensor import Tensor, wrap
from .explain import explain
from .tape import Tape, tape

GRACE = 5  # seconds, for threads that the script has begun


class _Enough(BaseException):
    """Ends the script where its page can be written; no `except Exception` of the script's stops it."""


class _Script:
    """A script, and the tape of its backward number `step`: of those in this process, by the thread that runs it.

    Workers of a pool are copies of this process; they and other threads are left alone, or who waits for them waits on.
    """

    def __init__(self, path: Path, arguments: Sequence[str], step: int, out: Path) -> None:
        self.path, self.arguments, self.step, self.out = path, arguments, step, out
        self.backwards = self.elsewhere = 0
        self.tape: Tape | None = None
        self.error: BaseException | None = None
        self.status: int | None = None  # once the page is written
        self._here = os.getpid(), threading.get_ident()

    def run(self) -> int:
        """Run the script until it comes to that backward, ends, or raises, and write the page; the status."""
        with self._surroundings(), explain():
            try:
                runpy.run_path(str(self.path.resolve()), run_name="__main__")
            except BaseException as error:
                if os.getpid() != self._here[0]:
                    raise
                if self.status is None and not (isinstance(error, SystemExit) and error.code in (None, 0)):
                    self.error = error
                    self.tape = self.tape or _so_far()
        if os.getpid() != self._here[0]:
            raise SystemExit  # a copy, made by os.fork(), has come to the end of the script
        return _report(self) if self.status is None else self.status

    @contextlib.contextmanager
    def _surroundings(self) -> Iterator[None]:
        """The command line and the import path that the script expects, and a backward that is counted."""
        before = sys.argv, sys.path[:], Tensor.backward
        sys.argv, sys.path[0] = [str(self.path), *self.arguments], str(self.path.resolve().parent)
        Tensor.backward = self._counted(Tensor.backward)  # type: ignore[method-assign]
        try:
            yield
        finally:
            sys.argv, sys.path[:], Tensor.backward = before  # type: ignore[method-assign]

    def _counted(self, walk: Any) -> Any:
        def backward(tensor: Tensor, grad: Any = None, **settings: Any) -> None:
            if (os.getpid(), threading.get_ident()) != self._here:
                self.elsewhere += 1
                walk(tensor, grad, **settings)
                return
            if self.status is not None:  # the script goes on: it caught what should have ended it
                _leave(self.status)
            self.backwards += 1
            if self.backwards == self.step and tensor.requires_grad:
                self.tape = tape(tensor, grad=grad)
            walk(tensor, grad, **settings)  # in which explain() may find something
            if self.tape:
                self.status = _report(self)  # at once, whatever the script makes of its end
                raise _Enough

        return backward


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; the status with which it ends: 0 where the page is that of the backward that was asked for."""
    parser = argparse.ArgumentParser(prog="python -m tinyreg", description=__doc__, allow_abbrev=False)
    commands = parser.add_subparsers(required=True, metavar="explore")
    command = commands.add_parser(
        "explore",
        help="run a script, and write a page that steps through one of its backwards",
        usage="python -m tinyreg explore SCRIPT.py [--out tape.html] [--step N] [arguments of the script]",
        description="Runs the script under tr.explain() until it calls its N-th .backward(), and writes the page of that "
        "tape. What stands after -- goes to the script as it is.",
        allow_abbrev=False,
    )
    command.add_argument("script", type=Path, metavar="SCRIPT.py", help="the script")
    command.add_argument("--out", type=Path, default=Path("tape.html"), help="the page to write (default: %(default)s)")
    command.add_argument("--step", type=int, default=1, metavar="N", help="which backward, from 1 (default: %(default)s)")
    given = list(sys.argv[1:] if arguments is None else arguments)
    end = given.index("--") if "--" in given else len(given)
    chosen, rest = parser.parse_known_args(given[:end])
    if not chosen.script.is_file():
        return _say(f"explore: got {chosen.script}, but there is no such file; expected a Python script", 2)
    if chosen.step < 1:
        return _say(f"explore: got --step {chosen.step}, expected at least 1, the first backward", 2)
    if not chosen.out.resolve().parent.is_dir():
        return _say(f"explore: got --out {chosen.out}, but there is no folder {chosen.out.parent}; make it first", 2)
    return _Script(chosen.script, [*rest, *given[end + 1 :]], chosen.step, chosen.out.resolve()).run()


def run() -> None:
    """The command as a process of its own, which ends when the page is written, whatever the script has left running."""
    status = main()
    if status == 0 and (left := [thread for thread in threading.enumerate() if _holds_up(thread)]):
        for thread in left:
            thread.join(GRACE / len(left))
        if any(map(_holds_up, left)):
            _leave(status)
    if "multiprocessing" in sys.modules:
        for process in sys.modules["multiprocessing"].active_children():
            process.terminate()  # or it would be waited for
    sys.exit(status)


def _holds_up(thread: threading.Thread) -> bool:
    return thread.is_alive() and not thread.daemon and thread is not threading.main_thread()


def _leave(status: int) -> NoReturn:
    """End the process here, with what it has printed, and nothing else."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def _report(script: _Script) -> int:
    """Write the page and say what is on it, or why there is none."""
    name, out = script.path.name, script.out
    if script.error:
        sys.stderr.write("".join(traceback.format_exception(_from_script(script.error, script.path))))
    if script.tape is None:
        if script.error:
            return _say(f"explore: {name} raised {type(script.error).__name__} before anything was recorded: no page", 1)
        threads = "It was called in other threads, whose tapes are not recorded. " if script.elsewhere else ""
        return _say(
            f"explore: {name} called .backward() {script.backwards} times, expected at least {script.step}: no page. "
            + threads
            + "For a tape that is not walked by .backward(), call tr.tape(tensor).save_html(path) inside tr.explain()",
            1,
        )
    script.tape.save_html(out)
    entries = f"{len(script.tape):,} entries, in {os.path.relpath(out)}"
    if script.error:
        return _say(f"explore: {name} raised {type(script.error).__name__}; the tape up to there, {entries}", 1)
    sys.stdout.write(f"backward {script.step} of {name}, {entries}; the script was ended there\n")
    sys.stdout.flush()
    return 0


def _so_far() -> Tape | None:
    """The tape of the last entry that was recorded."""
    entry = explainer.get().log.latest
    if entry is None or entry.saved is None:
        return None
    result = entry.op.record.result
    return tape(wrap(result[0], Result(entry, 0)) if isinstance(result, tuple) else wrap(result, entry))


def _from_script(error: BaseException, path: Path) -> BaseException:
    """The error with the part of its traceback that begins in the script."""
    frames = error.__traceback__
    while frames and frames.tb_frame.f_code.co_filename != str(path.resolve()):
        frames = frames.tb_next
    return error.with_traceback(frames)  # without any where it could not be read


def _say(text: str, status: int) -> int:
    sys.stderr.write(text + "\n")
    return status

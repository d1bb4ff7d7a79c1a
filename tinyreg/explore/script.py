"""`python -m tinyreg explore SCRIPT.py`: run a script under explain(), and write the page of one of its backwards."""

from __future__ import annotations

import argparse
import contextlib
import os
import runpy
import signal
import sys
import threading
import traceback
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NoReturn

from ..core.tape import Result, explainer
from ..core.tensor import Tensor, wrap
from ..messages import printable
from ..pages import assets
from .explain import explain
from .page import save_html
from .tape import Tape, tape

GRACE = 5  # seconds, for threads that the script has begun, and as much for processes
ROOM = 500  # frames that explain() and the page may need, beyond those that a script has
INTERRUPTED = 130  # as a shell has it

_exit = os._exit


class _Enough(SystemExit):
    """Ends the script where its page can be written; no `except Exception` of the script's stops it, and no event loop."""


class _Script:
    """A script, and the tape of its backward number `step`: of those in this process, by the thread that runs it.

    Workers of a pool are copies of this process; they and other threads are left alone, or who waits for them waits on.
    """

    def __init__(self, path: Path, arguments: Sequence[str], step: int, out: Path, *, definitions: bool = False) -> None:
        self.path, self.arguments, self.step, self.out = path, arguments, step, out.resolve()
        self.definitions = definitions
        self.place = path.resolve()  # the script may go to another folder, or remove this one
        self.page = printable(os.path.relpath(out))
        self.streams = sys.stdout, sys.stderr  # the script may have its own
        self.backwards = self.elsewhere = 0
        self.tape: Tape | None = None
        self.error: BaseException | None = None
        self.ended = ""  # how, where it was before that backward and by an error
        self.status: int | None = None  # once the page is written
        self._here = os.getpid(), threading.get_ident()

    def run(self) -> int:
        """Run the script until it comes to that backward, ends, or raises, and write the page; the status."""
        assets("page")  # now, since the script may change where modules are looked for
        with self._surroundings(), explain(definitions=self.definitions):
            try:
                runpy.run_path(str(self.place), run_name="__main__")
            except BaseException as error:
                if os.getpid() != self._here[0]:
                    raise
                if self.status is None and not (isinstance(error, SystemExit) and error.code in (None, 0)):
                    self.error = error
                    self.ended = f"raised {_named(error)}"
                    self.tape = self.tape or _so_far()
        if os.getpid() != self._here[0]:
            raise SystemExit  # a copy, made by os.fork(), has come to the end of the script
        return _report(self) if self.status is None else self.status

    @contextlib.contextmanager
    def _surroundings(self) -> Iterator[None]:
        """The command line and the import path that the script expects, and a backward and a hard end that are noticed."""
        before = sys.argv, sys.path[:], Tensor.backward, os._exit, sys.getrecursionlimit()
        sys.argv, sys.path[0] = [str(self.path), *self.arguments], str(self.place.parent)
        Tensor.backward = self._counted(Tensor.backward)  # type: ignore[method-assign]
        os._exit = self._leaving
        sys.setrecursionlimit(before[-1] + ROOM)
        try:
            with _signals():
                yield
        finally:
            sys.argv, sys.path[:], Tensor.backward, os._exit, limit = before  # type: ignore[method-assign]
            sys.setrecursionlimit(limit)

    def _leaving(self, status: int) -> NoReturn:
        """In place of `os._exit`: what there is so far is written and said before."""
        if os.getpid() == self._here[0] and self.status is None:
            self.ended, self.tape = f"ended with os._exit({status})", self.tape or _so_far()
            self.status = _report(self)
            status = status or self.status
            _flush(sys.stdout, sys.stderr)
        _exit(status)

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
        usage="python -m tinyreg explore [--watch] SCRIPT.py [--out tape.html] [--step N] [--definitions] "
        "[arguments of the script]",
        description="Runs the script under tr.explain() until it calls its N-th .backward(), and writes the page of that "
        "tape. What stands after -- goes to the script as it is. With --watch the page is served on this machine alone, "
        "and made again when the script is saved.",
        allow_abbrev=False,
    )
    command.add_argument("script", type=Path, metavar="SCRIPT.py", help="the script")
    command.add_argument("--out", type=Path, default=Path("tape.html"), help="the page to write (default: %(default)s)")
    command.add_argument("--step", type=int, default=1, metavar="N", help="which backward, from 1 (default: %(default)s)")
    command.add_argument("--definitions", action="store_true", help="run definitions in place of fast forms")
    command.add_argument("--watch", action="store_true", help="serve the page, and run the script again when it is saved")
    command.add_argument("--port", type=int, default=0, help="where to serve it (default: any that is free)")
    given = list(sys.argv[1:] if arguments is None else arguments)
    end = given.index("--") if "--" in given else len(given)
    chosen, rest = parser.parse_known_args(given[:end])
    if not chosen.script.is_file():
        return _say(f"explore: got {printable(str(chosen.script))}, but there is no such file; expected a Python script", 2)
    if chosen.step < 1:
        return _say(f"explore: got --step {chosen.step}, expected at least 1, the first backward", 2)
    if not chosen.out.resolve().parent.is_dir():
        out, folder = printable(str(chosen.out)), printable(str(chosen.out.parent))
        return _say(f"explore: got --out {out}, but there is no folder {folder}; make it first", 2)
    arguments = [*rest, *given[end + 1 :]]
    if chosen.watch:
        from .watch import watch  # here, since it loads what serves

        options = [f"--step={chosen.step}", *["--definitions"] * chosen.definitions]
        return watch(chosen.script, options, arguments, chosen.port)
    return _Script(chosen.script, arguments, chosen.step, chosen.out, definitions=chosen.definitions).run()


def run() -> None:
    """The command as a process of its own, which ends when the script has, whatever that has left running."""
    status = main()
    if left := [thread for thread in threading.enumerate() if _holds_up(thread)]:
        for thread in left:
            thread.join(GRACE / len(left))
        if any(map(_holds_up, left)):
            _leave(status)
    if "multiprocessing" in sys.modules:
        processes = sys.modules["multiprocessing"].active_children()
        for process in processes:
            process.terminate()  # or it would be waited for
        for process in processes:
            process.join(GRACE / len(processes))
            process.kill()
    _flush(sys.stdout, sys.stderr)
    sys.exit(status)


def _holds_up(thread: threading.Thread) -> bool:
    return thread.is_alive() and not thread.daemon and thread is not threading.main_thread()


def _leave(status: int) -> NoReturn:
    """End the process here, with what it has printed, and nothing else."""
    _flush(sys.stdout, sys.stderr)
    _exit(status)


def _flush(*streams: Any) -> None:
    """Bring what was printed to where it goes; where that is closed, let Python, which tries again at its end, lose it."""
    for stream in streams:
        try:
            stream.flush()
        except OSError:
            with contextlib.suppress(OSError, ValueError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
        except (ValueError, AttributeError):  # closed by the script, or None
            pass


@contextlib.contextmanager
def _signals() -> Iterator[None]:
    """Put back the handlers of signals that the script has changed, and stop its clock."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: handler for number in signal.valid_signals() if (handler := signal.getsignal(number)) is not None}
    try:
        yield
    finally:
        if hasattr(signal, "setitimer"):
            signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in before.items():
            if signal.getsignal(number) is not handler:
                signal.signal(number, handler)


def _report(script: _Script) -> int:
    """Write the page and say what is on it, or why there is none; the status."""
    name, error = printable(script.path.name), script.error
    page = "no page"
    if script.tape is not None:
        try:
            save_html(script.tape, script.out)
        except (OSError, MemoryError, RecursionError) as problem:
            why = str(problem) or type(problem).__name__
            return _say(f"explore: the page of {name} cannot be written: {why}", 1, script.streams[1])
        entries = "1 entry" if len(script.tape) == 1 else f"{len(script.tape):,} entries"
        page = f"{entries}, in {script.page}"
    if error and not (isinstance(error, SystemExit) and isinstance(error.code, int)):
        lines = traceback.format_exception(_from_script(error, script.place))
        _say(str(error.code) if isinstance(error, SystemExit) else "".join(lines).rstrip("\n"), 1, script.streams[1])
    if script.ended:
        how = "; the tape up to there, " if script.tape else " before anything was recorded: "
        return _say(f"explore: {name} {script.ended}{how}{page}", _status(error), script.streams[1])
    if script.tape:
        return _say(f"backward {script.step} of {name}, {page}; the script was ended there", 0, script.streams[0])
    return _say(
        f"explore: {name} called .backward() {script.backwards} times, expected at least {script.step}: no page. "
        + "It was called in other threads, whose tapes are not recorded. " * bool(script.elsewhere)
        + "For a tape that is not walked by .backward(), call tr.tape(tensor).save_html(path) inside tr.explain()",
        1,
        script.streams[1],
    )


def _named(error: BaseException) -> str:
    """The class of what a script raised, and with which status it wants to end."""
    return printable(type(error).__name__) + (f"({error.code!r:.80})" if isinstance(error, SystemExit) else "")


def _status(error: BaseException | None) -> int:
    """The status of a script that has ended so."""
    if isinstance(error, SystemExit) and isinstance(error.code, int):
        return error.code % 256 or 1
    return INTERRUPTED if isinstance(error, KeyboardInterrupt) else 1


def _so_far() -> Tape | None:
    """The tape of the last entry that was recorded."""
    explaining = explainer.get()
    entry = explaining.log.latest if explaining else None
    if entry is None or entry.saved is None:
        return None
    result = entry.op.record.result
    return tape(wrap(result[0], Result(entry, 0)) if isinstance(result, tuple) else wrap(result, entry))


def _from_script(error: BaseException, path: Path) -> BaseException:
    """The error with the part of its traceback that begins in the script."""
    frames = error.__traceback__
    while frames and frames.tb_frame.f_code.co_filename != str(path):
        frames = frames.tb_next
    return error.with_traceback(frames)  # without any where it could not be read


def _say(text: str, status: int, stream: Any = None) -> int:
    """Print a line, unless what it would be printed to is gone; gives the status."""
    with contextlib.suppress(OSError, ValueError, AttributeError):  # also of a stream that cannot encode it
        stream = sys.stderr if stream is None else stream
        stream.write(f"{text}\n")
        stream.flush()
    return status

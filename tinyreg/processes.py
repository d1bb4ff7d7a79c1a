"""Other programs: each runs for a limited time, and is then stopped with all that it has started."""

from __future__ import annotations

import contextlib
import math
import os
import signal
import subprocess
import threading
from collections.abc import Iterator, Sequence
from typing import Any


def finished(
    command: Sequence[str], *, timeout: float, program: str, input: str | None = None, **settings: Any
) -> subprocess.CompletedProcess[str]:
    """Run a program to its end, with `input` as its input, and what it printed as text.

    timeout: in seconds. program: its name in an error. settings: of `subprocess.Popen`.

    Raises `TimeoutError` where it has not ended by then. However this ends, nothing that it has started goes on.
    """
    pipe, none = subprocess.PIPE, subprocess.DEVNULL
    settings = {"stdout": pipe, "stderr": pipe, "encoding": "utf-8", "errors": "replace", **settings}
    with started(command, stdin=none if input is None else pipe, **settings) as process:
        try:
            out, err = process.communicate(input, timeout if timeout < math.inf else None)
        except subprocess.TimeoutExpired:
            raise TimeoutError(
                f"{program}: has not ended after {timeout:g} seconds, and was stopped: {' '.join(command):.200}; "
                "if it needs more, give it a larger timeout"
            ) from None
    return subprocess.CompletedProcess(command, process.returncode, out, err)


@contextlib.contextmanager
def started(command: Sequence[str], **settings: Any) -> Iterator[subprocess.Popen[str]]:
    """A program in a group of its own, which is stopped at the end, if it has not ended, and where an error ends it."""
    with subprocess.Popen(command, start_new_session=True, **settings) as process:
        try:
            yield process
        finally:
            stop(process)


@contextlib.contextmanager
def limited(process: subprocess.Popen[str], seconds: float) -> Iterator[threading.Event]:
    """Stop a process that is waited for inside for longer than that; the event says whether it was."""
    late = threading.Event()

    def end() -> None:
        late.set()
        stop(process)

    watch = threading.Timer(seconds, end)
    watch.daemon = True
    watch.start()
    try:
        yield late
    finally:
        watch.cancel()


def stop(process: subprocess.Popen[str]) -> None:
    """Kill a process and its group; of one that has ended, what it has left behind."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        if hasattr(os, "killpg"):
            os.killpg(process.pid, signal.SIGKILL)  # its group has the number of the process that began it
        else:
            process.kill()

"""The peers' processes, as the one that measures sees them."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from typing import Any

from tinyreg.processes import finished, limited, started

from .machine import ROOT, surroundings
from .peers import PEERS

PATIENCE = 600  # seconds for an answer: compiling a large step takes minutes on some machines
GRACE = 10  # seconds to end in


class Peer:
    """A peer's process: it does what it is asked for, and waits."""

    def __init__(self, name: str, threads: str = "one") -> None:
        self.name = name
        command = [sys.executable, "-m", "benchmarks.worker", name, threads]
        pipe = subprocess.PIPE
        self._life = contextlib.ExitStack()
        settings = {"env": surroundings(threads), "cwd": ROOT, "stdin": pipe, "stdout": pipe, "text": True}
        self._process = self._life.enter_context(started(command, **settings))
        about = self._read()
        self.version, self.missing = about.get("version"), about.get("missing")

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout
        with limited(self._process, PATIENCE) as late:
            line = self._process.stdout.readline()
        if late.is_set():
            raise TimeoutError(f"the process of {self.name} has not answered after {PATIENCE} seconds, and was stopped")
        if not line:
            raise RuntimeError(f"the process of {self.name} ended with status {self._process.wait()}; see its error above")
        told: dict[str, Any] = json.loads(line)
        return told

    def ask(self, **request: Any) -> dict[str, Any]:
        """Its reply to a request; see `worker`."""
        assert self._process.stdin
        print(json.dumps(request), file=self._process.stdin, flush=True)
        return self._read()

    def close(self) -> None:
        """End the process."""
        with limited(self._process, GRACE):
            self._process.communicate()
        self._life.close()


@contextlib.contextmanager
def running(names: Sequence[str], threads: str) -> Iterator[list[Peer]]:
    """Peers, each in a process."""
    peers: list[Peer] = []
    try:
        peers.extend(Peer(name, threads) for name in names)
        yield peers
    finally:
        for peer in peers:
            peer.close()


def versions(names: Sequence[str] = tuple(PEERS)) -> tuple[dict[str, str], dict[str, str]]:
    """The versions of the peers that are installed, and why the others are not there."""
    with running(names, "one") as peers:
        missing = {peer.name: str(peer.missing) for peer in peers if peer.missing}
        return {peer.name: str(peer.version) for peer in peers if not peer.missing}, missing


def import_seconds(module: str) -> float:
    """The time that a fresh interpreter takes for one import."""
    timed = f"import time; start = time.perf_counter(); import {module}; print(time.perf_counter() - start)"
    command = [sys.executable, "-c", timed]
    done = finished(command, timeout=PATIENCE, program=f"import {module}", env=surroundings(), cwd=ROOT)
    done.check_returncode()
    return float(done.stdout.splitlines()[-1])

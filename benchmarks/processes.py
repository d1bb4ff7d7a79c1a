"""The peers' processes, as the one that measures sees them."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from typing import Any

from .machine import ROOT, surroundings
from .peers import PEERS


class Peer:
    """A peer's process: it does what it is asked for, and waits."""

    def __init__(self, name: str, threads: str = "one") -> None:
        self.name = name
        command = [sys.executable, "-m", "benchmarks.worker", name, threads]
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(command, env=surroundings(threads), cwd=ROOT, stdin=pipe, stdout=pipe, text=True)
        about = self._read()
        self.version, self.missing = about.get("version"), about.get("missing")

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout
        if not (line := self._process.stdout.readline()):
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
        self._process.communicate()


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
    done = subprocess.run(
        [sys.executable, "-c", timed], env=surroundings(), cwd=ROOT, capture_output=True, text=True, check=True
    )
    return float(done.stdout.splitlines()[-1])

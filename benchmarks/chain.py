"""Forward and backward of a chain of small ops: the time an op costs in tinyreg, in bare NumPy calls, and elsewhere.

    python -m benchmarks.chain [--ops 2000] [--rounds 30] [--json FILE]

The peers that are installed take turns, each in a process of its own with one thread. Values and gradients are compared
before anything is timed. A ratio is the median, over the rounds, of a peer's time divided by tinyreg's in the same round.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import statistics
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .imports import import_rounds
from .machine import ROOT, facts, surroundings
from .peers import LEAVES, PEERS

TOLERANCE = 1e-4  # relative; 2,000 roundings of float32, each 6e-8, added up in another order
REFERENCE = "tinyreg"


class Peer:
    """A peer's process: ask it for rounds."""

    def __init__(self, name: str) -> None:
        self.name = name
        command = [sys.executable, "-m", "benchmarks.worker", name]
        self._process = subprocess.Popen(
            command, env=surroundings(), cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        about = self._read()
        self.version, self.missing = about.get("version"), about.get("missing")

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout
        if not (line := self._process.stdout.readline()):
            raise RuntimeError(f"the process of {self.name} ended with status {self._process.wait()}; see its error above")
        told: dict[str, Any] = json.loads(line)
        return told

    def round(self, chain: str, ops: int) -> dict[str, Any]:
        """One forward and backward: its seconds, and the values."""
        assert self._process.stdin
        print(json.dumps({"chain": chain, "ops": ops}), file=self._process.stdin, flush=True)
        return self._read()

    def close(self) -> None:
        """End the process."""
        self._process.communicate()


@contextlib.contextmanager
def running() -> Iterator[list[Peer]]:
    """The peers that are installed; those that are not are named on one line each."""
    peers: list[Peer] = []
    try:
        for name in PEERS:
            peers.append(peer := Peer(name))
            if peer.missing:
                print(f"{name} is left out: {peer.missing}")
        yield [peer for peer in peers if not peer.missing]
    finally:
        for peer in peers:
            peer.close()


def compare(peers: Sequence[Peer], ops: int) -> None:
    """Raise `AssertionError` unless all peers give the values and gradients of the first."""
    for chain, leaves in LEAVES.items():
        expected = peers[0].round(chain, ops)["values"]
        for peer in peers[1:]:
            got = peer.round(chain, ops)["values"]
            for what, a, b in zip(("the value", *leaves), got, expected, strict=True):
                message = f"{peer.name} and {peers[0].name} differ in {what} of the chain {chain}"
                np.testing.assert_allclose(a, b, rtol=TOLERANCE, err_msg=message)


def measure(peers: Sequence[Peer], ops: int, rounds: int) -> dict[str, dict[str, list[float]]]:
    """Microseconds an op, by chain and peer, of each round. Each round begins with another peer."""
    times: dict[str, dict[str, list[float]]] = {chain: {peer.name: [] for peer in peers} for chain in LEAVES}
    for i in range(rounds):
        first = i % len(peers)
        for chain, of in times.items():
            for peer in [*peers[first:], *peers[:first]]:
                of[peer.name].append(peer.round(chain, ops)["seconds"] / ops * 1e6)
    return times


def summary(times: Sequence[float], reference: Sequence[float]) -> dict[str, float]:
    """Median and quartiles, and the median ratio to the reference, round by round."""
    low, median, high = statistics.quantiles(times, n=4)
    ratio = statistics.median(own / other for own, other in zip(times, reference, strict=True))
    return {"median": median, "quartile_1": low, "quartile_3": high, "ratio": ratio}


def table(results: dict[str, dict[str, dict[str, float]]]) -> str:
    """The results as text."""
    lines = [f"{'chain':10}{'peer':15}{'us an op':>9}{'quartiles':>16}{f'ratio to {REFERENCE}':>19}"]
    for chain, by_peer in results.items():
        for i, (peer, s) in enumerate(by_peer.items()):
            quartiles = f"{s['quartile_1']:.2f} - {s['quartile_3']:.2f}"
            lines.append(f"{'' if i else chain:10}{peer:15}{s['median']:9.2f}{quartiles:>16}{s['ratio']:>19.2f}")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print, and store."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.chain", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--ops", type=int, default=2000, help="ops in a chain (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=30, help="rounds of each peer, at least 2 (default: %(default)s)")
    parser.add_argument("--imports", type=int, default=15, help="fresh processes for each import (default: %(default)s)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="store the result here too")
    chosen = parser.parse_args(arguments)
    about = facts()
    print(f"{about['cpu']}, {about['system']}, Python {about['python']}; one thread, OPENBLAS_CORETYPE unset")
    with running() as peers:
        versions = {peer.name: peer.version for peer in peers}
        print(", ".join(f"{name} {version}" for name, version in versions.items()))
        compare(peers, chosen.ops)
        print(f"chains of {chosen.ops} ops on 4 float32 elements, forward and backward; {chosen.rounds} rounds in turn")
        times = measure(peers, chosen.ops, chosen.rounds)
    results = {
        chain: {name: summary(own, by_peer[REFERENCE]) for name, own in by_peer.items()} for chain, by_peer in times.items()
    }
    print(table(results))
    imports = import_rounds(chosen.imports)
    over = statistics.median(t - n for n, t in zip(imports["numpy"], imports["tinyreg"], strict=True))
    medians = {module: statistics.median(seconds) for module, seconds in imports.items()}
    print(
        f"import numpy {medians['numpy'] * 1e3:.0f} ms, import tinyreg {medians['tinyreg'] * 1e3:.0f} ms: "
        f"{over * 1e3:.1f} ms over numpy (median of {chosen.imports} fresh processes each, in turn)"
    )
    if chosen.json:
        settings = {"ops": chosen.ops, "rounds": chosen.rounds, "threads": 1, "OPENBLAS_CORETYPE": None}
        unit = {"chains": "microseconds an op", "imports": "seconds", "ratio": f"to {REFERENCE}"}
        stored = {**about, "versions": versions, **settings, "unit": unit, "chains": results, "imports": medians}
        chosen.json.write_text(json.dumps({**stored, "import_over_numpy": over}, indent=1) + "\n")


if __name__ == "__main__":
    main()

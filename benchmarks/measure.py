"""Rounds in which the peers take turns, after their values were compared."""

from __future__ import annotations

import contextlib
import functools
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from .peers import PEERS
from .processes import Peer, import_seconds, running
from .workloads.base import Settings, Workload

TOLERANCE = 1e-4  # relative: float32 rounds by 6e-8, and some thousand operations come in another order in each peer

SETTLED = 5  # turns: for so long the threads of the peer before may spin, in case it has more to do

Found = dict[str, list[float] | str]
"""By peer: a number a round, or why it was left out."""


class Result(NamedTuple):
    """What one peer did in one case of a workload."""

    workload: str
    case: str
    threads: str
    unit: str
    peer: str
    rounds: list[float]
    """In `unit`; empty where the peer was left out."""
    left_out: str = ""
    """Why."""


class Plan(NamedTuple):
    """How long to measure."""

    rounds: int
    seconds: float
    """Of a turn."""
    threads: str = "one"


def difference(values: Mapping[str, Sequence[float]], expected: Mapping[str, Sequence[float]]) -> str:
    """Where the fingerprints of two peers differ; nothing where they agree."""
    if values.keys() != expected.keys():
        return f"it tells {', '.join(sorted(values))} and not {', '.join(sorted(expected))}"
    for name, (norm, product) in expected.items():
        for got, wanted in zip(values[name], (norm, product), strict=True):
            if not abs(got - wanted) <= TOLERANCE * norm:
                return f"{name} is {got:.7g} and not {wanted:.7g}"
    return ""


def measure(workload: Workload, cases: Mapping[str, Settings], names: Sequence[str], plan: Plan) -> Iterator[Result]:
    """The results of all peers in all cases, each case when it is done."""
    without = {name: reason for name, reason in (workload.without or {}).items() if name in names}
    taking_part = [name for name in names if name not in without]
    with contextlib.ExitStack() as stack:
        if workload.quantity == "seconds":
            peers = stack.enter_context(running(taking_part, plan.threads))
            found_in = functools.partial(take_turns, peers=peers)
        else:
            found_in = functools.partial({"import": imports}.get(workload.quantity, fresh), names=taking_part)
        for case, settings in cases.items():
            print(f"{workload.name}: {case}, threads: {plan.threads}", file=sys.stderr, flush=True)
            found = found_in(workload, settings, plan=plan) | without
            yield from [_result(workload, case, settings, plan, name, found[name]) for name in names]


def _result(
    workload: Workload, case: str, settings: Settings, plan: Plan, name: str, found: Sequence[float] | str
) -> Result:
    """In the unit of the workload."""
    left_out = found if isinstance(found, str) else ""
    rounds = [] if isinstance(found, str) else [workload.scale(settings) * value for value in found]
    return Result(workload.name, case, plan.threads, workload.unit, name, rounds, left_out)


def take_turns(workload: Workload, settings: Settings, peers: Iterable[Any], plan: Plan) -> Found:
    """The seconds of a step of each peer that computes what the first does. Each round begins with another one."""
    found: Found = {}
    ready: list[Any] = []
    expected: Mapping[str, Sequence[float]] | None = None
    for peer in peers:
        told = peer.ask(prepare=workload.name, settings=settings)
        if "lacks" in told:
            found[peer.name] = told["lacks"]
            continue
        expected = expected or told["values"]
        if wrong := difference(told["values"], expected):
            found[peer.name] = f"refused, because it computes something else: {wrong}"
            continue
        found[peer.name] = []
        ready.append(peer)
    for i in range(plan.rounds if ready else 0):
        first = i % len(ready)
        for peer in [*ready[first:], *ready[:first]]:
            if plan.threads == "all":
                time.sleep(SETTLED * plan.seconds)
            told = peer.ask(seconds=plan.seconds)
            _note(found, peer.name, told["lacks"] if "lacks" in told else told["seconds"])
    return found


def _note(found: Found, name: str, told: float | str) -> None:
    """Another number of a peer, or why there are no more, which is then all there is."""
    rounds = found.setdefault(name, [])
    if isinstance(told, str):
        found[name] = told
    elif not isinstance(rounds, str):
        rounds.append(told)


def fresh(workload: Workload, settings: Settings, names: Sequence[str], plan: Plan) -> Found:
    """What fresh processes tell; of memory, when they have run the same at a small size before."""
    found: Found = {}
    what, first = workload.quantity, {**settings, "case": settings["first"]}
    for _ in range(plan.rounds):
        for name in names:
            if isinstance(found.get(name), str):
                continue
            peer = Peer(name, plan.threads)
            if workload.unit == "MB":
                peer.ask(fresh=what, workload=workload.name, settings=first)
            told = peer.ask(fresh=what, workload=workload.name, settings=settings)
            peer.close()
            _note(found, name, told["lacks"] if "lacks" in told else told["number"])
    return found


def imports(workload: Workload, settings: Settings, names: Sequence[str], plan: Plan) -> Found:
    """The seconds of an import in a fresh interpreter, after one that is not counted: it may compile to bytecode."""
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for i in range(plan.rounds + 1):
        for name, of in seconds.items():
            measured = import_seconds(PEERS[name].distribution)
            if i:
                of.append(measured)
    return dict(seconds)

"""`python -m benchmarks`: tinyreg and its peers on the same work. `--list` says on which, `--help` how to run it."""

from __future__ import annotations

import argparse
import itertools
import sys
from collections.abc import Sequence
from pathlib import Path

from tinyreg import files
from tinyreg.interrupts import counted

from .machine import facts
from .measure import Plan, Result, measure
from .peers import BY_HAND, PEERS
from .processes import versions
from .report import above, picture, stored, table
from .workloads import WORKLOADS
from .workloads.ops import EXPLAINED, not_compared

INTERRUPTED = 130  # as a shell has it
FAST = Plan(rounds=3, seconds=0.002)
SECONDS = 0.05  # of a turn: long enough for the clock, and short beside the time in which other programs come and go


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print and store; the status is 1 where a peer failed or was refused."""
    parser = command_line()
    given = parser.parse_args(arguments)
    if given.list:
        for workload in WORKLOADS.values():
            print(f"{workload.name}: {workload.about}, in {workload.unit}\n    {'; '.join(workload.cases)}")
        return 0
    for what, chosen, known in (("workload", given.names, WORKLOADS), ("peer", given.peers, PEERS)):
        if unknown := [name for name in chosen if name not in known]:
            parser.error(f"unknown {what} {', '.join(unknown)}; there are: {', '.join(known)}")
    about = facts()
    installed, missing = versions()
    peers = {name: version for name, version in installed.items() if name in (given.peers or PEERS) or name == BY_HAND}
    heading = f"{about['cpu']}, {about['system']}, Python {about['python']}, {about['date']}; OPENBLAS_CORETYPE unset"
    print(heading)
    print(", ".join(f"{name} {version}" for name, version in peers.items()))
    for name, reason in missing.items():
        print(f"{name} is left out: {reason}")
    results: list[Result] = []
    with counted() as interrupts:
        for threads, name in itertools.product(given.threads, given.names or WORKLOADS):
            plan = FAST._replace(threads=threads) if given.fast else Plan(given.rounds, SECONDS, threads)
            workload = WORKLOADS[name]
            found: list[Result] = []
            try:
                with interrupts.through():
                    found.extend(measure(workload, workload.small if given.fast else workload.cases, list(peers), plan))
            except KeyboardInterrupt:
                print(f"interrupted in {name}: it has the cases that were done", file=sys.stderr)
            results += found
            print(f"\n{table(found)}" * bool(found), flush=True)
            if name == "ops" and found:
                print(f"\n{above(found, explained=EXPLAINED)}", flush=True)
                print(f"not compared: {', '.join(not_compared()) or 'none'}", flush=True)
            if given.json and found:  # at once: a long run that is killed keeps what it has
                settings = {"rounds": plan.rounds, "seconds of a turn": plan.seconds, "fast": given.fast}
                known = {**about, "versions": peers, "missing": missing, **settings, "OPENBLAS_CORETYPE": None}
                given.json.parent.mkdir(parents=True, exist_ok=True)
                files.write(given.json, stored(results, known), "--json")
            if interrupts.pressed:
                break
        if given.picture and results:
            picture(results, given.picture, heading)
    if interrupts.pressed:
        return INTERRUPTED
    return int(any(result.left_out.startswith(("refused", "failed")) for result in results))


def command_line() -> argparse.ArgumentParser:
    """What can be said on the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=(__doc__ or "").partition("\n")[0])
    add = parser.add_argument
    add("names", nargs="*", metavar="NAME", help="which workloads (default: all)")
    add("--list", action="store_true", help="list the workloads, with their cases")
    add("--peers", nargs="+", default=[], metavar="PEER", help=f"only these and {BY_HAND} (default: all there are)")
    add("--threads", nargs="+", default=["one", "all"], choices=("one", "all"), help="how many (default: one, then all)")
    add("--rounds", type=int, default=15, metavar="N", help="in which each peer has one turn (default: %(default)s)")
    add("--fast", action="store_true", help="small versions, three rounds: shows that it runs, and nothing else")
    add("--json", type=Path, metavar="FILE", help="store the results, with the numbers of each round")
    add("--picture", type=Path, metavar="FILE", help="draw them as multiples of NumPy by hand")
    return parser


if __name__ == "__main__":
    sys.exit(main())

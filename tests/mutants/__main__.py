"""scripts/mutants: the mutants of rooms, or a sample of them, and the map of which tests run which function."""

from __future__ import annotations

import argparse
import datetime
import random
import sys
from collections.abc import Sequence

from . import page
from .covering import MAP, Recorder, load, store
from .functions import functions, room_of, rooms, wrong_versions
from .trying import ROOT, Tried, Trying, pytest_run

LEFT_OUT = {  # tests that break things on purpose themselves, take long, or run in another process
    "demos",
    "benchmarks",
    "mutants",
    "test_mutants.py",
    "test_mutation.py",
    "test_engine_mutants.py",
    "test_adding.py",
    "test_options.py",
    "test_page_browser.py",
    "test_page_numbers.py",
    "test_program_browser.py",
    "test_other_frameworks.py",
}


def say(text: str) -> None:
    """Print a line at once."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def main(arguments: Sequence[str] | None = None) -> int:
    """What the command line asks for; 1 where a mutant stays alive that is not on the page."""
    parser = argparse.ArgumentParser("scripts/mutants", description=__doc__)
    parser.add_argument("room", nargs="*", help="rooms, or functions such as augment.geometry.shift; all if none")
    parser.add_argument(
        "--sample", type=int, metavar="N", help="try N mutants of each room; without a room, of those on the page"
    )
    parser.add_argument("--seed", type=int, help="of the sample; that of the day if not said")
    parser.add_argument(
        "--map", action="store_true", help="record anew which tests run which function: room is then files of tests"
    )
    asked = parser.parse_args(arguments)
    if asked.map:
        return _map(asked.room)
    wanted = [name for name in functions() if not asked.room or room_of(name) in asked.room or name in asked.room]
    if not wanted:
        parser.error(f"got {' '.join(asked.room)}, expected rooms or functions: {', '.join(rooms())}")
    day = datetime.date.today().toordinal() if asked.seed is None else asked.seed
    if asked.sample is not None and not asked.room:
        return _sample(wanted, asked.sample, day)
    return _all(wanted, [room for room in rooms() if not asked.room or room in asked.room], asked.sample, day)


def _map(files: Sequence[str]) -> int:
    """Run tests and store which functions they run."""
    recorder = Recorder()
    there = sorted((ROOT / "tests").rglob("test_*.py"))
    chosen = [str(p.relative_to(ROOT)) for p in there if LEFT_OUT.isdisjoint(p.relative_to(ROOT).parts)]
    pytest_run(files or chosen, recorder)
    store(recorder)
    failed = sorted(recorder.failed)
    say(f"{len(recorder.seconds)} tests in {sum(recorder.seconds.values()):.0f} s; {MAP.stat().st_size / 1e3:.0f} kB")
    for test in failed:
        say(f"does not pass, and is left out: {test}")
    return 0


def _sample(wanted: Sequence[str], n: int, day: int) -> int:
    """Try a sample of mutants of the rooms of which all were tried before."""
    ready = set(page.whole_rooms())
    tried = sample([name for name in wanted if room_of(name) in ready], n, day)
    say(f"{len(tried)} mutants, seed {day}")
    return _told(tried, whole_files=True)


def sample(names: Sequence[str], n: int, seed: int) -> list[Tried]:
    """Draw mutants that no rule explains, of functions of which something is known: the longer ones more often."""
    draw, there, known = random.Random(seed), functions(), page.noticing()
    names = [name for name in names if name in known]
    sizes = [len(there[name].__code__.co_code) for name in names]
    drawn: list[Tried] = []
    while len(drawn) < n and names:
        (name,) = draw.choices(names, sizes)
        made = [Tried(name, mutant, known[name]) for mutant in wrong_versions(there[name])]
        if expected := [one for one in made if not page.rules_for(one)]:
            drawn.append(draw.choice(expected))
    return drawn


def _all(wanted: Sequence[str], whole: Sequence[str], n: int | None, day: int) -> int:
    """Try every mutant of some functions, or n of each room; write the page for rooms, unless it knows more already."""
    _, by_function = load()
    there, known = functions(), page.noticing()
    tests = {name: [*dict.fromkeys([*known.get(name, ()), *by_function.get(name, ())])] for name in wanted}
    made = [Tried(name, m, tests[name]) for name in wanted for m in wrong_versions(there[name])]
    by_room = {room: [one for one in made if room_of(one.name) == room] for room in dict.fromkeys(map(room_of, wanted))}
    if n is not None:
        draw = random.Random(day)
        tried = {room: draw.sample(mine, min(n, len(mine))) for room, mine in by_room.items()}
    else:
        tried = by_room
    status = _told([one for mine in tried.values() for one in mine])
    for room in whole:
        if n is None or room not in page.whole_rooms():
            page.update(room, len(by_room[room]), sum(room_of(name) == room for name in there), tried[room])
        if n is None:
            page.remember(room, tried[room])
            for rule in page.idle_rules(room, tried[room]):
                say(f"explains nothing: {room}: {rule}")
                status = 1
    return status


def _told(tried: Sequence[Tried], whole_files: bool = False) -> int:
    """Try mutants and print those that stay alive, or all of a few."""
    seconds, _ = load()
    files = sorted(
        {test.partition("::")[0] for one in tried for test in one.tests if (ROOT / test.partition("::")[0]).exists()}
    )
    trying = Trying(tried, seconds, whole_files)
    pytest_run(files, trying)
    _, lists = page.read()
    known = {entry for entries in lists.values() for entry in entries}
    alive = [one for one in tried if page.outcome(one) == "alive"]
    new = [one for one in alive if f"- `{page.line(one)}`" not in known]
    for one in tried if len(tried) < 30 else alive:
        say(f"{page.outcome(one):9} {one}   {one.mutant.line}   {one.by or ''} {one.seconds:.1f} s")
    for one in tried:
        if one.by and (rules := page.rules_for(one)):
            say(f"noticed, although a rule explains it: {one}   {one.mutant.line}   {rules} {one.by}")
    for test in trying.wrong:
        say(f"fails without a mutant: {test}")
    counts = {
        kind: sum(page.outcome(one) == kind for one in tried) for kind in ("killed", "explained", "alive", "unreached")
    }
    spent = sum(one.seconds for one in tried)
    say(", ".join(f"{n} {kind}" for kind, n in counts.items()) + f"; {spent / max(len(tried), 1):.2f} s of CPU each")
    if new:
        say("write a test that notices what is alive, or say in tests/mutants/explained.py why none can; then run its room")
    return int(bool(new or trying.wrong))


if __name__ == "__main__":
    sys.exit(main())

"""The runner of mutants tells what tests notice from what they do not, and a sample of the day is noticed.

The mutants themselves, all of a room, are tried by `scripts/mutants ROOM`; what came of them stands in MUTANTS.md.
"""

import datetime
import inspect
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from mutants import covering, page
from mutants.__main__ import main, sample
from mutants.explained import EXPLAINED
from mutants.functions import functions, relocated, room_of, rooms, wrong_versions
from mutants.trying import Tried

import tinyreg as tr

ROOT = Path(__file__).parents[1]


def run(*arguments, program=None):
    """What `scripts/mutants` prints, or a program that has its modules at hand, and its status."""
    command = [sys.executable, "-c", program] if program else [sys.executable, "-m", "mutants"]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT / "tests"), str(ROOT)])}
    done = subprocess.run(
        [*command, *map(str, arguments)],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=900,
    )
    return done.stdout, done.returncode


def test_a_sample_of_the_day_is_noticed():
    printed, status = run("--sample", 10)
    sys.stdout.write(printed)
    assert status == 0, printed


def test_a_sample_is_the_same_for_a_seed_and_another_for_another():
    names = [name for name in functions() if room_of(name) in ("random", "dropout")]
    first, again, other = ([*map(str, sample(names, 5, seed))] for seed in (1, 1, 2))
    assert len(first) == 5
    assert first == again
    assert set(first) != set(other)
    assert all(name.startswith(("random.", "dropout.")) for name in first)
    assert sample(["structure.nothing"], 5, 1) == []


def test_what_is_no_room_is_refused(capsys):
    with pytest.raises(SystemExit, match="2"):
        main(["cellar"])
    said = capsys.readouterr().err
    assert "got cellar, expected rooms or functions: " in said
    assert "random" in said


# ---- what a process tells of a mutant

TESTS = """
import subprocess
import sys
import threading
import time
from tinyreg.structure import leaves

def all_of(tree):
    return [*leaves(tree)] == [1, 2]

def test_of_nothing(): pass
def test_of_the_first(): assert next(leaves([1, 2])) == 1
def test_of_all(): assert all_of([1, 2])
def test_of_the_exit(): all_of([1, 2]) or sys.exit()
def test_of_time():
    while not all_of([1, 2]): pass
def test_of_waiting(): all_of([1, 2]) or threading.Event().wait()
def test_of_work():
    until = time.process_time() + 2.5
    while time.process_time() < until and not all_of([1, 2]): pass
def test_of_memory(): all_of([1, 2]) or bytearray(2**38)
def test_of_what_it_leaves():
    if not all_of([1, 2]):
        sleeper = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        open("{mark}", "w").write(str(sleeper.pid))
        assert False
def test_that_is_wrong(): assert False
"""

PROGRAM = """
import json, sys
from mutants import trying
from mutants.functions import functions, wrong_versions

trying.SECONDS, trying.WALL = 1, 2.0
file, *asked = sys.argv[1:]
(mutant,) = [m for m in wrong_versions(functions()["structure.leaves"]) if m.name.endswith("[:1]:`")]
tried = [trying.Tried("structure.leaves", mutant, [f"::{test}" for test in tests.split()]) for tests in asked]
plugin = trying.Trying(tried, {})
trying.pytest_run([file], plugin)
print(json.dumps([[one.by and one.by.partition("::")[2] for one in tried], plugin.wrong]))
"""


def test_what_a_test_notices_is_told_from_what_none_does(tmp_path):
    mark = tmp_path / "mark"
    file = tmp_path / "test_of_leaves.py"
    file.write_text(TESTS.replace("{mark}", str(mark)))
    asked = [
        "test_of_nothing test_of_the_first",
        "test_of_nothing test_of_the_first test_of_all test_of_time",
        "test_of_the_exit",
        "test_of_time",
        "test_of_waiting",
        "test_of_work",
        "test_of_memory",
        "test_of_what_it_leaves",
        "test_that_is_wrong",
        "test_that_is_wrong test_of_all",
        "",
    ]
    printed, status = run(file, *asked, program=PROGRAM)
    assert status == 0, printed
    by, wrong = json.loads(printed.splitlines()[-1])
    assert by == [
        None,
        "test_of_all",
        "test_of_the_exit",
        "test_of_time",
        "test_of_waiting",
        None,
        "test_of_memory",
        "test_of_what_it_leaves",
        None,
        "test_of_all",
        None,
    ]
    assert [test.partition("::")[2] for test in wrong] == ["test_that_is_wrong"]
    assert is_over(int(mark.read_text()))


def is_over(process):
    """Whether a process has ended, perhaps without anyone to ask how."""
    status = Path(f"/proc/{process}/stat")
    return not status.exists() or status.read_text().rpartition(")")[2].split()[0] == "Z"


def test_a_mutant_is_wrong_wherever_its_function_is_bound_and_says_that_it_stands_in_its_file():
    right = functions()["structure.leaves"]
    mutant = wrong_versions(right)[0]
    assert relocated(mutant.function.__code__, "here.py").co_filename == "here.py"
    nested = functions()["core.checkpoint.checkpoint"]
    codes = [c for c in relocated(nested.__code__, "here.py").co_consts if hasattr(c, "co_filename")]
    assert {c.co_filename for c in codes} == {"here.py"}


# ---- which functions there are, and what is known of them


def test_the_functions_are_those_of_the_package_without_derivatives():
    there = functions()
    assert {"random.Generator.bernoulli", "random.Generator.state", "random.Generator.state#2"} <= there.keys()
    assert there["augment.geometry.mirror"] is inspect.unwrap(tr.augment.geometry.mirror.forward)
    vjps = [rule[1] for rule in tr.exp.rules]
    assert not any(f in vjps for f in there.values())
    assert {room_of(name) for name in there} == set(rooms())
    assert {"random", "dropout", "augment", "training", "optim", "files", "nn", "losses", "explore", "testing"} <= set(
        rooms()
    )


@pytest.mark.parametrize("name", ["random.Generator.beta", "optim.clipping.clip_grad_norm", "training.saving.save"])
def test_a_function_has_mutants_that_can_be_put_in_its_place(name):
    right = functions()[name]
    made = wrong_versions(right)
    assert made
    assert len({m.name for m in made}) == len(made)
    before = right.__code__
    for mutant in made:
        right.__code__ = relocated(mutant.function.__code__, before.co_filename)
    right.__code__ = before


def test_the_rules_have_reasons_and_stand_under_rooms():
    assert EXPLAINED.keys() - {""} <= set(rooms())
    assert all(reason for rules in EXPLAINED.values() for reason in rules.values())


def of(room):
    return [Tried(n, m, ()) for n, f in functions().items() if room_of(n) == room for m in wrong_versions(f)]


def test_a_rule_may_be_narrowed_to_a_function_or_be_a_name(monkeypatch):
    mutants = of("random")
    monkeypatch.setitem(EXPLAINED, "random", {"Generator.beta: A.beta(B, C, D) -> A.beta(C, B, D)": "because"})
    (one,) = [one for one in mutants if page.rules_for(one)]
    assert one.name == "random.Generator.beta"
    monkeypatch.setitem(EXPLAINED, "random", {one.mutant.name.replace("`", ""): "because"})
    assert [other for other in mutants if page.rules_for(other)] == [one]
    monkeypatch.setitem(EXPLAINED, "random", {"Generator.normal: A.beta(B, C, D) -> A.beta(C, B, D)": "because"})
    assert not any(map(page.rules_for, mutants))


def test_a_rule_that_explains_nothing_is_told(monkeypatch):
    mutants = of("random")
    monkeypatch.setitem(EXPLAINED, "random", {"A.beta(B, C, D) -> A.beta(C, B, D)": "because", "cellar -> loft": "because"})
    assert page.idle_rules("random", mutants) == ["cellar -> loft"]


def test_the_page_holds_a_row_for_each_room_and_what_is_alive(monkeypatch, tmp_path):
    monkeypatch.setattr(page, "PAGE", tmp_path / "MUTANTS.md")
    monkeypatch.setattr(page, "NOTICING", tmp_path / "noticing.json")
    first, second, third = (
        Tried("blocks.by_blocks", m, ["tests/a.py::b"]) for m in wrong_versions(functions()["blocks.by_blocks"])[:3]
    )
    first.by, first.seconds = "tests/a.py::b", 3.0
    third.tests = ()
    page.update("blocks", 9, 2, [first, second, third])
    page.update("random", 2, 1, [first, first])
    rows, lists = page.read()
    today = datetime.date.today()
    assert rows["blocks"] == f"| blocks | 2 | 9 | 3 | 1 | 0 | 1 | 1 | 1.00 | {today} |"
    assert rows["random"] == f"| random | 1 | 2 | 2 | 2 | 0 | 0 | 0 | 3.00 | {today} |"
    assert lists == {"blocks": [f"- `{page.line(second)}`"]}
    assert page.whole_rooms() == ["random"]
    page.update("blocks", 9, 2, [first])
    assert page.read()[1] == {}
    page.remember("blocks", [first, second])
    assert page.noticing() == {"blocks.by_blocks": ["tests/a.py::b"]}


def test_quick_tests_of_the_room_are_asked_first_and_of_others_those_that_run_little():
    own = ["tests/nn/test_a.py::f[1]", "tests/nn/test_a.py::f[2]", "tests/nn/test_a.py::g"]
    others = ["tests/optim/test_b.py::h", "tests/optim/test_b.py::i", "tests/test_c.py::j"]
    tests = [*own, *others]
    seconds = dict(zip(tests, [0.1, 0.2, 0.5, 0.15, 0.15, 0.1], strict=True))
    reached = dict(zip(tests, [9, 9, 9, 9, 1, 50], strict=True))
    assert covering.chosen("nn.f", tests, seconds, reached) == [*own[::2], own[1], others[1], others[2], others[0]]
    assert covering.chosen("optim.f", tests, seconds, reached)[:2] == others[:2]
    assert covering.chosen("nn.f", own, dict.fromkeys(own, 4.0), reached) == [own[0], own[2]]

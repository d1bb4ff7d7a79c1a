"""The benchmarks run, compare before they time, and store what they print; how fast anything is, no test says."""

import functools
import json
import math
import signal
from pathlib import Path

import pytest

import tinyreg as tr
from benchmarks import __main__ as command
from benchmarks import processes, report
from benchmarks.libraries import hand, numpy_by_hand
from benchmarks.machine import surroundings
from benchmarks.measure import Plan, Result, difference, measure, take_turns
from benchmarks.peers import BY_HAND, OURS, PEERS
from benchmarks.report import above
from benchmarks.worker import Runner, fingerprint, replies
from benchmarks.workloads import WORKLOADS, ops
from tinyreg.processes import started

STEPPING = [w for w in WORKLOADS.values() if w.quantity == "seconds" and BY_HAND not in (w.without or {})]
SMALL = [(workload.name, case) for workload in STEPPING for case in workload.small]
NETWORKS = WORKLOADS["networks"]
VERSIONS = functools.cache(processes.versions)  # which starts every peer


def first_steps(peer, workload, case):
    return Runner(PEERS[peer].start()).prepare(workload, WORKLOADS[workload].small[case])


@pytest.mark.parametrize(("workload", "case"), SMALL)
def test_tinyreg_and_numpy_by_hand_do_the_same(workload, case):
    assert not difference(first_steps(OURS, workload, case), first_steps(BY_HAND, workload, case))


@pytest.mark.parametrize("workload", ["networks", "convolution", "transformer"])
@pytest.mark.parametrize(
    ("module", "setting", "value"),
    [
        (numpy_by_hand, "L2", 0.0),
        (numpy_by_hand, "LR", 0.051),
        (numpy_by_hand, "MAX_NORM", 1e9),
        (hand, "MOMENTUM", 0.89),
        (hand, "SMOOTHING", 0.0),
        (hand, "EPS", 1e-3),
    ],
)
def test_no_part_of_a_training_step_can_be_left_out_unnoticed(monkeypatch, workload, module, setting, value):
    case = next(iter(WORKLOADS[workload].small))
    right = first_steps(BY_HAND, workload, case)
    monkeypatch.setattr(module, setting, value)
    assert difference(first_steps(BY_HAND, workload, case), right)


@pytest.mark.parametrize("peer", [BY_HAND, OURS])
@pytest.mark.parametrize("name", ["networks", "transformer", "parts"])
def test_dropout_is_off_while_values_are_compared_and_on_while_steps_are_timed(peer, name):
    runner = Runner(PEERS[peer].start())
    settings = next(settings for settings in WORKLOADS[name].small.values() if "p" in settings)
    compared = runner.prepare(name, settings)
    assert runner.prepare(name, settings) == compared
    what, value = next(iter(runner.program.values(runner.program.step()).items()))
    assert fingerprint(runner.library.numpy(value)) != compared[f"{what} of step 1"]


def test_table_json_and_picture_are_written_and_who_is_not_there_is_named(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(command, "versions", VERSIONS)
    stored, drawn = tmp_path / "results.json", tmp_path / "results.png"
    arguments = ["networks", "chain", "--fast", "--threads", "one", "--peers", OURS]
    assert command.main([*arguments, "--json", str(stored), "--picture", str(drawn)]) == 0
    printed, results = capsys.readouterr().out, json.loads(stored.read_text())
    assert {"date", "cpu", "python", "versions", "missing"} <= results.keys()
    assert "OPENBLAS_CORETYPE unset" in printed
    assert results["OPENBLAS_CORETYPE"] is None
    assert {r["case"] for r in results["results"]} == {*NETWORKS.small, *WORKLOADS["chain"].small}
    for result in results["results"]:
        assert result["peer"] in (BY_HAND, OURS)
        assert len(result["rounds"]) == 3
        low, median, high = (result["ratios"][BY_HAND][name] for name in ("quartile_1", "median", "quartile_3"))
        assert 0 < low <= median <= high
        assert f"{median:.3g} [{low:.3g} {high:.3g}]" in printed
        if result["peer"] == BY_HAND:
            assert (low, median, high) == (1, 1, 1)
    for name in results["missing"]:
        assert f"{name} is left out: " in printed
    assert results["versions"].keys() | results["missing"].keys() <= PEERS.keys()
    assert drawn.read_bytes().startswith(b"\x89PNG")


def test_a_peer_that_does_not_start_is_left_out_with_its_reason_but_not_tinyreg(monkeypatch):
    def broken(entrant):
        raise FileNotFoundError("No such file or directory: 'clang'")

    monkeypatch.setattr(type(PEERS[OURS]), "start", broken)
    reason = "it does not start: FileNotFoundError: No such file or directory: 'clang'"
    assert list(replies("tinygrad")) == [{"missing": reason}]
    with pytest.raises(FileNotFoundError):
        list(replies(OURS))


@pytest.mark.parametrize("name", ["imports", "memory"])
def test_what_needs_fresh_processes_is_measured_too(name):
    workload = WORKLOADS[name]
    case, settings = list(workload.small.items())[-1]
    by_hand, ours = measure(workload, {case: settings}, [BY_HAND, OURS], Plan(rounds=1, seconds=0.0))
    assert len(ours.rounds) == 1
    assert ours.rounds[0] >= 0
    assert by_hand.rounds or by_hand.left_out == "checkpoint is not written out by hand"


CAPTURED, DEFINITIONS = "tinyreg captured (NumPy)", "tinyreg captured, definitions only"
FRESH = ["first call", "compiling", "memory later", "arena"]


def measured_small(name, peers):
    """What peers come to in the first small case of a workload."""
    case, settings = next(iter(WORKLOADS[name].small.items()))
    return list(measure(WORKLOADS[name], {case: settings}, peers, Plan(rounds=1, seconds=0.001)))


@pytest.mark.parametrize("name", FRESH)
def test_what_a_program_costs_is_told_by_a_fresh_process(name):
    ours, captured = measured_small(name, [OURS, CAPTURED])
    assert len(captured.rounds) == 1
    assert captured.rounds[0] > 0 or name == "memory later"
    assert ours.left_out == ("there is no program" if name == "arena" else "")


def test_the_overhead_of_a_call_is_the_way_to_its_first_instruction():
    ours, captured = measured_small("overhead", [OURS, CAPTURED])
    assert ours.left_out == "there is no program"
    (whole,) = measured_small("networks", [CAPTURED])
    assert 0 < captured.rounds[0] < 1000 * whole.rounds[0]  # us and ms


def test_without_fast_forms_a_captured_step_does_the_same():
    by_hand, captured = measured_small("networks", [BY_HAND, DEFINITIONS])
    if "llvmlite" in captured.left_out or DEFINITIONS not in VERSIONS()[0]:
        pytest.skip(captured.left_out)
    assert by_hand.rounds
    assert captured.rounds
    (program,) = measured_small("arena", [DEFINITIONS])
    (fast,) = measured_small("arena", ["tinyreg captured (native)"])
    assert program.rounds != fast.rounds  # it is another program


class Scripted:
    """A peer that answers from a script."""

    def __init__(self, name, values, seconds=None):
        self.name, self.values = name, {"loss of step 1": values}
        self.timed = {"seconds": 1.0} if seconds is None else seconds

    def ask(self, **request):
        return {"values": self.values} if "prepare" in request else self.timed


def test_a_peer_that_computes_something_else_is_refused():
    peers = [Scripted("right", [2.0, -2.0]), Scripted("other sign", [2.0, 2.0]), Scripted("nan", [float("nan"), -2.0])]
    found = take_turns(NETWORKS, {}, peers, Plan(rounds=2, seconds=0.0))
    assert found["right"] == [1.0, 1.0]
    assert found["other sign"] == "refused, because it computes something else: loss of step 1 is 2 and not -2"
    assert found["nan"] == "refused, because it computes something else: loss of step 1 is nan and not 2"


def test_a_peer_that_fails_is_named_and_the_others_go_on():
    peers = [Scripted("right", [2.0, -2.0]), Scripted("broken", [2.0, -2.0], {"lacks": "failed: no memory"})]
    found = take_turns(NETWORKS, {}, peers, Plan(rounds=2, seconds=0.0))
    assert found == {"right": [1.0, 1.0], "broken": "failed: no memory"}


def interrupted_after(cases, again):
    """A measurement during which Ctrl-C is pressed once so many cases are done, and a second time while it ends."""

    def measure(workload, asked, names, plan):
        try:
            for case in list(asked)[:cases]:
                yield from [Result(workload.name, case, plan.threads, workload.unit, name, [1.0]) for name in names]
            signal.raise_signal(signal.SIGINT)
        finally:
            again()

    return measure


@pytest.mark.parametrize("cases", [0, 1, 2])
def test_ctrl_c_keeps_the_cases_that_are_done_and_a_second_one_does_not_lose_them(tmp_path, capsys, monkeypatch, cases):
    stored, drawn = tmp_path / "results.json", tmp_path / "results.png"

    def press():
        signal.raise_signal(signal.SIGINT)

    def storing(*given):
        press()
        return report.stored(*given)

    stored.write_text('{"results": []}')
    monkeypatch.setattr(command, "versions", VERSIONS)
    monkeypatch.setattr(command, "measure", interrupted_after(cases, press))
    monkeypatch.setattr(command, "stored", storing)
    arguments = ["networks", "chain", "--fast", "--threads", "one", "--peers", OURS]
    assert command.main([*arguments, "--json", str(stored), "--picture", str(drawn)]) == command.INTERRUPTED
    found = json.loads(stored.read_text())["results"]  # where nothing was done, what was there before
    assert [result["case"] for result in found if result["peer"] == OURS] == list(NETWORKS.small)[:cases]
    assert drawn.exists() == bool(cases)
    assert "interrupted in networks" in capsys.readouterr().err
    with pytest.raises(KeyboardInterrupt):  # as before the command
        press()


def test_a_peer_that_does_not_answer_is_stopped(monkeypatch):
    monkeypatch.setattr(processes, "PATIENCE", 0.5)
    monkeypatch.setattr(processes, "started", lambda command, **settings: started(["sleep", "600"], **settings))
    with pytest.raises(TimeoutError, match=r"the process of tinyreg has not answered after 0.5 seconds, and was stopped"):
        processes.Peer(OURS)


def test_workloads_are_listed_and_unknown_names_are_refused(capsys):
    assert command.main(["--list"]) == 0
    listed = capsys.readouterr().out
    assert all(f"{name}: " in listed for name in WORKLOADS)
    with pytest.raises(SystemExit):
        command.main(["netwroks"])
    assert f"unknown workload netwroks; there are: {', '.join(WORKLOADS)}" in capsys.readouterr().err


@pytest.mark.parametrize(("threads", "number"), [("one", "1"), ("all", "4")])
def test_measured_processes_have_the_threads_that_were_asked_for_and_free_kernels(monkeypatch, threads, number):
    monkeypatch.setattr("os.cpu_count", lambda: 4)
    monkeypatch.setenv("OPENBLAS_CORETYPE", "Prescott")
    monkeypatch.setenv("OMP_NUM_THREADS", "8")
    assert "OPENBLAS_CORETYPE" not in surroundings(threads)
    assert surroundings(threads)["OMP_NUM_THREADS"] == number
    assert surroundings(threads)["TINYREG_CACHE"] == ""  # or a second run would compile nothing


# ---- what docs/speed.md says of them

ROOT = Path(__file__).parents[2]
NATIVE = "tinyreg captured (native)"
SHOWN = (
    "tinyreg",
    "tinyreg, memory kept",
    "tinyreg captured (NumPy)",
    NATIVE,
    "PyTorch eager",
    "PyTorch compiled",
    "JAX jit",
)


def measured(name):
    """What a training step took in a stored result, as a multiple of NumPy by hand: by case and peer."""
    stored = json.loads((ROOT / "benchmarks" / "results" / f"{name}.json").read_text())
    cases = {}
    for result in stored["results"]:
        if result["workload"] in ("networks", "convolution", "transformer"):
            cases.setdefault(result["case"], {})[result["peer"]] = result["ratios"]["numpy by hand"]["median"]
    return cases


def test_what_the_page_says_of_memory_is_what_was_measured():
    stored = json.loads((ROOT / "benchmarks" / "results" / "2026-11-27-memory.json").read_text())
    smallest, *others = [case for name in ("networks", "convolution", "transformer") for case in WORKLOADS[name].cases]
    ours = [result for result in stored["results"] if result["peer"].startswith(OURS)]
    ratios = [result["ratios"]["PyTorch eager"]["median"] for result in ours if result["case"] in others]
    mb = {r["peer"]: r["spread"]["median"] for r in stored["results"] if r["case"] == smallest}
    said = " ".join((ROOT / "docs" / "speed.md").read_text(encoding="utf-8").split())
    assert f"is {min(ratios):.1f} to {max(ratios):.1f} of PyTorch eager's on all but the smallest network" in said
    assert f"it is {mb[OURS]:.1f} MB against {mb['PyTorch eager']:.1f}" in said


def test_the_table_of_the_page_is_what_was_measured():
    page = (ROOT / "docs" / "speed.md").read_text(encoding="utf-8")
    cases = measured("2026-11-29-captured")
    rows = [f"| {case} | {' | '.join(f'{of[peer]:.2f}' for peer in SHOWN)} |" for case, of in cases.items()]
    assert "measured on 2026-11-29" in page
    assert len(rows) == 5
    assert [row for row in rows if row not in page.splitlines()] == []


def test_what_page_and_readme_say_of_captured_steps_is_what_was_measured():
    cases = measured("2026-11-29-captured").values()
    assert [min(of.keys() - {"numpy by hand"}, key=of.get) for of in cases] == [NATIVE] * 5
    ahead = {peer: sum(of[NATIVE] < 0.95 * of[peer] for of in cases) for peer in ("PyTorch compiled", "JAX jit")}
    assert ahead == {"PyTorch compiled": 5, "JAX jit": 4}


def test_what_the_page_says_of_chains_is_what_was_measured():
    stored = json.loads((ROOT / "benchmarks" / "results" / "2026-11-29-cpu.json").read_text())
    ours = [result for result in stored["results"] if (result["workload"], result["peer"]) == ("chain", OURS)]
    *ratios, mixed = sorted(result["ratios"]["PyTorch eager"]["median"] for result in ours)
    said = " ".join((ROOT / "docs" / "speed.md").read_text(encoding="utf-8").split())
    assert f"takes {ratios[0]:.1f} to {ratios[-1]:.1f} of PyTorch eager's time, and {mixed:.1f} where" in said


# ---- the table of ops


def test_what_the_table_of_ops_lacks_is_said(monkeypatch):
    assert ops.not_compared() == []
    assert all(ops.LEFT_OUT.values())
    monkeypatch.setattr(tr.ops, "__all__", [*tr.ops.__all__, "cube"])
    assert ops.not_compared() == ["cube"]


@pytest.mark.parametrize("name", ops.NAMES)
def test_every_row_of_the_table_of_ops_runs(name):
    case = ops.OPS.small[f"{name}, tiny"]
    values = Runner(PEERS[OURS].start()).prepare("ops", case)
    row = ops.LAYERS[name.removeprefix("nn.")] if name.startswith("nn.") else ops.ROWS[name]
    assert all(math.isfinite(norm) for norm, _ in values.values())
    assert any(not key.startswith("value") for key in values) == getattr(row, "gradient", True)


def test_what_takes_long_is_listed_slowest_first():
    def result(case, peer, seconds, workload="ops"):
        return Result(workload, case, "one", "us", peer, [seconds] * 3)

    pairs = [("a", 4.0), ("b", 2.9), ("c", 8.0)]
    results = [result(case, peer, s) for case, t in pairs for peer, s in ((OURS, t), ("PyTorch eager", 1.0))]
    lines = above(results, explained={"a": "it does more"}).splitlines()
    assert lines[0] == "above 3 times PyTorch eager: 2"
    assert [line.split()[0] for line in lines[1:]] == ["c", "a"]
    assert [line.partition(": ")[2] for line in lines[1:]] == ["not explained", "it does more"]


def test_what_is_explained_is_a_case():
    assert ops.EXPLAINED.keys() <= ops.OPS.cases.keys()

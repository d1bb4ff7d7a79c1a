"""Seeds of a demo in one process and in several: the same numbers, one progress bar, and what Ctrl-C and faults leave."""

import os
import signal
import time
from dataclasses import replace

import pytest

import tinyreg as tr
from demos.seeds import Work, over_seeds
from tinyreg.interrupts import counted

FAULTY = 2


def drawn(seed, fast, tick):
    """Numbers that depend on the seed, the form and the backend, and on the process that drew them."""
    tick()
    number = tr.tensor(tr.Generator(seed).normal(shape=(2,)))
    tick()
    return number.tolist(), number.backend, fast, os.getpid()


def faulty(seed, fast, tick):
    if seed == FAULTY:
        raise ValueError("a fault in the demo")
    return seed


def endless(seed, fast, tick):
    """Ends for seed 0 only, and then presses Ctrl-C where the bar is shown."""
    while seed:
        tick()
        time.sleep(0.01)
    os.kill(os.getppid(), signal.SIGINT) if fast else signal.raise_signal(signal.SIGINT)
    return seed


@pytest.mark.parametrize("fast", [False, True])
def test_processes_measure_what_one_measures_and_seeds_come_in_order(fast, capsys):
    one, several = (over_seeds(Work(drawn, fast, "numpy", 2), 3, jobs) for jobs in (1, 2))
    assert [run[:3] for run in several] == [run[:3] for run in one]
    assert [numbers for numbers, *_ in one] == [
        tr.tensor(tr.Generator(seed).normal(shape=(2,))).tolist() for seed in range(3)
    ]
    assert {run[1:3] for run in several} == {("numpy", fast)}
    assert {run[3] for run in one} == {os.getpid()}
    assert os.getpid() not in {run[3] for run in several}
    assert capsys.readouterr().err.count("6/6") >= 2


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_fault_in_a_measurement_is_heard_of(jobs, capsys):
    with pytest.raises(ValueError, match="a fault in the demo"):
        over_seeds(Work(faulty, True, "numpy", 1), 4, jobs)


def test_ctrl_c_ends_processes_that_measure_and_leaves_what_was_finished(capsys):
    with counted() as interrupts:
        began = time.monotonic()
        found = over_seeds(Work(endless, True, "numpy", 1), 3, 2, interrupts)
    assert found in ([], [0])  # the press may come before the number does
    assert interrupts.pressed == 1
    assert time.monotonic() - began < 60
    assert f"stopped after {len(found)} of 3 seeds" in capsys.readouterr().err


def counting(seed, fast, tick):
    """Notes in a file of the working folder that it was asked."""
    with open("asked.txt", "a") as file:
        file.write(f"{seed} ")
    tick()
    return seed / 3


@pytest.mark.parametrize("jobs", [1, 2])
def test_what_is_finished_is_not_measured_again(jobs, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    work = Work(counting, False, "numpy", 1, tmp_path / "finished")
    assert over_seeds(work, 2, jobs) == [0.0, 1 / 3]
    assert over_seeds(work, 3, jobs) == [0.0, 1 / 3, 2 / 3]
    assert sorted((tmp_path / "asked.txt").read_text().split()) == ["0", "1", "2"]
    assert "3/3" in capsys.readouterr().err


def test_nothing_is_taken_from_a_run_of_other_code_on_another_backend_or_of_another_size(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    work = Work(counting, False, "numpy", 1, tmp_path / "finished")
    over_seeds(work, 1, 1)
    over_seeds(replace(work, backend="standin"), 1, 1)
    over_seeds(replace(work, size="large"), 1, 1)
    monkeypatch.setattr("demos.seeds.code", lambda: "other")
    over_seeds(work, 1, 1)
    over_seeds(replace(work, finished=None), 1, 1)
    assert (tmp_path / "asked.txt").read_text().split() == ["0"] * 5

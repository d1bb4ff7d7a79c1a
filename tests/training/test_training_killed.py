"""A run that is killed at any moment, and started again, ends as one that was not: bit for bit, on NumPy."""

import os
import random
import shutil
import signal
import subprocess
import sys
from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest
import training_run
from training_run import comparable

import tinyreg as tr
from tinyreg.processes import limited, started
from tinyreg.training import load

HERE = Path(__file__).parent
IN_A_SAVE = training_run.MOMENTS[2:]


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    """What the run leaves when nobody kills it, and how often it passes each moment."""
    folder = tmp_path_factory.mktemp("uninterrupted")
    passed, ended = run(folder, kill_at=None)
    assert ended
    return comparable(load(folder / "result")), Counter(passed)


def run(folder, kill_at, answered=False):
    """Start the run, or go on with it, and kill it at a moment: its name, and how often it comes before.

    With `answered`, it is killed just after, while it goes on. Gives the moments that were passed, and whether it ended
    by itself, because the moment never came.
    """
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(HERE.parent), str(HERE)]), "TINYREG_BACKEND": "numpy"}
    command = [sys.executable, str(HERE / "training_run.py"), str(folder / "checkpoint"), str(folder / "result")]
    passed = []
    settings = {"env": environment, "text": True, "stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with started(command, **settings) as process, limited(process, 300):
        for line in process.stdout:
            passed.append(line.strip())
            last = kill_at is not None and passed.count(kill_at[0]) > kill_at[1]
            if answered or not last:
                process.stdin.write("\n")
                process.stdin.flush()
            if last and passed[-1] == kill_at[0]:
                process.send_signal(signal.SIGKILL)
                break
        process.stdin.close()
        ended = process.wait(60)
    assert ended in (0, -signal.SIGKILL)
    return passed, ended == 0


def test_a_run_in_one_process_is_the_same_as_in_another(tmp_path, uninterrupted):
    expected, _ = uninterrupted
    tr.training.save(tmp_path / "here", **training_run.train(checkpoint=None))
    assert comparable(load(tmp_path / "here")) == expected


def test_the_run_is_one_in_which_a_mistake_would_show(uninterrupted):
    expected, passed = uninterrupted
    assert set(passed) == set(training_run.MOMENTS)
    assert len(expected["history"]["epochs"]) >= 5
    assert 1 <= expected["early"]["best_epoch"] < len(expected["history"]["epochs"])
    assert all(a["loss"] != b["loss"] for a, b in pairwise(expected["history"]["epochs"]))


@pytest.mark.parametrize("seed", range(3))
def test_killed_again_and_again_it_ends_as_if_it_had_not_been(tmp_path, uninterrupted, seed):
    expected, _ = uninterrupted
    chance = random.Random(seed)
    ended, kills = False, 0
    while not ended:
        kill_at = (chance.choice(training_run.MOMENTS), chance.randrange(3))
        _, ended = run(tmp_path, kill_at, answered=chance.random() < 0.5)
        kills += not ended
        if (tmp_path / "checkpoint").exists():
            load(tmp_path / "checkpoint")
    assert kills >= 3
    assert comparable(load(tmp_path / "result")) == expected
    assert set(os.listdir(tmp_path)) == {"checkpoint", "result"}


@pytest.mark.parametrize("moment", IN_A_SAVE)
def test_killed_in_a_save_it_leaves_the_old_or_the_new_file_whole(tmp_path, moment):
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()
    run(first, ("replaced", 0))
    old = (first / "checkpoint").read_bytes()
    shutil.copytree(first, second)
    run(second, (moment, 0))
    epochs = len(load(second / "checkpoint")["history"]["epochs"])
    assert epochs == (2 if moment == "replaced" else 1)
    assert ((second / "checkpoint").read_bytes() == old) == (moment != "replaced")
    assert len(os.listdir(second)) == (1 if moment == "replaced" else 2)  # what it was writing is still there
    run(second, ("replaced", 0))
    assert os.listdir(second) == ["checkpoint"]

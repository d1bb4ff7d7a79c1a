"""The demos: that they run and show what the run gave, and what the command line refuses."""

import itertools
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import tinyreg as tr
from demos import __main__ as command
from demos import weight_decay
from demos.base import Difference, Settings, aligned, mean_and_spread, over_seeds
from demos.data import digits
from demos.weight_decay import Scores

PNG = b"\x89PNG\r\n\x1a\n"


# ---- the command


def test_the_main_job_in_its_fast_form(tmp_path):
    arguments = [sys.executable, "-m", "demos", "--fast", "--seeds", "1", "--out", str(tmp_path), "--backend", "numpy"]
    done = subprocess.run(arguments, capture_output=True, text=True, cwd=Path(__file__).parents[1], check=False)
    assert done.returncode == 0, done.stderr
    assert "weight_decay (exercise 6.1): Does L2" in done.stdout
    assert "After 20 epochs on 50 digits" in done.stdout
    assert "Found over a single seed, which says little: with L2 of strength 0.01, " in done.stdout
    assert "40/40" in done.stderr  # the progress bar
    assert (tmp_path / "weight_decay.png").read_bytes().startswith(PNG)


def test_the_list_gives_question_and_time(capsys):
    assert command.main(["--list"]) == 0
    said = capsys.readouterr().out
    for demo in command.DEMOS.values():
        assert f"{demo.name}   exercise {demo.exercise}, about {demo.seconds} s\n    {demo.question}\n" in said


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["overfitting"], "unknown demo overfitting; there are: weight_decay"),
        (["--backend", "tpu"], "unknown backend 'tpu': expected one of 'numpy', 'cupy'"),
        (["--seeds", "0"], "argument --seeds: got 0, expected at least 1"),
        (["--seeds", "many"], "argument --seeds: invalid positive value: 'many'"),
    ],
)
def test_what_the_command_line_refuses(arguments, text, capsys):
    with pytest.raises(SystemExit) as exit:
        command.main(arguments)
    assert exit.value.code == 2
    assert text in capsys.readouterr().err


def test_a_backend_that_does_not_work_here_says_why(capsys):
    if tr.backends()["cupy"] == "ready":
        pytest.skip("CuPy works here")
    with pytest.raises(SystemExit):
        command.main(["--backend", "cupy"])
    assert tr.backends()["cupy"] in capsys.readouterr().err


def test_a_missing_package_is_named_before_anything_runs(monkeypatch, capsys):
    monkeypatch.setitem(command.OPTIONAL, "no_such_module", "no-such-package")
    with pytest.raises(SystemExit):
        command.main([])
    assert "the demos need no-such-package: pip install -e '.[demos]'" in capsys.readouterr().err


# ---- what a run shows


def test_the_table_has_the_numbers_of_the_runs(tmp_path, backend):
    pairs = [weight_decay.both(seed, lambda: None, weight_decay.FAST_EPOCHS, backend) for seed in (0, 1)]
    result = weight_decay.run(Settings(backend, 2, True, tmp_path))
    rows = {row[0]: row[1:] for row in result.table}
    last = np.array([[run[-1] for run in pair] for pair in pairs])  # seed, without and with L2, score
    for column, (row, decimals) in enumerate(
        [
            ("training loss (nats)", 4),
            ("validation loss (nats)", 3),
            ("training accuracy (%)", 1),
            ("validation accuracy (%)", 1),
            ("norm of the weights", 1),
        ]
    ):
        before, after = last[:, 0, column], last[:, 1, column]
        change = after - before
        expected = [(v.mean(), v.std(ddof=1)) for v in (before, after)]
        cells = [f"{mean:.{decimals}f} ± {spread:.{decimals}f}" for mean, spread in expected]
        cells.append(f"{change.mean():+.{decimals}f} ± {change.std(ddof=1) / 2**0.5:.{decimals}f}")
        assert rows[row] == cells
    gaps = (last[:, :, 1] - last[:, :, 0]).mean(axis=0)
    assert [cell.split(" ")[0] for cell in rows["gap of the losses"]][:2] == [f"{gap:.3f}" for gap in gaps]
    assert result.complete
    assert result.picture.read_bytes().startswith(PNG)


def test_l2_makes_the_weights_smaller(backend):
    splits = digits(1, 0, backend)
    runs = [weight_decay.train(*splits, strength, 0, 40, lambda: None) for strength in (0.0, 0.1)]
    assert runs[1][-1].weight_norm < 0.9 * runs[0][-1].weight_norm


def test_digits_are_split_without_overlap_and_evenly(backend):
    training, validation = digits(5, 3, backend)
    assert (training.images.shape, validation.images.shape) == ((50, 64), (1747, 64))
    assert np.bincount(training.labels.numpy()).tolist() == [5] * 10
    assert (training.images.dtype, training.labels.dtype) == ("float32", "int64")
    assert (validation.images.numpy().min(), validation.images.numpy().max()) == (0.0, 1.0)
    whole = np.concatenate([training.images.numpy(), validation.images.numpy()])
    again, _ = digits(5, 3, backend)
    other, _ = digits(5, 4, backend)
    np.testing.assert_array_equal(again.images.numpy(), training.images.numpy())
    assert not np.array_equal(other.images.numpy(), training.images.numpy())
    from sklearn.datasets import load_digits

    assert whole.sum(dtype=float) == pytest.approx(load_digits().data.sum() / 16, rel=1e-12)


# ---- what is said, whichever way it went


def runs(validation_losses, accuracy=80.0):
    return [[Scores(0.1, loss, 100.0, accuracy, 5.0)] for loss in validation_losses]


@pytest.mark.parametrize(
    ("with_l2", "text"),
    [
        ([0.5, 0.6, 0.41], "the validation loss 0.497 nats lower,"),
        ([1.5, 1.6, 1.41], "the validation loss 0.503 nats higher,"),
        ([0.5, 1.6, 0.91], "the validation loss not clearly different (+0.003 ± 0.289 nats),"),
    ],
)
def test_the_finding_says_what_the_numbers_say(with_l2, text):
    assert text in weight_decay.finding(runs([1.0, 1.1, 0.9]), runs(with_l2))


def test_one_seed_finds_nothing():
    said = weight_decay.finding(runs([1.0]), runs([0.1], accuracy=99.0))
    assert "over a single seed" in said
    assert "the validation loss not clearly different (-0.900 nats)" in said


def test_spread_and_difference():
    assert mean_and_spread([1.0, 3.0], 2) == "2.00 ± 1.41"
    assert mean_and_spread([1.0], 2) == "1.00"
    assert Difference.between([1.0, 1.0], [2.0, 4.0]) == Difference(2.0, 1.0)
    assert not Difference(2.0, 1.0).clear
    assert Difference(-2.1, 1.0).clear
    assert not Difference(0.0, 0.0).clear
    assert aligned([["", "a"], ["row", "1.5"]]) == "        a\n---------\nrow   1.5"


# ---- interrupted


def stopping_after(monkeypatch, runs_done):
    count = itertools.count()
    train = weight_decay.train

    def stopped(*arguments):
        if next(count) == runs_done:
            raise KeyboardInterrupt
        return train(*arguments)

    monkeypatch.setattr(weight_decay, "train", stopped)


def test_ctrl_c_leaves_what_was_finished(monkeypatch, tmp_path, capsys):
    stopping_after(monkeypatch, 3)
    assert command.main(["--fast", "--seeds", "4", "--out", str(tmp_path), "--backend", "numpy"]) == command.INTERRUPTED
    said = capsys.readouterr()
    assert "Found over a single seed" in said.out
    assert "stopped after 1 of 4 seeds" in said.err
    assert (tmp_path / "weight_decay.png").exists()


def test_ctrl_c_before_anything_was_finished(monkeypatch, tmp_path, capsys):
    stopping_after(monkeypatch, 1)
    assert command.main(["--fast", "--out", str(tmp_path), "--backend", "numpy"]) == command.INTERRUPTED
    assert "nothing to show" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_seeds_run_in_order_and_tick(capsys):
    assert over_seeds(3, 2, lambda seed, tick: (tick(), tick()) and 10 * seed) == [0, 10, 20]
    assert "6/6" in capsys.readouterr().err

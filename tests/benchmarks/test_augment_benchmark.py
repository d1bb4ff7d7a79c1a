"""The benchmark of augmentation compares before it times, says who is not there, and stores what it prints."""

import json
import statistics
from pathlib import Path

import numpy as np
import pytest

from benchmarks import augment, image_loops


def test_the_benchmark_runs_and_stores_what_it_prints(tmp_path, capsys):
    file = tmp_path / "augment.json"
    augment.main(["--images", "6", "--few", "2", "--rounds", "2", "--json", str(file)])
    printed, stored = capsys.readouterr().out, json.loads(file.read_text())
    assert {"date", "cpu", "python", "images", "few", "rounds"} <= stored.keys()
    assert list(stored["beside"]) == list(augment.LOOPS)
    assert "OPENBLAS_CORETYPE unset" in printed
    scipy = stored["beside"]["scipy.ndimage"]
    assert [len(times) for times in scipy["seconds"].values()] == [2, 2]
    assert f"made the same pictures; ratio of the loop's 2 images to tinyreg's 6: {scipy['ratio']:.2f}" in printed
    for name, found in stored["beside"].items():
        assert "missing" not in found or f"{name}: left out, {found['missing']}" in printed


def test_a_library_that_is_not_installed_is_left_out(monkeypatch):
    def absent():
        raise ModuleNotFoundError("No module named 'absent'")

    monkeypatch.setitem(augment.LOOPS, "absent", absent)
    found = augment.measure("absent", 4, 2, 1)
    assert found == {"missing": "No module named 'absent'"}
    assert augment.told("absent", found, {"tinyreg": 4, "loop": 2}) == "absent: left out, No module named 'absent'"


def test_a_library_that_fails_is_left_out_and_the_others_go_on(capfd):
    found = augment.measured("no such library", 4, 2, 1)
    assert found == {"missing": "failed with status 1; see its error above"}
    assert "KeyError: 'no such library'" in capfd.readouterr().err


def test_a_loop_that_makes_something_else_is_not_timed(monkeypatch):
    class Darker(image_loops.SciPy):
        def __call__(self, images, numbers):
            return super().__call__(images, numbers) * np.float32(0.99)

    monkeypatch.setitem(augment.LOOPS, "scipy.ndimage", Darker)
    with pytest.raises(AssertionError, match="Not equal to tolerance"):
        augment.measure("scipy.ndimage", 4, 2, 1)


@pytest.mark.parametrize(("row", "column", "expected"), [(0, 31, (4, 5)), (16, 16, (8, 8)), (3, 29, (7, 7))])
def test_what_is_over_the_edge_of_a_box_is_cut_off(row, column, expected):
    image = np.zeros((32, 32))
    assert image[image_loops.box(row, column)].shape == expected


def test_the_numbers_of_the_page_are_what_was_measured():
    root = Path(__file__).parents[2]
    stored = json.loads((root / "benchmarks" / "results" / "2026-11-25-augment.json").read_text())

    def rate(beside, who, images):
        seconds = statistics.median(stored["beside"][beside]["seconds"][who])
        return f"{round(images / seconds, -3 if images > 100 else -2):,.0f}"

    ours = rate("scipy.ndimage", "tinyreg", stored["images"])
    theirs = [rate(name, name, stored["few"]) for name in ("scipy.ndimage", "torchvision", "albumentations")]
    said = (
        f"on one core (`python -m benchmarks.augment`): {ours} a second in tinyreg's batches; one by one {theirs[0]} with "
        f"scipy.ndimage, {theirs[1]} with torchvision, {theirs[2]} with Albumentations."
    )
    assert said in " ".join((root / "docs" / "speed.md").read_text(encoding="utf-8").split())

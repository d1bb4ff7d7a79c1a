"""The benchmark of augmentation compares before it times, and stores what it prints."""

import json

from benchmarks import augment


def test_the_benchmark_runs_and_stores_what_it_prints(tmp_path, capsys):
    file = tmp_path / "augment.json"
    augment.main(["--images", "6", "--few", "2", "--rounds", "2", "--json", str(file)])
    printed, stored = capsys.readouterr().out, json.loads(file.read_text())
    assert {"date", "cpu", "python", "versions", "ratio"} <= stored.keys()
    assert all(len(times) == 2 for times in stored["seconds"].values())
    assert f"ratio of the loop's 2 images to tinyreg's 6: {stored['ratio']:.2f}" in printed
    assert "OPENBLAS_CORETYPE unset" in printed

"""The benchmarks run, compare before they time, and store what they print; how fast anything is, no test says."""

import json

import numpy as np
import pytest

from benchmarks import chain, peers
from benchmarks.machine import surroundings


@pytest.mark.parametrize("name", peers.LEAVES)
def test_tinyreg_and_numpy_by_hand_do_the_same(name):
    for ours, by_hand in zip(peers.tinyreg()(name, 7), peers.by_hand()(name, 7), strict=True):
        np.testing.assert_allclose(ours, by_hand, rtol=1e-6)


def test_the_chain_benchmark_runs_and_stores_what_it_prints(tmp_path, capsys):
    file = tmp_path / "chain.json"
    chain.main(["--ops", "6", "--rounds", "2", "--imports", "2", "--json", str(file)])
    printed, stored = capsys.readouterr().out, json.loads(file.read_text())
    assert list(stored["chains"]) == list(peers.LEAVES)
    assert {"date", "cpu", "python", "versions"} <= stored.keys()
    for by_peer in stored["chains"].values():
        assert {"numpy by hand", "tinyreg"} <= by_peer.keys()
        assert by_peer["tinyreg"]["ratio"] == 1
        assert all(f"{result['median']:.2f}" in printed for result in by_peer.values())
    for name in peers.PEERS:
        assert (f"{name} is left out: " in printed) != (name in stored["versions"])
    assert "OPENBLAS_CORETYPE unset" in printed


def test_a_peer_that_computes_something_else_is_not_timed():
    class Wrong:
        name = "wrong"

        def round(self, chain, ops):
            return {"values": [[1.0] * 4] * (1 + len(peers.LEAVES[chain]))}

    right = chain.Peer("numpy by hand")
    try:
        with pytest.raises(AssertionError, match="wrong and numpy by hand differ in the value of the chain constant"):
            chain.compare([right, Wrong()], 3)
    finally:
        right.close()


def test_measured_processes_have_one_thread_and_free_kernels(monkeypatch):
    monkeypatch.setenv("OPENBLAS_CORETYPE", "Prescott")
    monkeypatch.setenv("OMP_NUM_THREADS", "8")
    assert "OPENBLAS_CORETYPE" not in surroundings()
    assert surroundings()["OMP_NUM_THREADS"] == "1"

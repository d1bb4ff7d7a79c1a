"""Arms beside each other: the table has the numbers of the runs, and a star says what Holm's procedure says."""

import numpy as np
import pytest

from demos.compared import SCORES, Comparison
from demos.estimate import Estimate, chance, together


def made(effects, seeds=8, noise=1.0):
    """Runs in which a baseline has 80 of every score, and each arm so much more."""
    rng = np.random.default_rng(0)
    return [
        {"none": dict.fromkeys(SCORES, 80.0)}
        | {arm: {score: 80 + effect + rng.normal(0, noise) for score in SCORES} for arm, effect in effects.items()}
        for _ in range(seeds)
    ]


def compared(runs):
    return Comparison(runs, dict.fromkeys(list(runs[0])[1:], "none"), SCORES)


def test_the_table_has_every_score_and_its_change_from_pairs():
    runs = made({"a": 3.0, "b": -0.1})
    head, *rows = compared(runs).table()
    assert head == ["", *(cell for score in SCORES.values() for cell in (score.head, "change"))]
    assert [row[0] for row in rows] == ["none", "a", "b"]
    for arm, *cells in rows:
        for k, (score, (_, decimals, _)) in enumerate(SCORES.items()):
            mean = np.mean([run[arm][score] for run in runs])
            assert cells[2 * k].split(" ")[0] == f"{mean:.{decimals}f}"
            assert cells[2 * k + 1].split(" ")[0] == ("" if arm == "none" else f"{mean - 80:+.{decimals}f}")


def test_a_star_stands_where_the_interval_is_without_0():
    found = compared(made({"a": 3.0, "b": 0.0}))
    for arm, *cells in found.table()[2:]:
        for cell, score in zip(cells[1::2], SCORES, strict=True):
            assert cell.endswith("*") == found.changes[arm, score].clear == (arm == "a")


def test_of_arms_that_do_nothing_one_is_starred_in_at_most_5_percent_of_tables_and_not_so_without_holm():
    tables = np.random.default_rng(0).normal(size=(300, 10, 6))  # changes, seeds
    by_holm = [any(one.clear for one in together(dict(enumerate(table.tolist()))).values()) for table in tables]
    alone = [any(Estimate.of(changes).clear for changes in table.tolist()) for table in tables]
    assert np.mean(by_holm) < 0.08 < 0.3 < np.mean(alone)


def test_an_interval_excludes_0_where_holm_rejects():
    rng = np.random.default_rng(1)
    for _ in range(50):
        changes = {k: rng.normal(rng.choice([0, 1]), 1, 6).tolist() for k in range(8)}
        found = together(changes)
        ordered = sorted(changes, key=lambda k: chance(changes[k]))
        rejected, n = set(), len(changes)
        for rank, k in enumerate(ordered):
            if chance(changes[k]) >= 0.05 / (n - rank):
                break
            rejected.add(k)
        assert {k for k, one in found.items() if one.clear} == rejected


def test_a_change_in_words_has_the_unit_of_its_score():
    found = compared(made({"a": 3.0, "b": 0.0}))
    assert " points higher" in found.said("a", "accuracy")
    assert " nats higher" in found.said("a", "loss")
    assert "not clearly different" in found.said("b", "loss")


def test_a_single_seed_stars_nothing():
    assert not any(one.clear for one in compared(made({"a": 9.0}, seeds=1)).changes.values())


@pytest.mark.parametrize("n", [2, 6])
def test_the_note_says_over_how_many_changes_the_levels_are(n):
    assert f"the {n * len(SCORES)} changes" in compared(made(dict.fromkeys("abcdef"[:n], 0.0))).note().replace("\n", " ")

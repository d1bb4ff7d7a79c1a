"""The claims of the chapter: what is compared, when a claim is confirmed, and what is said of it."""

import math
import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from fast_runs import fast_runs

import tinyreg as tr
from demos import arms
from demos.arms import Arm
from demos.base import Settings
from demos.claims import DEMO, chapter, lab, page
from demos.claims.chapter import CLAIMS
from demos.claims.verdicts import (
    CONFIRMED,
    CONTRADICTED,
    DEPENDS,
    NOT_SEEN,
    VERDICTS,
    Evidence,
    of_claim,
)
from demos.estimate import LEVEL, Estimate, by_holm

ROOT = Path(__file__).parents[2]


def evidence(expected, changes, **more):
    return Evidence("", "points", expected, [0.0] * len(changes), changes, **more)


UP, DOWN, UNSURE = [1.0, 1.1, 0.9, 1.2], [-1.0, -1.1, -0.9, -1.2], [1.0, -1.1, 0.9, -1.2]


@pytest.mark.parametrize(
    ("expected", "changes", "verdict"),
    [
        ("higher", UP, CONFIRMED),
        ("lower", UP, CONTRADICTED),
        ("lower", DOWN, CONFIRMED),
        ("higher", DOWN, CONTRADICTED),
        ("higher", UNSURE, NOT_SEEN),
        ("higher", [1.0], NOT_SEEN),
        ("higher", [0.0] * 4, NOT_SEEN),
        (1.5, UP, CONFIRMED),
        (1.1, UP, NOT_SEEN),  # its interval reaches further
        (0.5, UP, CONTRADICTED),
        (0.0, [0.0] * 4, CONFIRMED),
    ],
)
def test_a_change_is_judged_by_its_interval(expected, changes, verdict):
    assert evidence(expected, changes).verdict == verdict


def test_a_stricter_level_has_a_wider_interval():
    assert evidence("higher", UP).change == Estimate.of(UP)
    assert evidence("higher", UP, level=LEVEL / 10).change == Estimate.of(UP, among=10)


@pytest.mark.parametrize(
    ("verdicts", "verdict"),
    [
        ([CONFIRMED, CONFIRMED], CONFIRMED),
        ([NOT_SEEN, NOT_SEEN], NOT_SEEN),
        ([CONFIRMED, NOT_SEEN], DEPENDS),
        ([CONFIRMED, CONTRADICTED], DEPENDS),
        ([CONTRADICTED, NOT_SEEN], CONTRADICTED),
    ],
)
def test_a_claim_depends_where_only_some_of_its_tests_confirm_it(verdicts, verdict):
    of = {CONFIRMED: UP, CONTRADICTED: DOWN, NOT_SEEN: UNSURE}
    assert of_claim([evidence("higher", of[one]) for one in verdicts]) == verdict


def test_holm_is_that_of_the_textbook():
    """Of 0.01, 0.04, 0.03, 0.005 the second and the third fail: 0.03 is above 0.05 / 2, and from there on all do."""
    p = [0.01, 0.04, 0.03, 0.005]
    levels = by_holm(p)
    assert levels == [0.05 / 3, 0.05 / 2, 0.05 / 2, 0.05 / 4]
    assert [one < level for one, level in zip(p, levels, strict=True)] == [True, False, False, True]


def test_the_interval_and_p_say_the_same():
    rng = np.random.default_rng(0)
    for changes in rng.normal(0.5, 1.0, size=(200, 8)):
        one = evidence("higher", list(changes))
        assert (one.p < LEVEL) == one.change.clear


def test_four_in_five_of_the_least_detectable_changes_are_found():
    rng = np.random.default_rng(0)
    n, trials = 10, 4000
    least = math.fsum(evidence("higher", list(noise)).detectable for noise in rng.normal(size=(200, n))) / 200
    found = sum(evidence("higher", list(least + noise)).change.clear for noise in rng.normal(size=(trials, n)))
    assert 0.76 < found / trials < 0.84


def test_an_arm_is_trained_once_however_many_tests_ask_for_it(monkeypatch):
    trained = Counter()
    monkeypatch.setattr(arms, "scores", lambda arm, seed, fast: trained.update([arm]) or Counter())
    shared = lab.Lab(0, True)
    for claim in CLAIMS:
        for test in claim.tests:
            if not test.pair.__qualname__.startswith("fact"):
                test.pair(shared)
    assert set(trained.values()) == {1}
    assert len(trained) > 70


def test_arms_of_a_seed_start_from_the_same_weights():
    plain = dict(arms.network(Arm(), tr.Generator(0)).named_parameters())
    for arm in (Arm(dropout=(0.1, 0.2, 0.3)), Arm(l2=0.1), Arm(norm="batch"), Arm(norm="layer")):
        weights = [p for p in arms.network(arm, tr.Generator(0)).parameters() if p.ndim > 1]
        for a, b in zip(weights, [p for p in plain.values() if p.ndim > 1], strict=True):
            np.testing.assert_array_equal(a.numpy(), b.numpy())


def test_labels_drawn_anew_are_those_to_learn_from_alone():
    clean, noisy = (arms.digits(20, share, 0, None) for share in (0.0, 0.5))
    changed = (clean[0].labels != noisy[0].labels).numpy()
    assert 0.35 < changed.mean() < 0.55  # one in ten that is drawn anew is the same again
    for a, b in zip(clean[1:], noisy[1:], strict=True):
        np.testing.assert_array_equal(a.labels.numpy(), b.labels.numpy())


def test_proximal_steps_leave_zeros_and_the_gradient_of_l1_does_not():
    assert arms.scores(Arm(proximal=0.1), 0, True)["zeros"] > 0
    assert arms.scores(Arm(l1=0.1), 0, True)["zeros"] == 0


def test_there_are_about_forty_claims_of_every_section_with_its_own_words():
    assert len(CLAIMS) >= 40
    assert {claim.section for claim in CLAIMS} == {f"6.{k}" for k in range(1, 10)}
    assert len({claim.sentence for claim in CLAIMS}) == len(CLAIMS)
    assert all(claim.tests and claim.sentence.endswith(".") and len(claim.sentence.split()) <= 25 for claim in CLAIMS)


def test_the_report_has_the_verdicts_that_follow_from_the_runs(tmp_path):
    runs = fast_runs(DEMO)
    result = page.report(runs, Settings("numpy", 2, True, tmp_path))
    judged = page.judged(runs)
    assert [row[1].partition(" (")[0] for row in result.verdicts[1:]] == [of_claim(tests) for tests in judged]
    tests = [row for row in result.table[1:] if row[1]]
    assert [row[-1] for row in tests] == [one.verdict for claim in judged for one in claim]
    counts = Counter(map(of_claim, judged))
    assert all(f"{counts[verdict]} {verdict}".removesuffix("s") in result.finding for verdict in VERDICTS)
    assert len(result.finding.split()) <= 25
    assert result.picture.exists()
    text = (tmp_path / "claims.md").read_text(encoding="utf-8")
    assert f"**{result.finding}**" in text
    bold = re.findall(r"^\| \*\*(.*)\*\* \|  \|  \|  \| \*\*(.*)\*\* \|$", text, re.M)
    assert bold == [(row[0].partition(" ")[2], row[1]) for row in result.verdicts[1:]]
    assert text.count("\n| - ") == len(tests)


def test_every_technique_that_is_drawn_is_measured_on_all_data(tmp_path):
    run = fast_runs(DEMO)[0]
    assert run.losses.keys() == {"", *chapter.TECHNIQUES}
    assert {len(row) for row in run.losses.values()} == {len(lab.DATA)}


@pytest.mark.parametrize(
    ("value", "text"), [(0.0, "0"), (0.0123, "0.012"), (12.34, "12"), (1e-7, "1e-07"), (math.inf, "-"), (-0.5, "-0.50")]
)
def test_numbers_have_two_digits(value, text):
    assert page.rounded(value) == text


def test_the_page_in_the_documentation_has_each_claim_with_a_verdict():
    text = (ROOT / "docs" / "claims.md").read_text(encoding="utf-8")
    bold = dict(re.findall(r"^\| \*\*(.*)\*\* \|  \|  \|  \| \*\*(.*)\*\* \|$", text, re.M))
    assert list(bold) == [claim.sentence for claim in CLAIMS]
    assert {verdict.partition(" (")[0] for verdict in bold.values()} <= set(VERDICTS)
    assert re.findall(r"^\| - (.*?) \|", text, re.M) == [test.on for claim in CLAIMS for test in claim.tests]

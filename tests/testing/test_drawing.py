"""What a case is tried on rests on the case and its seeds, and on nothing else that is loaded."""

import subprocess
import sys

import hypothesis
import hypothesis.strategies as st
import pytest
from hypothesis import core

import tinyreg as tr
from tinyreg.testing import PROFILES, Case, use_profile
from tinyreg.testing.drawing import by_seed
from tinyreg.testing.search import each_call
from tinyreg.testing.strategies import elementwise

DRAWN = """
import hashlib, sys
import hypothesis.strategies as st
import tinyreg as tr
from tinyreg.testing import Case, use_profile
from tinyreg.testing.mutation.check import trials
from tinyreg.testing.search import each_call
from tinyreg.testing.strategies import arrays, calls

sys.path.insert(0, {folder!r})
{load}
settings = {{"k": st.integers(0, 100_000), "share": st.floats(0, 1), "word": st.text(max_size=20)}}
drawn = calls(arrays((2, 3), st.floats(-1e9, 1e9)), **settings)
case = Case(lambda x, k, share, word: x * 2.0, drawn, name="double")
digest = hashlib.sha256()
note = lambda call, seed: digest.update(repr((seed, call.settings, *(a.tobytes() for a in call.arrays))).encode())
{profile}
each_call(case, "survey", note)
for trial in trials(case)[0]:
    note(trial.call, trial.seed)
print(digest.hexdigest())
"""

CONSTANTS = "\n".join(f"OF_{n} = [{n}, {n / 977!r}, 'word number {n}']" for n in range(501, 9_999, 997))


def drawn(folder, load="", profile='use_profile("ci")'):
    program = DRAWN.format(folder=str(folder), load=load, profile=profile)
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True, timeout=600)
    return done.stdout


def test_a_case_draws_the_same_bits_whatever_modules_are_loaded(tmp_path):
    (tmp_path / "full_of_numbers.py").write_text(CONSTANTS)
    alone = drawn(tmp_path)
    assert drawn(tmp_path, "import full_of_numbers") == alone
    assert drawn(tmp_path, profile='use_profile("fast")') != alone


def test_a_seed_of_hypothesis_draws_other_calls_in_every_search_and_the_same_ones_again(monkeypatch):
    def searches(profile, seed):
        monkeypatch.setattr(core, "global_force_seed", seed)
        seen = {"first": [], "second": []}
        before = use_profile(profile)
        try:
            for name, seeds in seen.items():
                each_call(Case(tr.exp, elementwise()), name, lambda call, seed, seeds=seeds: seeds.append(seed))
        finally:
            use_profile(before)
        return seen

    monkeypatch.setitem(PROFILES, "deep", hypothesis.settings(PROFILES["deep"], max_examples=25, database=None))
    for profile in ("fast", "deep"):
        one = searches(profile, 1)
        assert one == searches(profile, 1)
        assert len(set(one["first"])) > 15  # each five calls of a search are a search of their own
        assert one["first"] != one["second"]
        assert one["first"] != searches(profile, 2)["first"]
        assert one["first"] != searches(profile, "words")["first"]
    assert searches("fast", None)["first"] == searches("fast", None)["first"]
    assert searches("deep", None)["first"] != searches("deep", None)["first"]


def found(wanted):
    """Whether a search of Hypothesis comes to a number."""
    seen = set()

    @hypothesis.settings(max_examples=300, database=None, derandomize=True)
    @hypothesis.given(st.integers(2**39, 2**40))
    def look(n):
        seen.add(n)

    look()
    return wanted in seen


def test_other_searches_draw_what_they_did_before(tmp_path, monkeypatch):
    number = 2**39 + 12_345
    (tmp_path / "with_a_number.py").write_text(f"NUMBERS = [{number}]\n")
    monkeypatch.syspath_prepend(tmp_path)
    __import__("with_a_number")
    if not found(number):
        pytest.skip("this version of Hypothesis draws no constants of modules")
    with by_seed():
        assert not found(number)
        with by_seed():
            assert not found(number)
    with pytest.raises(KeyError), by_seed():
        raise KeyError
    assert found(number)

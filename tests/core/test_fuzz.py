"""The engine under random programs, beside the naive reference.

`--programs N` tries as many; `--profile deep` tries many, from a new seed. A failure says the seed, and shows a small
program that fails, as Python to be pasted and run in the folder of the tests.
"""

import random

import hypothesis
import pytest
from engine_mutants import functions, planted, wrong_versions
from hypothesis import strategies as st
from random_programs import KINDS, Program

from tinyreg.testing.drawing import by_seed

PROGRAMS = {"fast": 250, "ci": 1000, "deep": 20_000}
STEPS = st.lists(st.tuples(st.sampled_from(KINDS), st.integers(0, 10**9)), min_size=12, max_size=36)


def search(programs, seed):
    """Play programs, and raise what the smallest of those that fail raises, with its source."""

    @hypothesis.settings(max_examples=programs, database=None, deadline=None, report_multiple_bugs=False)
    @hypothesis.seed(seed)
    @hypothesis.given(STEPS)
    def played(steps):
        program = Program(steps)
        try:
            program.play()
        except (Exception, pytest.fail.Exception) as error:
            error.add_note(
                f"found by --programs {programs} --hypothesis-seed {seed}, in this program:\n\n{program.source()}\n"
            )
            raise

    with by_seed():
        played()


def test_random_programs(request):
    profile, seed = request.config.getoption("--profile") or "fast", request.config.getoption("--hypothesis-seed")
    if seed is None:
        seed = random.SystemRandom().randrange(10**6) if profile == "deep" else 0
    search(request.config.getoption("--programs") or PROGRAMS[profile], int(seed))


def source_of(error):
    """The program in the message of a search."""
    return error.__notes__[0].partition(":\n\n")[2]


def test_a_planted_fault_is_found_and_the_program_shows_it():
    right = functions()["tape._sum"]
    (mutant,) = [m for m in wrong_versions(right) if m.name == "`before + g` -> `before`"]
    with planted(right, mutant):
        with pytest.raises(AssertionError, match="got array") as caught:
            search(PROGRAMS["fast"], seed=0)
        source = source_of(caught.value)
        with pytest.raises(AssertionError, match="got array"):
            exec(source, {})
    exec(source, {})
    assert len(source.splitlines()) < 20

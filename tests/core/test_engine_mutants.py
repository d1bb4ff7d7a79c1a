"""Every wrong version of the engine is noticed by one of the small programs, which the right one passes.

The programs stand in engine_programs, composed_programs, edge_programs, replay_programs and operand_programs, the mutants
and the rules for those that no program can tell from the right engine in engine_mutants. Every fifth mutant of a function
is tried; with `--profile deep` every one.
"""

import pytest
from engine_mutants import EQUIVALENT, HELD_ELSEWHERE, excused, functions, verdicts, wrong_versions

FUNCTIONS = functions()


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_mutant_is_noticed(name, request):
    found = verdicts(FUNCTIONS[name], step=1 if request.config.getoption("--profile") == "deep" else 5)
    unnoticed = [mutant for mutant, killed, rules in found if not killed and not rules]
    assert not unnoticed, "nothing notices\n" + "\n".join(unnoticed)
    wronged = [f"{mutant}   {rules}" for mutant, killed, rules in found if killed and rules]
    assert not wronged, "a program notices what a rule says that none can\n" + "\n".join(wronged)


def test_every_rule_excuses_a_mutant():
    excuses = {rule for f in FUNCTIONS.values() for mutant in wrong_versions(f) for rule in excused(mutant)}
    assert excuses == (EQUIVALENT | HELD_ELSEWHERE).keys()

"""Every wrong version of the engine is noticed by one of the small programs, and the right one by none."""

import contextvars

import pytest
from composed_programs import PROGRAMS
from engine_mutants import EQUIVALENT, MUTANTS, planted


def noticed(f):
    """Whether a program says that something is wrong: in a context of its own, so that no switch stays as it was left."""
    try:
        contextvars.copy_context().run(f)
    except NameError:
        raise  # the mutant does not make sense
    except (Exception, pytest.fail.Exception):
        return True
    return False


@pytest.mark.parametrize("f", PROGRAMS, ids=lambda f: f.__name__)
def test_the_engine_is_right(f):
    f()


@pytest.mark.parametrize("name", MUTANTS)
def test_a_mutant_is_noticed(name):
    with planted(MUTANTS[name]):
        killers = [f.__name__ for f in PROGRAMS if noticed(f)]
    if name in EQUIVALENT:
        assert not killers, f"{name} is listed as equivalent ({EQUIVALENT[name]}), but {killers} tell it from the right one"
    else:
        assert killers, f"nothing notices: {name}"


def test_no_equivalent_mutant_is_listed_in_vain():
    assert set(EQUIVALENT) <= set(MUTANTS)

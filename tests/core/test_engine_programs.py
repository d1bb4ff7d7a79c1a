"""The engine is right in the eyes of the small programs that notice every wrong version of it: test_engine_mutants.py."""

import pytest
from operand_programs import PROGRAMS


@pytest.mark.parametrize("f", PROGRAMS, ids=lambda f: f.__name__)
def test_the_engine_is_right(f):
    f()

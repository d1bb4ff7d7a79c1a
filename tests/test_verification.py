"""tests/VERIFICATION.md says of every op what the code says; its counts of mutants are held by test_mutation.py."""

import re

import pytest
from cases import CASES
from verification import PAGE, engine, helpers, introduction, row, rows

TEXT = PAGE.read_text(encoding="utf-8")
HINT = "run python tests/verification.py"


def test_the_page_explains_itself():
    assert TEXT.startswith(introduction()), HINT
    assert engine() in TEXT, HINT


def test_the_page_has_a_row_for_every_op_and_every_shared_function_and_no_other():
    assert rows(TEXT).keys() == CASES.keys() | helpers().keys(), HINT


@pytest.mark.parametrize("case", [pytest.param(case, id=name) for name, case in CASES.items()])
def test_a_row_says_what_the_case_says(case):
    cells = rows(TEXT).get(case.name, [""] * 7)
    assert cells[:5] == row(case), HINT
    mutants, digits = cells[5:]
    assert re.fullmatch(r"-|\d+ of \d+", mutants)
    assert re.fullmatch(r"-|\d+\.\d \(\d+\.\d\)", digits)
    assert (digits == "-") == (case.order == 0)


def test_the_snapshot_has_its_date_machine_and_backends():
    assert re.search(
        r"\*\*Digits\*\* is a snapshot of \d{4}-\d\d-\d\d: .*\none comparison in twenty, on Python 3\.\d+\.\d+, NumPy", TEXT
    )
    assert "Other backends then: the stand-in for CuPy, which runs on the CPU, agreed with NumPy in every case" in TEXT


def test_an_outdated_row_is_noticed():
    outdated = TEXT.replace("| tanh | primitive | 2 |", "| tanh | primitive | 1 |")
    assert outdated != TEXT
    assert rows(outdated)["tanh"][:5] != row(CASES["tanh"])

"""The options and fixtures of conftest.py, each seen from a pytest run of its own."""

import shutil
from pathlib import Path

import pytest
from pytest_runs import pytest_run

import tinyreg as tr

TESTS = Path(__file__).parent


@pytest.fixture
def run(tmp_path):
    """Runs pytest on some source with this directory's conftest.py and returns what it printed."""

    def run(source, *options):
        shutil.copy(TESTS / "conftest.py", tmp_path)
        (tmp_path / "test_it.py").write_text("import pytest, tinyreg as tr\nfrom hypothesis import settings\n" + source)
        return pytest_run(tmp_path, "-ra", *options, str(tmp_path), path=(TESTS.parent, TESTS))[1]

    return run


BACKEND_TEST = "def test(backend): assert tr.zeros(1).backend == backend\n"


def test_a_backend_test_runs_on_every_backend(run):
    printed = run(BACKEND_TEST, "-v")
    assert "test[numpy] PASSED" in printed
    assert "test[standin] PASSED" in printed
    ready = tr.backends()["cupy"] == "ready"
    assert ("test[cupy] PASSED" in printed) == ready
    assert ("not tried: backend cupy: " in printed) != ready


@pytest.mark.parametrize("name", ["numpy", "standin"])
def test_the_option_chooses_one_backend(run, name):
    printed = run(BACKEND_TEST, "-v", "--backend", name)
    assert f"test[{name}] PASSED" in printed
    assert "1 passed" in printed


def test_cupy_alone_is_skipped_with_the_reason_where_it_does_not_work(run, tmp_path):
    (tmp_path / "cupy.py").write_text("raise ImportError('no cupy here')")
    printed = run(BACKEND_TEST, "--backend", "cupy")
    assert "1 skipped" in printed
    assert "backend 'cupy' does not work here: CuPy cannot be imported (no cupy here); install tinyreg[cuda12]" in printed


@pytest.mark.parametrize(
    ("mess", "said"),
    [
        ("tr.use('standin')", "default backend (None before, standin now)"),
        ("kept.append(tr.use('standin')); kept[0].__enter__()", "backend in this context (None before, standin now)"),
        ("tr.set_default_dtype('float64')", "default dtype (float32 before, float64 now)"),
        ("kept.append(tr.no_grad()); kept[0].__enter__()", "recording (True before, False now)"),
    ],
)
def test_a_test_that_leaves_a_switch_flipped_fails_and_the_next_one_does_not_see_it(run, mess, said):
    after = "(tr.zeros(1) + tr.ones(1, requires_grad=True)).requires_grad"
    printed = run(
        f"kept = []\n"
        f"def test_mess(): {mess}\n"
        f"def test_after(): assert {after} and tr.zeros(1).backend == 'numpy' and tr.zeros(1).dtype == 'float32'\n"
    )
    assert f"the test left behind: {said}" in printed
    assert "2 passed, 1 error" in printed


@pytest.mark.parametrize(
    ("options", "examples"),
    [
        ([], 25),
        (["--profile", "ci"], 100),
        (["--profile", "deep"], 2000),
        (["--tinyreg-profile", "ci"], 100),
        (["--hypothesis-profile", "ci"], 100),
        (["--hypothesis-profile", "default"], None),
    ],
)
def test_the_hypothesis_profile(run, options, examples):
    printed = run("def test(): print('examples', settings().max_examples, settings().deadline)\n", "-s", *options)
    assert f"examples {examples or 100} {None if examples else '0:00:00.200000'}" in printed


OPS = "@pytest.mark.parametrize('case', ['exp', 'log'])\ndef test(case): pass\ndef test_other(): pass\n"


def test_the_option_op_runs_what_is_asked_of_one_op_and_nothing_else(run):
    printed = run(OPS, "-v", "--op", "exp")
    assert "test_it.py::test[exp] PASSED" in printed
    assert "1 passed, 2 deselected" in printed


def test_the_option_op_refuses_a_name_that_no_test_is_about(run):
    assert "--op: got 'expp', expected the name of a case, such as 'softplus' or 'Linear'" in run(OPS, "--op", "expp")

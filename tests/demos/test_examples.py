"""The short examples: each runs, prints what it found and leaves its one picture.

With `--profile deep` each takes all of its steps, and shows what it is there to show; otherwise it takes two.
"""

import re
import runpy
from pathlib import Path

import matplotlib
import pytest

FOLDER = Path(__file__).parents[2] / "demos" / "examples"
EXAMPLES = sorted(FOLDER.glob("*.py"))
FOUND = {
    "lasso_path": lambda said: float(re.search(r"path: (\S+)", said)[1]) < 1e-5,
    "lstm": lambda said: float(re.search(r"come: (\S+)", said)[1]) < 0.3,
    "monte_carlo_dropout": lambda said: float.__lt__(*map(float, re.findall(r"\d\.\d+", said))),
    "overfitting": lambda said: float.__lt__(*map(float, re.findall(r"(\S+)% of other", said))),
    "own_op": lambda said: "pass" in said and float.__gt__(*map(float, re.findall(r"squared error (\S+)", said))),
    "physics": lambda said: float(re.search(r"\]: (\S+)", said)[1]) < 0.2,
    "training_loop": lambda said: float(re.findall(r"(\S+)% of 3,000", said)[-1]) > 90,
    "wgan": lambda said: float(re.search(r"(\d+)%", said)[1]) > 50,
}
"""Whether an example shows, run whole, what it is there to show."""


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """Runs an example in an empty folder, with so many steps or its own; gives what it printed, and the files it left."""

    def run(path, steps=None):
        source, number = re.subn(r"^(STEPS|EPOCHS) = \d+$", rf"\1 = {steps}", path.read_text(encoding="utf-8"), flags=re.M)
        assert number == 1
        copy = path if steps is None else tmp_path / "code" / path.name
        if steps is not None:
            copy.parent.mkdir()
            copy.write_text(source, encoding="utf-8")
        (tmp_path / "out").mkdir()
        monkeypatch.chdir(tmp_path / "out")
        with matplotlib.rc_context({"backend": "agg"}):
            runpy.run_path(str(copy), run_name="__main__")
        return capsys.readouterr().out, sorted(p.name for p in (tmp_path / "out").iterdir())

    return run


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_runs_and_leaves_a_picture(run, path, request):
    whole = request.config.getoption("--profile") == "deep"
    said, left = run(path, steps=None if whole else 2)
    assert left == [f"{path.stem}.png"]
    assert FOUND[path.stem](said) if whole else said


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_is_short_and_says_how_it_is_run(path):
    source = path.read_text(encoding="utf-8")
    assert len(source.splitlines()) <= 60
    assert f"`python demos/examples/{path.name}`" in source
    assert source.count("savefig") == 1


def test_the_list_names_every_example():
    named = re.findall(r"\]\((\w+\.py)\)", (FOLDER / "README.md").read_text(encoding="utf-8"))
    assert sorted(named) == [path.name for path in EXAMPLES]

"""The staircase of demos/internals: each step runs, and prints what its text and the README say."""

import contextlib
import importlib.util
import io
import re
import subprocess
import sys
from pathlib import Path

import pytest

import tinyreg as tr

FOLDER = Path(__file__).parents[2] / "demos" / "internals"
README = (FOLDER / "README.md").read_text(encoding="utf-8")
STEPS = sorted(FOLDER.glob("*.py"))
PRINTED = {}


def printed(step):
    """What a step prints: its lines, with one space where there are several."""
    if step not in PRINTED:
        done = subprocess.run([sys.executable, step], capture_output=True, text=True, check=False, timeout=600)
        assert (done.returncode, done.stderr) == (0, "")
        PRINTED[step] = [" ".join(line.split()) for line in done.stdout.splitlines()]
    return PRINTED[step]


def module(step):
    """A step as a module, whose functions can be called; what it prints is dropped."""
    spec = importlib.util.spec_from_file_location(step.stem, step)
    made = importlib.util.module_from_spec(spec)
    with contextlib.redirect_stdout(io.StringIO()):
        spec.loader.exec_module(made)
    return made


def text(step):
    """The docstring, which is what a reader sees first."""
    return step.read_text(encoding="utf-8").split('"""')[1]


def indented(lines, by):
    return [" ".join(line.split()) for line in lines.splitlines() if re.match(f" {{{by}}}\\S", line)]


def answer(number):
    """What the README says that a step answers."""
    folded = README.partition("<summary>The answers</summary>")[2]
    return indented(re.split(r"(?m)^\d\. ", folded)[number], 7)


def test_there_are_seven_steps_and_the_readme_lists_them_in_order():
    assert [step.name[:2] for step in STEPS] == [f"0{n}" for n in range(1, 8)]
    assert re.findall(r"\]\((\w+\.py)\)", README) == [step.name for step in STEPS]
    assert all((FOLDER / target).exists() for target in re.findall(r"\]\(([^)]+)\)", README))


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.stem)
def test_a_step_is_short_and_asks_before_it_is_run(step):
    assert len(step.read_text(encoding="utf-8").splitlines()) < 80
    assert re.search(
        rf"\nBefore you run this: [^\n]*.*\?.*\n\n    python demos/internals/{step.name}\n$", text(step), re.DOTALL
    )


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.stem)
def test_a_step_prints_every_line_that_its_text_shows(step):
    shown = [line for line in indented(text(step), 4) if not line.startswith("python ")]
    assert shown
    assert [line for line in shown if line not in printed(step)] == []


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.stem)
def test_a_step_answers_what_the_readme_says_and_its_text_does_not_give_away(step):
    answers = answer(int(step.name[:2]))
    assert answers
    assert [line for line in answers if line not in printed(step)] == []
    assert [line for line in answers if line in text(step)] == []


def test_what_is_said_in_a_sentence_is_printed_too():
    assert "where it is 20, a number larger by 0.001 makes the loss larger by about 0.020" in " ".join(
        text(STEPS[0]).split()
    )
    assert "w larger by 0.001: the loss is larger by 0.020" in printed(STEPS[0])
    assert "doubled ten times: 10 entries that save 0 bytes, and the gradient is 1,024" in printed(STEPS[2])


def test_the_steps_of_the_first_answer_are_bounded_as_the_readme_says():
    """Of the loss (2 w - 1)^2: a step below 0.125 leaves some of it, one above 0.25 makes it grow."""
    step = module(STEPS[0])

    def loss_after(rate):
        return step.forward(3 - rate * step.backward(3.0)[-1])[-1]

    before = step.forward(3.0)[-1]
    assert 0 == loss_after(0.125) < loss_after(0.1) < before
    assert loss_after(0.249) < before < loss_after(0.251)


def test_the_tape_by_hand_agrees_with_tinyreg_on_a_number_that_is_used_again_and_again():
    # micrograd#64: a = x + x; b = a + a is 4 x; and where uses are not of one age, only the order of time is right
    step = module(STEPS[1])

    def f(x):
        a = x + x
        b = a + a
        return a * (b * x + a) + x

    x = step.Number(3.0)
    assert step.gradients(f(x))[x] == tr.grad(f)(3.0).item()

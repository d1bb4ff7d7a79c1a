"""`python -m demos`: what can be asked for, what is refused, what Ctrl-C leaves, and that every demo keeps to the frame."""

import functools
import math
import pickle
import re
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from fast_runs import SEEDS, fast_runs, measured_anew, sharing
from findings import clear, unclear

import tinyreg as tr
from demos import __main__ as command
from demos import arms, picture, sizes
from demos.base import Demo, Result, Settings, aligned
from demos.seeds import Work

PNG = b"\x89PNG\r\n\x1a\n"


def measured(seed, fast, tick):
    tick()
    return float(seed)


def small(name, measure=measured, report=None):
    """A demo that measures next to nothing."""

    def report_of(runs, settings):
        figure, _ = picture.new(name, 1)
        path = picture.save(figure, settings.out / f"{name}.png", "")
        return Result([["", "sum"], ["seeds", f"{sum(runs):g}"]], "A note.", f"{len(runs)} seeds were run.", path)

    question = f"Does {name} run?"
    return Demo(
        name, "6.1", question, seconds=1, seeds=3, steps=lambda fast: 1, measure=measure, report=report or report_of
    )


def interrupted_at(seed):
    """A measurement during which Ctrl-C is pressed, at that seed."""

    def measure(this, fast, tick):
        if this == seed:
            signal.raise_signal(signal.SIGINT)
        return measured(this, fast, tick)

    return measure


@pytest.fixture
def run(monkeypatch, tmp_path, capsys):
    """Runs the command with these demos in place of the real ones; gives its status, and what it printed."""

    def command_with(demos, *arguments):
        monkeypatch.setattr(command, "NAMES", tuple(one.name for one in demos))
        monkeypatch.setattr(command, "MAIN_JOB", (demos[0].name,))
        monkeypatch.setattr(command, "demo", {one.name: one for one in demos}.get)
        status = command.main([*arguments, "--out", str(tmp_path / "out"), "--backend", "numpy", "--jobs", "1", "--fresh"])
        return status, *capsys.readouterr()

    return command_with


# ---- what is run


def test_the_main_job_in_its_fast_form(tmp_path):
    arguments = [sys.executable, "-m", "demos", "--fast", "--seeds", "1", "--out", tmp_path, "--backend", "numpy"]
    done = subprocess.run(
        arguments, capture_output=True, text=True, cwd=Path(__file__).parents[2], check=False, timeout=600
    )
    assert done.returncode == 0, done.stderr
    demo = command.demo("ladder")
    assert done.stdout.startswith(f"ladder ({demo.section}): {demo.question}\n")
    assert f"picture: {tmp_path / 'ladder.png'}\n" in done.stdout
    assert f"{demo.steps(True)}/{demo.steps(True)}" in done.stderr  # the progress bar
    for place in re.findall(r"\S+\.md", done.stdout.partition("Where to go next:")[2]):
        assert (Path(__file__).parents[2] / place).exists()
    assert (tmp_path / "ladder.png").read_bytes().startswith(PNG)


def test_by_default_the_main_job_is_run_over_its_own_number_of_seeds(run, tmp_path):
    status, out, err = run([small("one"), small("two")])
    assert (status, out.count("Does")) == (0, 1)
    assert out.startswith("one (6.1): Does one run?\nabout 1 s on two idle cores; nothing is downloaded\n\n")
    assert "\n\n        sum\n-----------\nseeds     3\nA note.\n\n3 seeds were run.\n\npicture: " in out
    assert "3 of 3 seeds" in err
    assert "3/3" in err
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["one.png"]


@pytest.mark.parametrize(
    ("arguments", "seeds"), [([], 3), (["--fast"], 2), (["--seeds", "5"], 5), (["--fast", "--seeds", "1"], 1)]
)
def test_the_number_of_seeds_and_the_form(run, arguments, seeds):
    forms = []
    assert run([small("one", measure=lambda seed, fast, tick: forms.append(fast) or 0.0)], *arguments)[0] == 0
    assert forms == ["--fast" in arguments] * seeds


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["two", "one"], ["two", "one"]),
        (["all"], ["one", "two"]),
        (["two", "all"], ["one", "two"]),
        (["one", "one"], ["one"]),
    ],
)
def test_each_demo_that_is_named_is_run_once(run, names, expected):
    assert re.findall(r"Does (\w+) run", run([small("one"), small("two")], *names)[1]) == expected


def test_a_demo_measures_on_the_backend_that_was_asked_for(backend, tmp_path):
    def measure(seed, fast, tick):
        assert tr.zeros(0).backend == backend
        return measured(seed, fast, tick)

    with tr.use("numpy"):
        assert small("one", measure).run(Settings(backend, 2, True, tmp_path)).seeds == 2


def test_the_list_gives_question_section_and_time(capsys):
    assert command.main(["--list"]) == 0
    said = capsys.readouterr().out
    for demo in map(command.demo, command.NAMES):
        assert f"{demo.name}   {demo.section}, about {demo.seconds} s\n    {demo.question}\n" in said


# ---- how large


def test_the_small_size_is_the_default_and_multiplies_by_one():
    assert set(sizes.SIZES[sizes.SMALL]) == {1}
    assert command.command_line().parse_args([]).size == Settings("numpy", 1, True, Path()).size == sizes.chosen()


@pytest.mark.parametrize("jobs", [1, 2])
def test_seeds_are_measured_and_reported_at_the_size_that_was_asked_for(jobs, tmp_path):
    def report(runs, settings):
        return Result([], f"{runs} {size_of(0, True, int)}", "", tmp_path)

    sized = small("one", size_of, report)
    assert sized.run(Settings("numpy", 2, True, tmp_path, jobs, size="large")).note == "[(160, 60), (160, 60)] (160, 60)"
    assert size_of(0, True, int) == (10, 10)


def size_of(seed, fast, tick):
    tick()
    return sizes.wide(10), sizes.more(10)


def test_what_most_demos_train_learns_at_the_large_size(tmp_path):
    """Four steps of a network of 2,048 units."""
    demo = small("one", lambda seed, fast, tick: tick() or arms.scores(arms.Arm(), seed, fast))
    large, usual = ({}, {})
    for found, size in ((large, "large"), (usual, "small")):
        report = functools.partial(noting, found, tmp_path)
        assert replace(demo, report=report).run(Settings("numpy", 1, True, tmp_path, size=size)).seeds == 1
    assert large["norm"] > 2 * usual["norm"]
    assert all(math.isfinite(value) for value in large.values())


def noting(found, folder, runs, settings):
    """A report that keeps what was measured."""
    found |= runs[0]
    return Result([], "", "", folder)


# ---- what is refused


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["overfitting"], "unknown demo overfitting; there are: ladder, claims, bias_variance"),
        (["all", "overfitting"], "unknown demo overfitting; there are: ladder"),
        (["--backend", "tpu"], "unknown backend 'tpu': expected one of 'numpy', 'cupy'"),
        (["--size", "huge"], "argument --size: invalid choice: 'huge'"),
        (["--seeds", "0"], "argument --seeds: got 0, expected at least 1"),
        (["--seeds", "many"], "argument --seeds: invalid positive value: 'many'"),
        (["--report", __file__], f"File exists: '{__file__}'"),
        (["--out", f"{__file__}/pictures"], f"Not a directory: '{__file__}/pictures'"),
    ],
)
def test_what_the_command_line_refuses(arguments, text, capsys):
    with pytest.raises(SystemExit) as exit:
        command.main(arguments)
    assert exit.value.code == 2
    assert text in capsys.readouterr().err


def test_a_backend_that_does_not_work_here_says_why(capsys):
    if tr.backends()["cupy"] == "ready":
        pytest.skip("CuPy works here")
    with pytest.raises(SystemExit):
        command.main(["--backend", "cupy"])
    assert tr.backends()["cupy"] in capsys.readouterr().err


def test_a_missing_package_is_named_before_anything_runs(monkeypatch, capsys):
    monkeypatch.setitem(command.OPTIONAL, "no_such_module", "no-such-package")
    with pytest.raises(SystemExit):
        command.main([])
    assert "the demos need no-such-package: pip install -e '.[demos]'" in capsys.readouterr().err


# ---- interrupted


def test_ctrl_c_leaves_the_seeds_that_were_finished(run, tmp_path):
    status, out, err = run([small("one", interrupted_at(2))])
    assert status == command.INTERRUPTED
    assert "2 seeds were run." in out
    assert "stopped after 2 of 3 seeds" in err
    assert (tmp_path / "out" / "one.png").exists()


def test_ctrl_c_before_a_seed_was_finished_says_so(run, tmp_path):
    status, _, err = run([small("one", interrupted_at(0))])
    assert status == command.INTERRUPTED
    assert "interrupted before the first seed was finished: nothing to show" in err
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize(("seed", "in_report"), [(0, ["one"]), (1, ["one", "two"])])
def test_ctrl_c_in_all_ends_it_and_leaves_pictures_and_a_report_of_what_was_done(run, tmp_path, seed, in_report):
    demos = [small("one"), small("two", interrupted_at(seed)), small("three")]
    status, out, _ = run(demos, "all", "--report", str(tmp_path / "report"))
    assert status == command.INTERRUPTED
    assert "2/3 two (6.1): Does two run?" in out
    assert "Does three run?" not in out
    assert out.endswith(f"report: {tmp_path / 'report' / 'index.html'}\n")
    page = (tmp_path / "report" / "index.html").read_text(encoding="utf-8")
    assert re.findall(r'<article id="(\w+)"', page) == in_report
    assert ('class="cut">Interrupted: found over a single seed' in page) == (seed == 1)
    assert sorted(path.stem for path in (tmp_path / "out").iterdir()) == in_report[:1] + in_report[1:]


@pytest.mark.parametrize(("measure", "seeds"), [(measured, 3), (interrupted_at(1), 1)])
def test_ctrl_c_while_a_picture_is_drawn_ends_it_after_that_and_loses_nothing(run, tmp_path, measure, seeds):
    """The first press, or, where the measurement was interrupted too, the second and the third."""

    def report(runs, settings):
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
        return small("two").report(runs, settings)

    demos = [small("one"), small("two", measure, report), small("three")]
    status, out, _ = run(demos, "all", "--report", str(tmp_path / "report"))
    assert status == command.INTERRUPTED
    assert f"{seeds} seeds were run." in out
    assert "Does three run?" not in out
    page = (tmp_path / "report" / "index.html").read_text(encoding="utf-8")
    assert re.findall(r'<article id="(\w+)"', page) == ["one", "two"]
    assert page.endswith("</html>\n")
    assert (tmp_path / "out" / "two.png").read_bytes().startswith(PNG)
    with pytest.raises(KeyboardInterrupt):  # as before the command
        signal.raise_signal(signal.SIGINT)


def test_ctrl_c_between_two_demos_ends_it_there(run, tmp_path, monkeypatch):
    def write(*arguments):
        signal.raise_signal(signal.SIGINT)
        return command_write(*arguments)

    command_write = command.write
    monkeypatch.setattr(command, "write", write)
    status, out, _ = run([small("one"), small("two")], "all", "--report", str(tmp_path))
    assert status == command.INTERRUPTED
    assert "Does two run?" not in out
    assert "Does one run?" in (tmp_path / "index.html").read_text(encoding="utf-8")


def test_a_demo_that_fails_is_heard_of_and_the_report_has_what_came_before(run, tmp_path):
    def measure(seed, fast, tick):
        raise ValueError("a fault in the demo")

    with pytest.raises(ValueError, match="a fault in the demo"):
        run([small("one"), small("two", measure)], "all", "--report", str(tmp_path))
    assert "Does one run?" in (tmp_path / "index.html").read_text(encoding="utf-8")


# ---- tables


def test_a_table_is_aligned():
    assert aligned([["", "a"], ["row", "1.5"]]) == "        a\n---------\nrow   1.5"


# ---- every demo


def test_a_demo_does_not_measure_again_what_is_finished_unless_it_is_to_be_fresh_or_fast(tmp_path, monkeypatch):
    monkeypatch.setattr(Work, "of", lambda work, seed, tick: tick() or (work.finished and work.finished.name))
    for more, folder in (({}, "finished"), ({"fresh": True}, None), ({"fast": True}, None)):
        settings = replace(Settings("numpy", 1, False, tmp_path), **more)
        assert small("one", report=lambda runs, settings: Result([], str(runs), "", tmp_path)).run(settings).note == str(
            [folder]
        )


@pytest.mark.parametrize("name", command.NAMES)
def test_a_demo_is_described_for_the_list(name):
    demo = command.demo(name)
    assert demo.name == name
    assert re.match(r"6\.\d", demo.section)
    assert demo.question.endswith("?")
    assert 0 < demo.seconds <= (400 if name == "claims" else 90)  # that one stands for all of the chapter
    assert demo.seeds > 2
    assert demo.steps(False) > 0


@pytest.mark.parametrize("name", command.NAMES)
def test_a_demo_in_its_fast_form_keeps_to_the_frame_and_a_seed_gives_the_same_again(name, tmp_path):
    demo = command.demo(name)
    keeps_to_the_frame(sharing(demo).run(Settings("numpy", len(SEEDS), True, tmp_path)), tmp_path / f"{name}.png")
    first, second = map(repr, fast_runs(demo))
    tr.seed(12345)
    assert repr(measured_anew(demo)) == first != second


@pytest.mark.parametrize("name", command.NAMES)
def test_what_a_demo_measures_comes_back_whole_from_another_process(name):
    demo = command.demo(name)
    assert pickle.loads(pickle.dumps(demo.measure)) is demo.measure
    assert repr(pickle.loads(pickle.dumps(fast_runs(demo)))) == repr(fast_runs(demo))


@pytest.mark.parametrize("name", command.NAMES)
def test_a_demo_runs_on_other_backends_and_for_a_single_seed(name, other_backend, tmp_path):
    result = sharing(command.demo(name), other_backend).run(Settings(other_backend, 1, True, tmp_path))
    keeps_to_the_frame(result, tmp_path / f"{name}.png")
    assert "over a single seed" in result.finding
    assert clear(result.finding) == []
    assert "±" not in result.finding


def test_what_a_finding_claims_is_read_with_its_sign_and_whether_it_is_clear():
    said = "was 5.0 points higher, 2 fewer and 0.10 nats lower, not clearly different (+1.0 ± 2.0 points) and not clearly "
    assert clear(said) == [5.0, -2.0, -0.1]
    assert unclear(f"{said}different with any") == [1.0, None]


def keeps_to_the_frame(result, path):
    """A picture, a table with a name for every row, and one sentence; nothing is said of an interval that there is not."""
    assert result.picture == path
    assert path.read_bytes().startswith(PNG)
    head, *body = result.table
    assert body
    assert all(len(row) == len(head) and row[0] for row in body)
    assert all(isinstance(cell, str) for row in result.table for cell in row)
    assert re.search(r"[\w)%]\.$", result.finding)
    assert not re.search(r"[.?!] [A-Z]", result.finding)
    assert len(result.finding.split()) <= 60
    assert "± inf" not in str(result)
    assert "± nan" not in str(result)

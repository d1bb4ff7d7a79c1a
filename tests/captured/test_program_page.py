"""The page of a program: what it says of calls, loops and memory is what the program does."""

import itertools
import json
import re

import pytest
from captured.page_programs import MAKERS, by_numpy, in_machine_code

import tinyreg as tr
from tinyreg import nn
from tinyreg.captured.page import scene


@pytest.fixture(scope="module", params=MAKERS)
def shown(request):
    program = MAKERS[request.param]()
    return program, scene(program)


def test_it_is_json_and_has_a_call_for_each_line_of_the_program(shown):
    program, known = shown
    assert json.loads(json.dumps(known, allow_nan=False)) == known
    lines = str(program).splitlines()[1:-1]
    assert len(lines) == len(known["calls"])
    for line, call in zip(lines, known["calls"], strict=True):
        place, name, *rest = line.split()
        assert (place.split(":")[1], name) == (str(call["line"]["number"]), call["name"])
        assert call["result"].replace(" ", "") in "".join(rest)
        assert call["memory"].replace(" ", "") in "".join(rest)
    assert [call["number"] for call in known["calls"]] == [*range(len(lines))]
    steps = [call["step"] for call in known["calls"]]
    assert steps == sorted(steps)
    assert {*steps} == {*range(known["steps"])}


def test_calls_are_parts_of_ops_forward_and_backward_or_of_functions(shown):
    _, known = shown
    parts = {(call["of"], call["phase"]) for call in known["calls"]}
    ops = {"linear", "batch_norm", "cross_entropy"}
    assert {(op, phase) for op in ops for phase in ("forward", "backward")} <= parts
    assert {("clip_grad_norm", ""), ("Optimizer.step", "")} <= parts
    places = {(call["of"], known["sources"][call["line"]["source"]]["path"]) for call in known["calls"]}
    assert {path.rpartition("/")[2] for _, path in places} == {"page_programs.py"}


def test_the_line_of_a_call_is_that_of_the_source(shown):
    _, known = shown
    (source,) = known["sources"]
    of_lines = {call["of"]: source["lines"][call["line"]["number"] - source["first"]].strip() for call in known["calls"]}
    assert of_lines["clip_grad_norm"] == "tr.optim.clip_grad_norm(model.parameters(), 1.0)"
    assert of_lines["Optimizer.step"] == "optimizer.step()"


def test_a_block_has_one_value_at_a_time_and_holds_it(shown):
    program, known = shown
    assert sum(buffer["bytes"] for buffer in known["buffers"] if buffer["label"] != "out") == known["totals"]["blocks"]
    assert known["totals"]["blocks"] == sum(block.memory.nbytes for block in program.blocks)
    assert known["totals"]["out"] == sum(buffer["bytes"] for buffer in known["buffers"] if buffer["label"] == "out")
    lives = {}
    for value in known["values"]:
        assert value["bytes"] <= known["buffers"][value["buffer"]]["bytes"]
        lives.setdefault(value["buffer"], []).append((value["first"], value["last"]))
    assert [*lives] != [*range(len(known["values"]))]  # some share a block
    for each in lives.values():
        assert all(end < start for (_, end), (start, _) in itertools.pairwise(sorted(each)))


def test_what_is_read_stands_there_from_the_call_that_made_it(shown):
    _, known = shown
    read = [(call, known["values"][each["value"]]) for call in known["calls"] for each in call["reads"] if "value" in each]
    assert len(read) > 20
    for call, value in read:
        assert value["first"] <= call["step"] <= value["last"]
        maker = known["calls"][value["call"]]
        assert (maker["step"], maker["number"]) <= (call["step"], call["number"])
        assert maker["memory"] in ("out", "state", known["buffers"][value["buffer"]]["label"])
    others = {each["text"] for call in known["calls"] for each in call["reads"] if "text" in each}
    assert {"argument float32[5, 4]", "state float32[4, 8]"} <= others


def test_loops_hand_on_what_only_they_need():
    program = in_machine_code()
    known = scene(program)
    assert program.counted().split(" and ")[1].startswith(f"{len(known['groups'])} groups")
    numbers = [number for group in known["groups"] for number in group["calls"]]
    assert numbers == [call["number"] for call in known["calls"] if call["group"] is not None]
    passed = [call for call in known["calls"] if not call["stands"]]
    assert all(call["group"] is not None and call["value"] is None and not call["memory"] for call in passed)
    assert known["totals"]["never"] == len(passed) > 20
    assert known["totals"]["spared"] == sum(call["bytes"] for call in passed)
    whole = [{known["calls"][n]["of"] for n in group["calls"]} for group in known["groups"]]
    assert any({"linear", "batch_norm"} <= each for each in whole)


def test_without_machine_code_there_are_no_loops():
    known = scene(by_numpy())
    assert not known["groups"]
    assert known["totals"]["never"] == 0
    assert all(call["stands"] for call in known["calls"])


def test_the_page_is_one_file_that_points_nowhere(tmp_path):
    path = by_numpy().save_html(str(tmp_path / "program.html"))
    assert path == tmp_path / "program.html"
    assert [each.name for each in tmp_path.iterdir()] == ["program.html"]
    text = path.read_text(encoding="utf-8")
    assert text.startswith("<!doctype html>")
    assert "default-src 'none'" in text
    assert "@@" not in text
    assert not re.search(r"""(src|href)\s*=\s*["'](?!data:)|url\(|@import""", text)
    assert re.findall(r"https?://[^\s\"']+", text) == ["http://www.w3.org/2000/svg"]  # a name


def test_the_title_is_the_name_of_the_step_or_what_is_said(tmp_path):
    program = by_numpy()
    titles = []
    for title in ("", "A step & more"):
        text = program.save_html(tmp_path / "program.html", title=title).read_text(encoding="utf-8")
        titles.append(re.findall("<(?:title|h1)>(.*)</", text))
    assert titles == [["program.&lt;locals&gt;.step, captured"] * 2, ["A step &amp; more"] * 2]


def test_what_is_no_title_or_no_folder_is_refused_and_nothing_is_written(tmp_path):
    program = by_numpy()
    with pytest.raises(TypeError, match=r"save_html: got title=3, expected a text"):
        program.save_html(tmp_path / "program.html", title=3)
    path = tmp_path / "none" / "program.html"
    with pytest.raises(FileNotFoundError) as error:
        program.save_html(path)
    assert str(error.value) == f"save_html: got {path}, but there is no folder {path.parent}; make it first"
    assert [*tmp_path.iterdir()] == []


def parts(step):
    """What the calls of a step's program are parts of, in order."""
    for _ in range(4):
        step(tr.ones(2))
    calls = scene(step.program)["calls"]
    return [(call["of"], call["phase"]) for call in calls]


def test_a_vjp_of_ones_own_is_a_part_of_its_op_backward():
    w = tr.tensor([1.0, 2.0], requires_grad=True)

    @tr.primitive
    def cube(xp, x):
        return x * x * x

    tr.core.primitive.REGISTRY.pop("cube", None)

    @cube.vjp("x")
    def _(g, x):
        return 3 * g * x * x

    @tr.capture(executor="numpy")
    def step(x):
        slope = tr.grad(lambda w: (cube(w) * x).sum())(w)
        return slope.data * 2

    found = parts(step)
    assert found.count(("cube", "backward")) == 3
    assert ("multiply", "backward") in found
    assert found[-1] == ("", "")  # the step's own


def test_what_a_checkpoint_runs_again_is_a_part_of_its_backward():
    w = tr.tensor([1.0, 2.0], requires_grad=True)

    @tr.capture(executor="numpy")
    def step(x):
        return tr.value_and_grad(lambda w: tr.checkpoint(lambda w: tr.tanh(w * x))(w).sum())(w)

    found = parts(step)
    assert found.count(("tanh", "forward")) == 1
    assert ("checkpoint", "backward") in found


def test_what_a_layer_does_outside_of_ops_is_a_part_of_the_layer():
    layer = nn.Dropout(0.5)
    assert ("Dropout", "") in parts(tr.capture(lambda x: layer(x), executor="numpy"))


def test_a_program_that_does_nothing_is_shown(tmp_path):
    step = tr.capture(lambda x: 3.0, executor="numpy")
    for _ in range(4):
        step(tr.ones(2))
    known = scene(step.program)
    assert (known["calls"], known["values"], known["steps"]) == ([], [], 0)
    step.program.save_html(tmp_path / "program.html")

"""The tape as JSON for the page: every number in it is one that was computed, and it stays small."""

import itertools
import json
import math

import numpy as np
import pytest

import tinyreg as tr
from tinyreg.explore.scene import scene
from tinyreg.explore.summary import Detail, summary

ALL = Detail(256, 16)


@pytest.fixture
def net():
    rng = np.random.default_rng(0)
    model = tr.nn.Sequential(tr.nn.Linear(3, 4), tr.nn.Sequential(tr.nn.Tanh(), tr.nn.Linear(4, 2)))
    x, labels = tr.tensor(rng.normal(size=(5, 3)).astype("float32")), tr.tensor([0, 1, 1, 0, 1])
    with tr.explain(definitions=True):
        h = model(x)
        loss = tr.losses.cross_entropy(h, labels)
        tape = tr.tape(loss)
        loss.backward()
    return model, tape, scene(tape)


def rounded(array):
    return [float(f"{x:.6g}") for x in np.asarray(array, dtype="float64").ravel()]


def test_it_is_json_and_has_the_parts_that_were_agreed(net):
    _, tape, shown = net
    assert json.loads(json.dumps(shown, allow_nan=False)) == shown
    assert set(shown) == {"title", "explained", "totals", "sources", "leaves", "entries", "groups", "backward", "first"}
    assert shown["totals"] == {"entries": len(tape), "leaves": 4, "bytes": tape.nbytes}
    assert shown["explained"] is True
    keys = {"number", "op", "call", "inputs", "settings", "results", "saved", "line", "group", "doc", "vjp", "arguments"}
    assert all(set(entry) == keys for entry in shown["entries"])


def test_values_and_gradients_are_those_that_were_computed(net):
    model, tape, shown = net
    parameters = dict(model.named_parameters())
    for leaf in shown["leaves"]:
        assert leaf["parameter"]
        assert leaf["value"]["values"] == rounded(parameters[leaf["label"]].numpy())
        assert leaf["gradient"]["values"] == rounded(parameters[leaf["label"]].grad.numpy())
    for row, entry in zip(tape, shown["entries"], strict=True):
        assert entry["results"][0]["value"]["values"] == rounded(row.record.result)
    assert shown["entries"][-1]["results"][0]["gradient"]["values"] == [1]


def test_the_backward_adds_up(net):
    _, tape, shown = net
    assert [step["entry"] for step in shown["backward"]] == list(range(len(tape)))[::-1]
    last = {}
    for step in shown["backward"]:
        for index, incoming in enumerate(step["incoming"]):
            assert incoming == last.get((step["entry"], index), incoming)
        for contribution in step["contributions"]:
            to = contribution["to"]
            last[to.get("entry"), to.get("result")] = contribution["sum"]
            if "leaf" in to:
                assert contribution["sum"] == shown["leaves"][to["leaf"]]["gradient"]  # each is used once


def test_broadcasting_is_undone_as_a_step_of_its_own(net):
    _, _, shown = net
    biases = [c for step in shown["backward"] for c in step["contributions"] if c["fitted"] and "leaf" in c["to"]]
    assert [(c["raw"]["shape"], c["fitted"]["shape"]) for c in biases] == [([5, 2], [2]), ([5, 4], [4])]
    np.testing.assert_allclose(
        np.reshape(biases[0]["raw"]["values"], (5, 2)).sum(0), biases[0]["fitted"]["values"], atol=1e-6
    )


def test_a_sum_grows_as_contributions_arrive():
    x = tr.tensor([1.0, 2.0], requires_grad=True)
    with tr.explain():
        shown = scene(tr.tape((x * x * x).sum()))
    totals = [c["sum"]["values"] for step in shown["backward"] for c in step["contributions"] if c["to"] == {"leaf": 0}]
    assert totals == [[1, 4], [2, 8], [3, 12]]


def test_lines_point_into_the_sources(net):
    _, _, shown = net
    (source,) = shown["sources"]
    assert source["path"].endswith("test_scene.py")
    assert source["first"] == 1
    lit = [source["lines"][entry["line"]["number"] - source["first"]].strip() for entry in shown["entries"]]
    assert set(lit) == {"h = model(x)", "loss = tr.losses.cross_entropy(h, labels)"}


def test_of_a_long_source_the_part_around_the_lines_is_shown(tmp_path):
    path = tmp_path / "long.py"
    code = "\n" * 3000 + "y = x * 2.0\nz = y.sum()\n" + "\n" * 3000
    path.write_text(code)
    scope = {"x": tr.ones(2, requires_grad=True), "__name__": "long"}
    with tr.explain():
        exec(compile(code, str(path), "exec"), scope)
        shown = scene(tr.tape(scope["z"]))
    (source,) = shown["sources"]
    assert len(source["lines"]) < 200
    assert source["lines"][3001 - source["first"]] == "y = x * 2.0"
    assert source["path"] == "long.py"


def test_layers_are_groups_of_entries_one_within_the_other(net):
    _, _, shown = net
    labels = [group["label"] for group in shown["groups"]]
    assert labels == ["model (Sequential)", "0 (Linear)", "1 (Sequential)", "1.0 (Tanh)", "1.1 (Linear)"]
    assert [group["parent"] for group in shown["groups"]] == [None, 0, 0, 2, 2]
    for entry in shown["entries"]:
        if entry["group"] is not None:
            group = shown["groups"][entry["group"]]
            assert group["first"] <= entry["number"] <= group["last"]
    assert shown["entries"][3]["group"] == 3
    assert shown["entries"][-1]["group"] is None


def test_rounds_are_groups_too_in_layers_and_beside_them_and_a_short_tape_has_none():
    def loop(model, steps):
        with tr.explain(definitions=True):
            y = tr.ones((1, 2))
            for _ in range(steps):
                y = tr.tanh(model(y)) * 2.0
            return scene(tr.tape(y.sum()))["groups"]

    inner = tr.nn.Sequential(tr.nn.Linear(2, 2), tr.nn.Tanh())
    assert not [group for group in loop(inner, 6) if "round" in group["label"]]
    groups = loop(inner, 10)
    labels = [group["label"] for group in groups]
    assert labels[:5] == ["round 1 of 10", "model (Sequential)", "0 (Linear)", "1 (Tanh)", "rounds 2 to 10, like round 1"]
    assert labels.count("0 (Linear)") == 10
    closed = [group["label"] for group in groups if group["closed"]]
    assert closed == ["rounds 2 to 10, like round 1", *(f"round {k} of 10" for k in range(2, 11))]
    first, others = groups[0], groups[4]
    assert (first["first"], first["last"], others["first"], others["last"]) == (0, 5, 6, 59)
    for group in groups:
        if group["parent"] is not None:
            outer = groups[group["parent"]]
            assert outer["first"] <= group["first"] <= group["last"] <= outer["last"]


def test_what_stands_between_two_loops_keeps_its_groups():
    first, between, last = (tr.nn.Linear(2, 2) for _ in range(3))
    deep = tr.nn.Sequential(tr.nn.Linear(2, 2), tr.nn.Tanh(), tr.nn.Tanh())
    shallow = tr.nn.Sequential(tr.nn.Linear(2, 2))
    with tr.explain(definitions=True):
        y = first(tr.ones((1, 2)))
        for _ in range(4):
            y = tr.tanh(y) * 2.0
        y = between(y)
        for _ in range(5):
            y = tr.sin(y) + 1.0
        for model in (shallow, deep, deep, shallow):  # alike by what they begin with, and no repetition
            y = tr.tanh(model(y))
        y = last(y)
        groups = scene(tr.tape(y.sum()))["groups"]
    outer = [(group["label"], group["first"], group["last"]) for group in groups if group["parent"] is None]
    assert outer == [
        ("first (Linear)", 0, 2),
        ("round 1 of 4", 3, 4),
        ("rounds 2 to 4, like round 1", 5, 10),
        ("between (Linear)", 11, 13),
        ("round 1 of 5", 14, 15),
        ("rounds 2 to 5, like round 1", 16, 23),
        ("shallow (Sequential)", 24, 26),
        ("deep (Sequential)", 28, 32),
        ("deep (Sequential)", 34, 38),
        ("shallow (Sequential)", 40, 42),
        ("last (Linear)", 44, 46),
    ]


def test_inputs_say_where_they_came_from():
    x, w = tr.ones((2, 2)), tr.ones((2, 2), requires_grad=True)
    with tr.explain():
        shown = scene(tr.tape((x @ w * 0.5).sum()))
    assert shown["entries"][0]["inputs"] == [
        {"label": "x", "entry": None, "result": 0, "leaf": None, "value": summary(x.data, ALL)},
        {"label": "w", "entry": None, "result": 0, "leaf": 0, "value": None},
    ]
    assert [i["label"] for i in shown["entries"][1]["inputs"]] == ["#0", "0.5"]
    assert shown["entries"][0]["call"] == "matmul(x, w)"
    assert shown["entries"][0]["saved"] == [{"name": "x1", "bytes": 16, "holder": None}]


def test_constants_have_their_values_and_what_is_on_the_tape_has_them_elsewhere():
    """Data, labels and a mask; of a number the label is enough."""
    x, labels, mask = tr.ones((2, 3)) * 4.0, tr.tensor([2, 0]), np.array([[True], [False]])
    w = tr.tensor(np.eye(3, dtype="float32"), requires_grad=True)
    with tr.explain():
        y = tr.where(mask, x @ w, 0.0)
        shown = scene(tr.tape(tr.losses.cross_entropy(y, labels) * 0.5, labels=labels))
    inputs = [i for entry in shown["entries"] for i in entry["inputs"]]
    constants = {i["label"]: i["value"] for i in inputs if i["entry"] is i["leaf"] is None and i["label"] != "None"}
    assert {label: value["values"] for label, value in constants.items() if value} == {
        "x": [4] * 6,
        "labels": [2, 0],
        "mask": [1, 0],
    }
    assert {label for label, value in constants.items() if not value} == {"0", "0.5"}
    assert not any(i["value"] for i in inputs if i["entry"] is not None or i["leaf"] is not None)


def test_settings_are_text():
    x = tr.ones((2, 3), requires_grad=True)
    shown = scene(tr.tape(x[0, 1:].sum(axis=0)))
    assert shown["entries"][0]["settings"] == {"key": "(0, 1:)"}
    assert shown["entries"][1]["settings"] == {"axis": "0"}


def test_outside_explain_the_structure_is_there_without_values():
    x = tr.ones(2, requires_grad=True)
    shown = scene(tr.tape((x * x).sum(), x=x))
    assert shown["explained"] is False
    assert shown["sources"] == shown["groups"] == shown["backward"] == []
    assert shown["leaves"] == [
        {"label": "x", "parameter": False, "shape": [2], "dtype": "float32", "value": None, "gradient": None}
    ]
    assert shown["entries"][0]["results"] == [{"shape": [2], "dtype": "float32", "value": None, "gradient": None}]
    assert shown["entries"][0]["line"] is None
    shown = scene(tr.tape((x * tr.ones(2)).sum(), x=x))  # the entry saves the constant, but a tape holds no array
    assert shown["entries"][0]["inputs"][1] == {"label": "const", "entry": None, "result": 0, "leaf": None, "value": None}


# ---- the sources of VJPs


def test_an_op_of_ones_own_a_fast_form_and_a_checkpoint():
    @tr.fused
    def cubed(x):
        """x^3, elementwise. Not more."""
        return x * x * x

    @cubed.fast
    def _(xp, x):
        return x**3, None

    @cubed.backward
    def _(g, x):
        return 3 * g * x * x  # by hand

    tr.core.fused.FUSED.pop("cubed")
    x = tr.ones(2, requires_grad=True)
    with tr.explain():
        shown = scene(tr.tape(tr.checkpoint(lambda x: x * x)(cubed(x)).sum()))
    first, second, _ = shown["entries"]
    assert first["doc"] == "x^3, elementwise."
    assert first["vjp"][0]["argument"] == "x"
    assert "3 * g * x * x  # by hand" in first["vjp"][0]["source"]
    assert "runs the function again" in second["vjp"][0]["source"]


def test_only_arguments_that_want_a_gradient_have_a_vjp_shown():
    w = tr.ones((2, 2), requires_grad=True)
    shown = scene(tr.tape(tr.concat(tr.ones((1, 2)), w @ tr.ones((2, 2)), axis=0)))
    assert [v["argument"] for v in shown["entries"][0]["vjp"]] == ["x1"]
    assert [v["argument"] for v in shown["entries"][1]["vjp"]] == ["xs[1]"]


# ---- arrays


def test_a_small_array_has_all_its_numbers_to_six_digits():
    shown = summary(np.array([[1 / 3, -2e-7], [1e30, 5.0]]), ALL)
    assert shown["values"] == [0.333333, -2e-07, 1e30, 5]
    assert shown["blocks"] is None
    assert (shown["shape"], shown["dtype"]) == ([2, 2], "float64")
    assert (shown["min"], shown["max"]) == (-2e-07, 1e30)


def test_what_is_not_finite_is_text_and_is_counted():
    shown = summary(np.array([np.nan, np.inf, -np.inf, 2.0], dtype="float16"), ALL)
    assert shown["values"] == ["nan", "inf", "-inf", 2]
    assert (shown["nan"], shown["inf"], shown["min"], shown["mean"]) == (1, 2, 2, 2)
    empty = summary(np.array([np.nan]), ALL)
    assert (empty["min"], empty["max"], empty["mean"]) == (None, None, None)


@pytest.mark.parametrize("shape", [(40, 33), (1000,), (3, 5, 100), (300, 2), (17, 17)])
def test_a_large_array_is_means_over_blocks_that_cover_it(shape):
    array = np.random.default_rng(0).normal(size=shape)
    blocks = summary(array, ALL)["blocks"]
    matrix = array.reshape(-1, shape[-1])
    assert (blocks["rows"], blocks["columns"]) == tuple(min(16, n) for n in matrix.shape)
    rows, columns = (
        [i * n // k for i in range(k + 1)] for n, k in zip(matrix.shape, (blocks["rows"], blocks["columns"]), strict=True)
    )
    means = [matrix[a:b, c:d].mean() for a, b in itertools.pairwise(rows) for c, d in itertools.pairwise(columns)]
    np.testing.assert_allclose(blocks["values"], means, rtol=1e-5, atol=1e-9)


def test_arrays_without_an_axis_without_elements_and_of_booleans():
    assert summary(np.array(3.0), ALL)["values"] == [3]
    assert summary(np.zeros((0, 3)), ALL)["values"] == []
    assert summary(np.array([True, False]), ALL)["values"] == [1, 0]
    assert summary(np.zeros((0, 3)), ALL)["mean"] is None


def test_a_block_with_a_nan_says_so():
    array = np.zeros((32, 32))
    array[0, 0] = np.nan
    shown = summary(array, ALL)
    assert shown["blocks"]["values"][:2] == ["nan", 0]
    assert shown["nan"] == 1


@pytest.mark.parametrize("shape", [(64, 64), (5, 7), ()])
def test_two_thousand_entries_stay_under_five_megabytes(shape):
    w, b = tr.ones(shape, requires_grad=True), tr.tensor(0.001, requires_grad=True)
    y = w * 1.0
    with tr.explain():
        for _ in range(666):
            y = tr.tanh(y * w + b)
        shown = scene(tr.tape(y.sum()))
    assert shown["totals"]["entries"] == 2000
    size = len(json.dumps(shown, separators=(",", ":")))
    assert 1_000_000 < size < 4_600_000


def test_many_constants_stay_under_five_megabytes():
    x, rng = tr.ones((16, 16), requires_grad=True), np.random.default_rng(0)
    with tr.explain():
        shown = scene(tr.tape(tr.concat([x, *rng.normal(size=(2000, 16, 16))])))
    assert {len(i["value"]["blocks"]["values"]) for i in shown["entries"][0]["inputs"][1:]} == {64}
    assert len(json.dumps(shown, separators=(",", ":"))) < 4_600_000


def test_the_fewer_entries_the_more_is_told():
    w = tr.tensor(np.random.default_rng(0).normal(size=(64, 64)), requires_grad=True)
    with tr.explain():
        few = scene(tr.tape((w * 2.0).sum()))
    assert few["leaves"][0]["value"]["blocks"]["rows"] == 16
    assert math.isclose(few["leaves"][0]["gradient"]["mean"], 2.0)


def test_it_is_the_same_on_every_backend(backend):
    w = tr.tensor([[1.0, 2.0]], requires_grad=True)
    with tr.explain():
        shown = scene(tr.tape((w * w).sum()))
    assert shown["leaves"][0]["value"]["values"] == [1, 2]
    assert shown["leaves"][0]["gradient"]["values"] == [2, 4]

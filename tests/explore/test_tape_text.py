"""The tape as text: what a learner sees first, and that every number in it is true."""

import gc
import textwrap
import weakref

import numpy as np
import pytest

import tinyreg as tr


@pytest.fixture
def net():
    """A two-layer network with its loss, and the tensors by name."""
    rng = np.random.default_rng(0)
    shapes = {"w1": (2, 16), "b1": (16,), "w2": (16, 3), "b2": (3,)}
    leaves = {name: tr.tensor(rng.normal(size=s).astype("float32"), requires_grad=True) for name, s in shapes.items()}
    x, target = tr.tensor(rng.normal(size=(64, 2)).astype("float32")), tr.tensor(rng.normal(size=(64, 3)))
    hidden = tr.tanh(x @ leaves["w1"] + leaves["b1"])
    y = hidden @ leaves["w2"] + leaves["b2"]
    return tr.mean(tr.square(y - tr.astype(target, "float32"))), {**leaves, "x": x}


def test_a_two_layer_net_reads_like_its_formula(net):
    loss, names = net
    assert f"\n{tr.tape(loss, **names)}" == textwrap.dedent("""
        entry  op and inputs        result           saves   bytes
        #0     matmul(x, w1)        float32[64, 16]  x1        512
        #1     add(#0, b1)          float32[64, 16]
        #2     tanh(#1)             float32[64, 16]  x       4,096
        #3     matmul(#2, w2)       float32[64, 3]   x1, x2  4,288
        #4     add(#3, b2)          float32[64, 3]
        #5     subtract(#4, const)  float32[64, 3]
        #6     square(#5)           float32[64, 3]   x         768
        #7     mean(#6)             float32[]
        ----------------------------------------------------------
        8 entries, 4 leaves, 9,664 bytes saved for backward
        leaves: w1 float32[2, 16], b1 float32[16], w2 float32[16, 3], b2 float32[3]""")


def arrays_in(value):
    if isinstance(value, tuple | list):
        return [array for part in value for array in arrays_in(part)]
    return [value] if isinstance(value, np.ndarray) else []


def entries_under(node):
    """The entries below a node by an independent, recursive search."""
    below = {entry for parent in getattr(node, "parents", ()) if parent for entry in entries_under(parent)}
    return below | ({node} if hasattr(node, "op") else set())


def test_entries_are_all_in_order_of_time_and_bytes_are_those_of_the_distinct_arrays(net):
    loss, _ = net
    tape, entries = tr.tape(loss), sorted(entries_under(loss._node), key=lambda entry: entry.time)
    assert [row.op for row in tape] == [entry.op for entry in entries]
    assert [row.time for row in tape] == [entry.time for entry in entries]
    assert [row.number for row in tape] == list(range(len(tape)))
    assert all(source.entry is None or source.entry < row.number for row in tape for source in row.inputs)
    distinct = {id(array): array.nbytes for entry in entries for array in arrays_in(list(entry.saved.values()))}
    assert tape.nbytes == sum(distinct.values()) > 0
    assert f"{tape.nbytes:,} bytes saved for backward" in str(tape)


def test_an_array_saved_twice_is_counted_once():
    x = tr.ones(4, requires_grad=True)
    tape = tr.tape(x * x + tr.exp(x) * x, x=x)
    assert tape.nbytes == 4 * 4 + 4 * 4  # x, and the result of exp, which the second product saves too
    assert tape.text().splitlines()[1].split() == ["#0", "multiply(x,", "x)", "float32[4]", "x1,", "x2", "(#0)", "16"]


def test_a_tape_is_an_immutable_sequence(net):
    tape = tr.tape(net[0])
    assert tape[-1] is list(tape)[7] is tape[7]
    assert tape[2:4] == (tape[2], tape[3])
    assert tape[0] in tape
    with pytest.raises(TypeError):
        tape[0] = tape[1]
    with pytest.raises(AttributeError):
        tape[0].shape = ()


def test_it_keeps_no_array_and_no_entry_alive_and_outlives_the_walk():
    x = tr.ones(1000, requires_grad=True)
    y = tr.exp(x)
    loss = tr.sum(y * y)
    held, root, tape = weakref.ref(y.data), weakref.ref(loss), tr.tape(loss)
    before = str(tape)
    gc.disable()
    try:
        del y, loss
        assert held() is None
        assert root() is None
    finally:
        gc.enable()
    assert str(tape) == before


def test_names():
    w = tr.nn.Linear(2, 2).weight
    w.name = "layer.weight"
    a, b = tr.ones(2, requires_grad=True), tr.ones(2, requires_grad=True)
    loss = tr.sum((w @ a) * b)
    assert [leaf.label for leaf in tr.tape(loss).leaves] == ["layer.weight", "leaf 1", "leaf 2"]
    assert [leaf.label for leaf in tr.tape(loss, a=a).leaves] == ["layer.weight", "a", "leaf 2"]
    assert [leaf.label for leaf in tr.tape(loss, w=w).leaves] == ["w", "leaf 1", "leaf 2"]


def test_two_leaves_of_one_name_are_told_apart():
    first, second = tr.nn.Linear(2, 2, bias=False), tr.nn.Linear(2, 2, bias=False)
    labels = [leaf.label for leaf in tr.tape(second(first(tr.ones((1, 2))))).leaves]
    assert labels == ["weight", "weight (leaf 1)"]


def test_constants_are_shown_as_far_as_the_tape_knows_them():
    x, c = tr.ones(2, requires_grad=True), tr.ones(2)
    assert "multiply(x, 2.5)" in str(tr.tape(x * 2.5, x=x))
    assert "multiply(x, c)" in str(tr.tape(x * c, x=x, c=c))
    assert "multiply(x, const)" in str(tr.tape(x * c, x=x))
    assert "add(x, const)" in str(tr.tape(x + 1.0, x=x))


def test_settings_are_shown_where_they_are_not_the_default():
    x = tr.ones((4, 3), requires_grad=True)
    assert "sum(x) " in str(tr.tape(tr.sum(x), x=x))
    assert "sum(x, axis=0) " in str(tr.tape(tr.sum(x, axis=0), x=x))
    assert "getitem(x, key=(:2, ..., None, 1)) " in str(tr.tape(x[:2, ..., None, 1], x=x))


def test_one_of_several_results_goes_by_entry_and_place():
    @tr.primitive
    def halves(xp, x):
        return x[:1], x[1:]

    @halves.vjp("x")
    def _(g):
        return tr.concat(g)

    x = tr.tensor([1.0, 2.0, 3.0], requires_grad=True)
    low, high = halves(tr.exp(x))
    tape = tr.tape(tr.sum(high) * low, x=x)
    tr.core.primitive.REGISTRY.pop("halves")
    assert str(tape).splitlines()[2:5] == [
        "#1     halves(#0)          float32[1], float32[2]",
        "#2     sum(#1.1)           float32[]",
        "#3     multiply(#2, #1.0)  float32[1]              x1, x2      8",
    ]
    assert len(tr.tape(high)) == 2


def test_a_checkpoint_and_a_fast_form_are_entries_like_others():
    w, x = tr.ones((2, 2), requires_grad=True), tr.ones((3, 2))
    block = tr.checkpoint(lambda x: tr.tanh(x @ w))
    lines = str(tr.tape(tr.sum(block(x)), w=w)).splitlines()
    assert lines[1:3] == ["#0     checkpoint(w)  float32[3, 2]  args      24", "#1     sum(#0)        float32[]"]

    @tr.fused
    def cubed(x, bias=None):
        return x * x * x

    @cubed.fast
    def _(xp, x, bias):
        return x**3, (x * x, None)

    @cubed.backward
    def _(g, residuals):
        return 3 * g * residuals[0], None

    tape = tr.tape(cubed(w), w=w)
    tr.core.fused.FUSED.pop("cubed")
    assert str(tape).splitlines()[1] == "#0     cubed(w)       float32[2, 2]  x, residuals     32"


def test_a_long_tape_folds_in_the_middle():
    y = x = tr.ones((), requires_grad=True)
    for _ in range(100):
        y = -y
    tape = tr.tape(y, x=x)
    assert tape.text(limit=3).splitlines()[:6] == [
        "entry  op and inputs                         result     saves  bytes",
        "#0     negative(x)                           float32[]",
        "#1     negative(#0)                          float32[]",
        "...    97 more: .text(limit=None) shows all",
        "#99    negative(#98)                         float32[]",
        "-" * 68,
    ]
    assert [line.split()[0] for line in tape.text(limit=None).splitlines()[1:101]] == [f"#{i}" for i in range(100)]
    assert len(tape.text(limit=100).splitlines()) == len(tape.text(limit=None).splitlines())


def recurrent(steps):
    """The tape of a small recurrent network that is written out."""
    x, w, b = tr.ones((2, 4)), tr.ones((4, 4), requires_grad=True), tr.ones(4, requires_grad=True)
    h = x @ w
    for _ in range(steps):
        h = tr.tanh(h @ w + b)
    return tr.tape(h.sum(), w=w, b=b, x=x)


def test_a_block_of_ops_that_comes_again_folds_to_its_first_round():
    lines = str(recurrent(20)).splitlines()
    assert [line.split()[:2] for line in lines[1:7]] == [
        ["#0", "matmul(x,"],
        ["#1", "matmul(#0,"],
        ["#2", "add(#1,"],
        ["#3", "tanh(#2)"],
        ["#4-#60", "entries"],
        ["#61", "sum(#60)"],
    ]
    assert "entries #1-#3 x 20: 19 more rounds like these" in lines[5]
    assert "#n-#m: folded; .text(limit=None) shows all" in lines
    assert "62 entries, 2 leaves" in lines[8]


def test_what_is_folded_can_be_shown():
    tape = recurrent(20)
    every = tape.text(limit=None).splitlines()
    assert [line.split()[0] for line in every[1:63]] == [f"#{i}" for i in range(62)]
    assert "folded" not in "".join(every)
    cut = tape.text(limit=10, fold=False).splitlines()
    assert "52 more: .text(limit=None) shows all" in cut[6]
    assert len(recurrent(5).text().splitlines()) == len(recurrent(5).text(limit=None).splitlines())


def test_rounds_that_differ_in_shape_are_not_folded_together():
    y = tr.ones((8, 8), requires_grad=True)
    for i in range(8):
        y = tr.tanh(y[: 8 - i])
    lines = tr.tape(y).text(limit=6).splitlines()
    assert "more: .text(limit=None) shows all" in lines[4]


def test_folding_finds_every_line_again():
    """Whatever is folded, the lines stand for all entries, in order, each once."""
    x = tr.ones((3, 3), requires_grad=True)
    rng = np.random.default_rng(0)
    for _ in range(20):
        y = x
        for _ in range(rng.integers(1, 8)):
            ops = [[tr.exp, tr.tanh, tr.negative][i] for i in rng.integers(0, 3, size=rng.integers(1, 6))]
            for _ in range(rng.integers(1, 12)):
                for op in ops:
                    y = op(y * 0.1)
        tape = tr.tape(y)
        shown = [line.split()[0] for line in tape.text(limit=30).splitlines()[1:] if line.startswith(("#", "..."))]
        numbers = []
        for mark in shown:
            if mark == "...":
                break
            if mark.startswith("#n"):
                continue
            first, _, last = mark.replace("#", "").partition("-")
            numbers += range(int(first), int(last or first) + 1)
        assert numbers == list(range(len(numbers)))
        assert "..." in shown or len(numbers) == len(tape)


class Block(tr.nn.Module):
    def __init__(self):
        self.attn, self.norm = tr.nn.Linear(4, 4), tr.nn.LayerNorm(4)

    def forward(self, x):
        return self.norm(x + self.attn(x))


def test_a_long_tape_folds_by_layer_where_layers_are_known():
    model = tr.nn.Sequential(*[Block() for _ in range(6)])
    with tr.explain(definitions=True):
        tape = tr.tape(model(tr.ones((2, 4))).mean())
    lines = str(tape).splitlines()
    inside = [row for row in tape if row.record.call and str(row.record.call.chain[1]) == "0 (Block)"]
    saved = sum(one.counted for row in inside for one in row.saved)
    norm = [row for row in tape if row.record.call and str(row.record.call) == "0.norm (LayerNorm)"]
    assert f"0 (Block): {len(inside)} entries, {saved:,} bytes saved for backward" in tape.text(limit=10)
    assert f"0.norm (LayerNorm): {len(norm)} entries, " in "".join(lines)
    assert "0.attn (Linear): 3 entries, 32 bytes saved for backward" in "".join(lines)
    assert all(line.endswith(lines[1].split()[-1]) for line in lines[1:19])
    assert tape.text(limit=10).splitlines()[7].split()[:2] == [f"#{len(tape) - 1}", f"mean(#{len(tape) - 2})"]


def test_a_layer_of_one_entry_is_shown_as_that_entry():
    model = tr.nn.Sequential(*[layer for _ in range(9) for layer in (tr.nn.Linear(4, 4), tr.nn.ReLU(), tr.nn.LayerNorm(4))])
    with tr.explain(definitions=True):
        text = tr.tape(model(tr.ones((2, 4)))).text(limit=30)
    assert text.count(" relu(#") == 9
    assert text.count(" (Linear): 3 entries, ") == 9


def test_layers_of_one_kind_that_come_again_fold_too():
    model = tr.nn.Sequential(*[Block() for _ in range(60)])
    with tr.explain():
        tape = tr.tape(model(tr.ones((2, 4))).mean())
    text = tape.text(limit=8)
    assert "x 60: 59 more rounds like these" in text
    assert len(text.splitlines()) < 18


def test_a_recurrent_layer_folds_to_one_round_and_not_to_one_line():
    model = tr.nn.GRU(3, 4)
    with tr.explain():
        tape = tr.tape(model(tr.ones((50, 2, 3)))[0].sum())
    text = str(tape)
    assert " x 4" in text or " x 5" in text
    assert "GRU: " not in text
    assert len(text.splitlines()) < 60


def test_a_hundred_thousand_entries_print():
    y = tr.ones((), requires_grad=True)
    for _ in range(100_000):
        y = y * 1.0
    text = str(tr.tape(y))
    assert "100,000 entries, 1 leaf, 0 bytes saved for backward" in text
    assert len(text.splitlines()) < 50


def test_lines_fit_a_hundred_columns():
    xs = [tr.ones(3, requires_grad=True) for _ in range(200)]
    tape = tr.tape(tr.sum(tr.concat(xs)))
    assert max(map(len, str(tape).splitlines())) <= 100
    assert "concat(leaf 0, leaf 1, " in str(tape)
    assert "and 160 more" in str(tape)
    assert "leaf 199 float32[3]" in tape.text(limit=None)


def test_a_leaf_alone_has_an_empty_tape():
    w = tr.ones(2, requires_grad=True)
    assert len(tr.tape(w)) == 0
    assert "0 entries, 1 leaf, 0 bytes saved for backward\nleaves: w float32[2]" in str(tr.tape(w, w=w))


def test_errors_say_what_to_do(net):
    loss, names = net
    with pytest.raises(TypeError, match=r"tape: got 3.0 as the tensor, expected a Tensor"):
        tr.tape(3.0)
    with pytest.raises(TypeError, match=r"tape: got float64\[2\] as w, expected a Tensor"):
        tr.tape(loss, w=np.ones(2))
    with pytest.raises(ValueError, match=r"tape: got float32\[5\] as other, expected a leaf that the tape rests on"):
        tr.tape(loss, other=tr.ones(5, requires_grad=True))
    with pytest.raises(RuntimeError, match=r"tape: float32\[2\] has none.*create its leaves with requires_grad=True"):
        tr.tape(tr.ones(2) + 1.0)
    with tr.no_grad(), pytest.raises(RuntimeError, match=r"recording was off"):
        tr.tape(tr.sum(names["w1"]))
    loss.backward()
    with pytest.raises(RuntimeError, match=r"tape: the entry of mean was freed by an earlier.*retain_graph=True"):
        tr.tape(loss)


def test_a_leaf_that_changed_is_an_error(net):
    loss, names = net
    names["w1"].assign(names["w1"] * 2.0)
    with pytest.raises(RuntimeError, match=r"tape: leaf .* was changed after the tape used it"):
        tr.tape(loss)

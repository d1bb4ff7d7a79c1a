"""Steps as machine code: which loops they become, and in which bits they come out."""

from __future__ import annotations

import numpy as np
import pytest
from captured.native_steps import both, groups, normal
from captured.steps import compare, data, layers, network, values
from hypothesis import given, settings
from hypothesis import strategies as st

import tinyreg as tr
from tinyreg import nn, optim
from tinyreg.captured import native
from tinyreg.captured import step as steps
from tinyreg.captured.native import probes
from tinyreg.core.backend import home

pytestmark = pytest.mark.skipif(bool(native.missing()), reason=native.missing())


@pytest.fixture(autouse=True)
def native_executor(monkeypatch):
    monkeypatch.setattr(steps, "best", lambda: "native")


# ---- elementwise


ODD = np.array(
    [0.0, -0.0, 1.5, -2.5, np.inf, -np.inf, np.nan, 1e-42, -1e-42, 3e38, -3e38, 1.0, 2.0**24, 0.1, -7.0, 1e-20, 5.0]
)
UNARY = [np.negative, np.abs, np.sqrt, np.square, np.reciprocal, np.isfinite, np.isnan, np.logical_not, np.positive]
BINARY = [np.add, np.subtract, np.multiply, np.divide, np.maximum, np.minimum, np.less, np.less_equal, np.greater]
BINARY += [np.greater_equal, np.equal, np.not_equal, np.logical_and, np.logical_or, np.logical_xor]


def called(ufunc):
    """The ufunc of the array library that a step computes with."""
    return lambda x, *others: getattr(home(x), ufunc.__name__)(x, *others)


@pytest.mark.parametrize("dtype", ["f4", "f8", "f2"])
@pytest.mark.parametrize("ufunc", UNARY, ids=lambda f: f.__name__)
def test_an_op_of_one_array_has_numpys_bits(ufunc, dtype):
    with np.errstate(all="ignore"):
        x = ODD.astype(dtype)
        step = both(called(ufunc), (x,), (x[::-1].copy(),))
    assert step.replays == 3
    assert (groups(step) == ["map 0"]) is (dtype != "f2")


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("ufunc", BINARY, ids=lambda f: f.__name__)
def test_an_op_of_two_arrays_has_numpys_bits(ufunc, dtype):
    with np.errstate(all="ignore"):
        x = ODD.astype(dtype)
        a, b = np.repeat(x, len(x)), np.tile(x, len(x))
        known = ~(np.isnan(a) & np.isnan(b))  # of two NaNs either may stay
        step = both(called(ufunc), (a[known], b[known]), (b[known], a[known]))
    assert step.replays == 3
    assert groups(step) == ["map 0"]


@pytest.mark.parametrize("dtype", ["?", "i1", "u1", "i2", "i4", "u4", "i8", "u8"])
def test_integers_and_masks_have_numpys_values(dtype):
    x = np.array([0, 1, 2, 100, 127, -1, -128] * 5).astype(dtype)

    def step(x):
        y = (x == 0) | (x != x[::-1])
        both = [y & (x >= 1), y ^ (x < 2), ~x, x & x[::-1], x | 1, home(x).where(y, x, x[::-1]), x * 0.5]
        return (
            both if x.dtype == bool else [*both, x + x, x - x[::-1], x * x, -x if dtype[0] == "i" else x + 1, x > x[::-1]]
        )

    assert both(step, (x,)).replays == 3


def test_integers_with_and_without_a_sign_are_compared_as_numpy_does():
    both(lambda x, y: [x < y, y < x, x == y, x + y], (np.array([-1, 2, 3]), np.array([1, 2, 2**63 + 1], "u8")))


LAYOUTS = {
    "rows": lambda x: x,
    "columns": lambda x: np.asfortranarray(x),
    "turned": lambda x: np.ascontiguousarray(x.transpose(2, 0, 1)).transpose(1, 2, 0),
    "every other": lambda x: np.repeat(x, 2, axis=2)[:, :, ::2],
    "backwards": lambda x: x[::-1, :, ::-1],
    "repeated": lambda x: np.broadcast_to(x[:, :1], x.shape),
    "one": lambda x: x[:1, :1, :1],
    "none": lambda x: x[:, :0],
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("shape", [(2, 3, 5), (4, 8, 16), (3, 7, 33), (1, 130, 2), (16, 1, 17)], ids=str)
def test_chains_sums_and_means_have_numpys_bits_in_every_layout(shape, layout):
    x = LAYOUTS[layout](normal(*shape))

    def step(x):
        y = x * 2 + 1
        made = [y, y.T - 1, y[:, ::-1] * y, y.reshape(-1) + 1, abs(y) > 1]
        for axis in (None, 0, 1, 2, (0, 1), (1, 2), (0, 2), (0, 1, 2), ()):
            made += [x.sum(axis=axis), y[:, ::-1].sum(axis=axis), home(x).broadcast_to(y[:1], y.shape).sum(axis=axis)]
            made += [y.sum(axis=axis), (y - y.sum(axis=axis, keepdims=True)) * y, y.mean(axis=axis) * 2 if x.size else y]
        return made

    both(step, (x,), (LAYOUTS[layout](normal(*shape, seed=1)),))


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", "c8", "i4"])
@pytest.mark.parametrize("shape", [(), (1,), (0,), (0, 3), (3, 0), (4, 5)], ids=str)
def test_arrays_without_axes_or_elements_and_of_other_dtypes(shape, dtype):
    def step(x):
        made = [x * 2 + 1, x.sum(), x.sum(axis=None, keepdims=True) + x, -x, x.T * x.T, x / 3, home(x).sqrt(x * x)]
        return [*made, x.mean(), x.max() - x] if x.size else made

    assert both(step, (normal(*shape).astype(dtype),)).replays == 3


def test_dtypes_meet_in_one_loop():
    def step(x, y, z):
        return [x + y, x * z, y - z, (x > 0) * y, home(x).where(z > 0, x, 0.5), (x + y).astype("f4") + x, z + True]

    both(step, (normal(40), normal(40, dtype="f8"), np.arange(-20, 20)))


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("n", [1, 2, 7, 8, 9, 15, 16, 17, 127, 128, 129, 250, 1000, 1024, 8193, 50176])
def test_sums_along_either_axis_are_added_in_numpys_order(n, dtype):
    x = normal(3, n, dtype=dtype)
    step = both(lambda x: [x.sum(axis=1), x.T.sum(axis=0), x.sum(), (x * x).mean(axis=1, keepdims=True)], (x,))
    assert "rows 0" in groups(step) or n == 1 or n > probes.longest_sum()
    step = both(lambda x: [x.sum(axis=0), (x * x).mean(axis=0), x[0] + 1], (np.ascontiguousarray(x.T),))
    assert "columns 0" in groups(step) or n == 1


@pytest.mark.parametrize("columns", [1023, 1024, 1031, 2048, 3001])
def test_many_columns_are_worked_on_in_parts(columns):
    def step(x):
        y = x - x.mean(axis=0)
        return y / home(x).sqrt((y * y).mean(axis=0) + 1), y.sum(axis=0)

    step = both(step, (normal(5, columns),))
    assert {*groups(step)} == {"columns 0"}


def test_a_sum_of_negative_zeros_is_numpys():
    both(lambda x: [x.sum(axis=0), x.sum(axis=1), x.sum(axis=0, keepdims=True) * 1], (np.full((5, 9), -0.0, "f4"),))


@pytest.mark.parametrize("name", ["max", "min"])
def test_extremes_have_numpys_bits_or_their_call_runs_eagerly(name):
    def step(x):
        return getattr(x, name)(axis=1, keepdims=True) + 1, getattr(x, name)(axis=1)

    x = normal(6, 37)
    captured = both(step, (x,), (np.full_like(x, -np.inf),))
    assert captured.replays == 3
    assert "rows 0" in groups(captured)
    odd = [x.copy() for _ in range(3)]
    odd[0][1, 5] = np.nan
    odd[1][2] = [0.0, -0.0] + [-0.0] * 35
    odd[2][2] = [-0.0, 0.0] + [0.0] * 35
    for batch in odd:
        assert values(captured(batch)) == values(step(batch))


# ---- groups


def test_a_batch_norm_is_one_loop_over_columns_and_its_dropout_is_in_it():
    def body(model, optimizer):
        return lambda x, y: model(x)

    def made():
        return network(lambda: layers(nn.BatchNorm(8), nn.ReLU(), nn.Dropout(0.2)))

    step = compare(made, data(6), body)
    assert groups(step).count("columns 0") > 20
    others = [line for line in str(step.program).splitlines() if " map " in line]
    assert [line.split()[1] for line in others] == ["add", "copy", "add"]  # the count of batches, and the last bias


def test_an_update_with_momentum_decay_and_clipping_is_one_loop():
    def made():
        tr.seed(0)
        model = nn.Linear(300, 200)
        return model, optim.SGD(model.parameters(), lr=0.1, momentum=0.9, l2=0.01)

    def body(model, optimizer):
        def step(x):
            optimizer.zero_grad()
            (model(x) ** 2).mean().backward()
            optim.clip_grad_norm(model.parameters(), 1.0)
            optimizer.step()

        return step

    step = compare(made, [(tr.tensor(normal(8, 300, seed=i)),) for i in range(6)], body)
    lines = [line.split() for line in str(step.program).splitlines() if "float32[60000]" in line]
    ops = [line[1] for line in lines if "map" in line]
    assert ops == ["multiply", "multiply", "add", "multiply", "add", "multiply", "add"]
    assert len({line[line.index("map") + 1] for line in lines if "map" in line}) == 1


@pytest.mark.parametrize("make", [lambda p: optim.SGD(p, lr=0.1, momentum=0.9, l2=0.01), lambda p: optim.AdamW(p, lr=0.1)])
def test_an_update_of_small_parameters_is_a_loop_for_each_and_the_whole_is_never_put_together(make):
    def made():
        tr.seed(0)
        model = nn.Sequential(nn.Linear(40, 50), nn.Linear(50, 60))
        return model, make(model.parameters())

    def body(model, optimizer):
        def step(x):
            optimizer.zero_grad()
            (model(x) ** 2).mean().backward()
            optim.clip_grad_norm(model.parameters(), 1.0)
            optimizer.step()

        return step

    step = compare(made, [(tr.tensor(normal(8, 40, seed=i)),) for i in range(6)], body)
    lines = [line.split() for line in str(step.program).splitlines()]
    n = 40 * 50 + 50 + 50 * 60 + 60
    assert not [line for line in lines if f"float32[{n}]" in line and "map" in line]
    last = {line[line.index("map") + 1] for line in lines if "map" in line and line[-2] == "out"}
    assert len(last) == 4  # a loop for each parameter, from clipping to its next value


def test_many_tiny_parameters_are_updated_in_one_loop():
    def made():
        leaves = [tr.tensor(normal(7, seed=i), requires_grad=True) for i in range(40)]
        return nn.Module(), optim.SGD(leaves, lr=0.1, momentum=0.9)

    def body(_, optimizer):
        def step(x):
            optimizer.zero_grad()
            loss = sum((w * x).sum() for w in optimizer.parameters)
            loss.backward()
            optimizer.step()
            return loss

        return step

    step = compare(made, [(normal(7, seed=i),) for i in range(5)], body)
    assert "float32[280]" in str(step.program)


def parted(x, y):
    """An array of parts, and what becomes of it: whole, in other parts, in place, and read by what is no loop."""
    flat = home(x).concatenate([x.ravel(), y.ravel()])
    doubled = flat * 2 + 1
    doubled[700:2100] += flat[100:1500]
    half = doubled[: len(doubled) // 2] - doubled[len(doubled) // 2 :]
    again = home(x).concatenate([half[300:], half[:300]])
    return doubled, half, again / 3, home(x).exp(doubled), home(x).concatenate([doubled[::2], flat[::-1]]) * 2


def test_what_is_done_to_parts_has_the_bits_of_what_is_done_to_the_whole():
    step = both(parted, (normal(50, 40), normal(60, 60, seed=1)), (normal(50, 40, seed=2), normal(60, 60, seed=3)))
    assert len(set(groups(step))) > 3
    both(parted, (normal(50, 40, dtype="f8"), normal(60, 60, seed=1, dtype="f8")))


def test_what_only_a_group_needs_has_no_memory():
    step = both(lambda x: ((x + 1) * 2 - 3) / 4, (normal(100, 100),))
    assert sum(block.size for block in step.program.blocks) <= 2 * 40_000 + 64  # the argument and the result
    assert str(step.program).count("map 0") == 4


def test_what_is_written_in_place_is_read_before_and_after():
    def step(x):
        y = x * 1
        first = y + 1
        y += x
        second = y * 2
        y[1:4] *= 3
        third = y + first
        y[...] = y.T if y.shape == y.T.shape else y + second
        y[2:5] = y[1:4]
        y[:, 1] = 0
        return [first, second, third, y, y.sum(axis=0)]

    both(step, (normal(6, 6),), (normal(6, 6, seed=1),))
    both(step, (normal(7, 20),))


@settings(max_examples=25, deadline=None, derandomize=True, database=None)
@given(st.data())
def test_random_graphs_have_eagers_bits(data):
    """Ops of random arrays, whole and in part, in place and not, some of them summed up."""
    shape = data.draw(st.sampled_from([(6, 6), (3, 20), (17, 4), (1, 9)]))
    plan = data.draw(
        st.lists(st.tuples(st.integers(0, 14), st.integers(0, 99), st.integers(0, 99)), min_size=3, max_size=14)
    )

    def step(x):
        made = [x * 1, x[::-1] + 0.5]
        for kind, a, b in plan:
            p, q = made[a % len(made)], made[b % len(made)]
            if kind == 0:
                p += q * 0.5
            elif kind == 1:
                p[1:] *= 0.5
            elif kind == 2:
                p[:, 1:] = q[:, :-1]
            elif kind == 10:
                p[1:] -= p[1:].sum(axis=0)
            elif kind == 11:
                p[:, 1:] *= p[:, 1:].sum(axis=1, keepdims=True) / 8
            elif kind == 12:
                p[1:] *= 0.5
                q[1:] += p[:-1]
            elif kind == 13:
                before, p[1:] = p[1:] + 1, q[1:]
                q[1:] -= before / 2
            elif kind == 14:
                total = p[1:].sum(axis=0)
                p[1:] -= total
                q[1:] += (p[1:] * total).sum(axis=0) / 64
            else:
                new = {
                    3: lambda p=p, q=q: p + q,
                    4: lambda p=p, q=q: p - q.sum(axis=0),
                    5: lambda p=p, q=q: p * q.sum(axis=1, keepdims=True),
                    6: lambda p=p, q=q: home(p).where(p > q, p, q),
                    7: lambda p=p, q=q: home(p).exp(home(p).minimum(p, 1)) - q,
                    8: lambda p=p, q=q: home(p).maximum(p, q[::-1]) * 0.25,
                    9: lambda p=p, q=q: (p - p.mean(axis=1, keepdims=True)) / 3,
                }[kind]()
                made.append(new)
        return made[-4:]

    both(step, (normal(*shape),))


def test_what_is_read_before_it_is_written_over_is_what_it_was():
    def step(x, z):
        y = x * 1
        before = y[1:] + 1
        y[1:] = z[1:]
        after = before * 3
        y[1:] *= 2
        shifted = y[:-1] - after
        y[:-1] = shifted
        return [after, shifted, y]

    assert both(step, (normal(6, 16), normal(6, 16, seed=1))).replays == 3


@pytest.mark.parametrize("axis", [0, 1])
def test_what_is_read_again_after_a_later_sum_is_what_it_was(axis):
    def step(x):
        y = x * 1
        part = y[1:]
        before = part + 1  # which no other group needs
        total = part.sum(axis=axis, keepdims=True)
        part -= total
        again = (part * part).sum(axis=axis, keepdims=True)
        return [before * again, y, again]

    assert both(step, (normal(6, 16),)).replays == 3


def test_numbers_that_vary_are_given_to_the_code():
    w = tr.tensor(normal(5), requires_grad=True)
    optimizer = optim.SGD([w], lr=1.0)

    @tr.capture
    def step(x):
        optimizer.zero_grad()
        (w * x).sum().backward()
        optimizer.step()

    for i in range(8):
        optimizer.lr = 0.1 + i
        before = w.numpy().copy()
        step(tr.ones(5))
        assert values(w) == values(before - np.float32(0.1 + i) * np.ones(5, "f4"))
    assert step.replays == 5

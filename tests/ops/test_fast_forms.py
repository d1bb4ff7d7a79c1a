"""Fast forms where the table of cases cannot look: mixed dtypes, and results that nobody is left to hold."""

import subprocess
import sys

import numpy as np
import pytest

import tinyreg as tr
from tinyreg.augment import sampling  # noqa: F401  (its fast form is one of them)
from tinyreg.blocks import by_blocks
from tinyreg.core.backend import get
from tinyreg.core.fused import FUSED
from tinyreg.nn.fusion import batch_norm_relu
from tinyreg.nn.scan import lstm_scan
from tinyreg.ops.precision import narrowed, widened

pytestmark = pytest.mark.usefixtures("backend")


def tensor(values, dtype="float32", requires_grad=False):
    here = tr.zeros(0).backend
    return tr.tensor(np.asarray(values), dtype=dtype, backend=here, requires_grad=requires_grad)


@pytest.mark.parametrize("narrow", ["float16", "float32"])
def test_a_wider_bias_widens_the_result_as_in_the_definition(narrow):
    x, w, b = tensor(np.ones((2, 3)), narrow), tensor(np.ones((4, 3)), narrow), tensor(np.full(4, 0.1), "float64")
    for y in (tr.linear(x, w, b), FUSED["linear"].definition(x, w, b)):
        assert y.dtype == "float64"
        np.testing.assert_allclose(y.numpy(), 3.1, rtol=1e-12)


def test_parameters_of_a_norm_never_widen_it():
    x, w, b = tensor([[1.0, 3.0], [2.0, 2.0]]), tensor([1.0, 1.0], "float64"), tensor([0.1, 0.1], "float64")
    for y in (tr.normalization.layer_norm(x, w, b), tr.normalization.batch_norm(x, w, b)):
        assert y.dtype == "float32"


def test_a_fast_form_leaves_its_arguments_alone():
    x, w, b = (np.ones(shape, dtype="float32") for shape in ((2, 3), (4, 3), (4,)))
    tr.linear(x, w, b)
    tr.normalization.batch_norm(x)
    tr.losses.cross_entropy(tensor(x), tensor([0, 1], "int64"))
    assert (x == 1).all()
    assert (b == 1).all()


def test_choosing_by_bits_gives_zeros_of_positive_sign_for_anything_dropped():
    x = tensor([np.nan, -np.inf, -1.0, 2.0])
    kept = tr.where(tensor([False, False, False, True], "bool"), x, 0.0)
    assert np.signbit(kept.numpy()).tolist() == [False] * 4
    assert kept.tolist() == [0.0, 0.0, 0.0, 2.0]
    assert np.signbit(tr.where(tensor([False], "bool"), tensor([1.0]), -0.0).numpy()).tolist() == [True]


def steps_of_an_lstm(dtype, wide=None, spread=1.0, steps=40):
    """x, h, c and weight of 3 sequences and 5 units."""
    rng = np.random.default_rng(0)
    shapes = (steps, 3, 20), (3, 5), (3, 5), (20, 5)
    dtypes = [dtype] * 3 + [wide or dtype]
    return [tensor(rng.normal(size=s) * spread, d, requires_grad=True) for s, d in zip(shapes, dtypes, strict=True)]


def results_and_gradients(f, leaves, **settings):
    for leaf in leaves:
        leaf.zero_grad()
    results = f(*leaves, **settings)
    for i, y in enumerate(results):
        g = np.random.default_rng(i).normal(size=y.shape).astype(str(y.dtype))
        y.backward(tensor(g, str(y.dtype)), retain_graph=True)
    found = [*results, *(leaf.grad for leaf in leaves)]
    return [y.numpy() for y in found], [str(y.dtype) for y in found]


@pytest.mark.parametrize(
    ("dtype", "wide"), [("float16", None), ("float32", None), ("float16", "float32"), ("float32", "float64")]
)
@pytest.mark.parametrize("spread", [1.0, 30.0, 2000.0])
def test_the_steps_of_an_lstm_are_their_definition_in_every_dtype(dtype, wide, spread):
    leaves = steps_of_an_lstm(dtype, wide, spread, steps=40 if spread == 1.0 else 1)  # many would magnify every rounding
    with np.errstate(all="raise", under="ignore"):
        found, dtypes = results_and_gradients(lstm_scan, leaves)
    exact, _ = results_and_gradients(lstm_scan.definition, [tensor(v.numpy(), "float64", True) for v in leaves])
    assert dtypes == [wide or dtype] * 3 + [dtype] * 3 + [wide or dtype]
    rounding = {"float16": 1e-3, "float32": 1e-6, "float64": 1e-14}
    for value, right, name in zip(found, exact, dtypes, strict=True):
        assert np.isfinite(value).all()
        # What goes into a gate is as large as the spread, and so is its rounding; a slope has that of the gate, up to 1.
        np.testing.assert_allclose(value, right, rtol=0, atol=30 * spread * rounding[name] * max(1.0, abs(right).max()))


def test_the_steps_of_an_lstm_in_float16_are_those_of_float32_rounded_once():
    narrow = steps_of_an_lstm("float16")
    wide = [tensor(v.numpy(), "float32", True) for v in narrow]
    found, expected = (
        results_and_gradients(lambda *leaves: lstm_scan(*leaves)[:1], leaves)[0] for leaves in (narrow, wide)
    )
    np.testing.assert_array_equal(found[0], expected[0].astype("float16"))


def test_the_steps_of_an_lstm_leave_their_arguments_alone_and_its_results_share_no_memory():
    leaves = steps_of_an_lstm("float32")
    before = [v.numpy() for v in leaves]
    output, h, c = lstm_scan(*(v.data for v in leaves))
    h[...] = 7
    c[...] = 7
    assert not (output == 7).any()
    for v, then in zip(leaves, before, strict=True):
        np.testing.assert_array_equal(v.numpy(), then)


# ---- every fast form against its definition in float64, at magnitudes where a dtype gives out


def draws(dtype, scale, shape, seed=0):
    """Normal values of a size, as this dtype holds them."""
    return (scale * np.random.default_rng(seed).normal(size=shape)).astype(dtype)


def smoothed(logits, **settings):
    n, k = logits.shape[:2]
    labels = np.random.default_rng(1).integers(0, k, (n, *logits.shape[2:]))
    return lambda x: tr.losses.cross_entropy(x, tensor(labels, "int64"), **settings)


def soft(shape):
    """Shares of classes along axis 1, some of them 0, as float16 holds them."""
    drawn = np.random.default_rng(3).integers(0, 4, shape) / 4
    return tensor(drawn, "float16")


def weights():
    return tensor([2.0, 0.0, 0.5], "float16")


def keep_most(x):
    return tensor(np.random.default_rng(3).random(x.shape) < 0.75, "bool")


CALLS = {
    "linear": [
        ((3, 5), lambda x: tr.linear(x, tensor(draws("float16", 1, (4, 5)), x.dtype), tensor([0.5, 1, 2, 3], x.dtype))),
        ((2, 700), lambda x: tr.linear(x, tensor(draws("float16", 1, (2, 700)), x.dtype))),
    ],
    "silu": [((4, 5), tr.silu)],
    "gelu": [
        ((4, 5), tr.gelu),
        ((4, 5), lambda x: tr.gelu(x, approximate="tanh")),
    ],
    "correlation": [((1, 2, 4, 4), lambda x: tr.conv2d(x, tensor(draws("float16", 1, (3, 2, 3, 3)), x.dtype), padding=1))],
    "window_max": [((1, 2, 4, 4), lambda x: tr.max_pool2d(x, 2)), ((1, 1, 5, 5), lambda x: tr.max_pool2d(x, 3, stride=1))],
    "window_mean": [((1, 2, 4, 4), lambda x: tr.avg_pool2d(x, 2)), ((1, 1, 5, 5), lambda x: tr.avg_pool2d(x, 3, stride=1))],
    "sample": [((2, 1, 5, 5), lambda x: tr.augment.rotate(x, (10.0, 30.0), rng=tr.Generator(0)))],
    "depthwise": [
        ((1, 2, 4, 4), lambda x: tr.conv2d(x, tensor(draws("float16", 1, (2, 1, 3, 3)), x.dtype), padding=1, groups=2))
    ],
    "batch_normalized": [
        ((7, 3), lambda x: tr.normalization.batch_norm(x, tensor([1, 2, 0.5], x.dtype), tensor([0, 1, 2], x.dtype))),
        ((300, 2, 3), lambda x: tr.normalization.batch_norm(x)),
    ],
    "layer_normalized": [
        ((4, 6), lambda x: tr.normalization.layer_norm(x, tensor(np.arange(6), x.dtype), tensor(np.ones(6), x.dtype))),
        ((2, 3000), lambda x: tr.normalization.layer_norm(x)),
        ((3, 4, 5), lambda x: tr.normalization.layer_norm(x, axes=(0, 1))),
    ],
    "group_normalized": [
        (
            (3, 4, 5),
            lambda x: tr.normalization.group_norm(x, 2, tensor(np.arange(4), x.dtype), tensor(np.ones(4), x.dtype)),
        ),
        ((3, 4, 5), lambda x: tr.normalization.instance_norm(x)),
    ],
    "batch_norm_relu": [
        ((7, 3), lambda x: narrowed(batch_norm_relu(widened(x), relu=True, axes=(0,))[0], x)),
        (
            (5, 2, 3),
            lambda x: narrowed(batch_norm_relu(widened(x), None, None, keep_most(x), dropout=0.25, axes=(0, 2))[0], x),
        ),
    ],
    "smoothed_nll": [
        ((4, 1000), lambda x: smoothed(x, label_smoothing=0.1)(x)),
        ((3000, 3), lambda x: smoothed(x, reduction="sum")(x)),
        ((2, 3, 4, 5), lambda x: smoothed(x, ignore_index=1, label_smoothing=0.5)(x)),
    ],
}
CALLS |= {  # losses
    "soft_nll": [
        ((4, 1000), lambda x: tr.losses.cross_entropy(x, soft(x.shape), label_smoothing=0.1)),
        ((3000, 3), lambda x: tr.losses.cross_entropy(x, soft(x.shape), reduction="sum")),
        (
            (2, 3, 4, 5),
            lambda x: tr.losses.cross_entropy(x, soft(x.shape), weight=tensor([0.0, 1.0, 2.0]), reduction="none"),
        ),
        ((4, 5), lambda x: tr.losses.cross_entropy(x, tensor(np.eye(5)[[0, 3, 1, 1]] * [[1], [0], [1], [2]]))),
    ],
    "logistic_nll": [
        ((400, 3), lambda x: tr.losses.binary_cross_entropy(x, soft(x.shape))),
        ((4, 3), lambda x: tr.losses.binary_cross_entropy(x, tensor(np.eye(3)[[0, 2, 1, 1]]), reduction="sum")),
        ((4, 3), lambda x: tr.losses.binary_cross_entropy(x, soft(x.shape), weight=weights(), reduction="none")),
        ((4, 3), lambda x: tr.losses.binary_cross_entropy(x, tensor(np.eye(3)[[0, 2, 1, 1]]), pos_weight=weights())),
    ],
    "parabola_and_line": [
        ((400, 3), lambda x: tr.losses.huber(x, soft(x.shape))),
        ((4, 3), lambda x: tr.losses.huber(x, tensor(np.zeros((4, 3))), delta=200.0, reduction="none")),
        ((4, 3), lambda x: tr.losses.huber(x, tensor(np.ones((4, 3))), delta=2.0**-10, reduction="sum")),
    ],
}
PAIRS = [pytest.param(name, shape, call, id=f"{name}-{shape}") for name in CALLS for shape, call in CALLS[name]]
EPS = {"float16": 2.0**-11, "float32": 2.0**-24, "float64": 2.0**-53}
LARGEST = {"float16": 65504.0, "float32": 3.4e38, "float64": 1.7e308}


def own_forms():
    return {name for name, form in FUSED.items() if str(form.__module__).startswith("tinyreg.")}


def test_every_fast_form_is_held_to_its_definition_here():
    assert own_forms() == {*CALLS, "lstm_scan"}  # which has tests of its own above


def value_and_gradient(call, x):
    """The result of a call and its gradient, for an incoming one of small numbers that every dtype holds."""
    leaf = tensor(x, str(x.dtype), requires_grad=True)
    with np.errstate(all="ignore"):
        y = call(leaf)
        y.backward(tensor(draws("float16", 1, y.shape, seed=2), y.dtype))
    assert y.dtype == leaf.grad.dtype == x.dtype
    return y.numpy().astype("float64"), leaf.grad.numpy().astype("float64")


def by_definition(name, monkeypatch):
    """From here on this composition has no fast form."""
    monkeypatch.setattr(FUSED[name], "rules", [])


@pytest.mark.parametrize("dtype", ["float16", "float32"])
@pytest.mark.parametrize("scale", [2.0**-20, 2.0**-6, 1.0, 300.0, 10_000.0])
@pytest.mark.parametrize(("name", "shape", "call"), PAIRS)
def test_a_fast_form_gives_what_the_definition_gives_in_float64(name, shape, call, scale, dtype, monkeypatch):
    x = draws(dtype, scale, shape)
    x[np.abs(x) > LARGEST[dtype]] = LARGEST[dtype]
    found = value_and_gradient(call, x)
    by_definition(name, monkeypatch)
    expected = value_and_gradient(call, x.astype("float64"))
    for f, e in zip(found, expected, strict=True):
        fits = np.abs(e) < 0.999 * LARGEST[dtype]
        assert np.isfinite(f[fits]).all()
        # Of sums of many terms the error is measured by their size, and float16 has none below 2^-24.
        size = np.abs(e[fits]).max(initial=0.0)
        np.testing.assert_allclose(
            f[fits], e[fits], rtol=4 * EPS[dtype], atol=64 * EPS[dtype] * size + 2.0**-24 * (dtype == "float16")
        )
        np.testing.assert_array_equal(np.sign(f[~fits]), np.sign(e[~fits]))


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize(("name", "shape", "call"), PAIRS)
def test_nan_and_infinities_go_where_they_go_in_the_definition(name, shape, call, wrong, dtype, monkeypatch):
    x = draws(dtype, 1.0, shape)
    x.flat[3] = wrong
    found = value_and_gradient(call, x)
    by_definition(name, monkeypatch)
    expected = value_and_gradient(call, x)
    for f, e in zip(found, expected, strict=True):
        np.testing.assert_array_equal(np.isnan(f), np.isnan(e))
        np.testing.assert_array_equal(np.where(np.isinf(f), f, 0), np.where(np.isinf(e), e, 0))
        ok = np.isfinite(e)
        np.testing.assert_allclose(
            f[ok], e[ok], rtol=64 * EPS[dtype], atol=64 * EPS[dtype] * np.abs(e[ok]).max(initial=0.0)
        )


# ---- large arrays, which take other ways to the same values

MANY = 5000  # more than the elements from which on bits choose


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_of_many_elements_where_gives_the_bits_that_it_gives_of_few(dtype):
    rng = np.random.default_rng(0)
    values = rng.choice(np.array([1.5, -0.0, 0.0, np.nan, np.inf, -np.inf, 6e-8], dtype), (2, MANY))
    condition = rng.random(MANY) < 0.5
    for x1, x2 in ((values[0], values[1]), (values[0], 2.5), (-0.0, values[1]), (values[0], values[1, :1])):
        y = tr.where(tensor(condition, "bool"), *(tensor(x, dtype) if np.ndim(x) else x for x in (x1, x2))).numpy()
        expected = np.where(condition, x1, x2)
        assert y.dtype == expected.dtype == dtype
        assert y.tobytes() == expected.tobytes()


@pytest.mark.parametrize("f", [tr.erf, tr.silu, tr.gelu, lambda x: tr.gelu(x, approximate="tanh")])
@pytest.mark.parametrize("shape", [(40, 3), (2, 6, 10)])
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_block_by_block_an_array_gives_what_it_gives_as_a_whole(f, shape, dtype, monkeypatch):
    x = draws(dtype, 2, shape)
    whole = value_and_gradient(f, x), value_and_gradient(f, x.T)
    monkeypatch.setattr(get("numpy"), "block", 7)
    blocks = value_and_gradient(f, x), value_and_gradient(f, x.T)
    np.testing.assert_allclose(blocks[0], whole[0], rtol=4 * EPS[dtype], atol=1e-7 * (dtype == "float16"))
    np.testing.assert_allclose(blocks[1], whole[1], rtol=4 * EPS[dtype], atol=1e-7 * (dtype == "float16"))


def test_a_large_array_is_worked_on_in_parts_and_one_that_is_not_contiguous_as_a_whole(monkeypatch):
    sizes = []

    def f(xp, x, factor):
        sizes.append(x.size)
        return x * factor, x > 0

    here = get(tr.zeros(0).backend)
    monkeypatch.setattr(here, "block", 4)
    x = here.asarray(draws("float32", 1, (5, 2)))
    y, positive = by_blocks(f, here, x, 2.0)
    assert (sizes, y.shape, positive.dtype) == ([4, 4, 2], (5, 2), "bool")
    np.testing.assert_array_equal(here.to_host(y), 2 * here.to_host(x))
    sizes.clear()
    by_blocks(f, here, x.T, 2.0)
    by_blocks(f, here, x, x[0])
    by_blocks(f, here, x[:2], 2.0)
    assert sizes == [10, 10, 4]


WITHOUT = """
import sys, types
sys.modules["tinyreg.ops.fast.{file}"] = types.ModuleType("{file}")
import numpy as np
import tinyreg as tr
x = tr.tensor(np.arange(16.0).reshape(1, 1, 4, 4) % 5, requires_grad=True)
y = {call}
print(*(row.op.name for row in tr.tape(y)))
(y * y).sum().backward()
print(*y.numpy().ravel(), *x.grad.numpy().ravel())
"""
FILES = {
    "convolution": ("tr.conv2d(x, tr.tensor(np.arange(4.0).reshape(1, 1, 2, 2)))", "conv2d"),
    "pooling": ("tr.max_pool2d(x, 2, stride=1) + tr.avg_pool2d(x, 2, stride=1)", "avg_pool2d"),
    "linear": ("tr.linear(x, tr.tensor(np.arange(8.0).reshape(2, 4)))", "linear"),
}


@pytest.mark.parametrize("file", FILES)
def test_a_file_of_fast_forms_can_be_deleted(file):
    call, op = FILES[file]

    def run(deleted):
        done = subprocess.run(
            [sys.executable, "-c", WITHOUT.format(file=deleted, call=call)],
            capture_output=True,
            text=True,
            check=True,
            timeout=600,
        )
        names, numbers = done.stdout.splitlines()
        return names.split(), np.array(numbers.split(), dtype=float)

    (fast, right), (defined, same) = run("nothing"), run(file)
    assert op in fast
    assert op not in defined
    np.testing.assert_allclose(same, right, rtol=1e-12)

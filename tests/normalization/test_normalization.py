"""Normalization: what others got wrong, dtypes, and every way to be given the wrong thing.

Values and derivatives are compared in the table of cases and in test_torch_values.py.
"""

import numpy as np
import pytest
from norm_values import normal, rng, tensor

import tinyreg as tr
from tinyreg import nn
from tinyreg import normalization as norm

pytestmark = pytest.mark.usefixtures("backend")


# ---- precision


@pytest.mark.parametrize("normalize", [norm.batch_norm, norm.layer_norm])
def test_a_small_spread_around_a_large_mean_survives_in_float32(normalize):  # burn#5607: the one-pass variance
    spread = 2e-5**0.5
    x = tensor(1e4 + rng.normal(size=(512, 512)) * spread).numpy()  # as float32 has it
    y = normalize(tensor(x), eps=0.0).numpy()
    axis = 0 if normalize is norm.batch_norm else 1
    wide = x.astype("float64")
    expected = (wide - wide.mean(axis=axis, keepdims=True)) / wide.std(axis=axis, keepdims=True)
    off = 2 * float(np.spacing(np.float32(1e4))) / spread  # the mean is a float32 and a sum of 512 of them
    np.testing.assert_allclose(y, expected, rtol=off**2, atol=off)
    _, _, var = norm.batch_norm(tensor(x), return_stats=True)
    np.testing.assert_allclose(var.numpy(), wide.var(axis=0), rtol=off**2)


@pytest.mark.parametrize("normalize", [norm.batch_norm, norm.layer_norm, norm.rms_norm, lambda x: norm.group_norm(x, 2)])
def test_float16_is_summed_in_float32(normalize):  # DeepSpeed#581
    x = (300 + 100 * rng.normal(size=(64, 3000))).astype("float16")  # squares and sums overflow in float16
    y = normalize(tensor(x, "float16"))
    assert y.dtype == "float16"
    np.testing.assert_allclose(y.numpy(), normalize(tensor(x, "float64")).numpy(), atol=2e-3)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_dtypes_are_kept(dtype):
    x = normal(4, 2, 3, dtype=dtype, requires_grad=True)
    w = normal(2, dtype=dtype)
    for y in (
        norm.batch_norm(x, w, w),
        norm.layer_norm(x),
        norm.rms_norm(x),
        norm.instance_norm(x, w),
        norm.group_norm(x, 2),
    ):
        assert y.dtype == dtype
        y.sum().backward()
    assert x.grad.dtype == dtype


def test_eps_is_added_once_and_to_the_variance():  # chainer#7506
    y = norm.batch_norm(tensor([[1.0], [3.0]], "float64"), eps=3.0)
    np.testing.assert_allclose(y.numpy(), [[-0.5], [0.5]], rtol=1e-15)


# ---- relations between norms


def test_one_group_is_a_layer_norm_and_as_many_as_channels_an_instance_norm():
    x = normal(2, 4, 3, 2, dtype="float64")
    np.testing.assert_allclose(norm.group_norm(x, 1).numpy(), norm.layer_norm(x, axes=(1, 2, 3)).numpy(), rtol=1e-12)
    np.testing.assert_allclose(norm.group_norm(x, 4).numpy(), norm.instance_norm(x).numpy(), rtol=1e-12)


def test_batch_norm_over_any_axes_is_one_function():
    x = normal(5, 3, 2, 4, dtype="float64")
    flat = x.numpy().transpose(0, 2, 3, 1).reshape(-1, 3)
    expected = norm.batch_norm(tensor(flat, "float64")).numpy().reshape(5, 2, 4, 3).transpose(0, 3, 1, 2)
    np.testing.assert_allclose(norm.batch_norm(x).numpy(), expected, rtol=1e-12)
    np.testing.assert_allclose(norm.batch_norm(x, axes=(-1, 0, 2)).numpy(), expected, rtol=1e-12)


# ---- errors

X = np.ones((4, 3), dtype="float32")


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda x: norm.batch_norm(x, mean=x[0]), "batch_norm: got mean alone, expected both, or neither"),
        (lambda x: norm.batch_norm(x, var=x[0]), "batch_norm: got var alone, expected both, or neither"),
        (
            lambda x: norm.batch_norm(x, x[:, 0]),
            r"batch_norm: got weight float32\[4\] for x float32\[4, 3\], expected shape \[3\]",
        ),
        (
            lambda x: norm.batch_norm(x, axes=(2,)),
            "batch_norm: got axes=2 for an array of 2 axes, expected an axis from -2 to 1",
        ),
        (lambda x: norm.batch_norm(x, axes=(0, -2)), r"batch_norm: got axes=\(0, -2\)"),
        (lambda x: norm.layer_norm(x, axes=()), r"layer_norm: got axes=\(\)"),
        (lambda x: norm.layer_norm(x, x[:, 0]), r"layer_norm: got weight float32\[4\] .* expected shape \[3\]"),
        (lambda x: norm.rms_norm(x, x), r"rms_norm: got weight float32\[4, 3\] .* expected shape \[3\]"),
        (
            lambda x: norm.group_norm(x, 2),
            r"group_norm: got x .* and num_groups=2, expected \(N, C, ...\) with a C that it divi",
        ),
        (lambda x: norm.group_norm(x, 0), "group_norm: got num_groups=0, expected an integer of at least 1"),
        (lambda x: norm.group_norm(x[0], 1), r"group_norm: got x float32\[3\] and num_groups=1, expected \(N, C, ...\)"),
        (lambda x: norm.group_norm(x, 1, x[0, :2]), r"group_norm: got weight float32\[2\] .* expected shape \[3\]"),
        (lambda x: norm.instance_norm(x), r"instance_norm: got x .*, expected \(N, C, ...\) with more than one position"),
        (lambda x: norm.instance_norm(x[:, :, None]), r"instance_norm: got x float32\[4, 3, 1\], expected \(N, C, ...\)"),
        (lambda x: norm.instance_norm(x[None], x[0]), r"instance_norm: got weight float32\[3\] .* expected shape \[4\]"),
        (lambda x: norm.weight_norm(x, x[0]), r"weight_norm: got g float32\[3\] for v .*, expected shape \[4, 1\]"),
        (lambda x: norm.spectral_norm(x[0]), r"spectral_norm: got weight float32\[3\], expected at least two axes"),
        (
            lambda x: norm.spectral_norm(x, axis=2),
            "spectral_norm: got axis=2 for an array of 2 axes, expected an axis from -2 to 1",
        ),
        (lambda x: norm.weight_norm(x, x[:, :1], axis=2), "weight_norm: got axis=2 for an array of 2 axes"),
        (
            lambda x: nn.WeightNorm(nn.Linear(2, 3), axis=2),
            "WeightNorm: got axis=2 for an array of 2 axes, expected an axis from -2 to 1",
        ),
        (lambda x: nn.SpectralNorm(nn.Linear(2, 3), axis=-3), "SpectralNorm: got axis=-3 for an array of 2 axes"),
        (lambda x: norm.spectral_norm(x, u=x[:, 0]), "spectral_norm: got u alone, expected both, or neither"),
        (
            lambda x: norm.spectral_norm(x, x[0], x[0]),
            r"expected shapes \[4\] and \[3\] for a weight float32\[4, 3\] whose rows",
        ),
        (
            lambda x: norm.spectral_norm(x, x[:, 0], x[:, 0]),
            r"got u float32\[4\] and v float32\[4\], expected shapes \[4\]",
        ),
        (
            lambda x: norm.power_iteration(x, x[:, 0], iterations=0),
            "power_iteration: got iterations=0, expected at least 1",
        ),
        (lambda x: norm.power_iteration(x, x[0]), r"power_iteration: got u float32\[3\], expected shape \[4\]"),
        (
            lambda x: norm.power_iteration(x, x[:, 0], eps=-1.0),
            "power_iteration: got eps=-1.0, expected a number of at lea",
        ),
        (
            lambda x: norm.conv_power_iteration(x[None, None], x[None], iterations=0),
            "conv_power_iteration: got iterations=0, expected an integer of at least 1",
        ),
        (
            lambda x: norm.conv_spectral_norm(x[None, None], input_shape=(3, 0)),
            "conv_spectral_norm: got input_shape=0, expected an integer of at least 1",
        ),
        (lambda x: nn.BatchNorm(2)(x), r"BatchNorm: got x float32\[4, 3\], expected \(N, 2\) or \(N, 2, ...\)"),
        (lambda x: nn.BatchNorm(2, momentum=1.5), "BatchNorm: got momentum=1.5, expected a share from 0 to 1, or None"),
        (lambda x: nn.BatchNorm(2, running="both"), "BatchNorm: got running='both', expected 'biased' or 'unbiased'"),
        (lambda x: nn.LayerNorm(4)(x), r"LayerNorm: got x float32\[4, 3\], expected \(..., 4\)"),
        (lambda x: nn.RMSNorm((2, 3))(x), r"RMSNorm: got x float32\[4, 3\], expected \(..., 2, 3\)"),
        (lambda x: nn.LayerNorm(0), "normalized_shape: got 0, expected at least one axis, none of them empty"),
        (lambda x: nn.GroupNorm(2, 3), "GroupNorm: got num_groups=2, expected a divisor of num_channels=3"),
        (lambda x: nn.GroupNorm(2, 4)(x), r"GroupNorm: got x float32\[4, 3\], expected \(N, 4, ...\)"),
        (lambda x: nn.InstanceNorm(2)(x), r"InstanceNorm: got x float32\[4, 3\], expected \(N, 2, ...\)"),
        (
            lambda x: nn.SpectralNorm(nn.Linear(3, 2), iterations=0),
            "SpectralNorm: got iterations=0, expected an integer of at least 1",
        ),
        (lambda x: nn.SpectralNorm(nn.LayerNorm(3)), r"SpectralNorm: got weight float32\[3\], expected at least two axes"),
    ],
)
def test_what_does_not_fit_is_refused(call, text):
    with pytest.raises(ValueError, match=text):
        call(tensor(X))


@pytest.mark.parametrize("normalize", [norm.batch_norm, norm.layer_norm, norm.rms_norm])
def test_integers_are_refused(normalize):
    with pytest.raises(TypeError, match=r"norm: got x int64\[4, 3\], expected floats"):
        normalize(tensor(X, "int64"))


@pytest.mark.parametrize(
    ("x", "kind", "text"),
    [
        ([1.0, 2.0], TypeError, r"batch_norm: got x \[1.0, 2.0\], expected floats"),
        (np.ones(3), ValueError, r"batch_norm: got x float64\[3\], expected \(N, C\) or \(N, C, ...\); or say the axes"),
    ],
)
def test_what_has_no_channels_is_refused(x, kind, text):
    with pytest.raises(kind, match=text):
        tr.normalization.batch_norm(x)


# ---- dtypes and numbers

NORMS = {
    "batch_norm": lambda x, w, b: norm.batch_norm(x, w, b),
    "running": lambda x, w, b: norm.batch_norm(x, w, b, mean=b, var=w),
    "layer_norm": lambda x, w, b: norm.layer_norm(x, w, b),
    "group_norm": lambda x, w, b: norm.group_norm(x, np.int64(2), w, b, eps=np.float32(1e-5)),
    "instance_norm": lambda x, w, b: norm.instance_norm(tr.reshape(x, (-1, 4, 2)), w, b),
    "rms_norm": lambda x, w, b: norm.rms_norm(x, w, axes=np.int64(-1), eps=np.float64(1e-6)),
    "weight_norm": lambda x, w, b: norm.weight_norm(x, tr.reshape(w, (4, 1))[: x.shape[0]], axis=np.int64(0)),
    "spectral_norm": lambda x, w, b: norm.spectral_norm(x, axis=np.int64(0)),
    "given vectors": lambda x, w, b: norm.spectral_norm(x, w[: x.shape[0]], b),
    "vectors": lambda x, w, b: norm.spectral_norm(x, *norm.power_iteration(x, w[: x.shape[0]], iterations=np.int64(3))),
}


@pytest.mark.parametrize("name", NORMS)
@pytest.mark.parametrize("other", ["float16", "float32", "float64"])
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_parameters_and_statistics_never_decide_the_dtype(name, dtype, other):
    rng = np.random.default_rng(4)
    x = tensor(rng.normal(size=(4, 4)), dtype, requires_grad=True)
    w = tensor([0.5, 1.0, 2.0, 1.0], other, requires_grad=True)
    b = tensor([0.0, 1.0, 0.5, 0.25], other, requires_grad=True)
    y = NORMS[name](x, w, b)
    (y * y).sum().backward()
    assert y.dtype == x.grad.dtype == dtype
    assert all(p.grad is None or p.grad.dtype == other for p in (w, b))


@pytest.mark.parametrize("scale", [3e3, 2.0**-13])
@pytest.mark.parametrize("name", NORMS)
def test_every_norm_of_float16_squares_and_sums_in_float32(name, scale):
    rng = np.random.default_rng(5)
    values = (scale * rng.normal(size=(4, 4))).astype("float16")
    w, b = [0.5, 1.0, 2.0, 1.0], [0.0, 1.0, 0.5, 0.25]
    g = rng.normal(size=(4, 4)).astype("float16").astype("float64")

    def results(dtype):
        leaves = [tensor(v, dtype, requires_grad=True) for v in (values, w, b)]
        y = NORMS[name](*leaves)
        y.backward(tr.reshape(tensor(g, dtype), y.shape))
        grads = [leaf.grad.numpy().astype("float64") for leaf in leaves if leaf.grad is not None]
        return [y.numpy().astype("float64"), *grads]

    for found, expected in zip(results("float16"), results("float64"), strict=True):
        np.testing.assert_allclose(found, expected, rtol=2**-9, atol=2**-9 * np.abs(expected).max() + 2.0**-25)


@pytest.mark.parametrize("name", [name for name in NORMS if name != "vectors"])
def test_a_norm_of_float16_is_that_of_float32_rounded_once(name):
    values = [v.astype("float16") for v in (rng.normal(size=(4, 4)), 0.5 + rng.random(4), rng.normal(size=4))]
    narrow, wide = (NORMS[name](*[tensor(v, dtype) for v in values]).numpy() for dtype in ("float16", "float32"))
    np.testing.assert_array_equal(narrow, wide.astype("float16"))


ITERATED = {
    "spectral_norm": lambda w, v: norm.spectral_norm(w, v, tr.concat(v, v)),
    "power_iteration": lambda w, v: norm.power_iteration(w, v),
    "conv_power_iteration": lambda w, v: norm.conv_power_iteration(
        tr.reshape(w, (2, 1, 2, 2)), tr.reshape(v, (1, 1, 2)), padding=1
    ),
    "conv_spectral_norm": lambda w, v: norm.conv_spectral_norm(
        tr.reshape(w, (2, 1, 2, 2)), tr.reshape(v, (1, 1, 2)), input_shape=(1, 2), padding=1
    ),
    "exact": lambda w, v: norm.conv_spectral_norm(tr.reshape(w, (2, 1, 2, 2)), input_shape=(2, 2), padding=1),
}


@pytest.mark.parametrize("name", ITERATED)
@pytest.mark.parametrize("other", ["float16", "float32", "float64"])
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_what_is_iterated_has_the_dtype_of_the_weight_and_is_rounded_once(name, dtype, other):
    w, v = (2.0**-10 * rng.normal(size=(2, 4))).astype(dtype), np.array([1.0, 0.3], other)
    results = ITERATED[name](tensor(w, dtype), tensor(v, other))
    wide = ITERATED[name](tensor(w, "float32" if dtype == "float16" else dtype), tensor(v, other))
    for one, expected in zip(*((r if isinstance(r, tuple) else (r,)) for r in (results, wide)), strict=True):
        assert one.dtype == dtype
        np.testing.assert_array_equal(one.numpy(), expected.numpy().astype(dtype))


def test_weight_norm_and_power_iteration_at_the_ends_of_float16():
    v = tensor([[300.0, 400.0]], "float16")
    np.testing.assert_array_equal(norm.weight_norm(v, tensor([[5.0]], "float16")).numpy(), [[3.0, 4.0]])
    tiny = tensor(np.array([[3.0, 4.0]]) * 2.0**-20, "float16")
    np.testing.assert_allclose(norm.weight_norm(tiny, tensor([[5.0]], "float16")).numpy(), [[3.0, 4.0]], rtol=2**-3)
    _, v = norm.power_iteration(
        tensor([[300.0, 400.0], [0.0, 1.0]], "float16"), tensor([1.0, 1.0], "float16"), iterations=9
    )
    np.testing.assert_allclose(v.numpy(), [0.6, 0.8], atol=2e-3)


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda x: norm.layer_norm(x, eps="small"), TypeError, "layer_norm: got eps='small', expected a number"),
        (lambda x: norm.batch_norm(x, eps=-1.0), ValueError, "batch_norm: got eps=-1.0"),
        (lambda x: norm.layer_norm(x, axes="all"), TypeError, "layer_norm: got axes='all', expected an integer"),
        (lambda x: norm.group_norm(x, 1.5), TypeError, "group_norm: got num_groups=1.5, expected an integer"),
        (lambda x: norm.power_iteration(x, x[:, 0], iterations=1.5), TypeError, "power_iteration: got iterations=1.5"),
        (lambda x: norm.power_iteration(x, x[:, 0], eps="tiny"), TypeError, "power_iteration: got eps='tiny'"),
        (
            lambda x: norm.conv_power_iteration(x[None, None], x[None], iterations=1.5),
            TypeError,
            "conv_power_iteration: got iterations=1.5",
        ),
        (
            lambda x: norm.group_norm(tensor([[1, 2]], "int64"), 1),
            TypeError,
            r"group_norm: got x int64\[1, 2\], expected fl",
        ),
        (lambda x: norm.layer_norm(x, [1.0, 1.0, 1.0]), ValueError, r"layer_norm: got weight \[1.0, 1.0, 1.0\] for x"),
    ],
)
def test_settings_of_the_wrong_type_are_refused(call, error, text):
    with pytest.raises(error, match=text):
        call(tensor(np.ones((4, 3)), "float32"))


def test_iterations_are_not_recorded_whatever_wants_a_gradient():
    w, v = normal(1, 1, 2, 2, requires_grad=True), normal(1, 3, 3, requires_grad=True)
    assert not norm.conv_power_iteration(w, v).requires_grad
    assert not any(each.requires_grad for each in norm.power_iteration(w[0, 0], v[0, 0, :2]))


def test_the_shape_of_images_may_be_a_list():
    w = normal(1, 1, 2, 2)
    given, expected = (norm.conv_spectral_norm(w, input_shape=shape).numpy() for shape in ([3, 3], (3, 3)))
    np.testing.assert_array_equal(given, expected)


# ---- axes, and statistics


def test_the_axes_may_be_named_in_any_order():
    x, w, b = normal(2, 3, 4), normal(3, 4), normal(2)
    for normalize in (norm.layer_norm, norm.rms_norm):
        np.testing.assert_array_equal(normalize(x, w, axes=(2, 1)).numpy(), normalize(x, w, axes=(1, 2)).numpy())
    given, sorted_ = (norm.batch_norm(x, b, axes=axes, return_stats=True) for axes in ((2, 1), (1, 2)))
    for one, other in zip(given, sorted_, strict=True):
        np.testing.assert_array_equal(one.numpy(), other.numpy())


def test_one_sample_has_statistics_where_it_has_several_positions():
    assert norm.batch_norm(normal(1, 3, 2)).shape == (1, 3, 2)
    penalty = tr.regularizers.gradient_penalty(lambda x: norm.batch_norm(x, axes=1), normal(2, 3), 1.0)
    assert penalty.shape == ()  # since that keeps samples apart


@pytest.mark.parametrize(
    ("shape", "normalize"),
    [
        ((5, 1, 4), lambda x: norm.batch_norm(x, normal(1), normal(1), return_stats=True)),
        ((5, 1, 4), lambda x: norm.batch_norm(x, normal(5, 1), normal(5, 1), axes=2, return_stats=True)),
        ((5, 1, 4), lambda x: norm.layer_norm(x, normal(1, 4), normal(1, 4), axes=(1, 2))),
        ((5, 6, 4), lambda x: norm.group_norm(x, 3, normal(6), normal(6))),
        ((5, 6, 4), lambda x: norm.instance_norm(x, normal(6), normal(6))),
    ],
)
def test_a_norm_has_the_same_results_where_the_steps_of_its_definition_are_shown(shape, normalize):
    x = normal(*shape)
    state = rng.bit_generator.state
    fast = normalize(x)
    rng.bit_generator.state = state
    with tr.explain(definitions=True):
        shown = normalize(x)
    for one, other in zip(fast, shown, strict=True) if isinstance(fast, tuple) else [(fast, shown)]:
        assert one.shape == other.shape
        np.testing.assert_allclose(one.numpy(), other.numpy(), rtol=1e-4, atol=1e-6)


# ---- on the tape, and in the ways that fast forms take


def names(y):
    return [entry.op.name for entry in tr.tape(y)]


def test_the_tape_says_what_was_written():
    x, p = tensor(X.reshape(2, 2, 3), requires_grad=True), tensor([1.0, 2.0], requires_grad=True)
    written = {
        "batch_norm": norm.batch_norm(x, p, p),
        "layer_norm": norm.layer_norm(x),
        "group_norm": norm.group_norm(x, 2, p, p),
        "instance_norm": norm.instance_norm(x, p, p),
    }
    assert {name: names(y) for name, y in written.items()} == {name: [name] for name in written}
    layers = nn.BatchNorm(2), nn.LayerNorm(3), nn.GroupNorm(2, 2), nn.InstanceNorm(2)
    assert [names(layer(x)) for layer in layers] == [[name] for name in written]


def test_a_network_stands_on_the_tape_as_it_was_written():
    x, w = tensor(X, requires_grad=True), tensor(X[:3])
    y = tr.dropout.dropout(norm.batch_norm(x @ w), 0.5, training=True, rng=0)
    assert names(y) == ["matmul", "batch_norm", "dropout"]


@pytest.mark.parametrize("normalize", [norm.batch_norm, norm.layer_norm, norm.rms_norm])
def test_the_axes_are_not_called_dim(normalize):
    with pytest.raises(TypeError, match=f"{normalize.__name__}: got an unexpected keyword argument; dim is axes here"):
        normalize(tensor(X), dim=0)


def test_what_has_no_channels_has_no_instances():
    with pytest.raises(ValueError, match=r"instance_norm: got x float32\[2, 0, 3\]"):
        norm.instance_norm(tensor(np.zeros((2, 0, 3))))


def laid_out(layout, shape, seed):
    """Values side by side in memory in the order of the axes or in the opposite one, or one row again and again."""
    x = np.random.default_rng(seed).normal(size=shape)
    return {"in rows": x, "transposed": np.asarray(x.T, order="C").T, "repeated": np.broadcast_to(x[:1], shape)}[layout]


@pytest.mark.parametrize(("of_x", "of_g"), [("in rows", "in rows"), ("transposed", "transposed"), ("in rows", "repeated")])
@pytest.mark.parametrize(
    ("shape", "normalize"),
    [
        ((600, 1000), norm.layer_norm),
        ((70_001, 9), norm.layer_norm),
        ((300, 1024), lambda x: norm.layer_norm(x, axes=0)),
        ((90, 12, 15, 20), lambda x: norm.group_norm(x, 3)),
        ((40_000, 8), lambda x: norm.group_norm(x, 2)),
        ((64, 5, 1024), norm.instance_norm),
    ],
)
def test_large_arrays_are_normalized_block_by_block(shape, normalize, of_x, of_g):
    values, g = laid_out(of_x, shape, 5), laid_out(of_g, shape, 6)
    results = []
    for dtype in ("float64", "float32"):
        x = tensor(values.astype(dtype), dtype, requires_grad=True)
        y = normalize(x)
        y.backward(tensor(g.astype(dtype), dtype))
        results.append((y.numpy(), x.grad.numpy()))
    for wide, narrow in zip(*results, strict=True):
        np.testing.assert_allclose(narrow, wide, rtol=1e-4, atol=2e-5)
    y = results[0][0].reshape(shape)
    assert abs(y.mean()) < 1e-12


def test_the_mean_of_a_long_row_far_from_0_is_as_exact_as_that_of_numpy():
    x = (1e4 + np.random.default_rng(6).normal(size=(4, 16_384))).astype("float32")
    exact = x.astype("float64")
    expected = (exact - exact.mean(axis=1, keepdims=True)) / exact.std(axis=1, keepdims=True)
    np.testing.assert_allclose(norm.layer_norm(tensor(x), eps=0.0).numpy(), expected, atol=2e-3)

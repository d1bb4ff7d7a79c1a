"""Clipping: the formula over all gradients together, ranges in which squares overflow, gradients that are not finite."""

import math

import numpy as np
import pytest
from leaves import leaf, set_gradient

import tinyreg as tr
from tinyreg.optim import clip_grad_norm, clip_grad_value

pytestmark = pytest.mark.usefixtures("backend")

GRADIENTS = [np.array([[0.3, -1.0], [2.0, 0.1]]), np.array(-3.0), np.zeros((0, 2)), np.array([4.0, 0.5, -0.25])]
NORM = math.sqrt(sum(float((g**2).sum()) for g in GRADIENTS))


def leaves(gradients=GRADIENTS, dtype="float64"):
    ws = [leaf(np.ones_like(g), dtype) for g in gradients]
    for w, g in zip(ws, gradients, strict=True):
        set_gradient(w, g)
    return ws


def test_gradients_are_scaled_together_to_the_norm():
    ws = leaves()
    before = [w.grad for w in ws]
    norm = clip_grad_norm(ws, 2.0)
    assert type(norm) is float
    assert norm == pytest.approx(NORM, rel=1e-14)
    for w, old, g in zip(ws, before, GRADIENTS, strict=True):
        np.testing.assert_allclose(w.grad.numpy(), g * 2.0 / NORM, rtol=1e-14)
        np.testing.assert_array_equal(old.numpy(), g)  # nothing is written in place
        assert (w.grad.shape, w.grad.dtype, w.grad.backend) == (g.shape, "float64", w.backend)


@pytest.mark.parametrize("max_norm", [NORM * 1.01, math.inf])
def test_gradients_below_the_norm_stay(max_norm):
    ws = leaves()
    assert clip_grad_norm(ws, max_norm) == pytest.approx(NORM, rel=1e-14)
    for w, g in zip(ws, GRADIENTS, strict=True):
        np.testing.assert_array_equal(w.grad.numpy(), g)


def test_a_norm_of_zero():
    ws = leaves()
    assert clip_grad_norm(ws, 0.0) == pytest.approx(NORM)
    assert not any(w.grad.numpy().any() for w in ws)
    assert clip_grad_norm(ws, 0.0) == 0.0
    assert not any(w.grad.numpy().any() for w in ws)


def test_parameters_without_a_gradient_do_not_count():
    w, unused = leaves([np.array([3.0, 4.0])])[0], leaf([1.0])
    assert clip_grad_norm([unused, w], 1.0) == 5.0
    assert unused.grad is None
    clip_grad_value([unused, w], 0.5)
    assert unused.grad is None
    assert clip_grad_norm([unused], 1.0) == 0.0
    assert clip_grad_norm(unused, 1.0) == 0.0


def test_gradients_of_several_dtypes_have_one_norm():
    ws = leaves([np.array([3.0])], "float16") + leaves([np.array([4.0])], "float32") + leaves([np.array([12.0])])
    assert clip_grad_norm(ws, 1.0) == 13.0
    assert [w.grad.dtype for w in ws] == ["float16", "float32", "float64"]
    np.testing.assert_allclose([w.grad.item() for w in ws], np.array([3, 4, 12]) / 13, rtol=1e-3)


@pytest.mark.parametrize(
    ("dtype", "size", "rtol"),
    [
        ("float16", 6e4, 1e-3),
        ("float16", 1e-7, 0.2),  # a subnormal number, of which only the first digit is there
        ("float32", 3e38, 1e-6),
        ("float32", 1e-30, 1e-6),
        ("float64", 1e300, 1e-13),
        ("float64", 1e-300, 1e-13),
    ],
)
def test_squares_neither_overflow_nor_vanish(dtype, size, rtol):
    for sign in (1, -1):
        w, _ = ws = leaves([np.full((2, 200), sign * size), np.zeros(3)], dtype)
        assert clip_grad_norm(ws, size) == pytest.approx(20 * size, rel=rtol)
        assert w.grad.dtype == dtype
        np.testing.assert_allclose(
            w.grad.numpy().astype("float64"), sign * size / 20, rtol=rtol, atol=3e-8 if size == 1e-7 else 0
        )


def test_the_norm_of_a_long_gradient_has_its_digits():
    w = leaf(np.full(2_000_000, 0.1), "float32")  # a dot product of BLAS is off by 2e-4
    w.grad = w.detach()
    assert clip_grad_norm(w, 1000.0) == pytest.approx(0.1 * math.sqrt(2_000_000), rel=1e-6)


@pytest.mark.parametrize("size", [1023, 1024, 1025, 5000])
def test_a_gradient_of_any_length_has_its_norm(size):
    g = np.random.default_rng(size).normal(size=size)
    for dtype, rtol in (("float32", 1e-6), ("float64", 1e-14)):
        (w,) = leaves([g], dtype)
        assert clip_grad_norm(w, math.inf) == pytest.approx(np.linalg.norm(g), rel=rtol)


def test_squares_of_a_long_gradient_overflow_without_a_warning():
    (w,) = leaves([np.full(5000, 1e30)], "float32")
    assert clip_grad_norm(w, 1.0) == pytest.approx(1e30 * math.sqrt(5000), rel=1e-6)
    np.testing.assert_allclose(w.grad.numpy(), 1 / math.sqrt(5000), rtol=1e-6)


def test_lists_of_as_many_elements_are_told_apart():
    for shapes in (((2, 3), (4,)), ((4,), (2, 3)), ((3, 2), (4,)), ((6,), (2, 2))):
        gradients = [np.arange(1.0, 1 + math.prod(shape)).reshape(shape) for shape in shapes]
        ws = leaves(gradients)
        norm = clip_grad_norm(ws, 1.0)
        for w, g in zip(ws, gradients, strict=True):
            np.testing.assert_allclose(w.grad.numpy(), g / norm, rtol=1e-14)


def test_a_small_factor_is_not_rounded_to_float16():
    w = leaves([np.full(4, 6e4)], "float16")[0]
    clip_grad_norm(w, 0.13)  # by a factor of 1.08e-6, of which float16 knows one digit
    np.testing.assert_allclose(w.grad.numpy(), np.full(4, 0.065), rtol=1e-3)


# ---- gradients that are not finite


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_gradient_that_is_not_finite_is_an_error_that_names_it(bad):  # pytorch#46849, #53843
    model = tr.nn.Sequential(tr.nn.Linear(2, 2), tr.nn.ReLU(), tr.nn.Linear(2, 1))
    for w in model.parameters():
        set_gradient(w, np.full(w.shape, 9.0))
    set_gradient(model[2].weight, [[1.0, bad]])
    text = (
        r"clip_grad_norm: got NaN or infinity in 1 of 4 gradients, the first that of parameter 2\.weight, float32\[1, 2\]; "
        r"expected finite ones\. Look at the loss and the learning rate, or pass on_nonfinite='zero' or 'skip'"
    )
    with pytest.raises(RuntimeError, match=text):
        clip_grad_norm(model.parameters(), 1.0)
    assert model[0].bias.grad.tolist() == [9.0, 9.0]
    plain = leaves([np.ones(1), np.array([bad, bad])])
    with pytest.raises(RuntimeError, match=r"parameter number 1 of those with a gradient, float64\[2\]"):
        clip_grad_norm([leaf(1.0), *plain], 1.0)


def test_zero_keeps_plain_sgd_where_it_is():
    ws = leaves([np.ones(2), np.array([math.inf, 1.0])])
    assert clip_grad_norm(ws, 1.0, on_nonfinite="zero") == math.inf
    assert [w.grad.tolist() for w in ws] == [[0.0, 0.0], [0.0, 0.0]]
    tr.optim.SGD(ws, lr=0.1).step()
    assert [w.tolist() for w in ws] == [[1.0, 1.0], [1.0, 1.0]]


def test_skip_leaves_momentum_and_decay_out_too():
    ws = leaves([np.ones(2), np.ones(2)])
    optimizer = tr.optim.SGD(ws, lr=0.1, momentum=0.9, weight_decay=0.1)
    optimizer.step()
    before = [w.numpy() for w in ws]
    set_gradient(ws[1], [math.nan, math.inf])
    assert math.isnan(clip_grad_norm(ws, 1.0, on_nonfinite="skip"))
    optimizer.step()
    for w, value in zip(ws, before, strict=True):
        assert w.grad is None
        np.testing.assert_array_equal(w.numpy(), value)


@pytest.mark.parametrize("wrong", [-1.0, math.nan])  # pytorch#31367
def test_a_maximum_out_of_range(wrong):
    ws = leaves()
    with pytest.raises(ValueError, match=rf"clip_grad_norm: got max_norm={wrong}, expected at least 0$"):
        clip_grad_norm(ws, wrong)
    with pytest.raises(ValueError, match=rf"clip_grad_value: got max_value={wrong}, expected at least 0$"):
        clip_grad_value(ws, wrong)
    np.testing.assert_array_equal(ws[0].grad.numpy(), GRADIENTS[0])


def test_arguments_that_cannot_be():
    with pytest.raises(ValueError, match="got on_nonfinite='ignore', expected one of raise, zero, skip"):
        clip_grad_norm(leaves(), 1.0, on_nonfinite="ignore")
    with pytest.raises(
        ValueError, match="clip_grad_norm: got no parameters, expected at least one; an iterator serves only"
    ):
        clip_grad_norm([], 1.0)
    with pytest.raises(ValueError, match=r"clip_grad_value: got float64\[1\], which is no leaf"):
        clip_grad_value([leaf([1.0]) * 2], 1.0)
    w = leaf([1.0])
    with pytest.raises(ValueError, match="clip_grad_norm: got a parameter twice"):
        clip_grad_norm([w, w], 1.0)


# ---- by value


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_values_are_clipped_one_by_one(dtype):
    ws = leaves(dtype=dtype)
    before = [w.grad for w in ws]
    clip_grad_value(iter(ws), 0.5)
    for w, old, g in zip(ws, before, GRADIENTS, strict=True):
        np.testing.assert_array_equal(w.grad.numpy(), np.clip(g.astype(dtype), -0.5, 0.5))
        np.testing.assert_array_equal(old.numpy(), g.astype(dtype))
        assert (w.grad.dtype, w.grad.shape) == (dtype, g.shape)


def test_clipped_values_that_are_not_finite():
    w = leaves([np.array([math.inf, -math.inf, math.nan])])[0]
    clip_grad_value(w, 2.0)
    np.testing.assert_array_equal(w.grad.numpy(), [2.0, -2.0, math.nan])


def test_clipping_is_not_recorded():
    w = leaf([3.0])
    (w * w).sum().backward(create_graph=True)
    clip_grad_value(w, 0.5)
    assert not w.grad.requires_grad
    w.zero_grad()
    (w * w).sum().backward(create_graph=True)
    clip_grad_norm(w, 0.5)
    assert not w.grad.requires_grad
    w.zero_grad()


@pytest.mark.parametrize("size", [1e30, 1e-30, 1.0, 0.0])
def test_squares_of_gradients_that_nobody_looks_at_do_not_overflow_either(size):
    w = leaf([1.0, 2.0], "float32")
    set_gradient(w, [3 * size, 4 * size])
    with tr.unchecked("gradients"):
        norm = tr.optim.clip_grad_norm([w], size / 2)
    np.testing.assert_allclose(norm.numpy(), 5 * size, rtol=1e-6)
    np.testing.assert_allclose(w.grad.numpy(), [0.3 * size, 0.4 * size], rtol=1e-6)


@pytest.mark.parametrize(("dtype", "bound"), [("float16", 1e6), ("float32", 1e300), ("float64", np.inf)])
def test_a_bound_beyond_the_dtype_clips_nothing(dtype, bound):
    w = leaf([1.0, 2.0], dtype)
    set_gradient(w, [60000.0, -np.inf])
    tr.optim.clip_grad_value(iter([w]), bound)
    assert w.grad.tolist() == [60000.0, -np.inf]


# ---- gradients in several packs: of several dtypes, large ones, empty ones

PACKED = {
    "the second is too large to square": [([0.5], "float64"), ([3e38, -3e38], "float32")],
    "the second is too small to square": [([0.0], "float64"), ([-3e-30, 4e-30], "float32")],
    "all are too large to square": [([3e38], "float32"), ([-6e4], "float16"), ([-1e300], "float64")],
    "one is too small for the dtype of another": [([0.0, -1e-40], "float32"), ([3e-39, -4e-300], "float64")],
    "one is too small for the dtype of another, which is 0": [([0.0], "float32"), ([-3e-200], "float64")],
    "one is empty": [([], "float32"), ([-3.0, 4.0], "float64")],
    "one is empty, and the other too small to square": [([], "float32"), ([-3e-200], "float64")],
    "the empty one is last": [([-3e30, 4e30], "float32"), ([], "float64")],
    "all are 0": [([0.0], "float32"), ([0.0, 0.0], "float64")],
}


@pytest.mark.parametrize("unchecked", [False, True])
@pytest.mark.parametrize("name", PACKED)
def test_gradients_of_any_sizes_in_several_packs_have_one_norm(name, unchecked):
    ws = [leaf(np.zeros(len(g)), dtype) for g, dtype in PACKED[name]]
    for w, (g, _) in zip(ws, PACKED[name], strict=True):
        set_gradient(w, g)
    given = [np.asarray(w.grad.numpy(), dtype="longdouble") for w in ws]
    norm = float(np.sqrt(sum((g**2).sum() for g in given)))
    with tr.unchecked("gradients") if unchecked else tr.no_grad():
        found = clip_grad_norm(ws, norm / 4)
    assert float(found) == pytest.approx(norm, rel=1e-6)
    for w, g in zip(ws, given, strict=True):
        np.testing.assert_allclose(w.grad.numpy(), (g / 4).astype(w.dtype), rtol=2e-3 if w.dtype == "float16" else 1e-6)


def test_an_infinite_gradient_that_nobody_looks_at_has_an_infinite_norm():
    (w,) = leaves([np.array([1.0, -math.inf])])
    with tr.unchecked("gradients"):
        assert clip_grad_norm(w, math.inf).item() == math.inf


def test_no_gradients_have_a_norm_of_0_also_where_nobody_looks():
    with tr.unchecked("gradients"):
        assert float(clip_grad_norm([leaf([1.0])], 1.0)) == 0.0


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_a_bound_of_the_largest_number_clips_infinity(dtype):
    w, largest = leaf([1.0, 2.0], dtype), float(np.finfo(dtype).max)
    set_gradient(w, [1.0, -np.inf])
    clip_grad_value(w, largest)
    assert w.grad.tolist() == [1.0, -largest]

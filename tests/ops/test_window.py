"""Convolution and pooling, form by form: every setting, ties, and kernels that do not fit."""

import itertools

import numpy as np
import pytest
from cases import CASES
from cases.window import CONVOLUTIONS, WINDOWS

import tinyreg as tr
from tinyreg.core.backend import get
from tinyreg.ops.correlation import unwindow, windows
from tinyreg.testing import PROPERTIES, Call


def distinct(*shape):
    """No two elements closer than 1/8."""
    size = int(np.prod(shape))
    return np.random.default_rng(0).permutation(np.linspace(-size / 16, size / 16, size)).reshape(shape)


def check_all(name, arrays, **settings):
    for which in PROPERTIES.values():
        if which.at == "calls" and which.applies(CASES[name]):
            CASES[name].check(which.key, Call(tuple(arrays), settings), seed=1)


@pytest.mark.parametrize("with_bias", [False, True])
@pytest.mark.parametrize(("x", "weight", "settings"), CONVOLUTIONS, ids=str)
def test_every_form_of_conv2d(x, weight, settings, with_bias):
    bias = [distinct(weight[0])] if with_bias else []
    check_all("conv2d", [distinct(*x), distinct(*weight), *bias], **settings)


@pytest.mark.parametrize(("shape", "settings"), WINDOWS, ids=str)
def test_every_form_of_windows(shape, settings):
    check_all("windows", [distinct(*shape)], **settings)


@pytest.mark.parametrize("kernel_size", [2, (2, 1), (3, 2)])
def test_every_form_of_pooling(kernel_size):
    x = distinct(2, 4, 5)
    for stride, padding, extra in itertools.product([None, 1, (2, 1)], [0, 1, (1, 0)], [False, True]):
        if padding != 0 and kernel_size == (2, 1):
            padding = (1, 0)
        settings = {"kernel_size": kernel_size, "stride": stride, "padding": padding}
        for key in ("P1", "P3"):
            call = Call((x,), settings | {"dilation": (1, 2) if extra else 1})
            CASES["max_pool2d"].check(key, call, seed=1)
            CASES["avg_pool2d"].check(key, Call((x,), settings | {"count_include_pad": extra}), seed=1)


def test_equal_elements_share_the_gradient_of_max_pool2d(backend):
    gradient = tr.grad(lambda x: tr.max_pool2d(x, 2).sum())(tr.tensor([[1.0, 1.0, 9.0], [1.0, 0.0, 9.0]]))
    assert gradient.numpy() == pytest.approx(np.array([[1 / 3, 1 / 3, 0.0], [1 / 3, 0.0, 0.0]]))


def test_float16_windows_are_added_up_in_float32(backend):
    opened = tr.ones((1, 2100, 1, 2100), dtype="float16")
    y = unwindow(opened, shape=(1, 4199), stride=(1, 1), dilation=(1, 1))
    assert y.dtype == np.float16
    assert y[0, 2099].item() == 2100  # one by one in float16 it would stay at 2048


ERRORS = [
    (lambda: tr.conv2d(tr.ones((3, 3)), tr.ones((1, 1, 2, 2))), r"conv2d: got shapes \[3, 3\] for x .* use x\[None\]"),
    (lambda: tr.conv2d(tr.ones((1, 3, 4, 4)), tr.ones((2, 2, 2, 2))), r"conv2d: got 3 channels, groups = 1 and a weight"),
    (
        lambda: tr.conv2d(tr.ones((1, 4, 4, 4)), tr.ones((3, 2, 2, 2)), groups=2),
        r"conv2d: got .* whose O the groups divide",
    ),
    (lambda: tr.conv2d(tr.ones((1, 1, 4, 4)), tr.ones((1, 1, 5, 2))), r"conv2d: got a kernel that spans 5 by 2 .* 4 by 4"),
    (lambda: tr.conv2d(tr.ones((1, 1, 4, 4)), tr.ones((1, 1, 2, 2)), tr.ones(2)), r"conv2d: got a bias of shape \[2\]"),
    (lambda: tr.conv2d(tr.ones((1, 1, 4, 4)), tr.ones((1, 1, 2, 2)), stride=0), r"conv2d: got stride=0, expected an int"),
    (
        lambda: tr.conv2d(tr.ones((1, 1, 4, 4)), tr.ones((1, 1, 2, 2)), dilation=(1, 1, 1)),
        r"conv2d: got dilation=\(1, 1, 1\), expected an integer of at least 1 or a pair",
    ),
    (
        lambda: tr.conv2d(tr.ones((1, 1, 4, 4)), tr.ones((1, 1, 2, 2)), padding="full"),
        r"conv2d: .* expected \"same\", \"valid\"",
    ),
    (
        lambda: tr.conv2d(tr.ones((1, 1, 4, 4)), tr.ones((1, 1, 2, 2)), padding="same", stride=2),
        r"conv2d: got padding = 'same' and stride \(2, 2\), expected stride 1",
    ),
    (lambda: tr.max_pool2d(tr.ones(3), 2), r"max_pool2d: got shape \[3\], expected \(\.\.\., height, width\)"),
    (lambda: tr.max_pool2d(tr.ones((3, 3)), 5), r"max_pool2d: got a kernel that spans 5 by 5 .* 3 by 3"),
    (lambda: tr.avg_pool2d(tr.ones((3, 3)), 2, padding=2), r"avg_pool2d: got padding = 2 .* at most half of it"),
    (lambda: windows(tr.ones((3, 3)), size=(4, 1)), r"unfold: got .* expected windows that fit"),
    (lambda: windows(tr.ones((3, 3)), size=(1, 1), stride=(0, 1)), r"unfold: got .* do not fit"),
]


@pytest.mark.parametrize(("call", "text"), ERRORS, ids=[text.replace("\\", "") for _, text in ERRORS])
def test_what_does_not_fit_is_a_value_error(call, text, backend):
    with pytest.raises(ValueError, match=text):
        call()


def test_integers_have_no_infinity_to_pad_with(backend):
    with pytest.raises(TypeError, match="max_pool2d: got int64 and padding, expected floats"):
        tr.max_pool2d(tr.arange(9).reshape(3, 3), 2, padding=1)


def test_windows_that_overlap_often_have_a_gradient_of_their_number_in_float16(backend):
    x = tr.zeros((1, 60, 60), dtype="float16", requires_grad=True)
    y = tr.max_pool2d(x + 1, (60, 1), stride=1)
    y.backward(60 * tr.ones_like(y))
    np.testing.assert_allclose(x.grad.numpy(), 1.0, rtol=1e-3)


def test_ties_beyond_2048_share_the_gradient_in_float16(backend):
    x = tr.zeros((1, 60, 60), dtype="float16", requires_grad=True)
    y = tr.max_pool2d(x + 1, 60)
    y.backward(3600 * tr.ones_like(y))
    assert np.all(x.grad.numpy() == 1)


def test_a_mean_of_float16_beyond_what_the_sum_could_hold(backend):
    assert tr.avg_pool2d(tr.full((2, 2), 60000.0, dtype="float16"), 2).tolist() == [[60000.0]]
    padded = tr.avg_pool2d(tr.full((2, 2), 60000.0, dtype="float16"), 2, padding=1, count_include_pad=False)
    assert padded.tolist() == [[60000.0] * 2] * 2


@pytest.mark.parametrize("block", [1, 150, 2**16])  # a block for each channel, blocks of two of them, and one block
@pytest.mark.parametrize("settings", [{}, {"stride": 2}, {"padding": 1, "dilation": 2}])
def test_a_channel_by_itself_is_a_group_of_one(settings, block, monkeypatch):
    monkeypatch.setattr(get("numpy"), "block", block)
    x, w, b = (tr.tensor(distinct(*shape), requires_grad=True) for shape in ((2, 3, 5, 6), (3, 1, 2, 3), (3,)))
    y = tr.conv2d(x, w, b, groups=3, **settings)
    y.sum().backward()
    found = [v.grad.numpy() for v in (x, w, b)]
    parts = [tr.conv2d(x[:, i : i + 1], w[i : i + 1], b[i : i + 1], **settings) for i in range(3)]
    right = tr.concat(parts, axis=1)
    np.testing.assert_allclose(y.numpy(), right.numpy())
    for v in (x, w, b):
        v.grad = None
    right.sum().backward()
    for a, v in zip(found, (x, w, b), strict=True):
        np.testing.assert_allclose(a, v.grad.numpy())

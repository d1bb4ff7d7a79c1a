"""What explain() says when something goes wrong: where, from what, and nothing where nothing is wrong."""

import inspect
import warnings

import numpy as np
import pytest

import tinyreg as tr
from tinyreg.explore import NonFiniteError

pytestmark = pytest.mark.filterwarnings("ignore:.*encountered in:RuntimeWarning")  # what NumPy says of its own


def here(offset=0):
    return f"test_explain_errors.py:{inspect.currentframe().f_back.f_lineno + offset}"


def primitive(vjp, forward=lambda xp, x: x * 1.0, **declared):
    """An op that is in no registry."""

    def op(xp, x):
        return forward(xp, x)

    made = tr.primitive(**declared)(op)
    made.vjp("x")(vjp)
    tr.core.primitive.REGISTRY.pop("op")
    return made


# ---- forward


def test_the_first_infinity_is_reported_with_its_entry_its_inputs_and_its_line(backend):
    x = tr.tensor([1.0, 1000.0, -2.0], requires_grad=True)
    with tr.explain(), pytest.raises(NonFiniteError) as caught:
        tr.exp(x * 1.0)
    text = str(caught.value)
    assert text.startswith(
        f"explain: entry #1, exp(multiply(...)), from {here(-3)} `tr.exp(x * 1.0)`, gave float32[3] with 1 infinite"
    )
    assert "inputs: multiply(...) float32[3] from -2 to 1000" in text
    assert isinstance(caught.value, FloatingPointError)


def test_the_first_nan_is_reported_and_not_what_follows_from_it():
    x = tr.tensor([-1.0, 4.0], requires_grad=True)
    with (
        tr.explain(),
        pytest.raises(NonFiniteError, match=r"(?s)entry #0, log\(x\).* with 1 NaN, the first.*x float32\[2\] from -1"),
    ):
        tr.exp(tr.log(x))


def test_one_that_was_caught_is_not_reported_again():
    x = tr.tensor([-1.0, 4.0], requires_grad=True)
    y = tr.log(x)  # outside
    with tr.explain():
        with pytest.raises(NonFiniteError, match=r"came in with y"):
            z = y * 2.0
        z = x * 1.0
        assert tr.exp(z).shape == (2,)


def test_a_nan_in_a_leaf_or_a_constant_is_reported_where_it_came_in():
    w, data = tr.tensor([1.0, np.nan], requires_grad=True), tr.tensor([[np.nan, 1.0, 2.0]])
    v = tr.ones(3, requires_grad=True)
    with tr.explain():
        with pytest.raises(NonFiniteError, match=r"(?s)square\(w\).* with 1 NaN, which came in with w\n.*look at where"):
            tr.square(w)
        with pytest.raises(NonFiniteError, match=r"(?s)multiply\(data, v\).*which came in with data"):
            data * v


def test_an_infinite_leaf_is_reported():
    w = tr.tensor([1.0, np.inf], requires_grad=True)
    with tr.explain(), pytest.raises(NonFiniteError, match=r"which came in with w"):
        w * 2.0


def test_the_infinities_of_a_mask_are_meant():
    scores = tr.tensor([[1.0, 2.0, 3.0]], requires_grad=True)
    mask = tr.tensor([[0.0, 0.0, -np.inf]])
    with tr.explain():
        attention = tr.softmax(scores + mask, axis=-1)
        masked = tr.softmax(tr.where(mask == 0.0, scores, -np.inf), axis=-1)
        (attention * masked).sum().backward()
    assert np.isfinite(scores.grad.numpy()).all()


def test_the_infinities_of_a_setting_are_meant():
    x = tr.tensor([[[[1.0, 2.0], [3.0, 4.0]]]], requires_grad=True)
    with tr.explain():
        tr.max_pool2d(x, kernel_size=2, stride=1, padding=1).sum().backward()
    assert x.grad.shape == x.shape


def test_a_row_that_is_masked_as_a_whole_is_a_nan_that_nobody_meant():
    scores = tr.tensor([[1.0, 2.0]], requires_grad=True)
    with tr.explain(), pytest.raises(NonFiniteError, match=r"NaN, the first that is not finite"):
        tr.softmax(scores + tr.tensor([[-np.inf, -np.inf]]), axis=-1) * 1.0


def test_a_nan_that_is_not_taken_is_no_error():
    x, data = tr.tensor([1.0, 2.0], requires_grad=True), tr.tensor([np.nan, 1.0])
    with tr.explain():
        y = tr.where(data == data, x * 1.0, 0.0)
        assert tr.tape(y)[-1].op.name == "where"


def test_one_on_a_tape_that_was_freed_has_no_number():
    x = tr.tensor([1.0], requires_grad=True)
    with tr.explain():
        y = (x * 2.0).sum()
        y.backward()
        with pytest.raises(NonFiniteError, match=r"explain: entry, multiply\(y, nan\), from"):
            y * float("nan")


def test_outside_nothing_is_raised():
    x = tr.tensor([1000.0], requires_grad=True)
    assert np.isinf(tr.exp(x).numpy()).all()


# ---- backward


def test_the_first_infinity_of_a_backward_is_reported_with_the_forward_line():
    x = tr.tensor([0.0, 4.0], requires_grad=True)
    with tr.explain():
        y = tr.sqrt(x).sum()
        line = here(-1)
        with pytest.raises(NonFiniteError) as caught:
            y.backward()
    text = str(caught.value)
    assert text.startswith(
        f"explain: backward of sqrt(x), from {line} `y = tr.sqrt(x).sum()`, gave float32[2] with 1 infinite"
    )
    assert "incoming gradient: float32[2] from 1 to 1; inputs: x float32[2] from 0 to 4" in text
    assert x.grad is None


def test_a_gradient_that_is_given_to_backward_is_looked_at_too():
    x = tr.ones(2, requires_grad=True)
    with tr.explain(), pytest.raises(NonFiniteError, match=r"the incoming gradient of multiply\(x, 2\).* with 1 NaN"):
        (x * 2).backward([1.0, np.nan])


def test_a_sum_of_contributions_that_overflows_is_reported():
    x = tr.ones(1, requires_grad=True)
    with tr.explain():
        y = x * 1.0
        z = y * 2e38 + y * 1e38
        with pytest.raises(NonFiniteError, match=r"(?s)incoming gradient of multiply\(x, 1\).*finite contributions add up"):
            z.backward([1.2])


def test_a_gradient_that_is_infinite_because_a_constant_is_no_error():
    x = tr.tensor([1.0, 2.0], requires_grad=True)
    with tr.explain():
        (x * tr.tensor([1.0, -np.inf])).backward([1.0, 1.0])
    assert x.grad.tolist() == [1.0, -np.inf]


def test_a_recorded_backward_does_not_raise():
    x = tr.tensor([0.0, 4.0], requires_grad=True)
    with tr.explain():
        tape = tr.tape(tr.sqrt(x).sum())
    assert np.isinf(tape.walk.steps[-1].contributions[0].raw).any()


def test_an_error_in_a_backward_has_a_note_with_the_forward_line(backend):
    def vjp(g):
        raise ArithmeticError("no derivative today")

    op = primitive(vjp)
    x = tr.ones(2, requires_grad=True)
    with tr.explain():
        y = op(x)
        line = here(-1)
    with pytest.raises(ArithmeticError) as caught:
        y.sum().backward()  # also after explain() has ended
    assert caught.value.__notes__ == [f"in the backward of op(x), from {line} `y = op(x)`"]


def test_a_gradient_of_the_wrong_shape_has_the_note_too():
    op = primitive(lambda g: g[:1])
    x = tr.ones(2, requires_grad=True)
    with tr.explain(), pytest.raises(ValueError, match="returned a gradient of shape") as caught:
        op(x).sum().backward()
    assert here(-1) in caught.value.__notes__[0]


def test_an_error_inside_a_checkpoint_names_the_line_inside_and_the_checkpoint():
    op = primitive(lambda g: 1 / 0)
    x = tr.ones(2, requires_grad=True)

    def block(x):
        return op(x) * 2.0

    with tr.explain(), pytest.raises(ZeroDivisionError) as caught:
        tr.checkpoint(block)(x).sum().backward()
    inner, outer = caught.value.__notes__
    assert inner.startswith(f"in the backward of op(x), from {here(-5)} ")
    assert outer.startswith(f"in the backward of checkpoint(x), from {here(-3)} ")


# ---- arrays that were changed


def test_a_saved_array_that_was_changed_is_reported_with_the_op_that_had_saved_it(backend):
    # pytorch#55368
    x, w = tr.tensor([1.0, 2.0]), tr.ones(2, requires_grad=True)
    with tr.explain():
        y = x * w
        line = here(-1)
        x.data[0] = 5.0
        with pytest.raises(RuntimeError) as caught:
            y.sum().backward()
    assert str(caught.value).splitlines() == [
        "backward: an array was changed in place after the tape had saved it",
        f"  got       other values in x1 float32[2], which multiply(x, w) at {line} saved",
        "  expected  it as it was",
        "  try       a change of a copy, or after the backward",
    ]
    assert w.grad is None


def test_a_result_that_was_changed_is_reported_too():
    w = tr.ones(2, requires_grad=True)
    with tr.explain():
        y = tr.exp(w)
        y.data[:] = 0.0
        with pytest.raises(RuntimeError, match=r"y float32\[2\], which exp\(w\)"):
            y.sum().backward()


def test_a_changed_array_that_nobody_saved_is_no_error():
    x, w = tr.tensor([1.0, 2.0]), tr.ones(2, requires_grad=True)
    with tr.explain():
        y = x + w
        x.data[0] = 5.0
        y.sum().backward()
    assert w.grad.tolist() == [1.0, 1.0]


def test_training_steps_are_no_change_in_place():
    model = tr.nn.Sequential(tr.nn.Linear(2, 3), tr.nn.BatchNorm(3), tr.nn.Dropout(0.5), tr.nn.Linear(3, 1))
    optimizer = tr.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    x = tr.tensor(np.random.default_rng(0).normal(size=(6, 2)).astype("float32"))
    with tr.explain(), warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(3):
            optimizer.zero_grad()
            tr.square(model(x)).mean().backward()
            optimizer.step()

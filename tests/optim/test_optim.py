"""SGD against its docstring, written out in NumPy over several steps; settings, groups and what cannot be stepped."""

import numpy as np
import pytest
from leaves import GRADIENTS, W, each_maker, leaf, run, set_gradient

import tinyreg as tr

pytestmark = pytest.mark.usefixtures("backend")


def reference(lr, momentum=0.0, nesterov=False, l2=0.0, weight_decay=0.0):
    w, v = W.copy(), np.zeros_like(W)
    for g in GRADIENTS:
        v = momentum * v + g + l2 * w
        d = g + l2 * w + momentum * v if nesterov else v
        w = (1 - lr * weight_decay) * w - lr * d
    return w


@pytest.mark.parametrize("momentum", [{}, {"momentum": 0.9}, {"momentum": 0.9, "nesterov": True}])
@pytest.mark.parametrize("shrink", [{}, {"l2": 0.1}, {"weight_decay": 0.1}, {"l2": 0.1, "weight_decay": 0.3}])
def test_three_steps(momentum, shrink):
    w = leaf(W)
    stepped = run(w, tr.optim.SGD([w], lr=0.2, **momentum, **shrink))
    np.testing.assert_allclose(stepped, reference(0.2, **momentum, **shrink), rtol=1e-14)


def test_l2_is_with_the_half():  # keras#4712
    w, lr, strength = leaf(W), 0.2, 0.1
    run(w, tr.optim.SGD([w], lr, l2=strength), [np.zeros((2, 2))])
    u = leaf(W)
    tr.regularizers.l2(u, strength).backward()  # strength / 2 * sum of squares
    np.testing.assert_allclose(w.numpy(), W - lr * u.grad.numpy(), rtol=1e-14)


@pytest.mark.parametrize("argument", ["l2", "weight_decay"])
def test_without_momentum_both_are_the_update_of_the_chapter(argument):
    lr, strength = 0.2, 0.1
    w = leaf(W)
    stepped = run(w, tr.optim.SGD([w], lr, **{argument: strength}), GRADIENTS[:1])
    np.testing.assert_allclose(stepped, (1 - lr * strength) * W - lr * GRADIENTS[0], rtol=1e-14)


def test_l2_is_the_gradient_of_the_regularizer():
    in_loss, in_optimizer = leaf(W), leaf(W)
    one = tr.optim.SGD([in_loss], lr=0.2, momentum=0.9)
    other = tr.optim.SGD([in_optimizer], lr=0.2, momentum=0.9, l2=0.1)
    for _ in range(3):
        for w, optimizer, penalty in ((in_loss, one, 0.1), (in_optimizer, other, 0.0)):
            optimizer.zero_grad()
            ((w * w * w).sum() + tr.regularizers.l2(w, penalty)).backward()
            optimizer.step()
    np.testing.assert_allclose(in_loss.numpy(), in_optimizer.numpy(), rtol=1e-13)
    assert abs(in_loss.numpy() - W).max() > 0.01


def test_coupled_and_decoupled_differ_under_momentum():
    coupled, decoupled = leaf(W), leaf(W)
    run(coupled, tr.optim.SGD([coupled], 0.2, momentum=0.9, l2=0.1))
    run(decoupled, tr.optim.SGD([decoupled], 0.2, momentum=0.9, weight_decay=0.1))
    assert abs(coupled.numpy() - decoupled.numpy()).max() > 1e-3


@pytest.mark.parametrize("argument", ["l2", "weight_decay"])
def test_biases_are_not_decayed(argument):  # transformers#492
    layer = tr.nn.Linear(2, 2)
    layer.bias.assign([1.0, 2.0])
    before = layer.weight.numpy()
    set_gradient(layer.weight, np.zeros((2, 2)))
    set_gradient(layer.bias, np.zeros(2))
    tr.optim.SGD(layer.parameters(), lr=0.5, **{argument: 0.1}).step()
    np.testing.assert_allclose(layer.weight.numpy(), 0.95 * before, rtol=1e-6)
    assert layer.bias.tolist() == [1.0, 2.0]


@pytest.mark.parametrize("argument", ["l2", "weight_decay"])
def test_a_parameter_without_a_gradient_is_left_alone(argument):
    w, unused = leaf(W), leaf(W)
    optimizer = tr.optim.SGD([w, unused], lr=0.2, momentum=0.9, **{argument: 0.1})
    run(w, optimizer)
    np.testing.assert_array_equal(unused.numpy(), W)
    frozen = leaf(W)
    frozen.requires_grad = False
    tr.optim.SGD([frozen], lr=0.1, **{argument: 0.1}).step()
    np.testing.assert_array_equal(frozen.numpy(), W)


def test_groups_have_settings_of_their_own_that_may_change_between_steps():
    w, b = leaf(W), leaf(W)
    optimizer = tr.optim.SGD([{"params": [w], "momentum": 0.5}, {"params": iter([b]), "lr": 0.1, "l2": 0.3}], lr=0.2)
    assert [group["lr"] for group in optimizer.param_groups] == [0.2, 0.1]
    assert optimizer.parameters == [w, b]
    optimizer.param_groups[0]["momentum"], optimizer.param_groups[1]["l2"] = 0.9, 0.1
    for g in GRADIENTS:
        set_gradient(w, g)
        set_gradient(b, g)
        optimizer.step()
    np.testing.assert_allclose(w.numpy(), reference(0.2, momentum=0.9), rtol=1e-14)
    np.testing.assert_allclose(b.numpy(), reference(0.1, l2=0.1), rtol=1e-14)
    with pytest.raises(ValueError, match=r"lr: got groups with 0\.2, 0\.1, expected one for all; see param_groups"):
        _ = optimizer.lr
    optimizer.lr = 0.3
    assert optimizer.lr == optimizer.param_groups[0]["lr"] == optimizer.param_groups[1]["lr"] == 0.3


def test_a_setting_that_became_wrong_moves_nothing():
    w, b = leaf(W), leaf(W)
    optimizer = tr.optim.SGD([{"params": [w]}, {"params": [b]}], lr=0.2)
    set_gradient(w, GRADIENTS[0])
    set_gradient(b, GRADIENTS[0])
    optimizer.param_groups[1]["lr"] = -1.0
    with pytest.raises(ValueError, match=r"SGD: got lr=-1\.0, expected at least 0, and finite"):
        optimizer.step()
    np.testing.assert_array_equal(w.numpy(), W)


def test_the_learning_rate_may_change_between_steps():
    w = leaf(W)
    optimizer = tr.optim.SGD([w], lr=0.2)
    run(w, optimizer, GRADIENTS[:1])
    optimizer.lr = 0.1
    run(w, optimizer, GRADIENTS[1:2])
    np.testing.assert_allclose(w.numpy(), W - 0.2 * GRADIENTS[0] - 0.1 * GRADIENTS[1], rtol=1e-14)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("shape", [(), (2, 2), (0, 3)])
def test_dtype_and_shape_are_kept(dtype, shape):
    w = leaf(np.ones(shape), dtype)
    run(w, tr.optim.SGD([w], lr=0.2, momentum=0.9, nesterov=True, l2=0.1, weight_decay=0.1), [np.ones(shape)] * 2)
    assert (w.dtype, w.shape) == (dtype, shape)
    assert w.is_leaf


def test_a_step_changes_neither_gradients_nor_arrays_handed_out():
    w = leaf(W)
    before = w.detach()
    optimizer = tr.optim.SGD([w], lr=0.2, momentum=0.9, l2=0.1)
    for _ in range(2):
        set_gradient(w, GRADIENTS[0])
        optimizer.step()
    np.testing.assert_array_equal(before.numpy(), W)
    np.testing.assert_array_equal(w.grad.numpy(), GRADIENTS[0])


def test_a_step_retires_the_tape_that_used_the_old_values():
    w = leaf(W)
    loss = (w * w).sum()
    set_gradient(w, GRADIENTS[0])
    tr.optim.SGD([w], lr=0.2).step()
    with pytest.raises(RuntimeError, match="was changed after the tape"):
        loss.backward()


def test_a_step_is_not_recorded():
    w = leaf(W)
    (w * w * w).sum().backward(create_graph=True)
    tr.optim.SGD([w], lr=0.2, l2=0.1).step()
    assert w.is_leaf
    w.zero_grad()


def test_settings_that_are_numpy_scalars_do_not_widen():
    w = leaf(W, "float32")
    rate = np.float64(0.2)
    for optimizer in (
        tr.optim.SGD([w], rate, momentum=rate, l2=rate, weight_decay=rate),
        tr.optim.Adam([w], rate, betas=(rate, rate), eps=rate),
    ):
        run(w, optimizer)
        state = optimizer.state_dict()
        assert {value.dtype.name for name, value in state["state"][0].items() if name != "step"} == {"float32"}
        assert type(state["param_groups"][0]["lr"]) is float
    assert w.dtype == "float32"


def test_a_step_without_a_gradient_leaves_the_velocity_as_it_was():
    w, other = leaf(W), leaf(W)
    optimizer = tr.optim.SGD([w, other], lr=0.2, momentum=0.9)
    for g in (GRADIENTS[0], None, None, GRADIENTS[1], GRADIENTS[2]):
        set_gradient(w, g)
        set_gradient(other, W)
        optimizer.step()
    np.testing.assert_allclose(w.numpy(), reference(0.2, momentum=0.9), rtol=1e-14)


def test_momentum_may_begin_later():
    w = leaf(W)
    optimizer = tr.optim.SGD([w], lr=0.2)
    run(w, optimizer, GRADIENTS[:1])
    optimizer.param_groups[0]["momentum"] = 0.9
    run(w, optimizer, GRADIENTS[1:])
    v = 0.9 * GRADIENTS[1] + GRADIENTS[2]
    np.testing.assert_allclose(w.numpy(), W - 0.2 * (GRADIENTS[0] + GRADIENTS[1] + v), rtol=1e-14)


def test_zero_grad_forgets():
    w = leaf(W)
    optimizer = tr.optim.SGD([w], lr=0.2)
    set_gradient(w, W)
    optimizer.zero_grad()
    assert w.grad is None


@pytest.mark.parametrize(
    ("optimizer", "settings", "text"),
    [
        ("SGD", {"lr": -0.1}, "SGD: got lr=-0.1, expected at least 0"),
        ("SGD", {"lr": float("nan")}, "got lr=nan"),
        ("SGD", {"lr": float("inf")}, "got lr=inf, expected at least 0, and finite"),
        ("SGD", {"lr": 0.1, "momentum": -0.5}, "got momentum=-0.5"),
        ("SGD", {"lr": 0.1, "l2": -1.0}, "got l2=-1.0"),
        ("SGD", {"lr": 0.1, "weight_decay": -1.0}, "got weight_decay=-1.0"),
        ("SGD", {"lr": 0.1, "nesterov": True}, "got nesterov=True without momentum, expected momentum above 0"),
        ("Adam", {"betas": (1.0, 0.9)}, r"Adam: got betas\[0\]=1.0, expected at least 0, and below 1"),
        ("Adam", {"betas": (0.9, -0.1)}, r"got betas\[1\]=-0.1"),
        ("Adam", {"betas": 0.9}, "got betas=0.9, expected two numbers"),
        ("Adam", {"betas": (0.9,)}, r"got betas=\(0.9,\), expected two numbers"),
        ("Adam", {"betas": [0.9, 0.99, 0.999]}, r"got betas=\[0.9, 0.99, 0.999\], expected two numbers"),
        ("Adam", {"betas": "09"}, "got betas='09', expected two numbers"),
        ("Adam", {"eps": -1e-8}, "got eps=-1e-08"),
        ("AdamW", {"weight_decay": float("nan")}, "AdamW: got weight_decay=nan"),
    ],
)
def test_settings_out_of_range(optimizer, settings, text):
    make = getattr(tr.optim, optimizer)
    with pytest.raises(ValueError, match=text):
        make([leaf(W)], **{"lr": 0.1, **settings})
    with pytest.raises(ValueError, match=text):
        make([{"params": [leaf(W)], **settings}], 0.1)


def test_a_setting_that_is_no_number():
    with pytest.raises(TypeError, match="SGD: got lr=None, expected a number"):
        tr.optim.SGD([leaf(W)], lr=None)


def test_parameters_that_cannot_be_stepped():
    w = leaf(W)
    with pytest.raises(TypeError, match=r"SGD: got one tensor float64\[2, 2\], expected several; put it in a list"):
        tr.optim.SGD(w, lr=0.1)
    with pytest.raises(ValueError, match="SGD: got no parameters, expected at least one"):
        tr.optim.SGD([], lr=0.1)
    with pytest.raises(ValueError, match=r"SGD: got float64\[2, 2\], which is no leaf; expected tensors made with"):
        tr.optim.SGD([w * 2], lr=0.1)
    with pytest.raises(ValueError, match=r"Adam: got 3\.0, which is no leaf"):
        tr.optim.Adam([w, 3.0])
    for pair in ((w, leaf(W)), ("w", w, w), ("w",), (), (0, w)):  # only a name and a leaf are taken for one
        with pytest.raises(ValueError, match=r"(?s)SGD: got \(.*, which is no leaf"):
            tr.optim.SGD([pair], lr=0.1)
    with pytest.raises(ValueError, match="SGD: got a parameter twice"):
        tr.optim.SGD([w, w], lr=0.1)
    with pytest.raises(ValueError, match="AdamW: got a parameter twice"):
        tr.optim.AdamW([{"params": [w]}, {"params": [w]}])


def test_groups_that_are_none():
    expected = "expected a dict with params and any of lr, momentum, nesterov, l2, weight_decay"
    with pytest.raises(ValueError, match=f"SGD: got a group with learning_rate, params, {expected}"):
        tr.optim.SGD([{"learning_rate": 0.1, "params": [leaf(W)]}], lr=0.1)
    with pytest.raises(ValueError, match=f"got a group with lr, {expected}"):
        tr.optim.SGD([{"lr": 0.1}], lr=0.1)
    with pytest.raises(ValueError, match=r"got a group tensor\("):
        tr.optim.SGD([{"params": [leaf(W)]}, leaf(W)], lr=0.1)
    with pytest.raises(ValueError, match=r"got a group tensor\("):
        tr.optim.SGD([leaf(W), {"params": [leaf(W)]}], lr=0.1)
    with pytest.raises(ValueError, match="got a group with nothing, expected"):
        tr.optim.SGD([{}], lr=0.1)
    with pytest.raises(ValueError, match="got no parameters"):
        tr.optim.SGD([{"params": []}], lr=0.1)


def test_an_optimizer_without_a_direction_says_so():
    w = leaf(W)
    mine = type("Mine", (tr.optim.Optimizer,), {})([w], lr=0.1)
    set_gradient(w, W)
    with pytest.raises(NotImplementedError, match="Mine has no direction; write one"):
        mine.step()


@each_maker
def test_a_harmless_underflow_is_none_of_an_error_that_numpy_was_asked_for(make):
    """g^2 of a gradient of 1e-30 is 0 in float32: with np.seterr(all="raise") that once stopped a step halfway."""
    w = leaf([1.0, 2.0], "float32")
    tiny = leaf([1e-45, 0.0], "float32")
    optimizer, average = make([w]), tr.optim.WeightAverage([w, tiny], decay=0.5)
    with np.errstate(all="raise"):
        tiny.assign([0.0, 1e-45])
        for _ in range(3):
            set_gradient(w, [1e-30, -1e-30])
            tr.optim.clip_grad_norm([w], 1e-10)
            tr.optim.clip_grad_value([w], 1.0)
            optimizer.step()
            average.update()
    assert np.isfinite(w.numpy()).all()


def test_momentum_begins_with_a_copy_of_the_gradient():
    w = leaf([1.0, 2.0])
    optimizer = tr.optim.SGD([w], lr=1.0, momentum=0.5)
    set_gradient(w, [1.0, 2.0])
    first = w.grad
    optimizer.step()
    for _ in range(2):
        set_gradient(w, [10.0, 10.0])
        optimizer.step()
    assert first.tolist() == [1.0, 2.0]


def test_nesterov_needs_momentum_also_when_it_is_set_later():
    w = leaf([1.0])
    text = "SGD: got nesterov=True without momentum, expected momentum above 0"
    with pytest.raises(ValueError, match=text):
        tr.optim.SGD([w], lr=1.0, nesterov=True)
    optimizer = tr.optim.SGD([w], lr=1.0, nesterov=True, momentum=0.5)
    set_gradient(w, [1.0])
    optimizer.param_groups[0]["momentum"] = 0.0
    with pytest.raises(ValueError, match=text):
        optimizer.step()
    assert w.tolist() == [1.0]


def test_a_group_that_was_added_by_hand_is_there_when_a_state_is_loaded():
    ws, others = [leaf([1.0]), leaf([2.0])], [leaf([1.0]), leaf([2.0])]
    saved = tr.optim.SGD([{"params": [w]} for w in ws], lr=0.5, momentum=0.5)
    for w in ws:
        set_gradient(w, [1.0])
    saved.step()
    optimizer = tr.optim.SGD([others[0]], lr=0.1, momentum=0.5)
    optimizer.param_groups.append({"params": [others[1]]})
    optimizer.load_state_dict(saved.state_dict())
    assert optimizer.lr == 0.5
    assert [state["momentum_buffer"].tolist() for state in optimizer.state_dict()["state"]] == [[1.0], [1.0]]

"""SGD against its docstring, written out in NumPy over several steps."""

import numpy as np
import pytest

import tinyreg as tr

pytestmark = pytest.mark.usefixtures("backend")

W = np.array([[1.0, -2.0], [0.5, 3.0]])
GRADIENTS = [np.array([[0.3, -1.0], [2.0, 0.1]]), np.array([[-0.7, 0.4], [1.0, -0.2]]), np.array([[0.1, 0.2], [0.3, 4.0]])]


def leaf(values, dtype="float64"):
    return tr.tensor(np.asarray(values), dtype=dtype, backend=tr.zeros(0).backend, requires_grad=True)


def set_gradient(w, g):
    w.grad = tr.tensor(np.asarray(g), dtype=w.dtype, backend=w.backend)


def run(w, optimizer, gradients=GRADIENTS):
    for g in gradients:
        optimizer.zero_grad()
        set_gradient(w, g)
        optimizer.step()
    return w.numpy()


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


def test_zero_grad_forgets():
    w = leaf(W)
    optimizer = tr.optim.SGD([w], lr=0.2)
    set_gradient(w, W)
    optimizer.zero_grad()
    assert w.grad is None


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"lr": -0.1}, "SGD: got lr=-0.1, expected at least 0"),
        ({"lr": float("nan")}, "got lr=nan"),
        ({"lr": 0.1, "momentum": -0.5}, "got momentum=-0.5"),
        ({"lr": 0.1, "l2": -1.0}, "got l2=-1.0"),
        ({"lr": 0.1, "weight_decay": -1.0}, "got weight_decay=-1.0"),
        ({"lr": 0.1, "nesterov": True}, "got nesterov=True without momentum, expected momentum above 0"),
    ],
)
def test_settings_out_of_range(settings, text):
    with pytest.raises(ValueError, match=text):
        tr.optim.SGD([leaf(W)], **settings)


def test_parameters_that_cannot_be_stepped():
    w = leaf(W)
    with pytest.raises(TypeError, match=r"SGD: got one tensor float64\[2, 2\], expected several; put it in a list"):
        tr.optim.SGD(w, lr=0.1)
    with pytest.raises(ValueError, match="SGD: got no parameters, expected at least one"):
        tr.optim.SGD([], lr=0.1)
    with pytest.raises(ValueError, match=r"SGD: got float64\[2, 2\], which is no leaf; expected tensors made with"):
        tr.optim.SGD([w * 2], lr=0.1)
    with pytest.raises(ValueError, match="SGD: got a parameter twice"):
        tr.optim.SGD([w, w], lr=0.1)

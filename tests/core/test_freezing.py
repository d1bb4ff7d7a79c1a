"""A leaf that is frozen for a while is afterwards what it was: its tape, its gradient and its name are.

As in PyTorch, a backward adds nothing to a leaf that is frozen then, also over a tape that used it before, and all others
get what they would have got.
"""

import numpy as np
import pytest

import tinyreg as tr
from tinyreg import nn

W, X = np.array([1.0, -2.0]), np.array([3.0, 0.5])


def leaves():
    return tr.tensor(W, requires_grad=True), tr.tensor(X, requires_grad=True)


def joined(w, x):
    """The products of their elements, in all ways in which a tape comes to hold a leaf."""
    return {
        "a primitive": lambda: (w * x).sum(),
        "a composition": lambda: tr.sum(tr.relu(w + 10.0) * x - 10.0 * x),
        "a fast form": lambda: tr.losses.mse(w, -x, reduction="sum") / 2 - (w * w).sum() / 2 - (x * x).sum() / 2,
        "a checkpoint": lambda: tr.checkpoint(lambda x: w * x)(x).sum(),
        "a checkpoint in one": lambda: tr.checkpoint(tr.checkpoint(lambda x: w * x))(x).sum(),
        "several results": lambda: sum(a * b for a, b in zip(tr.unstack(w), tr.unstack(x), strict=True)),
    }


WAYS = [*joined(*leaves())]
each_way = pytest.mark.parametrize("way", WAYS)


@each_way
def test_what_is_frozen_and_thawed_before_the_backward_gets_its_gradient(way):
    w, x = leaves()
    y = joined(w, x)[way]()
    w.requires_grad = False
    w.requires_grad = True
    y.backward()
    np.testing.assert_allclose(w.grad.numpy(), X)
    np.testing.assert_allclose(x.grad.numpy(), W)


@each_way
@pytest.mark.parametrize("create_graph", [False, True])
def test_what_is_frozen_during_the_backward_gets_nothing_and_the_others_get_theirs(way, create_graph):
    w, x = leaves()
    w.grad = tr.ones_like(w)
    y = joined(w, x)[way]()
    w.requires_grad = False
    y.backward(create_graph=create_graph)
    assert w.grad is None
    np.testing.assert_allclose(x.grad.numpy(), W)
    w.requires_grad = True
    np.testing.assert_array_equal(w.grad.numpy(), [1.0, 1.0])
    joined(w, x)[way]().backward()
    np.testing.assert_allclose(w.grad.numpy(), 1.0 + X)


@each_way
def test_what_wants_a_gradient_only_since_the_forward_gets_none(way):
    w, x = leaves()
    w.requires_grad = False
    y = joined(w, x)[way]()
    w.requires_grad = True
    y.backward()
    assert w.grad is None
    np.testing.assert_allclose(x.grad.numpy(), W)


def test_a_second_derivative_goes_on_through_what_is_frozen_for_a_while():
    w, x = leaves()
    (gradient,) = tr.vjp(lambda x: (w * w * x).sum(), x)[1](1.0)
    w.requires_grad = False
    assert not (w * 2.0).requires_grad
    w.requires_grad = True
    gradient.sum().backward()
    np.testing.assert_array_equal(w.grad.numpy(), 2.0 * W)


def test_a_pull_goes_on_when_its_argument_is_frozen():
    w, x = leaves()
    _, pull = tr.vjp(lambda w, x: (w * x).sum(), w, x)
    w.requires_grad = x.requires_grad = False
    for g, expected in zip(pull(2.0), (2.0 * X, 2.0 * W), strict=True):
        np.testing.assert_array_equal(g.numpy(), expected)


@pytest.mark.parametrize(
    "change",
    [
        lambda w: w.assign([5.0, 6.0]),
        lambda w: exec("w.data -= 1.0", {"w": w}),
        lambda w: (setattr(w, "requires_grad", True), w.assign([5.0, 6.0]), setattr(w, "requires_grad", False)),
        lambda w: (w.assign(w.numpy()), w.assign(W)),
    ],
    ids=["assign", "in place", "while it was thawed", "twice"],
)
def test_a_tape_is_over_when_what_it_used_is_changed_frozen_or_not(change):
    w, x = leaves()
    w.grad = tr.ones_like(w)
    y = (w * x).sum()
    w.requires_grad = False
    change(w)
    value = w.numpy()
    for frozen in (True, False):
        w.requires_grad = not frozen
        with pytest.raises(RuntimeError, match="was changed after the tape used it"):
            y.backward()
        assert x.grad is None
        assert (w.grad is None) == frozen
    np.testing.assert_array_equal(w.grad.numpy(), [1.0, 1.0])
    (w * x).sum().backward()
    np.testing.assert_array_equal(w.grad.numpy(), 1.0 + X)
    np.testing.assert_array_equal(x.grad.numpy(), value)


@pytest.mark.parametrize("forget", [lambda w: w.zero_grad(), lambda w: setattr(w, "grad", None)])
def test_a_gradient_can_be_forgotten_while_its_leaf_is_frozen(forget):
    w, _ = leaves()
    (w * w).sum().backward()
    w.requires_grad = False
    forget(w)
    with pytest.raises(RuntimeError, match="set requires_grad=True first"):
        w.grad = tr.ones_like(w)
    w.requires_grad = True
    assert w.grad is None


def test_a_module_is_frozen_while_another_is_trained():
    """As for the two nets of a GAN: what was gathered for one stays while the other moves."""
    rng = np.random.default_rng(0)
    maker, judge = nn.Linear(2, 2, rng=0), nn.Sequential(nn.Linear(2, 3, rng=1), nn.Tanh(), nn.Linear(3, 1, rng=2))
    noise = tr.tensor(rng.normal(size=(5, 2)).astype("float32"))
    judge(noise).sum().backward()
    gathered = [p.grad.numpy() for p in judge.parameters()]
    y = judge(maker(noise)).sum()
    before = [p.numpy() for p in judge.parameters()]
    for p in judge.parameters():
        p.requires_grad = False
    y.backward()
    tr.optim.SGD([*maker.parameters(), *judge.parameters()], lr=0.1).step()
    for p, value in zip(judge.parameters(), before, strict=True):
        np.testing.assert_array_equal(p.numpy(), value)
        p.requires_grad = True
    for p, g in zip(judge.parameters(), gathered, strict=True):
        np.testing.assert_array_equal(p.grad.numpy(), g)
    assert all(p.grad is not None for p in maker.parameters())
    assert [p.name for p in judge.parameters()] == ["0.weight", "0.bias", "2.weight", "2.bias"]


def test_a_frozen_leaf_stays_frozen_when_it_gets_a_value_or_is_copied():
    w, _ = leaves()
    w.requires_grad = False
    assert not w.assign(X).requires_grad
    layer = nn.Linear(2, 2)
    layer.weight.requires_grad = False
    layer.load_state_dict(nn.Linear(2, 2).state_dict())
    assert not layer.weight.requires_grad
    assert layer.bias.requires_grad


def test_what_is_asked_for_already_changes_nothing():
    w, whole = tr.ones(2, requires_grad=True), tr.arange(2)
    y = w * 2.0
    y.requires_grad = True
    w.requires_grad = True
    whole.requires_grad = False
    assert not whole.requires_grad
    y.sum().backward()
    assert w.grad.tolist() == [2.0, 2.0]


def test_to_forget_a_gradient_that_nobody_asked_for_asks_for_none():
    w, constant = tr.ones(2, requires_grad=True), tr.ones(2)
    y = w * 2.0
    for x in (constant, y):
        x.zero_grad()
        x.grad = None
    (y * y).sum().backward()
    assert (y.grad, constant.grad) == (None, None)
    assert w.grad.tolist() == [8.0, 8.0]


def test_a_gradient_given_to_a_computed_tensor_is_kept_and_added_to():
    w, g = tr.ones(2, requires_grad=True), tr.tensor([5.0, 7.0])
    y = w * 2.0
    y.grad = g
    assert y.grad is g
    (y * y).sum().backward()
    assert y.grad.tolist() == [9.0, 11.0]
    y.retain_grad()  # which it does already
    assert y.grad.tolist() == [9.0, 11.0]
    y.zero_grad()
    assert y.grad is None


def test_only_a_tensor_like_it_can_be_the_gradient_of_a_tensor():
    w = tr.ones(2, requires_grad=True)
    w.grad = g = tr.ones(2)
    tensors = [tr.ones(3), tr.ones(2, dtype="float64"), tr.tensor([1.0, 1.0], backend="standin")]
    for unlike in [np.ones(2, dtype="float32"), [1.0, 1.0], 1.0, *tensors]:
        with pytest.raises(ValueError, match=r"^grad: got .*, expected as the tensor: float32\[2\] on numpy"):
            w.grad = unlike
        assert w.grad is g

"""Adam and AdamW against their docstrings, written out in NumPy; and all optimizers against PyTorch's values."""

import numpy as np
import pytest
from leaves import GRADIENTS, W, leaf, run, set_gradient

import tinyreg as tr

pytestmark = pytest.mark.usefixtures("backend")


def adam_reference(lr, betas=(0.9, 0.999), eps=1e-8, l2=0.0, weight_decay=0.0):
    w, m, v = W.copy(), np.zeros_like(W), np.zeros_like(W)
    for t, g in enumerate(GRADIENTS, start=1):
        g = g + l2 * w
        m = betas[0] * m + (1 - betas[0]) * g
        v = betas[1] * v + (1 - betas[1]) * g**2
        d = m / (1 - betas[0] ** t) / (np.sqrt(v / (1 - betas[1] ** t)) + eps)
        w = (1 - lr * weight_decay) * w - lr * d
    return w


@pytest.mark.parametrize("shrink", [{}, {"l2": 0.1}, {"weight_decay": 0.1}, {"l2": 0.1, "weight_decay": 0.3}])
@pytest.mark.parametrize("settings", [{}, {"betas": (0.5, 0.8), "eps": 0.1}, {"betas": (0.0, 0.0)}])
def test_three_steps_of_adam(settings, shrink):
    w = leaf(W)
    stepped = run(w, tr.optim.Adam([w], 0.2, **settings, **shrink))
    np.testing.assert_allclose(stepped, adam_reference(0.2, **settings, **shrink), rtol=1e-13)


def test_adamw_is_adam_with_decoupled_decay_by_default():
    w, other = leaf(W), leaf(W)
    np.testing.assert_allclose(run(w, tr.optim.AdamW([w])), adam_reference(1e-3, weight_decay=0.01), rtol=1e-13)
    np.testing.assert_array_equal(w.numpy(), run(other, tr.optim.Adam([other], weight_decay=0.01)))


# From PyTorch 2.13, whose weight_decay is our l2 in SGD and Adam:
#
#   def stepped(optimizer, **settings):
#       w, b = torch.tensor(W), torch.tensor(W[0])
#       optimizer = getattr(torch.optim, optimizer)([{"params": [w]}, {"params": [b], "lr": 0.05}], lr=0.2, **settings)
#       for g in GRADIENTS:
#           w.grad, b.grad = torch.tensor(g), torch.tensor(g[1])
#           optimizer.step()
#       return w.tolist(), b.tolist()
OTHER = {"betas": (0.8, 0.9), "eps": 1e-3}
PYTORCH = [
    (  # stepped("SGD", momentum=0.9, weight_decay=0.1)
        ("SGD", {"momentum": 0.9, "l2": 0.1}),
        [[0.974848, -1.442944], [-1.044904, 1.8916480000000002]],
        [0.593217375, -2.1386448750000002],
    ),
    (  # stepped("SGD", momentum=0.9, nesterov=True, weight_decay=0.1)
        ("SGD", {"momentum": 0.9, "nesterov": True, "l2": 0.1}),
        [[0.9816733119999999, -1.328923936], [-1.5136092760000002, 1.0543813119999998]],
        [0.45823619512499997, -2.290222592625],
    ),
    (  # stepped("Adam")
        ("Adam", {}),
        [[0.9318017481533567, -1.7016948503399238], [-0.04627335459289891, 2.7488141295646638]],
        [0.8634316613517753, -2.0627964676088335],
    ),
    (  # stepped("Adam", weight_decay=0.5, **OTHER)
        ("Adam", {"l2": 0.5, **OTHER}),
        [[0.6263066648396612, -1.4783248606853838], [-0.04353613809596871, 2.428792149097781]],
        [0.8591773475390253, -1.9156011270311362],
    ),
    (  # stepped("AdamW", weight_decay=0.5, **OTHER)
        ("AdamW", {"weight_decay": 0.5, **OTHER}),
        [[0.701144092171853, -1.2264662023039956], [-0.12043108969631672, 1.9694040435267204]],
        [0.7951198941467259, -1.9135322570463422],
    ),
    (  # stepped("AdamW")
        ("AdamW", {}),
        [[0.926444865971892, -1.6906562766692814], [-0.048095286743728954, 2.7315028640831898]],
        [0.8620057032173484, -2.0597571324514297],
    ),
]


@pytest.mark.parametrize(("made", "first", "second"), PYTORCH)
def test_two_groups_move_as_in_pytorch(made, first, second):
    w, b = leaf(W), leaf(W[0])
    optimizer = getattr(tr.optim, made[0])([{"params": [w]}, {"params": b, "lr": 0.05}], lr=0.2, **made[1])
    for g in GRADIENTS:
        set_gradient(w, g)
        set_gradient(b, g[1])
        optimizer.step()
    np.testing.assert_allclose(w.numpy(), first, rtol=1e-13)
    np.testing.assert_allclose(b.numpy(), second, rtol=1e-13)


def test_adam_with_coupled_l2_is_not_decoupled():  # pytorch#38767
    def effect(**shrink):
        moved = []
        for settings in ({}, shrink):
            w = leaf([2.0, 2.0])
            run(w, tr.optim.Adam([w], lr=0.1, eps=0.0, **settings), [np.array([1.0, 100.0])])
            moved.append(w.numpy())
        return moved[1] - moved[0]

    np.testing.assert_allclose(effect(weight_decay=0.5), -0.1 * 0.5 * 2.0, rtol=1e-12)  # the same for both weights
    np.testing.assert_allclose(effect(l2=0.5), 0, atol=1e-12)  # the root divides it away
    w = leaf([2.0, 2.0])
    run(w, tr.optim.Adam([w], lr=0.1, l2=0.5), [np.array([0.01, 100.0]), np.array([-0.01, -100.0])])
    assert w.numpy()[0] < w.numpy()[1] - 0.05  # what has large gradients shrinks less


@pytest.mark.parametrize("optimizer", ["SGD", "Adam", "AdamW"])
def test_the_learning_rate_multiplies_decoupled_decay(optimizer):  # optax#292
    for lr in (0.1, 0.2):
        w = leaf(W)
        run(w, getattr(tr.optim, optimizer)([w], lr=lr, weight_decay=0.5), [np.zeros((2, 2))])
        np.testing.assert_allclose(w.numpy(), (1 - lr * 0.5) * W, rtol=1e-14)


def test_adam_leaves_biases_alone():  # transformers#492
    layer = tr.nn.Linear(2, 2)
    layer.bias.assign([1.0, 2.0])
    before = layer.weight.numpy()
    for parameter in layer.parameters():
        set_gradient(parameter, np.zeros(parameter.shape))
    tr.optim.AdamW(layer.parameters(), lr=0.5, weight_decay=0.1).step()
    np.testing.assert_allclose(layer.weight.numpy(), 0.95 * before, rtol=1e-6)
    assert layer.bias.tolist() == [1.0, 2.0]


def test_a_gradient_without_a_square_is_warned_of_and_stays_where_it_is_as_in_pytorch():
    w = leaf([1.0, 1.0], "float32")
    if w.backend != "numpy":
        pytest.skip("only NumPy warns")
    optimizer = tr.optim.Adam([w], lr=0.5)
    set_gradient(w, [1e20, 1.0])
    with pytest.warns(RuntimeWarning, match="overflow"):
        optimizer.step()
    for _ in range(3):
        set_gradient(w, [1.0, 1.0])
        optimizer.step()
    np.testing.assert_allclose(w.numpy(), [1.0, -1.0], rtol=1e-5)

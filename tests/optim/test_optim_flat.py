"""Parameters share flat arrays inside an optimizer: nothing of it can be seen, and a saved state goes on the same."""

import copy
import json
import pickle

import numpy as np
import pytest
from leaves import each_maker, leaf, set_gradient

import tinyreg as tr
from tinyreg.core.tape import watch

pytestmark = pytest.mark.usefixtures("backend")

SHAPES = [(3,), (), (0, 2), (2, 3), (4,), (200, 200), (1,), (2, 3), (300, 200)]
DTYPES = ["float32"] * 6 + ["float64", "float16", "float16"]


def parameters(seed=0):
    """Parameters of many shapes and dtypes; every third is left out of decay."""
    rng = np.random.default_rng(seed)
    values = [leaf(rng.normal(size=shape), dtype) for shape, dtype in zip(SHAPES, DTYPES, strict=True)]
    return [tr.nn.Parameter(value, decay=i % 3 != 2) for i, value in enumerate(values)]


def give_gradients(rng, *models, missing=0.0):
    """The same random gradients for each list of parameters, some of them None."""
    for ws in zip(*models, strict=True):
        g = None if rng.random() < missing else rng.normal(size=ws[0].shape)
        for w in ws:
            set_gradient(w, g)


def assert_same_bits(ws, others):
    for w, other in zip(ws, others, strict=True):
        assert w.dtype == other.dtype
        np.testing.assert_array_equal(w.numpy(), other.numpy())


@each_maker
@pytest.mark.parametrize("missing", [0.0, 0.4])
def test_together_they_move_bit_for_bit_as_each_alone(make, missing):
    together, alone = parameters(), parameters()
    one, many = make(together), [make([w]) for w in alone]
    rng = np.random.default_rng(1)
    for _ in range(6):
        give_gradients(rng, together, alone, missing=missing)
        one.step()
        for optimizer in many:
            optimizer.step()
        assert_same_bits(together, alone)
    assert all(w.shape == shape for w, shape in zip(together, SHAPES, strict=True))


@each_maker
def test_a_parameter_that_is_assigned_to_in_between_moves_from_its_new_value(make):
    together, alone = parameters(), parameters()
    one, many = make(together), [make([w]) for w in alone]
    rng = np.random.default_rng(2)
    for i in range(4):
        value = rng.normal(size=SHAPES[i])
        together[i].assign(value)
        alone[i].assign(value)
        give_gradients(rng, together, alone)
        for optimizer in (one, *many):
            optimizer.step()
        assert_same_bits(together, alone)


def test_a_parameter_that_joins_later_counts_its_own_steps():
    w, late = leaf([1.0, 2.0]), leaf([3.0])
    optimizer = tr.optim.Adam([w, late], lr=0.1, eps=0.0)
    for gradients in (([1.0, 1.0], None), ([0.5, -2.0], None), ([0.1, 0.1], [7.0])):
        set_gradient(w, gradients[0])
        set_gradient(late, gradients[1])
        optimizer.step()
    np.testing.assert_allclose(late.numpy(), [2.9], rtol=1e-14)  # a first step is lr long
    assert [state["step"] for state in optimizer.state_dict()["state"]] == [3, 1]


def test_values_and_gradients_that_were_handed_out_stay():
    ws = parameters()
    optimizer = tr.optim.Adam(ws, 0.1)
    rng = np.random.default_rng(3)
    give_gradients(rng, ws)
    optimizer.step()
    handed = [(w.detach(), w.numpy(), w.grad, w.grad.numpy()) for w in ws]
    state = optimizer.state_dict()
    for _ in range(2):
        give_gradients(rng, ws)
        optimizer.step()
    for value, value_then, g, g_then in handed:
        np.testing.assert_array_equal(value.numpy(), value_then)
        np.testing.assert_array_equal(g.numpy(), g_then)
    assert state["state"][0]["step"] == 1


def test_a_gradient_of_any_layout_is_put_to_its_elements():
    w, alone = leaf(np.zeros((2, 3))), leaf(np.zeros((2, 3)))
    g = tr.tensor(np.arange(6.0).reshape(3, 2), backend=w.backend).T
    others = [leaf([1.0])]
    set_gradient(others[0], [1.0])
    w.grad = alone.grad = g
    tr.optim.SGD([w, *others], lr=1.0).step()
    tr.optim.SGD([alone], lr=1.0).step()
    np.testing.assert_array_equal(w.numpy(), -np.arange(6.0).reshape(3, 2).T)
    np.testing.assert_array_equal(alone.numpy(), w.numpy())


def test_names_survive_a_step_and_the_listener_is_told():
    layer = tr.nn.Linear(2, 1)
    for w in layer.parameters():
        set_gradient(w, np.ones(w.shape))
    seen = []
    with watch(seen.append):
        tr.optim.SGD(layer.parameters(), lr=0.1).step()
    assert [id(w) for w in seen] == [id(w) for w in layer.parameters()]
    loss = layer(tr.ones((1, 2))).sum()
    tr.optim.SGD(layer.parameters(), lr=0.1).step()
    with pytest.raises(RuntimeError, match="leaf (weight|bias) was changed"):
        loss.backward()


def test_adam_of_float16_does_not_divide_zero_by_zero():  # optax#1754
    w = leaf([1.0, -2.0], "float16")
    optimizer = tr.optim.Adam([w], lr=0.1)
    for g in ([0.0, 1e-4], [0.0, 1e-4]):  # eps and the second's square are 0 in float16
        set_gradient(w, g)
        optimizer.step()
    np.testing.assert_allclose(w.numpy(), [1.0, -2.2], rtol=2e-3)


def test_a_step_that_fails_changes_nothing():
    class Failing(tr.optim.Adam):
        def direction(self, xp, g, state, settings):
            super().direction(xp, g, state, settings)
            raise MemoryError

    w = leaf([1.0, 2.0])
    optimizer = Failing([w])
    set_gradient(w, [1.0, 1.0])
    with pytest.raises(MemoryError):
        optimizer.step()
    assert w.tolist() == [1.0, 2.0]
    assert optimizer.state_dict()["state"] == [None]


def test_a_step_that_fails_after_others_have_worked_out_theirs_changes_nothing():
    class Failing(tr.optim.SGD):
        def direction(self, xp, g, state, settings):
            d = super().direction(xp, g, state, settings)
            if settings["lr"] == 0.5:
                raise MemoryError
            return d

    ws, alone = [leaf([1.0, 2.0]), leaf([3.0])], [leaf([1.0, 2.0]), leaf([3.0])]
    groups = [{"params": [w], "lr": lr} for w, lr in zip(ws, (0.1, 0.2), strict=True)]
    optimizer = Failing(groups, lr=0.1, momentum=0.9)
    twin = tr.optim.SGD([{"params": [w], "lr": lr} for w, lr in zip(alone, (0.1, 0.2), strict=True)], 0.1, momentum=0.9)
    rng = np.random.default_rng(8)
    for fails in (False, True, False, True, False):
        give_gradients(rng, ws, alone)
        optimizer.param_groups[1]["lr"] = 0.5 if fails else 0.2
        if fails:
            with pytest.raises(MemoryError):
                optimizer.step()
        else:
            optimizer.step()
            twin.step()
        assert_same_bits(ws, alone)


@pytest.mark.parametrize("shapes", [[(3,), (2,)], [(700, 700), (600, 600)]], ids=["small", "in blocks"])
@each_maker
def test_a_step_that_overflows_where_that_raises_changes_nothing(make, shapes):
    if tr.zeros(0).backend != "numpy":
        pytest.skip("only NumPy raises it")
    ws = [leaf(np.ones(shape), "float32") for shape in shapes]
    for w, other in zip(ws, shapes, strict=True):
        set_gradient(w, np.ones(other))
    optimizer = make([{"params": [w]} for w in ws])
    optimizer.step()
    before, state = [w.numpy() for w in ws], optimizer.state_dict()["state"]
    huge = np.ones(shapes[1])
    huge.flat[-1] = 3e38
    set_gradient(ws[1], huge)
    optimizer.param_groups[1]["l2"] = 3e38
    with np.errstate(over="raise"), pytest.raises(FloatingPointError):
        optimizer.step()
    for w, value in zip(ws, before, strict=True):
        np.testing.assert_array_equal(w.numpy(), value)
    for now, then in zip(optimizer.state_dict()["state"], state, strict=True):
        assert (now is None) == (then is None)
        for name in then or ():
            np.testing.assert_array_equal(*(s[name] if name == "step" else s[name].numpy() for s in (now, then)))


# ---- saved states


def as_json(state):
    """The state through JSON, but for its Tensors."""
    tensors = []

    def put_aside(tensor):
        assert isinstance(tensor, tr.Tensor)
        tensors.append(tensor)
        return {"tensor": len(tensors) - 1}

    text = json.dumps(state, default=put_aside)
    return json.loads(text, object_hook=lambda d: tensors[d["tensor"]] if "tensor" in d else d)


@each_maker
def test_a_loaded_optimizer_goes_on_bit_for_bit(make):
    ws = parameters()
    optimizer = make(ws)
    rng = np.random.default_rng(4)
    for _ in range(3):
        give_gradients(rng, ws, missing=0.3)
        optimizer.step()
    optimizer.lr = 0.07
    state = as_json(optimizer.state_dict())
    others = parameters(seed=5)
    for w, other in zip(ws, others, strict=True):
        other.assign(w)
    loaded = make(others)
    loaded.load_state_dict(state)
    for _ in range(3):
        give_gradients(rng, ws, others, missing=0.3)
        optimizer.step()
        loaded.step()
        assert_same_bits(ws, others)


@each_maker
def test_an_optimizer_can_be_set_back(make):
    ws = parameters()
    optimizer = make(ws)

    def two_steps(seed):
        rng = np.random.default_rng(seed)
        for _ in range(2):
            give_gradients(rng, ws)
            optimizer.step()

    two_steps(0)
    state, values = optimizer.state_dict(), [w.numpy() for w in ws]
    two_steps(1)
    once = [w.numpy() for w in ws]
    state["state"] = [
        s and {k: v if k == "step" else v.numpy() for k, v in s.items()} for s in state["state"]
    ]  # arrays do too
    for w, value in zip(ws, values, strict=True):
        w.assign(value)
    optimizer.load_state_dict(state)
    for each in state["state"]:
        for name in set(each or ()) - {"step"}:
            each[name][...] = np.nan  # what was loaded was copied
    two_steps(1)
    for w, value in zip(ws, once, strict=True):
        np.testing.assert_array_equal(w.numpy(), value)


def test_what_a_state_holds():
    w, unused = leaf([1.0, 2.0]), leaf(3.0)
    optimizer = tr.optim.Adam([{"params": [w]}, {"params": [unused], "lr": 0.5}], lr=0.1)
    set_gradient(w, [1.0, -1.0])
    optimizer.step()
    state = optimizer.state_dict()
    assert state["optimizer"] == "Adam"
    shared = {"betas": [0.9, 0.999], "eps": 1e-8, "l2": 0.0, "weight_decay": 0.0}
    assert state["param_groups"] == [{"lr": 0.1, **shared, "params": [0]}, {"lr": 0.5, **shared, "params": [1]}]
    assert state["state"][1] is None
    assert state["state"][0]["step"] == 1
    np.testing.assert_allclose(state["state"][0]["exp_avg"].numpy(), [0.1, -0.1], rtol=1e-14)
    np.testing.assert_allclose(state["state"][0]["exp_avg_sq"].numpy(), [1e-3, 1e-3], rtol=1e-12)
    state["state"][0]["exp_avg"].data[...] = np.nan
    np.testing.assert_allclose(optimizer.state_dict()["state"][0]["exp_avg"].numpy(), [0.1, -0.1], rtol=1e-14)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda s: s.update(optimizer="SGD"), r"Adam\.load_state_dict: got the state of SGD, expected one of Adam"),
        (
            lambda s: s.pop("state"),
            "got a state with optimizer, param_groups, expected optimizer, param_groups, state; load",
        ),
        (lambda s: s["param_groups"].pop(), "got 1 groups, expected 2; load what was saved for the same parameters"),
        (lambda s: s["state"].pop(), "got 1 parameters, expected 2"),
        (lambda s: s.update(state=3), "got 3 as parameters, expected 2"),
        (lambda s: s.update(state=(None,)), "got 1 parameters, expected 2; load"),
        (lambda s: s.update(state=dict(enumerate(s["state"]))), "got {0: .* as parameters, expected 2"),
        (lambda s: s["state"].__setitem__(1, {}), "got a state with nothing, expected step"),
        (lambda s: s["param_groups"].__setitem__(1, "all"), "got a state with 'all', expected params, lr"),
        (lambda s: s["param_groups"][1].update(params=[1, 2]), "got 2 parameters in a group, expected 1"),
        (lambda s: s["param_groups"][1].pop("eps"), "got a state with lr, betas, l2, .*, expected .*eps"),
        (lambda s: s["param_groups"][1].update(amsgrad=True), "got a state with .*amsgrad"),
        (lambda s: s["param_groups"][1].update(lr=-1.0), "got lr=-1.0, expected at least 0"),
        (lambda s: s["state"][1].pop("exp_avg"), "got a state with step, exp_avg_sq, expected step, exp_avg, exp_avg_sq"),
        (lambda s: s["state"].__setitem__(1, 3), "got a state with 3, expected step"),
        (lambda s: s["state"][1].update(step=0.5), "got step=0.5, expected a number of steps"),
        (
            lambda s: s["state"][1].update(exp_avg=leaf([1.0])),
            r"got exp_avg of parameter 1 float64\[1\], expected floats of shape \[\]",
        ),
        (lambda s: s["state"][1].update(exp_avg=np.array(3)), r"got exp_avg of parameter 1 int64\[\], expected floats"),
        (lambda s: s["state"][0].update(exp_avg=[1.0, 2.0]), r"got exp_avg of parameter 0 \[1\.0, 2\.0\], expected floats"),
    ],
)
def test_a_state_that_does_not_fit_changes_nothing(change, text):
    ws, others = [leaf([1.0, 2.0]), leaf(3.0)], [leaf([1.0, 2.0]), leaf(3.0)]
    made = [tr.optim.Adam([{"params": [w], "lr": 0.5}, {"params": [b]}], lr=0.1) for w, b in (ws, others)]
    rng = np.random.default_rng(6)
    give_gradients(rng, ws, others)
    for optimizer in made:
        optimizer.step()
    state = made[0].state_dict()
    state["param_groups"][0]["lr"] = 0.9
    change(state)
    with pytest.raises(ValueError, match=text):
        made[0].load_state_dict(state)
    give_gradients(rng, ws, others)
    for optimizer in made:
        optimizer.step()
    assert_same_bits(ws, others)


def test_tuples_in_a_state_are_lists():
    w = leaf([1.0, 2.0])
    optimizer = tr.optim.Adam([w], lr=0.1)
    give_gradients(np.random.default_rng(0), [w])
    optimizer.step()
    state = optimizer.state_dict()
    optimizer.load_state_dict({name: tuple(v) if isinstance(v, list) else v for name, v in state.items()})
    assert optimizer.state_dict()["state"][0]["step"] == 1


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda pair: pickle.loads(pickle.dumps(pair))])
def test_a_model_and_its_optimizer_are_copied_together(copied):
    model = tr.nn.Linear(3, 2)
    optimizer = tr.optim.Adam(model.parameters(), lr=0.1)
    rng = np.random.default_rng(7)
    give_gradients(rng, model.parameters())
    optimizer.step()
    twin, twins = copied((model, optimizer))
    give_gradients(rng, model.parameters(), twin.parameters())
    before = model.weight.numpy()
    twins.step()
    np.testing.assert_array_equal(model.weight.numpy(), before)
    optimizer.step()
    assert_same_bits(model.parameters(), twin.parameters())

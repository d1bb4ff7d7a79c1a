"""Wrapped layers: called as stand-ins, so that threads, errors and nesting leave them whole; norms of convolutions."""

import copy
import pickle
import threading

import numpy as np
import pytest

import tinyreg as tr
from tinyreg import nn
from tinyreg.nn.wrappers import substituted

rng = np.random.default_rng(6)

WRAPPERS = {
    "WeightNorm": nn.WeightNorm,
    "SpectralNorm": nn.SpectralNorm,
    "exact SpectralNorm": lambda layer: nn.SpectralNorm(layer, exact=True),
    "DropConnect": nn.DropConnect,
}
wrapped = pytest.mark.parametrize("wrap", WRAPPERS.values(), ids=WRAPPERS)


class Meeting(nn.Linear):
    """A layer in which two threads wait for each other, twice: both are inside, and leave in turn."""

    def __init__(self, *sizes):
        super().__init__(*sizes, rng=tr.Generator(0))
        self.door, self.seen = threading.Barrier(2, timeout=10), {}

    def forward(self, x):
        name = threading.current_thread().name
        self.door.wait()
        if name == "second":
            self.door.wait()  # until the first has left
        self.seen[name] = self.weight
        return super().forward(x)


def in_two_threads(work, door=None):
    """What `work` gives in each of two threads, the first of which lets the second go on when it is done."""
    found, errors = {}, []

    def run(name):
        try:
            found[name] = work()
        except Exception as error:  # shown in the test
            errors.append(error)
        if door is not None and name == "first":
            door.wait()

    threads = [threading.Thread(target=run, args=(name,), name=name) for name in ("first", "second")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    return found


# ---- a layer that is wrapped


@wrapped
def test_two_threads_in_one_layer_leave_its_parameter(wrap):
    layer = wrap(Meeting(3, 2))
    before = layer.named_parameters()
    results = in_two_threads(lambda: layer(tr.ones((1, 3))), layer.layer.door)
    assert [(name, id(p)) for name, p in layer.named_parameters()] == [(name, id(p)) for name, p in before]
    assert all(y.shape == (1, 2) for y in results.values())
    assert not any(isinstance(weight, nn.Parameter) for weight in layer.layer.seen.values())  # each had a computed one


@wrapped
def test_an_error_inside_leaves_everything_as_it_was(wrap):
    layer = wrap(nn.Linear(3, 2))
    held = dict(vars(layer.layer))
    with pytest.raises(ValueError, match="Linear: got x"):
        layer(tr.ones((1, 5)))
    assert vars(layer.layer) == held


@wrapped
def test_a_layer_that_calls_itself_and_stands_in_a_model_twice(wrap):
    class Again(nn.Linear):
        def forward(self, x, times=2):
            y = super().forward(x)
            return y if times == 1 else self.outer(y, times=1)

    inner = Again(3, 3)
    layer = wrap(inner)
    inner.outer = layer  # so it knows its wrapper
    names = [name for name, _ in layer.named_parameters()]
    nn.Sequential(layer, layer)(tr.ones((1, 3))).sum().backward()
    assert [name for name, _ in layer.named_parameters()] == names
    assert inner.weight.grad is not None


@wrapped
@pytest.mark.parametrize("copied", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_a_copy_of_a_wrapped_layer_stands_for_itself(wrap, copied):
    layer = wrap(nn.Linear(3, 2)).eval()
    layer(tr.ones((1, 3)))
    twin = copied(layer)
    assert list(twin.state_dict()) == list(layer.state_dict())
    np.testing.assert_array_equal(twin(tr.ones((1, 3))).numpy(), layer(tr.ones((1, 3))).numpy())
    twin.weight.assign(np.ones((2, 3)))
    assert not np.array_equal(layer.weight.numpy(), twin.weight.numpy())


def test_what_a_forward_keeps_on_its_module_is_kept():
    class Remembering(nn.Linear):
        calls = 0

        def forward(self, x):
            self.calls += 1
            self.last = super().forward(x)
            return self.last

    layer = nn.WeightNorm(Remembering(3, 2))
    layer(tr.ones((1, 3)))
    y = layer(tr.ones((1, 3)))
    assert layer.layer.calls == 2
    assert layer.layer.last is y
    assert isinstance(layer.layer.weight, nn.Parameter)


def test_buffers_of_a_wrapped_layer_are_its_own():
    norm = nn.BatchNorm(3)
    layer = nn.DropConnect(norm, 0.0)
    layer(tr.tensor(rng.normal(size=(8, 3)), dtype="float32"))
    assert norm.num_batches_tracked.item() == 1
    assert norm.running_mean.numpy().any()


def test_a_layer_with_several_weights():
    heads = nn.MultiHeadAttention(8, 2, batch_first=True, rng=0)
    heads.out_proj = nn.WeightNorm(heads.out_proj)
    layer = nn.WeightNorm(heads, "in_proj_weight")
    x = tr.ones((1, 4, 8))
    expected = nn.MultiHeadAttention(8, 2, batch_first=True, rng=0)(x, x, x)[0]
    np.testing.assert_allclose(layer(x, x, x)[0].numpy(), expected.numpy(), rtol=1e-5, atol=1e-6)
    assert [n for n, _ in layer.named_parameters()][:3] == [
        "layer.in_proj_weight",
        "layer.in_proj_bias",
        "layer.out_proj.layer.weight",
    ]


def test_a_stand_in_shares_all_but_what_is_substituted():
    layer = nn.Linear(2, 2)
    with substituted(layer, weight=tr.ones((2, 2))) as stand_in:
        assert stand_in.bias is layer.bias
        assert type(stand_in) is nn.Linear
        assert stand_in(tr.ones(2)).tolist() == [2.0, 2.0]
        assert layer.weight is not stand_in.weight


# ---- wrappers in wrappers


def test_an_outer_wrapper_gets_what_the_inner_one_makes_of_the_weight():
    layer = nn.SpectralNorm(nn.WeightNorm(nn.Linear(3, 2, rng=0)), exact=True)
    layer.layer.g.assign(7 * layer.layer.g.numpy())
    used = layer.computed()["weight"].numpy()
    assert np.linalg.svd(used)[1][0] == pytest.approx(1, rel=1e-5)
    x = rng.normal(size=(4, 3)).astype("float32")
    np.testing.assert_allclose(layer(tr.tensor(x)).numpy(), x @ used.T + layer.layer.layer.bias.numpy(), rtol=1e-5)
    assert list(layer.state_dict()) == ["layer.layer.weight", "layer.layer.bias", "layer.g"]


def test_weight_norm_around_another_wrapper_changes_nothing_at_first():
    x = tr.tensor(rng.normal(size=(4, 3)), dtype="float32")
    for inner in (nn.DropConnect(nn.Linear(3, 2)).eval(), nn.SpectralNorm(nn.Linear(3, 2), exact=True)):
        np.testing.assert_allclose(nn.WeightNorm(inner)(x).numpy(), inner(x).numpy(), rtol=1e-5, atol=1e-6)
    noisy = nn.WeightNorm(nn.DropConnect(nn.Linear(30, 2), 0.5, rng=0))
    x = tr.ones((1, 30))
    assert not np.array_equal(noisy(x).numpy(), noisy(x).numpy())


def test_to_wrap_a_wrapper_neither_iterates_nor_drops():
    inner = nn.SpectralNorm(nn.Linear(3, 4, rng=0), rng=0)
    inner.layer.weight.assign(np.arange(12.0).reshape(4, 3))
    u = inner.u.numpy()
    nn.WeightNorm(inner)
    np.testing.assert_array_equal(inner.u.numpy(), u)
    linear = nn.Linear(30, 4, rng=0)
    outer = nn.WeightNorm(nn.DropConnect(linear, 0.5, rng=0))
    np.testing.assert_allclose(outer.g.numpy()[:, 0], np.linalg.norm(linear.weight.numpy(), axis=1), rtol=1e-6)


def test_wrappers_of_different_weights_of_one_layer():
    lstm = nn.LSTM(2, 3, rng=0)
    layer = nn.WeightNorm(nn.SpectralNorm(lstm, "weight_hh_l0", exact=True), "weight_ih_l0")
    used = layer.computed()
    assert sorted(used) == ["weight_hh_l0", "weight_ih_l0"]
    assert np.linalg.svd(used["weight_hh_l0"].numpy())[1][0] == pytest.approx(1, rel=1e-5)
    layer(tr.ones((4, 1, 2)))[0].sum().backward()
    assert all(p.grad is not None for p in layer.parameters())


# ---- modes and buffers, in one context and in several


def test_modes_and_sampling_for_a_context_are_unseen_by_other_threads():
    model = nn.Sequential(nn.Linear(3, 3, rng=0), nn.Dropout(0.5)).train()
    still = nn.Sequential(model[0], nn.Dropout(0.5)).eval()
    seen = {}

    def look():
        seen["training"], seen["sampling"] = model[1].training, still[1].sampling

    class Looking(nn.Module):
        def forward(self, x):
            thread = threading.Thread(target=look)
            thread.start()
            thread.join()
            return x

    nn.monte_carlo_predict(nn.Sequential(model, Looking(), still), tr.ones((2, 3)), passes=2)
    assert seen == {"training": True, "sampling": False}
    assert model.training
    assert not still.training


def test_a_checkpoint_runs_again_in_the_mode_and_with_the_sampling_of_the_first_run():
    model = nn.Sequential(nn.Linear(4, 64, rng=0), nn.BatchNorm(64), nn.Dropout(0.5, rng=0), nn.Linear(64, 1, rng=1))
    x = tr.tensor(rng.normal(size=(3, 4)), dtype="float32")

    def gradients(f):
        model.zero_grad()
        model[2].rng.seed(0)
        with nn.mode.in_mode(model, False), nn.monte_carlo(model):
            y = f(x).sum()
        y.backward()
        return [p.grad.numpy() for p in model.parameters()]

    for found, expected in zip(gradients(tr.checkpoint(model)), gradients(model), strict=True):
        np.testing.assert_array_equal(found, expected)
    assert model[1].num_batches_tracked.item() == 0


def test_batches_of_two_threads_both_count():
    layer = nn.BatchNorm(2, momentum=None)
    data = [rng.normal(size=(4, 2)).astype("float32") for _ in range(200)]
    halves = {"first": data[:100], "second": data[100:]}
    in_two_threads(lambda: [layer(tr.tensor(x)) for x in halves[threading.current_thread().name]])
    assert layer.num_batches_tracked.item() == 200
    np.testing.assert_allclose(layer.running_mean.numpy(), np.mean([x.mean(axis=0) for x in data], axis=0), atol=1e-5)


def test_vectors_of_one_step_are_never_mixed_with_those_of_another():
    layer = nn.SpectralNorm(nn.Linear(6, 5, rng=0), rng=0)
    layer.layer.weight.assign(rng.normal(size=(5, 6)))
    in_two_threads(lambda: [layer(tr.ones((1, 6))) for _ in range(100)])
    u, v, w = layer.u.numpy(), layer.v.numpy(), layer.layer.weight.numpy()
    np.testing.assert_allclose(u, w @ v / np.linalg.norm(w @ v), atol=1e-5)


# ---- the norm of a convolution

CONVOLUTIONS = {
    "3 x 3, same size": {"padding": 1},
    "same": {"padding": "same"},
    "valid": {},
    "stride 2": {"stride": 2, "padding": 1},
    "dilated": {"dilation": 2, "padding": 2},
    "in groups": {"groups": 2, "padding": 1},
}


def longest(layer, shape):
    """The norm of a layer without a bias, by many steps of the power method on the layer itself: never more than it is."""
    x = np.random.default_rng(0).normal(size=(1, *shape)).astype("float32")
    for _ in range(100):
        y, pull = tr.vjp(layer, x)
        x = pull(y)[0].numpy()
        x /= np.linalg.norm(x)
    return np.linalg.norm(layer(tr.tensor(x)).numpy())


@pytest.mark.parametrize("settings", CONVOLUTIONS.values(), ids=CONVOLUTIONS)
@pytest.mark.parametrize("kernel", ["ones", "drawn"])
@pytest.mark.parametrize("exact", [True, False])
def test_a_convolution_makes_no_image_longer(settings, kernel, exact):
    conv = nn.Conv2d(2, 4, 3, bias=False, rng=tr.Generator(0), **settings)
    if kernel == "ones":
        conv.weight.assign(np.ones(conv.weight.shape))
    layer = nn.SpectralNorm(conv, input_shape=(8, 7), exact=exact, rng=0).eval()
    most = 1 + (1e-5 if exact else 1e-2)
    assert 0.97 < longest(layer, (2, 8, 7)) <= most
    assert longest(layer, (2, 6, 7)) <= most


def test_the_matrix_of_a_kernel_does_not_bound_its_convolution():
    conv = nn.Conv2d(1, 1, 3, padding=1, bias=False)
    conv.weight.assign(np.ones((1, 1, 3, 3)))
    assert longest(nn.SpectralNorm(conv, exact=True), (1, 16, 16)) == pytest.approx(2.95, abs=0.05)


def test_the_vector_of_a_convolution_follows_the_weight_in_training_only():
    layer = nn.SpectralNorm(nn.Conv2d(1, 2, 3, rng=0), input_shape=(6, 6), rng=0)
    assert list(layer.state_dict()) == ["layer.weight", "layer.bias", "v"]
    layer.layer.weight.assign(rng.normal(size=(2, 1, 3, 3)))
    x, before = tr.ones((1, 1, 6, 6)), layer.v.numpy()
    layer.eval()(x)
    np.testing.assert_array_equal(layer.v.numpy(), before)
    for _ in range(200):
        layer.train()(x)
    assert longest(nn.SpectralNorm(nn.Conv2d(1, 1, 1)), (1, 2, 2)) == pytest.approx(1)
    exact = tr.normalization.conv_spectral_norm(layer.weight, input_shape=(6, 6))
    np.testing.assert_allclose(layer.eval().value(layer.weight).numpy(), exact.numpy(), rtol=1e-3)


@pytest.mark.parametrize("exact", [True, False])
def test_a_convolution_is_normalized_on_every_backend(backend, exact):
    layer = nn.SpectralNorm(nn.Conv2d(2, 2, 3, rng=0), input_shape=(5, 4), exact=exact, rng=0)
    y = layer(tr.ones((1, 2, 5, 4)))
    y.sum().backward()
    assert y.backend == layer.weight.grad.backend == backend
    assert all(value.backend == backend for value in layer.state_dict().values())


def test_the_gradient_flows_through_the_norm_of_a_convolution():
    w = tr.tensor(rng.normal(size=(2, 1, 3, 3)), requires_grad=True)
    g = rng.normal(size=w.shape)
    (tr.normalization.conv_spectral_norm(w, input_shape=(5, 5)) * g).sum().backward()
    assert abs((w.grad.numpy() * w.numpy()).sum()) < 1e-10  # the length of the kernel does not count
    assert np.abs(w.grad.numpy()).max() > 1e-3


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (
            lambda: nn.SpectralNorm(nn.Linear(2, 2), input_shape=(4, 4)),
            TypeError,
            r"got input_shape for Linear\(2, 2\), exp",
        ),
        (lambda: nn.SpectralNorm(nn.Conv2d(1, 1, 3), input_shape=(4,)), ValueError, r"images of shape \[4\], expected"),
        (lambda: nn.SpectralNorm(nn.Conv2d(1, 1, 3), input_shape=4), TypeError, "got input_shape=4, expected"),
        (
            lambda: tr.normalization.conv_spectral_norm(tr.ones((1, 1, 3, 3)), tr.ones((1, 4, 3)), input_shape=(4, 4)),
            ValueError,
            r"conv_spectral_norm: got v float32\[1, 4, 3\], expected shape \[1, 4, 4\]",
        ),
        (
            lambda: tr.normalization.conv_power_iteration(tr.ones((3, 3)), tr.ones((1, 4, 3))),
            ValueError,
            r"conv_power_iteration: got weight float32\[3, 3\] for images",
        ),
        (
            lambda: tr.normalization.conv_power_iteration(tr.ones((1, 1, 3, 3)), [1.0]),
            ValueError,
            r"conv_power_iteration: got v \[1\.0\], expected an image, \(C, height, width\)",
        ),
    ],
)
def test_convolutions_that_do_not_fit_are_refused(call, error, text):
    with pytest.raises(error, match=text):
        call()

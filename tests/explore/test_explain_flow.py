"""gradient_flow: the norms of values and gradients over training, and their picture."""

import math
import sys

import numpy as np
import pytest

import tinyreg as tr


@pytest.fixture
def model():
    return tr.nn.Sequential(tr.nn.Linear(3, 4), tr.nn.Tanh(), tr.nn.Linear(4, 2, bias=False))


def step(model):
    model.zero_grad()
    tr.square(model(tr.ones((5, 3)))).mean().backward()


def test_norms_of_parameters_and_layers(model):
    flow = tr.explore.gradient_flow(model)
    step(model)
    flow.record()
    assert flow.rows == ["0", "0.weight", "0.bias", "2.weight"]
    for name, parameter in model.named_parameters():
        assert flow.values[name] == [pytest.approx(np.linalg.norm(parameter.numpy()))]
        assert flow.gradients[name] == [pytest.approx(np.linalg.norm(parameter.grad.numpy()))]
    assert flow.gradients["0"] == [pytest.approx(math.hypot(flow.gradients["0.weight"][0], flow.gradients["0.bias"][0]))]


def test_what_has_no_gradient_is_none_and_large_ones_do_not_overflow(model):
    flow = tr.explore.gradient_flow(model)
    model[0].bias.grad = tr.full((4,), 1e30)
    flow.record()
    assert flow.gradients["0.bias"] == [pytest.approx(2e30)]
    assert flow.gradients["0"] == [pytest.approx(2e30)]
    assert flow.gradients["2.weight"] == [None]


def test_it_is_a_callback_of_fit(model):
    flow = tr.explore.gradient_flow(model)
    x, y = np.ones((8, 3), dtype="float32"), np.zeros((8, 2), dtype="float32")
    optimizer = tr.optim.SGD(model.parameters(), lr=0.1)
    tr.training.fit(model, (x, y), loss=tr.losses.mse, optimizer=optimizer, epochs=3, callbacks=[flow], progress=False)
    assert len(flow) == 3
    assert all(norm > 0 for norm in flow.gradients["0.weight"])


def test_it_runs_on_every_backend(backend):
    model = tr.nn.Linear(2, 1)
    flow = tr.explore.gradient_flow(model)
    model(tr.ones((4, 2))).sum().backward()
    flow.record()
    assert flow.gradients["bias"] == [4.0]
    assert flow.rows[0] == "(all)"


def picture(flow, path):
    figure = flow.plot(path)
    figure.canvas.draw()
    return figure


def test_the_picture_has_a_row_for_each_name_and_a_column_for_each_record(model, tmp_path):
    pytest.importorskip("matplotlib")
    flow = tr.explore.gradient_flow(model)
    for _ in range(4):
        step(model)
        flow.record()
    figure = picture(flow, tmp_path / "flow.png")
    assert (tmp_path / "flow.png").stat().st_size > 0
    values, gradients = figure.axes[:2]
    assert [label.get_text() for label in values.get_yticklabels()] == flow.rows
    assert (values.get_title(), gradients.get_title()) == ("norm of the value", "norm of the gradient")
    shown = gradients.images[0].get_array()
    assert shown.shape == (4, 4)
    np.testing.assert_allclose(shown[1], flow.gradients["0.weight"])


def test_what_has_no_place_on_a_logarithmic_scale_is_marked(model, tmp_path):
    pytest.importorskip("matplotlib")
    flow = tr.explore.gradient_flow(model)
    model[0].weight.grad = tr.zeros((4, 3))
    model[0].bias.grad = tr.full((4,), np.nan)
    flow.record()
    picture(flow, None)  # with no positive finite norm at all
    step(model)
    flow.record()
    _, gradients = picture(flow, tmp_path / "flow.png").axes[:2]
    zero, infinite = (image.get_array() for image in gradients.images[1:])
    assert np.argwhere(np.isfinite(np.ma.filled(zero, np.nan))).tolist() == [[1, 0]]
    assert np.argwhere(np.isfinite(np.ma.filled(infinite, np.nan))).tolist() == [[0, 0], [2, 0]]
    (crosses,) = gradients.lines
    assert crosses.get_xydata().tolist() == [[1.0, 3.0]]


@pytest.mark.parametrize(
    ("wrong", "shown"),
    [
        (3, "3"),
        (None, "None"),
        (tr.ones(2), r"float32\[2\]"),
        ([tr.nn.ReLU()], r"\[ReLU\(\)\]"),
        (tr.nn.Linear, "<class .*Linear'>"),
    ],
    ids=["number", "none", "tensor", "list", "class"],
)
def test_a_model_is_a_module(wrong, shown):
    with pytest.raises(
        TypeError, match=f"gradient_flow: got {shown}, expected a Module, .*; put several in one tr.nn.Sequential"
    ):
        tr.explore.gradient_flow(wrong)


def test_errors_say_what_to_do(model, monkeypatch):
    with pytest.raises(ValueError, match=r"gradient_flow: got ReLU without parameters, expected at least one"):
        tr.explore.gradient_flow(tr.nn.ReLU())
    with pytest.raises(ValueError, match=r"plot: nothing was recorded; call record\(\) after each backward"):
        tr.explore.gradient_flow(model).plot()
    flow = tr.explore.gradient_flow(model)
    flow.record()
    monkeypatch.delitem(sys.modules, "matplotlib.figure", raising=False)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ModuleNotFoundError, match="matplotlib"):
        flow.plot()

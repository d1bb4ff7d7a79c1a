"""Checks that look at values: on by default, off by name; and where a training step makes a GPU wait."""

import math

import numpy as np
import pytest
from standin.array import ndarray

import tinyreg as tr

LOGITS = [[2.0, 0.0], [0.0, 2.0]]


@pytest.mark.usefixtures("backend")
class TestOffByName:
    def test_labels_are_checked_unless_it_is_said(self):
        wrong = tr.tensor([0, 2])
        with pytest.raises(IndexError, match="got       class index 2"):
            tr.losses.cross_entropy(tr.tensor(LOGITS), wrong)
        right = tr.losses.cross_entropy(tr.tensor(LOGITS), tr.tensor([0, 1]))
        with tr.unchecked("labels"):
            assert tr.losses.cross_entropy(tr.tensor(LOGITS), tr.tensor([0, 1])).item() == right.item()
        with pytest.raises(IndexError):
            tr.losses.cross_entropy(tr.tensor(LOGITS), wrong)

    @pytest.mark.parametrize("max_norm", [0.0, 1.0, 13.0, 26.0, math.inf])
    def test_gradients_are_clipped_alike(self, max_norm):
        def clipped():
            ws = [tr.tensor([0.0] * n, dtype=d, requires_grad=True) for n, d in ((2, "float64"), (1, "float16"))]
            for w, g in zip(ws, ([3.0, 4.0], [12.0]), strict=True):
                w.grad = tr.tensor(g, dtype=w.dtype)
            norm = tr.optim.clip_grad_norm(ws, max_norm)
            return norm, [w.grad.dtype for w in ws], np.concatenate([w.grad.numpy() for w in ws])

        norm, dtypes, gradients = clipped()
        with tr.unchecked("gradients", "labels"):
            as_tensor, others, found = clipped()
        assert isinstance(norm, float)
        assert isinstance(as_tensor, tr.Tensor)
        assert (as_tensor.item(), others) == (norm, dtypes) == (13.0, ["float64", "float16"])
        np.testing.assert_allclose(found, gradients, rtol=1e-6)

    def test_what_is_not_finite_then_goes_through(self):
        w = tr.tensor([1.0], requires_grad=True)
        w.grad = tr.tensor([math.nan])
        with tr.unchecked("gradients"):
            assert math.isnan(tr.optim.clip_grad_norm(w, 1.0).item())
        with pytest.raises(RuntimeError, match="got NaN or infinity"):
            tr.optim.clip_grad_norm(w, 1.0)


@pytest.mark.parametrize("names", [(), ("label",), ("labels", "norms")])
def test_an_unknown_name_is_an_error(names):
    with pytest.raises(ValueError, match="unchecked: got .*expected any of labels, gradients"), tr.unchecked(*names):
        pass


def test_it_ends_with_its_context_also_after_an_error():
    def wrong():
        return tr.losses.cross_entropy(tr.tensor(LOGITS), tr.tensor([0, 5]))

    with pytest.raises(ZeroDivisionError), tr.unchecked("labels"), tr.unchecked("gradients"):
        raise ZeroDivisionError
    with pytest.raises(IndexError, match="class index 5"):
        wrong()


# ---- where a step makes a GPU wait: seen on the stand-in, whose arrays give their values to the host by few ways


WAYS = ("__int__", "__float__", "__bool__", "get", "item", "tolist")


def waits(monkeypatch, step):
    """How often a step asks for a value."""
    count = [0]

    def counting(way):
        def counted(self, *args, **kwargs):
            count[0] += 1
            return way(self, *args, **kwargs)

        return counted

    with monkeypatch.context() as patch:
        for name in WAYS:
            if hasattr(ndarray, name):
                patch.setattr(ndarray, name, counting(getattr(ndarray, name)))
        step()
    return count[0]


@pytest.fixture
def step():
    """A training step of everything that fully connected networks have here."""
    with tr.use("standin"):
        rng = tr.Generator(0)
        nn = tr.nn
        model = nn.Sequential(
            *(nn.Linear(4, 8, rng=rng), nn.BatchNorm(8), nn.ReLU(), nn.Dropout(0.2, rng=rng)),
            *(nn.Linear(8, 8, rng=rng), nn.LayerNorm(8), nn.Linear(8, 3, rng=rng)),
        )
        x, labels = tr.tensor(rng.normal(shape=(6, 4))), tr.tensor([0, 1, 2, 0, 1, 2], backend="standin")
        optimizer = tr.optim.Adam(model.parameters(), weight_decay=0.1)

        def run():
            optimizer.zero_grad()
            loss = tr.losses.cross_entropy(model(x), labels, label_smoothing=0.1)
            (loss + tr.regularizers.l2(model.parameters(), 0.01)).backward()
            tr.optim.clip_grad_norm(model.parameters(), 0.5)
            optimizer.step()

        yield run


def test_a_step_waits_for_its_checks_alone(step, monkeypatch):
    def unchecked(*names):
        def run():
            with tr.unchecked(*names):
                step()

        return waits(monkeypatch, run)

    assert waits(monkeypatch, step) == 2  # the labels, and the norm
    assert unchecked("labels") == 1
    assert unchecked("gradients") == 1
    assert unchecked("labels", "gradients") == 0


def test_fit_waits_for_no_norm_before_the_epoch_is_over(monkeypatch):
    class Stop(tr.training.Callback):
        def on_batch_end(self, run):
            raise KeyboardInterrupt

    def one_batch():
        model = tr.nn.Linear(2, 1, rng=tr.Generator(0))
        settings = {"loss": tr.losses.mse, "optimizer": tr.optim.SGD(model.parameters(), lr=0.1), "epochs": 1}
        data = [(tr.ones((3, 2)), tr.ones((3, 1)))]
        tr.training.fit(model, data, **settings, clip_norm=0.5, callbacks=[Stop()], progress=False)

    with tr.use("standin"):
        assert waits(monkeypatch, one_batch) == 1  # the check of the norm
        with tr.unchecked("gradients"):
            assert waits(monkeypatch, one_batch) == 0

"""scikit-learn estimators: all of scikit-learn's own checks, and what their users do with them."""

import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_diabetes, load_digits, load_iris
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

import tinyreg as tr

ROOT = Path(__file__).parents[1]
BOTH = [tr.sklearn.Classifier, tr.sklearn.Regressor]
IRIS = load_iris(return_X_y=True)


@parametrize_with_checks([make(random_state=0) for make in BOTH])
@pytest.mark.filterwarnings("ignore")  # scikit-learn's checks warn of what they try
def test_scikit_learn_checks_it(estimator, check, monkeypatch):
    monkeypatch.setenv("SCIPY_ARRAY_API", "1")  # without which one of them is skipped
    check(estimator)


def data(make):
    x, y = IRIS
    return (x, y) if make is tr.sklearn.Classifier else (x, x @ np.array([1.0, -2.0, 0.5, 0.0]) + 100)


@pytest.mark.parametrize("make", BOTH)
def test_it_learns(make):
    x, y = data(make)
    assert make(hidden=(16,), lr=0.01, epochs=300, random_state=0).fit(x, y).score(x, y) > 0.95


@pytest.mark.parametrize("make", BOTH)
def test_it_takes_a_module_and_a_function_that_makes_one(make):
    x, y = data(make)
    outputs = 3 if make is tr.sklearn.Classifier else 1
    module = tr.nn.Sequential(tr.nn.Linear(4, 8), tr.nn.Tanh(), tr.nn.Linear(8, outputs))
    before = {name: value.numpy().copy() for name, value in module.state_dict().items()}
    tr.set_default_dtype("float64")
    fitted = make(module, random_state=0, epochs=2).fit(x.astype("f4"), y)
    assert all(np.array_equal(value.numpy(), before[name]) for name, value in module.state_dict().items())
    assert fitted.module_ is not module
    asked = []
    made = make(lambda n, m: asked.append((n, m)) or tr.nn.Linear(n, m), epochs=1).fit(x, y)
    assert asked == [(4, outputs)]
    assert isinstance(made.module_, tr.nn.Linear)
    tr.set_default_dtype("float32")


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("make", BOTH)
def test_the_network_has_the_dtype_of_the_data_and_nothing_else_changes(make, dtype):
    x, y = data(make)
    tr.seed(7)
    state = tr.random.default_generator.state
    fitted = make(epochs=1, dropout=0.5).fit(x.astype(dtype), y)
    assert {p.dtype for p in fitted.module_.parameters()} == {np.dtype(dtype)}
    assert tr.get_default_dtype() == np.float32
    assert tr.random.default_generator.state == state


@pytest.mark.parametrize("make", BOTH)
def test_a_seed_gives_the_same_again_dropout_included(make):
    x, y = data(make)

    def weights(seed):
        return make(epochs=3, dropout=0.5, batch_size=32, random_state=seed).fit(x, y).module_[0].weight.numpy()

    assert np.array_equal(weights(1), weights(1))
    assert not np.array_equal(weights(1), weights(2))


@pytest.mark.parametrize("make", BOTH)
def test_a_weight_of_two_is_a_sample_twice(make):
    x, y = data(make)
    twice = np.random.default_rng(0).integers(0, 3, len(x))
    settings = {"random_state": 0, "epochs": 20, "batch_size": 10_000}
    weighted = make(**settings).fit(x, y, sample_weight=twice)
    repeated = make(**settings).fit(np.repeat(x, twice, axis=0), np.repeat(y, twice))
    np.testing.assert_allclose(weighted._output(x), repeated._output(x), rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("make", BOTH)
def test_early_stopping_by_a_part_of_the_data(make):
    x, y = data(make)
    fitted = make(patience=3, lr=0.05, epochs=500, random_state=0).fit(x, y)
    assert fitted.n_iter_ < 500
    assert len(fitted.history_["validation_loss"]) == fitted.n_iter_


@pytest.mark.parametrize("make", BOTH)
def test_it_goes_on_where_it_was(make):
    x, y = data(make)
    fitted = make(random_state=0, epochs=5, warm_start=True).fit(x, y)
    module, loss = fitted.module_, fitted.history_["loss"][-1]
    assert fitted.fit(x, y).module_ is module
    assert fitted.history_["loss"][-1] < loss
    fitted.set_params(warm_start=False)
    assert fitted.fit(x, y).module_ is not module


def test_partial_fit_knows_the_classes_from_its_first_call():
    x, y = IRIS
    order = np.random.default_rng(0).permutation(len(x))
    model = tr.sklearn.Classifier(lr=0.01, random_state=0)
    for _ in range(30):
        for part in np.split(order, 5):
            model.partial_fit(x[part], y[part], classes=[0, 1, 2])
    assert model.score(x, y) > 0.9
    with pytest.raises(ValueError, match="got y with {.*7.*}, expected the classes of the first call"):
        model.partial_fit(x[:2], [7, 0])
    with pytest.raises(ValueError, match="expected those of the first call"):
        model.partial_fit(x[:2], y[:2], classes=[0, 1])


def test_partial_fit_of_a_regressor_keeps_the_scale_of_its_first_call():
    x, y = data(tr.sklearn.Regressor)
    model = tr.sklearn.Regressor(random_state=0).partial_fit(x[:50], y[:50])
    mean = model.mean_
    assert model.partial_fit(x[50:], y[50:]).mean_ is mean


def test_in_a_pipeline_a_grid_search_in_two_processes_and_cross_validation():
    x, y = load_digits(return_X_y=True)
    model = make_pipeline(StandardScaler(), tr.sklearn.Classifier(epochs=20, lr=0.01, random_state=0))
    search = GridSearchCV(model, {"classifier__dropout": [0.0, 0.9], "classifier__hidden": [(64,)]}, n_jobs=2, cv=2)
    assert search.fit(x[:600], y[:600]).best_params_["classifier__dropout"] == 0.0
    assert cross_val_score(model, x[:600], y[:600], cv=2).mean() > 0.7


@pytest.mark.parametrize("make", BOTH)
def test_it_pickles_and_clones(make):
    x, y = data(make)
    fitted = make(epochs=2, random_state=0).fit(x, y)
    again = pickle.loads(pickle.dumps(fitted))
    assert np.array_equal(again.predict(x), fitted.predict(x))
    assert again.set_params(warm_start=True).fit(x, y).n_iter_ == 2  # with the optimizer of before
    assert not hasattr(clone(fitted), "module_")
    assert clone(fitted).get_params() == fitted.get_params()


def test_all_of_training_is_at_hand():
    x, y = IRIS
    plain = tr.sklearn.Classifier(random_state=0, epochs=30, lr=0.01).fit(x, y)
    smooth = clone(plain).set_params(label_smoothing=0.3, capture=True, clip_norm=1.0).fit(x, y)
    small = clone(plain).set_params(penalty=lambda m: tr.regularizers.l2(m.parameters(), 1.0), optimizer="SGD").fit(x, y)
    assert smooth.predict_proba(x).max() < plain.predict_proba(x).max()
    assert abs(small.module_[0].weight.numpy()).mean() < abs(plain.module_[0].weight.numpy()).mean()
    mine = clone(plain).set_params(optimizer=lambda p, lr, weight_decay: tr.optim.SGD(p, lr)).fit(x, y)
    assert isinstance(mine.optimizer_, tr.optim.SGD)


def test_several_targets_come_back_as_they_were():
    x, y = load_diabetes(return_X_y=True)
    both = tr.sklearn.Regressor(epochs=2, random_state=0).fit(x, np.stack([y, -y], axis=1)).predict(x)
    assert both.shape == (len(x), 2)
    assert tr.sklearn.Regressor(epochs=2, random_state=0).fit(x, y).predict(x).shape == (len(x),)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"optimizer": "Adamm"}, "Adamm"),
        ({"patience": 2, "validation_fraction": 1.0}, "expected samples to learn from and to validate by"),
        ({"epochs": 0}, "epochs"),
        ({"hidden": 5}, r"got hidden=5, expected numbers of units, such as \(100,\)"),
        ({"batch_size": 0}, "batch_size"),
    ],
)
def test_settings_that_do_not_fit_are_told(settings, message):
    with pytest.raises((ValueError, AttributeError), match=message):
        tr.sklearn.Classifier(**settings).fit(*IRIS)


def test_a_module_keeps_its_dtype_and_no_weight_is_negative():
    x, y = IRIS
    fitted = tr.sklearn.Classifier(tr.nn.Linear(4, 3), epochs=2).fit(x, y, sample_weight=np.ones(len(x)))
    assert fitted.module_.weight.dtype == np.float32
    assert fitted.predict_proba(x).dtype == np.float32
    with pytest.raises(ValueError, match="got a negative sample_weight, -1, expected 0 or more"):
        tr.sklearn.Classifier(epochs=1).fit(x, y, sample_weight=-np.ones(len(x)))


def test_without_scikit_learn_it_says_what_to_install():
    code = "import sys; sys.modules['sklearn'] = None; import tinyreg as tr; tr.sklearn"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=ROOT, timeout=600)
    assert "tr.sklearn needs sklearn: pip install 'tinyreg[sklearn]'" in done.stderr

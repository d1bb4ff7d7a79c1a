"""Networks as estimators of scikit-learn, for pipelines, searches and cross-validation: `pip install tinyreg[sklearn]`."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import KW_ONLY, dataclass, field
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.utils import check_random_state, column_or_1d
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from . import losses, nn, optim, training
from .activations import softmax
from .core.tape import no_grad
from .core.tensor import Tensor
from .creation import set_default_dtype
from .losses.checks import Reduction
from .random import Generator, default_generator

__all__ = ["Classifier", "Regressor"]

Array = NDArray[Any]
FLOATS = [np.float64, np.float32]
AT_ONCE = 4096  # rows, to predict


@dataclass(eq=False, repr=False)
class _Estimator(BaseEstimator):
    """What both have in common."""

    module: nn.Module | Callable[[int, int], nn.Module] | None = None
    _: KW_ONLY
    hidden: Sequence[int] = (100,)
    dropout: float = 0.0
    optimizer: str | Callable[..., optim.Optimizer] = "AdamW"
    lr: float = 0.001
    weight_decay: float = 0.01
    penalty: Callable[[nn.Module], Any] | None = None
    clip_norm: float | None = None
    epochs: int = 100
    batch_size: int = 200
    patience: int | None = None
    validation_fraction: float = 0.1
    capture: bool = False
    warm_start: bool = False
    random_state: Any = None
    verbose: bool = False

    # ---- what differs

    def _targets(self, y: Array, sample_weight: Array | None) -> Array:
        """What the network is to give, learned from y at the first call."""
        raise NotImplementedError

    def _loss(self, output: Tensor, target: Tensor, reduction: Reduction = "mean") -> Tensor:
        """The mean loss of the rows, or the loss of each."""
        raise NotImplementedError

    # ---- fitting

    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Train a new network, or with `warm_start` go on with the one of before; the estimator itself."""
        return self._fit(X, y, sample_weight, self.epochs, again=self.warm_start)

    def _fit(self, X: Any, y: Any, sample_weight: Any, epochs: int, *, again: bool) -> Self:
        again = again and hasattr(self, "module_")
        X, y = validate_data(self, X, y, dtype=FLOATS, multi_output=True, reset=not again)
        weight = None if sample_weight is None else _check_sample_weight(sample_weight, X, dtype=X.dtype)
        if weight is not None and (weight < 0).any():
            raise ValueError(f"{type(self).__name__}: got a negative sample_weight, {weight.min():g}, expected 0 or more")
        if weight is not None:  # what weighs nothing is not there
            X, y, weight = X[weight != 0], y[weight != 0], weight[weight != 0]
        if not again:
            self._forget()
        if isinstance(self.hidden, int | str):
            raise ValueError(
                f"{type(self).__name__}: got hidden={self.hidden!r}, expected numbers of units, such as (100,)"
            )
        targets = self._targets(y, weight)
        seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        with _born(seed, X.dtype):
            if not again:
                self.module_ = self._built(X.shape[1], self.n_outputs_)
                self.optimizer_ = self._optimizer(self.module_)
            X = X.astype(self._dtype, copy=False)
            weight = None if weight is None else weight.astype(self._dtype, copy=False)
            self.history_ = self._train(X, targets, weight, epochs, Generator(seed))
        self.n_iter_ = len(self.history_)
        return self

    def _forget(self) -> None:
        """Forget what was fitted, but what X looks like."""
        for name in ("module_", "optimizer_", "history_", "classes_", "mean_", "scale_"):
            self.__dict__.pop(name, None)

    def _built(self, features: int, outputs: int) -> nn.Module:
        if isinstance(self.module, nn.Module):
            return copy.deepcopy(self.module)
        if self.module is not None:
            return self.module(features, outputs)
        layers: list[nn.Module] = []
        for units in self.hidden:
            layers += [nn.Linear(features, units), nn.ReLU(), *[nn.Dropout(self.dropout)] * bool(self.dropout)]
            features = units
        return nn.Sequential(*layers, nn.Linear(features, outputs, nonlinearity="linear"))

    @property
    def _dtype(self) -> Any:
        """That of the parameters: of the data, but for a Module that was made before."""
        return next(iter(self.module_.parameters())).dtype

    def _optimizer(self, module: nn.Module) -> optim.Optimizer:
        make = getattr(optim, self.optimizer) if isinstance(self.optimizer, str) else self.optimizer
        made: optim.Optimizer = make(module.parameters(), lr=self.lr, weight_decay=self.weight_decay)
        return made

    def _train(self, X: Array, targets: Array, weight: Array | None, epochs: int, rng: Generator) -> training.History:
        learned, held = np.arange(len(X)), None
        callbacks: list[training.Callback] = []
        if self.patience is not None:
            learned, held = self._split(len(X), rng)
            callbacks = [training.EarlyStopping(patience=self.patience)]

        def rows(some: Array) -> Any:
            return X[some], targets[some] if weight is None else (targets[some], weight[some])

        def weighted(output: Tensor, target: tuple[Tensor, Tensor]) -> Tensor:
            return (self._loss(output, target[0], "none") * target[1]).sum() / target[1].sum()

        return training.fit(
            self.module_,
            rows(learned),
            loss=self._loss if weight is None else weighted,
            count=None if weight is None else lambda x, target: target[1].sum(),
            optimizer=self.optimizer_,
            epochs=epochs,
            batch_size=min(self.batch_size, len(learned)),
            validation=None if held is None else rows(held),
            penalty=self.penalty,
            clip_norm=self.clip_norm,
            callbacks=callbacks,
            capture=self.capture,
            rng=rng,
            progress=bool(self.verbose),
        )

    def _split(self, n: int, rng: Generator) -> tuple[Array, Array]:
        """Rows to learn from, and rows to validate by."""
        held = max(1, round(self.validation_fraction * n))
        if held >= n:
            raise ValueError(
                f"{type(self).__name__}: got {n} samples and validation_fraction={self.validation_fraction}, expected "
                "samples to learn from and to validate by: lower it, or leave out patience"
            )
        order = np.asarray(rng.permutation(n))
        return order[held:], order[:held]

    # ---- predicting

    def _output(self, X: ArrayLike) -> Array:
        check_is_fitted(self)
        rows = validate_data(self, X, dtype=FLOATS, reset=False)
        self.module_.eval()
        with no_grad():
            parts = [
                self.module_(Tensor(rows[i : i + AT_ONCE].astype(self._dtype))).numpy()
                for i in range(0, len(rows), AT_ONCE)
            ]
        return np.concatenate(parts)


@contextlib.contextmanager
def _born(seed: int, dtype: Any) -> Iterator[None]:
    """What is made and drawn here comes from a seed, and is of a dtype; outside nothing has changed."""
    state = default_generator.state
    try:
        default_generator.state = Generator(seed).state
        with set_default_dtype(dtype):
            yield
    finally:
        default_generator.state = state


@dataclass(eq=False, repr=False)
class Classifier(ClassifierMixin, _Estimator):
    """A network that gives a class: trained by cross-entropy, whose softmax gives the probabilities.

    X: float32 or float64, (samples, features), which the parameters take their dtype from. y: labels of any kind, two or
    more. sample_weight: how much each sample counts in the loss. After `fit`: `module_`, `classes_`, `history_`, and
    `n_iter_`, the number of epochs.

    module: None for a network of linear layers with ReLU, of `hidden` units each, and `dropout` behind each; or a Module,
    of which each fit trains a copy; or a function of the numbers of features and of outputs that makes one.
    label_smoothing: in [0, 1], see `losses.cross_entropy`. optimizer: the name of one of `tr.optim`, or a function of
    (parameters, lr=..., weight_decay=...). penalty: a function of the module, added to the loss. clip_norm: the largest
    norm of all gradients together. epochs, batch_size: how often all samples are gone through, and how many at a time.
    patience: stop where the loss of a `validation_fraction` of the samples has not fallen for so many epochs, and take the
    weights that were best; None trains for all epochs. capture: replay the training step as a program, see `tr.capture`.
    warm_start: fit goes on with the network of before. random_state: a seed, a RandomState or None, from which come first
    weights, order, dropout and the split. verbose: show each epoch.

    Raises `ValueError` for data that scikit-learn refuses, and for a single class.

    >>> import tinyreg as tr
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> x, y = load_iris(return_X_y=True)
    >>> model = make_pipeline(StandardScaler(), tr.sklearn.Classifier(hidden=(16,), lr=0.01, random_state=0))
    >>> model.fit(x, y).score(x, y) > 0.95
    True
    """

    label_smoothing: float = field(default=0.0, kw_only=True)

    def partial_fit(
        self, X: ArrayLike, y: ArrayLike, classes: ArrayLike | None = None, sample_weight: ArrayLike | None = None
    ) -> Self:
        """Train for one epoch, from where the network stands; the first call needs all `classes`, unless y has them."""
        if classes is not None:
            given = np.unique(np.asarray(classes))
            if hasattr(self, "module_") and not np.array_equal(given, self.classes_):
                raise ValueError(f"Classifier: got classes={given}, expected those of the first call, {self.classes_}")
            self._classes = given
        return self._fit(X, y, sample_weight, 1, again=True)

    def _targets(self, y: Array, weight: Array | None) -> Array:
        y = column_or_1d(y, warn=True)
        check_classification_targets(y)
        if not hasattr(self, "classes_"):
            self.classes_ = self.__dict__.pop("_classes", None)
            self.classes_ = np.unique(y) if self.classes_ is None else self.classes_
        if len(self.classes_) < 2:
            raise ValueError(f"Classifier: got y with {len(self.classes_)} class, expected two or more classes")
        if unknown := set(np.unique(y)) - set(self.classes_):
            raise ValueError(f"Classifier: got y with {unknown}, expected the classes of the first call, {self.classes_}")
        self.n_outputs_ = len(self.classes_)
        return np.searchsorted(self.classes_, y)

    def _loss(self, output: Tensor, target: Tensor, reduction: Reduction = "mean") -> Tensor:
        return losses.cross_entropy(output, target, label_smoothing=self.label_smoothing, reduction=reduction)

    def predict_proba(self, X: ArrayLike) -> Array:
        """The probability of each class, as `classes_` has them: (samples, classes)."""
        return np.asarray(softmax(self._output(X)))

    def predict(self, X: ArrayLike) -> Array:
        """The likeliest class of each sample."""
        output = self._output(X)
        likeliest: Array = self.classes_[output.argmax(axis=1)]
        return likeliest


@dataclass(eq=False, repr=False)
class Regressor(RegressorMixin, _Estimator):
    """A network that gives numbers: trained by the mean squared error, with each target scaled to mean 0 and variance 1.

    X and settings: as of `Classifier`, without label_smoothing. y: numbers, (samples,) or (samples, targets). After `fit`:
    `module_`, `mean_` and `scale_` of the targets, `history_` and `n_iter_`.

    Raises `ValueError` for data that scikit-learn refuses.

    >>> import tinyreg as tr
    >>> from sklearn.datasets import load_diabetes
    >>> from sklearn.model_selection import cross_val_score
    >>> x, y = load_diabetes(return_X_y=True)
    >>> model = tr.sklearn.Regressor(hidden=(16,), lr=0.01, epochs=30, random_state=0)
    >>> bool(cross_val_score(model, 20 * x, y, cv=3).mean() > 0.3)
    True
    """

    def partial_fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Train for one epoch, from where the network stands; the targets of the first call decide how they are scaled."""
        return self._fit(X, y, sample_weight, 1, again=True)

    def _targets(self, y: Array, weight: Array | None) -> Array:
        columns = y.reshape(len(y), -1).astype(np.float64)
        if not hasattr(self, "mean_"):
            self.mean_ = np.average(columns, axis=0, weights=weight)
            spread = np.sqrt(np.average((columns - self.mean_) ** 2, axis=0, weights=weight))
            self.scale_ = np.where(spread > 0, spread, 1.0)
            self.n_outputs_, self._is_flat = columns.shape[1], y.ndim == 1
        return (columns - self.mean_) / self.scale_

    def _loss(self, output: Tensor, target: Tensor, reduction: Reduction = "mean") -> Tensor:
        each = losses.mse(output, target, reduction=reduction)
        return each if reduction == "mean" else each.mean(axis=1)

    def predict(self, X: ArrayLike) -> Array:
        """The target of each sample, as y was: (samples,) or (samples, targets)."""
        columns: Array = self._output(X) * self.scale_ + self.mean_
        return columns[:, 0] if self._is_flat else columns

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags

"""Several transforms one after the other, each with its settings and the probability that it takes place."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from typing import Any, overload

from .. import ops
from ..core.backend import Array, described
from ..core.tensor import Tensor
from ..creation import backend_of
from ..random import Generator, as_generator
from .drawing import check_share, column

TransformFunction = Callable[..., Any]


class Apply:
    """A transform with its settings: function(images, rng=rng, **settings), for each sample with probability `chance`.

    function: one of this package, a `Compose`, or any f(images, *, rng). A function with a parameter `labels`, such as
    mixup, is given (images, labels) and returns both; whether it takes place is then decided once for the whole batch.

    Raises `TypeError` for settings that the function does not have, and `ValueError` for a chance out of range.

    >>> import tinyreg as tr
    >>> from tinyreg.augment import Apply, rotate
    >>> Apply(rotate, degrees=(-5, 5), chance=0.5)
    Apply(rotate, degrees=(-5, 5), padding='zeros', chance=0.5)
    """

    name: str
    function: TransformFunction
    chance: float
    settings: dict[str, Any]

    def __init__(self, function: TransformFunction, /, *, chance: float = 1.0, **settings: Any) -> None:
        chance = check_share("Apply", "chance", chance)
        self.name = getattr(function, "__name__", type(function).__name__)
        parameters = inspect.signature(function).parameters
        known = [name for name in parameters if name not in ("images", "labels", "rng")]
        if "rng" not in parameters or not settings.keys() <= set(known):
            raise TypeError(
                f"Apply: got {self.name} with {', '.join(settings) or 'no settings'}, expected a function of (images, *, "
                f"rng) with these settings; it has {', '.join(parameters) or 'no parameters'}"
            )
        labels = parameters.get("labels")
        self.mixes: bool = getattr(function, "mixes", labels is not None and labels.default is labels.empty)
        self.function, self.chance, self.settings = function, chance, settings
        defaults = {name: parameters[name].default for name in known}
        self._shown = {name: value for name, value in (defaults | settings).items() if value is not inspect.Parameter.empty}

    def __repr__(self) -> str:
        shown = self._shown | ({"chance": self.chance} if self.chance < 1 else {})
        name = getattr(self.function, "__name__", repr(self.function))
        return f"Apply({', '.join([name, *(f'{name}={value!r}' for name, value in shown.items())])})"

    @overload
    def __call__(self, images: Tensor | Array, labels: None = None, rng: Generator | int | None = None) -> Tensor: ...
    @overload
    def __call__(
        self, images: Tensor | Array, labels: Tensor | Array, rng: Generator | int | None = None
    ) -> tuple[Tensor, Tensor]: ...
    def __call__(self, images: Any, labels: Any = None, rng: Generator | int | None = None) -> Any:
        """The images, and the labels where they are given, after the transform."""
        rng = as_generator(rng, "Apply")
        if self.mixes:
            if labels is None:
                raise ValueError(f"{self.name}: got images and no labels, expected both, which it mixes")
            if self.chance < 1 and not bool(rng.bernoulli(self.chance)):
                return images, labels
            return self.function(images, labels, rng=rng, **self.settings)
        changed = self.function(images, rng=rng, **self.settings)
        if self.chance < 1:
            if changed.shape != images.shape:
                raise ValueError(
                    f"Apply: {self.name} made {described(changed)} of {described(images)}, expected one shape, because "
                    "only some samples are changed; use chance=1"
                )
            chosen = rng.bernoulli(self.chance, images.shape[:1], backend_of(images))
            changed = ops.where(column(chosen), changed, images)
        return changed if labels is None else (changed, labels)


class Compose:
    """Transforms one after the other: functions of this package as they are, and with settings and a chance as `Apply`.

    transforms: any number of functions f(images, *, rng), `Apply` and `Compose`; a single one need not be in a list.
    Call it with images, or with images and labels, which then both come back; so it is a `transform` for
    `tr.training.fit`. Transforms of images leave labels as they are, mixup and cutmix mix them too. All draw from the
    one generator that is given, from one made of the seed that is given, or from the default generator if None.

    Raises `TypeError` for what is no transform.

    >>> import tinyreg as tr
    >>> from tinyreg.augment import Apply, Compose, crop, flip, rotate
    >>> transform = Compose([Apply(rotate, degrees=(-10, 10), chance=0.5), flip, Apply(crop, size=32, padding=4)])
    >>> transform
    Compose([
        Apply(rotate, degrees=(-10, 10), padding='zeros', chance=0.5),
        Apply(flip, p=0.5, axis='horizontal'),
        Apply(crop, size=32, padding=4),
    ])
    >>> transform(tr.ones((8, 3, 32, 32)), rng=tr.Generator(0)).shape
    (8, 3, 32, 32)
    """

    def __init__(self, transforms: TransformFunction | Iterable[TransformFunction]) -> None:
        transforms = [transforms] if callable(transforms) else list(transforms)
        for transform in transforms:
            if not callable(transform):
                raise TypeError(
                    f"Compose: got {transform!r:.80}, expected functions of (images, *, rng), or Apply(function, ...)"
                )
        self.transforms: list[Apply] = [t if isinstance(t, Apply) else Apply(t) for t in transforms]
        self.mixes: bool = any(transform.mixes for transform in self.transforms)

    def __repr__(self) -> str:
        lines = "".join(f"    {line}\n" for t in self.transforms for line in f"{t!r},".splitlines())
        return f"Compose([\n{lines}])" if lines else "Compose([])"

    @overload
    def __call__(self, images: Tensor | Array, labels: None = None, rng: Generator | int | None = None) -> Tensor: ...
    @overload
    def __call__(
        self, images: Tensor | Array, labels: Tensor | Array, rng: Generator | int | None = None
    ) -> tuple[Tensor, Tensor]: ...
    def __call__(self, images: Any, labels: Any = None, rng: Generator | int | None = None) -> Any:
        """The images, and the labels where they are given, after all transforms."""
        rng = as_generator(rng, "Compose")  # once, so that no two transforms draw the same numbers from a seed
        for transform in self.transforms:
            if labels is None:
                images = transform(images, rng=rng)
            else:
                images, labels = transform(images, labels, rng)
        return images if labels is None else (images, labels)

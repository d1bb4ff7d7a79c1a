"""Random numbers: drawn on the host, so that every backend sees the same ones, then moved to the backend in use."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Mapping
from typing import Any

from .arguments import integer, number
from .core.backend import Array, Shape, current, get
from .core.conversion import checked
from .core.tape import watch
from .creation import get_default_dtype
from .symbols import tracing

__all__ = ["Generator", "default_generator", "seed"]

_HOST = get("numpy")
_making = threading.Lock()


class Generator:
    """Random numbers from a seed, the same on every backend: they are drawn on the host and then moved.

    Without a seed it starts from the system's entropy. Methods return arrays on the current backend, or on the one that is
    given; floats have the default dtype unless another is given.

    Threads may draw from one generator: no number is drawn twice, but who gets which differs from run to run. A
    `tr.checkpoint` takes its generators back and forth, and then needs them for itself.

    >>> import tinyreg as tr
    >>> rng = tr.Generator(0)
    >>> rng.permutation(4)
    array([2, 0, 1, 3])
    """

    def __init__(self, seed: int | None = None) -> None:
        self._start: tuple[int | None, Any] = _checked(seed), None

    @property
    def _host(self) -> Any:
        # Made at the first draw: NumPy takes longer to import its random numbers than tinyreg takes for everything else.
        seed, host = self._start
        if host is None:
            with _making:
                seed, host = self._start
                if host is None:  # made by no other thread meanwhile
                    host = _HOST.random.Generator(_HOST.random.PCG64(seed))
                    self._start = seed, host
        return host

    def seed(self, seed: int | None) -> None:
        """Start again from `seed`."""
        start = _checked(seed), None
        with _making:
            self._start = start

    def initial_seed(self) -> int | None:
        """The seed from which it started; None where it was given none."""
        return self._start[0]

    @property
    def state(self) -> Mapping[str, Any]:
        """Where the generator stands: a value that can be stored and set again."""
        bits = self._host.bit_generator
        with bits.lock:
            state: Mapping[str, Any] = bits.state
        if (recording := tracing.get()) is not None:
            recording.looked_at(self, state)
        return state

    @state.setter
    def state(self, state: Any) -> None:
        if (recording := tracing.get()) is not None:
            recording.put_back(self, state)
        bits = self._host.bit_generator
        with bits.lock:
            before, problem = bits.state, None
            try:
                bits.state = state
            except (TypeError, ValueError, LookupError, OverflowError) as error:
                problem = error  # it may have taken a part
            if bits.state != state:
                bits.state = before
                raise ValueError(
                    f"state: got {state!r:.200}, expected the state of a Generator, which is a PCG64"
                ) from problem

    def uniform(
        self, low: float = 0.0, high: float = 1.0, shape: int | Shape = (), dtype: Any = None, backend: str | None = None
    ) -> Array:
        """Floats from [low, high)."""
        return self._draw(lambda host: host.uniform(low, high, shape), dtype or get_default_dtype(), backend)

    def normal(
        self, mean: float = 0.0, std: float = 1.0, shape: int | Shape = (), dtype: Any = None, backend: str | None = None
    ) -> Array:
        """Floats from the normal distribution."""
        return self._draw(lambda host: host.normal(mean, std, shape), dtype or get_default_dtype(), backend)

    def beta(self, a: float, b: float, shape: int | Shape = (), dtype: Any = None, backend: str | None = None) -> Array:
        """Floats from [0, 1] by the beta distribution; a, b: above 0."""
        return self._draw(lambda host: host.beta(a, b, shape), dtype or get_default_dtype(), backend)

    def bernoulli(self, p: float, shape: int | Shape = (), backend: str | None = None) -> Array:
        """Booleans, each True with probability p: four are made of one random word, and further bits settle the ties."""
        n = math.prod(shape) if isinstance(shape, tuple | list) else shape
        whole, rest = divmod(number("bernoulli", "p", p, least=0, most=1) * 2**16, 1)

        def draw(host: Any) -> Array:
            parts = host.bit_generator.random_raw(-(-n // 4)).view(_HOST.uint16)[:n]
            ties = (parts == int(whole)).nonzero()[0] if rest else ()
            below = parts < int(whole)
            if len(ties):
                # From far ahead in the stream, so that where it goes on does not depend on how many there were.
                ahead = host.bit_generator.jumped()
                below[ties] = _HOST.random.Generator(ahead).random(len(ties)) < rest
            return below.reshape(shape)

        return self._draw(draw, "bool", backend)

    def integers(self, low: int, high: int, shape: int | Shape = (), backend: str | None = None) -> Array:
        """Integers from [low, high)."""
        return self._draw(lambda host: host.integers(low, high, shape), "int64", backend)

    def permutation(self, n: int, backend: str | None = None) -> Array:
        """The integers 0 to n - 1 in random order."""
        return self._draw(lambda host: host.permutation(n), "int64", backend)

    def _draw(self, draw: Callable[[Any], Array], dtype: Any, backend: str | None = None) -> Array:
        if (listener := watch.get()) is not None:
            listener(self)
        xp, dtype = get(backend) if backend else current(), checked(dtype, "Generator: asked for numbers")
        if (recording := tracing.get()) is not None:
            return recording.draw(self, draw, dtype)
        return xp.asarray(_HOST.asarray(draw(self._host), dtype=dtype))


def _checked(seed: Any) -> int | None:
    expected = "an integer of at least 0, or None for the system's entropy"
    return None if seed is None else integer("seed", "seed", seed, least=0, expected=expected)


default_generator: Generator = Generator()


def as_generator(rng: Generator | int | None, where: str = "rng") -> Generator:
    """The generator that a function's `rng` stands for: itself, a new one from a seed, the default one for None.

    So a seed gives the same numbers at every call; a layer asks once, when it is made, and then goes on from there.

    Raises `TypeError` for anything else and `ValueError` for a seed below 0; `where` is the op or the class that was
    called.
    """
    if rng is None or isinstance(rng, Generator):
        return default_generator if rng is None else rng
    expected = "a tr.Generator, an integer seed of at least 0, or None for the default generator"
    return Generator(integer(where, "rng", rng, least=0, expected=expected))


def seed(n: int) -> None:
    """Start the default generator, from which layers and masks draw, again from `n`.

    >>> import tinyreg as tr
    >>> tr.seed(0)
    """
    default_generator.seed(n)

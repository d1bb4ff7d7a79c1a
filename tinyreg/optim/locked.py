"""A lock for what threads may share; copies and pickles get one of their own."""

from __future__ import annotations

import threading
from typing import Any, Self


class Locked:
    """An object whose changes are one step each: what holds `self._lock` waits for no half of another's."""

    _lock: threading.RLock

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        """With a lock, also where a copy or a pickle makes it."""
        made = super().__new__(cls)
        made._lock = threading.RLock()
        return made

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "_lock"}

"""Machine code on disk, so that a program is compiled once on a machine: see `folder`."""

from __future__ import annotations

import contextlib
import hashlib
import os
import sys
from pathlib import Path

from ...files import write

VARIABLE = "TINYREG_CACHE"
DIGEST, NAME = 32, 16
"""The bytes of a digest of code, and of a key."""
MOST = 256
"""Programs that are saved; the oldest go."""


def folder() -> Path | None:
    """Where machine code is saved: `$TINYREG_CACHE`, else `tinyreg` in the user's cache folder; None if that is empty."""
    given = os.environ.get(VARIABLE)
    if given is not None:
        return Path(given).expanduser() if given else None
    with contextlib.suppress(RuntimeError):  # no home
        if sys.platform == "win32":
            return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "tinyreg" / "Cache"
        if sys.platform == "darwin":
            return Path.home() / "Library" / "Caches" / "tinyreg"
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tinyreg"
    return None


def load(key: str) -> bytes | None:
    """The code that was saved under a key; None where there is none, or another than was saved."""
    place = folder()
    if place is None:
        return None
    with contextlib.suppress(OSError, ValueError):
        path = place / _name(key)
        if hasattr(os, "getuid") and path.stat().st_uid != os.getuid():
            return None  # which somebody else has put there
        content = path.read_bytes()
        if hashlib.blake2b(content[DIGEST:], digest_size=DIGEST, key=b"tinyreg").digest() == content[:DIGEST]:
            return content[DIGEST:]
    return None


def save(key: str, code: bytes) -> None:
    """Save code under a key, whole or not at all; without a word where it cannot be."""
    place = folder()
    if place is None:
        return
    with contextlib.suppress(OSError, ValueError):
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
        content = hashlib.blake2b(code, digest_size=DIGEST, key=b"tinyreg").digest() + code
        write(place / _name(key), content, "capture")
        files = sorted((each.stat().st_mtime, each) for each in place.iterdir() if len(each.name) == 2 * NAME)
        for _, old in files[:-MOST]:
            old.unlink(missing_ok=True)


def _name(key: str) -> str:
    return hashlib.blake2b(key.encode(), digest_size=NAME).hexdigest()

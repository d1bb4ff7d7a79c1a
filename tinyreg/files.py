"""The one gate to files: a kill, a full disk or an error at any moment leaves the old file or the new one, whole.

A file is written under another name in the same folder, forced to the disk and then moved into its place. It has the
rights and, where the system lets us, the owner of the one that was there. While it is written it is locked, so that one
that is not was left by a writer that was killed, and is removed by the next. Nothing is waited for: a pipe that nobody
reads is refused.
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from .interrupts import deferred
from .messages import printable

try:
    import fcntl
except ModuleNotFoundError:  # on Windows, where nobody removes what is open
    fcntl = None  # type: ignore[assignment]

Name = str | os.PathLike[str]

LONGEST = 50  # characters of a name that its part has too: some systems allow no more than 255 bytes

AT_ONCE = getattr(os, "O_NONBLOCK", 0)


def write(path: Name, data: bytes | str, where: str) -> Path:
    """Put data into a file, text as UTF-8, in one step; returns the path. where: what was called, for errors.

    A link is written through, and so is what is no regular file, such as /dev/stdout. What an earlier write left in the
    folder when it was killed is removed. Of two writes to one path at the same time, that which ends last stays.

    Raises `TypeError` and `ValueError` for what is no path, and `OSError` where the folder is missing or full, no file can
    be made in it, or the file may not be written.
    """
    name = _name(path, where)
    try:
        content = data.encode() if isinstance(data, str) else data
    except UnicodeEncodeError as error:
        error.add_note(f"{where}: this is about the text for {printable(name)}; nothing was written")
        raise
    failed = f"{where}: got {printable(name)}, but it cannot be written"
    if _is_special(name):
        with _worded(failed, "expected a file; or a device with room, or a pipe that is read"):
            _write_through(name, content)
        return Path(path)
    remedy = "what was there is whole; make room or choose another path"
    with deferred(), _part(name, where) as (part, target), _worded(failed, remedy):
        with part.open("r+b") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        part.replace(target)
        _force_folder(target.parent)
    return Path(path)


def write_figure(path: Name, figure: Any, where: str) -> Path:
    """Write a figure of matplotlib in the format that the path's suffix says, PNG without one; returns the path."""
    to = Path(_name(path, where))
    to = to if to.suffix else Path(f"{to}.png")
    picture = io.BytesIO()
    figure.savefig(picture, dpi=150, format=to.suffix[1:])
    return write(to, picture.getvalue(), where)


def check(path: Name, where: str) -> None:
    """Raise now what `write` would raise for this path later; nothing is left behind."""
    name = _name(path, where)
    if not _is_special(name):
        with deferred(), _part(name, where):
            pass


@contextlib.contextmanager
def opened(path: Name, where: str) -> Iterator[BinaryIO]:
    """A file, open for reading.

    Raises `TypeError` and `ValueError` for what is no path, and `OSError` for what is no file, or cannot be read.
    """
    name = _name(path, where)
    if _is_special(name):
        raise OSError(f"{where}: got {printable(name)}, which is a pipe or a device; expected the path of a file")
    failed = f"{where}: got {printable(name)}, which cannot be read"
    with _worded(failed, "expected the path of a file that is there"), open(name, "rb") as file:
        yield file


# ---- names


def _name(path: Name, where: str) -> str:
    """The path as text; raises where no file can have it."""
    name = os.fspath(path) if hasattr(path, "__fspath__") else path
    if not isinstance(name, str):
        raise TypeError(f"{where}: got {path!r:.80}, expected the path of a file: a string or a pathlib.Path")
    try:
        if name and b"\0" not in os.fsencode(name):
            return name
    except UnicodeEncodeError:
        pass
    raise ValueError(f"{where}: got {name!r:.80}, expected the path of a file; none can be called that")


def _is_special(name: str) -> bool:
    """Whether there is something that is neither a file nor a folder: a device or a pipe, which nothing can replace."""
    with contextlib.suppress(OSError):
        mode = os.stat(name).st_mode
        return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))
    return False


def _target(name: str, where: str) -> Path:
    """The file to replace, behind links; `OSError` where it cannot be."""
    target = Path(os.path.realpath(name))
    if target.is_symlink():
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
    if target.is_dir():
        raise IsADirectoryError(f"{where}: got {printable(name)}, which is a folder; expected the path of a file")
    if not target.parent.is_dir():
        folder = printable(str(target.parent))
        raise FileNotFoundError(f"{where}: got {printable(name)}, but there is no folder {folder}; make it first")
    if target.exists() and not os.access(target, os.W_OK):
        raise PermissionError(
            f"{where}: got {printable(name)}, a file that may not be written; change its rights or choose another"
        )
    return target


@contextlib.contextmanager
def _worded(problem: str, remedy: str) -> Iterator[None]:
    """Say what an error of the system is about, and what to do; it keeps its class and its number."""
    try:
        yield
    except OSError as error:
        if error.strerror is None:  # our own
            raise
        said = type(error)(f"{problem} ({error.strerror}); {remedy}")
        said.errno = error.errno
        raise said from error


# ---- parts


@contextlib.contextmanager
def _part(name: str, where: str) -> Iterator[tuple[Path, Path]]:
    """An empty file beside the target, with its rights, which nobody else could open before it had them; and the target.

    It is locked meanwhile, and gone at the end.
    """
    with _worded(f"{where}: got {printable(name)}, where no file can be", "choose another path"):
        target = _target(name, where)
    part = target.with_name(f".{target.name[:LONGEST]}.{os.urandom(4).hex()}.part")
    folder = printable(str(target.parent))
    _remove_parts(target)  # first, since they may be what fills the disk
    with contextlib.ExitStack() as ending:
        ending.callback(_remove, part)
        with _worded(f"{where}: got {printable(name)}, but no file can be made in {folder}", "choose another path"):
            old = target.stat() if target.exists() else None
            part.touch(mode=0o666 if old is None else 0o600, exist_ok=False)
            while not _held(part, ending, wait=True):  # another writer took it for one that was left
                part.touch(mode=0o666 if old is None else 0o600, exist_ok=False)
            if old is not None:
                _make_alike(part, old)
        yield part, target


def _make_alike(part: Path, old: os.stat_result) -> None:
    """Give the part the owner and the rights of the old file; where it cannot have its group, that gets others' rights."""
    mode, new = stat.S_IMODE(old.st_mode), part.stat()
    if (new.st_uid, new.st_gid) != (old.st_uid, old.st_gid):
        try:
            os.chown(part, old.st_uid, old.st_gid)
        except OSError:
            try:
                os.chown(part, -1, old.st_gid)
            except OSError:
                mode = mode & 0o707 | (mode & 0o007) << 3
    part.chmod(mode)


def _held(part: Path, ending: contextlib.ExitStack, wait: bool) -> bool:
    """Lock a part until the ending; False where another writer has it, or has removed it."""
    if fcntl is None:
        return True
    try:
        opened = os.open(part, os.O_RDWR)
    except FileNotFoundError:
        return False
    ending.callback(os.close, opened)
    try:
        fcntl.flock(opened, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks
        pass
    return part.exists()


def _remove_parts(target: Path) -> None:
    """Remove the parts that writes of this target left when they were killed."""
    pattern = rf"\.{re.escape(target.name[:LONGEST])}\.[0-9a-f]{{8}}\.part"
    with contextlib.suppress(OSError):
        for left in target.parent.iterdir():
            if re.fullmatch(pattern, left.name):
                with contextlib.suppress(OSError), contextlib.ExitStack() as ending:
                    if _held(left, ending, wait=False):
                        left.unlink()


def _remove(part: Path) -> None:
    with contextlib.suppress(OSError):
        part.unlink()


def _force_folder(folder: Path) -> None:
    """Force the new name to the disk."""
    with contextlib.suppress(OSError):  # Windows opens no folder, and one may be written but not read
        opened = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(opened)
        finally:
            os.close(opened)


# ---- devices and pipes


def _write_through(name: str, content: bytes) -> None:
    """Write to what is there; a pipe without a reader is an error at once."""
    with open(name, "wb", opener=lambda path, flags: os.open(path, flags | AT_ONCE)) as file:
        if AT_ONCE:
            os.set_blocking(file.fileno(), True)
        file.write(content)

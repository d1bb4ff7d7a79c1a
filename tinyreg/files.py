"""The one writer of files: a kill, a full disk or an error at any moment leaves the old file or the new one, whole.

A file is written under another name in the same folder, forced to the disk and then moved into its place. It has the
rights and, where the system lets us, the owner of the one that was there.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import stat
from pathlib import Path
from typing import Any

from .interrupts import deferred

Name = str | os.PathLike[str]


def write(path: Name, data: bytes | str, where: str) -> Path:
    """Put data into a file, text as UTF-8, in one step; returns the path. where: what was called, for errors.

    A link is written through, and so is what is no regular file, such as /dev/stdout. What an earlier write left in the
    folder when it was killed is removed. Of two writes to one path at the same time, one may raise.

    Raises `OSError` where the folder is missing or no file can be made in it, and where the file may not be written.
    """
    content = data.encode() if isinstance(data, str) else data
    if _is_special(path):
        Path(path).write_bytes(content)
        return Path(path)
    with deferred():
        _put_in_place(content, _target(path, where), path, where)
    return Path(path)


def _put_in_place(content: bytes, target: Path, path: Name, where: str) -> None:
    part = _made_part(target, path, where)
    try:
        with part.open("r+b") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        _remove_parts(target, but=part)
        part.replace(target)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    _force_folder(target.parent)


def write_figure(path: Name, figure: Any, where: str) -> Path:
    """Write a figure of matplotlib in the format that the path's suffix says, PNG without one; returns the path."""
    to = Path(path) if Path(path).suffix else Path(f"{os.fspath(path)}.png")
    picture = io.BytesIO()
    figure.savefig(picture, dpi=150, format=to.suffix[1:])
    return write(to, picture.getvalue(), where)


def check(path: Name, where: str) -> None:
    """Raise now what `write` would raise for this path later; nothing is left behind."""
    if not _is_special(path):
        with deferred():
            _made_part(_target(path, where), path, where).unlink(missing_ok=True)


def _is_special(path: Name) -> bool:
    """Whether there is something that is neither a file nor a folder: a device or a pipe, which nothing can replace."""
    with contextlib.suppress(OSError):
        mode = os.stat(path).st_mode
        return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))
    return False


def _target(path: Name, where: str) -> Path:
    """The file to replace, behind links; `OSError` where it cannot be."""
    target = Path(os.path.realpath(path))
    if target.is_dir():
        raise IsADirectoryError(f"{where}: got {path}, which is a folder; expected the path of a file")
    if not target.parent.is_dir():
        raise FileNotFoundError(f"{where}: got {path}, but there is no folder {target.parent}; make it first")
    if target.exists() and not os.access(target, os.W_OK):
        raise PermissionError(f"{where}: got {path}, a file that may not be written; change its rights or choose another")
    return target


def _made_part(target: Path, path: Name, where: str) -> Path:
    """An empty file beside the target, with its rights, which nobody else could open before it had them."""
    part = target.with_name(f".{target.name}.{os.urandom(4).hex()}.part")
    try:
        old = target.stat() if target.exists() else None
        part.touch(mode=0o666 if old is None else 0o600, exist_ok=False)
        if old is not None:
            _make_alike(part, old)
    except BaseException as error:
        part.unlink(missing_ok=True)
        if not isinstance(error, OSError):
            raise
        text = f"{where}: got {path}, but no file can be made in {target.parent} ({error.strerror}); choose another folder"
        raise OSError(error.errno, text) from error
    return part


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


def _remove_parts(target: Path, but: Path) -> None:
    """Remove the parts that writes of this target left when they were killed."""
    with contextlib.suppress(OSError):
        for left in target.parent.iterdir():
            if left != but and re.fullmatch(rf"\.{re.escape(target.name)}\.[0-9a-f]{{8}}\.part", left.name):
                left.unlink()


def _force_folder(folder: Path) -> None:
    """Force the new name to the disk."""
    if os.name == "posix":  # elsewhere a folder cannot be opened
        with contextlib.suppress(OSError):  # one that may be written but not read: the file is in its place
            opened = os.open(folder, os.O_RDONLY)
            try:
                os.fsync(opened)
            finally:
                os.close(opened)

"""The memory of freed arrays: held by the process for the next step, in place of a way to the system and back."""

from __future__ import annotations

import ctypes

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # of glibc's malloc.h
LARGEST = 32 * 2**20  # glibc takes no larger threshold


def give_back() -> None:
    """Ask the C library to give freed memory back to the system, as after work that is done once; glibc does."""
    try:
        ctypes.CDLL(None).malloc_trim(0)
    except (AttributeError, OSError, TypeError):  # another C library
        return


def keep_freed_memory() -> bool:
    """Ask the C library to keep freed memory; returns whether it does, which takes glibc, so Linux.

    A training step frees what the next one needs again. By default the C library gives large blocks back to the system,
    which hands out each page anew, filled with zeros: that can take half of the time of a step. After this call arrays of
    up to 32 MiB reuse what was freed before. It holds for the whole process, for everything in it that allocates, and until
    it ends; the process then stays as large as it has been. Memory on a GPU is not concerned.

    >>> import tinyreg as tr
    >>> held = tr.keep_freed_memory()
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # another C library
        return False
    return bool(mallopt(M_TRIM_THRESHOLD, 2**31 - 1) and mallopt(M_MMAP_THRESHOLD, LARGEST))

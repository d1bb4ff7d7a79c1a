"""Files under attack: damaged bytes, and a process with little time and memory that has to read them."""

import ctypes
import faulthandler
import json
import os
import random
import select
import signal
import sys
import warnings

import pytest

from tinyreg.testing import search

resource = pytest.importorskip("resource", reason="limits of a process are POSIX's")
if not os.path.exists("/proc/self/statm"):
    pytest.skip("how much memory a process has is read as on Linux", allow_module_level=True)

SECONDS, MEMORY = 1, 100 << 20  # of the processor, and of memory beyond what the process has already
SILENCE = 60  # seconds without a word, after which a process is taken to hang


def seeded(few: int, many: int) -> tuple[random.Random, int]:
    """How many files to try, `many` in the deep profile, and the same ones every time but there."""
    deep = search.profile() == "deep"
    seed = random.SystemRandom().randrange(2**32) if deep else 0
    sys.stdout.write(f"seed {seed}\n")  # which pytest shows where the test fails
    return random.Random(seed), many if deep else few


def damaged(content: bytes, chance: random.Random) -> tuple[str, bytes]:
    """The content with some damage, and of which kind: what a bad disk, a broken transfer or an editor does."""
    kind = chance.choice(list(DAMAGES))
    return kind, DAMAGES[kind](bytearray(content), chance)


def _bits(content, chance):
    for _ in range(chance.choice((1, 1, 1, 2, 8))):
        content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
    return bytes(content)


def _bytes(content, chance):
    for _ in range(chance.choice((1, 4, 64))):
        content[chance.randrange(len(content))] = chance.randrange(256)
    return bytes(content)


def _cut(content, chance):
    return bytes(content[: chance.randrange(len(content))])


def _longer(content, chance):
    return bytes(content) + chance.randbytes(chance.choice((1, 8, 100_000)))


def _block(chance, content):
    start = chance.randrange(len(content))
    return start, start + chance.choice((1, 8, 512))


def _zeroed(content, chance):
    start, end = _block(chance, content)
    content[start:end] = bytes(len(content[start:end]))
    return bytes(content)


def _lost(content, chance):
    start, end = _block(chance, content)
    del content[start:end]
    return bytes(content)


def _twice(content, chance):
    start, end = _block(chance, content)
    content[start:start] = content[start:end]
    return bytes(content)


def _swapped(content, chance):
    middle = chance.randrange(len(content))
    return bytes(content[middle:] + content[:middle])


DAMAGES = {
    "bits flipped": _bits,
    "bytes replaced": _bytes,
    "cut short": _cut,
    "longer": _longer,
    "a block zeroed": _zeroed,
    "a block lost": _lost,
    "a block twice": _twice,
    "ends swapped": _swapped,
}


def outcomes(read, cases):
    """What `read` does with each case: ("gave", its result as text), (the name of an error, its text), or ("died", how).

    It runs in a copy of this process, which is killed when one case takes more than `SECONDS` of the processor, has
    `MEMORY` more than it has now, and says nothing to the terminal.
    """
    found = []
    while len(found) < len(cases):
        done, how = _in_a_copy(read, cases[len(found) :])
        found += done
        if len(found) < len(cases):
            found.append(("died", how))
    return found


def _in_a_copy(read, cases):
    here, there = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of a fork beside threads, which wait for work here
        child = os.fork()
    if child == 0:
        try:
            os.close(here)
            _tell_all(read, cases, there)
        finally:
            os._exit(0)
    os.close(there)
    said, how = b"", ""
    while select.select([here], [], [], SILENCE)[0]:
        if not (more := os.read(here, 1 << 16)):
            break
        said += more
    else:
        how = "hung"
        os.kill(child, signal.SIGKILL)
    os.close(here)
    status = os.waitpid(child, 0)[1]
    lines = said.split(b"\n")[:-1]
    return [tuple(json.loads(line)) for line in lines], how or f"status {os.waitstatus_to_exitcode(status)}"


def _tell_all(read, cases, to):
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(null, descriptor)
    faulthandler.disable()
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    if trim := getattr(ctypes.CDLL(None), "malloc_trim", None):  # what was freed before would serve without the limit
        trim(0)
    with open("/proc/self/statm", encoding="ascii") as file:
        now = int(file.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (now + MEMORY, now + MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for case in cases:
        signal.setitimer(signal.ITIMER_PROF, SECONDS)
        try:
            outcome = "gave", str(read(case))
        except BaseException as error:
            lines = [str(error), *getattr(error, "__notes__", ())]
            outcome = type(error).__name__, "\n".join(lines)
        signal.setitimer(signal.ITIMER_PROF, 0)
        os.write(to, json.dumps(outcome).encode() + b"\n")

"""Memory that was freed stays with the process where that was asked for, and only there."""

import platform
import subprocess
import sys

import pytest

PROGRAM = """
import resource
import numpy as np
import tinyreg as tr
if {asked}:
    assert tr.keep_freed_memory()
def step():
    arrays = [np.ones(2**19) for _ in range(8)]
for _ in range(3):
    step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(5):
    step()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="this is for glibc")
def test_the_pages_of_freed_arrays_are_used_again():
    def faults(asked):
        program = PROGRAM.format(asked=asked)
        return int(
            subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=600).stdout
        )

    assert faults(True) < faults(False) / 4

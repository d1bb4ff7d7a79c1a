"""Padding: what it keeps, and what it refuses."""

import numpy as np
import pytest

import tinyreg as tr

pytestmark = pytest.mark.usefixtures("backend")


def tensor(values, dtype):
    return tr.tensor(np.asarray(values), dtype=dtype, backend=tr.zeros(0).backend)


@pytest.mark.parametrize("dtype", ["float16", "float32", "int64", "bool"])
def test_what_is_padded_keeps_its_dtype(dtype):
    y = tr.pad(tensor([1, 1], dtype), [(1, 2)])
    assert y.dtype == dtype
    assert y.tolist() == [0, 1, 1, 0, 0]


@pytest.mark.parametrize("widths", [[(-1, 0), (0, 0)], [(0, 0), (2, -1)]])
def test_negative_widths_are_refused(widths):
    with pytest.raises(ValueError, match="pad: got x .*expected a pair .* of at least 0 for each axis.* use a slice"):
        tr.pad(tensor([[1.0]], "float32"), widths)


def test_a_pair_is_expected_for_each_axis():
    with pytest.raises(
        ValueError, match="pad: got x .*expected a pair .* for each axis of x. pad_width has 1 pairs for 2 axes"
    ):
        tr.pad(tensor([[1.0]], "float32"), [(1, 1)])

"""A warning points at the reader's line, whatever of tinyreg lies between."""

import pytest

import tinyreg as tr


class Own(tr.nn.LSTM):
    """A layer whose own `__init__` calls that of tinyreg."""

    def __init__(self):
        super().__init__(3, 4, dropout=0.5)


class Spread(tr.nn.Module):
    """A layer with an op in it that warns."""

    def forward(self, x):
        return x.var(correction=1)


def line_of(f):
    """The last line of a function."""
    return max(line for *_, line in f.__code__.co_lines() if line)


WARNING = {
    "an op": (lambda: tr.var(tr.ones(1), correction=1), None),
    "a method": (lambda: tr.ones(1).std(correction=1), None),
    "an op within float16": (lambda: tr.std(tr.ones(1, dtype="float16"), correction=1), None),
    "an op under a transform": (lambda: tr.grad(lambda x: x.var(correction=1))(tr.ones(1)), None),
    "an op in a layer": (lambda: Spread()(tr.ones(1)), Spread.forward),
    "a number": (lambda: float(tr.ones((), requires_grad=True)), None),
    "a layer": (lambda: tr.nn.LSTM(3, 4, dropout=0.5), None),
    "a layer of one's own": (lambda: Own(), Own.__init__),
}


@pytest.mark.parametrize("name", WARNING)
def test_a_warning_points_at_the_line_that_called(name):
    call, where = WARNING[name]
    with pytest.warns((UserWarning, RuntimeWarning)) as caught:
        call()
    assert [(one.filename, one.lineno) for one in caught] == [(__file__, line_of(where or call))]

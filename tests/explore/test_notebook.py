"""In a notebook: a cell goes by its number, and what one asks for is shown as a short table or a picture."""

import linecache
import re
import sys
import types

import pytest

import tinyreg as tr

CELL = "/tmp/ipykernel_4321/1234567890.py"
CODE = "w = tr.tensor([1.0, 2.0], requires_grad=True)\nwith tr.explain():\n    tape = tr.tape((w * w).sum())\n"


@pytest.fixture
def notebook(monkeypatch):
    """What IPython has of a cell that it runs: the file it stands for, and the number."""

    def format_code_name(name):
        return ("Cell", "In[3]") if name == CELL else None

    shell = types.SimpleNamespace(compile=types.SimpleNamespace(format_code_name=format_code_name))
    monkeypatch.setitem(sys.modules, "IPython", types.SimpleNamespace(get_ipython=lambda: shell))
    monkeypatch.setitem(linecache.cache, CELL, (len(CODE), None, CODE.splitlines(keepends=True), CELL))
    scope = {"tr": tr}
    exec(compile(CODE, CELL, "exec"), scope)
    return scope


def test_a_cell_goes_by_its_number_in_the_table_on_the_page_and_in_errors(notebook):
    tape = notebook["tape"]
    assert str(tape).count("In[3]:3") == 2
    assert "ipykernel" not in str(tape) + tape.to_dot() + tape._repr_html_()
    assert "<td" in tape._repr_html_()
    assert tape._repr_html_().count(">In[3]:3</td>") == 2
    with pytest.raises(tr.explore.NonFiniteError, match=r"from In\[3\]:1 `w = tr"):
        exec(compile("with tr.explain(): w * float('nan')", CELL, "exec"), notebook)


@pytest.mark.parametrize("shell", [None, types.SimpleNamespace(), types.SimpleNamespace(compile=types.SimpleNamespace())])
def test_where_nothing_knows_of_cells_a_file_goes_by_its_name(notebook, monkeypatch, shell):
    monkeypatch.setitem(sys.modules, "IPython", types.SimpleNamespace(get_ipython=lambda: shell))
    assert "1234567890.py:3" in str(notebook["tape"])


def rows(text):
    return [re.findall("<t[hd] style=.*?>(.*?)</t[hd]>", row) for row in re.findall("<tr>(.*?)</tr>", text)]


def history(epochs):
    made = tr.training.History()
    for i in range(epochs):
        made.append({"loss": 1.0 / (i + 1), "<b>": float(i)})
    return made


def test_a_history_is_a_table_of_many_epochs_the_first_and_the_last():
    assert rows(history(2)._repr_html_()) == [["epoch", "loss", "&lt;b&gt;"], ["1", "1", "0"], ["2", "0.5", "1"]]
    many = rows(history(100)._repr_html_())
    assert len(many) == 22
    assert many[10][0] == "10"
    assert many[11] == ["80 more", "", ""]
    assert many[-1] == ["100", "0.01", "99"]
    assert rows(history(0)._repr_html_()) == [["epoch"]]


def test_a_gradient_flow_is_a_table_of_the_latest_norms():
    model = tr.nn.Linear(2, 1, bias=False)
    flow = tr.explore.gradient_flow(model)
    assert "call record()" in flow._repr_html_()
    flow.record()
    model(tr.ones((4, 2))).sum().backward()
    flow.record()
    (head, row) = rows(flow._repr_html_())
    assert head == ["parameter", "norm of the value", "norm of the gradient"]
    assert row == ["weight", f"{flow.values['weight'][-1]:.5g}", f"{32**0.5:.5g}"]


def test_plots_show_their_figures():
    pytest.importorskip("matplotlib")
    model = tr.nn.Linear(2, 1)
    flow = tr.explore.gradient_flow(model)
    flow.record()
    for figure in (history(3).plot(), flow.plot()):
        assert figure._repr_png_().startswith(b"\x89PNG")

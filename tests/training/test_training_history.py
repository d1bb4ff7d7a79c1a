"""History: a table of epochs, as text, columns, files and a picture."""

import csv
import json
import math
import sys

import numpy as np
import pytest

import tinyreg as tr
from tinyreg.training import History


def history(*rows):
    made = History()
    for row in rows:
        made.append(row)
    return made


ROWS = [
    {"loss": 1.5, "accuracy": 0.5, "validation_loss": 2.0},
    {"loss": 1 / 3, "accuracy": 0.75, "validation_loss": math.nan},
    {"loss": 1e-7, "accuracy": 1.0, "validation_loss": math.inf},
]


def test_columns_and_rows():
    table = history(*ROWS)
    assert table["loss"] == [1.5, 1 / 3, 1e-7]
    assert table[-1] == ROWS[-1]
    assert len(table) == 3
    assert table.columns == ["loss", "accuracy", "validation_loss"]
    assert [row["accuracy"] for row in table] == [0.5, 0.75, 1.0]
    assert not table.interrupted


def test_a_column_that_is_not_there():
    with pytest.raises(KeyError, match="History: got 'lss', expected one of loss, accuracy, validation_loss"):
        history(*ROWS)["lss"]
    with pytest.raises(KeyError, match="expected one of no columns yet"):
        History()["loss"]


def test_an_epoch_that_lacks_a_number_has_nan():
    table = history({"loss": 1.0}, {"loss": 2.0, "late": 3.0})
    assert math.isnan(table["late"][0])
    assert table["late"][1] == 3.0


def test_it_prints_as_an_aligned_table():
    assert repr(history(*ROWS)).splitlines() == [
        "epoch     loss  accuracy  validation_loss",
        "    1      1.5       0.5                2",
        "    2  0.33333      0.75              nan",
        "    3    1e-07         1              inf",
    ]
    assert repr(History()) == "History of no epochs"


def test_csv_has_all_digits(tmp_path):
    table = history(*ROWS)
    table.to_csv(tmp_path / "h.csv")
    with open(tmp_path / "h.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["1", "2", "3"]
    assert [float(row["loss"]) for row in rows] == table["loss"]
    assert [row["validation_loss"] for row in rows] == ["2.0", "nan", "inf"]


def test_json_is_strict(tmp_path):
    table = history(*ROWS)
    table.to_json(tmp_path / "h.json")

    def refuse(constant):
        raise ValueError(constant)

    columns = json.loads((tmp_path / "h.json").read_text(encoding="utf-8"), parse_constant=refuse)
    assert columns["epoch"] == [1, 2, 3]
    assert columns["loss"] == table["loss"]
    assert columns["validation_loss"] == [2.0, None, None]


def test_numbers_of_any_kind_are_pythons():
    table = history({"loss": np.float32(0.5), "count": np.array([2]), "rate": tr.tensor(0.25)})
    assert [(type(n), n) for n in table[0].values()] == [(float, 0.5), (float, 2.0), (float, 0.25)]


def test_names_of_columns_are_printed_in_one_line_and_not_too_long():
    assert repr(history({"a\nb": 1.0, "x" * 50: 2.0})) == (f"epoch  a\\nb  {'x' * 39}\u2026\n    1     1  {'2':>40}")


@pytest.mark.parametrize(
    "rows", [[{"loss": 1.0}, 3], [{"loss": "low"}], [{1: 1.0}], [{"loss": 1.0, "other": None}], ({"loss": 1.0},), None]
)
def test_what_is_no_state_of_a_history_is_refused_and_changes_nothing(rows):
    table = history(*ROWS)
    with pytest.raises(ValueError, match='History.load_state_dict: got .*, expected {"epochs": .*, numbers by column'):
        table.load_state_dict({"epochs": rows})
    assert len(table) == 3


def test_a_dict_of_columns():
    assert history(*ROWS).to_dict()["epoch"] == [1, 2, 3]
    assert history(*ROWS).to_dict()["accuracy"] == [0.5, 0.75, 1.0]
    assert list(history(*ROWS).to_dict()) == ["epoch", "loss", "accuracy", "validation_loss"]


def test_the_plot_has_a_panel_for_each_number_with_training_and_validation(tmp_path):
    figure = history(*ROWS[:1], {"loss": 1.0, "accuracy": 0.75, "validation_loss": 3.0}).plot(tmp_path / "h.png")
    panels = {axes.get_ylabel(): {line.get_label(): list(line.get_ydata()) for line in axes.lines} for axes in figure.axes}
    assert panels == {"loss": {"training": [1.5, 1.0], "validation": [2.0, 3.0]}, "accuracy": {"training": [0.5, 0.75]}}
    assert list(figure.axes[0].lines[0].get_xdata()) == [1, 2]
    assert [axes.get_legend() is not None for axes in figure.axes] == [True, True]
    assert figure.axes[0].xaxis.get_gridlines()[0].get_visible()
    assert figure.get_size_inches().tolist() == [10.0, 4.0]
    assert (tmp_path / "h.png").read_bytes().startswith(b"\x89PNG")
    assert history(*ROWS).plot().axes


def test_a_plot_of_nothing_and_without_matplotlib(monkeypatch):
    with pytest.raises(ValueError, match="plot: this history has no epochs; expected at least one"):
        History().plot()
    monkeypatch.delitem(sys.modules, "matplotlib.figure", raising=False)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ModuleNotFoundError, match=r"tr\.training needs matplotlib: pip install 'tinyreg\[training\]'"):
        history(*ROWS).plot()


def test_its_state_is_a_copy():
    table, other = history(*ROWS), History()
    state = table.state_dict()
    table[0]["loss"] = 9.0
    other.load_state_dict(state)
    state["epochs"][0]["loss"] = 8.0
    assert other["loss"] == [1.5, 1 / 3, 1e-7]

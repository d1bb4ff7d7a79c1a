"""The page as a file, and the piece of it for notebooks: what is in them, how large they are, how they are written."""

import html
import re

import numpy as np
import pytest

import tinyreg as tr
from tinyreg.explore.page import fragment, page, save_html


def squares(*, name="x", size=3, times=1):
    """A tape with values, of `2 * times + 1` entries."""
    x = tr.tensor(np.random.default_rng(0).normal(size=size).astype("float32"), requires_grad=True)
    with tr.explain():
        y = x
        for _ in range(times):
            y = tr.tanh(y) + x
        return tr.tape(y.sum(), **{name: x})


def test_the_page_is_one_file_that_points_nowhere():
    x = tr.tensor([1.0, 2.0], requires_grad=True)
    text = page(tr.tape(x * x, x=x))
    assert text.startswith("<!doctype html>")
    assert "default-src 'none'" in text
    assert "@@" not in text
    assert not re.search(r"""(src|href)\s*=\s*["'](?!data:)|url\(|@import""", text)
    assert re.findall(r"https?://[^\s\"']+", text) == ["http://www.w3.org/2000/svg"]  # a name


def test_nothing_in_names_or_source_can_end_the_element_that_holds_it():
    text = page(squares(name="</script><script>alert(1)</script><!--<script>\u2028"))
    assert text.count("</script") == 2
    assert text.count("<!--") == 0
    assert "\u2028" not in text


def test_a_page_of_2000_entries_stays_under_5_mb_and_still_shows_numbers():
    tape = squares(size=(32, 32), times=1000)
    assert len(tape) == 2001
    text = page(tape)
    assert len(text.encode()) < 5_000_000
    assert len(re.findall(r'"rows":8,"columns":8', text)) > 1000


def test_a_long_tape_of_small_arrays_keeps_every_number():
    assert len(re.findall(r'"values":\[[^]]', page(squares(size=16, times=200)))) > 401


def test_save_html_writes_the_page_and_returns_its_path(tmp_path):
    tape = squares()
    path = save_html(tape, str(tmp_path / "tape.html"))
    assert path == tmp_path / "tape.html"
    assert path.read_text(encoding="utf-8") == page(tape)
    assert [each.name for each in tmp_path.iterdir()] == ["tape.html"]


def test_save_html_says_which_folder_is_missing(tmp_path):
    path = tmp_path / "none" / "tape.html"
    with pytest.raises(FileNotFoundError) as error:
        save_html(squares(), path)
    assert str(error.value) == f"save_html: got {path}, but there is no folder {path.parent}; make it first"


def test_save_html_leaves_what_was_there_when_it_fails(tmp_path, monkeypatch):
    path = save_html(squares(), tmp_path / "tape.html")
    before = path.read_bytes()
    monkeypatch.setattr("tinyreg.explore.page.page", lambda tape: "\ud800")  # which no file can hold
    with pytest.raises(UnicodeEncodeError):
        save_html(squares(), path)
    assert path.read_bytes() == before
    assert [each.name for each in tmp_path.iterdir()] == ["tape.html"]


def cells(text):
    rows = re.findall("<tr>(.*?)</tr>", text)
    return [[html.unescape(cell) for cell in re.findall("<t[hd][^>]*>(.*?)</t[hd]>", row)] for row in rows]


def test_the_fragment_has_the_table_and_the_page_in_a_frame():
    tape = squares()
    text = tape._repr_html_()
    assert text == fragment(tape)
    table = cells(text)
    assert table[0] == ["entry", "op and inputs", "result", "bytes kept", "line"]
    assert [row[:4] for row in table[1:]] == [
        ["#0", "tanh(x)", "float32[3]", "12"],
        ["#1", "add(#0, x)", "float32[3]", ""],
        ["#2", "sum(#1)", "float32[]", ""],
    ]
    assert re.fullmatch(r"(tests/)?test_page\.py:\d+", table[1][4])
    (frame,) = re.findall('srcdoc="([^"]*)"', text)
    assert html.unescape(frame).startswith("<!doctype html>")
    assert 'sandbox="allow-scripts"' in text


def test_the_fragment_of_a_long_tape_has_its_first_and_last_entries_and_no_frame():
    text = fragment(squares(size=(32, 32), times=1000))
    table = cells(text)
    assert len(table) == 42
    assert table[21][1] == "... 1,961 more"
    assert table[-1][:2] == ["#2000", "sum(#1999)"]
    assert "<iframe" not in text
    assert "<code>save_html(path)</code>" in text
    assert len(text) < 20_000


def test_the_fragment_without_explain_is_the_table_alone():
    x = tr.tensor([1.0, 2.0], requires_grad=True)
    text = fragment(tr.tape((x * x).sum(), x=x))
    assert [row[1] for row in cells(text)[1:]] == ["multiply(x, x)", "sum(#0)"]
    assert "<iframe" not in text


def test_names_in_the_fragment_are_escaped():
    text = fragment(squares(name="<script>alert(1)</script>"))
    assert "<script" not in text
    assert cells(text)[1][1] == "tanh(<script>alert(1)</script>)"

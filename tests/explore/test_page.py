"""The page as a file, and the piece of it for notebooks: what is in them, how large they are, how they are written."""

import html
import json
import re

import numpy as np
import pytest

import tinyreg as tr
from tinyreg.explore.page import fragment, page, save_html
from tinyreg.explore.scene import scene
from tinyreg.pages import assets


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
    assert text.count("</script") == 3
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
    assert table[0] == ["entry", "op and inputs", "result", "bytes saved", "line"]
    assert [row[:4] for row in table[1:]] == [
        ["#0", "tanh(x)", "float32[3]", "12"],
        ["#1", "add(#0, x)", "float32[3]", ""],
        ["#2", "sum(#1)", "float32[]", ""],
    ]
    assert re.fullmatch(r"(tests/explore/)?test_page\.py:\d+", table[1][4])
    (frame,) = re.findall('srcdoc="([^"]*)"', text)
    assert html.unescape(frame).startswith("<!doctype html>")
    assert 'sandbox="allow-scripts"' in text


def test_the_fragment_of_a_long_tape_has_its_first_and_last_entries_and_no_frame():
    text = fragment(squares(size=(32, 32), times=1000))
    table = cells(text)
    assert len(table) == 42
    assert table[21][0] == "1,961 more"
    assert table[-1][:2] == ["#2000", "sum(#1999)"]
    assert "<iframe" not in text
    assert "<code>save_html(path)</code>" in text
    assert len(text) < 25_000


def test_the_fragment_without_explain_is_the_table_alone():
    x = tr.tensor([1.0, 2.0], requires_grad=True)
    text = fragment(tr.tape((x * x).sum(), x=x))
    assert [row[1] for row in cells(text)[1:]] == ["multiply(x, x)", "sum(#0)"]
    assert "<iframe" not in text


def test_names_in_the_fragment_are_escaped():
    text = fragment(squares(name="<script>alert(1)</script>"))
    assert "<script" not in text
    assert cells(text)[1][1] == "tanh(<script>alert(1)</script>)"


# ---- a page never passes what was promised


def numbers(n):
    x = tr.tensor(1.0, requires_grad=True)
    with tr.explain():
        y = x
        for _ in range(n):
            y = y * 1.5 / 1.5
        return tr.tape(y, x=x)


def many_leaves(n):
    with tr.explain():
        y = tr.zeros(2)
        for _ in range(n):
            y = y + tr.ones(2, requires_grad=True)
        return tr.tape(y.sum())


def one_op_of_many_leaves(n):
    with tr.explain():
        return tr.tape(tr.stack([tr.ones(2, requires_grad=True) for _ in range(n)]).sum())


def many_results(n):
    with tr.explain():
        parts = tr.unstack(tr.ones((n, 2), requires_grad=True))
        return tr.tape(parts[0] + parts[-1] + parts[-1])


class Deep(tr.nn.Module):
    def __init__(self, depth):
        self.inner = Deep(depth - 1) if depth else None

    def forward(self, x):
        return tr.tanh(self.inner(x) if self.inner else x)


def many_layers(n):
    x = tr.ones(2, requires_grad=True)
    with tr.explain():
        y = x
        for _ in range(n // 20):
            y = Deep(19)(y)
        return tr.tape(y.sum())


def run_source(path, text):
    path.write_text(text)
    scope = {"tr": tr, "x": tr.ones(2, requires_grad=True)}
    with tr.explain():
        exec(compile(text, str(path), "exec"), scope)
        return tr.tape(scope["y"].sum())


def long_names(folder):
    name = "x" * 50_000
    return run_source(folder / "names.py", f"{name} = x * 1.0\ny = {name}\n" + f"y = y * {name}\n" * 40)


def long_lines(folder):
    return run_source(folder / "lines.py", f"text = '{'a' * 1_000_000}'\n" * 3 + "y = x * 2.0\n")


def long_sources(folder):
    return run_source(folder / "long.py", "# A comment that is long enough to matter here.\n" * 1900 + "y = x * 2.0\n")


def many_sources(folder):
    return run_source(
        folder / "all.py",
        "import pathlib\ny = x\nfor i in range(200):\n    scope = {}\n"
        f"    path = f'{folder}/{{i}}.py'\n"
        "    text = 'def f(x):\\n    return x * 1.0\\n' + '# A comment that is long enough to matter here.\\n' * 300\n"
        "    pathlib.Path(path).write_text(text)\n"
        "    exec(compile(text, path, 'exec'), scope)\n    y = scope['f'](y)\n",
    )


LARGE = {
    "numbers": lambda folder: numbers(600),
    "leaves": lambda folder: many_leaves(600),
    "leaves of one op": lambda folder: one_op_of_many_leaves(2000),
    "results": lambda folder: many_results(3000),
    "layers": lambda folder: many_layers(600),
    "long names": long_names,
    "long lines": long_lines,
    "long sources": long_sources,
    "many sources": many_sources,
}


def scene_in(text):
    found = re.search(r'<script type="application/json" id="scene">(.*?)</script>', text, re.DOTALL)
    return json.loads(found[1])["scene"]


@pytest.mark.parametrize("name", LARGE)
def test_no_tape_passes_the_limit_of_a_page(name, tmp_path, monkeypatch):
    tape = LARGE[name](tmp_path)
    limit = 300_000 + sum(map(len, assets("page").values()))
    monkeypatch.setattr("tinyreg.explore.page.MOST_BYTES", limit)
    text = page(tape)
    assert len(text.encode()) <= limit
    shown = scene_in(text)
    assert shown["totals"]["entries"] == len(tape)
    assert len(shown["entries"]) == len(tape) - shown["first"]
    if name in ("numbers", "leaves", "layers"):
        assert len(text.encode()) > 200_000
        assert 0 < shown["first"] < len(tape)
    if "names" in name or "lines" in name or "sources" in name:
        assert shown["first"] == 0
        assert "y = x * 2.0" in text or name in ("long names", "many sources")


def test_6500_numbers_stay_under_5_mb():
    text = page(numbers(3250))
    assert 4_000_000 < len(text.encode()) < 5_000_000
    assert len(scene_in(text)["entries"]) > 4000


@pytest.mark.parametrize("last", [1, 7, 20])
def test_the_last_entries_are_those_of_the_whole_and_what_is_before_them_stands_among_the_leaves(last):
    tape = many_layers(40)
    whole, part = scene(tape), scene(tape, last=last)
    first = part["first"]
    assert first == len(tape) - last
    assert [leaf["label"] for leaf in part["leaves"]] == [f"#{first - 1}"]
    before = whole["entries"][first - 1]["results"][0]
    assert (part["leaves"][0]["value"], part["leaves"][0]["gradient"]) == (before["value"], before["gradient"])
    for shown, entry in zip(part["entries"], whole["entries"][first:], strict=True):
        assert shown["number"] + first == entry["number"]
        assert [shown[key] for key in ("call", "results", "doc", "vjp")] == [
            entry[key] for key in ("call", "results", "doc", "vjp")
        ]
        assert [key["label"] for key in shown["inputs"]] == [key["label"] for key in entry["inputs"]]
        if shown["group"] is not None:
            group = part["groups"][shown["group"]]
            assert group["first"] <= shown["number"] <= group["last"]
            assert group["label"] == whole["groups"][entry["group"]]["label"]
    for shown, step in zip(part["backward"], whole["backward"], strict=False):
        assert shown["entry"] + first == step["entry"]
        assert [c["sum"] for c in shown["contributions"]] == [c["sum"] for c in step["contributions"]]
    assert len(part["backward"]) == last
    assert part["backward"][-1]["contributions"][0]["to"] == {"leaf": 0}

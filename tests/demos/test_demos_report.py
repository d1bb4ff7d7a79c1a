"""The page of all that the demos found: whole, escaped, self-contained, and readable on a phone and in the dark."""

import base64
import platform
import re
import sys
import types
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
import sklearn
from page_browser import Page

import tinyreg as tr
from demos import picture
from demos.base import Demo, Result
from demos.report import duration, graphics, html, write

FACTS = ("date", "processor", "system")
VOID = {"meta", "link", "img"}
HOSTILE = """<b onclick="x('y')">&amp; "both" 'quotes'</b><!--"""


class Reader(HTMLParser):
    """What a browser makes of a page: elements with their attributes, and text; it must be well-formed."""

    def __init__(self, page):
        super().__init__()
        self.open, self.elements, self.text = [], [], ""
        self.feed(page.read_text(encoding="utf-8"))
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        self.open += [tag] * (tag not in VOID)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data * (self.open[-1:] != ["style"])

    def values(self, tag, attribute):
        return [attributes[attribute] for each, attributes in self.elements if each == tag and attribute in attributes]


def found(tmp_path, name, complete=True, seeds=5, **texts):
    """A demo, what it found, and the time it took, with these texts in place of ordinary ones."""
    texts = {"section": "6.2", "question": f"Does {name} help?", "note": "A note.", "finding": f"Yes, {name} does."} | texts
    figure, axes = picture.new(name, 2)
    picture.curve(axes[0], range(3), [[1.0, 0.5, 0.2]], name, picture.LOOKS[0])
    path = picture.save(figure, tmp_path / f"{name}.png", "")
    cell = texts.pop("cell", "0.123 ± 0.045")
    head, row = texts.pop("head", "with dropout"), texts.pop("row", "validation loss (nats)")
    table = [["after 300 epochs", *[head] * 4], [row, *[cell] * 4]]
    note, finding = texts.pop("note"), texts.pop("finding")
    demo = Demo(name, **texts, seconds=1, seeds=5, steps=lambda fast: 1, measure=None, report=None)
    return demo, Result(table, note, finding, path, complete, seeds), 21.4


@pytest.fixture
def page(tmp_path):
    """A page of three demos."""
    return write(tmp_path / "a" / "b", [found(tmp_path, name) for name in ("dropout", "mixup", "text")], "numpy", False)


# ---- what it says


def test_it_has_every_question_finding_table_note_and_picture(page, tmp_path):
    assert page == tmp_path / "a" / "b" / "index.html"
    read = Reader(page)
    for name in ("dropout", "mixup", "text"):
        assert read.text.count(f"Does {name} help?") == 2  # in the contents, and as a title
        assert read.text.count(f"Yes, {name} does.") == 2
        assert f"python -m demos {name} --backend numpy --seeds 5 · over 5 seeds · 21 s" in read.text
    assert read.text.count("A note.") == 3
    assert read.text.count("0.123 ± 0.045") == 12
    assert "1 min 4 s" in read.text
    pictures = [base64.b64decode(source.removeprefix("data:image/png;base64,")) for source in read.values("img", "src")]
    assert pictures == [(tmp_path / f"{name}.png").read_bytes() for name in ("dropout", "mixup", "text")]


def test_numbers_method_and_code_are_folded_and_verdicts_are_not(tmp_path):
    demo, result, seconds = found(tmp_path, "dropout")
    shown = replace(result, verdicts=[["", "verdict"], ["It helps.", "confirmed"]])
    page = write(tmp_path, [(replace(demo, measure=Demo.run), shown, seconds)], "numpy", False).read_text(encoding="utf-8")
    folded = re.findall(r"<details>.*?</details>", page, re.S)
    assert [re.search("<summary>(.*)</summary>", one)[1] for one in folded] == [
        "All numbers",
        "How it was measured",
        "Code: <code>demos/base.py</code>",
    ]
    assert all(text in fold for text, fold in zip(("0.123", "A note.", "def run(self, settings"), folded, strict=True))
    assert page.index("confirmed") < page.index("<details>")


def test_the_contents_lead_to_the_articles(page):
    read = Reader(page)
    assert (
        read.values("a", "href") == [f"#{name}" for name in read.values("article", "id")] == ["#dropout", "#mixup", "#text"]
    )
    assert set(read.values("article", "aria-labelledby")) <= set(read.values("h2", "id"))


def test_it_says_on_what_it_was_made(page):
    text = Reader(page).text
    for name, value in (
        ("Python", platform.python_version()),
        ("tinyreg", tr.__version__),
        ("NumPy", np.__version__),
        ("scikit-learn", sklearn.__version__),
        ("backend", "numpy"),
    ):
        assert f"{name}{value}" in text
    assert re.search(r"\d{4}-\d\d-\d\d \d\d:\d\d UTC", text)
    assert re.search(r"processor\w.*\s+system\w+ .*\d cores", text)


def test_a_run_on_a_gpu_names_it(monkeypatch):
    properties = {"name": b"A GPU"}
    runtime = types.SimpleNamespace(getDeviceProperties=lambda device: properties)
    cuda = types.SimpleNamespace(runtime=runtime, Device=lambda: types.SimpleNamespace(id=0))
    monkeypatch.setitem(sys.modules, "cupy", types.SimpleNamespace(cuda=cuda, __version__="14.2.0"))
    assert graphics() == {"GPU": "A GPU", "CuPy": "14.2.0"}


def test_a_fast_run_says_at_the_top_that_it_shows_nothing(page, tmp_path):
    warning = "it shows that the demos run, and nothing else"
    assert warning not in Reader(page).text
    fast = Reader(write(tmp_path, [found(tmp_path, "dropout", seeds=2)], "numpy", True)).text
    assert fast.index(warning) < fast.index("Does dropout help?")
    assert "python -m demos dropout --backend numpy --seeds 2 --fast" in fast
    assert "1 question," in fast


def test_an_interrupted_demo_says_so_in_both_places(page, tmp_path):
    assert "Interrupted" not in Reader(page).text
    cut = Reader(write(tmp_path, [found(tmp_path, "dropout", complete=False, seeds=1)], "numpy", False)).text
    assert cut.count("Interrupted: found over a single seed, which says little.") == 2


@pytest.mark.parametrize(("seconds", "text"), [(0.4, "0 s"), (59.4, "59 s"), (59.6, "1 min 0 s"), (725, "12 min 5 s")])
def test_durations(seconds, text):
    assert duration(seconds) == text


def test_it_replaces_the_one_before(page, tmp_path):
    assert write(page.parent, [found(tmp_path, "layer_norm")], "numpy", False) == page
    assert Reader(page).values("article", "id") == ["layer_norm"]


# ---- that it is safe and whole


def test_every_text_is_escaped(tmp_path):
    def read(about, **texts):
        page = tmp_path / "page.html"
        page.write_text(
            html([found(tmp_path, "dropout", **texts)], dict.fromkeys(FACTS, about) | {"backend": "numpy"}, False),
            encoding="utf-8",
        )
        return Reader(page)

    harmless = read("text")
    hostile = read(HOSTILE, **dict.fromkeys(("section", "question", "note", "finding", "head", "row", "cell"), HOSTILE))
    assert [tag for tag, _ in hostile.elements] == [tag for tag, _ in harmless.elements]
    # section, note, row; question and finding twice; four heads and cells; facts, of which two are at the top too
    assert hostile.text.count(HOSTILE) == 3 + 2 * 2 + 2 * 4 + len(FACTS) + 2


def test_every_name_is_escaped(tmp_path):
    def read(name):
        demo, *rest = found(tmp_path, "dropout")
        page = tmp_path / "page.html"
        facts = {**dict.fromkeys(FACTS, "text"), name: "text", "backend": name}
        page.write_text(html([(replace(demo, name=name), *rest)], facts, False), encoding="utf-8")
        return Reader(page)

    harmless, hostile = read("text"), read(HOSTILE)
    assert [(tag, *attributes) for tag, attributes in hostile.elements] == [
        (tag, *attributes) for tag, attributes in harmless.elements
    ]
    assert hostile.values("article", "id") == [HOSTILE]
    assert f"#{HOSTILE}" in hostile.values("a", "href")
    assert f"python -m demos {HOSTILE} --backend {HOSTILE} --seeds" in hostile.text


def test_it_needs_nothing_from_elsewhere_and_runs_nothing(page):
    read = Reader(page)
    tags = {tag for tag, _ in read.elements}
    assert not tags & {"script", "iframe", "object", "embed", "form"}
    targets = [value for _, attributes in read.elements for name, value in attributes.items() if name in ("src", "href")]
    assert all(target.startswith(("data:", "#")) for target in targets)
    assert not re.search(r"https?://|url\(|@import", page.read_text(encoding="utf-8"))
    assert "default-src 'none'" in read.values("meta", "content")[0]


# ---- in a browser


@pytest.fixture(scope="module")
def browser():
    page = Page()
    yield page
    page.driver.quit()


def opened(browser, page, width):
    size = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    browser.driver.get(page.as_uri())


@pytest.mark.parametrize("width", [360, 1200])
def test_nothing_is_wider_than_the_screen_but_what_scrolls_by_itself(browser, page, width):
    opened(browser, page, width)
    assert browser.run("return document.documentElement.scrollWidth") <= width
    assert browser.run("return document.querySelector('img').complete && document.querySelector('img').naturalWidth") > 1000
    for each in ("figure", ".table"):
        wide = browser.run("const e = document.querySelector(arguments[0]); return e.scrollWidth > e.clientWidth", each)
        assert wide == (width == 360)


def test_it_is_dark_where_the_reader_wants_it_dark(browser, page):
    def brightness(name):
        return sum(map(int, re.findall(r"\d+", browser.style("body", name))[:3])) / 3

    opened(browser, page, 1200)
    for scheme, dark in (("light", False), ("dark", True)):
        browser.emulate(prefers_color_scheme=scheme)
        assert (brightness("backgroundColor") < 60) == dark
        assert abs(brightness("backgroundColor") - brightness("color")) > 150


def test_the_browser_asks_for_nothing_and_complains_of_nothing(browser, page):
    for log in ("performance", "browser"):
        browser.log(log)
    opened(browser, page, 1200)
    asked = [entry["message"] for entry in browser.log("performance") if "Network.requestWillBeSent" in entry["message"]]
    assert {event.split('"url":"')[1].partition(":")[0] for event in asked} <= {"file", "data"}
    assert browser.log("browser") == []
    assert browser.run("return fetch('https://example.org').then(() => 'sent', () => 'blocked')") == "blocked"

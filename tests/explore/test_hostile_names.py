"""Names, sources and messages that would be markup, escapes or lines of their own are shown as text, and nothing else."""

import contextlib
import html
import json
import linecache
import re
import warnings
from html.parser import HTMLParser

import pytest
from dot_reader import Graph

import tinyreg as tr
from tinyreg.explore.page import fragment, page
from tinyreg.messages import printable

NAMES = {
    "the end of a script": "</script><script>alert(1)</script>",
    "the end of a title": "</title><b>",
    "a comment": "<!--<script>",
    "an image": "<img src=x onerror=alert(1)>",
    "quotes": '"\'`><x y="',
    "entities": "&lt;&#60;&amp",
    "backslashes": '\\" \\N\\G\\l \\',
    "a mark of the page's own": "@@script@@ @@scene@@",
    "lines": "one\ntwo\r\nthree\x0b\x0c\x85",
    "separators": "one\u2028two\u2029",
    "escapes of a terminal": "\x1b[31m\x1b]0;title\x07\x9b31m\x08\x7f",
    "marks of direction": "\u202egpj.\u2066x\u200f\u200b\ufeff",
    "a NUL": "a\0b",
    "half a pair": "a\ud800b\udcff",
    "much": "long " * 10_000,
    "nothing": "",
    "another alphabet": "слой 层 é 🙂",
}
PLAIN = "name"


def recorded(name):
    """A tape with that name wherever a user gives one: leaf, layer, class, op, setting, file, line, and error."""

    @tr.primitive(name=name)
    def hostile(xp, x, *, mode="none"):
        return 2 * x

    hostile.__doc__ = f"{name}."
    tr.core.primitive.REGISTRY.pop("hostile", None)

    @hostile.vjp("x")
    def _(g, x, mode):
        raise ValueError(name)

    class Layer(tr.nn.Module):
        def __init__(self):
            setattr(self, name, tr.nn.Linear(2, 2, rng=0))

        def forward(self, x):
            return vars(self)[name](x)

    with contextlib.suppress(ValueError):  # which no class may be called
        Layer.__name__ = name
    path, code = f"{name}.py", "\ny = op(layer(x) * w, mode=mode).sum()"
    lines = [f"# {name}\n", f"y = op(layer(x) * w, mode=mode).sum()  # {name}\n"]
    linecache.cache[path] = (1, None, lines, path)
    scope = {"op": hostile, "layer": Layer(), "x": tr.ones((3, 2)), "w": tr.ones(2, requires_grad=True), "mode": name}
    with tr.explain():
        exec(compile(code, "<string>", "exec").replace(co_filename=path), scope)
        return tr.tape(scope["y"], **{name: scope["w"]})


@pytest.fixture(scope="module")
def plain():
    return recorded(PLAIN)


@pytest.fixture(scope="module", params=NAMES)
def tape(request):
    return NAMES[request.param], recorded(NAMES[request.param] or "_")


class Elements(HTMLParser):
    """The elements of a page with their attributes' names, and what stands in its scripts."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.scripts = [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, [name for name, _ in attributes]))

    def handle_endtag(self, tag):
        self.elements.append((f"/{tag}", []))

    def handle_comment(self, data):
        self.elements.append(("!", []))

    def handle_data(self, data):
        if self.elements[-1:] and self.elements[-1][0] == "script":
            self.scripts.append(data)


def texts(value):
    """All strings in a JSON value."""
    if isinstance(value, dict):
        return [text for key, each in value.items() for text in [key, *texts(each)]]
    return [text for each in value for text in texts(each)] if isinstance(value, list) else [value] * isinstance(value, str)


def assert_one_line_each(lines):
    assert [line for line in lines if not line.isprintable()] == []


def test_the_text_has_a_line_for_each_entry_and_no_control_characters(tape, plain):
    _, hostile = tape
    lines = hostile.text().split("\n")
    assert_one_line_each(lines)
    assert len([line for line in lines if line.startswith("#")]) == len(hostile)
    assert max(map(len, lines)) < 1000
    assert len(lines) < len(plain.text().split("\n")) + 8


def test_the_source_for_graphviz_has_the_nodes_and_edges_of_any_other(tape, plain):
    _, hostile = tape
    source = hostile.to_dot()
    assert_one_line_each(source.split("\n"))
    found, expected = Graph(source), Graph(plain.to_dot())
    assert found.nodes.keys() == expected.nodes.keys()
    assert [edge[:2] for edge in found.edges] == [edge[:2] for edge in expected.edges]
    assert found.clusters.keys() == expected.clusters.keys()
    assert max(map(len, source.split("\n"))) < 2000


def test_the_page_has_the_elements_of_any_other_and_its_data_are_json(tape, plain, tmp_path):
    name, hostile = tape
    text = page(hostile)
    found, expected = Elements(text), Elements(page(plain))
    assert found.elements == expected.elements
    assert found.scripts[1:] == expected.scripts[1:]  # what runs
    known = texts(json.loads(found.scripts[0]))
    assert not [text for text in known if not text.replace("\n", "").replace("\t", "").isprintable()]
    assert any(printable(name)[:200] in text for text in known)
    assert hostile.save_html(tmp_path / "tape.html").read_text(encoding="utf-8") == text


def test_the_fragment_for_a_notebook_has_the_elements_of_any_other(tape, plain):
    _, hostile = tape
    found, expected = Elements(fragment(hostile)), Elements(fragment(plain))
    assert found.elements == expected.elements
    frames = [html.unescape(re.search('srcdoc="([^"]*)"', fragment(each))[1]) for each in (hostile, plain)]
    assert Elements(frames[0]).elements == Elements(frames[1]).elements


def test_what_explain_says_is_without_control_characters(tape):
    name, _ = tape
    path = f"{name or '_'}.py"
    linecache.cache[path] = (1, None, [f"x  # {name}\n"], path)
    x = tr.tensor([0.0, 1.0], requires_grad=True)
    code = compile("tr.log(x)", "<string>", "exec").replace(co_filename=path)
    with warnings.catch_warnings(), tr.explain():
        warnings.simplefilter("ignore", RuntimeWarning)
        with pytest.raises(tr.explore.NonFiniteError) as caught:
            exec(code, {"tr": tr, "x": x})
    assert_one_line_each(str(caught.value).split("\n"))
    assert len(str(caught.value)) < 3000

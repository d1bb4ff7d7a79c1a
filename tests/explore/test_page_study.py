"""What the page has to study: the other form, nudges, words and a tour, the graph, and the program."""

from xml.etree import ElementTree

import numpy as np
import pytest
from page_tapes import B, W, X, fast, layered, long, small
from selenium.webdriver.common.keys import Keys

pytest_plugins = ["page_fixtures"]


# ---- the other form


def test_definitions_and_fast_forms_are_switched_and_the_reader_stays_where_he_was(page, files):
    page.open(files(fast))
    page.press("n", "n")
    assert page.sentence.startswith("#2: linear(#1, 2.weight, 2.bias)")
    page.click("#forms")
    page.wait(lambda: page.text("#forms") == "Fast forms")
    assert page.sentence.startswith("#4: permute_dims(2.weight, axes=(1, 0))")
    assert page.texts("#window .group .call")[:3] == ["model (Sequential)", "0 (Linear)", "linear, by its definition"]
    page.press("n", "b")
    page.click("#forms")
    page.wait(lambda: page.text("#forms") == "Definitions")
    assert page.sentence.startswith("The backward begins at #4, mean")
    page.driver.refresh()
    assert page.sentence.startswith("The backward begins at #4, mean")
    page.open(files(small))
    assert not page.find("#forms").is_displayed()
    page.open(files(fast))
    assert page.step == 0  # opened anew


def test_a_leaf_says_what_its_nudges_do(net):
    net.click("#row-l1")
    assert net.texts("#entry .nudges th") == ["nudge", "gradient times nudge", "the loss changes by"]

    def shown():
        return np.reshape([float(text) for text in net.texts("#entry .nudges td")], (-1, 3))

    def loss(b):
        return np.mean((X @ W + b) ** 2)

    for i, place in enumerate(["[0]", "[1]"]):
        net.run(
            "const s=document.querySelector('.nudged select'); s.value=arguments[0]; s.dispatchEvent(new Event('change'))",
            i,
        )
        assert net.texts("#entry .nudged option")[i] == place
        gradient = (X @ W + B).sum(0)[i] / 4
        for by, predicted, real in shown():
            assert predicted == pytest.approx(gradient * by, rel=2e-3)
            assert real == pytest.approx(loss(B + by * (np.arange(2) == i)) - loss(B), rel=5e-3, abs=1e-6)


# ---- words


def test_words_are_explained(net):
    net.click("#words")
    assert net.find("#glossary").is_displayed()
    words = net.texts("#glossary dt")
    assert {"VJP", "leaf", "saved for backward", "contribution", "incoming gradient g", "local derivative"} < set(words)
    assert len(words) == len(net.texts("#glossary dd"))
    net.press(Keys.ESCAPE)
    net.press("n")
    assert net.step == 1


def test_the_first_page_that_is_opened_shows_five_things_and_the_next_does_not(page, files):
    page.open(files(small))
    page.run("localStorage.clear()")
    page.driver.get(files(small).as_uri())
    assert page.find("#tour").is_displayed()
    toured, texts = [], []
    for i in range(5):
        assert page.text("#tour-at") == f"{i + 1} of 5"
        toured.append(page.run("return document.querySelector('.toured').id"))
        texts.append(page.text("#tour-text"))
        page.click("#tour-next")
    assert toured == ["rows", "time", "source", "entry", "rows"]
    assert len(set(texts)) == 5
    assert not page.find("#tour").is_displayed()
    assert page.sentence.startswith("#3, mean: the VJP for x")  # it ends in the backward
    page.driver.get(files(small).as_uri())
    assert not page.find("#tour").is_displayed()
    page.click("#help")
    page.click("#begin-tour")
    assert page.find("#tour").is_displayed()
    page.click("#tour-end")
    assert not page.find("#tour").is_displayed()


# ---- the graph, and the program


def test_the_graph_has_a_node_for_each_entry_and_leaf_with_value_and_gradient(net, tmp_path):
    net.press("n")
    net.click("#graph")
    texts = {
        title: [value, gradient]
        for title, value, gradient in net.run(
            "const texts = (g) => [...g.querySelectorAll('text')].map((t) => t.textContent);"
            "return [...document.querySelectorAll('#picture g')].map(texts)"
        )
    }
    assert list(texts) == ["w", "b", "#0 matmul", "#1 add", "#2 multiply", "#3 mean"]
    assert texts["#3 mean"] == [f"value {np.mean((X @ W + B) ** 2):.4g}", "grad 1"]
    assert texts["b"][0] == f"value [{B[0]:.3g}, {B[1]:.3g}]"
    assert texts["w"][1].startswith("grad (3, 2) mean ")
    assert len(net.all("#picture path")) == 5
    boxes = net.run(
        "const box = (r) => ['x', 'y', 'width', 'height'].map((name) => Number(r.getAttribute(name)));"
        "return [...document.querySelectorAll('#picture g > rect')].map(box)"
    )
    for i, (x, y, width, height) in enumerate(boxes):
        for u, v, *_ in boxes[i + 1 :]:
            assert abs(x - u) >= width or abs(y - v) >= height, "nodes lie over another"
    saved = net.run(
        "const made = []; URL.createObjectURL = (blob) => (made.push(blob), 'data:,'); URL.revokeObjectURL = () => {};"
        "document.getElementById('save-graph').click(); return made[0].text()"
    )
    svg = ElementTree.fromstring(saved)
    assert svg.tag == "{http://www.w3.org/2000/svg}svg"
    assert "var(" not in saved
    assert next(svg.iter("{http://www.w3.org/2000/svg}text")).text == "w"
    net.run("document.querySelector('#picture [data-key=e2]').dispatchEvent(new Event('click', { bubbles: true }))")
    assert net.row == "e2"
    assert not net.find("#graph-dialog").is_displayed()


def test_of_the_graph_closed_layers_are_one_node_and_of_too_many_it_says_so(page, files):
    page.open(files(layered))
    page.click("#layers")
    page.click("#graph")
    titles = page.texts("#picture title")
    assert titles == ["0.weight", "0.bias", "2.weight", "2.bias", "model (Sequential)", "#7 multiply", "#8 mean"]
    page.press(Keys.ESCAPE)
    page.open(files(long))
    page.click("#graph")
    assert page.texts("#picture title") == ["x", "#0 tanh", "#1 add", "rounds 2 to 1000, like round 1", "#2000 sum"]
    page.press(Keys.ESCAPE)
    page.click("#layers")
    page.click("#layers")
    page.click("#graph")
    assert page.text("#picture").startswith("More than 400 nodes")
    page.press(Keys.ESCAPE)


def test_forward_and_backward_are_a_program_whose_lines_go_to_their_steps(net):
    net.run("const s = document.getElementById('file'); s.value = 1; s.dispatchEvent(new Event('change'))")
    assert [line.removesuffix("\n") for line in net.texts("#lines code")] == [
        "v0 = matmul(const, w)",
        "v1 = add(v0, b)",
        "v2 = multiply(v1, v1)",
        "v3 = mean(v2)",
        "",
        "∂v3 = 1  # or the gradient that was given",
        "∂v2 = ∂v3 / n",
        "∂v1 = ∂v2 · v1",
        "∂v1 += ∂v2 · v1",
        "∂v0 = ∂v1",
        "∂b = ∂v1  # summed over axis 0: (4, 2) → (2,)",
        "∂w = constᵀ ∂v0",
    ]
    assert net.text("#lines .lit code") == "v0 = matmul(const, w)"
    net.press("b")
    net.until("#1, add: the VJP for x2")
    assert net.text("#lines .lit code").startswith("∂b = ∂v1")
    net.press("n")  # the sum over an axis is of the same line
    assert net.text("#lines .lit code").startswith("∂b = ∂v1")
    net.run("document.querySelector('#lines [data-line=\"8\"]').click()")
    assert net.sentence.startswith("#2, multiply: the VJP for x1 gives #1 the first of 2")
    net.run("const s = document.getElementById('file'); s.value = 0; s.dispatchEvent(new Event('change'))")
    net.press("n")
    assert net.text("#lines .lit code").strip() == "loss = (h * h).mean()"

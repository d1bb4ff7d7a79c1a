"""The page in a real browser: every button and key, names, contrast and motion, and a file that needs nothing else."""

import re
from xml.etree import ElementTree

import numpy as np
import pytest
from page_tapes import B, W, X, fast, layered, long, small
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.keys import Keys

import tinyreg as tr

pytest_plugins = ["page_fixtures"]


# ---- time


BUTTONS = [
    (["#to-loss"], 3),
    (["#to-backward"], 4),
    (["#to-backward", "#next"], 5),
    (["#to-backward", "#back"], 3),
    (["#to-end", "#to-start"], 0),
    (["#back"], 0),
]


@pytest.mark.parametrize(("buttons", "step"), BUTTONS)
def test_buttons_move_in_time(net, buttons, step):
    for button in buttons:
        net.click(button)
    assert net.step == step
    assert net.text("#count").startswith(f"{step + 1} / ")


@pytest.mark.parametrize(
    ("keys", "step"),
    [
        ([Keys.RIGHT], 1), (["l"], 1), (["n"], 1), (["n", Keys.LEFT], 0), (["n", "n", "h"], 1), (["n", "n", "p"], 1),
        (["b"], 4), ([Keys.END, Keys.HOME], 0), (["b", Keys.LEFT], 3), ([Keys.DOWN], 1), ([Keys.DOWN, Keys.UP], 0),
    ],
)  # fmt: skip
def test_keys_move_in_time(net, keys, step):
    net.press(*keys)
    assert net.step == step


def test_the_end_is_the_end(net):
    net.press(Keys.END)
    last = net.step
    assert net.sentence == "#0, matmul: the VJP for x2 gives w its gradient, float32 (3, 2)."
    assert net.find("#next").get_attribute("aria-disabled") == "true"
    net.press("n")
    net.click("#next")
    assert net.step == last
    assert {ring.get_attribute("aria-label") for ring in net.all("#window .ring")} == {"gradient complete"}


def test_the_slider_moves_in_time_and_says_where(net):
    net.run("const s = document.getElementById('slider'); s.value = 4; s.dispatchEvent(new Event('input'))")
    assert net.find("#slider").get_attribute("aria-valuetext") == net.sentence
    assert net.sentence == "The backward begins at #3, mean, with a gradient g of 1, or the one that was given."
    net.run("document.getElementById('slider').focus()")
    net.press(Keys.RIGHT)
    assert net.step == 5


def test_rows_go_up_and_down_in_the_phase_of_now(net):
    net.press("b", Keys.UP)
    assert net.row == "e2"
    assert net.sentence.startswith("#2, multiply: the VJP for x1 gives #1 the first of 2 contributions")
    net.click("#row-e0")
    assert net.sentence.startswith("#0, matmul: the VJP for x2 gives w its gradient")


def test_play_plays_to_the_end_and_pause_pauses(net):
    net.press(" ")  # slowly enough that it is paused before the end
    assert net.find("#play").accessible_name == "Pause"
    net.press(" ")
    stopped = net.step
    assert net.find("#play").accessible_name == "Play"
    net.click("#play")
    net.wait(lambda: net.step > stopped)
    net.click("#play")
    assert net.find("#play").accessible_name == "Play"
    net.press(Keys.END)
    net.click("#play")  # from the end it begins again
    assert net.step < 5
    net.run("const speed = document.getElementById('speed'); speed.value = '10'; speed.dispatchEvent(new Event('change'))")
    net.wait(lambda: net.find("#play").accessible_name == "Play")
    assert net.step > 5


def test_what_the_step_does_is_said_in_a_live_region(net):
    region = net.find("#sentence")
    assert region.get_attribute("aria-live") == "polite"
    assert region.text == "#0: matmul(const, w) gives float32 (4, 2), and saves x1 for backward."


# ---- rows and arcs


def test_rows_tell_call_shape_and_bytes(net):
    cells = net.run("return [...document.querySelector('#row-e0').children].map((cell) => cell.textContent)")
    assert cells == ["#0", "matmul(const, w)", "(4, 2) float32", "48 B", ""]
    leaves = net.texts("#window .leaf .call")
    assert leaves == ["w", "b"]
    assert net.find("#row-l0").get_attribute("aria-level") == "2"
    assert net.find("#rows").get_attribute("aria-rowcount") == "8"


def test_arcs_go_from_the_inputs_and_back_to_where_the_contribution_goes(net):
    assert len(net.all("#arcs .lit.forward:not(.tip)")) == 1  # from w; x is a constant
    net.press("n")
    assert len(net.all("#arcs .lit.forward:not(.tip)")) == 2
    net.press("b", "n")
    assert len(net.all("#arcs .lit.backward.tip")) == 1


def test_a_leaf_is_chosen_without_moving_in_time(net):
    net.press("b")
    net.click("#row-l1")
    assert net.step == 4
    assert net.text("#entry h2") == "b"
    assert net.text("#entry dd") == "#1"
    net.click("#entry [data-go=e1]")
    assert (net.row, net.focus) == ("e1", "entry")


# ---- the source


def test_the_line_that_made_the_entry_is_lit_and_a_click_goes_to_its_first_entry(net):
    assert net.text("#source-title").endswith("page_tapes.py")
    assert net.text("#lines .lit code").strip() == "h = tr.tensor(X) @ w + b"
    assert 0 < net.find("#lines .lit").rect["y"] < 880  # it was scrolled into sight
    made = [line for line in net.all("#lines .made") if "loss = (h * h).mean()" in line.text]
    made[0].click()
    assert net.row == "e2"
    assert net.find("#lines .lit small").text == "2"  # entries on this line
    assert net.text("#lines .lit code").strip() == "loss = (h * h).mean()"
    net.run("document.querySelector('#lines [data-line=\"1\"]').click()")
    assert net.row == "e2"  # the first line made nothing


def test_source_lines_are_chosen_by_keys(net):
    net.run("document.getElementById('lines').focus()")
    net.press(Keys.DOWN, Keys.ENTER)
    assert net.row == "e2"
    net.press(Keys.UP, Keys.ENTER)
    assert net.row == "e0"


def test_the_vjp_that_serves_the_step_is_marked(net):
    net.press("b")
    net.until("#0, matmul: the VJP for x2")
    assert net.text("#entry .vjp .formula") == "∂L/∂x2 = x1ᵀ g"
    assert '@matmul.vjp("x2")' in net.text("#entry pre")  # first
    assert '@matmul.vjp("x2")' in net.text("#entry pre.serving")
    assert net.all("#entry pre .keyword")


# ---- layers and search


def test_layers_close_and_open_and_a_closed_layer_is_one_step(page, files):
    page.open(files(layered))
    assert page.texts("#window .group .call") == ["model (Sequential)", "0 (Linear)", "1 (Tanh)", "2 (Linear)"]
    page.click("#row-g1")
    assert page.find("#row-g1").get_attribute("aria-expanded") == "false"
    assert not page.all("#row-e0")
    assert page.text("#entry h2") == "0 (Linear)"
    page.press(Keys.HOME, "n")
    assert page.step == 2  # at the last of the layer's entries
    page.press("n")
    assert page.step == 3
    page.press("p", Keys.ENTER)  # inside it: opens the layer
    assert page.find("#row-g1").get_attribute("aria-expanded") == "true"
    page.press(Keys.ENTER)
    assert page.find("#row-g1").get_attribute("aria-expanded") == "false"
    page.click("#layers")
    page.click("#layers")
    assert page.text("#layers") == "Close layers"
    page.click("#row-leaves")
    assert not page.all("#window .leaf")


def test_the_time_steps_of_a_loop_are_folded_and_the_others_are_one_step(page, tmp_path):
    tr.seed(0)
    cell = tr.nn.Linear(4, 4)
    with tr.explain():
        h = tr.ones((1, 4))
        for _ in range(30):
            h = tr.tanh(cell(h)) * 0.5
        tr.tape(h.sum()).save_html(tmp_path / "loop.html")
    page.open(tmp_path / "loop.html")
    shown = page.texts("#window .group .call")
    assert shown == ["round 1 of 30", "cell (Linear)", "rounds 2 to 30, like round 1"]
    page.press("n", "n", "n")
    assert page.sentence.startswith("#89: multiply")  # the last of the other rounds
    page.press("n")
    assert page.sentence.startswith("#90: sum")
    page.press("p", Keys.ENTER)  # opens them
    assert {"round 2 of 30", "round 3 of 30"} < set(page.texts("#window .group .call"))


def test_search_finds_ops_names_layers_and_source(page, files):
    page.open(files(layered))
    page.press("/")
    assert page.focus == "query"
    for query, count in {"tanh": 1, "0.weight": 2, "(linear)": 6, "y = model": 7, "multiply y": 1, "nothing": 0}.items():
        page.find("#query").clear()
        page.find("#query").send_keys(query)
        assert int(re.findall(r"\d+", page.text("#hits"))[-1]) == count, query


def test_hits_are_gone_through_also_in_closed_layers(page, files):
    page.open(files(layered))
    page.click("#layers")
    page.press("/", "matmul", Keys.ENTER)
    assert page.text("#hits") == "1 of 2"
    first = page.row
    assert len(page.all("#window .hit")) >= 1
    page.click("#next-hit")
    assert page.text("#hits") == "2 of 2"
    page.click("#previous-hit")
    assert page.row == first
    page.run("document.getElementById('query').focus()")
    page.press(Keys.SHIFT + Keys.ENTER)
    assert page.text("#hits") == "2 of 2"
    page.press(Keys.ESCAPE)
    assert page.focus == "rows"


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


# ---- people


def test_every_control_has_a_name_and_tab_reaches_all_in_order(net):
    assert all(button.accessible_name for button in net.all("button, input, select") if button.is_displayed())
    net.press("/")
    reached = [net.focus]
    for _ in range(19):
        ActionChains(net.driver).send_keys(Keys.TAB).perform()
        reached.append(net.focus)
        style = net.run("return getComputedStyle(document.activeElement).outlineStyle")
        assert style != "none", f"the focus on {reached[-1]} is not seen"
    assert reached == [
        "query", "previous-hit", "next-hit", "theme", "graph", "words", "help", "back", "play", "next", "to-start",
        "to-loss", "to-backward", "to-end", "speed", "slider", "file", "lines", "rows", "entry",
    ]  # fmt: skip


def test_help_opens_by_key_and_by_button_and_closes(net):
    net.press("?")
    assert net.find("#keys").is_displayed()
    net.press("n")
    assert net.step == 0  # keys are the dialog's while it is open
    net.press(Keys.ESCAPE)
    assert not net.find("#keys").is_displayed()
    net.click("#help")
    net.click("#close-help")
    assert not net.find("#keys").is_displayed()


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


# ---- how it looks


def contrast(page, selector):
    """Of the text of an element with what is behind it, from 1 to 21 (WCAG 2.2)."""
    luminances = []
    for colour in (page.style(selector, "color"), page.style("main > section", "backgroundColor")):
        channels = np.array([float(part) for part in colour[4:-1].split(",")]) / 255
        linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
        luminances.append(linear @ [0.2126, 0.7152, 0.0722])
    return (max(luminances) + 0.05) / (min(luminances) + 0.05)


@pytest.mark.parametrize(("width", "height"), [(1400, 900), (1000, 700), (700, 450), (400, 800)])  # 700: 1400 at 200%
def test_calls_have_room_and_nothing_is_wider_than_the_window(page, files, width, height):
    size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
    page.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    try:
        page.open(files(fast))
        page.press("b", "n", "n", "n", "n")
        assert page.run("return document.documentElement.scrollWidth") <= width
        clipped = page.run(
            "return [...document.querySelectorAll('.row:not(.head) .call')]"
            ".filter((cell) => cell.scrollWidth > cell.clientWidth).map((cell) => cell.textContent)"
        )
        assert [call for call in clipped if len(call) < 24] == []
        for selector in ("#entry figcaption", "#entry .formula", "#entry h2", "#sentence", "#entry .call"):
            wide = page.run(
                "return [...document.querySelectorAll(arguments[0])]"
                ".filter((each) => each.scrollWidth > each.clientWidth + 1).map((each) => each.textContent)",
                selector,
            )
            assert wide == [], selector
    finally:
        page.driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_long_names_are_whole_where_they_are_chosen_and_in_a_title(page, tmp_path):
    name = "a_rather_long_name_of_a_parameter_that_somebody_gave_to_it"
    x = tr.tensor([1.0, 2.0], requires_grad=True)
    with tr.explain():
        tr.tape((x * 2.0).sum(), **{name: x}).save_html(tmp_path / "tape.html")
    page.open(tmp_path / "tape.html")
    assert page.find("#row-l0").get_attribute("title") == name
    page.click("#row-l0")
    assert page.text("#entry h2") == name
    assert page.run("const h = document.querySelector('#entry h2'); return h.scrollWidth <= h.clientWidth")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_light_and_dark_follow_the_system_and_the_button(page, files, scheme):
    page.emulate(prefers_color_scheme=scheme)
    page.open(files(small))
    background = page.style("body", "backgroundColor")
    dark = background == "rgb(20, 22, 26)"
    assert dark == (scheme == "dark")
    for selector in (
        "#row-e0 .call",
        "#row-e0 .saved",
        "#entry dt",
        "#entry .link",
        "#entry .keyword",
        "#entry figcaption",
    ):
        assert contrast(page, selector) >= 4.5, selector
    page.click("#theme")
    assert page.style("body", "backgroundColor") != background
    assert page.find("#theme").get_attribute("aria-pressed") == str(scheme == "light").lower()


def test_motion_is_left_out_where_it_is_not_wanted(page, files):
    page.emulate(prefers_reduced_motion="no-preference")
    page.open(files(small))
    assert page.style(".twisty", "transitionDuration") != "0s"
    page.emulate(prefers_reduced_motion="reduce")
    assert page.style(".twisty", "transitionDuration") == "0s"


# ---- the file


def test_nothing_is_asked_of_the_network(page, files):
    page.log("performance")
    page.open(files(layered))
    page.press("b", "n", "n")
    events = [entry["message"] for entry in page.log("performance")]
    assert sum('"Network.requestWillBeSent"' in event for event in events) <= 1
    assert not any("http" in event.split('"url":"')[1][:5] for event in events if "requestWillBeSent" in event)
    blocked = "return fetch('https://example.org').then(() => 'sent', () => 'blocked')"
    assert page.run(blocked) == "blocked"
    assert all("Content Security Policy" in entry["message"] for entry in page.log("browser"))


def test_a_tape_of_2000_entries_puts_few_rows_into_the_document(page, files):
    page.open(files(long))
    assert page.text("#totals").startswith("2,001 entries")
    assert page.texts("#window .group .call") == ["round 1 of 1000", "rounds 2 to 1000, like round 1"]
    assert len(page.all("#rows [role=row]")) == 1 + 2 + 2 + 2 + 1  # head, leaves, two groups, the first round, the sum
    page.click("#layers")
    page.click("#layers")  # all are open
    for key, last in ((Keys.HOME, "e0"), ("b", "e2000"), (Keys.END, "e0")):
        page.press(key)
        assert page.row == last
        assert len(page.all("#rows [role=row]")) < 200
        assert len(page.all("#arcs path")) < 400
    page.run("document.getElementById('rows').scrollTop = 30000")
    page.wait(lambda: page.all("#row-e766"))
    assert len(page.all("#rows [role=row]")) < 200
    assert page.find("#rows").get_attribute("aria-activedescendant") is None  # it is out of sight


def test_without_explain_the_page_says_how_to_get_values(page, tmp_path):
    x = tr.tensor([1.0, 2.0], requires_grad=True)
    tr.tape((x * x).sum(), x=x).save_html(tmp_path / "tape.html")
    page.open(tmp_path / "tape.html")
    assert "inside tr.explain()" in page.text(".note")
    page.press("n", "n", "b", Keys.END)
    assert page.step == 1
    assert not page.find("#to-backward").is_displayed()
    assert page.text("#entry h2") == "#1sum"


def test_a_tape_of_a_leaf_alone_is_shown(page, tmp_path):
    tr.tape(tr.tensor(1.0, requires_grad=True)).save_html(tmp_path / "tape.html")
    page.open(tmp_path / "tape.html")
    page.press("n", "b", Keys.END, Keys.DOWN, Keys.ENTER)
    assert page.sentence == "Nothing was recorded: the tensor is a leaf."


def test_whatever_stands_in_names_and_source_is_text(page, tmp_path):
    x = tr.tensor([1.0], requires_grad=True)
    with tr.explain():
        y = x * 2.0  # </script><script>document.title = "taken"</script> <!-- <script> @@style@@
        tape = tr.tape(y.sum(), **{"<img src=x onerror=\"document.title='taken'\">": x})
    tape.save_html(tmp_path / "tape.html")
    page.open(tmp_path / "tape.html")
    assert page.driver.title != "taken"
    assert page.text("#window .leaf .call").startswith("<img src=x")
    assert '</script><script>document.title = "taken"</script> <!-- <script> @@style@@' in page.text("#lines .lit code")


def test_the_fragment_of_a_notebook_runs_in_its_frame(page, tmp_path):
    path = tmp_path / "notebook.html"
    path.write_text(f"<!doctype html><link rel=icon href='data:,'>{small()._repr_html_()}", encoding="utf-8")
    page.driver.get(path.as_uri())
    assert page.texts("summary") == ["4 entries, 2 leaves, 80 bytes saved for backward"]
    page.driver.switch_to.frame(0)
    page.click("#to-backward")
    assert page.sentence.startswith("The backward begins at #3")
    page.driver.switch_to.default_content()


def test_a_page_of_the_last_entries_steps_through_them(page, tmp_path, monkeypatch):
    monkeypatch.setattr("tinyreg.explore.page.MOST_BYTES", 300_000)
    tape = long()
    tape.save_html(tmp_path / "cut.html")
    page.open(tmp_path / "cut.html")
    shown, first = re.search(r"2,001 entries · .* · the last (\d+) are shown", page.text("#totals"))[1], page.sentence
    before = f"#{2001 - int(shown) - 1}"
    assert first.startswith(f"#{2001 - int(shown)}: ")
    page.press("b")
    assert page.sentence.startswith("The backward begins at #2000, sum")
    page.press(Keys.END)
    assert f"gives {before} its gradient" in page.sentence or page.sentence.startswith("x has ")
    page.press(Keys.HOME, Keys.UP)
    assert page.text("#entry").startswith(f"{before}an entry before those on this page, float32 (40,)")
    assert {before, "x"} <= set(page.texts("#window .leaf b"))


def test_a_tape_that_is_too_large_for_a_page_says_so(page, tmp_path, monkeypatch):
    monkeypatch.setattr("tinyreg.explore.page.MOST_BYTES", 60_000)
    long().save_html(tmp_path / "none.html")
    page.open(tmp_path / "none.html")
    page.press("n", "b", Keys.END, Keys.DOWN)
    assert page.sentence == "The tape is too large to be shown here: print it."

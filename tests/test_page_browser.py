"""The page in a real browser: every button and key, and that the numbers shown are those that were computed."""

import re

import numpy as np
import pytest
from page_browser import Page
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.keys import Keys

import tinyreg as tr

RNG = np.random.default_rng(0)
X = RNG.normal(size=(4, 3)).astype("float32")
W = RNG.normal(size=(3, 2)).astype("float32")
B = RNG.normal(size=2).astype("float32")


def small():
    """x @ w + b, its squares' mean; h is used twice."""
    w, b = tr.tensor(W, requires_grad=True), tr.tensor(B, requires_grad=True)
    with tr.explain():
        h = tr.tensor(X) @ w + b
        loss = (h * h).mean()
        return tr.tape(loss, w=w, b=b)


def layered():
    tr.seed(0)
    model = tr.nn.Sequential(tr.nn.Linear(3, 16), tr.nn.Tanh(), tr.nn.Linear(16, 2))
    with tr.explain(definitions=True):
        y = model(tr.tensor(X))
        return tr.tape((y * y).mean())


def long():
    x = tr.tensor(np.linspace(-1, 1, 40, dtype="float32"), requires_grad=True)
    with tr.explain():
        y = x
        for _ in range(1000):
            y = tr.tanh(y) + x
        return tr.tape(y.sum(), x=x)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Pages by the name of the function that makes their tape."""
    folder = tmp_path_factory.mktemp("pages")
    known = {}

    def file(make):
        if make not in known:
            known[make] = folder / f"{make.__name__}.html"
            make().save_html(known[make])
        return known[make]

    return file


@pytest.fixture(scope="module")
def browser():
    page = Page()
    yield page
    page.driver.quit()


@pytest.fixture
def page(browser):
    """The browser; whatever a test does, nothing may be left on the console."""
    yield browser
    assert browser.log("browser") == []
    browser.emulate()


@pytest.fixture
def net(page, files):
    page.open(files(small))
    return page


# ---- the numbers


def gradients():
    """Of the small network by hand, in NumPy."""
    h = X @ W + B
    from_each = h / h.size
    return {"h": h, "each": from_each, "both": 2 * from_each, "b": (2 * from_each).sum(0), "w": X.T @ (2 * from_each)}


def close(shown, computed):
    np.testing.assert_allclose(shown, np.ravel(computed), rtol=1e-5, atol=1e-7)


def test_values_forward_are_those_that_numpy_computes(net):
    known = gradients()
    close(net.numbers("value", of="Result"), X @ W)
    close(net.numbers("value", of="w"), W)
    net.press("n")
    assert net.sentence == "#1: add(#0, b) gives float32 (4, 2)."
    close(net.numbers("value", of="Result"), known["h"])
    close(net.numbers("value", of="b"), B)
    net.click("#to-loss")
    close(net.numbers("value", of="Result"), np.mean(known["h"] ** 2))


def test_gradients_after_the_backward_are_there_from_the_start(net):
    known = gradients()
    close(net.numbers("gradient, after the backward", of="w"), known["w"])
    net.press("n")
    close(net.numbers("gradient, after the backward", of="b"), known["b"])
    close(net.numbers("gradient, after the backward", of="Result"), known["both"])


def test_a_tensor_that_is_used_twice_gathers_two_contributions(net):
    known = gradients()
    net.press("b")
    net.until("#1 has 1 of 2 contributions")
    close(net.numbers("sum so far at #1", of="On the way back"), known["each"])
    assert net.texts("#row-e1 .mark small") == ["1/2"]
    assert net.find("#row-e1 .ring").get_attribute("aria-label") == "1 of 2 contributions"
    net.until("#1 has its gradient: the sum of 2 contributions")
    close(net.numbers("contribution to #1", of="On the way back"), known["each"])
    close(net.numbers("gradient of #1, complete", of="On the way back"), known["both"])
    assert net.find("#row-e1 .ring").get_attribute("aria-label") == "gradient complete"


def test_a_broadcast_is_undone_in_a_step_of_its_own(net):
    known = gradients()
    net.press("b")
    net.until("#1, add: the VJP for x2 gives a contribution to b, float32 (4, 2).")
    close(net.numbers("contribution to b", of="On the way back"), known["both"])
    net.press("n")
    assert net.sentence == "Broadcasting undone for b: summed over axis 0: (4, 2) → (2,)."
    close(net.numbers("fitted to b", step="summed over axis 0: (4, 2) → (2,)"), known["b"])
    assert net.find("#row-l1 .ring").get_attribute("aria-label") == "0 of 1 contributions"
    net.press("n")
    close(net.numbers("gradient of b, complete"), known["b"])


def test_a_wider_dtype_is_undone_in_a_step_of_its_own(page, tmp_path):
    w = tr.tensor(W, requires_grad=True)
    with tr.explain():
        tr.tape((tr.tensor(X.astype("float64")) @ w).sum(), w=w).save_html(tmp_path / "tape.html")
    page.open(tmp_path / "tape.html")
    page.press("b")
    page.until("Dtype undone for w: cast: float64 → float32.")
    close(page.numbers("fitted to w"), np.repeat(X.sum(0), 2))


def test_what_has_not_arrived_yet_is_not_shown(net):
    net.press("b")
    net.until("#1, add: its gradient")
    assert any(figure["label"] == "gradient so far, 0 of 1" and "none yet" in figure["text"] for figure in net.figures())
    net.press(Keys.END)
    close(net.numbers("gradient, complete", of="w"), gradients()["w"])


def test_a_heat_map_tells_its_numbers_to_pointer_and_keyboard(page, files):
    page.open(files(layered))
    canvas = page.find("#entry canvas")
    assert "float32 (3, 16), from" in canvas.get_attribute("aria-label")
    tr.seed(0)
    transposed = tr.nn.Linear(3, 16).weight.numpy().T
    page.run("arguments[0].focus()", canvas)
    page.press(Keys.DOWN, Keys.RIGHT, Keys.RIGHT)
    where, number = page.text("#entry figure output").split("] ")
    assert where == "[1, 2"
    close([float(number)], transposed[1, 2])
    page.press(Keys.END)
    assert page.text("#entry figure output").startswith("[2, 15] ")
    ActionChains(page.driver).move_to_element(canvas).perform()
    assert page.text("#entry figure output").startswith("[1, 8] ")
    colours = page.run(
        "const c = arguments[0]; return [...c.getContext('2d').getImageData(0, 0, c.width, c.height).data]", canvas
    )
    red, blue = (np.reshape(colours, (-1, 4))[:, i].astype(int) for i in (0, 2))
    far = np.abs(transposed.ravel()) > 0.1 * np.abs(transposed).max()
    assert np.array_equal((red > blue)[far], (transposed.ravel() > 0)[far])  # orange above 0, blue below


def test_numbers_that_are_not_finite_are_counted(page, tmp_path):
    x = tr.tensor([1.0, np.nan, -np.inf], requires_grad=True)
    with tr.explain():
        y = tr.where(np.array([True, False, False]), x, 0.0)
        tr.tape(y.sum(), x=x).save_html(tmp_path / "tape.html")
    page.open(tmp_path / "tape.html")
    (shown,) = [figure for figure in page.figures() if figure["of"].startswith("x") and figure["label"] == "value"]
    assert "1 NaN, 1 inf" in shown["text"]
    cells = [cell.get_attribute("title") for cell in page.all("#entry td")]
    assert {"[0] 1", "[1] nan", "[2] -inf"} < set(cells)


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
    assert net.sentence.startswith("w has its gradient")
    assert net.find("#next").get_attribute("aria-disabled") == "true"
    net.press("n")
    net.click("#next")
    assert net.step == last
    assert {ring.get_attribute("aria-label") for ring in net.all("#window .ring")} == {"gradient complete"}


def test_the_slider_moves_in_time_and_says_where(net):
    net.run("const s = document.getElementById('slider'); s.value = 4; s.dispatchEvent(new Event('input'))")
    assert net.find("#slider").get_attribute("aria-valuetext") == net.sentence
    assert net.sentence == "The way back begins at #3, mean, with a gradient g of 1, or the one that was given."
    net.run("document.getElementById('slider').focus()")
    net.press(Keys.RIGHT)
    assert net.step == 5


def test_rows_go_up_and_down_in_the_phase_of_now(net):
    net.press("b", Keys.UP)
    assert net.row == "e2"
    assert net.sentence.startswith("#2, multiply: its gradient g is complete")
    net.click("#row-e0")
    assert net.sentence.startswith("#0, matmul: its gradient g is complete")


def test_play_plays_to_the_end_and_pause_pauses(net):
    net.run("document.getElementById('speed').value = '10'")
    net.press(" ")
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
    net.click("#to-end")
    net.wait(lambda: net.find("#play").accessible_name == "Play")


def test_what_the_step_does_is_said_in_a_live_region(net):
    region = net.find("#sentence")
    assert region.get_attribute("aria-live") == "polite"
    assert region.text == "#0: matmul(const, w) gives float32 (4, 2), and keeps x1 for the way back."


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
    assert net.text("#source-title").endswith("test_page_browser.py")
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
    assert '@matmul.vjp("x2")' in net.text("#entry pre")  # first
    assert '@matmul.vjp("x2")' in net.text("#entry pre.serving")
    assert net.all("#entry pre .keyword")


# ---- layers and search


def test_layers_close_and_open_and_a_closed_layer_is_one_step(page, files):
    page.open(files(layered))
    assert page.texts("#window .group .call") == ["Sequential", "0 (Linear)", "1 (Tanh)", "2 (Linear)"]
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


# ---- people


def test_every_control_has_a_name_and_tab_reaches_all_in_order(net):
    assert all(button.accessible_name for button in net.all("button, input, select") if button.is_displayed())
    net.press("/")
    reached = [net.focus]
    for _ in range(16):
        ActionChains(net.driver).send_keys(Keys.TAB).perform()
        reached.append(net.focus)
        style = net.run("return getComputedStyle(document.activeElement).outlineStyle")
        assert style != "none", f"the focus on {reached[-1]} is not seen"
    assert reached == [
        "query", "previous-hit", "next-hit", "theme", "help", "back", "play", "next", "to-start", "to-loss", "to-backward",
        "to-end", "speed", "slider", "lines", "rows", "entry",
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


def contrast(page, selector):
    """Of the text of an element with what is behind it, from 1 to 21 (WCAG 2.2)."""
    luminances = []
    for colour in (page.style(selector, "color"), page.style("main > section", "backgroundColor")):
        channels = np.array([float(part) for part in colour[4:-1].split(",")]) / 255
        linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
        luminances.append(linear @ [0.2126, 0.7152, 0.0722])
    return (max(luminances) + 0.05) / (min(luminances) + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_light_and_dark_follow_the_system_and_the_button(page, files, scheme):
    page.emulate(prefers_color_scheme=scheme)
    page.open(files(small))
    background = page.style("body", "backgroundColor")
    dark = background == "rgb(20, 22, 26)"
    assert dark == (scheme == "dark")
    for selector in (
        "#row-e0 .call",
        "#row-e0 .keeps",
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
    for key, last in ((Keys.HOME, "e0"), ("b", "e2000"), (Keys.END, "e0")):
        page.press(key)
        assert page.row == last
        assert len(page.all("#rows [role=row]")) < 200
        assert len(page.all("#arcs path")) < 400
    page.run("document.getElementById('rows').scrollTop = 30000")
    page.wait(lambda: page.all("#row-e1150"))
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


def test_several_results_have_a_gradient_each(page, tmp_path):
    x = tr.tensor(np.diag([1.0, 2.0]), requires_grad=True)
    with tr.explain():
        _, logarithm = tr.slogdet(x)
        tr.tape(logarithm * 3.0, x=x).save_html(tmp_path / "tape.html")
    page.open(tmp_path / "tape.html")
    assert page.texts("#entry > section > h3") == ["Result 0", "Result 1", "Its VJP", "Inputs"]
    page.press("b")
    page.until("#0, slogdet: its gradient")
    assert page.numbers("g, of result 1") == [3.0]


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
    assert page.texts("summary") == ["4 entries, 2 leaves, 80 bytes kept"]
    page.driver.switch_to.frame(0)
    page.click("#to-backward")
    assert page.sentence.startswith("The way back begins at #3")
    page.driver.switch_to.default_content()

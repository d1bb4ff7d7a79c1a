"""The page in a real browser: every button and key, and a file that needs nothing else."""

import re

import pytest
from page_tapes import layered, long, small
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

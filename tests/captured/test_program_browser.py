"""The page of a program in a real browser: source, calls and memory go together, by mouse and by keys."""

import re

import pytest
from captured.page_programs import by_numpy, in_machine_code
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.keys import Keys

import tinyreg as tr

pytest_plugins = ["page_fixtures"]


@pytest.fixture
def program(page, files):
    page.open(files(in_machine_code))
    return page


def number(page):
    """The number of the chosen call."""
    return int(page.row.removeprefix("c"))


def step(page):
    return int(re.search(r"at step (\d+)", page.text("#used"))[1])


# ---- what goes together


def test_the_first_call_is_chosen_and_said_in_a_live_region(program):
    assert program.row == "c0"
    assert program.sentence.startswith("#0, matmul of linear: float32[5, 8] in block 0, 160 B, until step ")
    assert program.find("#sentence").get_attribute("aria-live") == "polite"
    assert program.text("#lines .lit code").strip() == "loss = tr.losses.cross_entropy(model(x), y)"
    assert program.text("#source-title").endswith("page_programs.py")
    assert "block 0, matmul #0" in program.text("#about")
    assert len(program.all("#blocks .made")) == 1


def test_a_click_on_a_line_goes_to_its_first_call(program):
    line = next(each for each in program.all("#lines .made") if "clip_grad_norm" in each.text)
    line.click()
    assert program.text("#lines .lit code").strip() == "tr.optim.clip_grad_norm(model.parameters(), 1.0)"
    assert "clip_grad_norm" in program.sentence
    assert len(program.all("#window .same")) + 1 == int(program.text("#lines .lit small"))
    program.run("document.querySelector('#lines [data-line=\"1\"]').click()")
    assert "clip_grad_norm" in program.sentence  # the first line made nothing


def test_source_lines_are_chosen_by_keys(program):
    program.run("document.getElementById('lines').focus()")
    program.press(Keys.DOWN, Keys.ENTER)
    assert "backward" in program.text("#lines .lit code")
    program.press(Keys.UP, Keys.ENTER)
    assert "model(x)" in program.text("#lines .lit code")


def test_a_click_on_a_bar_goes_to_the_call_that_made_the_value(program):
    program.press(Keys.END)
    program.run(
        "document.querySelector('#blocks [data-value=\"0\"]').dispatchEvent(new MouseEvent('click', {bubbles: true}))"
    )
    assert program.row == "c0"
    assert program.find("#blocks [data-value='0']").get_attribute("class") == "value forward made"


def test_what_a_call_reads_is_marked_and_named(program):
    program.press("/", "#", Keys.ESCAPE)
    rows = program.run("return [...document.querySelectorAll('#window .row')].map((row) => row.textContent)")
    at = next(i for i, text in enumerate(rows) if "exp" in text and "cross_entropy" in text)
    program.press(*[Keys.DOWN] * at)
    assert program.sentence.startswith(f"#{number(program)}, exp of cross_entropy")
    assert len(program.all("#blocks .read")) == 1
    assert "subtract #" in program.text("#about")


def test_a_loop_is_one_row_with_the_ops_of_the_tape_that_it_holds(program):
    loop = program.find("#window .loop")
    assert loop.text.startswith("columns 0")
    assert "linear" in loop.text
    assert "batch_norm" in loop.text
    loop.click()
    assert program.row == "g0"
    assert re.match(r"columns 0: \d+ ops in one loop, with sums along the first axis; \d+ results never", program.sentence)
    program.press(Keys.DOWN)
    assert "is handed on inside of columns 0, and never stands in memory." in program.sentence
    assert not program.all("#blocks .made")
    inside = program.all("#window .inside.passed")
    assert all(row.find_elements("css selector", ".memory")[0].text == "" for row in inside)


# ---- moving


def test_keys_go_by_rows_and_by_steps(program):
    program.press(Keys.DOWN, Keys.DOWN, Keys.UP)
    assert program.row == "c1"
    before = step(program)
    program.press(*[Keys.RIGHT] * 10)
    assert step(program) == before + 10
    program.press(Keys.LEFT)
    assert step(program) == before + 9
    program.press(Keys.END)
    last = program.row
    program.press(Keys.DOWN, Keys.RIGHT)
    assert program.row == last
    program.press(Keys.HOME, Keys.UP, Keys.LEFT)
    assert program.row == "c0"


def test_what_is_chosen_is_in_sight(program):
    for key in (Keys.END, Keys.HOME):
        program.press(key)
        view, row = program.find("#rows").rect, program.find("#window .now").rect
        assert view["y"] < row["y"] <= view["y"] + view["height"] - row["height"]


def test_search_finds_calls_ops_loops_memory_and_source(program):
    for query in ("batch_norm", "batch_norm backward", "columns 0", "block 0", "optimizer.step()", "float32[5, 8]"):
        program.find("#query").clear()
        program.find("#query").send_keys(query)
        assert int(program.text("#hits").split()[0]) > 0, query
    program.press(Keys.ENTER)
    assert program.text("#hits").startswith("1 of") or program.text("#hits").startswith("2 of")
    program.click("#next-hit")
    second = program.row
    program.click("#next-hit")
    program.click("#previous-hit")
    assert program.row == second
    program.find("#query").clear()
    program.find("#query").send_keys("nothing")
    assert program.text("#hits") == "0 hits"
    program.press(Keys.ESCAPE)
    assert program.focus == "rows"


# ---- people


def test_every_control_has_a_name_and_tab_reaches_all_in_order(program):
    assert all(
        each.accessible_name for each in program.all("button, input, select, #rows, #lines, #blocks") if each.is_displayed()
    )
    program.press("/")
    reached = [program.focus]
    for _ in range(6):
        ActionChains(program.driver).send_keys(Keys.TAB).perform()
        reached.append(program.focus)
        assert program.run("return getComputedStyle(document.activeElement).outlineStyle") != "none", reached[-1]
    assert reached == ["query", "previous-hit", "next-hit", "theme", "help", "lines", "rows"]


def test_help_opens_by_key_and_closes(program):
    program.press("?")
    assert program.find("#keys").is_displayed()
    program.press(Keys.DOWN)
    assert program.row == "c0"  # keys are the dialog's while it is open
    program.press(Keys.ESCAPE)
    assert not program.find("#keys").is_displayed()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_light_and_dark_follow_the_system_and_the_button(page, files, scheme):
    page.emulate(prefers_color_scheme=scheme)
    page.open(files(in_machine_code))
    background = page.style("body", "backgroundColor")
    assert (background == "rgb(20, 22, 26)") == (scheme == "dark")
    for selector in ("#row-c0 .call", "#row-c0 .of", "#row-c0 .saved", ".passed .result", "#used", "#about dt", "#signs"):
        assert page.contrast(selector) >= 4.5, selector
    page.press(Keys.END)  # neither forward nor backward
    assert page.contrast("#lines .lit small") >= 4.5
    page.click("#theme")
    assert page.style("body", "backgroundColor") != background


def test_on_a_narrow_screen_nothing_is_wider_than_it(program):
    size = {"width": 400, "height": 800, "deviceScaleFactor": 1, "mobile": False}
    program.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    program.wait(lambda: program.find("#blocks").rect["width"] < 400)
    assert program.run("return document.documentElement.scrollWidth") <= 400
    for selector in ("#row-c0 .call", "#row-c0 .of", "#row-c0 .memory", "#blocks", "#query", "#help"):
        box = program.find(selector).rect
        assert box["width"] > 20, selector
        assert box["x"] + box["width"] <= 400, selector
    program.driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


# ---- the file


def test_nothing_is_asked_of_the_network(page, files):
    page.log("performance")
    page.open(files(by_numpy))
    page.press(Keys.DOWN, Keys.END)
    events = [entry["message"] for entry in page.log("performance")]
    assert sum('"Network.requestWillBeSent"' in event for event in events) <= 1
    blocked = "return fetch('https://example.org').then(() => 'sent', () => 'blocked')"
    assert page.run(blocked) == "blocked"
    assert all("Content Security Policy" in entry["message"] for entry in page.log("browser"))


def test_whatever_stands_in_title_and_source_is_text(page, tmp_path):
    @tr.capture(executor="numpy")
    def step(x):
        return x * 2.0  # </script><script>document.title = "taken"</script> <!-- <script> @@style@@

    for _ in range(4):
        step(tr.ones(2))
    title = "</title><img src=x onerror=\"document.title='taken'\">"
    step.program.save_html(tmp_path / "program.html", title=title)
    page.open(tmp_path / "program.html")
    assert page.driver.title == page.text("h1") == title
    assert '</script><script>document.title = "taken"</script> <!-- <script> @@style@@' in page.text("#lines .lit code")


def test_a_program_that_does_nothing_is_shown(page, tmp_path):
    step = tr.capture(lambda x: 3.0, executor="numpy")
    for _ in range(4):
        step(tr.ones(2))
    step.program.save_html(tmp_path / "program.html")
    page.open(tmp_path / "program.html")
    page.press(Keys.DOWN, Keys.RIGHT, Keys.END, "/", "x", Keys.ENTER, Keys.ESCAPE)
    assert page.sentence == "The program makes no call."

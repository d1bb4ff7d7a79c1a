"""How the page looks, and who can use it: names, order, contrast, motion, narrow windows, long names."""

import pytest
from page_tapes import fast, small
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.keys import Keys

import tinyreg as tr

pytest_plugins = ["page_fixtures"]


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


# ---- how it looks


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
        assert page.contrast(selector) >= 4.5, selector
    page.click("#theme")
    assert page.style("body", "backgroundColor") != background
    assert page.find("#theme").get_attribute("aria-pressed") == str(scheme == "light").lower()


def test_motion_is_left_out_where_it_is_not_wanted(page, files):
    page.emulate(prefers_reduced_motion="no-preference")
    page.open(files(small))
    assert page.style(".twisty", "transitionDuration") != "0s"
    page.emulate(prefers_reduced_motion="reduce")
    assert page.style(".twisty", "transitionDuration") == "0s"

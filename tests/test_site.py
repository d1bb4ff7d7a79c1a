"""The documentation as a site: built as its readers build it, and opened in a browser."""

import fcntl
import html.parser
import json
import os
import re
import subprocess
import sys
import urllib.parse
from pathlib import Path

import pytest
from page_browser import Page
from sphinx.util.inventory import InventoryFile

ROOT = Path(__file__).parents[1]
SITE = ROOT / "docs/out/html"
sys.path.append(str(ROOT / "docs"))


@pytest.fixture(scope="session")
def site(tmp_path_factory):
    """The folder of the site, which is built once, whoever asks first."""
    own = tmp_path_factory.getbasetemp()
    shared = own.parent if "PYTEST_XDIST_WORKER" in os.environ else own
    with open(shared / "site.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        said = shared / "site.txt"
        if not said.exists():
            done = subprocess.run(
                [ROOT / "scripts/docs"],
                env=os.environ | {"PYTHON": sys.executable},
                capture_output=True,
                text=True,
                timeout=900,
            )
            said.write_text("" if done.returncode == 0 else done.stdout + done.stderr)
    assert said.read_text() == ""
    return SITE


@pytest.fixture(scope="module")
def browser():
    page = Page()
    yield page
    page.driver.quit()


class Reader(html.parser.HTMLParser):
    """The links and the anchors of a page."""

    def __init__(self, path):
        super().__init__()
        self.links, self.anchors = [], set()
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        self.anchors.add(given.get("id"))
        link = given.get("href") or given.get("src")
        if link and tag != "iframe":
            self.links.append((tag, link))


def test_every_link_of_the_site_leads_somewhere_and_nothing_is_loaded_from_a_network(site):
    pages = {path: Reader(path) for path in site.rglob("*.html")}
    broken = []
    for path, page in pages.items():
        for tag, link in page.links:
            url = urllib.parse.urlsplit(link)
            if url.scheme in ("http", "https"):
                broken += [(path.name, link)] * (tag != "a")
            elif not url.scheme:
                target = (path.parent / urllib.parse.unquote(url.path)).resolve() if url.path else path
                is_there = target.exists() and (
                    target not in pages or not url.fragment or url.fragment in pages[target].anchors
                )
                broken += [] if is_there else [(path.name, link)]
    assert len(pages) > 40
    assert broken == []


def test_every_public_name_is_in_the_reference(site):
    from building.reference import public

    known = InventoryFile.loads((site / "objects.inv").read_bytes(), uri="")
    described = {name for kind, entries in known.data.items() if kind.startswith("py:") for name in entries}
    assert len(public()) > 400
    assert sorted(set(public().values()) - described) == []


LESSONS = sorted(
    str(path.relative_to(ROOT))
    for course in ("autograd", "techniques")
    for path in (ROOT / "docs" / course).glob("[0-9]*.md")
)


@pytest.mark.parametrize("lesson", LESSONS)
def test_a_lesson_asks_and_its_exercise_checks_itself(lesson, site):
    run = ROOT / "docs/out/jupyter_execute" / Path(lesson).with_suffix(".ipynb")
    cells = json.loads(run.read_text(encoding="utf-8"))["cells"]
    outputs = {"hide-output": "", "exercise": "", "solution": ""}
    for cell in cells:
        for tag in cell["metadata"].get("tags", []):
            texts = [out.get("text") or out.get("data", {}).get("text/plain", "") for out in cell.get("outputs", [])]
            outputs[tag] = outputs.get(tag, "") + "".join(map("".join, texts))
    assert "> **Before you go on.**" in (ROOT / lesson).read_text(encoding="utf-8")
    assert outputs["hide-output"]  # the answer
    assert "fail" in outputs["exercise"]
    assert "pass" in outputs["solution"]
    assert "fail" not in outputs["solution"].lower()


def test_every_claim_stands_in_a_lesson():
    from building.techniques import claims

    text = "".join((ROOT / lesson).read_text(encoding="utf-8") for lesson in LESSONS)
    shown = "\n".join(re.findall(r"^```\{claims\}\n(.*?)^```", text, re.M | re.S)).splitlines()
    assert sorted(line for line in shown if not line.startswith(":") and line) == sorted(claims())


def severe(browser):
    """What the browser complains of."""
    return [entry["message"] for entry in browser.log("browser") if entry["level"] == "SEVERE"]


@pytest.mark.parametrize("page", ["docs/index", "docs/autograd/05_matrices", "docs/reference/linalg", "docs/claims"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_page_is_readable_and_says_no_error(page, scheme, site, browser):
    browser.emulate(prefers_color_scheme=scheme)
    browser.driver.set_window_size(400, 900)
    browser.driver.get((site / f"{page}.html").as_uri())
    assert browser.run("return document.documentElement.scrollWidth <= window.innerWidth")
    back, ink = browser.style("body", "background-color"), browser.style("body", "color")
    assert (sum(map(int, back[4:-1].split(","))) > 380) == (scheme == "light"), back
    assert back != ink
    assert severe(browser) == []


def test_search_finds(site, browser):
    browser.driver.set_window_size(1300, 900)
    browser.driver.get(f"{(site / 'search.html').as_uri()}?q=layer_norm")
    found = "return [...document.querySelectorAll('#search-results a')].map((each) => each.textContent)"
    for _ in range(100):
        if names := browser.run(found):
            break
        browser.run("return new Promise((done) => setTimeout(done, 50))")
    assert any("layer_norm" in name for name in names)
    assert severe(browser) == []


def test_a_tape_within_a_lesson_steps(site, browser):
    browser.driver.set_window_size(1300, 900)
    browser.driver.get((site / "docs/autograd/01_local_derivative.html").as_uri())
    browser.driver.switch_to.frame(browser.find("iframe"))
    before = browser.sentence
    browser.click("#next")
    assert browser.sentence != before
    browser.driver.switch_to.default_content()
    assert severe(browser) == []


def test_the_lessons_stand_in_the_order_of_their_numbers():
    for course in ("autograd", "techniques"):
        numbers = [int(Path(lesson).name[:2]) for lesson in LESSONS if f"/{course}/" in lesson]
        assert numbers == list(range(1, len(numbers) + 1))

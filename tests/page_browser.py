"""A browser without a window, and what the tests of the page ask of it."""

import shutil

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

BROWSER, DRIVER = shutil.which("chromium") or shutil.which("google-chrome"), shutil.which("chromedriver")
FLAGS = (
    "--headless=new --no-sandbox --disable-gpu --disable-dev-shm-usage --disable-background-networking "
    "--disable-component-update --disable-sync --no-first-run --window-size=1400,900"
)

FIGURES = """
return [...document.querySelectorAll("#entry figure")].map((figure) => ({
  of: figure.closest("section").querySelector("h3, h4").textContent,
  step: figure.closest("li")?.querySelector("p").textContent ?? null,
  label: figure.querySelector("figcaption").textContent,
  numbers: [...figure.querySelectorAll("td, .scalar")].map((cell) => Number(cell.title.split(" ").at(-1))),
  text: figure.textContent,
}))
"""


class Page:
    """The page in a browser: what is pressed and clicked, and what is then to be seen."""

    def __init__(self):
        if not (BROWSER and DRIVER):
            pytest.skip("the page is tested in a browser: install chromium and chromium-driver")
        options = webdriver.ChromeOptions()
        options.binary_location = BROWSER
        for flag in FLAGS.split():
            options.add_argument(flag)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        self.driver = webdriver.Chrome(options=options, service=Service(DRIVER))  # a path, so that nothing is looked for
        self.run, self.log = self.driver.execute_script, self.driver.get_log

    def open(self, path):
        self.driver.get(path.as_uri())
        self.run("const tour = document.getElementById('tour'); if (tour) tour.hidden = true")
        self.run("document.getElementById('rows').focus()")

    def emulate(self, **features):
        pairs = [{"name": name.replace("_", "-"), "value": value} for name, value in features.items()]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": pairs})

    def press(self, *keys):
        for key in keys:
            self.driver.switch_to.active_element.send_keys(key)

    def find(self, selector):
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def all(self, selector):
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def click(self, selector):
        self.find(selector).click()

    def text(self, selector):
        return self.run("return document.querySelector(arguments[0]).textContent", selector)

    def texts(self, selector):
        return self.run("return [...document.querySelectorAll(arguments[0])].map((each) => each.textContent)", selector)

    def style(self, selector, name):
        return self.run("return getComputedStyle(document.querySelector(arguments[0]))[arguments[1]]", selector, name)

    def contrast(self, selector):
        """Of the text of an element with what is behind it, from 1 to 21 (WCAG 2.2)."""
        luminances = []
        for colour in (self.style(selector, "color"), self.style("main > section", "backgroundColor")):
            channels = [float(part) / 255 for part in colour[4:-1].split(",")]
            linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
            luminances.append(sum(a * b for a, b in zip(linear, (0.2126, 0.7152, 0.0722), strict=True)))
        return (max(luminances) + 0.05) / (min(luminances) + 0.05)

    @property
    def sentence(self):
        return self.text("#sentence")

    @property
    def step(self):
        """The step of the slider, counted from 0."""
        return int(self.find("#slider").get_property("value"))

    @property
    def row(self):
        """The chosen row, as a screen reader is told of it."""
        return self.find("#rows").get_attribute("aria-activedescendant").removeprefix("row-")

    @property
    def focus(self):
        return self.run("return document.activeElement.id")

    def until(self, start):
        """Step forward until the sentence starts so."""
        for _ in range(200):
            if self.sentence.startswith(start):
                return
            self.press("n")
        pytest.fail(f"no step says {start!r}; the last says {self.sentence!r}")

    def wait(self, condition):
        """Until it holds, for at most a few seconds."""
        WebDriverWait(self.driver, 5, poll_frequency=0.02).until(lambda _: condition())

    def figures(self):
        return self.run(FIGURES)

    def numbers(self, label, of="", step=None):
        """The numbers of the one figure with this label, in the section whose title starts so."""
        found = [
            figure["numbers"]
            for figure in self.figures()
            if figure["label"] == label and figure["of"].startswith(of) and step in (None, figure["step"])
        ]
        assert len(found) == 1, f"{len(found)} figures {label!r} of {of!r}, among {self.figures()}"
        return found[0]

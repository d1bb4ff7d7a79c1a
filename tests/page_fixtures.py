"""Fixtures of the tests of pages: one browser for each file of tests, and in it the pages of tapes and programs."""

import pytest
from page_browser import Page


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Pages by the name of the function that makes their tape or program."""
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
    from page_tapes import small  # which stands beside the tests of tapes

    page.open(files(small))
    return page

"""The pages that `make docs` has written, in a real browser."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urldefrag, urljoin

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, ConsoleMessage, Page, ViewportSize

SITE = Path(__file__).parent.parent.parent / "build" / "docs"
NARROW: ViewportSize = {"width": 360, "height": 740}
TIMEOUT = 120_000
"""Milliseconds; the machine may be busy."""
ANCHORS = "[...document.querySelectorAll('[id]')].map(each => each.id)"
LINKS = "[...document.querySelectorAll('a[href]')].map(each => each.getAttribute('href'))"
BROKEN_PICTURES = """
[...document.images].filter(each => each.complete && !each.naturalWidth).map(each => each.src)
"""
COLOURS = """
["background-color", "color"].map(
    each => getComputedStyle(document.body).getPropertyValue(each).match(/\\d+/g).map(Number)
)
"""
BROWSERS = ("chromium", "chromium-browser", "google-chrome")

pytestmark = [pytest.mark.docs, pytest.mark.timeout(600)]


class Quiet(SimpleHTTPRequestHandler):
    """Serves files without a line for each."""

    def log_message(self, format: str, *args: object) -> None:
        """Print nothing."""


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """Serve the pages; return where."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=SITE))
    threading.Thread(target=server.serve_forever).start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Return the browser of this machine."""
    from playwright.sync_api import sync_playwright  # only `make docs` installs it

    program = next(filter(None, map(shutil.which, BROWSERS)), None)
    assert program, f"none of {', '.join(BROWSERS)} is on PATH"
    # Its sandbox does not work for root.
    options = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=options, timeout=TIMEOUT)
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """Return a page that fails the test if a script fails or something is not found."""
    page = browser.new_page()
    page.set_default_timeout(TIMEOUT)
    problems: list[str] = []

    def note(message: ConsoleMessage) -> None:
        if message.type == "error":
            problems.append(f"{page.url}: {message.text}")

    page.on("console", note)
    page.on("pageerror", lambda exc: problems.append(f"{page.url}: {exc}"))
    yield page
    page.close()
    assert problems == []


def pages() -> list[str]:
    """Return the paths of all pages but two: one has links from the root, one leads to another."""
    found = {path.relative_to(SITE).as_posix() for path in SITE.rglob("*.html")}
    return sorted(found - {"404.html", "api/index.html"})


def test_no_link_is_dead_and_every_picture_shows(page: Page, address: str) -> None:
    """Links between the pages, with their anchors; those to other sites are not followed."""
    anchors: dict[str, set[str]] = {}
    links: set[tuple[str, str, str]] = set()
    for name in pages():
        page.goto(address + name)
        anchors[address + name] = set(page.evaluate(ANCHORS))
        for href in page.evaluate(LINKS):
            there, anchor = urldefrag(urljoin(page.url, href))
            if there.startswith(address):
                links.add((name, there, anchor))
        assert page.evaluate(BROKEN_PICTURES) == [], name
    anchors[address] = anchors[f"{address}index.html"]

    def exists(there: str) -> bool:
        return there in anchors or (SITE / there.removeprefix(address)).is_file()

    assert sorted(link for link in links if not exists(link[1])) == []
    assert sorted(link for link in links if link[2] and link[2] not in anchors[link[1]]) == []
    assert len(links) > 500


def test_pages_fit_a_narrow_screen(page: Page, address: str) -> None:
    """Wide tables and code scroll in their own place."""
    page.set_viewport_size(NARROW)
    for name in pages():
        page.goto(address + name)
        assert page.evaluate("document.scrollingElement.scrollWidth") <= NARROW["width"], name


def test_reference_leads_back_and_is_dark_on_a_dark_system(browser: Browser, address: str) -> None:
    """Its pages are made by another program than the others."""
    page = browser.new_page(color_scheme="dark")
    page.set_default_timeout(TIMEOUT)
    for name in ("api/etcdnaming.html", "api/etcdnaming/aio.html"):
        page.goto(address + name)
        background, text = page.evaluate(COLOURS)
        assert sum(background) < sum(text), name
        page.get_by_text("← Guide").click()
        page.wait_for_url(f"{address}index.html")
    page.close()


def test_search_finds_a_command(page: Page, address: str) -> None:
    """It works without a server's help."""
    page.goto(f"{address}index.html", wait_until="networkidle")  # its script is ready by then
    page.locator(".md-search__input").click()
    page.locator(".md-search__input").press_sequentially("stop-timeout")
    found = page.locator(".md-search-result__item").filter(has_text="etcdnaming-lease-register")
    found.first.wait_for()


def test_pages_name_no_place_of_the_machine_that_wrote_them() -> None:
    """They are public."""
    here = str(SITE.parent.parent)
    for path in SITE.rglob("*.html"):
        assert here not in path.read_text("utf-8"), path

"""The page in a headless Chromium: with scripts and without, in light and dark, by keyboard, and under attack."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver import Chrome, Keys
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.expected_conditions import alert_is_present
from selenium.webdriver.support.wait import WebDriverWait

from fakes.browser import CONTRASTS, STRUCTURE, chromium, complaints, ensure_chromium
from fakes.outcomes import a_job
from fakes.page import A_REASON, Page, opened_page

PATIENCE_S = 60.0


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with opened_page(tmp_path_factory.mktemp("page")) as page:
        yield page


@pytest.fixture(scope="module")
def light() -> Iterator[Chrome]:
    """The browser of somebody who likes it bright."""
    ensure_chromium()
    with chromium() as driver:
        yield driver


@pytest.fixture
def browser(light: Chrome) -> Chrome:
    """The same, having nothing to complain of yet."""
    light.get("about:blank")
    complaints(light)
    return light


def paths(page: Page) -> tuple[str, ...]:
    """One of each kind, some with hostile content."""
    logs = (f"logs/{number}" for number in page.logged)
    return ("", "projects", "history", "install", "api", "projects/hostile", "projects/none", *logs)


def found(browser: Chrome, selector: str) -> WebElement:
    return browser.find_element(By.CSS_SELECTOR, selector)


def texts(browser: Chrome, selector: str) -> list[str]:
    return [one.text for one in browser.find_elements(By.CSS_SELECTOR, selector)]


def wait_for(browser: Chrome, true: Callable[[Chrome], bool], what: str) -> None:
    """Until it is; what was replaced while it was looked at is looked at again."""
    WebDriverWait(browser, PATIENCE_S, ignored_exceptions=[StaleElementReferenceException]).until(true, what)


def text_of(selector: str, text: str) -> Callable[[Chrome], bool]:
    """Whether it is there, and says so: what is replaced meanwhile is not there."""
    script = "return document.querySelector(arguments[0])?.textContent.includes(arguments[1]) ?? false"
    return lambda browser: bool(browser.execute_script(script, selector, text))


def test_nothing_of_a_stranger_runs(browser: Chrome, page: Page) -> None:
    """No dialogue, no script but ours, and nothing that the policy had to refuse: it is escaped before that."""
    for path in paths(page):
        browser.get(page.url + path)
        assert not alert_is_present()(browser)
        sources = browser.execute_script("return [...document.scripts].map((one) => new URL(one.src).pathname)")
        assert ["/+mirror/static/page.js"] == sources, path
        assert [] == [one for one in complaints(browser) if "404" not in one], path


def test_the_policy_would_stop_it(browser: Chrome, page: Page) -> None:
    """Should escaping ever fail: an inline script and a handler do not run, and the browser says so."""
    browser.get(page.url)
    browser.execute_script(
        "document.body.insertAdjacentHTML('beforeend', '<img src=x: onerror=\"document.title = 1\">');"
        "const script = document.createElement('script'); script.textContent = 'document.title = 2';"
        "document.body.append(script)"
    )
    wait_for(browser, lambda _: "Content Security Policy" in "".join(complaints(browser)), "it does not complain")
    assert "Now · mirror" == browser.title


def test_it_is_whole_without_scripts(page: Page) -> None:
    """Everything is there to be read; what only a script could do is not offered."""
    ensure_chromium()
    with chromium() as browser:
        browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
        browser.get(page.url)
        text = found(browser, "body").text
        assert [True] * 5 == [
            part in text for part in ("lxml 4.9.3", "running build_ext", A_REASON, "[global]", "wheels compiled")
        ]
        assert not found(browser, "button.copy").is_displayed()
        found(browser, "nav a[href='projects']").click()
        wait_for(browser, lambda _: browser.current_url.endswith("/projects"), "the link leads nowhere")
        found(browser, "#q").send_keys("numpy", Keys.ENTER)
        wait_for(browser, lambda _: texts(browser, "tbody th") == ["numpy"], "it is not found")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_everybody_can_read_it(page: Page, scheme: str) -> None:
    """Every text has a contrast of at least 4.5, and a structure that a screen reader and a keyboard find through."""
    with chromium(scheme=scheme) as browser:
        grounds = set()
        for path in paths(page):
            browser.get(page.url + path)
            assert ([], []) == (browser.execute_script(CONTRASTS), browser.execute_script(STRUCTURE)), path
            grounds.add(browser.execute_script("return getComputedStyle(document.body).backgroundColor"))
        assert {"rgb(246, 247, 245)" if scheme == "light" else "rgb(16, 22, 20)"} == grounds


def test_bad_contrast_and_structure_are_seen(browser: Chrome, page: Page) -> None:
    """The checks can fail."""
    browser.get(page.url)
    browser.execute_script(
        "document.querySelector('h1').style.color = '#999'; document.querySelector('caption').remove();"
        "document.querySelector('h2').outerHTML = '<h4>x</h4>'"
    )
    contrasts = browser.execute_script(CONTRASTS)
    assert ["Wheels for Alpine, compiled once"] == [one.partition(" ")[2] for one in contrasts]
    assert {"a level is left out at 1", "table without caption"} <= {
        one.partition(":")[0] for one in browser.execute_script(STRUCTURE)
    }


@pytest.mark.parametrize("width", [360, 1280])
def test_it_fits(page: Page, width: int) -> None:
    """On a phone, too: tables scroll in their place, the page does not, whatever a stranger's name is like."""
    with chromium() as browser:
        metrics = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": False}
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        for path in paths(page):
            browser.get(page.url + path)
            assert width >= browser.execute_script("return document.documentElement.scrollWidth"), path


def test_by_keyboard(browser: Chrome, page: Page) -> None:
    """The first key skips to the content; every focus is seen."""
    browser.get(page.url)
    found(browser, "body").send_keys(Keys.TAB)
    skip = browser.switch_to.active_element
    assert ("Skip to the content", True) == (skip.text, skip.is_displayed())
    skip.send_keys(Keys.ENTER)
    assert "content" == browser.switch_to.active_element.get_attribute("id")
    browser.switch_to.active_element.send_keys(Keys.TAB)
    first = browser.switch_to.active_element
    assert ("lxml", "solid") == (first.text, first.value_of_css_property("outline-style"))


def test_copying(browser: Chrome, page: Page) -> None:
    """The button copies what stands below it, and says so, to who cannot see it, too."""
    browser.execute_cdp_cmd(
        "Browser.grantPermissions",
        {"permissions": ["clipboardReadWrite", "clipboardSanitizedWrite"], "origin": page.url.split("/+")[0]},
    )
    browser.get(f"{page.url}install")
    button = found(browser, "button[data-copy=poetry]")
    button.click()
    wait_for(browser, text_of("#announcement", "Copied"), "it does not say so")
    copied = browser.execute_async_script("navigator.clipboard.readText().then(arguments[0])")
    assert found(browser, "#poetry").get_attribute("textContent") == copied
    assert "# in pyproject.toml:\n[[tool.poetry.source]]" == "\n".join(copied.splitlines()[:2])


def test_what_goes_on_is_live(browser: Chrome, page: Page) -> None:
    """A line of a log, a compile that begins and one that ends show without anybody asking; the focus stays."""
    browser.get(page.url)
    wait_for(browser, text_of("#live", "live"), "no stream")
    wait_for(browser, lambda _: found(browser, "#now time").text.startswith("for "), "it does not say for how long")
    tail = browser.execute_script("return document.querySelector('#now pre').id")
    browser.execute_script("document.querySelector('#now pre').focus()")
    with page.live_log.open("a") as log:
        log.write("seen at once <i>\n")
    wait_for(browser, text_of("#now pre", "seen at once <i>"), "the line does not come")
    assert tail == browser.switch_to.active_element.get_attribute("id")
    log_of_next = page.journal.log_path("next 1.0")
    page.journal.begin(a_job("next", "1.0"), "next", log_of_next)
    wait_for(browser, text_of("#announcement", "next 1.0"), "what begins is not announced")
    page.journal.end_attempt("next", "1.0", str(log_of_next))
    wait_for(browser, lambda one: not text_of("#now", "next")(one), "what has ended still shows")
    assert [] == [one for one in complaints(browser) if "/live" not in one]  # streams of the pages before may be open


def test_a_log_is_live(browser: Chrome, page: Page) -> None:
    """It grows while one looks at it, and at the end the page says how it ended."""
    log = page.journal.log_path("slow 1.0")
    log.write_text("one\n")
    page.journal.begin(a_job("slow", "1.0"), "slow", log)
    number = page.number("slow")
    browser.get(f"{page.url}logs/{number}")
    wait_for(browser, text_of("#live", "live"), "no stream")
    with log.open("a") as more:
        more.write("two <script>alert(1)</script>\n")
    wait_for(browser, text_of("#log", "two <script>alert(1)</script>"), "the line does not come")
    with log.open("a") as more:
        more.write("three\n")
    page.journal.end_attempt("slow", "1.0", str(log))
    wait_for(browser, text_of("#outcome", "failed"), "it does not say how it ended")
    lines = ["one", "two <script>alert(1)</script>", "three"]
    wait_for(browser, lambda _: texts(browser, "#log .line") == lines, "it is not whole")


def test_it_goes_on_without_a_stream(browser: Chrome, page: Page, tmp_path: Path) -> None:
    """Where none is free the page asks now and then, and gets the same."""
    browser.execute_cdp_cmd("Network.enable", {})
    browser.execute_cdp_cmd("Network.setBlockedURLs", {"urls": ["*/+mirror/live*"]})
    try:
        browser.get(page.url)
        wait_for(browser, text_of("#live", "every 5 seconds"), "it does not ask")
        with page.live_log.open("a") as log:
            log.write("asked for\n")
        wait_for(browser, text_of("#now pre", "asked for"), "the line does not come")
    finally:
        browser.execute_cdp_cmd("Network.setBlockedURLs", {"urls": []})

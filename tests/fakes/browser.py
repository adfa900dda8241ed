"""A headless Chromium that sees nothing but this machine: Debian's, installed where it is missing."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service

_PACKAGES = ("chromium", "chromium-driver", "fonts-dejavu-core")
_FLAGS = (
    "--headless=new",
    "--no-sandbox",  # Chromium's own needs a user that is not root
    "--disable-dev-shm-usage",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)


def ensure_chromium() -> None:
    """Install it, as root on Debian. Nothing is done where it is there."""
    if shutil.which("chromium") and shutil.which("chromedriver"):
        return
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    install = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *_PACKAGES]
    for command in (["apt-get", "update", "-qq"], install):
        subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL, timeout=600)


@contextmanager
def chromium(*, scheme: str = "light", width: int = 1280, height: int = 900) -> Iterator[Chrome]:
    """A browser of its own. `scheme` is what its user prefers, "light" or "dark"."""
    options = ChromeOptions()
    options.binary_location = shutil.which("chromium") or ""
    for flag in (*_FLAGS, f"--window-size={width},{height}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = Chrome(options=options, service=Service(shutil.which("chromedriver")))
    try:
        driver.set_page_load_timeout(30)
        media = [{"name": "prefers-color-scheme", "value": scheme}]
        driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": media})
        yield driver
    finally:
        driver.quit()


def complaints(driver: Chrome) -> list[str]:
    """What the browser has complained of since it was asked last: scripts' errors, refused content, missing files."""
    entries: list[dict[str, Any]] = driver.get_log("browser")  # type: ignore[no-untyped-call]
    return [str(entry["message"]) for entry in entries if entry["level"] in ("SEVERE", "WARNING")]


CONTRASTS = """
const channel = (value) => (value /= 255, value <= 0.03928 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4);
const luminance = ([red, green, blue]) => 0.2126 * channel(red) + 0.7152 * channel(green) + 0.0722 * channel(blue);
const parse = (text) => {
  const canvas = parse.canvas ??= document.createElement("canvas").getContext("2d", {willReadFrequently: true});
  canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = text; canvas.fillRect(0, 0, 1, 1);
  return [...canvas.getImageData(0, 0, 1, 1).data];
};
const ground = (element) => {
  for (; element; element = element.parentElement) {
    const colour = parse(getComputedStyle(element).backgroundColor);
    if (colour[3] === 255) return colour;
  }
  return [255, 255, 255, 255];
};
const found = [];
const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
while (texts.nextNode()) {
  const element = texts.currentNode.parentElement;
  if (!texts.currentNode.textContent.trim() || !element.checkVisibility()) continue;
  const [first, second] = [parse(getComputedStyle(element).color), ground(element)].map(luminance);
  const contrast = (Math.max(first, second) + 0.05) / (Math.min(first, second) + 0.05);
  if (contrast < 4.5) found.push(`${contrast.toFixed(2)} ${texts.currentNode.textContent.trim().slice(0, 40)}`);
}
return found;
"""
"""Every text whose contrast is under WCAG's 4.5 (1.4.3), for `execute_script`."""

STRUCTURE = """
const found = [];
const say = (what, elements) => { for (const one of elements) found.push(`${what}: ${one.outerHTML.slice(0, 80)}`); };
const all = (selector) => [...document.querySelectorAll(selector)];
const levels = all("h1, h2, h3, h4").map((heading) => Number(heading.tagName[1]));
if (levels.filter((level) => level === 1).length !== 1) found.push("not one h1");
levels.forEach((level, at) => { if (at && level > levels[at - 1] + 1) found.push(`a level is left out at ${at}`); });
if (!document.documentElement.lang || !document.title) found.push("no language or title");
say("table without caption", all("table").filter((table) => !table.caption?.textContent.trim()));
say("header cell without scope", all("th").filter((cell) => !cell.scope));
say("image without alt", all("img").filter((image) => !image.hasAttribute("alt")));
say("field without label", all("input, select").filter((field) => !field.labels.length));
say("nothing to call it by", all("a, button").filter((one) => !one.hidden && !one.textContent.trim()));
say("region without name", all("[role=region], nav, pre[tabindex]").filter((one) =>
  !one.getAttribute("aria-label") && !document.getElementById(one.getAttribute("aria-labelledby"))));
const ids = all("[id]").map((one) => one.id);
if (new Set(ids).size !== ids.length) found.push("an id twice");
say("leads nowhere", all("a[href^='#']").filter((one) => !document.getElementById(one.hash.slice(1))));
say("scrolls, and no key reaches it", all("main *").filter((one) =>
  ["auto", "scroll"].includes(getComputedStyle(one).overflowX) && one.scrollWidth > one.clientWidth
  && one.tabIndex < 0));
return found;
"""
"""What a screen reader or a keyboard would stumble over, for `execute_script`."""

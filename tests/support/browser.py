# SPDX-License-Identifier: Apache-2.0
"""A real Chromium, driven by Selenium: what it shows, what it asks for over the network, and what it complains of."""

from __future__ import annotations

import base64
import importlib.util
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import WebDriverWait

AXE = Path(__file__).parents[2] / ".stamps/axe/node_modules/axe-core/axe.min.js"
PATIENCE = 60
"""Seconds after which what must come counts as not coming."""

# The fonts of the extra `drawing`, so that a screenshot looks the same everywhere, Chinese characters included.
_FONTS = """<?xml version="1.0"?><!DOCTYPE fontconfig SYSTEM "fonts.dtd"><fontconfig>
<dir>{fonts}</dir><cachedir>{cache}</cachedir><include ignore_missing="yes">/etc/fonts/fonts.conf</include>
<alias binding="same"><family>sans-serif</family><prefer><family>Noto Sans SC</family></prefer></alias>
<alias binding="same"><family>serif</family><prefer><family>Noto Serif SC</family></prefer></alias>
</fontconfig>"""


class Browser:
    """A window of Chromium."""

    def __init__(self, driver: webdriver.Chrome) -> None:
        self.driver = driver
        self._requests: list[dict[str, Any]] = []

    def open(self, address: str, *, width: int = 1280, height: int = 800, dark: bool = False) -> None:
        """A fresh tab's view of the address: nothing is kept from before."""
        self.size(width, height)
        self.theme(dark)
        if self.driver.current_url.startswith(address):
            self.script("sessionStorage.clear()")
        self.driver.get(address)

    def size(self, width: int, height: int) -> None:
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        self.command("Emulation.setDeviceMetricsOverride", **metrics)

    def theme(self, dark: bool, *, calm: bool = False) -> None:
        """`calm`: the reader wants no motion."""
        wishes = {"color-scheme": "dark" if dark else "light", "reduced-motion": "reduce" if calm else "no-preference"}
        features = [{"name": f"prefers-{name}", "value": value} for name, value in wishes.items()]
        self.command("Emulation.setEmulatedMedia", features=features)

    def command(self, name: str, **arguments: Any) -> dict[str, Any]:
        """One of Chromium's DevTools."""
        answer: dict[str, Any] = self.driver.execute_cdp_cmd(name, arguments)
        return answer

    def script(self, source: str, *arguments: object) -> Any:
        return self.driver.execute_script(source, *arguments)

    def promise(self, source: str, *arguments: object) -> Any:
        """What the promise of an expression becomes."""
        script = f"const done = arguments[arguments.length - 1]; ({source}).then(done)"
        return self.driver.execute_async_script(script, *arguments)

    def find(self, selector: str) -> WebElement:
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def all(self, selector: str) -> list[WebElement]:
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def texts(self, selector: str) -> list[str]:
        return [element.text for element in self.all(selector)]

    def until(self, condition: str, *arguments: object) -> Any:
        """Waits until a JavaScript expression is true; what it is."""
        script = f"return ({condition})"
        return WebDriverWait(self.driver, PATIENCE, 0.05).until(
            lambda driver: driver.execute_script(script, *arguments), condition
        )

    def screenshot(self, path: Path, width: int, height: int | None = None) -> None:
        """The page down to `height`, or all of it, as PNG."""
        height = height or self.script("return document.documentElement.scrollHeight")
        clip = {"x": 0, "y": 0, "width": width, "height": height, "scale": 1}
        answer = self.command("Page.captureScreenshot", format="png", captureBeyondViewport=True, clip=clip)
        path.write_bytes(base64.b64decode(answer["data"]))

    def violations(self) -> list[str]:
        """What axe finds in the page as it is: each rule, with what breaks it."""
        if not self.script("return 'axe' in window"):
            self.script(AXE.read_text("utf-8"))
        found = self.promise("axe.run()")["violations"]
        return [f"{rule['id']}: {node['target']} {node['failureSummary']}" for rule in found for node in rule["nodes"]]

    def requests(self) -> list[dict[str, Any]]:
        """Every request so far, by Chromium's own log; what never leaves the browser is none."""
        for entry in self.driver.get_log("performance"):
            event = json.loads(entry["message"])["message"]
            if event["method"] == "Network.requestWillBeSent":
                self._requests.append(event["params"]["request"])
        return [request for request in self._requests if not request["url"].startswith(("blob:", "data:"))]

    def complaints(self) -> list[str]:
        """The console's errors and warnings since it was last asked."""
        return [entry["message"] for entry in self.driver.get_log("browser") if entry["level"] in {"SEVERE", "WARNING"}]


@contextmanager
def chromium(folder: Path, language: str = "en") -> Iterator[Browser]:
    """A browser without a profile; `folder` is for its fonts."""
    package = importlib.util.find_spec("pylopdf_fonts_zh_cn")
    fonts = Path(str(package.origin)).parent if package else folder
    (folder / "fonts.conf").write_text(_FONTS.format(fonts=fonts, cache=folder / "fonts"), "utf-8")
    options = webdriver.ChromeOptions()
    program = next(filter(None, map(shutil.which, ("chromium", "google-chrome", "chromium-browser"))), None)
    assert program, "make test-system installs chromium"
    options.binary_location = program
    # It opens our own page only, and its own sandbox needs more than a container gives.
    for flag in (
        "--headless=new",
        "--no-sandbox",
        "--disable-dev-shm-usage",
        "--hide-scrollbars",
        f"--accept-lang={language}",
    ):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    environment = {**os.environ, "FONTCONFIG_FILE": str(folder / "fonts.conf"), "LANGUAGE": language}
    driver = webdriver.Chrome(options, webdriver.ChromeService(shutil.which("chromedriver"), env=environment))
    driver.set_script_timeout(PATIENCE)
    try:
        yield Browser(driver)
    finally:
        driver.quit()

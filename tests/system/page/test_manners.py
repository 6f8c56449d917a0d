# SPDX-License-Identifier: Apache-2.0
"""Languages, keys, keyboards, themes, widths; and what the page asks of whom, by Chromium's own log."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.keys import Keys
from support.browser import PATIENCE, Browser
from support.page import FAILED, READY, answered, bring
from support.site import BLUE, RED, Site, file_of, scene


def test_a_key_is_sent_in_a_header_and_shown_nowhere(page: Browser) -> None:
    page.find("#key-summary").click()
    page.find("#key").send_keys("img_secret_words", Keys.ENTER)
    assert page.script("return document.activeElement.id") == "key-summary"
    answered(page)
    assert page.find("#key-summary").text.endswith("✓")
    texts = [page.find(f"#call-{kind} pre").get_attribute("textContent") for kind in ("curl", "python", "grpcurl")]
    assert all("IMAGIER_KEY" in text and "secret" not in text for text in texts)
    assert not [request for request in page.requests() if "secret" in request["url"]]
    *_, headers = (request["headers"] for request in page.requests() if request["url"].endswith("/v1/annotate"))
    assert headers["authorization"] == "Bearer img_secret_words"
    page.driver.refresh()
    page.until(READY)
    assert page.find("#key").get_attribute("value") == "img_secret_words", "it is kept in this tab"


def test_it_speaks_french_to_the_french_and_to_whoever_asks(page: Browser, running: Site) -> None:
    answered(page)
    page.find("#language").click()
    assert page.script("return document.documentElement.lang") == "fr"
    assert page.find("[data-task=tags] h2").text == "Mots-clés"
    assert page.texts(".lines .words") == [RED, BLUE], "the answer stays"
    assert page.driver.title.startswith("Imagier\u00a0: ")
    page.driver.refresh()
    page.until(READY)
    assert page.find("#stage-title").text == "Montrez-lui une image", "the choice lasts as long as the tab"
    agent = page.script("return navigator.userAgent")
    page.command("Network.setUserAgentOverride", userAgent=agent, acceptLanguage="fr-CA,fr;q=0.9,en;q=0.8")
    try:
        page.open(running.address)
        page.until(READY)
        assert page.find("#stage-title").text == "Montrez-lui une image"
    finally:
        page.command("Network.setUserAgentOverride", userAgent=agent, acceptLanguage="en")


def test_tags_are_asked_for_in_the_readers_language_until_others_are_chosen(page: Browser) -> None:
    def chosen() -> list[str]:
        return [box.get_attribute("value") for box in page.all("input[name=language]") if box.is_selected()]

    assert chosen() == ["en"]
    page.find("#language").click()
    assert chosen() == ["en", "fr"]
    page.find("input[value=zh]").click()
    page.find("input[value=fr]").click()
    for _ in range(2):
        page.find("#language").click()
        assert chosen() == ["en", "zh"]


def test_a_keyboard_reaches_everything_in_the_order_it_is_read(page: Browser) -> None:
    stops = []
    for _ in range(20):
        ActionChains(page.driver).send_keys(Keys.TAB).perform()
        stop = page.script(
            "const a = document.activeElement; return a.id || a.dataset.example || a.className || a.tagName"
        )
        if stop == "BODY" or stop in stops:
            break
        stops.append(stop)
    assert stops[:7] == ["A", "key-summary", "language", "file", "street-sign", "receipt", "tea-house"]
    assert {"task-tags", "task-caption", "task-ocr"} <= set(stops)


def test_nothing_moves_for_who_wants_no_motion(page: Browser, running: Site) -> None:
    moving = "return document.getAnimations().filter((each) => each.playState === 'running').length"
    with running.held() as held:
        bring(page, file_of(scene()))
        assert held.asked.wait(PATIENCE)
        page.until("!document.querySelector('#progress').hasAttribute('value')")
        assert page.script(moving) > 0
        page.theme(dark=False, calm=True)
        assert page.script(moving) == 0
    page.find("#cancel").click()


@pytest.mark.parametrize("width", [1280, 360], ids=["desk", "phone"])
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_it_is_for_everybody_in_every_state(page: Browser, running: Site, width: int, dark: bool) -> None:
    page.open(running.address, width=width, dark=dark)
    page.until(READY)
    for state, bringing in (("empty", None), ("result", True), ("error", False)):
        if bringing:
            answered(page)
        elif state == "error":
            bring(page, b"no picture", name="words.txt", mime="text/plain")
            page.until(FAILED, "not_picture")
        assert page.script("return document.documentElement.scrollWidth") <= width, f"{state} is wider than the window"
        assert page.violations() == [], state
        if folder := os.environ.get("IMAGIER_SCREENSHOTS"):
            page.screenshot(
                Path(folder) / f"{'phone' if width < 600 else 'desk'}-{state}-{'dark' if dark else 'light'}.png", width
            )


def test_it_asks_nobody_else_and_has_nothing_to_complain_of(page: Browser, running: Site) -> None:
    answered(page)
    page.find("#language").click()
    assert [each["url"] for each in page.requests() if not each["url"].startswith(running.address)] == []
    assert page.complaints() == []

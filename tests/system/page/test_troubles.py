# SPDX-License-Identifier: Apache-2.0
"""What may fail, as the page says it in a real Chromium; the picture stays."""

from __future__ import annotations

from support.browser import PATIENCE, Browser
from support.page import ANSWERED, FAILED, answered, bring
from support.site import BLUE, MAX_BYTES, RED, Site, file_of, scene


def test_what_is_no_picture_is_refused_with_what_to_do(page: Browser) -> None:
    bring(page, b"%PDF-1.7 no picture", name="letter.pdf", mime="application/pdf")
    page.until(FAILED, "not_picture")
    assert "Choose a photograph" in page.find("#trouble").text
    assert page.all("#retry") == [], "again would not help"
    answered(page)
    assert page.find("#trouble").text == ""


def test_what_is_too_large_is_not_even_sent(page: Browser) -> None:
    before = len(page.requests())
    bring(page, file_of(scene()) + bytes(MAX_BYTES))
    page.until(FAILED, "too_large")
    assert "1.9 MB" in page.find("#trouble").text
    assert [request for request in page.requests()[before:] if request["method"] == "POST"] == []


def test_a_busy_server_says_when_to_try_again(page: Browser, running: Site) -> None:
    with running.held() as held:
        other = running.annotate(file_of(scene()))
        assert held.asked.wait(PATIENCE)
        bring(page, file_of(scene()))
        page.until(FAILED, "busy")
        assert "Try again" in page.find("#retry").text
        other.terminate()
        other.wait(PATIENCE)
        assert held.ended.wait(PATIENCE)
    page.until("!document.querySelector('#retry').disabled")
    page.find("#retry").click()
    page.until(ANSWERED)
    assert page.find("#trouble").text == ""


def test_it_shows_how_far_the_picture_is_sent_and_stops_if_told_so(page: Browser) -> None:
    slow = {"offline": False, "latency": 0, "downloadThroughput": -1}
    page.command("Network.emulateNetworkConditions", **slow, uploadThroughput=20_000)
    try:
        bring(page, file_of(scene()) + bytes(MAX_BYTES // 2))
        page.until("document.querySelector('#progress').value > 0.05 && document.querySelector('#progress').value < 1")
        assert page.find("#work-text").text == "Sending the picture"
        page.find("#cancel").click()
        page.until("document.body.dataset.state === 'chosen'")
    finally:
        page.command("Network.emulateNetworkConditions", **slow, uploadThroughput=-1)


def test_a_reader_may_cancel_and_the_work_ends(page: Browser, running: Site) -> None:
    with running.held() as held:
        bring(page, file_of(scene()))
        assert held.asked.wait(PATIENCE)
        page.until("!document.querySelector('#progress').hasAttribute('value')")
        assert page.find("#work-text").text == "Reading the picture"
        page.find("#cancel").click()
        page.until("document.body.dataset.state === 'chosen'")
        assert held.ended.wait(PATIENCE), "the work at the server has ended too"
    assert "still here" in page.find("#status").get_attribute("textContent")
    assert page.script("return document.activeElement.id") == "again"
    page.find("#again").click()
    page.until(ANSWERED)


def test_a_lost_connection_keeps_the_picture_until_it_is_back(page: Browser, running: Site) -> None:
    running.stop()
    try:
        bring(page, file_of(scene()))
        page.until(FAILED, "offline")
        assert page.find("#shown").is_displayed()
        page.until("document.querySelector('#server').textContent !== ''")
    finally:
        running.start()
    page.until("document.querySelector('#server').textContent === 'The server is back.'")
    page.find("#retry").click()
    page.until(ANSWERED)
    assert page.texts(".lines .words") == [RED, BLUE]
    page.complaints()  # Chromium's own, about the server that was gone

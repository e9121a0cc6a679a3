"""The tagger in real JupyterLab and Voila: mouse and keys, a killed server, two tabs, script that must not run."""

import os
import time
from pathlib import Path

import pytest

from flowstudy.review.tags import TagStore

from .conftest import LAB, TAG, Server

pytestmark = pytest.mark.slow
LOOK_MS = 450  # a little longer than GUARD_MS of tagger.js
XSS = "O'Neil \"<img src=x onerror=\"document.title='owned'\">"
SHOTS = Path(os.environ["FLOWSTUDY_SHOTS"]) if "FLOWSTUDY_SHOTS" in os.environ else None


def shoot(page, name):
    if SHOTS:
        page.screenshot(path=str(SHOTS / f"{name}.png"))


def open_lab(browser, server, folder, width=1500):
    page = browser.new_page(viewport={"width": width, "height": 1150})
    page.goto(f"{server.url}/lab/workspaces/w{time.time_ns()}/tree/{folder.name}/tag.ipynb?token={server.token}")
    page.wait_for_selector(".jp-Notebook .jp-CodeCell", timeout=60_000)
    page.wait_for_selector('text="Python 3 (ipykernel) | Idle"', timeout=60_000)
    page.click('.lm-MenuBar-itemLabel:text-is("Run")')
    page.click('.lm-Menu-itemLabel:text-is("Run All Cells")')
    try:
        page.wait_for_selector(".fs-tagger .fs-pair, .fs-tagger .fs-raw", timeout=90_000)
    finally:
        shoot(page, "lab-opened")
    return page


def wait_until(check, seconds=20):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if check():
            return True
        time.sleep(0.05)
    return False


def stored(folder):
    return TagStore(folder / "tags.sqlite", read_only=True).current()


def done(folder):
    return [tag for tag in stored(folder) if tag.state == "done"]


def press(page, key, position):
    """One key, then wait until the tagger shows the position it should be at, and as long as a look takes."""
    page.wait_for_timeout(LOOK_MS)
    page.keyboard.press(key)
    at(page, position)


def at(page, position):
    shown = f"document.querySelector('.fs-bar b').textContent.startsWith('{position} of')"
    page.wait_for_function(shown, timeout=20_000)


def go(page, position):
    page.fill('.fs-tagger input[type="number"]', str(position))
    page.keyboard.press("Tab")
    at(page, position)


def confirm(page):
    page.wait_for_timeout(LOOK_MS)
    page.click('.fs-act:has-text("Confirm")')


def test_lab_by_mouse_and_keys_then_a_killed_server_loses_nothing(browser, root, workplace, items_for_browser):
    server = Server(root, LAB)
    page = open_lab(browser, server, workplace)
    shoot(page, "lab-first")
    cells = page.locator(".jp-Cell").count()
    for number in range(3):
        confirm(page)
        at(page, number + 2)
    page.click(".fs-asked")
    for number in range(3, 10):
        page.keyboard.press("x")  # in JupyterLab's command mode this cuts a cell
        page.keyboard.press("d")
        page.keyboard.press("d")  # ... and this deletes one
        for key in ("Control+Enter", "Alt+Enter", "a", "b", "a", "b"):  # run the cell, insert one below or above
            page.keyboard.press(key)
        press(page, "Enter", number + 2)
    shoot(page, "lab-keys")
    assert page.locator(".jp-Cell").count() == cells
    assert page.text_content(".jp-InputPrompt >> nth=0") == "[1]:"  # no cell ran again
    assert wait_until(lambda: len(done(workplace)) == 10)
    assert all("extra_logic" in tag.categories for tag in done(workplace)[3:])
    server.stop()
    again = Server(root, LAB)
    try:
        page = open_lab(browser, again, workplace)
        assert page.text_content(".fs-bar b") == f"11 of {len(items_for_browser)}"
        page.click(".fs-asked")
        press(page, "Enter", 12)
        assert wait_until(lambda: len(done(workplace)) == 11)
    finally:
        again.stop()


def test_inputs_open_on_demand_and_typing_a_note_is_not_a_shortcut(browser, lab, workplace):
    page = open_lab(browser, lab, workplace)
    closed = page.locator(".fs-inputs:not(.fs-open)")
    count = closed.count()
    page.click(".fs-inputs:not(.fs-open) > button")
    assert closed.count() == count - 1 and page.locator(".fs-inputs.fs-open > div").first.is_visible()
    page.keyboard.press("f")  # the keys are still the tagger's: now all are open
    assert wait_until(lambda: closed.count() == 0)
    page.keyboard.press("f")
    assert wait_until(lambda: closed.count() == count)
    page.click(".fs-asked")
    page.keyboard.press("/")
    page.keyboard.type("missing steps, see dd x")
    page.keyboard.press("Escape")
    assert wait_until(lambda: [tag.note for tag in stored(workplace)] == ["missing steps, see dd x"])
    press(page, "Enter", 2)
    assert wait_until(lambda: [tag.note for tag in done(workplace)] == ["missing steps, see dd x"])


def test_two_tabs_keep_each_others_work(browser, lab, workplace):
    one, two = open_lab(browser, lab, workplace), open_lab(browser, lab, workplace)
    for page, jump in ((one, 2), (two, 6)):
        go(page, jump)
        confirm(page)
        at(page, jump + 1)
    assert wait_until(lambda: len(done(workplace)) == 2)
    for page in (one, two):  # both on the same answer: each sees what the other saved, nothing is lost
        go(page, 9)
        page.click(".fs-asked")
        page.keyboard.press("z" if page is one else "t")
        assert wait_until(lambda: len(TagStore(workplace / "tags.sqlite", read_only=True).history()) >= 3)
    assert wait_until(lambda: len(TagStore(workplace / "tags.sqlite", read_only=True).history()) == 4)
    last = stored(workplace)[-1]
    assert {"extra_input", "wrong_trigger"} <= set(last.categories)


def test_script_in_model_output_does_not_run(browser, lab, workplace, items_for_browser):
    page = open_lab(browser, lab, workplace)
    owned = []
    page.on("dialog", lambda dialog: owned.append(dialog.message))
    for number in range(len(items_for_browser), 0, -1):
        go(page, number)
        assert page.title() != "owned" and not owned
        assert page.locator(".fs-tagger img, .fs-tagger script").count() == 0
        if number == len(items_for_browser) - 1:
            shoot(page, "lab-hostile")
    shoot(page, "lab-item")


def ask_name(page, server):
    page.goto(f"{server.url}/?token={server.token}", timeout=120_000)  # Voila starts a kernel before it answers
    page.wait_for_selector('input[name="name"]', timeout=120_000)


def sign_in(browser, server, name):
    page = browser.new_context(viewport={"width": 1200, "height": 1000}).new_page()
    ask_name(page, server)
    page.fill('input[name="name"]', name)
    page.keyboard.press("Enter")
    page.wait_for_selector(".fs-tagger .fs-pair, .fs-tagger .fs-raw", timeout=60_000)
    page.click(".fs-asked")
    return page


def test_the_tag_command_serves_two_people_refuses_a_wrong_token_and_survives_a_kill(browser, tagging_run):
    server = Server(tagging_run, TAG)
    try:
        ana, odd = sign_in(browser, server, "ana"), sign_in(browser, server, XSS)
        shoot(ana, "voila")
        for number in range(10):
            press(ana, "Enter", number + 2)
        press(odd, "Enter", 2)
        assert odd.title() != "owned" and odd.locator(".fs-tagger img, .fs-tagger script").count() == 0
        assert wait_until(lambda: len(done(tagging_run)) == 11)
        for token in ("", "wrong", server.token[:-1]):
            stranger = browser.new_context().new_page()
            stranger.goto(f"{server.url}/?token={token}")
            assert stranger.locator('input[name="name"]').count() == 0
            for place in ("api/kernels", "voila/render/tag.ipynb"):
                page = stranger.request.get(f"{server.url}/{place}?token={token}")
                assert page.status >= 400 or "Start tagging" not in page.text()
    finally:
        server.stop()
    again = Server(tagging_run, TAG)
    try:
        page = sign_in(browser, again, "ana")
        assert page.text_content(".fs-bar b").startswith("11 of")
        assert len(done(tagging_run)) == 11
    finally:
        again.stop()

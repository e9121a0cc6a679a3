"""The tagger when things go wrong, in real JupyterLab and Voila: a busy kernel, dead server, hasty clicks, no mouse."""

import time

import pytest
from tests.benchmarks.tagger import large_items

from .conftest import SETUP, TAG, Server, write_notebook
from .test_tagger_browser import LOOK_MS, ask_name, at, done, go, open_lab, press, shoot, sign_in, wait_until

pytestmark = pytest.mark.slow
IN_VIEW = """selector => [...document.querySelectorAll(selector)].every(e => {
  const box = e.getBoundingClientRect();
  const middle = document.elementFromPoint(box.x + box.width / 2, box.y + box.height / 2);
  return box.top >= 0 && box.bottom <= innerHeight && (e.contains(middle) || middle?.contains(e)); })"""
#: Of every element with text of its own: its contrast with what lies behind it (WCAG 2.2), and its words.
CONTRAST = """() => {
  const canvas = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
  const rgba = c => { canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = c; canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data]; };
  const over = (a, b) => [0, 1, 2].map(i => a[i] * a[3] / 255 + b[i] * (1 - a[3] / 255));
  const linear = v => v <= .03928 * 255 ? v / 255 / 12.92 : ((v / 255 + .055) / 1.055) ** 2.4;
  const light = ([r, g, b]) => .2126 * linear(r) + .7152 * linear(g) + .0722 * linear(b);
  const behind = e => { const stack = [];
    for (; e; e = e.parentElement) stack.push(rgba(getComputedStyle(e).backgroundColor));
    return stack.reduceRight((under, c) => over(c, under), [255, 255, 255]); };
  const worded = e => e.checkVisibility({visibilityProperty: true}) && e.offsetHeight
      && [...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim());
  return [...document.querySelectorAll('.fs-tagger *')].filter(worded).map(e => {
    const back = behind(e), one = light(back), two = light(over(rgba(getComputedStyle(e).color), back));
    const words = e.className + ': ' + e.textContent.trim().slice(0, 40);
    return [(Math.max(one, two) + .05) / (Math.min(one, two) + .05), words]; });
}"""


def pressed(page, name):
    return page.get_attribute(f'[data-act="tag:{name}"]', "aria-pressed") == "true"


def test_while_the_kernel_is_busy_no_key_reaches_the_notebook(browser, lab, workplace):
    others = [f"{n}" for n in range(25)]
    write_notebook(workplace, "'above'", SETUP, "import time; time.sleep(20)", *others)
    page = open_lab(browser, lab, workplace)
    assert wait_until(lambda: page.evaluate(IN_VIEW, ".fs-bar")), "Run All leaves the tagger in view"
    cells = page.locator(".jp-Cell").count()
    page.click(".fs-asked")
    page.wait_for_selector(".fs-tagger[data-lost]", timeout=5000)
    for key in ("x", "d", "d", "c", "a", "b"):  # cut, delete, copy, insert above and below in the notebook
        page.keyboard.press(key)
        assert "Refused" in page.text_content(".fs-said")
    assert not page.is_visible(".fs-keys")
    shoot(page, "busy")
    page.wait_for_selector(".fs-tagger:not([data-lost])", timeout=60_000)
    assert "answers again" in page.text_content(".fs-said")
    press(page, "Enter", 2)
    assert page.locator(".jp-Cell").count() == cells and len(done(workplace)) == 1


def test_a_dead_server_is_shown_and_edits_are_refused_until_it_is_back(browser, tagging_run, request):
    server = Server(tagging_run, TAG)
    request.addfinalizer(server.stop)
    page = sign_in(browser, server, "ana")
    press(page, "Enter", 2)
    before = pressed(page, "wrong_trigger")
    server.stop()
    page.keyboard.press("t")  # sent before anybody can know
    started = time.monotonic()
    page.wait_for_selector(".fs-tagger[data-lost]", timeout=10_000)
    assert time.monotonic() - started < 2
    assert not page.is_visible(".fs-state") and not page.is_visible(".fs-keys")
    for act in (lambda: page.click('[data-act="tag:wrong_trigger"]'), lambda: page.keyboard.press("Enter")):
        act()
        assert "Refused" in page.text_content(".fs-said")
    assert pressed(page, "wrong_trigger") is before, "what is seen is what is stored"
    shoot(page, "dead")
    again = Server(tagging_run, TAG, server.port)
    try:
        assert (again.url, again.token) == (server.url, server.token), "the address survives a restart"
        ask_name(page, again)
        assert page.input_value('input[name="name"]') == "ana"
        page.click('button:has-text("Start tagging")')
        page.wait_for_selector(".fs-tagger .fs-item", timeout=60_000)
        assert "Pressed last" in page.text_content(".fs-said") and "wrong trigger" in page.text_content(".fs-said")
        assert page.text_content(".fs-place").startswith("2 of")
    finally:
        again.stop()


def test_a_busy_kernel_is_shown_within_two_seconds_and_what_was_pressed_last_is_named(tagger_page, items_for_browser):
    page, session, answering = tagger_page(items_for_browser)
    page.wait_for_timeout(LOOK_MS)
    before = pressed(page, "wrong_trigger")
    answering.clear()
    page.keyboard.press("t")
    page.wait_for_selector(".fs-tagger[data-lost]", timeout=2000)
    assert "wrong trigger” on answer 1" in page.text_content(".fs-said")
    assert not page.is_visible(".fs-keys") and not page.is_visible(".fs-state")
    for act in (lambda: page.click('[data-act="tag:wrong_step"]'), lambda: page.keyboard.press("Enter")):
        act()
        assert "Refused" in page.text_content(".fs-said")
    page.focus("textarea")
    page.keyboard.type("x")
    assert page.input_value("textarea") == "" and pressed(page, "wrong_trigger") is before
    shoot(page, "lost")
    answering.append("yes")
    page.wait_for_selector(".fs-tagger:not([data-lost])", timeout=5000)
    assert "Not done, press it again: “t wrong trigger” on answer 1" in page.text_content(".fs-said")
    page.keyboard.press("Escape")
    page.keyboard.press("t")
    assert wait_until(lambda: page.wait_for_timeout(20) or pressed(page, "wrong_trigger") is not before)
    assert session.store.current()[0].state == "draft"


def test_one_confirmation_needs_one_look(tagger_page, items_for_browser):
    page, session, _ = tagger_page(items_for_browser)
    page.wait_for_timeout(LOOK_MS)
    page.dblclick(".fs-confirm")
    at(page, 2)
    page.click(".fs-confirm")  # a third click, at once
    assert "only just come" in page.text_content(".fs-said")
    page.wait_for_timeout(LOOK_MS)
    assert (session.position, session.done) == (1, 1)
    page.click(".fs-asked")
    for _ in range(5):
        page.keyboard.press("Enter")
    page.wait_for_timeout(LOOK_MS)
    assert (session.position, session.done) == (2, 2)


def test_everything_by_keyboard_and_enter_acts_on_what_has_the_focus(tagger_page, items_for_browser):
    page, session, _ = tagger_page(items_for_browser)
    page.evaluate("() => { window.leaked = []; document.addEventListener('keydown', e => leaked.push(e.key)); }")
    page.focus('[data-act="tag:wrong_trigger"]')
    before = pressed(page, "wrong_trigger")
    for key in ("Enter", " "):
        page.keyboard.press(key)
        before = not before
        assert wait_until(lambda now=before: page.wait_for_timeout(20) or pressed(page, "wrong_trigger") is now)
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    page.focus(".fs-definitions summary")
    page.keyboard.press("Enter")
    assert page.evaluate("document.querySelector('.fs-definitions').open") and session.done == 0
    page.wait_for_timeout(LOOK_MS)
    page.focus(".fs-skip")
    page.keyboard.press("Enter")
    at(page, 2)
    assert [tag.state for tag in session.store.current()] == ["skipped"]
    page.focus(".fs-pair")
    page.keyboard.press("f")  # draws the pane anew: the focus must not fall to the notebook
    page.wait_for_selector(".fs-inputs.fs-open")
    assert page.evaluate("document.activeElement.className") == "fs-tagger"
    for key in ("x", "d", "d"):
        page.keyboard.press(key)
    assert wait_until(lambda: page.wait_for_timeout(20) or len(session.store.history()) == 6)
    assert page.evaluate("leaked") == [], "no key leaves the tagger"
    assert page.evaluate("""() => [...document.querySelectorAll('.fs-tagger :is(button, progress, textarea, input)')]
        .every(e => e.textContent.trim() || e.ariaLabel || e.labels?.[0]?.textContent.trim())""")


def test_a_laptop_shows_requirement_differences_and_buttons_of_15_steps(tagger_page):
    items = large_items(3, steps=15)
    long = items[1].example.model_copy(update={"requirement": "a line\n" * 4000})
    page, _, _ = tagger_page([items[0], items[1]._replace(example=long), items[2]])
    for number in (1, 2, 3):
        page.wait_for_timeout(LOOK_MS)
        shoot(page, f"laptop-{number}")
        assert page.evaluate(IN_VIEW, ".fs-asked, .fs-pair, .fs-act"), number
        assert page.evaluate("document.documentElement.scrollHeight") <= 2500
        page.evaluate("document.querySelector('.fs-definitions').open = true")
        page.evaluate("scrollTo(0, 1e6)")
        if number < 3:
            page.evaluate("document.querySelector('.fs-tagger').focus({preventScroll: true})")
            page.keyboard.press("Enter")
            at(page, number + 1)


def test_text_can_be_read_in_both_themes(tagger_page, items_for_browser):
    page, _, _ = tagger_page(items_for_browser)
    for light in ("true", "false"):
        page.evaluate(f"document.body.dataset.jpThemeLight = '{light}'")
        for number in (1, 5, 11):
            go(page, number)
            faint = [row for row in page.evaluate(CONTRAST) if row[0] < 4.5]
            assert not faint, faint
        shoot(page, f"light-{light}")

"""Tagging without a browser: every click is saved, undo goes back, text is escaped, large flows stay fast."""

import asyncio

import pandas as pd
import pytest
from tests.benchmarks.tagger import large_items

from flowstudy.analysis.measures import PRIMARY
from flowstudy.analysis.taxonomy import load_taxonomy
from flowstudy.analysis.verdicts import fingerprint, match_tags
from flowstudy.review.coverage import coverage, coverage_text
from flowstudy.review.item_view import comparison_rows, item_html
from flowstudy.review.sampling import sample_items
from flowstudy.review.session import Session
from flowstudy.review.tagger import DRAWING_S, Tagger
from flowstudy.review.tags import TagStore, TagStoreError


@pytest.fixture
def session(items, tmp_path):
    return Session(items, TagStore(tmp_path / "tags.sqlite"), "ana")


def shown(session, **options):
    tagger = Tagger(session, **options)
    tagger.fill()
    return tagger


def test_the_answer_is_on_its_way_before_the_rest(session):
    """A notebook's own loop runs while a cell does: the browser must hear of the answer first, and of all of it."""

    async def notebook():
        tagger = shown(session)
        first = len(tagger.widget.children), "fs-item" in tagger.view.value
        await asyncio.sleep(DRAWING_S * 2)
        return first, len(tagger.widget.children)

    first, later = asyncio.run(notebook())
    assert first == (4, True) and later > 4
    assert len(shown(session).widget.children) == later, "elsewhere at once"


def test_proposals_are_ticked_and_one_key_confirms(session):
    tagger = Tagger(session)
    first, ticked = session.item, list(session.selected)
    assert ticked
    tagger.press("Enter")
    saved = session.store.current()
    assert [(t.place, t.state, t.categories, t.proposed) for t in saved] == [(first.place, "done", ticked, ticked)]
    assert session.position == 1 and session.done == 1 and session.pace_s is not None


def test_every_toggle_is_in_the_store_at_once(session):
    Tagger(session).press("t")
    assert session.store.current()[0].state == "draft"
    assert "wrong_trigger" in session.store.current()[0].categories
    Tagger(session).press("t")
    assert "wrong_trigger" not in session.store.current()[0].categories


def test_reopening_goes_on_where_it_stopped(session, items):
    tagger = Tagger(session)
    tagger.press("Enter")
    tagger.press("s")
    session.write_note('why, "though" <b>')
    again = Session(items, session.store, "ana")
    assert (again.position, again.done, again.note) == (2, 2, 'why, "though" <b>')
    assert Session(items, session.store, "bo").done == 0


def test_undo_takes_back_click_by_click(session):
    tagger, first = Tagger(session), session.selected
    tagger.press("t")
    tagger.press("Enter")
    tagger.press("u")
    assert session.position == 0 and "wrong_trigger" in session.selected and session.done == 0
    tagger.press("u")
    assert session.selected == first and session.store.current() == []
    assert not session.undo()


def test_a_failing_store_is_shown_and_changes_nothing(session, monkeypatch):
    tagger = Tagger(session)

    def fail(*_):
        raise TagStoreError("tag store x: disk full <script>")

    monkeypatch.setattr(session.store, "add", fail)
    before = list(session.selected)
    tagger._on_key({"key": "Enter", "position": 0})
    assert "Not saved" in tagger.error.value and "&lt;script&gt;" in tagger.error.value
    assert session.position == 0 and session.selected == before
    tagger.choices["wrong_trigger"].value = True
    assert tagger.choices["wrong_trigger"].value is False  # what is shown is what is stored


def test_a_key_for_an_answer_that_is_no_longer_shown_does_nothing(session):
    tagger = Tagger(session)
    for _ in range(2):  # Enter pressed twice, faster than the next answer was drawn
        tagger._on_key({"key": "Enter", "position": 0})
    assert session.position == session.done == 1
    tagger._on_key({"key": "ArrowLeft", "position": 5})
    assert session.position == 0


def test_buttons_do_what_keys_do(session):
    tagger = Tagger(session)
    tagger.choices["wrong_trigger"].value = True
    assert "wrong_trigger" in session.store.current()[0].categories
    tagger.jump.value = 4
    assert session.position == 3
    tagger.note.value = "hm"
    assert [tag.note for tag in session.store.on(session.item.place)] == ["hm"]


def test_everything_from_outside_is_escaped(session, items, xss):
    taxonomy = load_taxonomy()
    for number, item in enumerate(items):
        html = item_html(item, taxonomy, session.explained(number).tags, inputs=True)
        assert xss not in html and "<script" not in html and "<img" not in html
    assert "onerror" in html or "&lt;img" in html
    bar = shown(Session(items, session.store, xss)).bar.value
    assert "fs-bar" in bar and "<img" not in bar


def test_the_first_difference_stands_above_the_flows_and_is_escaped(items, xss):
    item = items[0]._replace(verdict="nearly", difference=f"when {xss}: expected nothing")
    page = item_html(item, load_taxonomy(), [])
    assert xss not in page and "nearly right" in page
    assert page.index("It does something else") < page.index("fs-pair")
    unknown = item_html(item._replace(verdict="unknown", difference="too long"), load_taxonomy(), [])
    assert "Whether it does the same" in unknown and "fs-difference" not in item_html(items[0], load_taxonomy(), [])


def test_blind_hides_the_system(session, items):
    tagger = shown(session, blind=True)
    assert items[0].prediction.system not in tagger.view.value and "system hidden" in tagger.view.value


def test_every_step_of_both_flows_is_shown_once(items):
    from flowstudy.analysis.alignment import align
    from flowstudy.analysis.errors import anchors
    from flowstudy.metrics import explain

    for item in items[:-1]:
        reference, flow = item.example.flow, item.prediction.flow
        rows = comparison_rows(reference, flow, align(reference, flow, anchors(explain(flow, reference))))
        assert [r.left.order for r in rows if r.left] == [c.order for c in reference.components]
        assert [r.right.order for r in rows if r.right] == [c.order for c in flow.components]


def test_300_steps_are_shown_whole_and_confirmed(tmp_path):
    """How fast is measured in a browser by `tests.benchmarks.tagger`."""
    tagger = shown(Session(large_items(2), TagStore(tmp_path / "t.sqlite"), "ana"))
    assert tagger.view.value.count('class="fs-n">300<') == 2 and "fs-replaced" in tagger.view.value
    tagger.press("Enter")
    assert tagger.session.position == 1


def test_queue_plans(items):
    predictions, examples = [i.prediction for i in items], [i.example for i in items]
    scores = pd.DataFrame(
        [(*i.place, "dev", "it", "ok", PRIMARY, i.score, "") for i in items],
        columns=["system", "example", "repeat", "split", "domain", "status", "measure", "value", "reason"],
    )
    worst = sample_items(predictions, examples, scores=scores, sampling="worst", items=4)
    assert [i.score for i in worst] == sorted(i.score for i in items)[:4]
    drawn = sample_items(predictions, examples, sampling="random", items=5, seed=3)
    assert drawn == sample_items(predictions[::-1], examples, sampling="random", items=5, seed=3)
    strata = [(i.example.domain, i.prediction.system) for i in
              sample_items(predictions, examples, sampling="stratified", items=99)]  # fmt: skip
    count = len(set(strata))
    assert len(set(strata[:count])) == count
    for kind, message in (("worst", "pass `scores`"), ("disagreements", "pass `tags`"), ("best", "expected one of")):
        with pytest.raises(ValueError, match=message):
            sample_items(predictions, examples, sampling=kind)


@pytest.fixture
def disputed(session, items):
    """Two annotators confirmed four answers; they differ on the third."""
    for name in ("ana", "bo"):
        tagger = Tagger(Session(items, session.store, name))
        for number in range(4):
            if name == "bo" and number == 2:
                tagger.press("t")
                tagger.session.write_note("the <b>trigger</b> differs")
            tagger.press("Enter")
    return session.store


def matched(store, items):
    return match_tags(store.table(), [i.prediction for i in items], load_taxonomy())


def test_disagreements_come_first_and_can_be_asked_for_alone(disputed, items):
    tags = matched(disputed, items)
    world = [i.prediction for i in items], [i.example for i in items]
    queue = sample_items(*world, sampling="disagreements", tags=tags)
    assert queue[0].place == items[2].place and len(queue) == len(items)
    assert [i.place for i in sample_items(*world, sampling="adjudicate", tags=tags)] == [items[2].place]


def test_the_adjudicator_sees_who_said_what_and_has_the_last_word(disputed, items):
    tagger = shown(Session([items[2]], disputed, "ana", role="adjudicator"))
    html = tagger.view.value
    assert "fs-opinions" in html and ">ana<" in html and ">bo<" in html and "<b>trigger" not in html
    assert "wrong_trigger" in tagger.session.selected  # half of two gave it
    tagger.press("t")
    tagger.press("Enter")
    mine = [t for t in disputed.current() if t.annotator == "ana" and t.place == items[2].place]
    assert [(t.role, "wrong_trigger" in t.categories) for t in mine] == [("annotator", False), ("adjudicator", False)]
    text = coverage_text(matched(disputed, items), items, load_taxonomy())
    assert "Annotators differ on 1 answers; 1 of them adjudicated." in text
    tagger.press("u")
    assert "0 of them adjudicated" in coverage_text(matched(disputed, items), items, load_taxonomy())


def test_annotators_do_not_see_each_other(disputed, items):
    view = shown(Session([items[2]], disputed, "cy")).view.value
    assert "fs-item" in view and "fs-opinions" not in view


def test_coverage_counts_and_says_what_does_not_count(disputed, items):
    tags = matched(disputed, items)
    table = coverage(tags, items).set_index("system")
    assert table["tagged"].sum() == table["twice"].sum() == 4 and table["queued"].sum() == len(items)
    text = coverage_text(tags, items, load_taxonomy())
    assert "ana (4), bo (4)" in text and "alpha (masi)" in text
    world = [i.prediction for i in items[1:]]
    world[0] = world[0].model_copy(update={"flow": items[0].prediction.flow})
    text = coverage_text(match_tags(disputed.table(), world, load_taxonomy()), items, load_taxonomy())
    assert "2 tags belong to answers that are not in this run" in text
    assert "2 tags were given to an earlier answer" in text
    assert coverage_text(tags, [], load_taxonomy()).startswith("Nothing to tag")


def test_an_answer_that_changed_since_is_open_again(session, items):
    tagger = Tagger(session)
    tagger.press("t")
    tagger.press("Enter")
    other = items[0].prediction.model_copy(update={"flow": items[0].example.flow})
    assert fingerprint(other) != fingerprint(items[0].prediction)
    again = Session([items[0]._replace(prediction=other), *items[1:]], session.store, "ana")
    assert (again.position, again.done, again.saved) == (0, 0, None)
    assert "wrong_trigger" not in again.selected


def test_sessions_need_answers_and_a_name(items, tmp_path):
    store = TagStore(tmp_path / "t.sqlite")
    with pytest.raises(ValueError, match="got none"):
        Session([], store, "ana")
    with pytest.raises(ValueError, match="name of the annotator"):
        Session(items, store, "  ")

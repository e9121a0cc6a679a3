"""Tagging without a browser: every click is saved, undo goes back, text is escaped, large flows stay fast."""

import pandas as pd
import pytest
from tests.benchmarks.tagger import large_items

from flowstudy.analysis.measures import PRIMARY
from flowstudy.analysis.taxonomy import load_taxonomy
from flowstudy.analysis.verdicts import fingerprint, match_tags
from flowstudy.corpus.example import Example
from flowstudy.flows import Flow
from flowstudy.review.coverage import coverage, coverage_text
from flowstudy.review.item_view import comparison_rows, item_html
from flowstudy.review.sampling import sample_items
from flowstudy.review.session import Session
from flowstudy.review.tagger import Tagger
from flowstudy.review.tags import TagStore, TagStoreError
from flowstudy.systems.records import Prediction


@pytest.fixture
def session(items, tmp_path):
    return Session(items, TagStore(tmp_path / "tags.sqlite"), "ana")


def shown(session):
    tagger = Tagger(session)
    tagger.refresh()
    return tagger


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
    tagger.hear({"act": "confirm", "position": 0})
    assert tagger.widget.state["words"]["error"] == "Not saved. TagStoreError: tag store x: disk full <script>"
    assert session.position == 0 and session.selected == before
    tagger.hear({"act": "tag:wrong_trigger", "position": 0})
    assert tagger.widget.state["selected"] == before  # what is shown is what is stored


def test_what_was_meant_for_an_answer_that_is_no_longer_shown_does_nothing(session):
    tagger = Tagger(session)
    for _ in range(2):  # pressed twice, faster than the next answer was drawn
        tagger.hear({"act": "confirm", "position": 0})
    assert session.position == session.done == 1
    tagger.hear({"note": "of the first", "position": 0})
    assert "of the first" in tagger.widget.state["words"]["error"] and session.note == ""
    tagger.hear({"act": "back", "position": 5})
    assert session.position == 0


def test_the_browser_is_told_how_far_it_was_heard(session, monkeypatch):
    """A ping is answered with the number of the last message obeyed: so the page knows what a break has swallowed."""
    tagger, replies = Tagger(session), []
    monkeypatch.setattr(tagger.widget, "send", replies.append)
    tagger.hear({"act": "confirm", "position": 0, "n": 1})
    tagger.hear({"ping": True, "n": 2})
    assert replies == [{"heard": 1, "upto": 1}, {"heard": 1, "upto": 2}]


def test_buttons_notes_and_jumps(session):
    tagger = Tagger(session)
    tagger.hear({"act": "tag:wrong_trigger", "position": 0})
    assert "wrong_trigger" in session.store.current()[0].categories
    tagger.hear({"jump": 4, "position": 0})
    assert session.position == 3
    tagger.hear({"note": "hm", "position": 3})
    assert [tag.note for tag in session.store.on(session.item.place)] == ["hm"]


def test_everything_from_outside_is_escaped(session, items, xss):
    taxonomy = load_taxonomy()
    for number, item in enumerate(items):
        html = item_html(item, taxonomy, session.explained(number).tags, inputs=True)
        assert xss not in html and "<script" not in html and "<img" not in html
    assert "onerror" in html or "&lt;img" in html
    page = shown(Session(items, session.store, xss)).widget
    assert page.state["words"]["who"] == xss and xss not in page.frame, "set as text, see tagger.js"


def test_the_first_difference_stands_above_the_flows_and_is_escaped(items, xss):
    item = items[0]._replace(verdict="nearly", difference=f"when {xss}: expected nothing")
    page = item_html(item, load_taxonomy(), [])
    assert xss not in page and "nearly right" in page
    assert page.index("It does something else") < page.index("fs-pair")
    unknown = item_html(item._replace(verdict="unknown", difference="too long"), load_taxonomy(), [])
    assert "Whether it does the same" in unknown and "fs-difference" not in item_html(items[0], load_taxonomy(), [])


def test_blind_hides_system_score_and_proposals_until_the_first_choice(items, tmp_path):
    session = Session(items, TagStore(tmp_path / "t.sqlite"), "ana", blind=True)
    tagger = shown(session)
    view = tagger.widget.view
    assert (
        items[0].prediction.system not in view
        and "system hidden" in view
        and "FlowSim" not in view
        and "right" not in view
    )
    assert session.selected == [] and "after your first choice" in view and "fs-evidence" not in view
    tagger.press("t")
    assert session.selected == ["wrong_trigger"] and "fs-evidence" in tagger.widget.view


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
    assert tagger.widget.view.count('class="fs-n">300<') == 2 and "fs-replaced" in tagger.widget.view
    tagger.press("Enter")
    assert tagger.session.position == 1


def test_queue_plans(items):
    predictions, examples = [i.prediction for i in items], [i.example for i in items]
    scores = pd.DataFrame(
        [(*i.place, "dev", "it", "ok", PRIMARY, i.score, "") for i in items],
        columns=["system", "example", "repeat", "split", "domain", "status", "measure", "value", "reason"],
    )
    worst = sample_items(predictions, examples, scores=scores, sampling="worst", items=4)
    assert [i.score for i in worst] == sorted(i.score for i in items if i.prediction.flow)[:4]
    drawn = sample_items(predictions, examples, sampling="random", items=5, seed=3)
    assert drawn == sample_items(predictions[::-1], examples, sampling="random", items=5, seed=3)
    for kind in ("worst", "random", "stratified"):
        queue = sample_items(predictions, examples, scores=scores, sampling=kind, items=99, aside={"system-1"})
        turn = [2 if i.prediction.flow is None else int(i.prediction.system == "system-1") for i in queue]
        assert turn == sorted(turn) and len(queue) == len(items), "main systems first, unreadable answers last"
    for kind, message in (("worst", "pass `scores`"), ("disagreements", "pass `tags`"), ("best", "expected one of")):
        with pytest.raises(ValueError, match=message):
            sample_items(predictions, examples, sampling=kind)


def test_a_stratified_queue_has_every_domain_and_every_system_early(items):
    """12 systems and 14 domains: 20 answers cannot have one of each pair, but one of each domain and system."""
    world = [(Example(id=f"{d}-{n}", requirement="r", references=[Flow()], domain=f"d{d}"), f"s{s}")
             for d in range(14) for s in range(12) for n in range(2)]  # fmt: skip
    predictions = [Prediction(example=e.id, system=s, status="ok", flow=Flow()) for e, s in world]
    queue = sample_items(predictions, [e for e, _ in world], sampling="stratified", items=20)
    assert len({i.example.domain for i in queue}) == 14 and len({i.prediction.system for i in queue}) == 12


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
    html = tagger.widget.view
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
    view = shown(Session([items[2]], disputed, "cy")).widget.view
    assert "fs-item" in view and "fs-opinions" not in view


def test_coverage_counts_and_says_what_does_not_count(disputed, items):
    tags = matched(disputed, items)
    table = coverage(tags, items).set_index("system")
    assert table["tagged"].sum() == table["twice"].sum() == 4 and table["answers"].sum() == len(items)
    other = coverage(tags, items[5:]).set_index("system")
    assert other["tagged"].sum() == 4 and other["answers"].sum() == len(items) - 1, "tagged in another queue: not lost"
    text = coverage_text(tags, items, load_taxonomy())
    assert "ana (4), bo (4)" in text and "alpha (masi)" in text
    world = [i.prediction for i in items[1:]]
    world[0] = world[0].model_copy(update={"flow": items[0].prediction.flow})
    text = coverage_text(match_tags(disputed.table(), world, load_taxonomy()), items, load_taxonomy())
    assert "2 tags belong to answers that are not in this run" in text
    assert "2 tags were given to an earlier answer" in text
    assert coverage_text(tags[:0], [], load_taxonomy()).startswith("Nothing to tag")


def test_an_answer_that_changed_since_is_open_again(session, items):
    tagger = Tagger(session)
    tagger.press("t")
    tagger.press("Enter")
    other = items[0].prediction.model_copy(update={"flow": items[0].example.flow})
    assert fingerprint(other) != fingerprint(items[0].prediction)
    again = Session([items[0]._replace(prediction=other), *items[1:]], session.store, "ana")
    assert (again.position, again.done, again.saved) == (0, 0, None)
    assert "wrong_trigger" not in again.selected


def test_a_name_in_another_case_is_the_same_person(session, items):
    Tagger(session).press("Enter")
    again = Session(items, session.store, " Ana ")
    assert (again.annotator, again.done) == ("ana", 1)


def test_sessions_need_answers_and_a_name(items, tmp_path):
    store = TagStore(tmp_path / "t.sqlite")
    with pytest.raises(ValueError, match="got none"):
        Session([], store, "ana")
    with pytest.raises(ValueError, match="name of the annotator"):
        Session(items, store, "  ")

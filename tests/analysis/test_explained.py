"""Proposals say whether an edit matters: one that changes nothing is told apart, and only where that is known."""

import pytest

from flowstudy.analysis.explained import HARMLESS, explain_answer
from flowstudy.corpus import shipped_catalogue
from flowstudy.corpus.example import Example
from flowstudy.flows import from_outline
from flowstudy.systems.records import Prediction

IT = shipped_catalogue("it_service")
REFERENCE = """trigger record_update | table = incident | condition = priority=1
action look_up_record | table = sys_user | conditions = name=Bo
action update_record | table = incident | record = {{trigger.record}} | values = state=closed
action send_sms | to = Bo | message = Closed"""
LOOK_UP = "action look_up_record | table = sys_user | conditions = name=Bo\n"


def marked(got: str, **options) -> dict[str, bool]:
    """Proposed category to whether its edit is said to change nothing."""
    example = Example(id="e", requirement="r", references=[from_outline(REFERENCE)], domain="it")
    answer = Prediction(example="e", system="s", status="ok", flow=from_outline(got))
    return {tag.category: HARMLESS in tag.evidence for tag in explain_answer(answer, example, IT, **options).tags}


EDITS = {
    "a look-up that nobody uses is missing": (REFERENCE.replace(LOOK_UP, ""), {"missing_step": True}),
    "an effect is missing": (REFERENCE.rpartition("\n")[0], {"missing_step": False}),
    "a look-up too many": (f"{REFERENCE}\naction look_up_records | table = incident", {"extra_step": True}),
    "a message too many": (f"{REFERENCE}\naction log_message | message = a", {"extra_step": False}),
    "an unused filter": (REFERENCE.replace("name=Bo", "name=Al"), {"wrong_value": True}),
    "another text": (REFERENCE.replace("= Closed", "= Open"), {"wrong_value": False}),
    "an invented step": (f"{REFERENCE}\naction get_nothing", {"invented_step": False}),
}  # fmt: skip


@pytest.mark.parametrize("name", EDITS)
def test_an_edit_that_changes_nothing_is_said_to(name):
    got, expected = EDITS[name]
    found = marked(got)
    assert {category: found[category] for category in expected} == expected
    assert not any(marked(got, effects=False).values()), "of many answers it is not looked into"

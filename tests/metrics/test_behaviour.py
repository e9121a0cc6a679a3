"""Behaviour says whether two flows do the same: known values, edits with a known verdict, properties, bad input."""

from __future__ import annotations

import functools
import random

import pytest
import yaml
from hypothesis import given, settings

from flowstudy.corpus import shipped_catalogue
from flowstudy.corpus.environments import DATA
from flowstudy.flows import Flow, from_outline, kind_of
from flowstudy.metrics import UnreadableFlow, behaviour
from flowstudy.metrics.symbolic.verdict import MAX_RUN_STEPS, MAX_SITUATIONS
from tests.metrics.behaviour_edits import CHANGING, PRESERVING, edited
from tests.metrics.examples import HOSTILE, flows

TRIGGER = "trigger record_update | table = incident | condition = priority=1\n"
IT = shipped_catalogue("it_service")


def outline(text, trigger=TRIGGER):
    return from_outline(trigger + text.strip("\n"))


def compared(candidate, reference, catalogue=IT):
    return behaviour(outline(candidate), outline(reference), catalogue)


APPROVAL = """
action ask_for_approval | record = {{trigger.record}} | approver = Managers
IF | condition = {{step.1.decision}}=approved
  action update_record | table = incident | record = {{trigger.record}} | values = state=in_progress
ELSE
  action update_record | table = incident | record = {{trigger.record}} | values = state=cancelled
"""
EXCHANGED = APPROVAL.replace("=approved", "!=approved").replace("in_progress", "x").replace("cancelled", "in_progress")
PARALLEL = """
PARALLEL
  BRANCH
    action unlock_account | user = {{trigger.record.caller}}
  BRANCH
    action send_sms | to = {{trigger.record.caller}} | message = Hello
"""
SAME = {
    "a look-up put first, all references right": (
        "action look_up_record | table = sys_user | conditions = name=Bo\n"
        + APPROVAL.replace("step.1", "step.2").strip("\n"),
        APPROVAL,
    ),
    "IF and ELSE exchanged with their condition": (EXCHANGED.replace("=x", "=cancelled"), APPROVAL),
    "the only other decision": (APPROVAL.replace("=approved", "!=rejected"), APPROVAL),
    "PARALLEL in another order": (
        PARALLEL.replace("unlock_account | user", "y").replace("send_sms | to", "unlock_account | user")
        .replace("y = {{trigger.record.caller}}", "send_sms | to = {{trigger.record.caller}} | message = Hello")
        .replace("unlock_account | user = {{trigger.record.caller}} | message = Hello",
                 "unlock_account | user = {{trigger.record.caller}}"),
        PARALLEL,
    ),
    "a list of values, an OR": (
        "IF | condition = {{trigger.record.state}}INnew,closed\n  action log_message | message = a",
        "IF | condition = {{trigger.record.state}}=closed^OR{{trigger.record.state}}=new\n"
        "  action log_message | message = a",
    ),
    "a filter in the look-up, an IF in the loop": (
        "action look_up_records | table = incident | conditions = state=new\nFOREACH | items = {{step.1.records}}\n"
        "  action add_comment | record = {{step.2.item}} | text = a",
        "action look_up_records | table = incident\nFOREACH | items = {{step.1.records}}\n"
        "  IF | condition = {{step.2.item.state}}=new\n    action add_comment | record = {{step.2.item}} | text = a",
    ),
    "a dedicated creation, a record with all columns": (
        "action create_incident | short_description = a | impact = 1\n"
        "action update_record | table = incident | record = {{step.1.record}} | values = category=network",
        "action create_record | table = incident | values = category=network^impact=1^short_description=a",
    ),
    "a task that is waited for, a task and a wait": (
        "action create_task | table = task | values = short_description=a | wait = true\n"
        "action log_message | message = b",
        "action create_task | table = task | values = short_description=a\n"
        "action wait_for_condition | record = {{step.1.record}} | conditions = state=closed\n"
        "action log_message | message = b",
    ),
    "create or update, a look-up and a choice": (
        "action create_or_update_record | table = sys_user | conditions = email=a | values = email=a^name=b",
        "action look_up_record | table = sys_user | conditions = email=a\nIF | condition = {{step.1.found}}=true\n"
        "  action update_record | table = sys_user | record = {{step.1.record}} | values = name=b\nELSE\n"
        "  action create_record | table = sys_user | values = name=b^email=a",
    ),
    "bands of numbers": (
        "IF | condition = {{trigger.record.reopen_count}}>=3\n  action log_message | message = a\n"
        "ELSEIF | condition = {{trigger.record.reopen_count}}=2\n  action log_message | message = b",
        "IF | condition = {{trigger.record.reopen_count}}>2\n  action log_message | message = a\n"
        "ELSEIF | condition = {{trigger.record.reopen_count}}>1\n  action log_message | message = b",
    ),
}  # fmt: skip
DIFFERENT = {
    "a look-up put first, all references broken": (
        "action look_up_record | table = sys_user | conditions = name=Bo\n" + APPROVAL.strip("\n"),
        APPROVAL,
    ),
    "the opposite condition": (APPROVAL.replace("=approved", "!=approved"), APPROVAL),
    "an effect more": (APPROVAL + "action log_message | message = a", APPROVAL),
    "a wait before the step": (
        "WAIT | duration = 1 day\naction log_message | message = a",
        "action log_message | message = a",
    ),
    "END too early": ("END\naction log_message | message = a", "action log_message | message = a"),
    "no CATCH": (
        "action unlock_account | user = a",
        "TRY\n  action unlock_account | user = a\nCATCH\n  action log_message | message = b",
    ),
    "a loop once": (
        "action run_discovery | ci = a",
        "DOUNTIL | condition = {{step.2.status}}=ok\n  action run_discovery | ci = a",
    ),
    "overwritten in the other order": (
        "action unlock_account | user = a\naction disable_account | user = a\naction unlock_account | user = a",
        "action unlock_account | user = a\naction disable_account | user = a",
    ),
}


@pytest.mark.parametrize("name", SAME)
def test_flows_that_do_the_same(name):
    for one, other in (SAME[name], SAME[name][::-1]):
        found = compared(one, other)
        assert (found.verdict, found.agree, found.f1, found.counterexample) == ("same", 1, 1, None)


@pytest.mark.parametrize("name", DIFFERENT)
def test_flows_that_do_not_do_the_same(name):
    for one, other in (DIFFERENT[name], DIFFERENT[name][::-1]):
        found = compared(one, other)
        assert not found.same and found.counterexample and found.verdict in ("different", "other moment")


def test_the_first_difference_is_told_in_words():
    found = compared(APPROVAL.replace("=cancelled", "=new"), APPROVAL)
    assert found.counterexample == (
        "when priority is 1 and decision of ask_for_approval is rejected: "
        "expected update_record(state=cancelled), got update_record(state=new)"
    )
    assert (found.agree, found.f1, found.f1_names) == (0.5, 0.75, 1.0)


def test_only_the_moment_differs():
    wait, log = "WAIT | duration = 1 day", "action log_message | message = a"
    found = compared(f"{log}\n{wait}\naction send_sms | to = a", f"{wait}\n{log}\naction send_sms | to = a")
    assert (found.verdict, found.same) == ("other moment", False)


def test_another_trigger_is_not_the_same_but_the_body_agrees():
    one = outline("action log_message | message = a", "trigger daily | time = 09:00\n")
    other = outline("action log_message | message = a", "trigger daily | time = 10:00\n")
    found = behaviour(one, other, IT)
    assert (found.same, found.starts, found.agree, found.f1) == (False, False, 1, 1)
    assert "09:00" in found.counterexample


def test_a_dropped_trigger_condition_is_a_difference_of_the_trigger_alone():
    log = "action log_message | message = a"
    found = behaviour(outline(log, "trigger record_update | table = incident\n"), outline(log), IT)
    assert (found.verdict, found.agree, found.f1) == ("different", 1, 1)


def test_references_to_nothing_are_counted_and_equal_nothing():
    text = "action log_message | message = {{step.7.record}} {{step.1.record}} {{nonsense}}"
    found = compared(text, text)
    assert not found.same and len(found.dangling) == 3


def test_only_the_catalogue_or_the_reference_closes_the_values():
    act = "\n  action log_message | message = a"
    candidate = f"IF | condition = {{{{trigger.record.delay}}}}=true{act}"
    reference = f"IF | condition = {{{{trigger.record.delay}}}}>45{act}"
    assert not compared(candidate, reference, None).same


def test_a_step_of_the_reference_that_is_never_reached_leaves_it_open():
    dead = "IF | condition = {{trigger.record.active}}=true^{{trigger.record.active}}=false\n  action log_message"
    found = compared(dead, dead)
    assert found.verdict == "unknown" and "reached in no situation" in found.unknown


def test_too_few_steps_to_take_leave_it_open():
    found = behaviour(outline(APPROVAL), outline(APPROVAL), IT, most_steps=1)
    assert found.verdict == "unknown" and "no difference" in found.unknown


def test_the_best_of_several_references():
    right, wrong = outline(APPROVAL), outline("action log_message | message = a")
    found = behaviour(right, [wrong, right, right], IT)
    assert (found.same, found.best) == (True, 1)


def test_reading_steps_count_only_through_what_uses_them():
    read, log = "action look_up_record | table = sys_user | conditions = name=Bo\n", "action log_message | message = a"
    assert compared(read + log, log).same
    assert not behaviour(outline(read + log), outline(log), IT, every_step_counts=True).same


def test_a_catalogue_says_what_a_step_is():
    step = IT.actions["unlock_account"].model_copy(update={"kind": "reads"})
    reading = IT.model_copy(update={"actions": {**IT.actions, "unlock_account": step}})
    nothing, unlock = "", "action unlock_account | user = a"
    assert compared(unlock, nothing, reading).same and not compared(unlock, nothing).same
    assert kind_of("x_own.query_stock") == "reads" and kind_of("ask_for_approval") == "waits"


@functools.cache
def references():
    """References of the training and dev splits, by domain, read without the sealed files."""
    found = []
    for path in sorted((DATA / "examples").glob("*/*.yaml")):
        if path.stem.startswith(("train_1", "dev_1", "dev_ood")) and path.stem not in ("train_10", "dev_10"):
            rows = yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader)
            found += [(row["id"], path.parent.name, row["flow"]) for row in rows]
    return random.Random(7).sample(found, len(found))


def edits_of(edit, most):
    """(id, candidate, reference, catalogue) for the first `most` references to which an edit applies."""
    count = 0
    for name, domain, text in references():
        reference = from_outline(text)
        candidate = edited(edit, reference)
        if candidate is not None and count < most:
            count += 1
            yield name, candidate, reference, shipped_catalogue(domain)


@pytest.mark.parametrize("edit", PRESERVING, ids=lambda edit: edit.__name__)
def test_edits_that_change_nothing(edit):
    pairs = list(edits_of(edit, 6))
    assert len(pairs) >= 2
    assert {n: b.counterexample or b.unknown for n, c, r, k in pairs if not (b := behaviour(c, r, k)).same} == {}


@pytest.mark.parametrize("edit", CHANGING, ids=lambda edit: edit.__name__)
def test_edits_that_change_what_is_done(edit):
    pairs = list(edits_of(edit, 6))
    assert len(pairs) >= 2
    assert [name for name, c, r, k in pairs if behaviour(c, r, k).same] == []


@settings(max_examples=40, deadline=None)
@given(flows(), flows())
def test_a_flow_is_the_same_as_itself_and_the_verdict_is_symmetric(a, b):
    own = behaviour(a, a)
    assert own.same or own.dangling or own.unknown
    there, back = behaviour(a, b), behaviour(b, a)
    assert there.same == back.same or there.unknown or back.unknown
    assert all(0 <= value <= 1 for each in (there, back) for value in (each.agree, each.f1, each.f1_names))


@settings(max_examples=40, deadline=None)
@given(HOSTILE)
def test_hostile_candidates_never_crash(candidate):
    found = behaviour(candidate, outline(APPROVAL), IT)
    assert not found.same and 0 <= found.agree <= 1


MANY = "".join(
    f"IF | condition = {{{{trigger.record.c{n}}}}}=1\n  action log_message | message = m{n}\n" for n in range(40)
)
LOOPS = (
    "".join(f"{'  ' * n}DOUNTIL | condition = {{{{trigger.record.c{n}}}}}=1\n" for n in range(10))
    + f"{'  ' * 10}action log_message | message = a"
)
CHAIN = "action create_mailbox | user = a\n" + "".join(
    f"action create_mailbox | user = {{{{step.{n}.mailbox}}}} {{{{step.{n}.mailbox}}}}\n" for n in range(1, 60)
)
STRANGE = {
    "40 conditions": MANY,
    "10 nested loops": LOOPS,
    "values that double with every step": CHAIN,
    "an unknown step": "action frobnicate | what = ever",
    "text for a record": "action update_record | table = incident | record = Please | values = and quickly",
    "no condition": "IF\n  action log_message | message = a\nFOREACH\n  action log_message | message = b",
}


@pytest.mark.parametrize("name", STRANGE)
@pytest.mark.parametrize("catalogue", [None, IT], ids=["no catalogue", "catalogue"])
def test_strange_flows_get_a_bounded_answer(name, catalogue):
    found = compared(STRANGE[name], STRANGE[name], catalogue)
    assert found.same or found.unknown or found.dangling
    assert found.situations <= 2 * MAX_SITUATIONS < MAX_RUN_STEPS


def test_a_difference_behind_40_conditions_is_found():
    assert compared(MANY.replace("m39", "other"), MANY).verdict == "different"


def test_what_cannot_be_told_is_said():
    assert "told apart" in compared(MANY, MANY).unknown
    cycle = {"category": "flowlogic", "definition": "IF", "scope": "global", "order": 1, "block": 1, "inputs": []}
    flow = Flow.model_validate({"trigger": None, "components": [cycle]})
    assert "not well formed" in behaviour(flow, outline(APPROVAL)).unknown
    long = outline("action log_message | message = a\n" * 201)
    assert "expected at most 200" in behaviour(long, long).unknown


def test_no_flow_does_nothing_right_and_no_reference_is_an_error():
    for nothing in (None, "I cannot help", []):
        found = behaviour(nothing, outline(APPROVAL))
        assert (found.same, found.agree, found.f1, found.counterexample) == (False, 0, 0, "the answer is no flow")
    with pytest.raises(UnreadableFlow, match="unreadable reference for x-1"):
        behaviour(outline(APPROVAL), "nonsense", record="x-1")
    with pytest.raises(ValueError, match="no reference"):
        behaviour(outline(APPROVAL), [])

"""The verdict is right about good and bad corpora, short, and quick."""

from __future__ import annotations

import json
import time

import pytest

from flowstudy.corpus import (
    Example,
    catalogues_for,
    check_corpus,
    load_corpus,
    shipped_catalogue,
    shipped_corpus,
    write_corpus,
)
from flowstudy.corpus.features import compute, size_bucket, slices
from flowstudy.corpus.references import reference_faults, underived_values
from flowstudy.flows.outline import from_outline

OUTLINE = """trigger record_create | table = incident | condition = priority=1
IF | condition = {{trigger.record.category}}=network
  FOREACH | items = {{trigger.record.parent}}
    action x_halden.page_rota | rota = network | message = help
action log_message | message = done"""


def test_the_shipped_corpus_is_sound_and_checked_in_time():
    start = time.perf_counter()
    report = check_corpus()
    assert time.perf_counter() - start < 20
    assert report.ok, str(report)
    assert "Corpus shipped: OK" in str(report) and len(str(report).splitlines()) < 60


def test_features_of_a_flow():
    flow = from_outline(OUTLINE)
    example = Example(id="a", requirement="r", references=[flow, flow], features={"implicit_step": ["2: x"]})
    found = compute(example, shipped_catalogue("it_service"))
    assert found == {
        "trigger": "record_create", "constructs": ["FOREACH", "IF"], "depth": 2, "steps": 4, "size": "4-7",
        "data_references": 2, "references": 2, "implicit_step": ["2: x"], "implicit_condition": False,
        "enterprise_step": ["x_halden.page_rota"],
    }  # fmt: skip
    assert {"size 4-7", "with IF", "implicit_step", "enterprise_step", "several references"} <= set(slices(found))
    assert [size_bucket(n) for n in (0, 3, 4, 15, 16, 30, 31, 200)] == [
        "1-3", "1-3", "4-7", "8-15", "16-30", "16-30", "31+", "31+",
    ]  # fmt: skip


def test_a_corpus_of_ones_own_needs_nothing_but_lines(tmp_path):
    path = tmp_path / "mine.jsonl"
    path.write_text(json.dumps({"id": "a", "requirement": "r", "flow": OUTLINE}))
    report = check_corpus(path)
    assert report.ok and report.examples == 1
    assert "no train split" in str(report) and "slices under 10 in test" in str(report)
    example = Example(id="a", requirement="r", references=[from_outline(OUTLINE)])
    (catalogue,) = catalogues_for([example], path).values()
    assert set(catalogue.actions) == {"x_halden.page_rota", "log_message"} and "incident" in catalogue.tables


def test_a_catalogue_beside_the_corpus_is_used(tmp_path):
    path = tmp_path / "mine.jsonl"
    path.write_text(json.dumps({"id": "a", "requirement": "r", "flow": "action fo | x = 1"}))
    (tmp_path / "catalogue.yaml").write_text("name: mine\nactions: {foo: {inputs: {x: integer! A number}}}")
    report = check_corpus(path)
    assert not report.ok and "unknown action 'fo'; closest: 'foo'" in str(report)


def test_leaks_faults_and_broken_lines_make_the_verdict_bad(tmp_path):
    first, second = shipped_corpus()[:2]
    twin = first.model_copy(update={"id": "twin", "split": "train"})
    report = check_corpus([first, second, twin])
    assert not report.ok and "leaks between splits: 2" in str(report)
    write_corpus(tmp_path / "c.jsonl", [first])
    with (tmp_path / "c.jsonl").open("a") as file:
        file.write("{broken\n")
    report = check_corpus(tmp_path / "c.jsonl")
    assert not report.ok and "c.jsonl:2" in str(report) and len(report.broken) == 1


@pytest.mark.parametrize(
    ("outline", "fault"),
    [
        ("action log_message | message = {{step.4.record}}", "step 4 is not before"),
        ("action log_message | message = {{step.1.record}}", "step 1 is not before"),
        ("action log_message | message = {{trigger.record.colour}}", "incident has no column 'colour'"),
        ("action log_message | message = {{trigger.record.caller.size}}", "sys_user has no column 'size'"),
        ("action log_message | message = {{trigger.email}}", "record_create gives record"),
        ("action log_message | message = {{caller}}", "expected `trigger.<output>`"),
        ("action create_record | table = task\naction log_message | message = {{step.1.count}}", "gives record"),
        (
            "FOREACH | items = {{trigger.record}}\n  action log_message | message = a\n"
            "action log_message | message = {{step.1.item}}",
            "not in the loop 1",
        ),
    ],
)
def test_references_that_lead_nowhere_are_faults(outline, fault):
    flow = from_outline(f"trigger record_create | table = incident\n{outline}")
    (found,) = reference_faults(flow, shipped_catalogue("it_service"))
    assert fault in found
    example = shipped_corpus()[0].model_copy(update={"references": [flow]})
    assert any(fault in line for line in check_corpus([example]).faults)


@pytest.mark.parametrize(
    ("flow", "broken"),
    [
        ("action a\n  action b", "below flow logic, not below an action"),
        ("IF | condition = x=1\n    action a\n  action b", "expected 4 blanks"),
        ("trigger daily", "no step"),
    ],
)
def test_an_outline_that_is_indented_by_mistake_or_does_nothing_is_broken(tmp_path, flow, broken):
    rows = [{"id": "a", "requirement": "r", "flow": flow}, {"id": "b", "requirement": "s", "flow": OUTLINE}]
    (tmp_path / "c.jsonl").write_text("\n".join(map(json.dumps, rows)))
    report = check_corpus(tmp_path / "c.jsonl")
    assert broken in str(report) and not report.ok
    assert report.examples == 1 and "domain   unknown 1" in str(report)  # the other line is checked all the same


def test_an_outline_with_windows_line_ends_is_read_as_any_other(tmp_path):
    path = tmp_path / "c.jsonl"
    path.write_bytes(
        json.dumps({"id": "a", "requirement": "r", "flow": OUTLINE.replace("\n", "\r\n")}).encode() + b"\r\n"
    )
    [example] = load_corpus(path)
    assert example.flow == from_outline(OUTLINE)


@pytest.mark.parametrize(
    ("reference", "fault"),
    [
        ("{{step.9.records}}", "the flow has no step 9"),
        ("{{ step.9.records }}", "the flow has no step 9"),
        ("{{look_up.records}}", "expected `step.<order>`, got a name"),
        ("{{trigger.record}}", "the flow has no trigger"),
        ("{{variable.x}} {{ $now }} {{step.1.record}}", None),
    ],
)
def test_references_of_ones_own_corpus_lead_somewhere(reference, fault):
    flow = from_outline(f"action look_up | table = task\naction send | text = {reference}")
    report = check_corpus([Example(id="a", requirement="r", references=[flow])])
    shown = reference.replace("{{ ", "{{").replace(" }}", "}}")
    assert report.faults == ([f"flow a: component 2: reference {shown}: {fault}"] if fault else [])


def test_blocks_without_a_step_and_flows_without_a_trigger_are_warnings():
    flow = from_outline("FOREACH | items = x\nWAIT | duration = 1 day")
    report = check_corpus([Example(id="a", requirement="r", references=[flow])])
    assert report.ok and report.odd == ["flow a: no trigger", "flow a: component 1: FOREACH without a step in it"]


def test_every_fault_is_shown_on_request():
    flow = from_outline("\n".join(f"action a | x = {{{{step.{n}.y}}}}" for n in range(20, 30)))
    report = check_corpus([Example(id="a", requirement="r", references=[flow])])
    assert str(report).count("the flow has no step") == 5 and "and 5 more (--all)" in str(report)
    assert report.text(every=True).count("the flow has no step") == 10


def test_a_loop_may_test_what_its_body_gives():
    outline = "DOUNTIL | condition = {{step.2.count}}=0\n  action look_up_records | table = incident"
    assert not reference_faults(from_outline(outline), shipped_catalogue("it_service"))


def test_values_that_follow_from_nothing_are_named():
    text = "Tell the Service Desk that two days are over"
    outline = (
        "trigger record_create | table = incident | condition = priority=1\n"
        "action send_notification | to = Service Desk | message = two days are over\n"
        "WAIT | duration = 2 days\n"
        "action send_notification | to = Bob | message = {{trigger.record.number}} is late"
    )
    flow, catalogue = from_outline(outline), shipped_catalogue("it_service")
    assert underived_values(flow, text, catalogue) == [
        "component 3: to: 'Bob'",
        "component 3: message: '{{trigger.record.number}} is late'",
    ]
    assert not underived_values(flow, text + " and is late", catalogue, derived=["Bob"])

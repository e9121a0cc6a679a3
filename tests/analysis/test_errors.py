"""Proposed tags: at least 95 % of single injected faults are recognised, correct flows get none, text stays text."""

import pandas as pd
import pytest

from flowstudy.analysis.alignment import align
from flowstudy.analysis.errors import propose_tags
from flowstudy.analysis.faults import KINDS, confusion, fault_cases, inject
from flowstudy.analysis.flow_edits import move, remove, unwrap, wrap
from flowstudy.analysis.taxonomy import load_taxonomy
from flowstudy.corpus import catalogues_for, shipped_corpus
from flowstudy.corpus.example import Example
from flowstudy.corpus.features import compute
from flowstudy.flows import from_outline, structure_faults
from flowstudy.systems.records import Prediction, Suggestion


@pytest.fixture(scope="module")
def corpus():
    examples = shipped_corpus()[:150]
    catalogues = catalogues_for(examples)
    full = [e.model_copy(update={"features": compute(e, catalogues[e.domain])}) for e in examples]
    return full, catalogues


@pytest.fixture(scope="module")
def cases(corpus):
    return list(fault_cases(*corpus))


def test_single_faults_are_recovered(cases, corpus):
    table = confusion(cases, corpus[1])
    assert set(table.index) == set(KINDS), "every kind finds a place in the shipped corpus"
    found = pd.Series({kind: table.loc[kind, kind] for kind in KINDS})
    assert (found >= 0.9).all() and found.mean() >= 0.95, found.to_string()
    assert table.to_numpy().sum() / len(KINDS) < 1.5, "a single fault is not told as many"


def test_faults_are_well_formed_single_and_reproducible(corpus):
    examples, catalogues = corpus
    for case in list(fault_cases(examples[:8], catalogues)):
        again = inject(case.example, case.kind, catalogues[case.example.domain])
        assert again == case
        if case.prediction.flow is not None:
            assert structure_faults(case.prediction.flow) == []


def test_a_correct_answer_gets_no_tag(corpus):
    examples, catalogues = corpus
    for example in examples:
        for flow in example.references:
            right = Prediction(example=example.id, system="s", status="ok", flow=flow)
            assert propose_tags(example, right, catalogues[example.domain]) == []


def test_every_proposal_is_in_the_taxonomy(cases, corpus):
    known = set(load_taxonomy().categories)
    for case in cases[:200]:
        tags = propose_tags(case.example, case.prediction, corpus[1][case.example.domain])
        assert {tag.category for tag in tags} <= known


REFERENCE = """trigger record_create | table = incident | condition = priority=1
IF | condition = {{trigger.record.vip}}=true
  action notify | to = {{trigger.record.caller}}
action close | record = {{trigger.record}}
action log | text = {{step.3.record}}"""


def tags_of(outline: str, **over) -> dict[str, str]:
    example = Example(id="e", requirement="r", references=[from_outline(REFERENCE)], **over.pop("example", {}))
    prediction = Prediction(example="e", system="s", status="ok", flow=from_outline(outline), **over)
    return {t.category: t.evidence for t in propose_tags(example, prediction)}


def test_shifted_references_are_no_error():
    # Without the step in the IF, `close` is step 2, and `{{step.2.record}}` means what `{{step.3.record}}` meant.
    got = REFERENCE.replace("  action notify | to = {{trigger.record.caller}}\n", "").replace("step.3", "step.2")
    assert set(tags_of(got)) == {"missing_step"}


def test_a_step_that_left_its_branch_is_wrong_nesting():
    got = REFERENCE.replace("  action notify", "action notify")
    assert set(tags_of(got)) == {"wrong_nesting"}


def test_lost_logic_does_not_blame_its_steps():
    lines = REFERENCE.replace("step.3", "step.2").split("\n")
    assert set(tags_of("\n".join([lines[0], lines[2].strip(), *lines[3:]]))) == {"missing_logic"}


def inputs_wrong(want: str, have: str, name: str = "text") -> list[str]:
    flows = [from_outline(f"trigger daily\naction log | {name} = {value}") for value in (want, have)]
    example = Example(id="e", requirement="r", references=[flows[0]])
    return [t.category for t in propose_tags(example, Prediction(example="e", system="s", status="ok", flow=flows[1]))]


REFERENCES = [
    ("{{trigger.record.caller}}", "{{trigger.record.opened_by}}", ["wrong_reference"]),
    ("incident", "{{trigger.record}}", ["literal_or_reference"]),
    ("{{trigger.record.manager}}", "manager", ["literal_or_reference"]),
    ("Dear {{trigger.record.caller}}", "Hello {{trigger.record.caller}}", ["wrong_value"]),
    ("Dear {{trigger.record.caller}}", "Dear {{trigger.record.manager}}", ["wrong_reference"]),
    ("2 days", "two days", []),
    ("1 week", "a week", []),
    ("2 days", "three days", ["wrong_value"]),
    ("15 min", "15 minutes", []),
]  # fmt: skip


@pytest.mark.parametrize(("want", "have", "wrong"), REFERENCES)
def test_a_reference_is_wrong_only_beside_a_reference(want, have, wrong):
    assert inputs_wrong(want, have) == wrong


def test_a_table_that_is_a_reference_is_no_wrong_reference():
    assert inputs_wrong("incident", "{{trigger.record}}", "table") == ["literal_or_reference"]


def test_a_clause_gets_one_tag_also_when_operator_and_value_differ():
    assert inputs_wrong("state=1^active=true", "state!=2^active=true", "conditions") == ["wrong_operator"]


IN_TRY = """trigger daily
TRY
  IF | condition = {{trigger.record.vip}}=true
    action notify | to = a
    action close | record = b
CATCH
  action log | text = c"""
WITHOUT_TRY = """trigger daily
IF | condition = {{trigger.record.vip}}=true
  action notify | to = a
  action close | record = b"""


@pytest.mark.parametrize("got", [WITHOUT_TRY, "trigger daily\naction notify | to = a\naction close | record = b"])
def test_steps_that_lost_all_their_parents_are_not_nested_wrongly(got):
    example = Example(id="e", requirement="r", references=[from_outline(IN_TRY)])
    tags = propose_tags(example, Prediction(example="e", system="s", status="ok", flow=from_outline(got)))
    assert {tag.category for tag in tags} == {"missing_logic", "missing_step"}


def test_source_is_the_retriever_only_when_the_step_was_not_shown():
    got = REFERENCE.replace("action close", "action open")
    other = Suggestion(kind="action", name="open")
    assert "source_retriever" in tags_of(got, suggestions=[other])
    assert "source_model" in tags_of(got, suggestions=[other, Suggestion(kind="action", name="close")])
    assert not {"source_model", "source_retriever"} & set(tags_of(got))


def test_authored_labels_make_implied_errors():
    labels = {"example": {"features": {"implicit_step": ["2: must be told"], "implicit_condition": ["1: only VIPs"]}}}
    without = REFERENCE.replace("  action notify | to = {{trigger.record.caller}}\n", "").replace("step.3", "step.2")
    assert "implicit_step_missed" in tags_of(without, **labels)
    other = REFERENCE.replace("vip}}=true", "vip}}=false")
    assert "implicit_condition_missed" in tags_of(other, **labels)


@pytest.mark.parametrize("status", ["invalid_output", "refused", "truncated"])
def test_answers_without_a_flow(status):
    example = Example(id="e", requirement="r", references=[from_outline(REFERENCE)])
    tags = propose_tags(example, Prediction(example="e", system="s", status=status, error="why"))
    assert [(t.category, t.evidence) for t in tags] == [(status, "why")]
    assert propose_tags(example, Prediction(example="e", system="s", status="provider_error")) == []


def test_edits_keep_flows_well_formed():
    flow = from_outline(REFERENCE)
    for edited in (remove(flow, 1), unwrap(flow, 1), wrap(flow, 3, "FOREACH"), move(flow, 4, before=1)):
        assert structure_faults(edited) == []
    assert wrap(flow, 3, "IF").components[4].input("text") == "{{step.4.record}}"


def test_alignment_names_every_component_once():
    left, right = from_outline(REFERENCE), from_outline(REFERENCE.replace("action close", "action open"))
    pairs = align(left, right, [])
    assert sorted(p.reference.order for p in pairs if p.reference) == [1, 2, 3, 4]
    assert sorted(p.candidate.order for p in pairs if p.candidate) == [1, 2, 3, 4]
    assert {p.relation for p in pairs} <= {"same", "replaced", "reordered", "renested"}

"""Exports protect: a definition says what the flow says or names what it does not; its platform takes it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from flowstudy.corpus import shipped_corpus
from flowstudy.corpus.environments import corpus_path, named_corpora
from flowstudy.corpus.exporters import same, to_step_functions
from flowstudy.corpus.importers.records import Source
from flowstudy.corpus.importers.step_functions import convert_step_functions
from flowstudy.corpus.store import load_corpus
from flowstudy.flows.outline import from_outline

REAL = load_corpus(corpus_path("step-functions"))
WRITTEN = [example for example in shipped_corpus() if example.split == "dev"][::6]
NEXT = ("Next", "Default")


def machines(document):
    """A machine and every machine inside it."""
    yield document
    for state in document["States"].values():
        for inner in [*state.get("Branches", ()), *([state["ItemProcessor"]] if "ItemProcessor" in state else [])]:
            yield from machines(inner)


def assert_runs(document):
    """What Step Functions demands of every machine: states that exist, ends, and no state that nothing leads to."""
    for machine in machines(document):
        states, reached = machine["States"], {machine["StartAt"]}
        for state in states.values():
            also = [*state.get("Choices", ()), *state.get("Catch", ())]
            reached |= {one[key] for one in [state, *also] for key in NEXT if key in one}
            ends = state["Type"] in ("Succeed", "Fail", "Choice") or state.get("End") is True
            assert ends != ("Next" in state), "a state either ends or goes on"
        assert reached == set(states)


@pytest.mark.parametrize("example", [*REAL, *WRITTEN], ids=lambda example: example.id)
def test_what_is_read_back_is_the_flow_or_what_differs_is_listed(example):
    for flow in example.references:
        made = to_step_functions(flow, "title")
        document = json.loads(json.dumps(made.document))
        assert_runs(document)
        [back] = convert_step_functions(document, Source("again", text="x"))
        assert back.example is not None
        assert same(flow, back.example.flow) or made.lost


def test_most_real_flows_come_back_as_they_were():
    lost = [example.id for example in REAL if to_step_functions(example.flow).lost]
    assert len(lost) <= len(REAL) // 10, lost


def test_what_a_platform_cannot_say_is_named():
    flow = from_outline("trigger email | email_conditions = x\n1 action page_rota | rota = {{trigger.rota}}")
    made = to_step_functions(flow)
    assert any("email" in line for line in made.lost) and any(
        "page_rota" in line or "page" in line for line in made.to_fill
    )
    assert to_step_functions(from_outline("trigger daily")).document["States"]


def test_the_shipped_corpus_of_real_workflows_is_found_by_its_name():
    assert named_corpora() == ("step-functions",) and corpus_path("mine/corpus.jsonl") == Path("mine/corpus.jsonl")
    assert len(REAL) == 39 and {example.split for example in REAL} == {"train", "validation", "test"}
    assert len({example.id for example in REAL}) == len(REAL) and all(e.licence == "MIT-0" for e in REAL)

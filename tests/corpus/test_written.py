"""The shipped examples are sound: valid against their catalogue, every value explained, unique, well spread."""

from __future__ import annotations

import json
import re
from collections import Counter

import pytest

from flowstudy.corpus import TRAINING_DOMAINS, shipped_catalogue, shipped_corpus, shipped_domains
from flowstudy.corpus.environments import DATA
from flowstudy.corpus.example import UNSEEN
from flowstudy.corpus.features import SIZES
from flowstudy.corpus.references import underived_values
from flowstudy.corpus.written import read_written, sealed_hash
from flowstudy.flows.outline import from_outline, to_outline
from flowstudy.flows.query import OPERATORS, parse_query
from flowstudy.flows.schema import FLOW_LOGIC, QUERY_INPUTS, structure_faults

EXAMPLES = shipped_corpus()


def test_every_flow_is_well_formed_and_survives_the_outline():
    for example in EXAMPLES:
        for flow in example.references:
            assert not structure_faults(flow), example.id
            assert from_outline(to_outline(flow)) == flow, example.id


def test_every_input_value_is_derivable():
    faults = [
        f"{e.id}: {fault}"
        for e in EXAMPLES
        for flow in e.references
        for fault in underived_values(flow, e.requirement, shipped_catalogue(e.domain), e.features["derived"])
    ]
    assert not faults, "\n".join(faults)


def test_every_query_can_be_taken_apart():
    """Also by the published metric, which splits at capital OR and wants one operator in a clause."""
    operator = re.compile(r"(?<![A-Z=,])(?:" + "|".join(map(re.escape, OPERATORS)) + ")")
    for example in EXAMPLES:
        for flow in example.references:
            for part in (*([flow.trigger] if flow.trigger else []), *flow.components):
                for item in part.inputs:
                    if item.name in QUERY_INPUTS:
                        assert parse_query(str(item.value)), (example.id, item)
                        clauses = re.split(r"\^EQ|\^OR|\^NQ|\^|OR", item.value)
                        assert all(len(operator.findall(c)) == 1 for c in clauses), (example.id, item)


def test_examples_are_unique_and_in_the_right_split():
    assert len({e.id for e in EXAMPLES}) == len(EXAMPLES)
    for example in EXAMPLES:
        unseen = example.domain not in TRAINING_DOMAINS
        assert (example.split in UNSEEN) == unseen, example.id
        assert example.source == "written" and example.licence, example.id


def test_alternatives_differ_and_say_why():
    for example in EXAMPLES:
        assert len(example.references) == len(example.features["reasons"]) + 1
        assert len({flow.to_json() for flow in example.references}) == len(example.references), example.id


def test_flows_do_not_share_one_opening():
    """A trigger and first two steps common to many flows would make every system look good."""
    openings: dict[tuple[str, ...], int] = {}
    for example in EXAMPLES:
        flow = example.flow
        opening = (flow.trigger.type if flow.trigger else "", *(c.key for c in flow.components[:2]))
        openings[opening] = openings.get(opening, 0) + 1
    assert max(openings.values()) <= max(3, 0.04 * len(EXAMPLES)), max(openings.items(), key=lambda o: o[1])


@pytest.mark.parametrize("domain", shipped_domains())
def test_environments_have_the_promised_size(domain):
    catalogue = shipped_catalogue(domain)
    assert 8 <= len(catalogue.tables) <= 20
    assert 25 <= len(catalogue.actions) <= 60
    assert 3 <= len(catalogue.subflows) <= 8
    assert len(catalogue.triggers) >= 13
    assert len(catalogue.groups) > 3 and len(catalogue.roles) > 4
    assert sum("." in name for name in catalogue.actions) >= 4
    assert all(step.description for step in catalogue.steps().values())
    assert all(i.description or i.choices for s in catalogue.steps().values() for i in s.inputs.values())
    references = {c.reference for t in catalogue.tables.values() for c in t.columns.values() if c.reference}
    assert references <= set(catalogue.tables), references - set(catalogue.tables)


def test_the_examples_answer_what_the_study_asks():
    """Enough examples of each split, size, construct and label; few enough without a second opinion."""
    by_split = {s: [e for e in EXAMPLES if e.split == s] for s in ("validation", "dev", "dev_ood")}
    assert len(by_split["validation"]) >= 60 and len(by_split["dev"]) >= 150
    assert all(
        sum(e.domain == d for e in by_split["dev_ood"]) >= 15 for d in set(shipped_domains()) - set(TRAINING_DOMAINS)
    )
    judged = [e for some in by_split.values() for e in some]
    sizes = {e.flow.steps for e in judged}
    assert min(sizes) == 1 and max(sizes) >= 60 and {e.features["size"] for e in judged} == {*SIZES.values(), "31+"}
    for split in ("dev", "dev_ood"):
        logic = {c.definition for e in by_split[split] for c in e.flow.components if c.is_logic}
        assert logic >= FLOW_LOGIC - {"BLOCK"}, FLOW_LOGIC - logic
        assert sum(bool(re.search(r"#\w", e.requirement)) for e in by_split[split]) >= 8
    implicit = sum(bool(e.features["implicit_step"] or e.features["implicit_condition"]) for e in judged)
    assert 0.28 < implicit / len(judged) < 0.4
    assert sum(len(e.references) > 1 for e in judged) >= 40 and sum(len(e.references) > 2 for e in judged) >= 10


def test_training_examples_use_all_that_their_domain_has():
    """A trigger or a step that no training example shows cannot be learned from them."""
    core = shipped_catalogue("core").steps()
    for domain in TRAINING_DOMAINS:
        flows = [e.flow for e in EXAMPLES if e.domain == domain and e.split == "train"]
        used = Counter(key for f in flows for key in {f.trigger.type, *(c.key for c in f.components)})
        catalogue = shipped_catalogue(domain)
        rare = [key for key in {*catalogue.triggers, *(catalogue.steps().keys() - core.keys())} if used[key] < 2]
        assert not rare, (domain, rare)


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("{a: 1}", "a YAML list"),
        ("- id: x", "split"),
        ('- {id: x, split: test, text: t, flow: "trigger daily\\nnonsense"}', "outline line 2"),
        ("- {id: x, split: test, text: t, flow: 'ELSE'}", "does not follow"),
        ("- [", "YAML"),
    ],
)
def test_a_broken_entry_is_named(tmp_path, text, rule):
    path = tmp_path / "bad.yaml"
    path.write_text(text)
    with pytest.raises(ValueError, match=rule):
        read_written(path, "it_service")


def test_the_sealed_examples_are_those_whose_hash_was_committed_before_they_were_answered():
    """A change of a sealed requirement or reference after systems have answered it would be fitting the test."""
    record = json.loads((DATA / "sealed.json").read_text())
    examples = shipped_corpus()
    assert record["sha256"] == sealed_hash(examples)
    assert record["examples"] == {name: sum(e.split == name for e in examples) for name in ("test", "ood")}
    first = next(e for e in examples if e.split == "test")
    changed = [e.model_copy(update={"requirement": "x"}) if e is first else e for e in examples]
    assert sealed_hash(changed) != record["sha256"] == sealed_hash(examples[::-1])

"""The catalogue protects: what does not exist is named, with its place and the closest thing that does."""

from __future__ import annotations

from pathlib import Path

import pytest

from flowstudy.flows import Catalogue, catalogue_from_flows, from_outline, load_catalogue

CATALOGUE = """
name: demo
triggers: {record_create: {inputs: {table: {type: table}, condition: {type: query}}}}
actions:
  food: {inputs: {table: {type: table}, values: {type: values}, mode: {choices: [fast, slow]}, who: {required: true}}}
  hr.onboard: {}
subflows: {escalate: {}}
tables: {incident: {columns: {priority: {type: choice, choices: {"1": Critical}}, state: {}}}}
"""


@pytest.fixture
def catalogue(tmp_path: Path) -> Catalogue:
    path = tmp_path / "demo.yaml"
    path.write_text(CATALOGUE, encoding="utf-8")
    return load_catalogue(path)


def faults(catalogue: Catalogue, outline: str) -> list[str]:
    return [str(fault) for fault in catalogue.check(from_outline(outline), "X")]


def test_a_flow_of_known_things_has_no_faults(catalogue: Catalogue) -> None:
    trigger = "trigger record_create | table = incident | condition = priority=1"
    outline = f"{trigger}\naction food | who = me\nIF\n  subflow escalate"
    assert faults(catalogue, outline) == []


@pytest.mark.parametrize(
    ("outline", "message"),
    [
        ("action foo | who = me", "component 1 of flow X: unknown action 'foo'; closest: 'food'"),
        ("action hr.onbord", "component 1 of flow X: unknown action 'hr.onbord'; closest: 'hr.onboard'"),
        ("subflow escalated", "component 1 of flow X: unknown subflow 'escalated'; closest: 'escalate'"),
        ("trigger record_creat", "trigger of flow X: unknown trigger 'record_creat'; closest: 'record_create'"),
        ("action food | who = a | mod = fast", "component 1 of flow X: unknown input 'mod'; closest: 'mode'"),
        ("action food | who = a | mode = fas", "component 1 of flow X: unknown choice 'fas'; closest: 'fast'"),
        ("action food", "component 1 of flow X: missing input 'who'"),
        (
            "action food | who = a | table = incidents",
            "component 1 of flow X: unknown table 'incidents'; closest: 'incident'",
        ),
        (
            "action food | who = a | table = incident | values = priorty=1",
            "component 1 of flow X: unknown column 'incident.priorty'; closest: 'priority'",
        ),
        (
            "trigger record_create | table = incident | condition = priority=9",
            "trigger of flow X: unknown choice 'priority=9'",
        ),
    ],
)
def test_a_fault_names_place_kind_and_closest(catalogue: Catalogue, outline: str, message: str) -> None:
    assert [fault for fault in faults(catalogue, outline) if fault.startswith(message)], faults(catalogue, outline)


def test_references_are_not_choices_or_tables(catalogue: Catalogue) -> None:
    assert (
        faults(catalogue, "action food | who = {{trigger.who}} | table = {{trigger.table}} | mode = {{step.1.mode}}")
        == []
    )


def test_a_catalogue_inherits(tmp_path: Path) -> None:
    (tmp_path / "core.yaml").write_text(CATALOGUE.replace("name: demo", "name: core"), encoding="utf-8")
    (tmp_path / "site.yaml").write_text("name: site\nextends: core\nactions: {own: {}}", encoding="utf-8")
    assert {"food", "own"} <= load_catalogue(tmp_path / "site.yaml").actions.keys()


@pytest.mark.parametrize("text", ["name: [", "nam: x", "name: x\nactions: {a: {input: {}}}", "name: x\nextends: bad"])
def test_a_broken_catalogue_names_its_file(tmp_path: Path, text: str) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=r"bad\.yaml"):
        load_catalogue(path)


def test_a_catalogue_can_be_read_off_flows() -> None:
    flow = from_outline("trigger record_create | table = t | condition = a=1\naction x.y | z = 1\nsubflow s")
    seen = catalogue_from_flows("seen", [flow])
    assert seen.check(flow) == [] and "a" in seen.tables["t"].columns and "x.y" in seen.actions

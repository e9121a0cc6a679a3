"""Which catalogue entries a flow uses: its trigger, steps, tables and columns."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from flowstudy.corpus.example import Example
from flowstudy.flows.catalogue import Catalogue
from flowstudy.flows.query import parse_query
from flowstudy.flows.schema import QUERY_INPUTS, Flow, Input

Use = tuple[str, str]


def catalogue_uses(flow: Flow) -> set[Use]:
    """(kind, name) of everything the flow names, whether it exists or not; a column is `table.column`.

    Tables come from the inputs `table` and `table_name`, columns from encoded queries beside them.
    """
    found: set[Use] = set()
    if flow.trigger is not None:
        found.add(("trigger", flow.trigger.type))
        found |= _data_uses(flow.trigger.inputs)
    for component in flow.components:
        if not component.is_logic:
            found.add((component.category, component.key))
        found |= _data_uses(component.inputs)
    return found


def _data_uses(inputs: list[Input]) -> set[Use]:
    given = {i.name: i.value for i in inputs}
    table = given.get("table", given.get("table_name"))
    if not isinstance(table, str) or not table or "{{" in table:
        return set()
    queries = [str(value) for name, value in given.items() if name in QUERY_INPUTS]
    fields = {clause.field.split(".")[0] for query in queries for clause in parse_query(query) or ()}
    return {("table", table)} | {("column", f"{table}.{field}") for field in fields}


def exists(use: Use, catalogue: Catalogue) -> bool:
    """Whether the catalogue has this trigger, step, table or `table.column`."""
    kind, name = use
    if kind == "column":
        table, _, column = name.rpartition(".")
        return table in catalogue.tables and column in catalogue.tables[table].columns
    shelves: dict[str, Mapping[str, object]] = {
        "trigger": catalogue.triggers, "action": catalogue.actions, "subflow": catalogue.subflows,
        "table": catalogue.tables,
    }  # fmt: skip
    return name in shelves[kind]


#: What a catalogue says of a step for the comparison of behaviour alone: in no prompt and no retriever.
_UNSEEN: Final = {"kind", "creates", "sets"}


def catalogue_hash(catalogue: Catalogue) -> str:
    """SHA-256 of what systems are shown of a catalogue; equal catalogues have equal hashes."""
    unseen = {shelf: {"__all__": _UNSEEN} for shelf in ("triggers", "actions", "subflows")}
    return hashlib.sha256(catalogue.model_dump_json(exclude=unseen).encode()).hexdigest()


def makings_hash(facts: Any, examples: Sequence[Example], catalogues: Mapping[str, Catalogue]) -> str:
    """SHA-256 of everything that suggestions or a ranker are made from: JSON facts, examples and their catalogues."""
    domains = sorted({example.domain for example in examples} & catalogues.keys())
    shelves = {domain: catalogue_hash(catalogues[domain]) for domain in domains}
    flows = [example.model_dump(include={"id", "requirement", "references", "domain"}) for example in examples]
    return hashlib.sha256(json.dumps([facts, shelves, flows], sort_keys=True).encode()).hexdigest()

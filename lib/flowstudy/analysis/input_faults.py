"""Faults in what a flow is given: tables, columns, conditions, references, missing and needless inputs."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Any, Final

from flowstudy.analysis.flow_edits import Edited, replace_clause, replace_input
from flowstudy.analysis.input_errors import table_of
from flowstudy.analysis.step_faults import Injector, choose, steps
from flowstudy.flows.catalogue import Catalogue, StepDef
from flowstudy.flows.query import Clause, parse_query
from flowstudy.flows.schema import QUERY_INPUTS, Component, Flow, Input


def inputs_of(flow: Flow) -> Iterator[tuple[int, list[Input]]]:
    """The order of every step with its inputs; the trigger's is 0."""
    if flow.trigger:
        yield 0, flow.trigger.inputs
    yield from ((c.order, c.inputs) for c in flow.components)


def _table_fault(invented: bool) -> Injector:
    def fault(flow: Flow, catalogue: Catalogue, rng: random.Random) -> Flow | None:
        place = choose(rng, [(o, t) for o, inputs in inputs_of(flow) if (t := table_of(inputs))])
        if place is None:
            return None
        others = [f"{place[1]}_records"] if invented else [t for t in catalogue.tables if t != place[1]]
        return replace_input(flow, place[0], "table", choose(rng, others))

    return fault


def _clause_places(flow: Flow, catalogue: Catalogue) -> list[Edited]:
    """Every condition on a known column: where it stands and what it says."""
    found = []
    for order, inputs in inputs_of(flow):
        table = catalogue.tables.get(table_of(inputs) or "")
        for given in inputs if table else []:
            clauses = (parse_query(given.value) or []) if given.name in QUERY_INPUTS and given.value else []
            found += [
                Edited(order, given.name, place, clause, table.columns[clause.field])
                for place, clause in enumerate(clauses)
                if table and clause.field in table.columns
            ]
    return found


def _clause_fault(change: Callable[[Edited, list[Edited], Catalogue, Flow, random.Random], Clause | None]) -> Injector:
    def fault(flow: Flow, catalogue: Catalogue, rng: random.Random) -> Flow | None:
        places = _clause_places(flow, catalogue)
        rng.shuffle(places)
        for place in places:
            clause = change(place, places, catalogue, flow, rng)
            if clause is not None:
                return replace_clause(flow, place, clause)
        return None

    return fault


def _other_column(
    place: Edited, places: list[Edited], catalogue: Catalogue, flow: Flow, rng: random.Random
) -> Clause | None:
    table = catalogue.tables[table_of(dict(inputs_of(flow))[place.order]) or ""]
    used = {p.clause.field for p in places if (p.order, p.input) == (place.order, place.input)}
    name = choose(rng, [column for column in table.columns if column not in used])
    return place.clause._replace(field=name) if name else None


def _no_column(place: Edited, *_: Any) -> Clause | None:
    return place.clause._replace(field=f"{place.clause.field}_kind")


def _other_choice(place: Edited, _p: Any, _c: Any, _f: Any, rng: random.Random) -> Clause | None:
    others = [value for value in place.column.choices if value != place.clause.value]
    if "{{" in place.clause.value or not others or place.clause.operator not in ("=", "!=", "CHANGESTO"):
        return None
    return place.clause._replace(value=rng.choice(others))


def _other_value(place: Edited, *_: Any) -> Clause | None:
    if place.column.choices or not place.clause.value or "{{" in place.clause.value:
        return None
    return place.clause._replace(value=f"not {place.clause.value}")


def _other_operator(place: Edited, *_: Any) -> Clause | None:
    swap = {"=": "!=", "!=": "=", ">": "<", "<": ">", ">=": "<=", "<=": ">=", "LIKE": "NOT LIKE"}
    operator = swap.get(place.clause.operator)
    return place.clause._replace(operator=operator) if operator else None


def _wrong_reference(flow: Flow, catalogue: Catalogue, rng: random.Random) -> Flow | None:
    texts = [(o, i) for o, inputs in inputs_of(flow) for i in inputs if isinstance(i.value, str) and "{{" in i.value]
    place = choose(rng, texts)
    if place is None:
        return None
    order, given = place
    value = given.value.replace("{{", "{{step.99.", 1)
    return replace_input(flow, order, given.name, value)


def _missing_input(flow: Flow, catalogue: Catalogue, rng: random.Random) -> Flow | None:
    place = choose(rng, [(o, i) for o, inputs in inputs_of(flow) for i in inputs if i.value not in ("", None, [])])
    return replace_input(flow, place[0], place[1].name, None) if place else None


def _extra_input(flow: Flow, catalogue: Catalogue, rng: random.Random) -> Flow | None:
    def definition(component: Component) -> StepDef | None:
        return catalogue.step(component)

    options = [
        (c.order, name)
        for c in steps(flow)
        if (step := definition(c))
        for name, kind in step.inputs.items()
        if name not in {i.name for i in c.inputs} and kind.type == "string"
    ]
    place = choose(rng, options)
    return replace_input(flow, place[0], place[1], "something else") if place else None


INPUT_FAULTS: Final[dict[str, Injector]] = {
    "wrong_table": _table_fault(False),
    "invented_table": _table_fault(True),
    "wrong_column": _clause_fault(_other_column),
    "invented_column": _clause_fault(_no_column),
    "wrong_choice": _clause_fault(_other_choice),
    "wrong_value": _clause_fault(_other_value),
    "wrong_operator": _clause_fault(_other_operator),
    "wrong_reference": _wrong_reference,
    "missing_input": _missing_input,
    "extra_input": _extra_input,
}

"""Known errors put into correct flows, one at a time: the yardstick of the proposed tags.

Every injector takes a correct flow and gives it back with exactly one fault of its kind, or None where the flow
offers no place for it. The same seed gives the same faults.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from flowstudy.analysis.errors import labelled_orders
from flowstudy.analysis.flow_edits import (
    Edited,
    insert,
    move,
    remove,
    replace,
    replace_clause,
    replace_input,
    unwrap,
    wrap,
)
from flowstudy.analysis.input_errors import table_of
from flowstudy.corpus.example import Example
from flowstudy.flows.catalogue import Catalogue, StepDef
from flowstudy.flows.query import Clause, parse_query
from flowstudy.flows.schema import FOLLOWS, INSIDE, QUERY_INPUTS, Component, Flow, Input, Trigger
from flowstudy.systems.records import Prediction, Suggestion

Injector = Callable[[Flow, Catalogue, random.Random], Flow | None]
_PLAIN_LOGIC: Final = ("IF", "FOREACH", "DOUNTIL")


class FaultCase(NamedTuple):
    """An example and a prediction that is right but for one fault of `kind`."""

    kind: str
    example: Example
    prediction: Prediction


def fault_cases(
    examples: Iterable[Example],
    catalogues: Mapping[str, Catalogue],
    *,
    kinds: Sequence[str] | None = None,
    seed: int = 0,
) -> Iterator[FaultCase]:
    """Every example with every kind of fault that it offers a place for; `kinds` chooses (default: all)."""
    for example in examples:
        catalogue = catalogues[example.domain]
        for kind in kinds if kinds is not None else KINDS:
            case = inject(example, kind, catalogue, seed)
            if case is not None:
                yield case


def inject(example: Example, kind: str, catalogue: Catalogue, seed: int = 0) -> FaultCase | None:
    """One fault of `kind` in the example's main reference; None when there is no place for it.

    Raises ValueError for a kind that is not in `KINDS`.
    """
    if kind not in KINDS:
        raise ValueError(f"fault {kind!r} for {example.id}: expected one of {', '.join(KINDS)}")
    rng = random.Random(f"{seed}/{kind}/{example.id}")
    if kind in _STATUSES:
        prediction = _prediction(example, kind, status=kind)
        return FaultCase(kind, example, prediction)
    labelled = _LABELLED.get(kind)
    flow = labelled(example, catalogue, rng) if labelled else _INJECTORS[kind](example.flow, catalogue, rng)
    if flow is None or flow in example.references:
        return None
    suggestions = _suggestions(example, kind, flow)
    return FaultCase(kind, example, _prediction(example, kind, flow=flow, suggestions=suggestions))


def _prediction(example: Example, kind: str, **over: Any) -> Prediction:
    values: dict[str, Any] = {"status": "ok", "example": example.id, "system": f"fault/{kind}"} | over
    return Prediction(**values)


def _suggestions(example: Example, kind: str, flow: Flow) -> list[Suggestion]:
    """What the retriever would have shown: everything that is needed, but for `source_retriever` what went missing."""
    needed = {(c.category, c.key) for c in example.flow.components if not c.is_logic}
    if kind == "source_retriever":
        needed &= {(c.category, c.key) for c in flow.components}
    elif kind != "source_model":
        return []
    shown = [("trigger", "shown_but_not_needed"), *sorted(needed)]
    return [Suggestion.model_validate({"kind": shelf, "name": name}) for shelf, name in shown]


def _steps(flow: Flow) -> list[Component]:
    return [c for c in flow.components if not c.is_logic]


def _alone(flow: Flow) -> list[Component]:
    """Steps whose key occurs once: moving or losing one of two equal steps is another story."""
    keys = [c.key for c in flow.components]
    return [c for c in _steps(flow) if keys.count(c.key) == 1]


def _choose(rng: random.Random, options: Sequence[Any]) -> Any:
    return rng.choice(options) if options else None


def _wrong_trigger(flow: Flow, catalogue: Catalogue, rng: random.Random) -> Flow | None:
    other = _choose(rng, [name for name in catalogue.triggers if flow.trigger and name != flow.trigger.type])
    if other is None or flow.trigger is None:
        return None
    return flow.model_copy(update={"trigger": Trigger(type=other, inputs=flow.trigger.inputs)})


def _missing_step(flow: Flow, catalogue: Catalogue, rng: random.Random) -> Flow | None:
    step = _choose(rng, _alone(flow))
    return remove(flow, step.order) if step else None


def _new_step(flow: Flow, catalogue: Catalogue, rng: random.Random) -> Component | None:
    used = {c.key for c in flow.components}
    key = _choose(rng, [name for name in catalogue.actions if name not in used])
    if key is None:
        return None
    scope, _, definition = key.rpartition(".")
    required = [Input(name=n, value="new") for n, d in catalogue.actions[key].inputs.items() if d.required]
    return Component(definition=definition, scope=scope or "global", order=1, inputs=required)


def _extra_step(flow: Flow, catalogue: Catalogue, rng: random.Random) -> Flow | None:
    step, after = _new_step(flow, catalogue, rng), _choose(rng, _steps(flow))
    return insert(flow, step, after.order) if step and after else None


def _wrong_step(flow: Flow, catalogue: Catalogue, rng: random.Random) -> Flow | None:
    step, old = _new_step(flow, catalogue, rng), _choose(rng, _alone(flow))
    if step is None or old is None:
        return None
    return replace(flow, step.model_copy(update={"order": old.order, "block": old.block}))


def _invented_step(flow: Flow, catalogue: Catalogue, rng: random.Random) -> Flow | None:
    old = _choose(rng, _steps(flow))
    return replace(flow, old.model_copy(update={"definition": f"auto_{old.definition}_now"})) if old else None


def _wrong_order(flow: Flow, catalogue: Catalogue, rng: random.Random) -> Flow | None:
    alone = _alone(flow)
    pairs = [(a, b) for a, b in itertools.pairwise(alone) if (b.order, b.block) == (a.order + 1, a.block)]
    pair = _choose(rng, pairs)
    return move(flow, pair[1].order, before=pair[0].order) if pair else None


def _wrong_nesting(flow: Flow, catalogue: Catalogue, rng: random.Random) -> Flow | None:
    """The last step of a piece of flow logic stands behind it instead."""
    logic = {c.order: c for c in flow.components if c.is_logic and c.definition in _PLAIN_LOGIC}
    inner = [c for c in _alone(flow) if c.block in logic and not _follower(flow, c.block)]
    step = _choose(rng, [c for c in inner if max(d.order for d in flow.components if d.block == c.block) == c.order])
    return move(flow, step.order, after=step.block) if step else None


def _follower(flow: Flow, order: int) -> bool:
    """True when the next sibling of a piece of flow logic depends on it (ELSE, CATCH)."""
    block = flow.components[order - 1].block
    later = [c for c in flow.components if c.order > order and c.block == block]
    return bool(later) and later[0].is_logic and later[0].definition in FOLLOWS


def _bare_logic(flow: Flow) -> list[Component]:
    """Flow logic that can go or change without breaking what stands beside it."""
    logic = [c for c in flow.components if c.is_logic and c.definition not in FOLLOWS and c.definition not in INSIDE]
    return [c for c in logic if c.definition in (*_PLAIN_LOGIC, "WAIT") and not _follower(flow, c.order)]


def _missing_logic(flow: Flow, catalogue: Catalogue, rng: random.Random) -> Flow | None:
    logic = _choose(rng, _bare_logic(flow))
    return unwrap(flow, logic.order) if logic else None


def _extra_logic(flow: Flow, catalogue: Catalogue, rng: random.Random) -> Flow | None:
    step = _choose(rng, _steps(flow))
    used = {c.definition for c in flow.components if c.is_logic}
    return wrap(flow, step.order, "FOREACH" if "FOREACH" not in used else "IF") if step else None


def _wrong_logic(flow: Flow, catalogue: Catalogue, rng: random.Random) -> Flow | None:
    logic = _choose(rng, [c for c in _bare_logic(flow) if c.definition in _PLAIN_LOGIC])
    used = {c.definition for c in flow.components}
    other = _choose(rng, [name for name in _PLAIN_LOGIC if name not in used])
    return replace(flow, logic.model_copy(update={"definition": other})) if logic and other else None


def _inputs(flow: Flow) -> Iterator[tuple[int, list[Input]]]:
    if flow.trigger:
        yield 0, flow.trigger.inputs
    yield from ((c.order, c.inputs) for c in flow.components)


def _table_fault(invented: bool) -> Injector:
    def fault(flow: Flow, catalogue: Catalogue, rng: random.Random) -> Flow | None:
        place = _choose(rng, [(o, t) for o, inputs in _inputs(flow) if (t := table_of(inputs))])
        if place is None:
            return None
        others = [f"{place[1]}_records"] if invented else [t for t in catalogue.tables if t != place[1]]
        return replace_input(flow, place[0], "table", _choose(rng, others))

    return fault


def _clause_places(flow: Flow, catalogue: Catalogue) -> list[Edited]:
    """Every condition on a known column: where it stands and what it says."""
    found = []
    for order, inputs in _inputs(flow):
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
    table = catalogue.tables[table_of(dict(_inputs(flow))[place.order]) or ""]
    used = {p.clause.field for p in places if (p.order, p.input) == (place.order, place.input)}
    name = _choose(rng, [column for column in table.columns if column not in used])
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
    texts = [(o, i) for o, inputs in _inputs(flow) for i in inputs if isinstance(i.value, str) and "{{" in i.value]
    place = _choose(rng, texts)
    if place is None:
        return None
    order, given = place
    value = given.value.replace("{{", "{{step.99.", 1)
    return replace_input(flow, order, given.name, value)


def _missing_input(flow: Flow, catalogue: Catalogue, rng: random.Random) -> Flow | None:
    place = _choose(rng, [(o, i) for o, inputs in _inputs(flow) for i in inputs if i.value not in ("", None, [])])
    return replace_input(flow, place[0], place[1].name, None) if place else None


def _extra_input(flow: Flow, catalogue: Catalogue, rng: random.Random) -> Flow | None:
    def definition(component: Component) -> StepDef | None:
        return catalogue.step(component)

    options = [
        (c.order, name)
        for c in _steps(flow)
        if (step := definition(c))
        for name, kind in step.inputs.items()
        if name not in {i.name for i in c.inputs} and kind.type == "string"
    ]
    place = _choose(rng, options)
    return replace_input(flow, place[0], place[1], "something else") if place else None


def _at_label(label: str, injector: Callable[[Flow, int], Flow | None]) -> Callable[..., Flow | None]:
    """A fault at a place that an authored label names, e.g. `implicit_step: ["3: must be found first"]`."""

    def fault(example: Example, catalogue: Catalogue, rng: random.Random) -> Flow | None:
        orders = sorted(o for o in labelled_orders(example.features.get(label)) if o <= example.flow.steps)
        rng.shuffle(orders)
        return next((flow for o in orders if (flow := injector(example.flow, o)) is not None), None)

    return fault


def _remove_step(flow: Flow, order: int) -> Flow | None:
    return remove(flow, order) if order and flow.components[order - 1] in _alone(flow) else None


def _remove_condition(flow: Flow, order: int) -> Flow | None:
    """Without the flow logic at `order`, or without the condition of the trigger or step there."""
    if order and flow.components[order - 1] in _bare_logic(flow):
        return unwrap(flow, order)
    given = {i.name for i in dict(_inputs(flow)).get(order, [])}
    name = next((name for name in ("condition", "conditions") if name in given), None)
    return replace_input(flow, order, name, None) if name else None


def _own_step(example: Example, catalogue: Catalogue, rng: random.Random) -> Flow | None:
    own = example.features.get("enterprise_step")
    step = _choose(rng, [c for c in _alone(example.flow) if isinstance(own, list) and c.key in own])
    return remove(example.flow, step.order) if step else None


_STATUSES: Final = ("invalid_output", "truncated", "refused")
_INJECTORS: Final[dict[str, Injector]] = {
    "wrong_trigger": _wrong_trigger,
    "missing_step": _missing_step,
    "extra_step": _extra_step,
    "wrong_step": _wrong_step,
    "invented_step": _invented_step,
    "wrong_order": _wrong_order,
    "wrong_nesting": _wrong_nesting,
    "missing_logic": _missing_logic,
    "extra_logic": _extra_logic,
    "wrong_logic": _wrong_logic,
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
    "source_retriever": _missing_step,
    "source_model": _missing_step,
}
_LABELLED: Final[dict[str, Callable[..., Flow | None]]] = {
    "implicit_step_missed": _at_label("implicit_step", _remove_step),
    "implicit_condition_missed": _at_label("implicit_condition", _remove_condition),
    "enterprise_step_confused": _own_step,
}
#: Every kind that can be injected: all of the shipped taxonomy but `reference_disputable`, which only people can say.
KINDS: Final = (*_STATUSES, *_INJECTORS, *_LABELLED)

"""Known errors put into correct flows, one at a time: the yardstick of the proposed tags.

The same seed gives the same faults.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

import pandas as pd

from flowstudy.analysis.errors import labelled_orders, propose_tags
from flowstudy.analysis.flow_edits import insert, move, remove, replace, replace_input, unwrap, wrap
from flowstudy.analysis.input_errors import inputs_of, table_of
from flowstudy.corpus.example import Example
from flowstudy.flows.catalogue import Catalogue, ColumnDef
from flowstudy.flows.query import Clause, parse_query
from flowstudy.flows.schema import FOLLOWS, QUERY_INPUTS, Component, Flow, Input, Trigger
from flowstudy.systems.records import Prediction, Suggestion

_STATUSES: Final = ("invalid_output", "truncated", "refused")
_PLAIN_LOGIC: Final = ("IF", "FOREACH", "DOUNTIL")
_OPPOSITE: Final = {"=": "!=", "!=": "=", ">": "<", "<": ">", ">=": "<=", "<=": ">=", "LIKE": "NOT LIKE"}


class FaultCase(NamedTuple):
    """An example and a prediction that is right but for one fault of `kind`."""

    kind: str
    example: Example
    prediction: Prediction


class _Condition(NamedTuple):
    """One condition of a flow: the component's order (0: trigger), the input, the columns of its table, all clauses of
    the query and which one it is."""

    order: int
    input: str
    columns: Mapping[str, ColumnDef]
    clauses: list[Clause]
    number: int


class _Faults:
    """The faults of one flow: a method per kind gives the flow with one, or None where there is no place for it."""

    def __init__(self, example: Example, catalogue: Catalogue, rng: random.Random) -> None:
        self._example, self._flow, self._catalogue, self._rng = example, example.flow, catalogue, rng
        self._steps = [c for c in self._flow.components if not c.is_logic]
        keys = [c.key for c in self._flow.components]
        # moving or losing one of two equal steps is another story
        self._alone = [c for c in self._steps if keys.count(c.key) == 1]

    def wrong_trigger(self) -> Flow | None:
        trigger = self._flow.trigger
        other = self._one([name for name in self._catalogue.triggers if trigger and name != trigger.type])
        if other is None or trigger is None:
            return None
        return self._flow.model_copy(update={"trigger": Trigger(type=other, inputs=trigger.inputs)})

    def missing_step(self) -> Flow | None:
        step = self._one(self._alone)
        return remove(self._flow, step.order) if step else None

    source_retriever = source_model = missing_step

    def extra_step(self) -> Flow | None:
        step, after = self._new_step(), self._one(self._steps)
        return insert(self._flow, step, after.order) if step and after else None

    def wrong_step(self) -> Flow | None:
        step, old = self._new_step(), self._one(self._alone)
        if step is None or old is None:
            return None
        return replace(self._flow, step.model_copy(update={"order": old.order, "block": old.block}))

    def invented_step(self) -> Flow | None:
        old = self._one(self._steps)
        return replace(self._flow, old.model_copy(update={"definition": f"auto_{old.definition}_now"})) if old else None

    def wrong_order(self) -> Flow | None:
        pairs = itertools.pairwise(self._alone)
        pair = self._one([(a, b) for a, b in pairs if (b.order, b.block) == (a.order + 1, a.block)])
        return move(self._flow, pair[1].order, before=pair[0].order) if pair else None

    def wrong_nesting(self) -> Flow | None:
        """The last step of a piece of flow logic stands behind it instead."""
        logic = {c.order for c in self._flow.components if c.is_logic and c.definition in _PLAIN_LOGIC}
        last = {c.block: c.order for c in self._flow.components}
        inner = [c for c in self._alone if c.block in logic and not self._has_follower(c.block)]
        step = self._one([c for c in inner if last[c.block] == c.order])
        return move(self._flow, step.order, after=step.block) if step else None

    def missing_logic(self) -> Flow | None:
        logic = self._one(self._bare_logic())
        return unwrap(self._flow, logic.order) if logic else None

    def extra_logic(self) -> Flow | None:
        step = self._one(self._steps)
        used = {c.definition for c in self._flow.components if c.is_logic}
        return wrap(self._flow, step.order, "FOREACH" if "FOREACH" not in used else "IF") if step else None

    def wrong_logic(self) -> Flow | None:
        logic = self._one([c for c in self._bare_logic() if c.definition in _PLAIN_LOGIC])
        used = {c.definition for c in self._flow.components}
        other = self._one([name for name in _PLAIN_LOGIC if name not in used])
        return replace(self._flow, logic.model_copy(update={"definition": other})) if logic and other else None

    def wrong_table(self) -> Flow | None:
        order, table = self._table()
        other = self._one([name for name in self._catalogue.tables if name != table])
        return replace_input(self._flow, order, "table", other) if table else None

    def invented_table(self) -> Flow | None:
        order, table = self._table()
        return replace_input(self._flow, order, "table", f"{table}_records") if table else None

    def wrong_column(self) -> Flow | None:
        def other(place: _Condition, clause: Clause) -> Clause | None:
            used = {one.field for one in place.clauses}
            name = self._one([column for column in place.columns if column not in used])
            return clause._replace(field=name) if name else None

        return self._with_condition(other)

    def invented_column(self) -> Flow | None:
        return self._with_condition(lambda _, clause: clause._replace(field=f"{clause.field}_kind"))

    def wrong_choice(self) -> Flow | None:
        def other(place: _Condition, clause: Clause) -> Clause | None:
            others = [value for value in place.columns[clause.field].choices if value != clause.value]
            if "{{" in clause.value or not others or clause.operator not in ("=", "!=", "CHANGESTO"):
                return None
            return clause._replace(value=self._rng.choice(others))

        return self._with_condition(other)

    def wrong_value(self) -> Flow | None:
        def other(place: _Condition, clause: Clause) -> Clause | None:
            if place.columns[clause.field].choices or not clause.value or "{{" in clause.value:
                return None
            return clause._replace(value=f"not {clause.value}")

        return self._with_condition(other)

    def wrong_operator(self) -> Flow | None:
        def other(_: _Condition, clause: Clause) -> Clause | None:
            operator = _OPPOSITE.get(clause.operator)
            return clause._replace(operator=operator) if operator else None

        return self._with_condition(other)

    def wrong_reference(self) -> Flow | None:
        place = self._input(lambda given: isinstance(given.value, str) and "{{" in given.value)
        if place is None:
            return None
        order, given = place
        return replace_input(self._flow, order, given.name, given.value.replace("{{", "{{step.99.", 1))

    def literal_or_reference(self) -> Flow | None:
        place = self._input(lambda given: str(given.value).startswith("{{") and given.name not in QUERY_INPUTS)
        return replace_input(self._flow, place[0], place[1].name, "somebody") if place else None

    def missing_input(self) -> Flow | None:
        place = self._input(lambda given: given.value not in ("", None, []))
        return replace_input(self._flow, place[0], place[1].name, None) if place else None

    def extra_input(self) -> Flow | None:
        place = self._one([
            (c.order, name) for c in self._steps if (step := self._catalogue.step(c))
            for name, kind in step.inputs.items() if name not in {i.name for i in c.inputs} and kind.type == "string"
        ])  # fmt: skip
        return replace_input(self._flow, place[0], place[1], "something else") if place else None

    def implicit_step_missed(self) -> Flow | None:
        alone = {step.order for step in self._alone}
        return self._at_label("implicit_step", lambda order: remove(self._flow, order) if order in alone else None)

    def implicit_condition_missed(self) -> Flow | None:
        """Without the flow logic that the label names, or without the condition of the trigger or step there."""
        bare = {c.order for c in self._bare_logic()}

        def lose(order: int) -> Flow | None:
            if order in bare:
                return unwrap(self._flow, order)
            given = {i.name for i in dict(inputs_of(self._flow)).get(order, [])}
            name = next((name for name in ("condition", "conditions") if name in given), None)
            return replace_input(self._flow, order, name, None) if name else None

        return self._at_label("implicit_condition", lose)

    def enterprise_step_confused(self) -> Flow | None:
        own = self._example.features.get("enterprise_step")
        step = self._one([c for c in self._alone if isinstance(own, list) and c.key in own])
        return remove(self._flow, step.order) if step else None

    def _one(self, options: Sequence[Any]) -> Any:
        return self._rng.choice(options) if options else None

    def _new_step(self) -> Component | None:
        used = {c.key for c in self._flow.components}
        key = self._one([name for name in self._catalogue.actions if name not in used])
        if key is None:
            return None
        scope, _, definition = key.rpartition(".")
        needed = [Input(name=n, value="new") for n, d in self._catalogue.actions[key].inputs.items() if d.required]
        return Component(definition=definition, scope=scope or "global", order=1, inputs=needed)

    def _has_follower(self, order: int) -> bool:
        """True when the next sibling of a piece of flow logic depends on it (ELSE, CATCH)."""
        block = self._flow.components[order - 1].block
        later = next((c for c in self._flow.components if c.order > order and c.block == block), None)
        return later is not None and later.is_logic and later.definition in FOLLOWS

    def _bare_logic(self) -> list[Component]:
        """Flow logic that can go or change without breaking what stands beside it."""
        logic = [c for c in self._flow.components if c.is_logic and c.definition in (*_PLAIN_LOGIC, "WAIT")]
        return [c for c in logic if not self._has_follower(c.order)]

    def _table(self) -> tuple[int, str]:
        """A table that the flow uses and where; "" when there is none."""
        tables = [(order, table) for order, inputs in inputs_of(self._flow) if (table := table_of(inputs))]
        return self._one(tables) or (0, "")

    def _input(self, suits: Callable[[Input], bool]) -> tuple[int, Input] | None:
        found: tuple[int, Input] | None = self._one(
            [(order, given) for order, inputs in inputs_of(self._flow) for given in inputs if suits(given)]
        )
        return found

    def _with_condition(self, change: Callable[[_Condition, Clause], Clause | None]) -> Flow | None:
        """One condition on a known column changed: the first, in a drawn order, of which `change` makes another."""
        places = []
        for order, inputs in inputs_of(self._flow):
            table = self._catalogue.tables.get(table_of(inputs) or "")
            for given in inputs if table else []:
                clauses = (parse_query(given.value) or []) if given.name in QUERY_INPUTS and given.value else []
                columns = table.columns if table else {}
                places += [_Condition(order, given.name, columns, clauses, number)
                           for number, clause in enumerate(clauses) if clause.field in columns]  # fmt: skip
        self._rng.shuffle(places)
        for place in places:
            changed = change(place, place.clauses[place.number])
            if changed is not None:
                clauses = [changed if n == place.number else clause for n, clause in enumerate(place.clauses)]
                text = "".join("".join(clause) for clause in clauses)
                return replace_input(self._flow, place.order, place.input, text)
        return None

    def _at_label(self, label: str, lose: Callable[[int], Flow | None]) -> Flow | None:
        """A fault at a place that an authored label names, e.g. `implicit_step: ["3: must be found first"]`."""
        orders = sorted(o for o in labelled_orders(self._example.features.get(label)) if o <= self._flow.steps)
        self._rng.shuffle(orders)
        return next((flow for order in orders if (flow := lose(order)) is not None), None)


#: Every kind that can be injected: all of the shipped taxonomy but `reference_disputable`, which only people can say.
KINDS: Final = (*_STATUSES, *(name for name in vars(_Faults) if not name.startswith("_")))


def fault_cases(
    examples: Iterable[Example], catalogues: Mapping[str, Catalogue], *, kinds: Sequence[str] = KINDS, seed: int = 0
) -> Iterator[FaultCase]:
    """Every example with every kind of fault that it offers a place for."""
    for example in examples:
        for kind in kinds:
            case = inject(example, kind, catalogues[example.domain], seed)
            if case is not None:
                yield case


def inject(example: Example, kind: str, catalogue: Catalogue, seed: int = 0) -> FaultCase | None:
    """One fault of `kind` in the example's main reference; None when there is no place for it.

    Raises ValueError for a kind that is not in `KINDS`.
    """
    if kind not in KINDS:
        raise ValueError(f"fault {kind!r} for {example.id}: expected one of {', '.join(KINDS)}")
    place: dict[str, Any] = {"example": example.id, "system": f"fault/{kind}"}
    if kind in _STATUSES:
        return FaultCase(kind, example, Prediction.model_validate({**place, "status": kind}))
    faults = _Faults(example, catalogue, random.Random(f"{seed}/{kind}/{example.id}"))
    flow: Flow | None = getattr(faults, kind)()
    if flow is None or flow in example.references:
        return None
    suggestions = _suggestions(example, kind, flow)
    return FaultCase(kind, example, Prediction(status="ok", flow=flow, suggestions=suggestions, **place))


def _suggestions(example: Example, kind: str, flow: Flow) -> list[Suggestion]:
    """What the retriever would have shown: everything that is needed, but for `source_retriever` what went missing."""
    needed = {(c.category, c.key) for c in example.flow.components if not c.is_logic}
    if kind == "source_retriever":
        needed &= {(c.category, c.key) for c in flow.components}
    elif kind != "source_model":
        return []
    shown = [("trigger", "shown_but_not_needed"), *sorted(needed)]
    return [Suggestion.model_validate({"kind": shelf, "name": name}) for shelf, name in shown]


def confusion(cases: Iterable[FaultCase], catalogues: Mapping[str, Catalogue]) -> pd.DataFrame:
    """Injected kind (rows) against proposed category (columns): the share of cases in which it was proposed."""
    found = []
    for case in cases:
        tags = propose_tags(case.example, case.prediction, catalogues.get(case.example.domain))
        found.append((case.kind, {tag.category for tag in tags} or {"nothing proposed"}))
    sizes = pd.Series([kind for kind, _ in found]).value_counts()
    rows = [(kind, category) for kind, proposed in found for category in proposed]
    table = pd.DataFrame(rows, columns=["injected", "proposed"])
    counts = pd.crosstab(table["injected"], table["proposed"])
    return counts.div(sizes.reindex(counts.index), axis=0)

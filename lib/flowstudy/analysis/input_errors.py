"""What is wrong with the inputs of a step that stands for the right one: table, column, operator, value, reference."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

from flowstudy.corpus.references import NUMBER_WORDS
from flowstudy.flows.catalogue import Catalogue, StepDef
from flowstudy.flows.query import Clause, parse_query
from flowstudy.flows.schema import QUERY_INPUTS, REFERENCE, Flow, Input

TABLE_INPUTS: Final = ("table", "table_name")
_DURATION: Final = re.compile(
    rf"(?P<number>\d{{1,6}}|an?|{'|'.join(NUMBER_WORDS)}) ?"
    r"(?P<unit>second|sec|minute|min|hour|hr|h|day|week|month|year)s?"
)


class InputError(NamedTuple):
    """One difference, with its evidence in words."""

    category: str
    input: str
    evidence: str


def input_errors(
    expected: list[Input],
    got: list[Input],
    catalogue: Catalogue | None = None,
    step: StepDef | None = None,
    moved: Mapping[str, str] | None = None,
) -> Iterator[InputError]:
    """Differences between two lists of inputs, in the order of the expected ones, extra ones last.

    `step` is the definition of the step (types and choices of its inputs), `moved` maps a reference such as
    `step.3` of the expected flow to what it is called in the generated one, so that shifted numbers are no error.
    """
    theirs = {i.name: i.value for i in got}
    names = {i.name for i in expected}
    wanted_table, their_table = table_of(expected), table_of(got)
    for name, value in ((i.name, i.value) for i in expected):
        definition = step.inputs.get(name) if step else None
        kind = definition.type if definition else "string"
        if name not in theirs:
            if not _is_empty(value):
                yield InputError("missing_input", name, f"expected {name} = {_show(value)}")
            continue
        want, have = as_text(value, moved), as_text(theirs[name], None)
        if want == have or (_duration(want) is not None and _duration(want) == _duration(have)):
            continue
        if name in TABLE_INPUTS or kind == "table":
            yield _wrong_table(name, want, have, catalogue)
        elif name in QUERY_INPUTS or kind in ("query", "values"):
            yield from _query_errors(name, want, have, wanted_table, their_table, catalogue)
        elif _is_empty(theirs[name]):
            yield InputError("missing_input", name, f"expected {name} = {_show(want)}, got nothing")
        else:
            choices = bool(definition and definition.choices)
            yield InputError(_value_category(want, have, choices, kind), name, _versus(name, want, have))
    for name in theirs:
        if name not in names and not _is_empty(theirs[name]):
            yield InputError("extra_input", name, f"nothing asks for {name} = {_show(theirs[name])}")


def inputs_of(flow: Flow) -> Iterator[tuple[int, list[Input]]]:
    """The order of every step with its inputs; the trigger's is 0."""
    if flow.trigger:
        yield 0, flow.trigger.inputs
    yield from ((c.order, c.inputs) for c in flow.components)


def table_of(inputs: list[Input]) -> str | None:
    """The table that the inputs work on; None when there is none or it is a reference."""
    values = (i.value for i in inputs if i.name in TABLE_INPUTS and isinstance(i.value, str))
    return next((value for value in values if value and "{{" not in value), None)


def _wrong_table(name: str, want: str, have: str, catalogue: Catalogue | None) -> InputError:
    if category := _reference_category(want, have):
        return InputError(category, name, _versus(name, want, have))
    invented = catalogue is not None and have not in catalogue.tables
    return InputError("invented_table" if invented else "wrong_table", name, _versus(name, want, have))


def _query_errors(
    name: str, want: str, have: str, wanted_table: str | None, their_table: str | None, catalogue: Catalogue | None
) -> Iterator[InputError]:
    expected, got = parse_query(want), parse_query(have)
    if expected is None or got is None:
        if not have:
            yield InputError("missing_input", name, f"expected {name} = {_show(want)}")
        else:
            yield InputError(_value_category(want, have, False, ""), name, _versus(name, want, have))
        return
    left, right = _left_over(expected, got)
    same_field = [(a, b) for a in left for b in right if a.field == b.field]
    for a, b in same_field:
        if a in left and b in right:
            left.remove(a)
            right.remove(b)
            yield from _clause_errors(name, a, b, wanted_table, catalogue)
    for a, b in list(zip(left, right, strict=False)):
        if (a.operator, a.value) == (b.operator, b.value) or len(left) == len(right):
            left.remove(a)
            right.remove(b)
            yield _wrong_column(name, a, b, their_table, catalogue)
    for clause in left:
        yield InputError("missing_input", name, f"expected the condition {_clause(clause)}")
    for clause in right:
        invented = _is_invented(clause, their_table, catalogue)
        yield InputError("invented_column" if invented else "extra_input", name, f"nothing asks for {_clause(clause)}")


def _left_over(expected: list[Clause], got: list[Clause]) -> tuple[list[Clause], list[Clause]]:
    """Clauses that the other side does not have, whatever their order and how they are joined."""
    left, right = list(expected), list(got)
    for a in expected:
        twin = next((b for b in right if a[1:] == b[1:]), None)
        if twin is not None:
            left.remove(a)
            right.remove(twin)
    return left, right


def _clause_errors(
    name: str, a: Clause, b: Clause, table: str | None, catalogue: Catalogue | None
) -> Iterator[InputError]:
    """At most one error: where operator and value both differ, the clause is compared in the wrong way."""
    category = "wrong_operator" if a.operator != b.operator else ""
    if not category and a.value != b.value:
        category = _value_category(a.value, b.value, _has_choices(a, table, catalogue), "")
    if category:
        yield InputError(category, name, f"expected {_clause(a)}, got {_clause(b)}")


def _wrong_column(name: str, a: Clause, b: Clause, theirs: str | None, catalogue: Catalogue | None) -> InputError:
    category = "invented_column" if _is_invented(b, theirs, catalogue) else "wrong_column"
    category = _reference_category(a.field, b.field) or category
    return InputError(category, name, f"expected {_clause(a)}, got {_clause(b)}")


def _is_invented(clause: Clause, table: str | None, catalogue: Catalogue | None) -> bool:
    if catalogue is None or table not in catalogue.tables or "{{" in clause.field:
        return False
    return clause.field.split(".")[0] not in catalogue.tables[table].columns


def _has_choices(clause: Clause, table: str | None, catalogue: Catalogue | None) -> bool:
    if catalogue is None or table not in catalogue.tables or "." in clause.field:
        return False
    column = catalogue.tables[table].columns.get(clause.field)
    return bool(column and column.choices)


def _value_category(want: str, have: str, choices: bool, kind: str) -> str:
    if category := _reference_category(want, have):
        return category
    if choices or kind in ("choice", "boolean"):
        return "wrong_choice"
    return "wrong_column" if kind == "column" else "wrong_value"


def _reference_category(want: str, have: str) -> str:
    """What is wrong where references are involved: another one, or a fixed value on one side only; "" for neither, and
    for the same references in other words."""
    theirs, ours = ([path.strip() for path in REFERENCE.findall(text)] for text in (want, have))
    if theirs == ours:
        return ""
    return "wrong_reference" if theirs and ours else "literal_or_reference"


def _duration(text: str) -> tuple[int, str] | None:
    """A plain duration as number and unit, however it is written: "two days" is "2 days"; None for anything else."""
    match = _DURATION.fullmatch(text.strip().lower())
    if match is None:
        return None
    number, unit = match["number"], match["unit"]
    count = int(number) if number.isdigit() else 1 if number in ("a", "an") else NUMBER_WORDS.index(number)
    return count, {"min": "minute", "h": "hour", "hr": "hour", "sec": "second"}.get(unit, unit)


def as_text(value: Any, moved: Mapping[str, str] | None) -> str:
    """The text of a value as it is compared; its references to steps are renamed by `moved` (`step.3` to `step.2`)."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    if not moved or "{{" not in text:
        return text
    parts = text.split("{{")
    return "{{".join([parts[0], *(_renumber(part, moved) for part in parts[1:])])


def _renumber(part: str, moved: Mapping[str, str]) -> str:
    pieces = part.split(".", 2)
    head = ".".join(pieces[:2]).strip()
    return ".".join([moved[head], *pieces[2:]]) if head in moved else part


def _is_empty(value: Any) -> bool:
    return value in ("", None) or value == []


def _clause(clause: Clause) -> str:
    return f"{clause.field} {clause.operator} {clause.value}".strip()


def _versus(name: str, want: str, have: str) -> str:
    return f"{name}: expected {_show(want)}, got {_show(have)}"


def _show(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else text[:59] + "…"

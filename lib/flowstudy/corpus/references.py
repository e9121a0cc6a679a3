"""Checks on data references and input values of a flow that the catalogue alone cannot make."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any, Final

from flowstudy.flows.catalogue import Catalogue, StepDef
from flowstudy.flows.query import parse_query
from flowstudy.flows.schema import QUERY_INPUTS, REFERENCE, Component, Flow, Input

LOOP_OUTPUTS: Final = ("item", "index")
#: Numbers from 0 on as people write them.
NUMBER_WORDS: Final = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
)  # fmt: skip
_FREE: Final = frozenset({"", "true", "false", "null"})


def reference_faults(flow: Flow, catalogue: Catalogue) -> list[str]:
    """Data references that lead nowhere: to a later or missing step, or to an output that the step does not have."""
    faults: list[str] = []
    for order, inputs, _ in _parts(flow, catalogue):
        for path in _paths(inputs):
            fault = _reference_fault(path.split("."), order, flow, catalogue)
            if fault:
                faults.append(f"component {order}: reference {{{{{path}}}}}: {fault}")
    return faults


def dangling(flow: Flow) -> list[str]:
    """Data references to steps that a flow does not have, or by their name, or to a trigger where it has none.

    References in other words (`{{variable.x}}`, an expression of the platform) are passed over.
    """
    faults: list[str] = []
    names = {component.definition for component in flow.components} - {"step", "trigger", "item", "variable"}
    for order, inputs, _ in _parts(flow, Catalogue(name="none")):
        for path in _paths(inputs):
            head, *rest = path.split(".")
            target = int(rest[0]) if head == "step" and rest and rest[0].isdecimal() else 1
            if head in names:
                faults.append(f"component {order}: reference {{{{{path}}}}}: expected `step.<order>`, got a name")
            elif not 1 <= target <= flow.steps or (head == "trigger" and flow.trigger is None):
                missing = "trigger" if head == "trigger" else f"step {target}"
                faults.append(f"component {order}: reference {{{{{path}}}}}: the flow has no {missing}")
    return faults


def _paths(inputs: Iterable[Input]) -> list[str]:
    return [path.strip() for path in REFERENCE.findall(" ".join(str(each.value) for each in inputs))]


def _parts(flow: Flow, catalogue: Catalogue) -> Iterator[tuple[int, list[Input], StepDef]]:
    """Order, inputs and definition of the trigger (order 0) and of every component."""
    if flow.trigger:
        yield 0, flow.trigger.inputs, catalogue.triggers.get(flow.trigger.type, StepDef())
    for component in flow.components:
        yield component.order, component.inputs, catalogue.step(component) or StepDef()


def _reference_fault(path: list[str], order: int, flow: Flow, catalogue: Catalogue) -> str | None:
    head, *rest = path
    if head == "trigger":
        return _trigger_fault(rest, flow, catalogue)
    if head != "step" or not rest or not rest[0].isdigit():
        return "expected `trigger.<output>` or `step.<order>.<output>`"
    target = int(rest[0])
    tested_after = order > 0 and flow.components[order - 1].definition == "DOUNTIL" and _inside(flow, target, order)
    if not (1 <= target < order or tested_after):
        return f"step {target} is not before this component"
    component = flow.components[target - 1]
    if component.definition == "FOREACH" and not _inside(flow, order, target):
        return f"this component is not in the loop {target}"
    outputs = _outputs(component, catalogue)
    if outputs and (len(rest) < 2 or rest[1] not in outputs):
        return f"{component.key} gives {', '.join(outputs)}"
    table = component.input("table")
    return _column_fault(table, rest[2:], catalogue) if rest[1:2] == ["record"] else None


def _inside(flow: Flow, order: int, logic: int) -> bool:
    """Whether component `order` is in the body of the flow logic `logic`."""
    block = flow.components[order - 1].block if 0 < order <= flow.steps else None
    while block is not None and block > logic:
        block = flow.components[block - 1].block
    return block == logic


def _outputs(component: Component, catalogue: Catalogue) -> list[str]:
    if component.is_logic:
        return list(LOOP_OUTPUTS) if component.definition == "FOREACH" else ["state"]
    step = catalogue.step(component)
    return step.outputs if step else []


def _trigger_fault(rest: list[str], flow: Flow, catalogue: Catalogue) -> str | None:
    if flow.trigger is None:
        return "the flow has no trigger"
    definition = catalogue.triggers.get(flow.trigger.type)
    if definition and definition.outputs and (not rest or rest[0] not in definition.outputs):
        return f"{flow.trigger.type} gives {', '.join(definition.outputs)}"
    table = next((i.value for i in flow.trigger.inputs if i.name == "table"), None)
    return _column_fault(table, rest[1:], catalogue) if rest[:1] == ["record"] else None


def _column_fault(table: Any, path: list[str], catalogue: Catalogue) -> str | None:
    """Walk columns from a table over references; stops where the catalogue does not know the table."""
    for name in path:
        definition = catalogue.tables.get(table) if isinstance(table, str) else None
        if definition is None:
            return None
        column = definition.columns.get(name)
        if column is None:
            return f"{table} has no column {name!r}"
        table = column.reference
    return None


def underived_values(flow: Flow, requirement: str, catalogue: Catalogue, derived: Iterable[str] = ()) -> list[str]:
    """Input values that follow from nothing: not in the requirement, the catalogue, a reference or `derived`.

    Case, spacing and the spelling of numbers up to twelve do not count. A query is taken apart into its values.
    """
    text = _plain(requirement)
    given = {_plain(value) for value in derived}
    words = _words(catalogue)
    faults: list[str] = []
    for order, name, value in _values(flow, catalogue):
        plain = _plain(value)
        if not (plain in _FREE or plain in words or plain in given or plain in text or _pieces(plain, text)):
            faults.append(f"component {order}: {name}: {value!r}")
    return faults


def lost_values(flow: Flow, requirement: str, other: str, catalogue: Catalogue) -> list[str]:
    """Input values that stand in the requirement and are missing in another wording of it, compared as above.

    Of a value with references, runs of at least two words count.
    """
    texts, found = (_plain(requirement), _plain(other)), dict[str, None]()
    for _, _, value in _values(flow, catalogue):
        plain = _plain(value)
        runs = [run for run in _runs(plain) if " " in run] if "{{" in plain else [plain]
        for run in runs:
            whole, start = rf"(?<!\w){re.escape(run)}(?!\w)", rf"(?<!\w){re.escape(run)}(?!\d)"
            if run not in _FREE and re.search(whole, texts[0]) and not re.search(start, texts[1]):
                found[run] = None
    return list(found)


def _values(flow: Flow, catalogue: Catalogue) -> Iterator[tuple[int, str, str]]:
    """Order, input name and value of every input, queries and lists taken apart."""
    for order, inputs, definition in _parts(flow, catalogue):
        queries = QUERY_INPUTS | {n for n, d in definition.inputs.items() if d.type in ("query", "values")}
        for item in inputs:
            yield from ((order, item.name, value) for value in _atoms(item, item.name in queries))


def _runs(value: str) -> list[str]:
    """The words around the references of a value."""
    return [piece.strip(" ,.;:!?-()+*/") for piece in REFERENCE.sub("\x00", value).split("\x00")]


def _pieces(value: str, text: str) -> bool:
    """A value that mixes references and words: every run of words stands in the text."""
    if "{{" not in value:
        return False
    return all(piece in text for piece in _runs(value))


def _atoms(item: Input, is_query: bool) -> Iterator[str]:
    if isinstance(item.value, list):
        yield from map(str, item.value)
        return
    value = str(item.value)
    clauses = parse_query(value) if is_query and value else None
    if clauses is None:
        yield value
        return
    for clause in clauses:
        yield from clause.value.split(",") if clause.operator in ("IN", "NOT IN") else [clause.value]


def _plain(text: str) -> str:
    text = re.sub(r"\s+", " ", text.lower()).replace("’", "'").strip(" .")
    return re.sub(r"\b(" + "|".join(NUMBER_WORDS) + r")\b", lambda m: str(NUMBER_WORDS.index(m[0])), text)


def _words(catalogue: Catalogue) -> frozenset[str]:
    """Everything that the catalogue names: steps, tables, columns, choices, groups and roles."""
    found: set[str] = {*catalogue.tables, *catalogue.groups, *catalogue.roles, *catalogue.steps()}
    for step in (*catalogue.steps().values(), *catalogue.triggers.values()):
        for definition in step.inputs.values():
            found |= set(definition.choices)
    for table in catalogue.tables.values():
        for name, column in table.columns.items():
            found |= {name, *column.choices, *column.choices.values()}
    return frozenset(_plain(word) for word in found)

"""Checks on data references of a flow that the catalogue alone cannot make."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from flowstudy.corpus.features import REFERENCE
from flowstudy.flows.catalogue import Catalogue, StepDef
from flowstudy.flows.schema import Component, Flow, Input

LOOP_OUTPUTS: Final = ("item", "index")


def reference_faults(flow: Flow, catalogue: Catalogue) -> list[str]:
    """Data references that lead nowhere: to a later or missing step, or to an output that the step does not have."""
    faults: list[str] = []
    for order, inputs, _ in parts(flow, catalogue):
        for path in REFERENCE.findall(" ".join(str(i.value) for i in inputs)):
            fault = _reference_fault(path.split("."), order, flow, catalogue)
            if fault:
                faults.append(f"component {order}: reference {{{{{path}}}}}: {fault}")
    return faults


def parts(flow: Flow, catalogue: Catalogue) -> Iterator[tuple[int, list[Input], StepDef]]:
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

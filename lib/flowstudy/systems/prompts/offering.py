"""Suggestions and steps as lines of text for a prompt."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Final

from flowstudy.flows.catalogue import Catalogue, ColumnDef, InputDef, StepDef
from flowstudy.flows.schema import Component, Flow, Trigger
from flowstudy.systems.records import Suggestion

#: What flow logic takes, as the catalogue says it of steps.
LOGIC_INPUTS: Final = {
    "IF": {"condition": InputDef(type="query", required=True)},
    "ELSEIF": {"condition": InputDef(type="query", required=True)},
    "DOUNTIL": {"condition": InputDef(type="query", required=True)},
    "FOREACH": {"items": InputDef(type="list", required=True)},
    "SWITCH": {"value": InputDef(required=True)},
    "CASE": {"value": InputDef(required=True)},
    "WAIT": {
        "duration": InputDef(type="duration"),
        "until": InputDef(type="date"),
        "condition": InputDef(type="query"),
    },
}


def lines(suggestions: Sequence[Suggestion], catalogue: Catalogue) -> dict[str, list[str]]:
    """Lines by `triggers`, `actions`, `subflows` and `tables`; suggested columns stand with their table."""
    shown: dict[str, list[str]] = {"triggers": [], "actions": [], "subflows": [], "tables": []}
    shelves = {"trigger": catalogue.triggers, "action": catalogue.actions, "subflow": catalogue.subflows}
    for suggestion in suggestions:
        if suggestion.kind in shelves:
            definition = shelves[suggestion.kind].get(suggestion.name, StepDef())
            shown[f"{suggestion.kind}s"].append(_step(suggestion.name, definition))
    columns: dict[str, list[str]] = {s.name: [] for s in suggestions if s.kind == "table"}
    for suggestion in suggestions:
        if suggestion.kind == "column":
            table, _, column = suggestion.name.rpartition(".")
            columns.setdefault(table, []).append(column)
    shown["tables"] = [_table(name, names, catalogue) for name, names in columns.items()]
    return shown


def _step(name: str, definition: StepDef) -> str:
    inputs = ", ".join(_input(key, value) for key, value in definition.inputs.items())
    gives = f" -> {', '.join(definition.outputs)}" if definition.outputs else ""
    about = f": {definition.description}" if definition.description else ""
    return f"{name}({inputs}){gives}{about}"


def _input(name: str, definition: InputDef) -> str:
    kind = "|".join(definition.choices) if definition.choices else definition.type
    return f"{name}{'' if definition.required else '?'} {kind}"


def _table(name: str, columns: Sequence[str], catalogue: Catalogue) -> str:
    table = catalogue.tables.get(name)
    label = f" ({table.label})" if table and table.label else ""
    known = table.columns if table else {}
    shown = "; ".join(_column(column, known.get(column, ColumnDef())) for column in columns)
    return f"{name}{label}{f': {shown}' if shown else ''}"


def _column(name: str, column: ColumnDef) -> str:
    choices = ", ".join(value if value == label else f"{value} = {label}" for value, label in column.choices.items())
    about = choices or (f"refers to {column.reference}" if column.reference else column.type)
    return f"{name} [{about}]"


def step_name(step: Component | Trigger) -> str:
    """What the step is called in the catalogue; flow logic by its own name."""
    return step.type if isinstance(step, Trigger) else step.key


def step_definition(step: Component | Trigger, catalogue: Catalogue) -> StepDef | None:
    """Its definition, also of flow logic that takes inputs; None for unknown steps and other flow logic."""
    if isinstance(step, Component) and step.is_logic:
        known = LOGIC_INPUTS.get(step.definition)
        return StepDef(inputs=known) if known else None
    return catalogue.triggers.get(step.type) if isinstance(step, Trigger) else catalogue.step(step)


def step_line(step: Component | Trigger, catalogue: Catalogue) -> str:
    """The step with its inputs as the catalogue has them; the bare name when it has none."""
    definition = step_definition(step, catalogue)
    return _step(step_name(step), definition) if definition else step_name(step)


def same_step_inputs(flow: Flow, step: Component | Trigger) -> str | None:
    """The inputs, as a JSON object, of the first step of `flow` with the same name; None when there is none."""
    candidates: list[Component | Trigger] = list(flow.components) if isinstance(step, Component) else []
    if isinstance(step, Trigger) and flow.trigger is not None:
        candidates = [flow.trigger]
    for candidate in candidates:
        if step_name(candidate) == step_name(step):
            return json.dumps({i.name: i.value for i in candidate.inputs}, ensure_ascii=False)
    return None


def outline_lines(suggestions: Sequence[Suggestion], catalogue: Catalogue) -> str:
    """What is offered in the form that an outline uses it: a line per trigger, step and table, names before `|`.

    Steps show the names of their inputs and, after `->`, of their outputs; columns show their choices or the table
    that they refer to. Empty for no suggestions.
    """
    shown = []
    shelves = {"trigger": catalogue.triggers, "action": catalogue.actions, "subflow": catalogue.subflows}
    columns: dict[str, list[str]] = {s.name: [] for s in suggestions if s.kind == "table"}
    for suggestion in suggestions:
        if suggestion.kind in shelves:
            step = shelves[suggestion.kind].get(suggestion.name, StepDef())
            names = "".join(f" | {name}{_options(one)}" for name, one in step.inputs.items())
            gives = f" -> {', '.join(step.outputs)}" if step.outputs else ""
            shown.append(f"{suggestion.kind} {suggestion.name}{names}{gives}")
        elif suggestion.kind == "column":
            table, _, column = suggestion.name.rpartition(".")
            columns.setdefault(table, []).append(column)
    for table, chosen in columns.items():
        known = catalogue.tables[table].columns if table in catalogue.tables else {}
        shown.append(f"table {table}" + "".join(f" | {_short_column(n, known.get(n, ColumnDef()))}" for n in chosen))
    return "\n".join(shown)


def _options(definition: InputDef) -> str:
    return f" {'/'.join(definition.choices)}" if definition.choices else ""


def _short_column(name: str, column: ColumnDef) -> str:
    same = {value: value.casefold() == label.casefold().replace(" ", "_") for value, label in column.choices.items()}
    choices = ", ".join(value if same[value] else f"{value} {label}" for value, label in column.choices.items())
    return f"{name} {choices}" if choices else f"{name} of {column.reference}" if column.reference else name

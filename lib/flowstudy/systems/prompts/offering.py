"""Suggestions and steps as lines of text for a prompt."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from flowstudy.flows.catalogue import Catalogue, ColumnDef, InputDef, StepDef
from flowstudy.flows.outline import to_outline
from flowstudy.flows.query import OPERATORS, parse_query
from flowstudy.flows.schema import QUERY_INPUTS, Component, Flow, Trigger
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


#: The most conditions that a prompt shows of a platform with a form of its own, and the length of one.
_SAMPLES, _SAMPLE_CHARS = 3, 120


class Conditions(NamedTuple):
    """How a corpus writes conditions: the operators of its encoded queries, commonest first; without any, in a form of
    the platform's own, of which `samples` may show some."""

    operators: tuple[str, ...] = ()
    samples: tuple[str, ...] = ()


ENCODED: Final = Conditions(tuple(OPERATORS))


def conditions_of(train: Iterable[Flow], others: Iterable[Flow] = ()) -> Conditions:
    """How these flows write conditions; `ENCODED` where none does. Samples are of `train` only, in its order."""
    learnt = list(_conditions(train))
    said = [*learnt, *_conditions(others)]
    queries = [parse_query(text) for text in said]
    if 2 * sum(query is None for query in queries) > len(queries):
        return Conditions(samples=tuple(text for text in learnt if len(text) <= _SAMPLE_CHARS)[:_SAMPLES])
    counts = Counter(clause.operator for query in queries for clause in query or ())
    return Conditions(tuple(name for name, _ in counts.most_common())) if counts else ENCODED


def _conditions(flows: Iterable[Flow]) -> dict[str, None]:
    """The different conditions of flows, as the keys of a dictionary, in order; a bare reference is none."""
    parts = (part for flow in flows for part in (flow.trigger, *flow.components) if part is not None)
    said = (i.value for part in parts for i in part.inputs if i.name in QUERY_INPUTS and isinstance(i.value, str))
    return {text: None for text in said if text and not (text.startswith("{{") and text.find("}}") == len(text) - 2)}


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


def takes_inputs(step: Component | Trigger, catalogue: Catalogue) -> bool:
    """Whether a step may have inputs; an unknown one may."""
    definition = step_definition(step, catalogue)
    if definition is None:
        return not (isinstance(step, Component) and step.is_logic)
    return bool(definition.inputs)


def same_step(flow: Flow, step: Component | Trigger) -> Component | Trigger | None:
    """The first step of `flow` with the same name; None when there is none."""
    candidates = [flow.trigger] if isinstance(step, Trigger) else flow.components
    return next((c for c in candidates if c is not None and step_name(c) == step_name(step)), None)


def numbered_steps(flow: Flow, catalogue: Catalogue) -> str:
    """The trigger and the numbered steps of a flow without inputs, each with what it returns, as later steps name it.

    trigger record_create -> {{trigger.record}}
    1 FOREACH -> {{step.1.item}}
    """
    bare = flow.skeleton().model_copy(update={"inputs": None, "outputs": None})
    steps = [step for step in (flow.trigger, *flow.components) if step is not None]
    pairs = zip(to_outline(bare, numbered=True).split("\n"), steps, strict=True) if steps else ()
    return "\n".join(f"{line}{_returns(step, catalogue)}" for line, step in pairs)


def _returns(step: Component | Trigger, catalogue: Catalogue) -> str:
    definition = step_definition(step, catalogue)
    names = ["item"] if step_name(step) == "FOREACH" else definition.outputs if definition is not None else []
    place = "trigger" if isinstance(step, Trigger) else f"step.{step.order}"
    return f" -> {', '.join(f'{{{{{place}.{name}}}}}' for name in names)}" if names else ""


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

"""From a flow to the outline that points."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from flowstudy.flows.catalogue import Catalogue, StepDef
from flowstudy.flows.outline import component_line, to_outline
from flowstudy.flows.query import parse_query
from flowstudy.flows.schema import QUERY_INPUTS, Component, Flow, Input
from flowstudy.systems.pointers.targets import (
    MAX_CHOICES,
    MAX_INPUTS,
    Pointing,
    choices_of,
    escape,
    step_def,
    step_head,
)
from flowstudy.systems.records import Suggestion

_REFERENCE: Final = re.compile(r"(\{\{[^{}]*\}\})")


def point(flow: Flow, suggestions: Sequence[Suggestion], requirement: str, catalogue: Catalogue | None = None) -> str:
    """The pointed outline of a flow, as the model should write it for this prompt. Empty flow: empty text."""
    to = Pointing(suggestions, requirement, catalogue)
    lines = [line for line in to_outline(Flow(inputs=flow.inputs, outputs=flow.outputs)).split("\n") if line]
    if flow.trigger is not None:
        lines.append(_point_step(to, "trigger", flow.trigger.type, flow.trigger.inputs, None))
    depth: dict[int | None, int] = {None: 0}
    for component in flow.components:
        level = depth.get(component.block, 0)
        depth[component.order] = level + 1
        kind = "" if component.is_logic else component.category
        text = _point_step(to, kind, component.key, component.inputs, component)
        lines.append(f"{'  ' * level}{component.order} {text}")
    return "\n".join(lines)


def _point_step(to: Pointing, kind: str, key: str, inputs: list[Input], component: Component | None) -> str:
    note = component.annotation if component else None
    near = to.span(note) if note else None
    number = to.numbers.get((kind, key)) if _pointable(kind, key, inputs, component) else None
    step = None if number is None else step_def(to.suggestions[number], to.catalogue)
    table = next((i.value for i in inputs if i.name in ("table", "table_name") and isinstance(i.value, str)), "")
    pointed = [Input(name=i.name, value=_point_value(to, i, step, table, near)) for i in inputs]
    places = {name: n for n, name in enumerate(step.inputs) if n < MAX_INPUTS} if step else {}
    if number is None and component is None:
        text = to_outline(Flow.model_validate({"trigger": {"type": key, "inputs": pointed}}))
    elif number is None and component is not None:
        text = component_line(component.model_copy(update={"inputs": pointed, "annotation": None}))
    else:
        text = f"<s{number}>" + "".join(_input_text(i, places) for i in pointed)
    if near is not None:
        return f"<w{near[0]}><w{near[1]}> {text}"
    spelled = Component(definition="x", order=1, annotation=None if note is None else escape(note))
    return text + component_line(spelled).removeprefix("action x")


def _pointable(kind: str, key: str, inputs: list[Input], component: Component | None) -> bool:
    """Whether the key alone names the step, and no input holds a "<" that could be mistaken for an input pointer."""
    if not kind:
        return False
    whole = component is None or step_head(kind, key) == step_head(kind, component.definition, component.scope)
    return whole and not any("<" in i.name or ("<" in str(i.value) and not isinstance(i.value, str)) for i in inputs)


def _input_text(item: Input, places: dict[str, int]) -> str:
    value = item.value
    if isinstance(value, str) and value.startswith(":="):
        return _plain_input(item)
    text = _plain_input(item)
    if item.name not in places or not text.startswith(f" | {item.name} "):
        return text
    body = text.removeprefix(f" | {item.name} ")
    return f"<i{places[item.name]}>" + (body if body.startswith(":= ") else body.removeprefix("=").removeprefix(" "))


def _plain_input(item: Input) -> str:
    return component_line(Component(definition="x", order=1, inputs=[item])).removeprefix("action x")


def _point_value(to: Pointing, item: Input, step: StepDef | None, table: str, near: tuple[int, int] | None) -> object:
    value = item.value
    if not isinstance(value, str) or not value:
        return value
    definition = step.inputs.get(item.name) if step else None
    if ("table", value) in to.numbers:
        return f"<s{to.numbers['table', value]}>"
    if definition and value in definition.choices[:MAX_CHOICES]:
        return f"<c{definition.choices.index(value)}>"
    if definition and definition.type == "column" and ("column", value) in to.numbers:
        return f"<s{to.numbers['column', value]}>"
    if item.name in QUERY_INPUTS or (definition and definition.type in ("query", "values")):
        return _point_query(to, value, table, near)
    return _point_text(to, value, near)


def _point_query(to: Pointing, query: str, table: str, near: tuple[int, int] | None) -> str:
    clauses = parse_query(query)
    if clauses is None or "".join("".join(clause) for clause in clauses) != query:
        return _point_text(to, query, near)
    pieces = []
    for clause in clauses:
        field, dot, rest = clause.field.partition(".")
        number = to.numbers.get(("column", f"{table}.{field}"), to.numbers.get(("column", field)))
        choices = (
            list(choices_of(to.suggestions[number].name, to.catalogue))[:MAX_CHOICES] if number is not None else []
        )
        name = field if number is None else f"<s{number}>"
        if not dot and clause.value in choices:
            value = f"<c{choices.index(clause.value)}>"
        else:
            value = _point_text(to, clause.value, near)
        pieces += [clause.join, name, dot, rest, clause.operator, value]
    return "".join(pieces)


def _point_text(to: Pointing, text: str, near: tuple[int, int] | None) -> str:
    return "".join(_point_piece(to, piece, near) for piece in _REFERENCE.split(text) if piece)


def _point_piece(to: Pointing, piece: str, near: tuple[int, int] | None) -> str:
    if piece.startswith("{{"):
        path, dot, last = piece[2:-2].rpartition(".")
        number = to.numbers.get(("column", last)) if dot and path.endswith((".record", ".item")) else None
        return escape(piece) if number is None else f"{{{{{escape(path)}.<s{number}>}}}}"
    span = to.span(piece.strip(" "), near)
    if span is None:
        return escape(piece)
    before, after = piece[: len(piece) - len(piece.lstrip(" "))], piece[len(piece.rstrip(" ")) :]
    return f"{before}<w{span[0]}><w{span[1]}>{after}"

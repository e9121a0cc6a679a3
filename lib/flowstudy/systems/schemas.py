"""JSON Schemas of what may be answered, built from what was offered: only those steps and their inputs are valid."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from flowstudy.flows.catalogue import Catalogue, InputDef, StepDef
from flowstudy.flows.schema import FLOW_LOGIC, Component, Trigger
from flowstudy.systems.prompts.offering import step_definition
from flowstudy.systems.records import Suggestion

_VALUE: Final = {"type": ["string", "number", "boolean"]}


def flow_schema(suggestions: Sequence[Suggestion], catalogue: Catalogue, *, outline: bool = False) -> dict[str, Any]:
    """A flow of the offered triggers and steps; any name is valid for a kind of which nothing was offered.

    With `outline`, components have an annotation and no inputs.
    """
    triggers = {s.name: catalogue.triggers.get(s.name, StepDef()) for s in suggestions if s.kind == "trigger"}
    kinds = [_logic(outline)]
    for category in ("action", "subflow"):
        shelf = catalogue.actions if category == "action" else catalogue.subflows
        offered = {s.name: shelf.get(s.name, StepDef()) for s in suggestions if s.kind == category}
        kinds += [_step(category, name, step, outline) for name, step in offered.items()]
    if len(kinds) == 1:
        any_name = {"type": "string"}
        kinds += [_component({"enum": [kind]}, any_name, any_name, None, outline) for kind in ("action", "subflow")]
    starts = [_trigger({"enum": [name]}, step.inputs) for name, step in triggers.items()]
    trigger = {"anyOf": starts or [_trigger({"type": "string"}, None)]}
    return _object({"trigger": trigger, "components": {"type": "array", "items": {"anyOf": kinds}}})


def inputs_schema(step: Component | Trigger, catalogue: Catalogue) -> dict[str, Any] | None:
    """The inputs of one known step as an object, null for those left out; None for an unknown step."""
    definition = step_definition(step, catalogue)
    if definition is None:
        return None
    return _object({name: _value(optional=not one.required) for name, one in definition.inputs.items()})


def response_format(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    """The parameter `response_format` that asks for this schema."""
    return {"type": "json_schema", "json_schema": {"name": name, "strict": True, "schema": schema}}


def _object(properties: Mapping[str, Any]) -> dict[str, Any]:
    shape = {"type": "object", "properties": dict(properties), "required": list(properties)}
    return {**shape, "additionalProperties": False}


def _trigger(name: dict[str, Any], inputs: Mapping[str, InputDef] | None) -> dict[str, Any]:
    return _object({"type": name, "inputs": _inputs(inputs)})


def _value(*, optional: bool) -> dict[str, Any]:
    return {"type": [*_VALUE["type"], *(["null"] if optional else [])]}


def _inputs(known: Mapping[str, InputDef] | None) -> dict[str, Any]:
    name = {"enum": list(known)} if known else {"type": "string"}
    return {"type": "array", "items": _object({"name": name, "value": _VALUE})}


def _logic(outline: bool) -> dict[str, Any]:
    return _component({"enum": ["flowlogic"]}, {"enum": sorted(FLOW_LOGIC)}, {"enum": ["global"]}, None, outline)


def _step(category: str, key: str, step: StepDef, outline: bool) -> dict[str, Any]:
    scope, dot, definition = key.rpartition(".")
    scope = scope if dot else "global"
    return _component({"enum": [category]}, {"enum": [definition]}, {"enum": [scope]}, step.inputs, outline)


def _component(
    category: Any, definition: Any, scope: Any, inputs: Mapping[str, InputDef] | None, outline: bool
) -> dict[str, Any]:
    parts: dict[str, Any] = {"category": category, "definition": definition, "scope": scope}
    parts |= {"order": {"type": "integer"}, "block": {"type": ["integer", "null"]}}
    return _object({**parts, **({"annotation": {"type": "string"}} if outline else {}), "inputs": _inputs(inputs)})

"""JSON Schemas of what may be answered, built from what was offered: only those steps and their inputs are valid."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from flowstudy.corpus.example import Example
from flowstudy.flows.catalogue import Catalogue, InputDef, StepDef
from flowstudy.flows.schema import FLOW_LOGIC, Component, Flow, Trigger
from flowstudy.systems.prompts import written
from flowstudy.systems.prompts.offering import LOGIC_INPUTS, step_definition, takes_inputs
from flowstudy.systems.records import Suggestion

_STRING: Final = {"type": "string"}
_LIST: Final = {"type": "array", "items": _STRING}


def flow_schema(
    suggestions: Sequence[Suggestion], catalogue: Catalogue, *, outline: bool = False, annotated: bool = False
) -> dict[str, Any]:
    """A flow of the offered triggers and steps, each with its own inputs, and of flow logic. Any trigger is valid
    where none was offered, any step where no step was.

    With `outline` nothing has inputs, and components have an annotation where they are `annotated`.
    """
    extra = {"annotation": {"type": ["string", "null"]}} if annotated else {}
    triggers = {s.name: catalogue.triggers.get(s.name, StepDef()) for s in suggestions if s.kind == "trigger"}
    steps = [
        _step(category, s.name, shelf.get(s.name, StepDef()), outline, extra)
        for category, shelf in (("action", catalogue.actions), ("subflow", catalogue.subflows))
        for s in suggestions
        if s.kind == category
    ]
    anything = [_component(kind, _STRING, _STRING, None, outline, extra) for kind in ("action", "subflow")]
    starts = [_trigger(_one_of(name), step.inputs, outline) for name, step in triggers.items()]
    trigger = {"anyOf": starts or [_trigger(_STRING, None, outline)]}
    kinds = [*_logic(outline, extra), *(steps or anything)]
    return _object({"trigger": trigger, "components": {"type": "array", "items": {"anyOf": kinds}}})


def rules_out(example: Example, suggestions: Sequence[Suggestion], catalogue: Catalogue) -> bool:
    """Whether no reference of an example can be written under the schema of these suggestions."""
    from jsonschema import Draft202012Validator

    valid = Draft202012Validator(flow_schema(suggestions, catalogue)).is_valid
    kinds = {s.kind for s in suggestions}
    free = ("trigger" not in kinds, not kinds & {"action", "subflow"})
    return not any(valid(_complete(flow.without_annotations(), catalogue, *free)) for flow in example.references)


def _complete(flow: Flow, catalogue: Catalogue, any_trigger: bool, any_step: bool) -> dict[str, Any]:
    """A flow as the schema wants it: `inputs` wherever a step takes some, given or not, and where any name is valid."""
    made = written(flow)
    parts, steps = [made["trigger"], *made["components"]], (flow.trigger, *flow.components)
    for part, step in zip(parts, steps, strict=True):
        free = any_trigger if isinstance(step, Trigger) else any_step and step is not None and not step.is_logic
        if step is not None and (free or takes_inputs(step, catalogue)):
            part.setdefault("inputs", [])
    return made


def inputs_schema(step: Component | Trigger, catalogue: Catalogue) -> dict[str, Any] | None:
    """The inputs of one known step as an object, null for those left out; None for an unknown step."""
    definition = step_definition(step, catalogue)
    if definition is None:
        return None
    return _object({name: _value([one], optional=not one.required) for name, one in definition.inputs.items()})


def response_format(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    """The parameter `response_format` that asks for this schema."""
    return {"type": "json_schema", "json_schema": {"name": name, "strict": True, "schema": schema}}


def _object(properties: Mapping[str, Any]) -> dict[str, Any]:
    shape = {"type": "object", "properties": dict(properties), "required": list(properties)}
    return {**shape, "additionalProperties": False}


def _one_of(*names: str) -> dict[str, Any]:
    """A string out of these; providers want the type beside an enumeration."""
    return {"type": "string", "enum": list(names)}


def _value(inputs: Iterable[InputDef], *, optional: bool = False) -> dict[str, Any]:
    """What one of these inputs may hold: lists only where one of them is a list."""
    plain = {"type": ["string", "number", "boolean", *(["null"] if optional else [])]}
    return {"anyOf": [plain, _LIST]} if any(one.type == "list" for one in inputs) else plain


def _with_inputs(parts: Mapping[str, Any], known: Mapping[str, InputDef] | None, outline: bool) -> dict[str, Any]:
    """`parts` and the inputs of a step: any where they are not known (None), no such property where it takes none."""
    if outline or known == {}:
        return _object(parts)
    name = _one_of(*known) if known else _STRING
    items = _object({"name": name, "value": _value((known or {}).values())})
    return _object({**parts, "inputs": {"type": "array", "items": items}})


def _trigger(name: dict[str, Any], inputs: Mapping[str, InputDef] | None, outline: bool) -> dict[str, Any]:
    return _with_inputs({"type": name}, inputs, outline)


def _logic(outline: bool, extra: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Flow logic that takes inputs, and flow logic that takes none."""
    taken = {name: one for inputs in LOGIC_INPUTS.values() for name, one in inputs.items()}
    bare = sorted(FLOW_LOGIC - LOGIC_INPUTS.keys())
    return [
        _component("flowlogic", _one_of(*sorted(LOGIC_INPUTS)), _one_of("global"), taken, outline, extra),
        _component("flowlogic", _one_of(*bare), _one_of("global"), {}, outline, extra),
    ]


def _step(category: str, key: str, step: StepDef, outline: bool, extra: Mapping[str, Any]) -> dict[str, Any]:
    scope, dot, definition = key.rpartition(".")
    return _component(category, _one_of(definition), _one_of(scope if dot else "global"), step.inputs, outline, extra)


def _component(
    category: str, definition: Any, scope: Any, inputs: Mapping[str, InputDef] | None, outline: bool,
    extra: Mapping[str, Any],
) -> dict[str, Any]:  # fmt: skip
    parts: dict[str, Any] = {"category": _one_of(category), "definition": definition, "scope": scope}
    parts |= {"order": {"type": "integer"}, "block": {"type": ["integer", "null"]}}
    return _with_inputs({**parts, **extra}, inputs, outline)

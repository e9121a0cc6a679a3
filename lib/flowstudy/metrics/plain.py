"""Flows of the usual shape, decoded and checked in one step: the shortcut of both conventions.

A flow is plain if `parse_flow` would call it `ok` and it has no signature, orders 1, 2, ..., only flow logic that
encloses steps, and inputs that are a name and one text, integer, boolean or null. Anything else gives None here and
takes the complete route (`parse_flow`, `published_tree`). Both routes give equal scores; the tests compare them.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal, TypeAlias

from msgspec import UNSET, Meta, Struct, UnsetType, ValidationError, convert
from msgspec.json import Decoder

from flowstudy.flows.schema import Flow, Input

Scalar: TypeAlias = str | int | bool | None
#: Inputs as they are written, each with exactly `name` and `value`; their keys keep their order.
PlainInputs: TypeAlias = list[Annotated[dict[Literal["name", "value"], Scalar], Meta(min_length=2)]]
#: Longer texts take the complete route, which checks the limits.
_MOST_CHARS: Final = 200_000


class PlainTrigger(Struct, forbid_unknown_fields=True, gc=False):
    """A trigger; `inputs` may be absent."""

    type: str
    inputs: PlainInputs | UnsetType = UNSET


class PlainStep(Struct, forbid_unknown_fields=True, gc=False):
    """A component; what may be absent is kept apart from what is written."""

    definition: str
    order: int
    category: Literal["action", "subflow", "flowlogic"] | UnsetType = UNSET
    scope: str | UnsetType = UNSET
    block: int | None = None
    annotation: str | None = None
    inputs: PlainInputs | UnsetType = UNSET


class PlainFlow(Struct, forbid_unknown_fields=True, gc=False):
    """A plain flow: blocks name an open flow logic, so components stand in document order."""

    components: list[PlainStep]
    trigger: PlainTrigger | None = None


_decode: Final = Decoder(PlainFlow).decode


def plain_flow(value: Any) -> PlainFlow | None:
    """The plain flow in a JSON text, a parsed JSON value or a `Flow`; None for anything else.

    >>> plain_flow('{"trigger": null, "components": [{"definition": "log", "order": 1}]}').components[0].definition
    'log'
    >>> plain_flow('{"trigger": null, "components": [{"definition": "log", "order": 2}]}') is None
    True
    """
    try:
        if isinstance(value, str):
            flow = _decode(value) if len(value) <= _MOST_CHARS else None
        else:
            flow = _of_model(value) if isinstance(value, Flow) else convert(value, PlainFlow)
    except (ValidationError, ValueError, RecursionError):
        return None
    return flow if flow is not None and _is_nested(flow.components) and _has_names(flow) else None


def _of_model(flow: Flow) -> PlainFlow | None:
    if flow.inputs is not None or flow.outputs is not None:
        return None
    trigger = flow.trigger and {"type": flow.trigger.type, "inputs": _inputs(flow.trigger.inputs)}
    steps = [
        {"definition": s.definition, "order": s.order, "category": s.category, "scope": s.scope, "block": s.block,
         "inputs": _inputs(s.inputs)}
        for s in flow.components
    ]  # fmt: skip
    return convert({"trigger": trigger, "components": steps}, PlainFlow)


def _inputs(inputs: list[Input]) -> list[dict[str, Any]]:
    return [{"name": each.name, "value": each.value} for each in inputs]


def _is_nested(steps: list[PlainStep]) -> bool:
    """True if orders are 1, 2, ... and every block names a flow logic that is still open."""
    path: list[int] = []
    place = 0
    for step in steps:
        place += 1  # noqa: SIM113 - faster than enumerate on the few steps of a flow
        if step.order != place:
            return False
        block = step.block
        while path and path[-1] != block:
            path.pop()
        if block is not None and not path:
            return False
        if step.category == "flowlogic":
            path.append(place)
    return True


def _has_names(flow: PlainFlow) -> bool:
    parts: list[PlainStep | PlainTrigger] = [*flow.components, *([flow.trigger] if flow.trigger else [])]
    for part in parts:
        for each in part.inputs or ():
            if each["name"].__class__ is not str:
                return False
    return True

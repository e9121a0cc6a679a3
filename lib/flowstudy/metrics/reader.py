"""Reading a flow for the strict convention: one shape for texts, JSON objects and `Flow`s.

What `parse_flow` would call `ok` is mostly decoded and checked in one step; anything else takes `parse_flow`. Both
ways give equal outlines; the tests compare them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, Literal, NamedTuple, TypeAlias

from msgspec import Struct, ValidationError, convert
from msgspec.json import Decoder, encode

from flowstudy.flows.parse import parse_flow
from flowstudy.flows.schema import Flow, Input, Signature

#: Category, definition and scope of a step.
StepName: TypeAlias = tuple[str, str, str]
#: Longer texts take `parse_flow`, which checks the limits.
_MOST_CHARS: Final = 200_000


class PlainInput(Struct, forbid_unknown_fields=True, gc=False):
    """An input of which the value is a text, an integer, a boolean or null; in canonical form it may be any JSON."""

    name: str
    value: str | int | bool | None = ""


#: The inputs of a trigger or step: whatever has a name and a value.
Inputs: TypeAlias = Sequence[PlainInput | Input]


class Outline(NamedTuple):
    """The trigger's type and inputs, and of each step its name, its block (0 at the top level) and its inputs; the
    signatures of a subflow. Blocks name an open flow logic, so steps stand in document order."""

    trigger: tuple[str, Inputs] | None
    steps: list[tuple[StepName, int, Inputs]]
    signatures: tuple[Signature | None, Signature | None] = (None, None)


class Read(NamedTuple):
    """`outline` is None exactly when `status` is `invalid_output`; then `error` says why."""

    status: str
    outline: Outline | None
    repairs: tuple[str, ...] = ()
    error: str = ""


class _Trigger(Struct, forbid_unknown_fields=True, gc=False):
    type: str
    inputs: list[PlainInput] = []


class _Step(Struct, forbid_unknown_fields=True, gc=False):
    definition: str
    order: int
    category: Literal["action", "subflow", "flowlogic"] = "action"
    scope: str = "global"
    block: int | None = None
    annotation: str | None = None
    inputs: list[PlainInput] = []


class _Flow(Struct, forbid_unknown_fields=True, gc=False):
    components: list[_Step]
    trigger: _Trigger | None = None


_decode: Final = Decoder(_Flow).decode


def read(flow: Any) -> Read:
    """The outline of a text, a JSON object or a `Flow`. Never raises on a text.

    >>> read('{"trigger": {"type": "daily"}, "components": [{"definition": "log", "order": 1}]}').outline.steps
    [(('action', 'log', 'global'), 0, [])]
    """
    given = flow if isinstance(flow, Flow) else _plain(flow)
    found = None if given is None else _outline(given)
    if found is not None:
        return Read("ok", found)
    parsed = parse_flow(flow.to_dict() if isinstance(flow, Flow) else flow)
    return Read(
        parsed.status, None if parsed.flow is None else _outline(parsed.flow), parsed.repairs, parsed.error or ""
    )


def _plain(value: Any) -> _Flow | None:
    """The flow in a text or a JSON object if it has no signature and each input one text, integer, boolean or null."""
    try:
        if isinstance(value, str):
            return _decode(value) if len(value) <= _MOST_CHARS else None
        found = convert(value, _Flow)
        encode(found)  # refuses lone surrogates
        return found
    except (ValidationError, ValueError, OverflowError, RecursionError):
        return None


def _outline(flow: _Flow | Flow) -> Outline | None:
    """The outline if orders are 1, 2, ... and every block names a flow logic that is still open, else None."""
    path: list[int] = []
    steps: list[tuple[StepName, int, Inputs]] = []
    components: Sequence[Any] = flow.components
    for place, step in enumerate(components, start=1):
        block = step.block
        while path and path[-1] != block:
            path.pop()
        if step.order != place or (block is not None and not path):
            return None
        if step.category == "flowlogic":
            path.append(place)
        steps.append(((step.category, step.definition, step.scope), block or 0, step.inputs))
    start = flow.trigger
    trigger = (start.type, start.inputs) if start else None
    return Outline(trigger, steps, (flow.inputs, flow.outputs) if isinstance(flow, Flow) else (None, None))

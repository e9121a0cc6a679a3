"""Flows of the usual shape, decoded and checked in one step: the shortcut of both conventions.

A flow is plain if `parse_flow` would call it `ok` and it has no signature, orders 1, 2, ..., only flow logic that
encloses steps, and inputs that are a name and one text, integer, boolean or null. Anything else gives None here and
takes the complete route (`parse_flow`, `published_tree`). Both routes give equal scores; the tests compare them.
Inputs are decoded once: what is written the same, in any flow, is the same object afterwards.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Final, Generic, Literal, NamedTuple, TypeAlias, TypeVar

from msgspec import UNSET, Meta, Raw, Struct, UnsetType, ValidationError, convert
from msgspec.json import Decoder, encode

from flowstudy.flows.schema import Flow, Input

Scalar: TypeAlias = str | int | bool | None
#: Inputs as they are written, each with exactly `name` and `value`; their keys keep their order.
_Inputs: TypeAlias = list[Annotated[dict[Literal["name", "value"], Scalar], Meta(min_length=2)]]
_Given = TypeVar("_Given")
#: Longer texts take the complete route, which checks the limits.
_MOST_CHARS: Final = 200_000
#: Inputs that are remembered, and the bytes of JSON that they were written in.
_MOST_INPUTS: Final = 100_000
_MOST_BYTES: Final = 50_000_000


class _Trigger(Struct, Generic[_Given], forbid_unknown_fields=True, gc=False):
    type: str
    inputs: _Given | UnsetType = UNSET


class _Step(Struct, Generic[_Given], forbid_unknown_fields=True, gc=False):
    definition: str
    order: int
    category: Literal["action", "subflow", "flowlogic"] | UnsetType = UNSET
    scope: str | UnsetType = UNSET
    block: int | None = None
    annotation: str | None = None
    inputs: _Given | UnsetType = UNSET


class _Flow(Struct, Generic[_Given], forbid_unknown_fields=True, gc=False):
    components: list[_Step[_Given]]
    trigger: _Trigger[_Given] | None = None


class PlainInputs:
    """The inputs of a trigger or step, as they are written; the same object for the same JSON.

    `refers`: there may be data references in them, or nested values.
    """

    __slots__ = ("given", "refers")

    def __init__(self, given: list[dict[Any, Any]], refers: bool = True) -> None:
        self.given, self.refers = given, refers


#: Category, definition and scope of a step; what is absent is `UNSET`.
StepName: TypeAlias = tuple[Any, str, Any]


class PlainFlow(NamedTuple):
    """The trigger's type and inputs, and of each step its name, its block (0 at the top level) and its inputs.

    Inputs are None where the key is absent. Blocks name an open flow logic, so steps stand in document order.
    """

    trigger: tuple[str, PlainInputs | None] | None
    steps: list[tuple[StepName, int, PlainInputs | None]]


class _KnownInputs(dict[bytes, PlainInputs]):
    """JSON -> inputs, decoded when first met; ValidationError for inputs that are not plain."""

    def __init__(self) -> None:
        super().__init__()
        self._bytes = 0

    def __missing__(self, key: bytes) -> PlainInputs:
        given = _decode_inputs(key)
        for each in given:
            if each["name"].__class__ is not str:
                raise ValidationError("a name is not text")
        if len(self) >= _MOST_INPUTS or self._bytes > _MOST_BYTES:
            self.clear()
            self._bytes = 0
        self._bytes += len(key)
        return self.setdefault(key, PlainInputs(given, b"{{" in key or b"\\u" in key))


_decode_inputs: Final = Decoder(_Inputs).decode
_decode_flow: Final = Decoder(_Flow[Raw]).decode
_known_inputs: Final = _KnownInputs()


def plain_flow(value: Any) -> PlainFlow | None:
    """The plain flow in a JSON text, a parsed JSON value or a `Flow`; None for anything else.

    >>> plain_flow('{"trigger": {"type": "daily"}, "components": [{"definition": "log", "order": 1}]}').trigger
    ('daily', None)
    >>> plain_flow('{"trigger": null, "components": [{"definition": "log", "order": 2}]}') is None
    True
    """
    try:
        if isinstance(value, str):
            return _read(_decode_flow(value), bytes) if len(value) <= _MOST_CHARS else None
        given = _of_model(value) if isinstance(value, Flow) else value
        return _read(convert(given, _Flow[_Inputs]), encode)
    except (ValidationError, ValueError, OverflowError, RecursionError):
        return None


def _of_model(flow: Flow) -> dict[str, Any] | None:
    if flow.inputs is not None or flow.outputs is not None:
        return None
    trigger = flow.trigger and {"type": flow.trigger.type, "inputs": _inputs(flow.trigger.inputs)}
    steps = [
        {"definition": s.definition, "order": s.order, "category": s.category, "scope": s.scope, "block": s.block,
         "inputs": _inputs(s.inputs)}
        for s in flow.components
    ]  # fmt: skip
    return {"trigger": trigger, "components": steps}


def _inputs(inputs: list[Input]) -> list[dict[str, Any]]:
    return [{"name": each.name, "value": each.value} for each in inputs]


def _read(flow: _Flow[Any], as_json: Callable[[Any], bytes]) -> PlainFlow | None:
    """The flow if its orders are 1, 2, ... and every block names a flow logic that is still open, else None."""
    path: list[int] = []
    steps: list[tuple[StepName, int, PlainInputs | None]] = []
    place = 0
    for step in flow.components:
        place += 1  # noqa: SIM113 - faster than enumerate on the few steps of a flow
        block, category, given = step.block, step.category, step.inputs
        while path and path[-1] != block:
            path.pop()
        if step.order != place or (block is not None and not path):
            return None
        if category == "flowlogic":
            path.append(place)
        inputs = None if given is UNSET else _known_inputs[as_json(given)]
        steps.append(((category, step.definition, step.scope), block or 0, inputs))
    trigger = flow.trigger
    if trigger is None:
        return PlainFlow(None, steps)
    return PlainFlow((trigger.type, None if trigger.inputs is UNSET else _known_inputs[as_json(trigger.inputs)]), steps)

"""A shortcut for texts that `parse_flow` would accept as they stand: the same checks without building models.

Anything else (repairs, signatures, nested values, odd characters) gives None and takes the complete route. Both routes
give equal trees; the tests compare them.
"""

from __future__ import annotations

import json
from typing import Any, Final, NamedTuple

from flowstudy.flows.schema import FLOW_LOGIC

_FLOW_KEYS: Final = frozenset({"trigger", "components"})
_TRIGGER_KEYS: Final = frozenset({"type", "inputs"})
_STEP_KEYS: Final = frozenset({"category", "definition", "scope", "order", "block", "annotation", "inputs"})
_INPUT_KEYS: Final = frozenset({"name", "value"})
_PLAIN: Final = frozenset({str, int, bool, type(None)})
#: Escaped surrogates, numbers that are none, and fences.
_ODD_WORDS: Final = ("\\ud", "\\uD", "NaN", "Infinity", "```")
_MOST_CHARS: Final = 200_000
_MOST_STEPS: Final = 1_000


class PlainInput(NamedTuple):
    """Stands for `flows.schema.Input`."""

    name: str
    value: Any


class PlainTrigger(NamedTuple):
    """Stands for `flows.schema.Trigger`."""

    type: str
    inputs: list[PlainInput]


class PlainStep(NamedTuple):
    """Stands for `flows.schema.Component`."""

    category: str
    definition: str
    scope: str
    order: int
    block: int | None
    inputs: list[PlainInput]
    is_logic: bool


class PlainFlow(NamedTuple):
    """Stands for `flows.schema.Flow`, with all that a strict tree needs."""

    trigger: PlainTrigger | None
    components: list[PlainStep]
    inputs: None = None
    outputs: None = None


class _Unusual(Exception):
    """The text needs the complete route."""


def plain_flow(text: str, value: Any = None) -> PlainFlow | None:
    """The flow in a text whose status would be `ok`, or None for a text that needs the complete route.

    `value` may be the JSON value of exactly this text, where it has been decoded before.
    """
    if len(text) > _MOST_CHARS or not text.lstrip().startswith("{") or any(word in text for word in _ODD_WORDS):
        return None
    try:
        if not text.isascii():
            text.encode()
        return _flow(json.loads(text) if value is None else value)
    except (_Unusual, ValueError, KeyError, AttributeError, TypeError, RecursionError):
        return None


def _flow(value: Any) -> PlainFlow:
    if not value.keys() <= _FLOW_KEYS or not value:
        raise _Unusual
    trigger, steps = value.get("trigger"), value.get("components", [])
    if type(steps) is not list or len(steps) > _MOST_STEPS:
        raise _Unusual
    path: list[tuple[int, bool]] = []
    return PlainFlow(
        None if trigger is None else _trigger(trigger),
        [_step(step, place, path) for place, step in enumerate(steps, start=1)],
    )


def _trigger(trigger: Any) -> PlainTrigger:
    if not trigger.keys() <= _TRIGGER_KEYS or type(trigger["type"]) is not str:
        raise _Unusual
    return PlainTrigger(trigger["type"], _inputs(trigger.get("inputs", [])))


def _step(step: Any, place: int, path: list[tuple[int, bool]]) -> PlainStep:
    """A well-formed component; `path` holds the open components and whether each may enclose others."""
    if not step.keys() <= _STEP_KEYS or type(step.get("annotation", "")) not in (str, type(None)):
        raise _Unusual
    category, definition, scope = step.get("category", "action"), step["definition"], step.get("scope", "global")
    order, block = step["order"], step.get("block")
    is_logic = category == "flowlogic"
    if type(definition) is not str or type(scope) is not str or type(order) is not int or order != place:
        raise _Unusual
    if definition not in FLOW_LOGIC if is_logic else category not in ("action", "subflow"):
        raise _Unusual
    while path and path[-1][0] != block:
        path.pop()
    if block is not None and (type(block) is not int or not path or not path[-1][1]):
        raise _Unusual
    path.append((order, is_logic))
    return PlainStep(category, definition, scope, order, block, _inputs(step.get("inputs", [])), is_logic)


def _inputs(inputs: Any) -> list[PlainInput]:
    if type(inputs) is not list:
        raise _Unusual
    found = []
    for each in inputs:
        name, value = each["name"], each.get("value", "")
        if type(name) is not str or type(value) not in _PLAIN or not each.keys() <= _INPUT_KEYS:
            raise _Unusual
        found.append(PlainInput(name, value))
    return found

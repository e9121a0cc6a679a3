"""Trigger match and component match as published (raw values, no tree).

Source of the rules: arXiv 2503.21889 and the code published with it.
"""

from __future__ import annotations

import json
from typing import Any

_SHAPE_ERRORS = (TypeError, AttributeError, RecursionError, ValueError)


def trigger_match(candidate: Any, reference: Any) -> float | None:
    """1.0 if two flows (JSON values) have the same trigger type and inputs, else 0.0; None if neither has a trigger.

    Inputs are compared in order of their names; the order of keys inside an input counts. Unreadable shapes give 0.0.

    >>> trigger_match({"trigger": {"type": "daily"}}, {"trigger": {"type": "daily", "inputs": []}})
    1.0
    """
    try:
        first, second = candidate.get("trigger"), reference.get("trigger")
        if first is None and second is None:
            return None
        return float(_printed_trigger(first) == _printed_trigger(second))
    except _SHAPE_ERRORS:
        return 0.0


def component_match(candidate: Any, reference: Any) -> float | None:
    """Jaccard index in [0, 1] of the two sets of components (JSON values); None if both are empty.

    A component counts by category, definition and scope as written. Unreadable shapes give 0.0.

    >>> component_match({"components": [{"definition": "a"}]}, {"components": [{"definition": "a"}, {}]})
    0.5
    """
    try:
        first, second = _printed_components(candidate), _printed_components(reference)
    except _SHAPE_ERRORS:
        return 0.0
    if not first and not second:
        return None
    return len(first & second) / len(first | second)


def _printed_trigger(trigger: Any) -> str:
    if trigger is None:
        return "{}"
    inputs = trigger.get("inputs", [])
    if inputs:
        inputs = sorted(inputs, key=lambda each: each.get("name", ""))
    return json.dumps({"type": trigger.get("type"), "inputs": inputs})


def _printed_components(flow: Any) -> set[str]:
    components = flow.get("components", [])
    if not isinstance(components, list):
        raise TypeError(f"components: expected a list, got {type(components).__name__}")
    return {f"{step.get('category')}___{step.get('definition')}___{step.get('scope')}" for step in components}

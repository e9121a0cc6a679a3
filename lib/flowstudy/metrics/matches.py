"""Trigger match and component match as published (raw values, no tree).

Source of the rules: arXiv 2503.21889 and the code published with it.
"""

from __future__ import annotations

import json
from typing import Any, Final, NamedTuple

from msgspec import UNSET

from flowstudy.metrics.plain import PlainFlow
from flowstudy.metrics.reader import Memo

_SHAPE_ERRORS: Final = (TypeError, AttributeError, RecursionError, ValueError)


class Unreadable(NamedTuple):
    """Stands for what the published code cannot print: every match with it is 0."""


class Prints(NamedTuple):
    """What the two matches compare: the printed trigger (None without one) and the set of printed components."""

    trigger: str | Unreadable | None
    components: frozenset[str] | Unreadable


def prints(flow: Any) -> Prints:
    """The prints of a flow given as a JSON value."""
    printed: str | Unreadable | None
    try:
        trigger = flow.get("trigger")
        printed = None if trigger is None else _printed_trigger(trigger)
    except _SHAPE_ERRORS:
        printed = Unreadable()
    try:
        return Prints(printed, _printed_components(flow))
    except _SHAPE_ERRORS:
        return Prints(printed, Unreadable())


class PrintReader:
    """Prints plain flows, and remembers the prints of triggers and steps."""

    def __init__(self) -> None:
        self._triggers = Memo(lambda key: _print_trigger(key[0], key[1].given if key[1] else []))
        self._steps = Memo(lambda name: _print_step(*(None if part is UNSET else part for part in name)))

    def read(self, flow: PlainFlow) -> Prints:
        """The prints of a plain flow."""
        trigger = None if flow.trigger is None else self._triggers[flow.trigger]
        return Prints(trigger, frozenset([self._steps[name] for name, _, _ in flow.steps]))


def printed_trigger_match(candidate: Prints, reference: Prints) -> float | None:
    """1.0 if two flows have the same trigger type and inputs, else 0.0; None if neither has a trigger.

    Inputs are compared in order of their names; the order of keys inside an input counts. Unreadable shapes give 0.0.
    """
    first, second = candidate.trigger, reference.trigger
    if isinstance(first, Unreadable) or isinstance(second, Unreadable):
        return 0.0
    return None if first is None and second is None else float(first == second)


def printed_component_match(candidate: Prints, reference: Prints) -> float | None:
    """Jaccard index in [0, 1] of the two sets of components; None if both are empty.

    A component counts by category, definition and scope as written. Unreadable shapes give 0.0.
    """
    first, second = candidate.components, reference.components
    if isinstance(first, Unreadable) or isinstance(second, Unreadable):
        return 0.0
    common = len(first & second)
    total = len(first) + len(second) - common
    return common / total if total else None


def _printed_trigger(trigger: Any) -> str:
    return _print_trigger(trigger.get("type"), trigger.get("inputs", []))


def _print_trigger(kind: Any, inputs: Any) -> str:
    if inputs:
        inputs = sorted(inputs, key=lambda each: each.get("name", ""))
    return json.dumps({"type": kind, "inputs": inputs})


def _printed_components(flow: Any) -> frozenset[str]:
    components = flow.get("components", [])
    if not isinstance(components, list):
        raise TypeError(f"components: expected a list, got {type(components).__name__}")
    return frozenset(_print_step(s.get("category"), s.get("definition"), s.get("scope")) for s in components)


def _print_step(category: Any, definition: Any, scope: Any) -> str:
    return f"{category}___{definition}___{scope}"

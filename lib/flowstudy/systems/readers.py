"""From the text of an answer to a flow or to the inputs of a step, by what the prompt asked the model to write."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from flowstudy.flows.parse import ParsedFlow, parse_flow
from flowstudy.flows.schema import Component, Flow, Input, Trigger
from flowstudy.systems.prompts import Reads

if TYPE_CHECKING:
    from flowstudy.systems.tasks import Task


def read_flow(text: str, reads: Reads, task: Task) -> ParsedFlow:
    """The flow in an answer, whether it was asked for as JSON or as an outline."""
    if not text.strip():
        return ParsedFlow("invalid_output", None, (), "the answer is empty")
    return parse_flow(text)


def read_inputs(text: str, reads: Reads, step: Component | Trigger, task: Task) -> list[Input] | None:
    """The inputs in the answer for one step; None when there are none to be read. Null values are left out."""
    if reads != "json":
        flow = read_flow(text, reads, task).flow or Flow()
        parts = [flow.trigger] if isinstance(step, Trigger) else flow.components[:1]
        return parts[0].inputs if parts and parts[0] is not None else None
    value = _json_object(text)
    if value is None:
        return None
    inner = value.get("inputs", value) if len(value) == 1 else value
    if isinstance(inner, list):
        wrong = [item for item in inner if not (isinstance(item, dict) and isinstance(item.get("name"), str))]
        inner = None if wrong else {item["name"]: item.get("value") for item in inner}
    if not isinstance(inner, dict):
        return None
    return [Input(name=name, value=given) for name, given in inner.items() if given is not None]


def _json_object(text: str) -> dict[str, Any] | None:
    """The first JSON object in the text, also inside a fence or prose."""
    decoder = json.JSONDecoder(parse_constant=lambda name: None)
    start = text.find("{")
    for _ in range(20):
        if start < 0:
            return None
        try:
            value, _end = decoder.raw_decode(text, start)
        except (ValueError, RecursionError):
            start = text.find("{", start + 1)
            continue
        return value if isinstance(value, dict) else None
    return None

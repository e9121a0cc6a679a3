"""From the text of an answer to a flow or to the inputs of a step, by what the prompt asked the model to write."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from flowstudy.flows.json_text import mended, pieces, strict_json
from flowstudy.flows.parse import ParsedFlow, parse_flow, parse_value
from flowstudy.flows.schema import Component, Flow, Input, Trigger
from flowstudy.systems.prompts import Reads

if TYPE_CHECKING:
    from flowstudy.systems.tasks import Task

#: Keys under which models put inputs when they write more than was asked for.
_WRAPPERS: Final = ("inputs", "arguments", "parameters", "function")


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
    try:
        said = pieces(text.removeprefix("\ufeff"))
        values = [piece.value for piece in said if isinstance(piece.value, dict | list)]
        values = values or [mended("".join(piece.text for piece in said), r"""\{\s*["'“”]""")]
    except (ValueError, RecursionError):
        return None
    inner = _unwrapped(values[-1])
    if not isinstance(inner, dict | list):
        return None
    parsed = parse_value({"trigger": {"type": "one", "inputs": inner}, "components": []}).flow
    given = parsed.trigger.inputs if parsed is not None and parsed.trigger is not None else None
    return given if given is None else [item for item in given if item.value is not None]


def _unwrapped(value: Any) -> Any:
    """The inputs in the last JSON value of an answer, without tool calls, explanations and strings around them."""
    for _ in range(5):
        if isinstance(value, str):
            try:
                value = strict_json.decode(value)
            except (ValueError, RecursionError):
                return None
        key = next((key for key in _WRAPPERS if isinstance(value, dict) and key in value), None)
        if key is None or not isinstance(value[key], dict | list | str):
            break
        value = value[key]
    return value

"""From the text of an answer to a flow or to the inputs of a step, by what the prompt asked the model to write."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from flowstudy.flows.json_text import mended, pieces, strict_json
from flowstudy.flows.parse import ParsedFlow, parse_flow, parse_value
from flowstudy.flows.schema import Component, Flow, Input, Trigger
from flowstudy.systems.prompts import Reads
from flowstudy.systems.prompts.offering import step_definition

if TYPE_CHECKING:
    from flowstudy.systems.tasks import Task

#: Keys under which models put inputs when they write more than was asked for.
_WRAPPERS: Final = ("inputs", "arguments", "parameters", "function")


def read_flow(text: str, reads: Reads, task: Task | None) -> ParsedFlow:
    """The flow in an answer, whether it was asked for as JSON or as an outline."""
    if not text.strip():
        return ParsedFlow("invalid_output", None, (), "the answer is empty")
    return parse_flow(text)


def read_inputs(
    text: str, reads: Reads, step: Component | Trigger, task: Task | None, repairs: list[str] | None = None
) -> list[Input] | None:
    """The inputs in the answer for one step; None when there are none to be read. Null values are left out. What had to
    be repaired is added to `repairs`, by the names of `flows.parse.REPAIRS`."""
    done = [] if repairs is None else repairs
    if reads != "json":
        parsed = read_flow(text, reads, task)
        done += parsed.repairs
        flow = parsed.flow or Flow()
        parts = [flow.trigger] if isinstance(step, Trigger) else flow.components[:1]
        return parts[0].inputs if parts and parts[0] is not None else None
    try:
        said = pieces(text.removeprefix("\ufeff"))
        values = [piece.value for piece in said if isinstance(piece.value, dict | list)]
        done += ["drafts_removed"] if len(values) > 1 else []
        if not values:
            values = [mended("".join(piece.text for piece in said), r"""\{\s*["'“”]""")]
            done.append("json_syntax")
    except (ValueError, RecursionError):
        return None
    inner = _unwrapped(values[-1], _input_names(step, task))
    done += ["unwrapped"] if inner is not values[-1] else []
    if not isinstance(inner, dict | list):
        return None
    # an object of names and values is what the prompt asks for
    asked = [{"name": name, "value": value} for name, value in inner.items()] if isinstance(inner, dict) else inner
    parsed = parse_value({"trigger": {"type": "one", "inputs": asked}, "components": []}, done)
    done += [repair for repair in parsed.repairs if repair not in done]
    given = parsed.flow.trigger.inputs if parsed.flow is not None and parsed.flow.trigger is not None else None
    return given if given is None else [item for item in given if item.value is not None]


def _input_names(step: Component | Trigger, task: Task | None) -> set[str]:
    definition = None if task is None else step_definition(step, task.catalogue)
    return set() if definition is None else set(definition.inputs)


def _unwrapped(value: Any, names: set[str]) -> Any:
    """The inputs in the last JSON value of an answer, without tool calls, explanations and strings around them; an
    object with inputs of these `names` is none of those."""
    for _ in range(5):
        if isinstance(value, str):
            try:
                value = strict_json.decode(value)
            except (ValueError, RecursionError):
                return None
        if isinstance(value, dict) and names & value.keys():
            break
        key = next((key for key in _WRAPPERS if isinstance(value, dict) and key in value), None)
        if key is None or not isinstance(value[key], dict | list | str):
            break
        value = value[key]
    return value

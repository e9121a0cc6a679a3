"""From model text to a flow: strict first, then repairs that each have a name. Never raises on model text.

Text that is a valid flow as it stands is `ok`. Text that becomes one after the repairs below is `repaired`, and
the repairs are listed; anything else is `invalid_output` with the reason in `error`. No repair invents a step.
"""

from __future__ import annotations

import re
from typing import Any, Final, Literal, NamedTuple

from pydantic import ValidationError

from flowstudy.flows.json_text import mended, pieces, steps_in, strict_json
from flowstudy.flows.normalise import MAX_COMPONENTS, NotAFlow, flows_within, normalise
from flowstudy.flows.outline import OutlineError, from_outline
from flowstudy.flows.schema import FLOW_LOGIC, Flow, structure_faults

MAX_CHARS: Final = 20_000_000
MAX_DEPTH: Final = 100
#: Every repair and what it means; `ParsedFlow.repairs` holds these names.
REPAIRS: Final = {
    "bad_characters": "lone surrogates, which no file can hold, became U+FFFD",
    "fence_removed": "the JSON stood in a Markdown fence",
    "thinking_removed": "the thinking of the model was cut off",
    "prose_removed": "text before or after the flow was cut off",
    "drafts_removed": "the text holds several flows, and the last one counts",
    "json_syntax": "the JSON had syntax errors (quotes, commas, comments, missing brackets at the end)",
    "unwrapped": "the flow stood in an outer object, list or string; what stood beside it was dropped",
    "keys_renamed": "the steps stood under another key than `components`",
    "unknown_keys_dropped": "keys that the format does not have were dropped",
    "values_coerced": "a number or boolean stood where a string belongs, or the reverse",
    "defaults_filled": "null or missing parts got their defaults",
    "inputs_from_object": "inputs written as an object became a list of name and value",
    "logic_upper_case": "flow logic was written in lower case",
    "category_inferred": "the category was missing or misspelt and followed from the definition",
    "renumbered": "orders were missing, repeated or not 1..n and were numbered in document order",
    "blocks_dropped": "blocks that named no open flow logic were moved to the nearest level that exists",
    "reordered": "components were sorted by their order",
}

#: How an outline begins; what follows may hold braces, as JSON does.
_OUTLINE: Final = re.compile(
    r"\s*(?:```[a-z]*\n)?(?:\d+ )?(?:(?:trigger|action|subflow|flowlogic) |(?:inputs|outputs) := "
    rf"|(?:{'|'.join(sorted(FLOW_LOGIC))})\b)"
)

_FENCE: Final = r"(?m)^ *```\w*\n((?s:.*?))\n *```"
#: Where JSON with faulty syntax plainly begins a flow, so that prose is never mended into one.
_FLOW_START: Final = r"""\{\s*["'“”]?(?:trigger|components|steps|flow|inputs|outputs)\b"""
_FLOW_STARTED: Final = re.compile(r'\{\s*"(?:trigger|components)"\s*:')

ParseStatus = Literal["ok", "repaired", "invalid_output"]


class ParsedFlow(NamedTuple):
    """`flow` is None exactly when `status` is `invalid_output`; then `error` says why."""

    status: ParseStatus
    flow: Flow | None
    repairs: tuple[str, ...] = ()
    error: str | None = None
    warnings: tuple[str, ...] = ()


def parse_flow(text: Any) -> ParsedFlow:
    """Read a flow from model text: JSON in the published format, or an outline.

    A dict is taken as parsed JSON. Never raises, whatever the text; time and memory are bounded.
    `warnings` names misplaced flow logic (an ELSE without IF): such a flow stays as it was written.

    >>> parse_flow('{"trigger": null, "components": []}').status
    'ok'
    >>> parse_flow('Here you are: {"trigger": {"type": "daily"}, "components": []}').repairs
    ('prose_removed',)
    >>> parse_flow("I cannot help with that.").error
    'no JSON object and no outline in the text'
    """
    if isinstance(text, dict | list):
        return parse_value(text)
    if not isinstance(text, str):
        return _invalid(f"expected text, got {type(text).__name__}")
    if len(text) > MAX_CHARS:
        return _invalid(f"expected at most {MAX_CHARS} characters, got {len(text)}")
    text = text.removeprefix("\ufeff")
    outline = _parse_outline(text) if "{" not in text or _OUTLINE.match(text) else None
    if outline is not None and outline.flow is not None:
        return outline
    try:
        return parse_value(strict_json.decode(text.strip()))
    except (ValueError, RecursionError) as error:
        reason = _reason(error)
    try:
        return _search(text)
    except (ValueError, RecursionError) as error:
        if outline is not None and ("{" not in text or _OUTLINE.match(text)):
            return outline
        return _invalid(reason if text.lstrip()[:1] in ("{", "[") else _reason(error))


def _search(text: str) -> ParsedFlow:
    """The last flow outside the thinking: complete JSON, JSON with mended syntax after it, or an outline in a fence."""
    parts = pieces(text)
    visible = "".join(part.text for part in parts)
    repairs = ["thinking_removed"] if len(visible) < len(text) else []
    fences = re.findall(_FENCE, visible.replace("\r\n", "\n"))
    if len(fences) == 1 and _OUTLINE.match(fences[0]):
        outline = _parse_outline(fences[0])
        return outline if outline.flow is None else _parsed(
            outline.flow, [*repairs, "fence_removed", "prose_removed"], outline.warnings
        )  # fmt: skip
    found = [(place, flow) for place, part in enumerate(parts) for flow in flows_within(part.value)[-1:]]
    found = [one for one in found if steps_in(one[1]) or "components" in one[1]] or found
    at = found[-1][0] if found else -1
    rest = "".join(part.text for part in parts[at + 1 :])
    try:
        value = mended(rest, _FLOW_START)
        flows = [flow for flow in flows_within(value) if "components" in flow or steps_in(flow)]
        if not flows:
            raise ValueError("no JSON object and no outline in the text")
        value, repairs = flows[-1], [*repairs, "json_syntax"]
        rest = visible[: visible.rindex(rest)] + (re.split(_FLOW_START, rest, maxsplit=1)[0])
    except ValueError:
        if not found or _FLOW_STARTED.search(rest):
            raise
        value, found = parts[at].value, found[:-1]
        rest = "".join(part.text for place, part in enumerate(parts) if place != at)
    repairs += ["fence_removed"] if "```" in visible else []
    repairs += ["prose_removed"] if re.sub(r"```\w*", "", rest).strip() else []
    return parse_value(value, [*repairs, *(["drafts_removed"] if found else [])])


def parse_value(value: Any, repairs: list[str] | None = None) -> ParsedFlow:
    """Read a flow from a JSON value; `repairs` are those already made on its text."""
    done = list(repairs or [])
    if _deeper_than(MAX_DEPTH, value):
        return _invalid(f"expected JSON nested at most {MAX_DEPTH} levels deep")
    written, within = steps_in(value), flows_within(value)
    if within and within[-1] is not value:
        value = within[-1]
        done.append("unwrapped")
        if _deeper_than(MAX_DEPTH, value):
            return _invalid(f"expected JSON nested at most {MAX_DEPTH} levels deep")
        written = max(written, steps_in(value))
    value = _clean(value, done)
    flow, error = _validate(value)
    if flow is not None and flow.steps < written:
        return _invalid(f"expected all steps in `components`, got {flow.steps} of {written} there")
    if flow is not None and not (faults := structure_faults(flow)):
        return _parsed(flow, done)
    if flow is not None and not any(re.search("order|block", fault) for fault in faults):
        return _parsed(flow, done, tuple(faults))
    try:
        flow, error = _validate(normalise(value, done))
    except NotAFlow as problem:
        return _invalid(str(problem))
    if flow is not None and flow.steps < written:
        return _invalid(f"expected all steps in `components`, nested by `block`, got {flow.steps} of {written} there")
    return _parsed(flow, done, tuple(structure_faults(flow))) if flow is not None else _invalid(error)


def _deeper_than(limit: int, value: Any) -> bool:
    level = [value]
    for _ in range(limit + 1):
        level = [
            child
            for item in level
            if isinstance(item, dict | list)
            for child in (item.values() if isinstance(item, dict) else item)
            if isinstance(child, dict | list)
        ]
        if not level:
            return False
    return True


def _clean(value: Any, repairs: list[str]) -> Any:
    """The value without lone surrogates; at most `MAX_DEPTH` levels deep."""
    if isinstance(value, str):
        if value.isascii():
            return value
        clean = value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        repairs += ["bad_characters"] if clean != value else []
        return clean
    if isinstance(value, list):
        return [_clean(item, repairs) for item in value]
    if isinstance(value, dict):
        return {_clean(key, repairs): _clean(item, repairs) for key, item in value.items()}
    return value


def _parse_outline(text: str) -> ParsedFlow:
    body = text.strip("\n")
    fence = re.fullmatch(r"\s*```[a-z]*\n(.*?)\n?```\s*", text, re.DOTALL)
    if fence:
        body = fence[1]
    try:
        flow = from_outline(body)
    except OutlineError as error:
        return _invalid(str(error) if _OUTLINE.match(text) else "no JSON object and no outline in the text")
    except ValidationError as error:
        return _invalid(_reason(error))
    if flow.trigger is None and not flow.components:
        return _invalid("the text is empty")
    if flow.steps > MAX_COMPONENTS:
        return _invalid(f"expected at most {MAX_COMPONENTS} components, got {flow.steps}")
    return parse_value(flow.to_dict(), ["fence_removed"] if fence else [])


def _parsed(flow: Flow, repairs: list[str], warnings: tuple[str, ...] = ()) -> ParsedFlow:
    return ParsedFlow("repaired" if repairs else "ok", flow, tuple(dict.fromkeys(repairs)), None, warnings)


def _invalid(reason: str) -> ParsedFlow:
    return ParsedFlow("invalid_output", None, (), reason)


def _reason(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return "expected JSON nested at most a few hundred levels deep"
    return " ".join(str(error).split())[:300]


def _validate(value: Any) -> tuple[Flow | None, str]:
    if not isinstance(value, dict) or not {"trigger", "components"} & value.keys():
        return None, "the JSON is not an object with `trigger` and `components`"
    components = value.get("components")
    if isinstance(components, list) and len(components) > MAX_COMPONENTS:
        return None, f"expected at most {MAX_COMPONENTS} components, got {len(components)}"
    try:
        return Flow.model_validate(value), ""
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        return None, f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
    except RecursionError as error:
        return None, _reason(error)

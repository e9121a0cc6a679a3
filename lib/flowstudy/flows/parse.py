"""From model text to a flow: strict first, then repairs that each have a name. Never raises on model text.

Text that is a valid flow as it stands is `ok`. Text that becomes one after the repairs below is `repaired`, and
the repairs are listed; anything else is `invalid_output` with the reason in `error`. No repair invents a step.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any, Final, Literal, NamedTuple

import json_repair
from pydantic import ValidationError

from flowstudy.flows.outline import OutlineError, from_outline
from flowstudy.flows.schema import FLOW_LOGIC, Component, Flow, Item, structure_faults

#: Longer text is not searched for repairable JSON: the repairer is slow on long garbage.
MAX_REPAIR_CHARS: Final = 200_000
MAX_COMPONENTS: Final = 5_000
MAX_CHARS: Final = 20_000_000
MAX_DEPTH: Final = 100
#: Every repair and what it means; `ParsedFlow.repairs` holds these names.
REPAIRS: Final = {
    "bad_characters": "lone surrogates, which no file can hold, became U+FFFD",
    "fence_removed": "the JSON stood in a Markdown fence",
    "prose_removed": "text before or after the JSON was cut off",
    "json_syntax": "the JSON had syntax errors (quotes, commas, comments, missing brackets at the end)",
    "unwrapped": "the flow was the only value of an outer object, or the only element of a list",
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
    repairs: list[str] = []
    if isinstance(text, dict | list):
        value: Any = text
    elif not isinstance(text, str):
        return _invalid(f"expected text, got {type(text).__name__}")
    elif len(text) > MAX_CHARS:
        return _invalid(f"expected at most {MAX_CHARS} characters, got {len(text)}")
    else:
        if "{" not in text or text.lstrip().startswith("trigger "):
            return _parse_outline(text)
        try:
            value = _load_json(text, repairs)
        except (ValueError, RecursionError) as error:
            return _invalid(_reason(error))
    return parse_value(value, repairs)


def parse_value(value: Any, repairs: list[str] | None = None) -> ParsedFlow:
    """Read a flow from a JSON value; `repairs` are those already made on its text."""
    done = list(repairs or [])
    if _deeper_than(MAX_DEPTH, value):
        return _invalid(f"expected JSON nested at most {MAX_DEPTH} levels deep")
    value = _clean(value, done)
    flow, error = _validate(value)
    if flow is not None and not (faults := structure_faults(flow)):
        return _parsed(flow, done)
    if flow is not None and not any(re.search("order|block", fault) for fault in faults):
        return _parsed(flow, done, tuple(faults))
    try:
        flow, error = _validate(_normalise(value, done))
    except _NotAFlow as problem:
        return _invalid(str(problem))
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
        looks_like_outline = re.match(r"\s*(```[a-z]*\n)?(trigger|action|subflow) ", text)
        return _invalid(str(error) if looks_like_outline else "no JSON object and no outline in the text")
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


def _no_constant(name: str) -> Any:
    raise ValueError(f"expected finite numbers, got {name}")


_strict_json: Final = json.JSONDecoder(parse_constant=_no_constant)


def _load_json(text: str, repairs: list[str]) -> Any:
    """JSON as it stands, in a fence, within prose, or with mended syntax, in this order."""
    body = text.strip()
    attempts: list[Callable[[], tuple[Any, list[str]]]] = [
        lambda: (_strict_json.decode(body), []),
        lambda: _from_fence(body),
        lambda: _from_prose(body),
        lambda: _mended(body),
    ]
    reason: ValueError = ValueError("no JSON object and no outline in the text")
    for number, attempt in enumerate(attempts):
        try:
            value, made = attempt()
        except ValueError as error:
            reason = error if number == 0 else reason
            continue
        repairs += made
        return value
    raise reason


def _from_fence(body: str) -> tuple[Any, list[str]]:
    found = [(_strict_json.decode(block.strip())) for block in re.findall(r"```\w*\s*\n(.*?)```", body, re.DOTALL)]
    flows = [value for value in found if isinstance(value, dict | list)]
    if not flows:
        raise ValueError("no fenced JSON")
    outside = re.sub(r"```\w*\s*\n(.*?)```", "", body, flags=re.DOTALL).strip()
    return flows[-1], ["fence_removed", *(["prose_removed"] if outside or len(flows) > 1 else [])]


def _from_prose(body: str) -> tuple[Any, list[str]]:
    """The first JSON object that looks like a flow, searched at a bounded number of braces."""
    start = -1
    for _ in range(50):
        start = body.find("{", start + 1)
        if start < 0:
            break
        try:
            value, end = _strict_json.raw_decode(body, start)
        except ValueError:
            continue
        if isinstance(value, dict) and ("components" in value or "trigger" in value):
            rest = (body[:start] + body[end:]).replace("```json", "").replace("```", "").strip()
            fenced = "```" in body
            return value, [*(["fence_removed"] if fenced else []), *(["prose_removed"] if rest else [])]
    raise ValueError("no JSON object and no outline in the text")


def _mended(body: str) -> tuple[Any, list[str]]:
    """Mended syntax; only text that plainly starts a flow, so that prose is never turned into one."""
    start = re.search(r'\{\s*"?\'?(trigger|components|flow|inputs|outputs)\b', body)
    if start is None or len(body) > MAX_REPAIR_CHARS or body.count("[") + body.count("{") > 20_000:
        raise ValueError("no flow found to mend")
    value = json_repair.loads(body[start.start() :].split("```")[0], skip_json_loads=True)
    if not isinstance(value, dict) or "components" not in value:
        raise ValueError("no flow found to mend")
    made = ["json_syntax", *(["fence_removed"] if "```" in body else []), *(["prose_removed"] if start.start() else [])]
    return value, made


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


class _NotAFlow(ValueError):
    pass


def _normalise(value: Any, repairs: list[str]) -> dict[str, Any]:
    """The same value with every named repair that applies, ready to validate."""
    flow = _unwrap(value, repairs)
    if not isinstance(flow, dict) or not {"trigger", "components"} & flow.keys():
        raise _NotAFlow("the JSON is not an object with `trigger` and `components`")
    components = flow.get("components")
    if components is None:
        components = []
        repairs.append("defaults_filled")
    if not isinstance(components, list) or len(components) > MAX_COMPONENTS:
        raise _NotAFlow(f"components: expected a list of at most {MAX_COMPONENTS}, got {type(components).__name__}")
    clean: dict[str, Any] = {
        "trigger": _trigger(flow.get("trigger"), repairs),
        "components": _renumber([_component(c, place, repairs) for place, c in enumerate(components, 1)], repairs),
    }
    for name in ("inputs", "outputs"):
        if isinstance(flow.get(name), dict):
            clean[name] = {"items": _items(flow[name].get("items"), name, repairs)}
    if flow.keys() - clean.keys():
        repairs.append("unknown_keys_dropped")
    return clean


def _unwrap(value: Any, repairs: list[str]) -> Any:
    for _ in range(3):
        inner = value[0] if isinstance(value, list) and len(value) == 1 else value
        if isinstance(inner, dict) and len(inner) == 1 and not {"trigger", "components"} & inner.keys():
            inner = next(iter(inner.values()))
        if inner is value:
            break
        value = inner
        repairs.append("unwrapped")
    return value


def _only(model: type[Component] | type[Item], raw: dict[str, Any], repairs: list[str]) -> dict[str, Any]:
    kept = {key: value for key, value in raw.items() if key in model.model_fields}
    if len(kept) < len(raw):
        repairs.append("unknown_keys_dropped")
    return kept


def _trigger(raw: Any, repairs: list[str]) -> dict[str, Any] | None:
    if raw is None:
        return None
    if isinstance(raw, str):
        repairs.append("values_coerced")
        return {"type": raw, "inputs": []}
    if not isinstance(raw, dict) or not isinstance(raw.get("type"), str):
        raise _NotAFlow(f"trigger: expected an object with a text `type`, got {str(raw)[:60]!r}")
    if raw.keys() - {"type", "inputs"}:
        repairs.append("unknown_keys_dropped")
    return {"type": raw["type"], "inputs": _inputs(raw.get("inputs", []), "trigger", repairs)}


def _component(raw: Any, place: int, repairs: list[str]) -> dict[str, Any]:
    if not isinstance(raw, dict) or not isinstance(raw.get("definition"), str):
        raise _NotAFlow(f"component {place}: expected an object with a text `definition`, got {str(raw)[:60]!r}")
    component = _only(Component, raw, repairs)
    component["inputs"] = _inputs(raw.get("inputs", []), f"component {place}", repairs)
    component["category"] = _category(raw, repairs)
    if component["category"] == "flowlogic" and component["definition"] not in FLOW_LOGIC:
        upper = component["definition"].upper().replace(" ", "").replace("_", "")
        if upper in FLOW_LOGIC:
            component["definition"] = upper
            repairs.append("logic_upper_case")
    if not isinstance(component.get("scope", "global"), str):
        component["scope"] = "global" if component["scope"] is None else str(component["scope"])
        repairs.append("values_coerced")
    if not isinstance(component.get("annotation"), str | None):
        component["annotation"] = str(component["annotation"])
        repairs.append("values_coerced")
    return component


def _category(raw: dict[str, Any], repairs: list[str]) -> str:
    category = raw.get("category", "action")
    if category in ("action", "subflow", "flowlogic"):
        return str(category)
    repairs.append("category_inferred")
    spelt = re.sub("[^a-z]", "", str(category).lower())
    if spelt in ("action", "subflow", "flowlogic"):
        return spelt
    return "flowlogic" if raw["definition"].upper() in FLOW_LOGIC else "action"


def _inputs(raw: Any, where: str, repairs: list[str]) -> list[dict[str, Any]]:
    if raw is None:
        repairs.append("defaults_filled")
        return []
    if isinstance(raw, dict):
        repairs.append("inputs_from_object")
        return [{"name": str(name), "value": _finite(value)} for name, value in raw.items()]
    if not isinstance(raw, list):
        raise _NotAFlow(f"{where}: expected a list of inputs, got {str(raw)[:60]!r}")
    inputs = []
    for item in raw:
        if not isinstance(item, dict) or not isinstance(item.get("name"), str):
            raise _NotAFlow(f"{where}: expected inputs with a text `name`, got {str(item)[:60]!r}")
        if item.keys() - {"name", "value"}:
            repairs.append("unknown_keys_dropped")
        inputs.append({"name": item["name"], "value": _finite(item.get("value", ""))})
    return inputs


def _items(raw: Any, where: str, repairs: list[str]) -> list[dict[str, Any]]:
    if raw is None:
        repairs.append("defaults_filled")
        return []
    if not isinstance(raw, list) or not all(isinstance(item, dict) for item in raw):
        raise _NotAFlow(f"{where}: expected a list of items that are objects, got {str(raw)[:60]!r}")
    return [_only(Item, item, repairs) for item in raw]


def _finite(value: Any) -> Any:
    return str(value) if isinstance(value, float) and value - value != 0 else value


def _number(value: Any) -> Any:
    """Orders and blocks as models write them: 3, 3.0, "3"; anything else is kept as it is."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return int(value) if isinstance(value, str) and re.fullmatch(r"-?\d{1,9}", value) else value


def _renumber(components: list[dict[str, Any]], repairs: list[str]) -> list[dict[str, Any]]:
    """Orders 1..n in document order and blocks that name an open flow logic, keeping nesting where it is clear."""
    written = [(_number(c.get("order")), _number(c.get("block"))) for c in components]
    if repr(written) != repr([(c.get("order"), c.get("block")) for c in components]):
        repairs.append("values_coerced")
    orders = [order for order, _ in written]
    numbered = all(isinstance(o, int) and not isinstance(o, bool) for o in orders)
    if numbered and len(set(orders)) == len(orders) and orders != sorted(orders):
        repairs.append("reordered")
        places = sorted(range(len(orders)), key=lambda place: orders[place])
        components, written = [components[p] for p in places], [written[p] for p in places]
    if [order for order, _ in written] != list(range(1, len(components) + 1)):
        repairs.append("renumbered")
    return _place(components, written, repairs)


def _place(
    components: list[dict[str, Any]], written: list[tuple[Any, Any]], repairs: list[str]
) -> list[dict[str, Any]]:
    path: list[tuple[Any, int]] = []
    for place, (component, (order, block)) in enumerate(zip(components, written, strict=True), start=1):
        names = [name for name, _ in path]
        known = isinstance(block, int | str) and block in names
        if block is not None and not known:
            repairs.append("blocks_dropped")
        path = path[: names.index(block) + 1] if known else []
        component["order"], component["block"] = place, path[-1][1] if path else None
        if component["category"] == "flowlogic":
            path.append((order if order is not None else f"#{place}", place))
    return components

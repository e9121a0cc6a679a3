"""A JSON value that is nearly a flow, with every named repair that makes it one (see `parse.REPAIRS`)."""

from __future__ import annotations

import re
from typing import Any, Final

from flowstudy.flows.json_text import strict_json
from flowstudy.flows.schema import FLOW_LOGIC, Component, Item

MAX_COMPONENTS: Final = 5_000


class NotAFlow(ValueError):
    """A value that no repair makes a flow; the message says what is wrong."""


def normalise(value: Any, repairs: list[str]) -> dict[str, Any]:
    """The same value with every named repair that applies, ready to validate; their names are added to `repairs`.
    Raises NotAFlow."""
    flow = value
    if not isinstance(flow, dict) or not {"trigger", "components"} & flow.keys():
        raise NotAFlow("the JSON is not an object with `trigger` and `components`")
    if flow.get("components") is None and (key := _steps_key(flow)):
        flow = {**{name: part for name, part in flow.items() if name != key}, "components": flow[key]}
        repairs.append("keys_renamed")
    components = flow.get("components")
    if components is None:
        others = flow.keys() - {"trigger", "components", "inputs", "outputs"}
        if any(isinstance(flow[name], dict | list) and flow[name] for name in others):
            raise NotAFlow(f"components: expected a list of steps, got none beside {', '.join(sorted(others))[:60]}")
        components = []
        repairs.append("defaults_filled")
    if not isinstance(components, list) or len(components) > MAX_COMPONENTS:
        raise NotAFlow(f"components: expected a list of at most {MAX_COMPONENTS}, got {type(components).__name__}")
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


def flows_within(value: Any, depth: int = 8) -> list[dict[str, Any]]:
    """The outermost objects in a value that look like flows, also in JSON strings."""
    if isinstance(value, str) and value.lstrip()[:1] in ("{", "["):
        try:
            value = strict_json.decode(value.strip())
        except (ValueError, RecursionError):
            return []
    if isinstance(value, dict) and ({"trigger", "components"} & value.keys() or _steps_key(value)):
        return [value]
    if not depth or not isinstance(value, dict | list) or (isinstance(value, dict) and "definition" in value):
        return []
    children = value.values() if isinstance(value, dict) else value
    return [flow for child in children for flow in flows_within(child, depth - 1)]


def _steps_key(flow: dict[str, Any]) -> str | None:
    """The key, instead of `components`, under which an object holds a list of steps."""
    keys = [key for key, value in flow.items() if isinstance(value, list) and value and _are_steps(value)]
    return keys[0] if len(keys) == 1 else None


def _are_steps(value: list[Any]) -> bool:
    return all(isinstance(item, dict) and isinstance(item.get("definition"), str) for item in value)


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
        raise NotAFlow(f"trigger: expected an object with a text `type`, got {str(raw)[:60]!r}")
    if raw.keys() - {"type", "inputs"}:
        repairs.append("unknown_keys_dropped")
    return {"type": raw["type"], "inputs": _inputs(raw.get("inputs", []), "trigger", repairs)}


def _component(raw: Any, place: int, repairs: list[str]) -> dict[str, Any]:
    if not isinstance(raw, dict) or not isinstance(raw.get("definition"), str):
        raise NotAFlow(f"component {place}: expected an object with a text `definition`, got {str(raw)[:60]!r}")
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
        raise NotAFlow(f"{where}: expected a list of inputs, got {str(raw)[:60]!r}")
    inputs = []
    for item in raw:
        if not isinstance(item, dict) or not isinstance(item.get("name"), str):
            raise NotAFlow(f"{where}: expected inputs with a text `name`, got {str(item)[:60]!r}")
        if item.keys() - {"name", "value"}:
            repairs.append("unknown_keys_dropped")
        inputs.append({"name": item["name"], "value": _finite(item.get("value", ""))})
    return inputs


def _items(raw: Any, where: str, repairs: list[str]) -> list[dict[str, Any]]:
    if raw is None:
        repairs.append("defaults_filled")
        return []
    if not isinstance(raw, list) or not all(isinstance(item, dict) for item in raw):
        raise NotAFlow(f"{where}: expected a list of items that are objects, got {str(raw)[:60]!r}")
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

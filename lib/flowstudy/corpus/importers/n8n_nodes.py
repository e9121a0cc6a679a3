"""n8n's nodes one by one: what each does, what it asks, and what is linked to it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from flowstudy.corpus.importers.azure_operations import snake
from flowstudy.corpus.importers.building import humanised
from flowstudy.corpus.importers.records import Refused
from flowstudy.corpus.importers.steps import Step
from flowstudy.flows.schema import Input, Trigger

_TRIGGERS: Final = frozenset({"webhook", "cron", "interval", "start", "emailreadimap"})
_PLUMBING: Final = frozenset({"set", "noop", "merge", "renamekeys", "itemlists", "splitout", "aggregate"})
_SIGNS: Final = {
    "equals": "=", "equal": "=", "notequals": "!=", "notequal": "!=", "larger": ">", "gt": ">", "largerequal": ">=",
    "gte": ">=", "smaller": "<", "lt": "<", "smallerequal": "<=", "lte": "<=", "contains": "LIKE",
    "notcontains": "NOT LIKE", "startswith": "STARTSWITH", "endswith": "ENDSWITH", "after": ">", "before": "<",
    "isempty": "ISEMPTY", "empty": "ISEMPTY", "notexists": "ISEMPTY", "isnotempty": "ISNOTEMPTY",
    "notempty": "ISNOTEMPTY", "exists": "ISNOTEMPTY", "true": "=", "false": "=",
}  # fmt: skip
_MOST_DEPTH: Final = 6


def kind(node: Mapping[str, Any]) -> str:
    """The type without its package: `n8n-nodes-base.splitInBatches` is `splitInBatches`."""
    value = node.get("type")
    return value.rsplit(".", 1)[-1] if isinstance(value, str) else ""


def is_note(node: Mapping[str, Any]) -> bool:
    """Whether a node is a sticky note."""
    return kind(node).lower() == "stickynote"


def is_trigger(node: Mapping[str, Any]) -> bool:
    """Whether a node can start a workflow."""
    low = kind(node).lower()
    return low.endswith("trigger") or low in _TRIGGERS


def is_manual(node: Mapping[str, Any]) -> bool:
    """Whether a trigger is the button for trying a workflow out."""
    return kind(node).lower() in ("manualtrigger", "start")


def is_loop(node: Mapping[str, Any]) -> bool:
    """Whether a node is a loop over batches of items."""
    return kind(node).lower() == "splitinbatches"


def outputs(node: Mapping[str, Any], ways: list[list[str]]) -> tuple[list[str], list[str]]:
    """What follows when a loop is done, and what it repeats. Version 1 has one output for both."""
    first, second = [*ways, [], []][:2]
    version = _version(node)
    if version >= 3:
        return first, second
    return second, first


def _version(node: Mapping[str, Any]) -> float:
    version = node.get("typeVersion")
    return float(version) if isinstance(version, (int, float)) else 1.0


class Links:
    """The connections of a workflow, without those to nodes that do not exist."""

    def __init__(self, nodes: Mapping[str, Mapping[str, Any]], connections: Mapping[str, Any]) -> None:
        self._nodes, self._connections = nodes, connections
        self._attached: dict[str, dict[str, list[str]]] = {}
        #: Models, memories and tools that serve another node.
        self.helpers: set[str] = set()
        for name in nodes:
            for sort in self._outgoing(name):
                if sort != "main":
                    self._attach(name, sort)

    def _outgoing(self, name: str) -> dict[str, Any]:
        found = self._connections.get(name)
        return found if isinstance(found, dict) else {}

    def _attach(self, name: str, sort: str) -> None:
        for target in (t for way in self._ways(name, sort) for t in way):
            self.helpers.add(name)
            self._attached.setdefault(target, {}).setdefault(snake(sort), []).append(name)

    def attached(self, name: str) -> dict[str, Any]:
        """The helpers of a node as inputs, such as `ai_language_model: OpenAI Chat Model`."""
        return {sort: ", ".join(names) for sort, names in self._attached.get(name, {}).items()}

    def main(self, name: str) -> list[list[str]]:
        """The nodes behind each output; a node that decides has all its outputs, also the unconnected ones."""
        ways = self._ways(name, "main")
        node = self._nodes[name]
        least = 1
        if kind(node).lower() == "if" or node.get("onError") == "continueErrorOutput":
            least = 2
        elif kind(node).lower() == "switch":
            least = len(conditions(node) or []) + 1
        return ways + [[] for _ in range(least - len(ways))]

    def _ways(self, name: str, sort: str) -> list[list[str]]:
        raw = self._outgoing(name).get(sort)
        ways = raw if isinstance(raw, list) else []
        return [self._known(way) for way in ways[:200]]

    def _known(self, way: Any) -> list[str]:
        links = [link.get("node") for link in way if isinstance(link, dict)] if isinstance(way, list) else []
        return list(dict.fromkeys(name for name in links if isinstance(name, str) and name in self._nodes))


def node_step(node: Mapping[str, Any], attached: Mapping[str, Any]) -> Step:
    """The step of a node; its name or note is the annotation."""
    name, low = node["name"], kind(node).lower()
    parameters = _dict(node.get("parameters"))
    note = node.get("notes")
    label = " ".join(note.split()) if isinstance(note, str) and note.strip() else humanised(name)
    logic: dict[str, tuple[str, Callable[[], dict[str, Any]]]] = {
        "if": ("IF", lambda: {"condition": _all(parameters)}),
        "switch": ("SWITCH", lambda: {"value": parameters.get("value1", parameters.get("mode", "rules"))}),
        "splitinbatches": ("FOREACH", lambda: _flat(parameters)),
        "wait": ("WAIT", lambda: _flat(parameters)),
        "stopanderror": ("END", lambda: {"status": "Failed", **_flat(parameters)}),
    }
    if low in logic:
        construct, given = logic[low]
        return Step(construct, name, annotation=label, inputs=given())
    category = "subflow" if low == "executeworkflow" else "action"
    scope, definition, rest = _operation(node, parameters)
    inputs = {**_flat(rest), **attached}
    return Step(definition, name, category, scope, label, inputs, plumbing=low in _PLUMBING)


def _operation(node: Mapping[str, Any], parameters: dict[str, Any]) -> tuple[str, str, dict[str, Any]]:
    """Scope, definition and the other parameters. `{"resource": "message", "operation": "post"}` is `post_message`."""
    words = [parameters.get(key) for key in ("operation", "resource")]
    named = [word for word in words if isinstance(word, str) and word and not word.startswith("=")]
    service = snake(kind(node)) or "node"
    if not named:
        return "global", service, parameters
    rest = {key: value for key, value in parameters.items() if key not in ("operation", "resource")}
    return service, snake("_".join(named)) or service, rest


def trigger_of(node: Mapping[str, Any], as_input: Callable[[str, Any], Input]) -> Trigger:
    """The trigger of the flow."""
    inputs = _flat(_dict(node.get("parameters")))
    given = [as_input(name, value) for name, value in inputs.items()]
    return Trigger(type=snake(kind(node)) or "trigger", inputs=given)


def conditions(node: Mapping[str, Any]) -> list[str] | None:
    """What the outputs of a Switch are for, in order; None for other nodes."""
    if kind(node).lower() != "switch":
        return None
    parameters = _dict(node.get("parameters"))
    rules = _dict(parameters.get("rules"))
    values = rules.get("values") or rules.get("rules") or []
    found: list[str] = []
    for rule in values if isinstance(values, list) else []:
        rule = _dict(rule)
        if "conditions" in rule:
            found.append(_all(rule))
        else:
            sign = _SIGNS.get(str(rule.get("operation") or "equal").lower(), "=")
            found.append(_clause(parameters.get("value1"), sign, rule.get("value2")))
    return found[:200]


def _all(holder: dict[str, Any]) -> str:
    """The conditions of an IF or a rule as an encoded query, in the forms of all versions."""
    given = _dict(holder.get("conditions"))
    rows = given.get("conditions")
    if isinstance(rows, list):
        join = "^OR" if given.get("combinator") == "or" else "^"
        clauses = [_new_clause(_dict(row)) for row in rows]
    else:
        join = "^OR" if holder.get("combineOperation") == "any" else "^"
        sorts = [row for rows in given.values() if isinstance(rows, list) for row in rows]
        clauses = [
            _clause(r.get("value1"), _SIGNS.get(str(r.get("operation") or "equal").lower(), "="), r.get("value2"))
            for r in map(_dict, sorts)
        ]
    return join.join(clauses)


def _new_clause(row: dict[str, Any]) -> str:
    operation = str(_dict(row.get("operator")).get("operation") or "equals")
    value = operation.lower() if operation.lower() in ("true", "false") else row.get("rightValue")
    return _clause(row.get("leftValue"), _SIGNS.get(operation.lower(), f" {operation} "), value)


def _clause(left: Any, sign: str, right: Any) -> str:
    field = str(left if left is not None else "").removeprefix("=")
    value = "" if right is None or sign in ("ISEMPTY", "ISNOTEMPTY") else str(right).removeprefix("=")
    return f"{field}{sign}{value}"


def _flat(value: dict[str, Any], prefix: str = "", depth: int = 0) -> dict[str, Any]:
    """Parameters with small objects opened; empty ones left out."""
    flat: dict[str, Any] = {}
    for name, item in value.items():
        if isinstance(item, dict) and depth < _MOST_DEPTH and len(item) <= 12:
            flat |= _flat(item, f"{prefix}{name}.", depth + 1)
        elif item not in ("", None, []):
            flat[f"{prefix}{name}"] = item
    return flat


def check_loop(node: Mapping[str, Any], body: list[Mapping[str, Any]]) -> None:
    """Raise Refused for a loop of version 1 whose end is a question asked inside it."""
    if _version(node) < 2 and any("noItemsLeft" in str(one.get("parameters")) for one in body):
        raise Refused(f"the loop {node.get('name')} is of version 1 and is left by a condition inside it")


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}

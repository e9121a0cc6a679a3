"""n8n's nodes one by one: what each does, what it asks, and what is linked to it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

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
            least = len(choice(node).cases) + 1
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
        "switch": ("SWITCH", lambda: {"value": choice(node).value}),
        "splitinbatches": ("FOREACH", lambda: {"items": "={{ $json }}", **_flat(parameters)}),
        "wait": ("WAIT", lambda: _flat(parameters)),
        "stopanderror": ("END", lambda: {"status": "Failed", **_flat(parameters)}),
    }
    if low in logic:
        construct, given = logic[low]
        return Step(construct, name, annotation=label, inputs=given())
    if low == "executeworkflow":
        called = _called(parameters)
        rest = {key: value for key, value in parameters.items() if key != "workflowId"} if called else parameters
        return Step(called or "execute_workflow", name, "subflow", annotation=label, inputs={**_flat(rest), **attached})
    scope, definition, rest = _operation(node, parameters)
    inputs = {**_flat(rest), **attached}
    return Step(definition, name, "action", scope, label, inputs, plumbing=low in _PLUMBING)


def passes_items(node: Mapping[str, Any]) -> bool:
    """Whether a node hands on the items that it gets: what is read behind it comes from before it."""
    return kind(node).lower() in ("if", "switch", "filter", "wait", "noop", "limit", "sort", "removeduplicates")


def _called(parameters: Mapping[str, Any]) -> str:
    """The name of the workflow that is called, as an export shows it; "" where it has only a number."""
    given = parameters.get("workflowId")
    shown = given.get("cachedResultName") if isinstance(given, dict) else None
    return snake(shown) if isinstance(shown, str) else ""


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


class Choice(NamedTuple):
    """What a Switch looks at, what each output is for, and what its author calls the outputs ("" without a name)."""

    value: Any
    cases: list[str]
    names: list[str]


def choice(node: Mapping[str, Any]) -> Choice:
    """The rules of a Switch. Rules that ask one thing for equality give its value and plain cases."""
    parameters = _dict(node.get("parameters"))
    if parameters.get("mode") == "expression":
        return Choice(parameters.get("output", "expression"), [], [])
    rules = _dict(parameters.get("rules"))
    given = rules.get("values") or rules.get("rules") or []
    listed = [_dict(rule) for rule in given[:200]] if isinstance(given, list) else []
    names = [rule["outputKey"] if isinstance(rule.get("outputKey"), str) else "" for rule in listed]
    equal = [_equality(rule, parameters) for rule in listed]
    asked = {str(pair[0]) for pair in equal if pair}
    if len(asked) == 1 and all(equal):
        return Choice(asked.pop(), [str(pair[1]).removeprefix("=") for pair in equal if pair], names)
    return Choice(parameters.get("value1", "rules"), [_rule(rule, parameters) for rule in listed], names)


def _equality(rule: dict[str, Any], parameters: dict[str, Any]) -> tuple[Any, Any] | None:
    """Both sides of a rule that is one question for equality."""
    if "conditions" not in rule:
        plain = str(rule.get("operation") or "equal").lower() == "equal"
        return (parameters.get("value1"), rule.get("value2")) if plain else None
    rows = _dict(rule["conditions"]).get("conditions")
    row = _dict(rows[0]) if isinstance(rows, list) and len(rows) == 1 else {}
    same = _dict(row.get("operator")).get("operation") == "equals"
    return (row.get("leftValue"), row.get("rightValue")) if same else None


def _rule(rule: dict[str, Any], parameters: dict[str, Any]) -> str:
    if "conditions" in rule:
        return _all(rule)
    sign = _SIGNS.get(str(rule.get("operation") or "equal").lower(), "=")
    return _clause(parameters.get("value1"), sign, rule.get("value2"))


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
    """Parameters with small objects opened, resource locators as what they point at, empty ones left out."""
    flat: dict[str, Any] = {}
    for name, item in value.items():
        item = item.get("value") if isinstance(item, dict) and "__rl" in item else item
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

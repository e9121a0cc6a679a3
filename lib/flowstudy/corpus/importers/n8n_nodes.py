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
#: What an export of version 1 leaves out, by the sort of the values: the operation, the first and the second value.
_LEFT_OUT: Final[dict[str, tuple[str, Any, Any]]] = {
    "string": ("equal", "", ""), "number": ("smaller", 0, 0), "boolean": ("equal", False, False),
    "dateTime": ("after", "", ""),
}  # fmt: skip
#: Settings of a node, beside its parameters, that change what runs; those of the error output are its shape.
_SETTINGS: Final = ("onError", "continueOnFail", "executeOnce", "alwaysOutputData", "retryOnFail")
_RETRIES: Final = ("maxTries", "waitBetweenTries")
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
    """The connections of a workflow, named by the names or the ids of nodes; `dangling` are those that lead nowhere."""

    def __init__(self, nodes: Mapping[str, Mapping[str, Any]], connections: Mapping[str, Any]) -> None:
        self._nodes = nodes
        ids = {node["id"]: name for name, node in nodes.items() if isinstance(node.get("id"), str)}
        self._names = ids | {name: name for name in nodes}
        self._attached: dict[str, dict[str, list[str]]] = {}
        #: Models, memories and tools that serve another node.
        self.helpers: set[str] = set()
        self.dangling = [name for name in connections if name not in self._names]
        self._ways: dict[str, dict[str, list[list[str]]]] = {name: {} for name in nodes}
        for key, sorts in connections.items():
            for sort, ways in _dict(sorts).items() if key in self._names else ():
                listed = ways[:200] if isinstance(ways, list) else []
                self._ways[self._names[key]][sort] = [self._known(key, way) for way in listed]
        links = (
            (name, sort, way) for name, sorts in self._ways.items() for sort, ways in sorts.items() for way in ways
        )
        for name, sort, way in links:
            for target in way if sort != "main" else ():
                self.helpers.add(name)
                self._attached.setdefault(target, {}).setdefault(snake(sort), []).append(name)

    def tools(self, name: str) -> list[str]:
        """The tools that a node offers."""
        return self._attached.get(name, {}).get("ai_tool", [])

    def attached(self, name: str) -> dict[str, Any]:
        """The helpers of a node as inputs, such as `ai_language_model: OpenAI Chat Model`; theirs stand in brackets."""
        return {
            sort: ", ".join(self._shown(n, {name}) for n in names)
            for sort, names in self._attached.get(name, {}).items()
        }

    def _shown(self, name: str, seen: set[str]) -> str:
        own = [n for names in self._attached.get(name, {}).values() for n in names if n not in seen | {name}]
        return f"{name} ({', '.join(self._shown(n, seen | {name}) for n in own)})" if own else name

    def main(self, name: str) -> list[list[str]]:
        """The nodes behind each output; a node that decides has all its outputs, also the unconnected ones."""
        ways = [list(way) for way in self._ways[name].get("main", [])]
        node = self._nodes[name]
        least = max(1, len(output_names(node)))
        if kind(node).lower() == "if" or node.get("onError") == "continueErrorOutput":
            least = 2
        elif kind(node).lower() == "switch":
            least = max(2, 1 + max(choice(node).outputs(), default=0))
        return ways + [[] for _ in range(least - len(ways))]

    def _known(self, source: str, way: Any) -> list[str]:
        links = [link.get("node") for link in way if isinstance(link, dict)] if isinstance(way, list) else []
        named = dict.fromkeys(name for name in links if isinstance(name, str))
        self.dangling += [f"{source} -> {name}" for name in named if name not in self._names]
        return list(dict.fromkeys(self._names[name] for name in named if name in self._names))


def output_names(node: Mapping[str, Any]) -> list[str]:
    """What the outputs of a node that decides without rules are called; empty for other nodes."""
    low, parameters = kind(node).lower(), _dict(node.get("parameters"))
    options = _dict(parameters.get("options"))
    if low == "textclassifier":
        listed = _dict(parameters.get("categories")).get("categories")
        names = [str(_dict(one).get("category")) for one in listed] if isinstance(listed, list) else []
        return [*names, *(["other"] if options.get("fallback") == "other" else [])]
    if low == "sentimentanalysis":
        return [word.strip() for word in str(options.get("categories") or "Positive, Neutral, Negative").split(",")]
    if low == "comparedatasets":
        return ["in A only", "same", "different", "in B only"]
    methods = parameters.get("httpMethod") if low == "webhook" and parameters.get("multipleMethods") else []
    return [str(method) for method in methods] if isinstance(methods, list) else []


def node_step(node: Mapping[str, Any], attached: Mapping[str, Any]) -> Step:
    """The step of a node; its name or note is the annotation."""
    name, low = node["name"], kind(node).lower()
    parameters = _dict(node.get("parameters"))
    note = node.get("notes")
    label = " ".join(note.split()) if isinstance(note, str) and note.strip() else humanised(name)
    logic: dict[str, tuple[str, Callable[[], dict[str, Any]]]] = {
        "if": ("IF", lambda: {"condition": _all(parameters), **_options(parameters, *_CONDITIONS)}),
        "switch": ("SWITCH", lambda: {"value": choice(node).value, **_options(parameters, *_RULES)}),
        "splitinbatches": ("FOREACH", lambda: {"items": "={{ $json }}", **opened(parameters)}),
        "wait": ("WAIT", lambda: opened(parameters)),
        "stopanderror": ("END", lambda: {"status": "Failed", **opened(parameters)}),
    }
    if low in logic:
        construct, given = logic[low]
        return Step(construct, name, annotation=label, inputs={**given(), **_settings(node)})
    if low == "executeworkflow":
        called = _called(parameters)
        rest = _rest(parameters, "workflowId") if called else parameters
        inputs = {**opened(rest), **attached, **_settings(node)}
        return Step(called or "execute_workflow", name, "subflow", annotation=label, inputs=inputs)
    scope, definition, rest = _operation(node, parameters)
    inputs = {**opened(rest), **attached, **_settings(node)}
    return Step(definition, name, "action", scope, label, inputs, plumbing=low in _PLUMBING)


def _settings(node: Mapping[str, Any]) -> dict[str, Any]:
    """Whether a node is tried again, and what happens when it fails."""
    names = (*_SETTINGS, *(_RETRIES if node.get("retryOnFail") is True else ()))
    shown = {name: node[name] for name in names if node.get(name) not in (None, False, "")}
    return {name: value for name, value in shown.items() if value not in ("stopWorkflow", "continueErrorOutput")}


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
    return service, snake("_".join(named)) or service, _rest(parameters, "operation", "resource")


def trigger_of(node: Mapping[str, Any], more: Mapping[str, Any], as_input: Callable[[str, Any], Input]) -> Trigger:
    """The trigger of the flow; `more` are inputs that stand elsewhere than in the node."""
    inputs = {**opened(_dict(node.get("parameters"))), **more}
    given = [as_input(name, value) for name, value in inputs.items()]
    return Trigger(type=snake(kind(node)) or "trigger", inputs=given)


class Choice(NamedTuple):
    """What a Switch looks at, in the order of its rules the test for each output that they name, what its author calls
    these outputs, the output for everything else, and whether an item goes to every output whose test it passes."""

    value: Any
    cases: dict[int, str]
    names: dict[int, str]
    fallback: int | None = None
    every: bool = False

    def outputs(self) -> list[int]:
        """The outputs that something can come out of; none where an expression gives the number of the output."""
        return [*self.cases, *([] if self.fallback is None else [self.fallback])]


#: Parameters of IF and Switch that the condition, the cases and the way to DEFAULT say.
_CONDITIONS: Final = ("conditions", "combineOperation")
_RULES: Final = ("mode", "rules", "value1", "dataType", "output", "fallbackOutput", "numberOutputs", "numberOfOutputs")


def choice(node: Mapping[str, Any]) -> Choice:
    """The rules of a Switch. Rules that ask one thing for equality give its value and plain cases."""
    parameters = _dict(node.get("parameters"))
    if parameters.get("mode") == "expression":
        return Choice(parameters.get("output", "expression"), {}, {})
    rules, options = _dict(parameters.get("rules")), _dict(parameters.get("options"))
    given = rules.get("values") or rules.get("rules") or []
    listed = [_dict(rule) for rule in given[:200]] if isinstance(given, list) else []
    placed: dict[int, list[dict[str, Any]]] = {}
    for place, rule in enumerate(listed):
        output = rule.get("output", 0) if _version(node) < 2 else place
        placed.setdefault(output if isinstance(output, int) and 0 <= output < 200 else place, []).append(rule)
    names = {at: of[0]["outputKey"] for at, of in placed.items() if isinstance(of[0].get("outputKey"), str)}
    ends = {"extra": len(listed), "last": max(placed, default=0)}
    other = parameters.get("fallbackOutput", options.get("fallbackOutput"))
    other = ends.get(other, other) if isinstance(other, str) else other
    fallback = other if isinstance(other, int) and 0 <= other <= 200 else None
    cases = {at: "^OR".join(_rule(rule, parameters) for rule in of) for at, of in placed.items()}
    value = parameters.get("value1", "rules")
    equal = {at: _equality(of[0], parameters) for at, of in placed.items() if len(of) == 1}
    asked = {str(pair[0]) for pair in equal.values() if pair}
    if len(asked) == 1 and len(equal) == len(placed) and all(equal.values()):
        value, cases = asked.pop(), {at: _shown(pair[1]) for at, pair in equal.items() if pair}
    cases.pop(-1 if fallback is None else fallback, None)
    return Choice(value, cases, names, fallback, options.get("allMatchingOutputs") is True)


def _options(parameters: dict[str, Any], *said: str) -> dict[str, Any]:
    """The parameters of an IF or a Switch that are not `said` in other words, and whether case counts."""
    options = _rest(_dict(parameters.get("options")), "allMatchingOutputs", "fallbackOutput", "renameFallbackOutput")
    rules = _dict(parameters.get("rules")).get("values")
    asked = [parameters, *map(_dict, rules if isinstance(rules, list) else [])]
    exact = [_dict(_dict(one.get("conditions")).get("options")).get("caseSensitive") for one in asked]
    return opened({**_rest(parameters, *said), "options": options}) | (
        {"caseSensitive": False} if False in exact else {}
    )


def _equality(rule: dict[str, Any], parameters: dict[str, Any]) -> tuple[Any, Any] | None:
    """Both sides of a rule that is one question for equality."""
    if "conditions" not in rule:
        left, sign, right = _old_clause(parameters | rule, str(parameters.get("dataType") or "number"))
        return (left, right) if sign == "=" else None
    rows = _dict(rule["conditions"]).get("conditions")
    row = _dict(rows[0]) if isinstance(rows, list) and len(rows) == 1 else {}
    left, sign, right = _new_clause(row)
    return (left, right) if row and sign == "=" else None


def _rule(rule: dict[str, Any], parameters: dict[str, Any]) -> str:
    if "conditions" in rule:
        return _all(rule)
    return _written(*_old_clause(parameters | rule, str(parameters.get("dataType") or "number")))


def _all(holder: dict[str, Any]) -> str:
    """The conditions of an IF or a rule as an encoded query, in the forms of all versions."""
    given = _dict(holder.get("conditions"))
    rows = given.get("conditions")
    if isinstance(rows, list):
        any_of = given.get("combinator") == "or"
        clauses = [_new_clause(_dict(row)) for row in rows]
    else:
        any_of = holder.get("combineOperation") == "any"
        sorts = ((sort, rows) for sort, rows in given.items() if isinstance(rows, list))
        clauses = [_old_clause(_dict(row), sort) for sort, rows in sorts for row in rows]
    return ("^OR" if any_of else "^").join(_written(*clause) for clause in clauses)


def _old_clause(row: dict[str, Any], sort: str) -> tuple[Any, str, Any]:
    """A comparison of version 1, with what its export leaves out."""
    operation, left, right = _LEFT_OUT.get(sort, _LEFT_OUT["string"])
    return row.get("value1", left), _sign(str(row.get("operation") or operation)), row.get("value2", right)


def _new_clause(row: dict[str, Any]) -> tuple[Any, str, Any]:
    operation = str(_dict(row.get("operator")).get("operation") or "equals")
    value = operation.lower() == "true" if operation.lower() in ("true", "false") else row.get("rightValue")
    return row.get("leftValue"), _sign(operation), value


def _sign(operation: str) -> str:
    """How a query writes an operation; one that it does not know stays in words."""
    return _SIGNS.get(operation.lower(), f" {operation} ")


def _written(left: Any, sign: str, right: Any) -> str:
    return f"{_shown(left)}{sign}{'' if sign in ('ISEMPTY', 'ISNOTEMPTY') else _shown(right)}"


def _shown(value: Any) -> str:
    """A value of a comparison as text, without the `=` that marks an expression."""
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value is None else str(value).removeprefix("=")


def _rest(parameters: dict[str, Any], *without: str) -> dict[str, Any]:
    return {key: value for key, value in parameters.items() if key not in without}


def opened(value: Mapping[str, Any], prefix: str = "", depth: int = 0) -> dict[str, Any]:
    """Parameters with small objects opened, resource locators as what they point at, empty ones left out."""
    flat: dict[str, Any] = {}
    for name, item in value.items():
        item = item.get("value") if isinstance(item, dict) and "__rl" in item else item
        if isinstance(item, dict) and depth < _MOST_DEPTH and len(item) <= 12:
            flat |= opened(item, f"{prefix}{name}.", depth + 1)
        elif item not in ("", None, []):
            flat[f"{prefix}{name}"] = item
    return flat


def check_loop(node: Mapping[str, Any], body: list[Mapping[str, Any]]) -> None:
    """Raise Refused for a loop of version 1 whose end is a question asked inside it."""
    if _version(node) < 2 and any("noItemsLeft" in str(one.get("parameters")) for one in body):
        raise Refused(f"the loop {node.get('name')} is of version 1 and is left by a condition inside it")


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}

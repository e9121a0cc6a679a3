"""A flow as a state machine in the Amazon States Language, which `importers.step_functions` reads back.

The result of a step that others refer to goes into the variable `step_<order>` (`Assign`); `ResultPath` is null, so
that the document stays what the machine, the round of a loop or the branch was started with. Every state in a TRY has
its handlers. Where the last step is a block, all its ways end in a Succeed called "Done".
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from flowstudy.corpus.exporters.blocks import (
    Exported,
    Node,
    checked,
    closed,
    groups,
    nested,
    pieces,
    reference,
    scalar,
    whole,
)
from flowstudy.corpus.importers.azure_operations import snake
from flowstudy.corpus.importers.building import humanised
from flowstudy.corpus.importers.records import Source
from flowstudy.corpus.importers.step_functions import convert_step_functions
from flowstudy.flows.query import Clause, alternatives, parse_query
from flowstudy.flows.schema import REFERENCE, Flow

#: Fields of a state, as opposed to what its task is given.
_FIELDS: Final = frozenset({
    "Retry", "TimeoutSeconds", "TimeoutSecondsPath", "HeartbeatSeconds", "HeartbeatSecondsPath", "Credentials",
    "ResultSelector", "OutputPath", "Assign",
})  # fmt: skip
_OF_MAP: Final = _FIELDS | {
    "MaxConcurrency", "MaxConcurrencyPath", "ToleratedFailurePercentage", "ToleratedFailurePercentagePath",
    "ToleratedFailureCount", "ToleratedFailureCountPath", "ItemReader", "ItemBatcher", "ItemSelector", "ResultWriter",
}  # fmt: skip
_OF_PASS: Final = frozenset({"Result", "OutputPath", "Assign"})
_OF_WAIT: Final = frozenset({"Seconds", "Timestamp", "SecondsPath", "TimestampPath"})
_OF_FAIL: Final = frozenset({"Error", "Cause", "ErrorPath", "CausePath"})
#: Integrations that Step Functions has made itself; every other call goes through the SDK.
_OPTIMIZED: Final = frozenset({
    "lambda", "dynamodb", "sns", "sqs", "batch", "ecs", "eks", "glue", "athena", "events", "apigateway", "sagemaker",
    "bedrock", "codebuild", "databrew", "http", "mediaconvert", "elasticmapreduce", "emr_containers", "emr_serverless",
})  # fmt: skip
#: How the names of API calls begin; another name in the scope `lambda` is that of a function.
_CALLS: Final = re.compile(r"(?:invoke|list|get|create|delete|update|publish|put|add|remove|tag|untag)(?:_|$)")
_SECONDS: Final = {"second": 1, "minute": 60, "hour": 3_600, "day": 86_400, "week": 604_800}
_BRANCHING: Final = frozenset({"IF", "SWITCH", "DOUNTIL", "TRY"})
_OPERATORS: Final = {
    "=": "Equals", "!=": "Equals", ">": "GreaterThan", ">=": "GreaterThanEquals", "<": "LessThan",
    "<=": "LessThanEquals",
}  # fmt: skip
_MATCHES: Final = {"LIKE": "*{}*", "NOT LIKE": "*{}*", "STARTSWITH": "{}*", "ENDSWITH": "*{}"}
_TIME: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)")


def to_step_functions(flow: Flow, title: str = "") -> Exported:
    """A state machine that does what a flow says, in JSONPath with variables, and what of the flow it does not say.

    Its triggers are no part of a machine. A step in no service of AWS gets the resource `${name}`, to be filled in, as
    does a condition in words, which is written as false. A flow without a step gives a machine that succeeds at once.
    """
    writing = _Writing(flow)
    document: dict[str, Any] = {"Comment": title} if title else {}
    for one in flow.trigger.inputs if flow.trigger else ():
        if one.name == "TimeoutSeconds":
            document[one.name] = scalar(str(one.value))
    document |= writing.machine(writing.nodes[None].children, ())
    return checked(
        flow, document, writing.lost, writing.to_fill,
        lambda: next(convert_step_functions(document, Source("export", text="the flow that was exported"))),
    )  # fmt: skip


class _Writing:
    def __init__(self, flow: Flow) -> None:
        self.nodes, self.lost, self.to_fill = nested(flow), list[str](), list[str]()
        named = REFERENCE.findall(flow.to_json())
        self._used = {found.step for text in named if (found := reference(text)) and found.step}
        self._done = 0

    def machine(self, nodes: Sequence[Node], catch: Sequence[dict[str, Any]]) -> dict[str, Any]:
        """`StartAt` and `States` of a flow, a branch or the body of a loop; an empty one succeeds at once."""
        states: dict[str, Any] = {}
        parts = groups(nodes)
        after = self._finish(states) if not parts or parts[-1][0].kind in _BRANCHING else None
        start = self._block(nodes, after, states, catch)
        led = [one for state in states.values() for one in _ways(state) if one.get("Next", one.get("Default")) == after]
        if after is not None and parts and not led:  # all ways end by themselves
            del states[after]
        elif after is not None and len(led) == 1 and led[0].get("Type", "Choice") != "Choice":
            del led[0]["Next"], states[after]
            led[0]["End"] = True
        order = {node.name: node.component.order for node in self.nodes.values()}
        known = sorted(states.items(), key=lambda one: order.get(one[0], 10**9))
        return {"StartAt": start, "States": dict(known)}

    def _finish(self, states: dict[str, Any]) -> str:
        self._done += 1
        name = "Done" if self._done == 1 else f"Done ({self._done})"
        states[name] = {"Type": "Succeed"}
        return name

    def _block(
        self, nodes: Sequence[Node], after: str | None, states: dict[str, Any], catch: Sequence[dict[str, Any]]
    ) -> str | None:
        """Add the states of a block that goes on with `after` (None: the machine ends); the name of the first."""
        for group in reversed(groups(nodes)):
            after = self._group(group, after, states, catch)
        return after

    def _group(
        self, group: list[Node], after: str | None, states: dict[str, Any], catch: Sequence[dict[str, Any]]
    ) -> str | None:
        node = group[0]
        if node.kind in ("IF", "SWITCH"):
            return self._choice(group if node.kind == "IF" else node.children, node, after, states, catch)
        if node.kind == "TRY":
            caught: list[dict[str, Any]] = []
            for handler in group[1:]:
                errors = [one for one in str(handler.given.get("status", "")).split(", ") if one] or ["States.ALL"]
                caught.append({"ErrorEquals": errors, "Next": self._block(handler.children, after, states, catch)})
            return self._block(node.children, after, states, [*caught, *catch])
        if node.kind == "DOUNTIL":
            start = self._block(node.children, node.name, states, catch)
            rule = self._rule(node, node.given.get("condition"), [node])
            states[node.name] = self._asked([{**rule, "Next": after}], start)
            self._comment(node, states[node.name])
            return start
        state = self._state(node)
        if state["Type"] not in ("Succeed", "Fail"):
            state |= {"Next": after} if after is not None else {"End": True}
        if state["Type"] in ("Task", "Map", "Parallel", "Pass"):
            self._result(node, state, catch)
        self._comment(node, state)
        states[node.name] = state
        return node.name

    def _comment(self, node: Node, state: dict[str, Any]) -> None:
        if node.component.annotation and node.component.annotation != humanised(node.name):
            state["Comment"] = node.component.annotation

    def _result(self, node: Node, state: dict[str, Any], catch: Sequence[dict[str, Any]]) -> None:
        """Where the result of a state goes, and who handles its failure."""
        order = node.component.order
        if order in self._used:
            made = next((state[key] for key in ("ResultSelector", "Parameters", "Result")
                         if key in state and (key == "ResultSelector" or state["Type"] == "Pass")), None)  # fmt: skip
            given = {f"step_{order}.$": "$"} if made is None else {f"step_{order}": made}
            state["Assign"] = {**state.get("Assign", {}), **given}
        if "OutputPath" not in state:
            state["ResultPath"] = None
        more = {"Assign": {f"step_{order}.$": "$"}} if order in self._used else {}
        handlers = [{**one, **more} for one in catch]
        every = next((n for n, one in enumerate(handlers, 1) if "States.ALL" in one["ErrorEquals"]), len(handlers))
        if handlers and state["Type"] != "Pass":
            state["Catch"] = handlers[:every]

    def _choice(
        self, ways: Sequence[Node], node: Node, after: str | None, states: dict[str, Any],
        catch: Sequence[dict[str, Any]],
    ) -> str:  # fmt: skip
        default, rules, values = after, list[dict[str, Any]](), list[str]()
        asked = str(node.given.get("value", ""))
        for way in ways:
            start = self._block(way.children, after, states, catch)
            if way.kind in ("ELSE", "DEFAULT"):
                default = start
            else:
                text = f"{asked}={way.given.get('value', '')}" if way.kind == "CASE" else way.given.get("condition")
                rules.append({**self._rule(way, text, ways), "Next": start})
                values.append(str(rules[-1].get("Variable", "")) if "Equals" in "".join(rules[-1]) else "")
        if node.kind == "IF" and len(rules) > 1 and len(set(values)) == 1 and values[0]:
            rules = [{"And": [{k: v for k, v in one.items() if k != "Next"}], "Next": one["Next"]} for one in rules]
        states[node.name] = self._asked(rules, default) if rules else {"Type": "Pass", "Next": default}
        self._comment(node, states[node.name])
        return node.name

    def _asked(self, rules: list[dict[str, Any]], default: str | None) -> dict[str, Any]:
        """A Choice; one language asks all its rules."""
        state: dict[str, Any] = {"Type": "Choice"}
        if any("Condition" in rule for rule in rules):
            state["QueryLanguage"] = "JSONata"
        return state | {"Choices": rules, "Default": default}

    def _rule(self, node: Node, text: Any, ways: Sequence[Node]) -> dict[str, Any]:
        """A condition as a rule without its Next; in JSONata where some condition of the choice is no comparison."""
        texts = [one.given.get("condition") for one in ways if "condition" in one.given]
        simple = all(self._compared(node, one) is not None for one in texts)
        if simple and (rule := self._compared(node, text)) is not None:
            return rule
        written = str(text or "")
        found = written if parse_query(written) else self._replaced(node, written, jsonata=True)
        where = f"condition of component {node.component.order}"
        if found == written:
            self.to_fill.append(f"{where}: it is in words, {written!r}; false until it is written in JSONata")
            return {"Condition": "{% false /* " + written.replace("*/", "* /") + " */ %}"}
        self.to_fill.append(f"{where}: it is written as it stands; check it as JSONata")
        return {"Condition": "{% " + found + " %}"}

    def _compared(self, node: Node, text: Any) -> dict[str, Any] | None:
        """An encoded query as a rule; None where it is none, or asks what the language cannot."""
        clauses = parse_query(text) if isinstance(text, str) else None
        if not clauses:
            return None
        made = [[[self._clause(node, one) for one in any_] for any_ in all_] for all_ in alternatives(clauses)]
        if any(one is None for all_ in made for any_ in all_ for one in any_):
            return None
        return _joined("Or", [_joined("And", [_joined("Or", any_) for any_ in all_]) for all_ in made])

    def _clause(self, node: Node, clause: Clause) -> dict[str, Any] | None:
        left = self._path(node, whole(clause.field) or "")
        value, operator = clause.value, clause.operator
        if left is None:
            return None
        if operator in ("ISEMPTY", "ISNOTEMPTY"):
            return {"Variable": left, "IsPresent": operator == "ISNOTEMPTY"}
        if operator in _MATCHES:
            if set(value) & set("*\\") or not value or REFERENCE.search(value):
                return None
            test: dict[str, Any] = {"Variable": left, "StringMatches": _MATCHES[operator].format(value)}
        elif operator not in _OPERATORS:
            return None
        elif (inner := whole(value)) is not None:
            right = self._path(node, inner)
            if right is None:
                return None
            test = {"Variable": left, f"String{_OPERATORS[operator]}Path": right}
        elif REFERENCE.search(value):
            return None
        else:
            plain = scalar(value)
            kind = "Boolean" if isinstance(plain, bool) else "String" if isinstance(plain, str) else "Numeric"
            if kind == "Boolean" and _OPERATORS[operator] != "Equals":
                return None
            kind = "Timestamp" if _TIME.fullmatch(value) else kind
            test = {"Variable": left, kind + _OPERATORS[operator]: plain}
        return {"Not": test} if operator in ("!=", "NOT LIKE") else test

    def _state(self, node: Node) -> dict[str, Any]:
        given, component = node.given, node.component
        if node.kind == "END":
            failed = given.get("status") == "Failed"
            allowed = _OF_FAIL if failed else frozenset({"OutputPath"})
            return {"Type": "Fail" if failed else "Succeed", **{k: v for k, v in given.items() if k in allowed}}
        if node.kind == "WAIT" and (wait := self._wait(node, given)):
            return {"Type": "Wait", **wait}
        if node.kind == "FOREACH":
            return self._map(node, given)
        if node.kind == "PARALLEL":
            branches = [self.machine(c.children if c.kind in ("BRANCH", "BLOCK") else [c], ()) for c in node.children]
            return {"Type": "Parallel", "Branches": branches or [self.machine([], ())],
                    **self._parameters(node, given, _FIELDS), **self._fields(node, given, _FIELDS)}  # fmt: skip
        if component.definition == "pass" and component.scope == "global" and not component.is_logic:
            return {"Type": "Pass", **self._fields(node, given, _OF_PASS), **self._parameters(node, given, _OF_PASS)}
        of_service = component.scope != "global" or component.category == "subflow"
        integration = str(given.pop("integration", "")) if of_service else ""
        resource, more = self._resource(node, re.sub(r"\.(\d)$", r":\1", f".{integration}" if integration else ""))
        parameters = self._parameters(node, more | given, _FIELDS)
        return {"Type": "Task", "Resource": resource, **parameters, **self._fields(node, given, _FIELDS)}

    def _wait(self, node: Node, given: dict[str, Any]) -> dict[str, Any]:
        """One of the fields of a Wait; a duration of a unit of time as seconds. Empty where the language has none."""
        found = self._fields(node, given, _OF_WAIT)
        match = re.fullmatch(r"(\d{1,6}) (second|minute|hour|day|week)s?", str(given.get("duration", "")))
        if not found and match:
            found = {"Seconds": int(match[1]) * _SECONDS[match[2]]}
        if not found:
            self.to_fill.append(
                f"WAIT of component {node.component.order}: expected a time; it is a task to be filled in"
            )
        return dict(list(found.items())[:1])

    def _map(self, node: Node, given: dict[str, Any]) -> dict[str, Any]:
        items = given.get("items")
        path = self._path(node, whole(items) or "")
        if items is not None and path is None:
            path = items if isinstance(items, str) and items.startswith("$") else None
            self.to_fill += [] if path else [f"items of component {node.component.order}: expected one reference"]
        config = {name.partition(".")[2]: value for name, value in given.items() if name.startswith("ProcessorConfig.")}
        processor = {"ProcessorConfig": closed(config)} if config else {}
        state = {"Type": "Map", "ItemProcessor": {**processor, **self.machine(node.children, ())}}
        parameters = self._parameters(node, given, _OF_MAP | {"items", "ProcessorConfig"})
        return state | ({"ItemsPath": path} if path else {}) | parameters | self._fields(node, given, _OF_MAP)

    def _resource(self, node: Node, suffix: str) -> tuple[str, dict[str, Any]]:
        """The resource of a task, `suffix` being how it is waited for, and what names it among its parameters."""
        component = node.component
        name, scope = component.definition, component.scope
        if component.category == "subflow":
            self.to_fill.append(f"${{{name}}}: the ARN of the machine that component {component.order} starts")
            return f"arn:aws:states:::states:startExecution{suffix}", {"StateMachineArn": f"${{{name}}}"}
        if scope == "lambda" and not _CALLS.match(name):
            self.to_fill.append("${Region}, ${Account}: of the functions")
            return f"arn:aws:lambda:${{Region}}:${{Account}}:function:{name}", {}
        if scope == "activity":
            self.to_fill.append("${Region}, ${Account}: of the activities")
            return f"arn:aws:states:${{Region}}:${{Account}}:activity:{name}", {}
        if scope == "global":
            self.to_fill.append(f"${{{name}}}: the ARN of what does component {component.order}")
            return f"${{{name}}}", {}
        service = "" if scope in _OPTIMIZED else "aws-sdk:"
        return f"arn:aws:states:::{service}{scope.replace('_', '-')}:{_camel(name)}{suffix}", {}

    def _fields(self, node: Node, given: Mapping[str, Any], allowed: frozenset[str]) -> dict[str, Any]:
        """The inputs that are fields of the state; their names say where they are paths."""
        flat = {name: value for name, value in given.items() if name.split(".")[0] in allowed}
        return {name.removesuffix(".$"): value for name, value in self._object(node, closed(flat)).items()}

    def _parameters(self, node: Node, given: Mapping[str, Any], without: frozenset[str]) -> dict[str, Any]:
        own = self._object(node, closed({k: v for k, v in given.items() if k.split(".")[0] not in without}))
        return {"Parameters": own} if own else {}

    def _object(self, node: Node, value: Mapping[str, Any]) -> dict[str, Any]:
        return dict(self._pair(node, name, item) for name, item in value.items())

    def _pair(self, node: Node, name: str, value: Any) -> tuple[str, Any]:
        """A name and value of a payload template; the name ends in `.$` where the value is a path or a function."""
        if isinstance(value, dict):
            return name, self._object(node, value)
        if isinstance(value, list):
            return name, [self._pair(node, "", item)[1] for item in value]
        if not isinstance(value, str):
            return name, value
        if re.match(r"\$[.$\[]|States\.\w+\(|\$\Z", value):
            return f"{name}.$", self._replaced(node, value)
        if (inner := whole(value)) is not None and name:
            path = self._path(node, inner)
            return (f"{name}.$", path) if path is not None else self._unreached(node, name, value)
        parts = list(pieces(value))
        if len(parts) == 1:
            return name, scalar(value) if name != "N" else value
        paths = [self._path(node, inner) for _, inner in parts[:-1]]
        if not name or not all(paths):
            return self._unreached(node, name, value)
        text = "{}".join(re.sub(r"([\\'{}])", r"\\\1", plain) for plain, _ in parts)
        return f"{name}.$", f"States.Format('{text}', {', '.join(map(str, paths))})"

    def _unreached(self, node: Node, name: str, value: str) -> tuple[str, str]:
        self.lost.append(f"reference of component {node.component.order}, {name or 'in a list'}: {value[:80]!r}")
        return name, value

    def _replaced(self, node: Node, text: str, *, jsonata: bool = False) -> str:
        return REFERENCE.sub(lambda match: self._path(node, match[1], jsonata=jsonata) or match[0], text)

    def _path(self, node: Node, text: str, *, jsonata: bool = False) -> str | None:
        """The path of a reference where a component stands; None where the result cannot be reached from there."""
        found = reference(text)
        if found is None:
            return None
        context = "$states.context" if jsonata else "$$"
        if found.variable:
            return f"${found.variable}{_keys(found.keys)}"
        if found.step is None:
            return f"{context}.Execution.Input{_keys(found.keys)}"
        target = self.nodes.get(found.step)
        if target is None:
            return None
        if target.kind == "FOREACH" and found.step in (*node.scope, node.component.order):
            return self._item(node, target, found.keys, context)
        inside, between = node.scope[: len(target.scope)], node.scope[len(target.scope) :]
        reached = target.scope == inside and not any(map(self._is_distributed, between))
        if target.kind in ("", "FOREACH", "PARALLEL") and reached:
            return f"$step_{found.step}{_keys(found.keys)}"
        return None

    def _item(self, node: Node, loop: Node, keys: list[str], context: str) -> str | None:
        """What a loop hands to its rounds, where one of its own states or the innermost loop asks for it."""
        loops = [order for order in node.scope if self.nodes[order].kind == "FOREACH"]
        if node is not loop and loops[-1] != loop.component.order:
            return None
        if keys[:1] == ["item"] and node.kind == "FOREACH" and node is not loop:
            return "$" + _keys(keys[1:])
        if keys[:1] in (["item"], ["index"]):
            return f"{context}.Map.Item.{'Value' if keys[0] == 'item' else 'Index'}{_keys(keys[1:])}"
        return "$" + _keys(keys) if context == "$$" else None

    def _is_distributed(self, order: int) -> bool:
        return self.nodes[order].given.get("ProcessorConfig.Mode") == "DISTRIBUTED"


def _ways(state: dict[str, Any]) -> list[dict[str, Any]]:
    """What says where a state leads: itself, its rules, its handlers."""
    return [state, *state.get("Choices", []), *state.get("Catch", [])]


def _joined(word: str, rules: list[Any]) -> dict[str, Any]:
    return rules[0] if len(rules) == 1 else {word: rules}


def _keys(keys: Sequence[str]) -> str:
    return "".join(_key(key) for key in keys)


def _key(key: str) -> str:
    if key.isdecimal():
        return f"[{key}]"
    return f".{key}" if re.fullmatch(r"[A-Za-z_]\w*", key) else f"['{key.replace(chr(39), '')}']"


def _camel(name: str) -> str:
    """`get_item` as `getItem`, where that is read back as it was."""
    first, *rest = name.split("_")
    made = first + "".join(word.capitalize() for word in rest)
    return made if snake(made) == name else name

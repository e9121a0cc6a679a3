"""AWS Step Functions: machines in the Amazon States Language, as definitions or in CloudFormation templates (JSON).

| source | flow | | source | flow |
|---|---|---|---|---|
| Task, Pass | action; starting a machine: subflow | | Map | FOREACH |
| Choice | IF, ELSEIF, ELSE; SWITCH where all rules ask one value | | Parallel | PARALLEL with a BRANCH each |
| Wait | WAIT | | Catch | TRY and CATCH |
| Fail, Succeed, an early end | END | | a way back to an earlier state | DOUNTIL |

The graph of states becomes a tree by `machines.tree`. Every field of a state that no construct says is an input. A path
such as `$.order.id` becomes a reference to the step that wrote it, in both query languages.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from flowstudy.corpus.importers.azure_expressions import condition
from flowstudy.corpus.importers.azure_operations import snake
from flowstudy.corpus.importers.building import as_input, finish, humanised
from flowstudy.corpus.importers.machines import Handler, State, reached, tree
from flowstudy.corpus.importers.n8n_nodes import opened
from flowstudy.corpus.importers.reading import stored
from flowstudy.corpus.importers.records import MAX_LEVELS, MAX_STEPS, Imported, Refused, Source
from flowstudy.corpus.importers.redact import Redactor
from flowstudy.corpus.importers.steps import Step, to_flow, without_plumbing
from flowstudy.flows.schema import Input, Trigger

_RESOURCES: Final = ("AWS::StepFunctions::StateMachine", "AWS::Serverless::StateMachine")
#: Fields that read the result of their own state: they stay as they are written.
_OF_RESULT: Final = frozenset({"ResultSelector", "OutputPath", "Output", "Assign"})
#: Fields of a state that its place in the tree, its step or the references say.
_SAID: Final = frozenset({
    "Type", "Next", "End", "Comment", "Catch", "Choices", "Default", "Branches", "Iterator", "ItemProcessor",
    "Resource", "Parameters", "Arguments", "ItemsPath", "Items", "QueryLanguage", "ResultPath", "Label",
})  # fmt: skip
_COMPARED: Final = re.compile(r"(String|Numeric|Boolean|Timestamp)(\w+?)(Path)?")
_COMPARISONS: Final = {
    "Equals": "equals", "GreaterThan": "greater", "GreaterThanEquals": "greaterOrEquals", "LessThan": "less",
    "LessThanEquals": "lessOrEquals",
}  # fmt: skip
_WILD: Final = {("*", "*"): "contains", ("", "*"): "startsWith", ("*", ""): "endsWith", ("", ""): "equals"}
_KEYS: Final = r"((?:\.[A-Za-z_]\w*|\[(?:'[^']*'|\d+)\])*)"
_PATH: Final = re.compile(
    rf"\$(?:\$|states\.context)\.(?P<context>Execution\.Input|Map\.Item\.(?:Value|Index))(?P<c>{_KEYS})"
    rf"|\$states\.(?P<states>input|result|errorOutput)(?P<s>{_KEYS})"
    rf"|\$(?P<name>[A-Za-z_]\w*)(?![\w(])(?P<n>{_KEYS})"
    rf"|(?<![$\w])\$(?P<p>{_KEYS})(?![$\w({{])"
)
_KEY: Final = re.compile(r"\.([A-Za-z_]\w*)|\['([^']*)'\]|\[(\d+)\]")
_JSONATA: Final = re.compile(r"\{%\s*([\s\S]*?)\s*%\}")
_MARKED: Final = re.compile("\\{\\{\0[^{}]*\\}\\}")
_FORMAT: Final = re.compile(r"States\.Format\(\s*'((?:[^'\\]|\\.)*)'((?:\s*,\s*\{\{[^{}]*\}\})+)\s*\)", re.DOTALL)
_MARK: Final = re.compile("\0([^\0]*)\0")


def is_step_functions(document: Any) -> bool:
    """Whether a value is a state machine, or a template with one."""
    return next(_machines(document), None) is not None


def convert_step_functions(document: Any, source: Source) -> Iterator[Imported]:
    """Every machine of a parsed definition or template; one refusal when there is none."""
    found = list(_machines(document))
    if not found:
        reason = "no state machine (an object with `StartAt` and `States`) in it"
        yield Imported(source.id, "refused", reason=reason)
    for name, machine in found:
        yield _convert(machine, source, source.id + (f"#{name}" if len(found) > 1 else ""))


def _machines(document: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """Definitions with their names in a template."""
    if not isinstance(document, dict):
        return
    if isinstance(document.get("States"), dict) and isinstance(document.get("StartAt"), str):
        yield "", document
        return
    for name, resource in _dict(document.get("Resources")).items():
        if _dict(resource).get("Type") in _RESOURCES:
            given = _dict(_dict(resource).get("Properties"))
            text = given.get("DefinitionString")
            text = text.get("Fn::Sub") if isinstance(text, dict) else text
            text = text[0] if isinstance(text, list) and text else text
            yield from ((name, one) for _, one in _machines(given.get("Definition") or stored(text)))


def _convert(machine: dict[str, Any], source: Source, id: str) -> Imported:
    reading = _Reading(source.drop_plumbing)
    try:
        reading.results = _results(machine)
        steps = reading.machine(machine, _Data({(): ("trigger", ())}), top=True)
        if source.drop_plumbing:
            steps = without_plumbing(steps)
        more = {name: machine[name] for name in ("TimeoutSeconds",) if name in machine}
        trigger = Trigger(type="start_execution", inputs=[as_input(n, v, reading.redactor) for n, v in more.items()])
        flow = to_flow(trigger, steps, reading.writer)
    except Refused as refusal:
        return Imported(id, "refused", reason=reading.redactor.text(str(refusal)))
    if machine.get("Version", "1.0") != "1.0":
        reading.lost.append(f"version {str(machine['Version'])[:20]!r} is unknown: read as 1.0")
    comment = machine.get("Comment")
    texts = [(comment, "comment")] if isinstance(comment, str) else []
    return finish(id, source, flow, reading.redactor, reading.lost, texts=texts, notes=reading.notes)


@dataclass
class _Data:
    """What the document that states hand on holds: for each path in it the step that wrote it and the path in its
    result. The empty path is the document itself."""

    written: dict[tuple[str, ...], tuple[str, tuple[str, ...]]]
    inside: str = ""

    def find(self, keys: list[str]) -> str | None:
        """The reference to what a path names; None where its writer is not certain."""
        for length in range(len(keys), -1, -1):
            found = self.written.get(tuple(keys[:length]))
            if found is not None:
                return _written(found[0], [*found[1], *keys[length:]]) if found[0] else None
        return None

    def part(self, path: Any) -> _Data:
        """The document that a path names (`InputPath`, `OutputPath`)."""
        keys = tuple(_keys(path)) if isinstance(path, str) else ()
        below = {p[len(keys) :]: found for p, found in self.written.items() if p[: len(keys)] == keys}
        for length in range(len(keys) - 1, -1, -1):
            if () not in below and (found := self.written.get(keys[:length])):
                below[()] = (found[0], (*found[1], *keys[length:]))
        return _Data(below, self.inside)

    def after(self, writer: str, place: Any) -> _Data:
        """The document once a step has put its result at a path (`ResultPath`); null discards the result."""
        if place is None:
            return self
        keys = tuple(_keys(place)) if isinstance(place, str) else ()
        kept = {path: found for path, found in self.written.items() if path[: len(keys)] != keys}
        return _Data({**kept, keys: (writer, ())}, self.inside)

    def joined(self, others: list[_Data]) -> _Data:
        """The document where several ways meet: what they agree on."""
        if not others:
            return self
        paths = {path for one in others for path in one.written}
        same = {path: {one.written.get(path) for one in others} for path in paths}
        unknown: tuple[str, tuple[str, ...]] = ("", ())
        return _Data(
            {p: (found.pop() or unknown) if len(found) == 1 else unknown for p, found in same.items()}, self.inside
        )


class _Reading:
    """Converts one machine with the machines inside it."""

    def __init__(self, drop_plumbing: bool) -> None:
        self.redactor, self.lost, self.notes, self._drop = Redactor(), list[str](), list[str](), drop_plumbing
        self.results: dict[str, str] = {}
        self._level = self._count = 0

    def machine(self, machine: Any, data: _Data, top: bool = False) -> list[Step]:
        """The steps of a machine. Raises Refused."""
        states = _dict(_dict(machine).get("States"))
        self._count += len(states)
        if self._level == MAX_LEVELS or self._count > MAX_STEPS:
            raise Refused(f"more than {MAX_STEPS} states, or nested deeper than {MAX_LEVELS} levels")
        start = _dict(machine).get("StartAt")
        if not isinstance(start, str) or start not in states:
            raise Refused(f"StartAt: expected the name of a state, got {start!r}")
        graph = {name: _state(name, raw, states) for name, raw in states.items()}
        if missing := graph.keys() - set(reached(graph, start)):
            self.lost.append(f"states that nothing leads to: {', '.join(sorted(missing)[:8])}")
        self._level += 1
        steps = tree(graph, start, _Maker(self, states, data), self.notes, may_end=top)
        self._level -= 1
        return steps

    def step(self, name: str, raw: Mapping[str, Any], data: _Data) -> Step:
        """The step of a state that is no Choice."""
        kind, label = raw.get("Type"), _label(name, raw)
        rest = {key: value for key, value in raw.items() if key not in _SAID}
        if name in self.results.values():
            kept = {one: value for one, value in _assigned(rest.pop("Assign")) if self.results.get(one) != name}
            rest |= {"Assign": kept} if kept else {}
        data = data.part(rest.pop("InputPath", "$"))
        given = {**_dict(raw.get("Parameters")), **_dict(raw.get("Arguments"))}
        if kind in ("Map", "Parallel"):
            return self._group(name, raw, {**rest, **given}, label, data)
        if kind == "Wait":
            return Step("WAIT", name, annotation=label, inputs=self.inputs(rest, data))
        if kind in ("Fail", "Succeed"):
            status = {"status": "Failed" if kind == "Fail" else "Succeeded"}
            return Step("END", name, annotation=label, inputs=status | self.inputs(rest, data))
        if kind == "Pass":
            return Step(
                "pass", name, "action", annotation=label, inputs=self.inputs({**given, **rest}, data), plumbing=True
            )
        if kind != "Task":
            self.lost.append(f"state {name} of the unknown type {str(kind)[:40]!r}")
        category, scope, definition, more = _operation(str(raw.get("Resource") or kind), given)
        inputs = self.inputs({**more, **given, **rest}, data)
        return Step(definition, name, category, scope, label, inputs)

    def _group(self, name: str, raw: Mapping[str, Any], given: dict[str, Any], label: str, data: _Data) -> Step:
        if raw.get("Type") == "Parallel":
            children = [Step("BRANCH", children=self.machine(one, data)) for one in _list(raw.get("Branches"))]
            return Step("PARALLEL", name, annotation=label, inputs=self.inputs(given, data), children=children)
        items = raw.get("ItemsPath", raw.get("Items", "" if "ItemReader" in raw else "$"))
        inputs = {"items": self.value(items, data, path=True)} if items != "" else {}
        selected = {**_dict(raw.get("ItemSelector")), **_dict(raw.get("Parameters"))}
        handed: dict[tuple[str, ...], tuple[str, tuple[str, ...]]] = {(): (name, ("item",))}
        if selected:
            handed[()] = (name, ())
            inner = _Data(data.written, name)
            for key, value in selected.items():
                found = self.value(value, inner, path=key.endswith(".$")) if isinstance(value, str) else None
                match = re.fullmatch(r"\{\{\0([^\0]*)\0((?:\.[^{}]*)?)\}\}", found or "")
                if match:
                    handed[(key.removesuffix(".$"),)] = (match[1], tuple(match[2].split(".")[1:]))
        inputs |= self.inputs(given, _Data(data.written, name))
        processor = raw.get("ItemProcessor", raw.get("Iterator"))
        config = _dict(_dict(processor).get("ProcessorConfig"))
        inputs |= self.inputs({f"ProcessorConfig.{key}": value for key, value in config.items()}, data)
        return Step(
            "FOREACH", name, annotation=label, inputs=inputs, children=self.machine(processor, _Data(handed, name))
        )

    def inputs(self, given: Mapping[str, Any], data: _Data) -> dict[str, Any]:
        """Fields of a state with their paths as references; a name ends in `.$` where its value is a path."""
        return {
            re.sub(r"\.\$(?=\.|$)", "", name): value
            if name.split(".")[0] in _OF_RESULT
            else self.value(value, data, path=name.endswith((".$", "Path")))
            for name, value in opened(given).items()
        }

    def value(self, value: Any, data: _Data, *, path: bool = False) -> Any:
        """A JSON value with its JSONata and, where a text is a `path`, its JSONPath as references."""
        if isinstance(value, dict):
            return {
                key.removesuffix(".$"): self.value(item, data, path=key.endswith(".$")) for key, item in value.items()
            }
        if isinstance(value, list):
            return [self.value(item, data) for item in value]
        if not isinstance(value, str) or len(value) > 20_000:
            return value
        found = _JSONATA.sub(lambda match: self._path(match[1], data), value)
        return self._path(value, data) if path and found == value else found

    def _path(self, text: str, data: _Data) -> str:
        found = _PATH.sub(lambda match: self._reference(match, data), text)
        return _formatted(found) if found.startswith("States.Format(") else found

    def _reference(self, match: re.Match[str], data: _Data) -> str:
        keys = _keys(match["c"] or match["s"] or match["n"] or match["p"] or "")
        of = match["context"] or match["states"] or ""
        if of == "Execution.Input":
            return _written("trigger", keys)
        if of.startswith("Map.Item."):
            return (
                _written(data.inside, [of.rsplit(".", 1)[1].lower().replace("value", "item"), *keys])
                if data.inside
                else match[0]
            )
        if of in ("result", "errorOutput"):
            return match[0]
        if match["name"] in self.results:
            return _written(self.results[match["name"]], keys)
        if match["name"]:
            return _written("variable", [match["name"], *keys])
        return data.find(keys) or match[0]

    def rule(self, rule: Any, data: _Data) -> Any:
        """A rule of a Choice as the tree of comparisons that `condition` takes, or its text."""
        rule = _dict(rule)
        if isinstance(rule.get("Condition"), str):
            return self.value(rule["Condition"], data)
        for name in ("And", "Or"):
            if isinstance(rule.get(name), list):
                return {name: [self.rule(part, data) for part in rule[name]]}
        if "Not" in rule:
            return {"not": [self.rule(rule["Not"], data)]}
        left = self.value(rule.get("Variable"), data, path=True)
        for name, right in rule.items():
            if name in ("IsPresent", "IsNull"):
                test = {"empty": [left]}
                return {"not": [test]} if (name == "IsPresent") == (right is not False) else test
            wild = re.fullmatch(r"(\*?)([^*\\]+)(\*?)", right) if name == "StringMatches" else None
            if wild and (operator := _WILD.get((wild[1], wild[3]))):
                return {operator: [left, wild[2]]}
            match = _COMPARED.fullmatch(name)
            if match:
                operator = _COMPARISONS.get(match[2], name.removesuffix("Path"))
                return {operator: [left, self.value(right, data, path=True) if match[3] else right]}
            if name.startswith("Is"):
                return {name: [left, right]}
        return {"unknown": [left]}

    def condition(self, rule: Any, data: _Data) -> str:
        """A rule as an encoded query, or in words where it is not one."""
        return condition(self.rule(rule, data), str)

    def writer(self, orders: Mapping[str, int]) -> Callable[[Step], tuple[str | None, list[Input]]]:
        """What writes annotations and inputs once every state has its number."""

        def name(match: re.Match[str]) -> str:
            return f"step.{orders[match[1]]}" if match[1] in orders else match[1]

        def numbered(value: Any) -> Any:
            if isinstance(value, str):
                return _MARK.sub(name, value)
            if isinstance(value, dict):
                return {key: numbered(item) for key, item in value.items()}
            return [numbered(item) for item in value] if isinstance(value, list) else value

        def write(step: Step) -> tuple[str | None, list[Input]]:
            inputs = [as_input(key, numbered(value), self.redactor) for key, value in step.inputs.items()]
            return step.annotation and self.redactor.text(step.annotation), inputs

        return write


@dataclass
class _Maker:
    """Makes the steps of one machine for `machines.tree`, and follows what the document holds on the way."""

    reading: _Reading
    states: Mapping[str, Any]
    data: _Data

    def step(self, name: str) -> Step:
        """The step of a state; afterwards the document holds its result."""
        raw = _dict(self.states[name])
        step = self.reading.step(name, raw, self.data)
        if raw.get("Type") in ("Task", "Map", "Parallel", "Pass"):
            same = raw.get("Type") == "Pass" and not raw.keys() & {"Parameters", "Result", "Output"}
            self.data = self.data if same else self.data.after(name, raw.get("ResultPath", "$"))
            self.data = self.data.part(raw.get("OutputPath", "$"))
        return step

    def rules(self, name: str) -> list[Any]:
        """The rules of a Choice."""
        return _list(_dict(self.states[name]).get("Choices"))

    def question(self, name: str, places: list[int]) -> tuple[str | None, list[str]]:
        """What some rules of a Choice ask: one value with what it may equal, or None with a condition for each."""
        trees = [self.reading.rule(self.rules(name)[place], self.data) for place in places]
        sides = [one["equals"] for one in trees if isinstance(one, dict) and one.keys() == {"equals"}]
        if len(sides) == len(trees) > 1 and len({str(left) for left, _ in sides}) == 1:
            return str(sides[0][0]), [_as_text(right) for _, right in sides]
        return None, [self.reading.condition(self.rules(name)[place], self.data) for place in places]

    def until(self, name: str, back: list[int], leave: list[int], default_back: bool) -> tuple[str, str]:
        """When a loop whose choice has ways back and ways out is left, and when it goes on."""
        trees = {place: self.reading.rule(self.rules(name)[place], self.data) for place in (*back, *leave)}
        if not default_back:
            on = [trees[place] for place in back]
            return _joined("and", [{"not": [one]} for one in on]), _joined("or", on)
        out = [_all([*({"not": [trees[b]]} for b in back if b < place), trees[place]]) for place in leave]
        return _joined("or", out), _joined("and", [{"not": [one]} for one in out])

    def label(self, name: str) -> str:
        """What a state is called."""
        return _label(name, _dict(self.states[name]))


def _label(name: str, raw: Mapping[str, Any]) -> str:
    comment = raw.get("Comment")
    return " ".join(comment.split()) if isinstance(comment, str) and comment.strip() else humanised(name)


def _assigned(given: Any) -> Iterator[tuple[str, Any]]:
    """The variables that a state assigns, each with what it is given."""
    return ((name.removesuffix(".$"), value) for name, value in _dict(given).items())


def _results(machine: Any) -> dict[str, str]:
    """Variables that hold the whole result of a state, each assigned once, with the state: they are its references."""
    found: dict[str, list[str]] = {}
    stack = [machine]
    while stack:
        for name, raw in _dict(_dict(stack.pop()).get("States")).items():
            raw = _dict(raw)
            stack += [raw.get("ItemProcessor"), raw.get("Iterator"), *_list(raw.get("Branches"))]
            kind, selected = raw.get("Type"), raw.get("ResultSelector")
            if kind == "Pass":
                result: tuple[Any, ...] = (raw.get("Parameters", raw.get("Result")),)
            else:
                result = ("$", "{% $states.result %}") if selected is None else (selected,)
            for variable, value in _assigned(raw.get("Assign")):
                whole = kind in ("Task", "Map", "Parallel", "Pass") and value is not None and value in result
                found.setdefault(variable, []).append(name if whole else "")
    return {variable: names[0] for variable, names in found.items() if len(names) == 1 and names[0]}


def _formatted(text: str) -> str:
    """`States.Format('a {} b', {{x}})` as the text that it makes; as it is where it formats more than references."""
    match = _FORMAT.fullmatch(text)
    parts = re.split(r"(?<!\\)\{\}", match[1]) if match else []
    given = _MARKED.findall(match[2]) if match else []
    if len(parts) != len(given) + 1 or not match:
        return text
    plain = [re.sub(r"\\(.)", r"\1", part) for part in parts]
    return plain[0] + "".join(one + part for one, part in zip(given, plain[1:], strict=True))


def _all(trees: list[Any]) -> Any:
    return trees[0] if len(trees) == 1 else {"and": trees}


def _joined(word: str, trees: list[Any]) -> str:
    return condition(trees[0] if len(trees) == 1 else {word: trees}, str)


def _as_text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _state(name: str, raw: Any, states: Mapping[str, Any]) -> State:
    """What leads where. Raises Refused for a name that no state has."""
    raw = _dict(raw)
    rules = [_dict(rule) for rule in _list(raw.get("Choices"))] if raw.get("Type") == "Choice" else []
    caught = [_dict(one) for one in _list(raw.get("Catch"))]
    ends = raw.get("Type") in ("Succeed", "Fail")
    next = None if ends else raw.get("Default") if raw.get("Type") == "Choice" else raw.get("Next")
    named = [rule.get("Next") for rule in (*rules, *caught)] + ([] if next is None else [next])
    wrong = [one for one in named if not isinstance(one, str) or one not in states]
    if wrong:
        raise Refused(f"state {name} leads to {str(wrong[0])[:80]!r}, which does not exist")
    handlers = [
        Handler(str(one["Next"]), ", ".join(map(str, _list(one.get("ErrorEquals")))), one.get("ResultPath", "$"))
        for one in caught
    ]
    return State(str(raw.get("Type")), next, [str(rule["Next"]) for rule in rules], handlers)


def _operation(resource: str, given: dict[str, Any]) -> tuple[str, str, str, dict[str, Any]]:
    """Category, scope, definition and further inputs of a task; what `given` says in the name is taken out of it."""
    *_, last = resource.split(":::") if ":::" in resource else resource.split(":states:")
    parts = last.split(":")
    if ":::" in resource or ":states:" in resource:
        parts = parts[1:] if parts[0] == "aws-sdk" else parts[2:] if "-" in parts[0] and len(parts) > 3 else parts
        parts = parts[1:] if parts[0] == "aws-sdk" else parts
        service, _, call = ":".join(parts[:2]).partition(":")
        call, _, pattern = call.partition(".")
        more = {"integration": ".".join([pattern, *parts[2:]])} if pattern else {}
        machine = given.get("StateMachineArn")
        if call == "startExecution" and isinstance(machine, str):
            given.pop("StateMachineArn")
            return "subflow", "global", snake(re.findall(r"[\w-]+", machine)[-1]) or "execution", more
        return "action", snake(service) or "task", snake(call) or "call", more
    arn = re.match(r"arn:[^:]*:(?P<service>[^:]*):[^:]*:[^:]*:(?:(?:function|activity):)?(?P<name>[^:]+)", resource)
    if arn:
        return (
            "action",
            "activity" if ":activity:" in resource else snake(arn["service"]),
            snake(arn["name"]) or "task",
            {},
        )
    words = re.findall(r"[A-Za-z][\w-]*", resource)
    return "action", "global", snake(words[0]) if words else "task", {}


def _keys(path: str) -> list[str]:
    return [a or b or c for a, b, c in _KEY.findall(path)]


def _written(head: str, keys: list[str]) -> str:
    """A reference with a mark in the place of the number that the step of a state gets later."""
    keys = [key for key in keys if not set(key) & set("{}")]
    return "{{" + ".".join([f"\0{head}\0", *keys]) + "}}"


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []

"""IBM Flow-Bench: requirements with flows written as a few lines of Python, and its catalogue of operations.

The Python is parsed with `ast` and never run: calls are actions, `if`, `for` and `while` flow logic, names become data
references. `Jira_Issue__2_0_0__create_Issue` is the action `create_Issue` in the scope `Jira_Issue`; its version is
left out. A test that edits a workflow keeps it: the requirement ends with the outline of the prior flow, which is
also in the features as `prior_flow`.
"""

from __future__ import annotations

import ast
import re
import textwrap
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from flowstudy.corpus.importers.building import as_input, finish
from flowstudy.corpus.importers.records import Imported, Refused, Source
from flowstudy.corpus.importers.redact import Redactor
from flowstudy.corpus.importers.steps import Step, to_flow, without_plumbing
from flowstudy.flows.catalogue import Catalogue, StepDef
from flowstudy.flows.outline import to_outline
from flowstudy.flows.schema import Flow, Input

LICENCE: Final = "Apache-2.0"
_API: Final = re.compile(r"(?P<scope>.+?)__\d+(?:_\d+)*__(?P<definition>.+)")
_SIGNS: Final = {
    ast.Eq: "=", ast.NotEq: "!=", ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=", ast.In: "IN",
    ast.NotIn: "NOT IN", ast.Is: "=", ast.IsNot: "!=",
}  # fmt: skip
_MOST_CHARS: Final = 200_000


def is_flow_bench(document: Any) -> bool:
    """Whether a value is a file of Flow-Bench tests, or one test."""
    tests = document.get("tests") if isinstance(document, dict) else None
    return isinstance(tests, list) or _is_test(document)


def _is_test(value: Any) -> bool:
    return isinstance(value, dict) and isinstance(value.get("input"), dict) and "expected_output" in value


def is_flow_bench_catalogue(document: Any) -> bool:
    """Whether a value is a Flow-Bench catalogue: a list of objects with `id` and `description`."""
    return isinstance(document, list) and bool(document) and all(map(_is_entry, document))


def _is_entry(value: Any) -> bool:
    return isinstance(value, dict) and isinstance(value.get("id"), str) and value.keys() == {"id", "description"}


def flow_bench_catalogue(document: Any, name: str = "flow-bench") -> Catalogue:
    """The catalogue of operations; actions of the same name in several versions are one."""
    catalogue = Catalogue(name=name, title="IBM Flow-Bench")
    for entry in document:
        scope, definition = _api(entry["id"])
        key = definition if scope == "global" else f"{scope}.{definition}"
        catalogue.actions.setdefault(key, StepDef(description=str(entry.get("description") or "")))
    return catalogue


def convert_flow_bench(document: Any, source: Source) -> Iterator[Imported]:
    """Every test of a parsed file, in order."""
    tests = [document] if _is_test(document) else document.get("tests") if isinstance(document, dict) else document
    if not isinstance(tests, list):
        tests = []
        yield Imported(source.id, "refused", reason="no Flow-Bench tests (an object with a list of `tests`) in it")
    for place, test in enumerate(tests, start=1):
        metadata = test.get("_metadata") if isinstance(test, dict) else None
        uid = metadata.get("uid") if isinstance(metadata, dict) else None
        number = uid if isinstance(uid, (int, str)) else place
        id = f"{source.id}#{number}"
        try:
            yield _convert(test, source, id)
        except Refused as refusal:
            yield Imported(id, "refused", reason=str(refusal))


def _convert(test: Any, source: Source, id: str) -> Imported:
    if not _is_test(test):
        raise Refused("a test needs `input` and `expected_output`")
    asked, expected = test["input"], test["expected_output"]
    text = asked.get("utterance")
    sequence = _sequences(expected.get("sequence") if isinstance(expected, dict) else None)
    if not sequence:
        raise Refused("no expected sequence of steps")
    redactor = Redactor()
    reading = _Reading(redactor, source.drop_plumbing)
    flow, *others = [reading.flow(one) for one in sequence]
    prior = _sequences(asked.get("prior_sequence"))
    features: dict[str, Any] = {"tags": _tags(test)}
    texts = [(text, "utterance")] if isinstance(text, str) else []
    if prior and texts:
        features["prior_flow"] = to_outline(_Reading(redactor, source.drop_plumbing).flow(prior[0]))
        texts = [(f"{text}\n\nThe workflow so far:\n\n{features['prior_flow']}", "utterance")]
    record = finish(
        id, source, flow, redactor, reading.lost, texts=texts, features=features, licence=source.licence or LICENCE
    )
    if record.example and others:
        record.example.references.extend(others)
    return record


def _sequences(value: Any) -> list[str]:
    values = value if isinstance(value, list) else [value]
    return [one for one in values if isinstance(one, str) and one.strip()]


def _tags(test: Mapping[str, Any]) -> list[str]:
    metadata = test.get("_metadata")
    tags = metadata.get("tags") if isinstance(metadata, dict) else None
    return [tag for tag in tags if isinstance(tag, str) and not tag.isdigit()] if isinstance(tags, list) else []


def _api(name: str) -> tuple[str, str]:
    match = _API.fullmatch(name)
    return (match["scope"], match["definition"]) if match else ("global", name)


class _Reading:
    """Reads sequences; `lost` collects what has no place in a flow."""

    def __init__(self, redactor: Redactor, drop_plumbing: bool) -> None:
        self._redactor, self._drop = redactor, drop_plumbing
        self.lost: list[str] = []

    def flow(self, text: str) -> Flow:
        """The flow of a sequence. Raises Refused."""
        if len(text) > _MOST_CHARS:
            raise Refused(f"a sequence longer than {_MOST_CHARS:,} characters")
        try:
            module = ast.parse(textwrap.dedent(text))
        except (SyntaxError, ValueError, MemoryError) as error:
            line = getattr(error, "lineno", "?")
            raise Refused(f"not Python: {getattr(error, 'msg', error)} at line {line}") from None
        self._names: dict[str, str] = {}
        self._count = 0
        steps = self._body(module.body)
        if self._drop:
            steps = without_plumbing(steps)
        return to_flow(None, steps, self._writer)

    def _body(self, nodes: list[ast.stmt]) -> list[Step]:
        return [step for node in nodes for step in self._statement(node)]

    def _new(self, definition: str, **parts: Any) -> Step:
        self._count += 1
        return Step(definition, name=str(self._count), **parts)

    def _statement(self, node: ast.stmt) -> list[Step]:
        if isinstance(node, ast.If):
            return self._if(node, "IF")
        if isinstance(node, (ast.For, ast.While)):
            return self._loop(node)
        if isinstance(node, (ast.Expr, ast.Assign)):
            return self._value(node)
        if not isinstance(node, ast.Pass):
            self.lost.append(f"{type(node).__name__.lower()} at line {node.lineno}: {ast.unparse(node)[:60]}")
        return []

    def _value(self, node: ast.Expr | ast.Assign) -> list[Step]:
        call = node.value
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name):
            scope, definition = _api(call.func.id)
            positional = {str(place): self._text(item) for place, item in enumerate(call.args, start=1)}
            inputs = positional | {item.arg or "values": self._text(item.value) for item in call.keywords}
            step = self._new(definition, category="action", scope=scope, inputs=inputs)
        elif isinstance(node, ast.Assign):
            inputs = {"name": ast.unparse(node.targets[0]), "value": self._text(call)}
            step = self._new("set_variable", category="action", inputs=inputs, plumbing=True)
        else:
            if not isinstance(call, ast.Constant):
                self.lost.append(f"expression at line {node.lineno}: {ast.unparse(node)[:60]}")
            return []
        for target in node.targets if isinstance(node, ast.Assign) else []:
            if isinstance(target, ast.Name):
                self._names[target.id] = step.name
        return [step]

    def _if(self, node: ast.If, definition: str) -> list[Step]:
        step = self._new(definition, inputs={"condition": self._condition(node.test)})
        step.children = self._body(node.body)
        if len(node.orelse) == 1 and isinstance(node.orelse[0], ast.If):
            return [step, *self._if(node.orelse[0], "ELSEIF")]
        return [step, self._new("ELSE", children=self._body(node.orelse))] if node.orelse else [step]

    def _loop(self, node: ast.For | ast.While) -> list[Step]:
        if isinstance(node, ast.For):
            step = self._new("FOREACH", inputs={"items": self._text(node.iter)})
            if isinstance(node.target, ast.Name):
                self._names[node.target.id] = f"{step.name}.item"
        else:
            self.lost.append(f"while at line {node.lineno}: DOUNTIL tests after its steps, not before")
            step = self._new("DOUNTIL", inputs={"condition": f"not ({self._text(node.test)})"})
        step.children = self._body(node.body)
        if node.orelse:
            self.lost.append(f"else of the loop at line {node.lineno}")
        return [step]

    def _condition(self, node: ast.expr) -> str:
        """An encoded query where every clause compares a reference with a value, else the expression."""
        parts = node.values if isinstance(node, ast.BoolOp) else [node]
        clauses = [self._clause(part) for part in parts]
        known = [clause for clause in clauses if clause]
        joint = "^OR" if isinstance(node, ast.BoolOp) and isinstance(node.op, ast.Or) else "^"
        return joint.join(known) if len(known) == len(clauses) else self._text(node)

    def _clause(self, node: ast.expr) -> str | None:
        if not (isinstance(node, ast.Compare) and len(node.ops) == 1 and type(node.ops[0]) in _SIGNS):
            return None
        field, value = self._text(node.left), node.comparators[0]
        if not re.fullmatch(r"\{\{[^{}]+\}\}", field) or "^" in self._text(value):
            return None
        sign = _SIGNS[type(node.ops[0])]
        if isinstance(value, ast.Constant) and value.value is None:
            return f"{field}{'ISEMPTY' if sign == '=' else 'ISNOTEMPTY'}"
        return f"{field}{sign}{self._text(value)}"

    def _text(self, node: ast.expr) -> str:
        """An expression as text: a literal without quotes, a chain of names as a reference to be numbered later."""
        if isinstance(node, ast.Constant):
            return str(node.value)
        keys, head = [], node
        while isinstance(head, ast.Attribute):
            keys.append(head.attr)
            head = head.value
        if isinstance(head, ast.Name) and head.id in self._names:
            step, *rest = self._names[head.id].split(".")
            return "{{" + ".".join([f"\0{step}\0", *rest, *reversed(keys)]) + "}}"
        return ast.unparse(node)

    def _writer(self, orders: Mapping[str, int]) -> Callable[[Step], tuple[str | None, list[Input]]]:
        def number(value: Any) -> str:
            return re.sub("\0(\\d+)\0", lambda match: f"step.{orders.get(match[1], 0)}", str(value))

        def write(step: Step) -> tuple[str | None, list[Input]]:
            return None, [as_input(name, number(value), self._redactor) for name, value in step.inputs.items()]

        return write

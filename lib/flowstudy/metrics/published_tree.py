"""How the published measure reads a text, turns a flow into a tree and weighs its labels: every quirk on purpose.

A flow may be anything that JSON allows. Shapes on which the published code raises give None here, which scores 0.
Nesting comes from `block` and `order`, the order of siblings from the array; a component that no placed component owns
is not in the tree, and one whose owner's order is repeated is there several times. Queries (`field` operator `value`,
joined by `^`, `^OR`, ...) are decomposed.
Source of the rules: the code published with arXiv 2503.21889 (StarFlow), described in our own words.
"""

from __future__ import annotations

import json
import re
from collections.abc import Hashable
from functools import cache
from operator import itemgetter
from typing import Any, Final

from flowstudy.flows.schema import QUERY_INPUTS, Flow
from flowstudy.metrics.trees import (
    MAX_NODES,
    Codebook,
    FlowTooLarge,
    InputTree,
    Tree,
    UnreadableFlow,
    remembered,
    too_many_nodes,
)

_FENCE: Final = "```json"
_TICKS: Final = "```"
_JOIN: Final = re.compile(r"\^EQ|\^OR|\^NQ|\^|OR")
_OPERATOR: Final = re.compile(
    r"(?<![A-Z=,])(?:VALCHANGES|RELATIVEGT|RELATIVEGE|RELATIVELE|RELATIVELT|BETWEEN|CHANGESTO|CHANGESFROM|EMPTYSTRING"
    r"|ISEMPTY|ISNOTEMPTY|STARTSWITH|ENDSWITH|SAMEAS|NOTON|NOT LIKE|NOT IN|LIKE|NOT|IN|ON|!=|>=|<=|=|>|<)"
)
_SPECIAL: Final = frozenset({"^EQ", "a to z"})
_FREE: Final = QUERY_INPUTS | {"flow", "trigger", "components", "inputs", "outputs"}
_TRIGGERS: Final = frozenset({
    "record_create", "record_update", "record_create_or_update", "daily", "weekly", "monthly", "repeat", "run_once",
    "email", "sla_task", "service_catalog", "metric", "rest_async",
})  # fmt: skip
_DOUBLE: Final = ("action", "flowlogic", "subflow")
_ROW: Final = re.compile(r"\d+:")
SHAPE_ERRORS: Final = (TypeError, AttributeError, RecursionError, ValueError)
_SIMPLE: Final = (frozenset({int}), frozenset({int, bool}), frozenset({bool}), frozenset({str}))
_HASHABLE: Final = frozenset({int, bool, str, float, type(None)})
_KEY: Final = itemgetter(0)
_NO_ORDER, _NO_OWN_ORDER, _NO_BLOCK = -999, -100, -999


def read_published(flow: Any, record: str = "the flow") -> Any:
    """The JSON value that the published measure sees in a text or `Flow`; an empty flow for a text that is not JSON.

    With a "```json" anywhere, only the part between its first occurrence and the last "```" counts. Texts on which
    the published code stops its whole batch (nesting too deep to decode, integers of more than 4,300 digits) raise
    `UnreadableFlow` naming `record`. Any other value stands for itself.

    >>> read_published('Sure! ```json {"components": []} ```')
    {'components': []}
    >>> read_published("no flow at all")
    {'trigger': None, 'components': []}
    """
    if not isinstance(flow, str):
        return flow.to_dict() if isinstance(flow, Flow) else flow
    if _FENCE in flow:
        flow = flow[flow.find(_FENCE) + len(_FENCE) : flow.rfind(_TICKS)]
    rule, got = "JSON nested at most a few hundred levels deep", "deeper nesting"
    try:
        return json.loads(flow.strip().removeprefix(_FENCE).removesuffix(_TICKS).strip())
    except json.JSONDecodeError:
        return {"trigger": None, "components": []}
    except RecursionError:
        pass
    except ValueError as error:
        rule, got = "integers of at most 4,300 digits", str(error)
    raise UnreadableFlow(f"undecodable JSON for {record}: expected {rule}, got {got}; drop or shorten this record")


def _group(label: Any) -> Hashable | None:
    """None for a free label, () for one whose relabelling costs 2, "plain" for one whose relabelling costs 1."""
    if not isinstance(label, str):
        raise TypeError(f"label: expected a str, got {type(label).__name__}")
    if label in _FREE or not label:
        return None
    return () if label in _TRIGGERS or label.startswith(_DOUBLE) else "plain"


def published_length(label: str) -> int:
    r"""How many nodes the published length counts for one label: 1, unless the label looks free or holds line breaks.

    >>> [published_length(label) for label in ("", "flow", "flow: x", "note: a\n12:30")]
    [1, 0, 0, 2]
    """
    first, *rest = label.split("\n")
    count = int(first.split(":", 1)[0] not in _FREE)
    for row in rest:
        if _ROW.match(row):
            count += row.split(":")[1] not in _FREE
    return count


@cache
def _book() -> Codebook:
    return Codebook(_group, published_length)


def published_book() -> Codebook:
    """The codebook of flows read from now on; a new one when it has grown large."""
    if _book().is_large:
        _book.cache_clear()
    return _book()


@remembered
def query_tree(query: str, name: str) -> InputTree:
    """`query` below the input's name: a right-leaning chain of sorted joins over clauses sorted by field.

    A clause is its field with two children, operator and value. One clause without exactly one operator makes the
    whole query a single node with an empty label.

    >>> query_tree("b=2^a=1", "values").labels
    ('values', '^', 'a', '=', '1', 'b', '=', '2')
    >>> query_tree("^a=1", "values").labels
    ('values', '')
    """
    clauses = None if query in _SPECIAL else _clauses(query)
    if clauses is None:
        return InputTree(name, (name, ""), (-1, 0))
    joins = sorted(_JOIN.findall(query))
    labels, parents, above = [name], [-1], 0
    for number, clause in enumerate(clauses):
        if number < len(clauses) - 1:
            labels.append(joins[number])
            parents.append(above)
            above = len(labels) - 1
        field = len(labels)
        labels += clause
        parents += (above, field, field)
    return InputTree(name, tuple(labels), tuple(parents))


def _clauses(query: str) -> list[tuple[str, str, str]] | None:
    clauses: list[tuple[str, str, str]] = []
    for part in _JOIN.split(query):
        found = _OPERATOR.search(part)
        if found is None or _OPERATOR.search(part, found.end()):
            return None
        field, operator, value = part[: found.start()], found[0], part[found.end() :]
        if operator in (field.strip(), value.strip()):
            return None
        if len(clauses) < MAX_NODES:  # a tree of more is refused anyway
            clauses.append((field, operator, value))
    return sorted(clauses, key=lambda clause: clause[0])


class _BadShape(TypeError):
    """A shape on which the published code raises."""


def published_trees(value: Any, record: str = "the flow") -> tuple[Tree | None, Tree | None]:
    """The published trees of a JSON value without and with inputs; None where the published code raises (score 0).

    More than `MAX_NODES` nodes raise `FlowTooLarge` naming `record`.

    >>> published_trees({"trigger": {"type": "daily"}, "components": []})[1].labels
    ['flow', 'trigger', 'daily', 'components']
    """
    builder = _Builder(record)
    try:
        builder.build(value)
    except FlowTooLarge:
        raise
    except SHAPE_ERRORS:
        return None, None
    return builder.bare, None if builder.bad_inputs else builder.full


class _Builder:
    """Both trees at once: a place in them is a pair of nodes."""

    def __init__(self, record: str) -> None:
        steps: list[int] = []
        self.bare, self.full = Tree(["flow"], [-1], steps), Tree(["flow"], [-1], steps)
        self.bad_inputs = False
        self._record = record

    def build(self, flow: Any) -> None:
        if "trigger" in flow:
            self._trigger(flow["trigger"])
        for name in ("inputs", "outputs"):
            if name in flow:
                self._signature(name, flow[name])
        if "components" in flow:
            self._components(flow["components"])

    def _add(self, label: Any, parent: tuple[int, int]) -> tuple[int, int]:
        return self.bare.add(label, parent[0], self._record), self.full.add(label, parent[1], self._record)

    def _trigger(self, trigger: Any) -> None:
        node = self._add("trigger", (0, 0))
        if trigger is not None:
            self._inputs(trigger, self._add(trigger.get("type", ""), node))

    def _signature(self, name: str, signature: Any) -> None:
        node = self._add(name, (0, 0))
        for item in () if signature is None else signature.get("items", ()):
            kind = item.get("type", "string")
            label = f"{item.get('name', '')}: {kind}"
            if kind in ("reference", "records") and "reference" in item:
                label += f" [{item['reference']}]"
            self._add(label, node)

    def _inputs(self, owner: Any, place: tuple[int, int]) -> None:
        if self.bad_inputs or "inputs" not in owner:
            return
        try:
            node = self.full.add("inputs", place[1], self._record)
            for name, each in sorted([(_name(each), each) for each in owner["inputs"]], key=_KEY):
                value = each.get("value", "")
                if name in QUERY_INPUTS:
                    self.full.graft(query_tree(str(value), name), node, self._record)
                else:
                    self.full.add(f"{name}: {value}", node, self._record)
        except FlowTooLarge:
            raise
        except SHAPE_ERRORS:
            self.bad_inputs = True

    def _components(self, components: Any) -> None:
        root = self._add("components", (0, 0))
        steps = list(components)
        if len(steps) > MAX_NODES:
            raise too_many_nodes(self._record)
        stack = [(place, root) for place, step in enumerate(steps) if step.get("block") is None]
        owned = _owned(steps) if stack else {}
        stack.reverse()
        while stack:
            place, parent = stack.pop()
            step = steps[place]
            given = step.get("category", "action"), step.get("definition", ""), step.get("scope", "global")
            node = self._add(_step_label(*given), parent)
            self.full.steps.append(place + 1)
            self._inputs(step, node)
            own = step.get("order", _NO_OWN_ORDER)
            inside = owned.get(own, ()) if owned is not None else _children(steps, own)
            stack.extend([(child, node) for child in reversed(inside)])


def _name(each: Any) -> str:
    name = each.get("name", "")
    if not isinstance(name, str):
        raise _BadShape
    return name


def _step_label(category: Any, definition: Any, scope: Any) -> str:
    """The label of a component; only the definition of flow logic is folded to upper case."""
    if category == "flowlogic":
        if not isinstance(definition, str):
            raise _BadShape
        definition = definition.upper()
    return f"{category}___{definition}___{scope}"


def _owned(steps: list[Any]) -> dict[Any, list[int]] | None:
    """Places of the children of each order, or None when orders need Python's own comparisons one by one."""
    orders = [step.get("order", _NO_ORDER) for step in steps]
    blocks = [step.get("block", _NO_BLOCK) for step in steps]
    if frozenset(map(type, orders)) not in _SIMPLE or not _HASHABLE.issuperset(map(type, blocks)):
        return None
    inside: dict[Any, list[int]] = {}
    for place, block in enumerate(blocks):
        inside.setdefault(block, []).append(place)
    return {
        own: [child for child in inside[own] if not orders[child] <= own]
        for own in {step.get("order", _NO_OWN_ORDER) for step in steps}
        if own in inside
    }


def _children(steps: list[Any], own: Any) -> list[int]:
    """The literal rule, for orders of any JSON type: raises as Python's comparison does."""
    return [
        place
        for place, step in enumerate(steps)
        if not step.get("order", _NO_ORDER) <= own and step.get("block", _NO_BLOCK) == own
    ]

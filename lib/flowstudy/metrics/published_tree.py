"""How the published measure turns a flow into a tree, with every quirk of its duck typing.

The value may be anything that JSON allows. Shapes on which the published code raises give `None` here, which scores
0. Nesting comes from `block` and `order`, the order of siblings from the array; a component that no placed component
owns is not in the tree, and one whose owner's order is repeated is there several times.
Source of the rules: arXiv 2503.21889 and the code published with it.
"""

from __future__ import annotations

from operator import itemgetter
from typing import Any, Final

from flowstudy.metrics.limits import MAX_NODES, FlowTooLarge, too_many_nodes
from flowstudy.metrics.published_query import query_tree
from flowstudy.metrics.reader import InputTree
from flowstudy.metrics.trees import Tree

QUERIES: Final = frozenset({"condition", "conditions", "email_conditions", "values", "fields", "field_values"})
_SHAPE_ERRORS: Final = (TypeError, AttributeError, RecursionError, ValueError)
_SIMPLE: Final = (frozenset({int}), frozenset({int, bool}), frozenset({bool}), frozenset({str}))
_HASHABLE: Final = frozenset({int, bool, str, float, type(None)})
_KEY: Final = itemgetter(0)
_NO_ORDER, _NO_OWN_ORDER, _NO_BLOCK = -999, -100, -999


class _BadShape(TypeError):
    """A shape on which the published code raises."""


def published_tree(value: Any, *, inputs: bool, record: str = "the flow") -> Tree | None:
    """The published tree of a JSON value, or None where the published code raises (score 0).

    With `inputs=False` the inputs of the trigger and of components are left out. More than `MAX_NODES` nodes raise
    `FlowTooLarge` naming `record`.

    >>> published_tree({"trigger": {"type": "daily"}, "components": []}, inputs=True).labels
    ['flow', 'trigger', 'daily', 'components']
    """
    try:
        return _Builder(inputs, record).build(value)
    except FlowTooLarge:
        raise
    except _SHAPE_ERRORS:
        return None


class _Builder:
    def __init__(self, inputs: bool, record: str) -> None:
        self.inputs = inputs
        self.record = record
        self.labels: list[Any] = ["flow"]
        self.parents: list[int] = [-1]
        self.steps: list[int] = []

    def build(self, flow: Any) -> Tree:
        if "trigger" in flow:
            self._trigger(flow["trigger"])
        for name in ("inputs", "outputs"):
            if name in flow:
                self._signature(name, flow[name])
        if "components" in flow:
            self._components(flow["components"])
        return Tree(self.labels, self.parents, self.steps)

    def _add(self, label: Any, parent: int) -> int:
        node = len(self.labels)
        if node >= MAX_NODES:
            raise too_many_nodes(self.record)
        self.labels.append(label)
        self.parents.append(parent)
        return node

    def _trigger(self, trigger: Any) -> None:
        node = self._add("trigger", 0)
        if trigger is None:
            return
        node = self._add(trigger.get("type", ""), node)
        if self.inputs and "inputs" in trigger:
            self._inputs(trigger["inputs"], node)

    def _signature(self, name: str, signature: Any) -> None:
        node = self._add(name, 0)
        for item in () if signature is None else signature.get("items", ()):
            kind = item.get("type", "string")
            label = f"{item.get('name', '')}: {kind}"
            if kind in ("reference", "records") and "reference" in item:
                label += f" [{item['reference']}]"
            self._add(label, node)

    def _inputs(self, inputs: Any, parent: int) -> None:
        node = self._add("inputs", parent)
        for name, each in sorted(((_name(each), each) for each in inputs), key=_KEY):
            tree, base = input_tree(name, each.get("value", "")), len(self.labels)
            if base + len(tree.labels) > MAX_NODES:
                raise too_many_nodes(self.record)
            self.labels += tree.labels
            self.parents += [base + above if above >= 0 else node for above in tree.parents]

    def _components(self, components: Any) -> None:
        root = self._add("components", 0)
        steps = list(components)
        if len(steps) > MAX_NODES:
            raise too_many_nodes(self.record)
        stack = [(place, root) for place, step in enumerate(steps) if step.get("block") is None]
        owned = _owned(steps) if stack else {}
        stack.reverse()
        while stack:
            place, parent = stack.pop()
            step = steps[place]
            given = step.get("category", "action"), step.get("definition", ""), step.get("scope", "global")
            node = self._add(step_label(*given), parent)
            self.steps.append(place + 1)
            if self.inputs and "inputs" in step:
                self._inputs(step["inputs"], node)
            own = step.get("order", _NO_OWN_ORDER)
            inside = owned.get(own, ()) if owned is not None else _children(steps, own)
            stack.extend((child, node) for child in reversed(inside))


def _name(each: Any) -> str:
    name = each.get("name", "")
    if not isinstance(name, str):
        raise _BadShape
    return name


def input_tree(name: str, value: Any) -> InputTree:
    """One input: a leaf `name: value`, or for a query its name with the decomposed value below; sorted by name."""
    if name not in QUERIES:
        return InputTree(name, (f"{name}: {value}",), (-1,))
    query = query_tree(str(value))
    return InputTree(name, (name, *query.labels), (-1, *(above + 1 for above in query.parents)))


def step_label(category: Any, definition: Any, scope: Any) -> str:
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

"""A shortcut from parsed JSON to the codes of both published trees, for flows of the usual shape.

It reads a flow once, never builds labels that cost nothing, and remembers the codes of labels and queries. Anything
unusual (odd types, odd orders, a label that is not text) gives None, and the complete route of `published_tree` is
taken. Both routes give equal distances and lengths; the tests compare them.
"""

from __future__ import annotations

from array import array
from operator import itemgetter
from typing import Any, Final, NamedTuple

from flowstudy.metrics.published_costs import published_length
from flowstudy.metrics.published_query import query_tree
from flowstudy.metrics.published_tree import QUERIES
from flowstudy.metrics.trees import FREE_CODE, Codebook

#: Larger flows take the complete route, which checks `MAX_NODES`.
_MOST_NODES: Final = 1_500
_KEPT: Final = 500
_NAME: Final = itemgetter("name")


class BothModes(NamedTuple):
    """Codes and length of a flow without and with inputs."""

    codes: tuple[array[int], array[int]]
    lengths: tuple[int, int]


class _Unusual(Exception):
    """The flow needs the complete route."""


class _Fragment(NamedTuple):
    codes: list[int]
    parents: list[int]
    length: int


class FastReader:
    """Reads flows with the codes of one codebook."""

    def __init__(self, book: Codebook) -> None:
        self.book = book
        self._leaves: dict[str, tuple[int, int]] = {}
        self._queries: dict[str, _Fragment] = {}
        self.kept: dict[str, BothModes] = {}

    def read(self, flow: Any) -> BothModes | None:
        """Both encoded trees, or None for a flow that needs the complete route."""
        if type(flow) is not dict or "inputs" in flow or "outputs" in flow:
            return None
        try:
            return self._read(flow)
        except (_Unusual, KeyError, TypeError, AttributeError, ValueError, RecursionError):
            return None

    def keep(self, text: str, flow: Any) -> BothModes | None:
        """Read a reference and remember it by its text; at most `_KEPT` texts are remembered."""
        found = self.read(flow)
        if found is not None:
            if len(self.kept) >= _KEPT:
                self.kept.clear()
            self.kept[text] = found
        return found

    def _read(self, flow: dict[str, Any]) -> BothModes:
        bare, above, lengths = [FREE_CODE], [-1], [0, 0]
        full, over = [FREE_CODE], [-1]
        trigger = flow.get("trigger")
        if trigger is not None:
            code, count = self._leaf(trigger["type"])
            bare.append(code)
            above.append(0)
            full.append(code)
            over.append(0)
            lengths = [count, count]
            if "inputs" in trigger:
                lengths[1] += self._inputs(trigger["inputs"], full, over, 1)
        if "components" in flow:
            self._components(flow["components"], bare, above, full, over, lengths)
        if len(full) > _MOST_NODES:
            raise _Unusual
        bare += above
        full += over
        return BothModes((array("q", bare), array("q", full)), (lengths[0], lengths[1]))

    def _leaf(self, label: str) -> tuple[int, int]:
        """Code and length of a label."""
        found = self._leaves.get(label)
        if found is None:
            if type(label) is not str:
                raise _Unusual
            found = self._leaves[label] = (self.book[label], published_length(label))
        return found

    def _components(
        self, steps: Any, bare: list[int], above: list[int], full: list[int], over: list[int], lengths: list[int]
    ) -> None:
        """Components in document order; their orders must be 1, 2, ..."""
        nodes: dict[Any, tuple[int, int]] = {None: (0, 0)}
        for step in _in_document_order(steps):
            category, definition = step["category"], step["definition"]
            if category == "flowlogic":
                definition = definition.upper()
            code, count = self._leaf(f"{category}___{definition}___{step.get('scope', 'global')}")
            owner = nodes[step.get("block")]
            nodes[step["order"]] = (len(bare), len(full))
            bare.append(code)
            above.append(owner[0])
            over.append(owner[1])
            full.append(code)
            lengths[0] += count
            lengths[1] += count
            if "inputs" in step:
                lengths[1] += self._inputs(step["inputs"], full, over, len(full) - 1)

    def _inputs(self, inputs: Any, full: list[int], over: list[int], owner: int) -> int:
        if type(inputs) is not list:
            raise _Unusual
        if len(inputs) > 1:
            inputs = sorted(inputs, key=_NAME)
        length, leaves = 0, self._leaves
        for each in inputs:
            name, value = each["name"], each["value"]
            if type(name) is not str:
                raise _Unusual
            if name in QUERIES:
                query = str(value)
                fragment = self._queries.get(query) or self._query(query)
                base = len(full)
                full += fragment.codes
                over += [base + parent if parent >= 0 else owner for parent in fragment.parents]
                length += fragment.length
                continue
            label = f"{name}: {value}"
            code, count = leaves.get(label) or self._leaf(label)
            full.append(code)
            over.append(owner)
            length += count
        return length

    def _query(self, query: str) -> _Fragment:
        tree = query_tree(query)
        leaves = [self._leaf(label) for label in tree.labels]
        found = _Fragment([code for code, _ in leaves], list(tree.parents), sum(count for _, count in leaves))
        if len(query) < 500:
            self._queries[query] = found
        return found


def _in_document_order(steps: Any) -> list[dict[str, Any]]:
    """Parents before children, without the steps that no earlier step owns; as a rule that is the array itself."""
    if type(steps) is not list:
        raise _Unusual
    path: list[int] = []
    nested = True
    for place, step in enumerate(steps, start=1):
        order, block = step["order"], step.get("block")
        if type(order) is not int or order != place or (block is not None and type(block) is not int):
            raise _Unusual
        while path and path[-1] != block:
            path.pop()
        nested = nested and (block is None or bool(path))
        path.append(order)
    return steps if nested else _sorted_by_owner(steps)


def _sorted_by_owner(steps: list[dict[str, Any]]) -> list[dict[str, Any]]:
    owned: dict[int | None, list[dict[str, Any]]] = {}
    for step in steps:
        block = step.get("block")
        if block is None or block < step["order"]:
            owned.setdefault(block, []).append(step)
    ordered: list[dict[str, Any]] = []
    stack = owned.get(None, [])[::-1]
    while stack:
        step = stack.pop()
        ordered.append(step)
        stack += owned.get(step["order"], ())[::-1]
    return ordered

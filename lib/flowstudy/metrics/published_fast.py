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
from flowstudy.metrics.treebleu import edges
from flowstudy.metrics.trees import FREE_CODE, Codebook, Tree

#: Larger flows take the complete route, which checks `MAX_NODES`.
_MOST_NODES: Final = 1_500
_MOST_QUERY: Final = 20_000
_KEPT: Final = 500
_NAME: Final = itemgetter("name")


Edges = set[tuple[Any, Any]]


class BothModes(NamedTuple):
    """Codes, length and, where asked for, parent-child label pairs of a flow without and with inputs."""

    codes: tuple[array[int], array[int]]
    lengths: tuple[int, int]
    edges: tuple[Edges, Edges] | None


class _Unusual(Exception):
    """The flow needs the complete route."""


class _Fragment(NamedTuple):
    codes: list[int]
    parents: list[int]
    length: int
    root: str
    edges: Edges


class _Draft:
    """What is known of a flow so far: codes and parents of both trees, lengths, edges."""

    def __init__(self, edges: bool) -> None:
        self.bare, self.above = [FREE_CODE], [-1]
        self.full, self.over = [FREE_CODE], [-1]
        self.bare_length = self.full_length = 0
        self.bare_edges: Edges | None = set() if edges else None
        self.full_edges: Edges = set()

    def finish(self) -> BothModes:
        """Both trees, encoded."""
        edges = None
        if self.bare_edges is not None:
            edges = self.bare_edges, self.full_edges | self.bare_edges
        codes = array("q", self.bare + self.above), array("q", self.full + self.over)
        return BothModes(codes, (self.bare_length, self.full_length), edges)


class FastReader:
    """Reads flows with the codes of one codebook."""

    def __init__(self, book: Codebook) -> None:
        self.book = book
        self._leaves: dict[str, tuple[int, int]] = {}
        self._queries: dict[str, _Fragment] = {}
        self.kept: dict[str, BothModes] = {}

    def read(self, flow: Any, *, with_edges: bool = False) -> BothModes | None:
        """Both encoded trees, or None for a flow that needs the complete route."""
        if type(flow) is not dict or "inputs" in flow or "outputs" in flow:
            return None
        try:
            return self._read(flow, _Draft(with_edges))
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

    def _read(self, flow: dict[str, Any], draft: _Draft) -> BothModes:
        trigger = flow.get("trigger")
        if trigger is not None:
            self._add(trigger["type"], "trigger", (0, 0), trigger, draft)
        if "components" in flow:
            self._components(flow["components"], draft)
        if len(draft.full) > _MOST_NODES:
            raise _Unusual
        return draft.finish()

    def _add(self, label: str, above: str, owner: tuple[int, int], part: dict[str, Any], draft: _Draft) -> None:
        """A trigger or component in both trees, with its inputs in the full one."""
        code, count = self._leaves.get(label) or self._leaf(label)
        node = len(draft.full)
        draft.bare.append(code)
        draft.above.append(owner[0])
        draft.full.append(code)
        draft.over.append(owner[1])
        draft.bare_length += count
        draft.full_length += count
        if draft.bare_edges is not None:
            draft.bare_edges.add((above, label))
        if "inputs" in part:
            draft.full_length += self._inputs(part["inputs"], draft, node)
            if draft.bare_edges is not None:
                self._input_edges(part["inputs"], label, draft.full_edges)

    def _leaf(self, label: str) -> tuple[int, int]:
        """Code and length of a label."""
        found = self._leaves.get(label)
        if found is None:
            if type(label) is not str:
                raise _Unusual
            found = self._leaves[label] = (self.book[label], published_length(label))
        return found

    def _components(self, steps: Any, draft: _Draft) -> None:
        """Components in document order; their orders must be 1, 2, ..."""
        nodes: dict[Any, tuple[tuple[int, int], str]] = {None: ((0, 0), "components")}
        for step in _in_document_order(steps):
            category, definition = step["category"], step["definition"]
            if category == "flowlogic":
                definition = definition.upper()
            label = f"{category}___{definition}___{step.get('scope', 'global')}"
            owner, above = nodes[step.get("block")]
            nodes[step["order"]] = (len(draft.bare), len(draft.full)), label
            self._add(label, above, owner, step, draft)

    def _input_edges(self, inputs: list[Any], label: str, edges: Edges) -> None:
        edges.add((label, "inputs"))
        for each in inputs:
            name, value = each["name"], each["value"]
            if name in QUERIES:
                query = str(value)
                fragment = self._queries.get(query) or self._query(query)
                edges |= fragment.edges
                edges.update((("inputs", name), (name, fragment.root)))
            else:
                edges.add(("inputs", f"{name}: {value}"))

    def _inputs(self, inputs: Any, draft: _Draft, owner: int) -> int:
        if type(inputs) is not list:
            raise _Unusual
        if len(inputs) > 1:
            inputs = sorted(inputs, key=_NAME)
        length, leaves, full, over = 0, self._leaves, draft.full, draft.over
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
        if len(query) > _MOST_QUERY:
            raise _Unusual
        tree = query_tree(query)
        leaves = [self._leaf(label) for label in tree.labels]
        codes, length = [code for code, _ in leaves], sum(count for _, count in leaves)
        pairs = edges(Tree([*tree.labels], [*tree.parents], []))
        found = _Fragment(codes, list(tree.parents), length, tree.labels[0], pairs)
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

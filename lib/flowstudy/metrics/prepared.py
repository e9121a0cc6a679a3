"""Flows made ready for many comparisons: everything that depends on one flow alone, computed once."""

from __future__ import annotations

from array import array
from typing import Any, NamedTuple

from flowstudy.flows.schema import Flow
from flowstudy.metrics.limits import FlowTooLarge, UnreadableFlow
from flowstudy.metrics.published import Measured, measured
from flowstudy.metrics.published_costs import published_book
from flowstudy.metrics.published_fast import FastReader
from flowstudy.metrics.published_tree import published_tree
from flowstudy.metrics.similarity import published_value
from flowstudy.metrics.strict import read_strict, strict_book, strict_tree
from flowstudy.metrics.treebleu import edges
from flowstudy.metrics.trees import Tree

MODES = (("no_inputs", False), ("with_inputs", True))


class StrictSide(NamedTuple):
    """What the strict convention needs of one flow, for each of `MODES`; nothing but an `error` unless it is a flow.

    Errors do not name the record: one reference may serve many.
    """

    status: str
    error: str
    trees: tuple[Tree, ...] | None
    codes: tuple[array[int], ...]
    lengths: tuple[int, ...]


class PublishedSide(NamedTuple):
    """What the published convention needs of one flow, for each of `MODES`; `error` says why there is no value."""

    error: str
    value: Any
    measures: tuple[Measured | None, ...]
    edges: tuple[set[tuple[Any, Any]] | None, ...]


class Workshop:
    """Prepares flows with codebooks of its own and keeps the references; forgets them when memory grows."""

    def __init__(self) -> None:
        self._clear()

    def _clear(self) -> None:
        self._strict_book = strict_book()
        self._reader = FastReader(published_book())
        self._kept: dict[Any, tuple[StrictSide, PublishedSide]] = {}

    def tidy(self) -> None:
        """Start afresh when the codebooks or the kept references have grown large; call it between chunks."""
        if self._strict_book.is_large or self._reader.book.is_large or len(self._kept) > 20_000:
            self._clear()

    def reference(self, flow: Any) -> tuple[StrictSide, PublishedSide]:
        """Both sides of a reference, kept for the next pair with the same text or object."""
        key = flow if isinstance(flow, str) else id(flow)
        if key not in self._kept:
            self._kept[key] = self.prepare(flow, "the reference")
        return self._kept[key]

    def prepare(self, flow: Any, record: str = "the candidate") -> tuple[StrictSide, PublishedSide]:
        """Both sides of a flow; failures are in `status` and `error`, never raised."""
        published = self._published(flow, record)
        return self._strict(flow, record, published.value), published

    def _strict(self, flow: Any, record: str, value: Any) -> StrictSide:
        parsed = read_strict(flow, value)
        if parsed.flow is None:
            return StrictSide("invalid_output", parsed.error, None, (), (0, 0))
        try:
            trees = tuple(strict_tree(parsed.flow, inputs=inputs, record=record) for _, inputs in MODES)
        except FlowTooLarge as error:
            return StrictSide("too_large", str(error), None, (), (0, 0))
        book = self._strict_book
        return StrictSide(
            parsed.status, "", trees, tuple(map(book.encode, trees)), tuple(len(t.labels) - 1 for t in trees)
        )

    def _published(self, flow: Any, record: str) -> PublishedSide:
        try:
            value = published_value(flow, record)
            fast = self._reader.read(value, with_edges=True)
            if fast is not None and fast.edges is not None:
                return PublishedSide("", value, tuple(map(Measured, fast.codes, fast.lengths)), fast.edges)
            trees = [published_tree(value, inputs=inputs, record=record) for _, inputs in MODES]
        except (FlowTooLarge, UnreadableFlow) as error:
            return PublishedSide(str(error), None, (), ())
        measures = tuple(measured(tree, self._reader.book) for tree in trees)
        return PublishedSide("", value, measures, tuple(map(_edges, trees)))


def _edges(tree: Tree | None) -> set[tuple[Any, Any]] | None:
    try:
        return None if tree is None else edges(tree)
    except TypeError:
        return None


def is_flow_like(flow: Any) -> bool:
    """True for a Flow, a parsed JSON object or a text."""
    return isinstance(flow, Flow | dict | str)

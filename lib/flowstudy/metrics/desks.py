"""Reading flows for comparison: what each convention needs of one flow, by the shortcut where it is plain.

A desk holds the codebook of one convention, so flows can be compared when the same desk has read them.
"""

from __future__ import annotations

from typing import Any, NamedTuple, TypeAlias

from flowstudy.flows.schema import Flow
from flowstudy.metrics.canonical import Canon
from flowstudy.metrics.limits import FlowTooLarge
from flowstudy.metrics.matches import PrintReader, Prints, prints
from flowstudy.metrics.plain import PlainFlow, plain_flow
from flowstudy.metrics.published_costs import published_reader
from flowstudy.metrics.published_text import published_body, read_published
from flowstudy.metrics.published_tree import published_tree
from flowstudy.metrics.reader import Coded
from flowstudy.metrics.strict import strict_flow, strict_reader, strict_trees
from flowstudy.metrics.treebleu import EdgeReader, Edges, edges
from flowstudy.metrics.trees import Tree

#: One value without and one with inputs.
BothCodes: TypeAlias = tuple[Coded | None, Coded | None]


class PublishedFlow(NamedTuple):
    """What the published measure needs of one flow, without and with inputs; None where the published code raises."""

    codes: BothCodes
    edges: tuple[Edges | None, Edges | None]
    prints: Prints


class PublishedDesk:
    """Reads flows for the published convention with one codebook; plain flows by the shortcut of `reader`."""

    def __init__(self) -> None:
        self.reader = published_reader()
        self._edges, self._prints = EdgeReader(), PrintReader()

    def read(self, flow: Any, record: str) -> PublishedFlow:
        """All that the six scores need of a text, a `Flow` or a JSON value; raises as `published_scores`."""
        value = opened(flow, record)
        if isinstance(value, PlainFlow):
            return PublishedFlow(self._both(value, record), self._edges.read(value), self._prints.read(value))
        bare, full = (published_tree(value, inputs=inputs, record=record) for inputs in (False, True))
        pairs = self._edges.number(edges(bare)), self._edges.number(edges(full))
        return PublishedFlow((self.encode(bare), self.encode(full)), pairs, prints(value))

    def code(self, flow: Any, inputs: bool, record: str) -> Coded | None:
        """The codes for one mode."""
        return self._code(opened(flow, record), inputs, record)

    def encode(self, tree: Tree | None) -> Coded | None:
        """The codes of a published tree; None for no tree and for a label that is not text."""
        try:
            return None if tree is None else self.reader.encode(tree)
        except TypeError:
            return None

    def _both(self, value: Any, record: str) -> BothCodes:
        first = self._code(value, False, record)
        return first, first if isinstance(value, PlainFlow) else self._code(value, True, record)

    def _code(self, value: Any, inputs: bool, record: str) -> Coded | None:
        if isinstance(value, PlainFlow):
            return self.reader.read(value, record)
        return self.encode(published_tree(value, inputs=inputs, record=record))


_published_desk = PublishedDesk()


def published_desk() -> PublishedDesk:
    """The desk shared by single comparisons; a new one when its codebook has grown large."""
    global _published_desk
    if _published_desk.reader.is_large:
        _published_desk = PublishedDesk()
    return _published_desk


def opened(flow: Any, record: str) -> Any:
    """What the published convention sees in a text, a `Flow` or a JSON value: a plain flow, else the JSON value."""
    if isinstance(flow, PlainFlow):
        return flow
    plain = plain_flow(published_body(flow) if isinstance(flow, str) and "`" in flow else flow)
    return published_value(flow, record) if plain is None else plain


def published_value(flow: Any, record: str) -> Any:
    """The JSON value that the published convention sees in a text, a `Flow` or a JSON value."""
    if isinstance(flow, str):
        return read_published(flow, record)
    return flow.to_dict() if isinstance(flow, Flow) else flow


class StrictFlow(NamedTuple):
    """What the strict convention found in one flow; `codes`, without and with inputs, only where it is a flow.

    `status` is `ok`, `repaired`, `invalid_output` or `too_large`; `error` says why, without naming the record: one
    reference may serve many.
    """

    status: str
    error: str = ""
    codes: tuple[Coded, Coded] | None = None
    trees: tuple[Tree, Tree] | None = None


class StrictDesk:
    """Reads flows for the strict convention with one codebook; plain flows by the shortcut of `reader`."""

    def __init__(self) -> None:
        self.reader, self._canon = strict_reader(), Canon()

    def read(self, flow: Any, record: str, *, trees: bool = False) -> StrictFlow:
        """Status and codes of a text, a `Flow` or a JSON object; also its `trees` where asked for. Never raises."""
        plain = None if trees else flow if isinstance(flow, PlainFlow) else plain_flow(flow)
        try:
            if plain is not None:
                coded = self.reader.read(self._canon.flow(plain), record)
                return StrictFlow("ok", "", (coded, coded))
            parsed = strict_flow(flow)
            if parsed.flow is None:
                return StrictFlow("invalid_output", parsed.error or "")
            bare, full = strict_trees(parsed.flow, record)
        except FlowTooLarge as error:
            return StrictFlow("too_large", str(error))
        return StrictFlow(parsed.status, "", (self.reader.encode(bare), self.reader.encode(full)), (bare, full))


_strict_desk = StrictDesk()


def strict_desk() -> StrictDesk:
    """The desk shared by single comparisons; a new one when its codebook has grown large."""
    global _strict_desk
    if _strict_desk.reader.is_large:
        _strict_desk = StrictDesk()
    return _strict_desk

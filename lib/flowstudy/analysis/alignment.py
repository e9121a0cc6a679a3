"""Which component of a generated flow stands for which component of the reference, told as people would tell it.

The edit script of FlowSim gives the anchors (components matched or relabelled). A tree edit script knows no moves:
a step that stands elsewhere is deleted there and inserted here. So what it leaves over is paired again: the same
step elsewhere was moved; another step of the same kind in the same place replaces it; the rest is missing or extra.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, NamedTuple

from flowstudy.flows.schema import Component, Flow

Relation = Literal["same", "replaced", "reordered", "renested", "missing", "extra"]


class Pair(NamedTuple):
    """A component of the reference and the one that stands for it; None on one side: missing or extra."""

    relation: Relation
    reference: Component | None
    candidate: Component | None


def align(reference: Flow, candidate: Flow, anchors: Iterable[tuple[int, int]]) -> list[Pair]:
    """Every component of both flows exactly once, in reference order, extra ones last.

    `anchors` are (reference order, candidate order) of the components that the edit script matched or relabelled.
    """
    return _Aligner(reference, candidate, anchors).pairs()


class _Aligner:
    def __init__(self, reference: Flow, candidate: Flow, anchors: Iterable[tuple[int, int]]) -> None:
        self.left = {c.order: c for c in reference.components}
        self.right = {c.order: c for c in candidate.components}
        self.to_right: dict[int, int] = {}
        self.to_left: dict[int, int] = {}
        self.relation: dict[int, Relation] = {}
        for a, b in anchors:
            if a in self.left and b in self.right and _name(self.left[a]) == _name(self.right[b]):
                self._join(a, b, "same")
        self._moved()
        self._children_moved()
        self._replaced([(a, b) for a, b in anchors if a in self.left and b in self.right])

    def pairs(self) -> list[Pair]:
        """The pairs once all are joined."""
        found: list[Pair] = []
        for order, component in self.left.items():
            if order in self.to_right:
                found.append(Pair(self.relation[order], component, self.right[self.to_right[order]]))
            else:
                found.append(Pair("missing", component, None))
        return found + [Pair("extra", None, c) for order, c in self.right.items() if order not in self.to_left]

    def _join(self, a: int, b: int, relation: Relation) -> None:
        if a not in self.to_right and b not in self.to_left:
            self.to_right[a], self.to_left[b], self.relation[a] = b, a, relation

    def _left_over(self) -> tuple[list[Component], list[Component]]:
        left = [c for order, c in self.left.items() if order not in self.to_right]
        return left, [c for order, c in self.right.items() if order not in self.to_left]

    def _moved(self) -> None:
        """The same step on both sides, left over: first under the same parent (other order), then anywhere."""
        for same_parent in (True, False):
            left, right = self._left_over()
            for a in left:
                for b in right:
                    if _name(a) == _name(b) and b.order not in self.to_left and self._together(a, b) is same_parent:
                        self._join(a.order, b.order, "reordered" if same_parent else self._nesting(a, b))
                        break

    def _children_moved(self) -> None:
        """Flow logic that seems to stand elsewhere only because steps left it or came in: the steps moved, not it."""
        for a, relation in list(self.relation.items()):
            if relation != "reordered" or not self.left[a].is_logic:
                continue
            b = self.to_right[a]
            inner = {o: (self.left[o].block == a, self.right[other].block == b) for o, other in self.to_right.items()}
            strays = [o for o, (was, now) in inner.items() if was is not now]
            if strays:
                self.relation[a] = "same"
                for stray in strays:
                    self.relation[stray] = "renested"

    def _replaced(self, anchors: list[tuple[int, int]]) -> None:
        """Relabelled pairs of the same kind, then left-over neighbours of the same kind in the same place."""
        for left, right in anchors:
            if _kind(self.left[left]) == _kind(self.right[right]):
                self._join(left, right, "replaced")
        lost, new = self._left_over()
        for a in lost:
            near = [b for b in new if b.order not in self.to_left and _kind(a) == _kind(b) and self._adjacent(a, b)]
            if near:
                self._join(a.order, near[0].order, "replaced")

    def _together(self, a: Component, b: Component) -> bool:
        """True when both stand in the same parent, or in parents that stand for each other."""
        if a.block is None or b.block is None:
            return a.block is b.block
        return self.to_right.get(a.block) == b.block

    def _nesting(self, a: Component, b: Component) -> Relation:
        """A step whose parents are only missing, or only new, did not move: it follows them."""
        outer, inner = self._joined(self.left, a.block, self.to_right), self._joined(self.right, b.block, self.to_left)
        follows = inner is None if outer is None else self.to_right[outer] == inner
        return "same" if follows and (outer, inner) != (a.block, b.block) else "renested"

    @staticmethod
    def _joined(flow: dict[int, Component], order: int | None, joined: dict[int, int]) -> int | None:
        """The nearest parent, from `order` upwards, that has a partner; None for none."""
        while order is not None and order not in joined:
            order = flow[order].block
        return order

    def _adjacent(self, a: Component, b: Component) -> bool:
        """The same place: parents stand for each other, and the nearest joined neighbours before them do too."""
        before_a = max((o for o in self.to_right if o < a.order), default=0)
        before_b = max((o for o in self.to_left if o < b.order), default=0)
        return self._together(a, b) and self.to_right.get(before_a, 0) == before_b


def _name(component: Component) -> tuple[str, str]:
    return _kind(component), component.key


def _kind(component: Component) -> str:
    return "logic" if component.is_logic else "step"

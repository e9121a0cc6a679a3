"""From a graph of steps to a tree: the series-parallel decomposition of a partial order.

Steps that must all come before others form a sequence, steps without any order between them run in parallel. An order
that is neither (the smallest is N-shaped: c after a, d after a and b) has no tree; its steps come one after
the other and are named in `Shape.loose`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from heapq import heapify, heappop, heappush
from typing import Literal


class Cycle(ValueError):
    """The order contradicts itself; `names` are the steps that wait for one another."""

    def __init__(self, names: Sequence[str]) -> None:
        super().__init__(" -> ".join(names))
        self.names = list(names)


@dataclass
class Shape:
    """A leaf (`name`), a sequence or a parallel of shapes."""

    kind: Literal["step", "sequence", "parallel"]
    name: str = ""
    parts: list[Shape] = field(default_factory=list)
    loose: list[list[str]] = field(default_factory=list)


def topological(names: Sequence[str], before: Mapping[str, Collection[str]]) -> list[str]:
    """The names, each after those it waits for, otherwise in the order given. Raises Cycle."""
    place = {name: i for i, name in enumerate(names)}
    waiting = {name: len(set(before[name])) for name in names}
    after = successors(names, before)
    ready = [i for i, name in enumerate(names) if not waiting[name]]
    heapify(ready)
    order: list[str] = []
    while ready:
        name = names[heappop(ready)]
        order.append(name)
        for other in after[name]:
            waiting[other] -= 1
            if not waiting[other]:
                heappush(ready, place[other])
    if len(order) < len(names):
        raise Cycle(_one_cycle([n for n in names if waiting[n]], before))
    return order


def successors(names: Iterable[str], before: Mapping[str, Collection[str]]) -> dict[str, list[str]]:
    """For each name those that wait for it."""
    after: dict[str, list[str]] = {name: [] for name in names}
    for name in after:
        for other in set(before[name]):
            after[other].append(name)
    return after


def _one_cycle(stuck: list[str], before: Mapping[str, Collection[str]]) -> list[str]:
    """One cycle among names each of which waits for another of them, in the order in which they wait."""
    left, seen, at = set(stuck), dict[str, int](), stuck[0]
    while at not in seen:
        seen[at] = len(seen)
        at = next(other for other in before[at] if other in left)
    return [*list(seen)[seen[at] :], at]


def decompose(names: Sequence[str], before: Mapping[str, Collection[str]]) -> Shape:
    """The tree of a graph; every name is in it once. `before[n]` are the names that `n` waits for. Raises Cycle.

    >>> shape = decompose("abcd", {"a": [], "b": ["a"], "c": ["a"], "d": ["b", "c"]})
    >>> [part.name or [p.name for p in part.parts] for part in shape.parts]
    ['a', ['b', 'c'], 'd']
    """
    order = topological(names, before)
    if all(len(before[name]) == (i > 0) for i, name in enumerate(order)) and all(
        order[i] in before[name] for i, name in enumerate(order[1:])
    ):
        return _sequence([Shape("step", name) for name in order])
    related = _related(order, before)
    loose: list[list[str]] = []
    shape = _split(order, related, (1 << len(order)) - 1, loose)
    shape.loose = loose
    return shape


def _related(order: list[str], before: Mapping[str, Collection[str]]) -> list[int]:
    """For each place the places (as bits) that come before or after it, directly or not."""
    place = {name: i for i, name in enumerate(order)}
    earlier = [0] * len(order)
    for i, name in enumerate(order):
        for other in before[name]:
            earlier[i] |= earlier[place[other]] | 1 << place[other]
    later = [0] * len(order)
    for i in range(len(order) - 1, -1, -1):
        for other in before[order[i]]:
            later[place[other]] |= later[i] | 1 << i
    return [a | b for a, b in zip(earlier, later, strict=True)]


def _split(order: list[str], related: list[int], members: int, loose: list[list[str]]) -> Shape:
    if members & (members - 1) == 0:
        return Shape("step", order[members.bit_length() - 1])
    branches = _components(members, related)
    if len(branches) > 1:
        return Shape("parallel", parts=[_split(order, related, part, loose) for part in branches])
    stages = _components(members, [~bits for bits in related])
    if len(stages) > 1:
        return _sequence([_split(order, related, part, loose) for part in stages])
    names = [order[i] for i in _bits(members)]
    loose.append(names)
    return _sequence([Shape("step", name) for name in names])


def _components(members: int, linked: list[int]) -> list[int]:
    """Connected components, as bits, by their first place."""
    found: list[int] = []
    while members:
        part = front = members & -members
        members ^= part
        while front:
            place = front.bit_length() - 1
            front ^= 1 << place
            new = linked[place] & members
            members ^= new
            part |= new
            front |= new
        found.append(part)
    return found


def _bits(members: int) -> Iterable[int]:
    while members:
        low = members & -members
        yield low.bit_length() - 1
        members ^= low


def _sequence(parts: list[Shape]) -> Shape:
    flat = [inner for part in parts for inner in (part.parts if part.kind == "sequence" else [part])]
    return flat[0] if len(flat) == 1 else Shape("sequence", parts=flat)

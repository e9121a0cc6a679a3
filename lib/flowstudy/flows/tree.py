"""A flow as a tree of nested components, built without recursion so that any depth is fine."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from flowstudy.flows.schema import Component, Flow


@dataclass
class Node:
    """A component and what it encloses; `depth` is 0 at the top level."""

    component: Component
    depth: int = 0
    children: list[Node] = field(default_factory=list)


def flow_tree(flow: Flow) -> list[Node]:
    """The top-level nodes of a well-formed flow in document order; empty for a flow without components."""
    nodes: dict[int, Node] = {}
    roots: list[Node] = []
    for component in flow.components:
        parent = nodes.get(component.block) if component.block is not None else None
        node = Node(component, parent.depth + 1 if parent else 0)
        (parent.children if parent else roots).append(node)
        nodes[component.order] = node
    return roots


def walk(roots: list[Node]) -> Iterator[Node]:
    """Every node, parents before children, in document order."""
    stack = roots[::-1]
    while stack:
        node = stack.pop()
        yield node
        stack.extend(node.children[::-1])


def depth(flow: Flow) -> int:
    """Levels of nesting: 0 for no components, 1 for a flat flow."""
    return max((node.depth + 1 for node in walk(flow_tree(flow))), default=0)

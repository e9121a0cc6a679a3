"""Where the nodes of a metric tree come from: component, input, path and a label for people."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from flowstudy.metrics.canonical import written
from flowstudy.metrics.trees import Tree


class Place(NamedTuple):
    """One node: `component` is its number from 1, 0 for the trigger, None elsewhere; `path` ends with `text`."""

    text: str
    path: tuple[str, ...]
    component: int | None
    input: str | None


def places(tree: Tree) -> list[Place]:
    """The place of every node of a strict or published tree, in document order."""
    typed = isinstance(tree.labels[0], tuple)
    kinds = list(_strict_kinds(tree) if typed else _published_kinds(tree))
    numbers = iter(tree.steps)
    found: list[Place] = []
    for label, above, (kind, name) in zip(tree.labels, tree.parents, kinds, strict=True):
        owner = found[above] if above >= 0 else Place("", (), None, None)
        component = next(numbers) if kind == "component" else 0 if kind == "trigger" else owner.component
        text = label_text(label)
        if "{{" in text and tree.names and component is not None:
            text = written(text, tree.names[component])
        path = (*owner.path, text) if above >= 0 else ()
        found.append(Place(text, path, component, name if name is not None else owner.input))
    return found


def label_text(label: Any) -> str:
    """A label as people read it.

    >>> label_text(("component", "action", "send_email", "global"))
    'action send_email'
    >>> label_text(("clause", "condition", "^OR", "state", "=", "3"))
    '^OR state = 3'
    """
    if not isinstance(label, tuple):
        return str(label)
    kind, *rest = label
    if kind == "component":
        category, definition, scope = rest
        name = definition if category == "flowlogic" else f"{category} {definition}"
        return name if scope == "global" else f"{name} ({scope})"
    if kind == "input":
        return f"{rest[0]}: {rest[2]}"
    if kind == "clause":
        return " ".join(rest[1:])
    if kind == "item":
        return f"{rest[0]}: {' '.join(filter(None, rest[1:]))}"
    return {"query": rest[-1:], "flow": ["flow"]}.get(kind, [f"{kind} {rest[-1]}" if rest else kind])[0]


def _strict_kinds(tree: Tree) -> Iterator[tuple[str, str | None]]:
    for label in tree.labels:
        kind = label[0]
        yield kind, label[1] if kind in ("input", "query", "clause") else None


def _published_kinds(tree: Tree) -> Iterator[tuple[str, str | None]]:
    """Kinds by position: published labels do not say what they are."""
    above = [tree.parents[parent] if parent >= 0 else -1 for parent in tree.parents]
    kinds: list[str] = []
    for node, (label, parent) in enumerate(zip(tree.labels, tree.parents, strict=True)):
        owner = kinds[parent] if parent >= 0 else ""
        name: str | None = None
        if parent == 0:
            kind = "section " + label
        elif owner == "section components" or (owner == "component" and label != "inputs"):
            kind = "component"
        elif owner == "section trigger" and above[node] == 0:
            kind = "trigger"
        elif owner in ("component", "trigger"):
            kind = "inputs"
        elif owner == "inputs":
            kind, name = "input", str(label).split(": ", 1)[0]
        else:
            kind = "part"
        kinds.append(kind)
        yield kind, name

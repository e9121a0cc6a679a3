"""Small edits of a well-formed flow that keep it well-formed: orders, blocks and references are numbered anew."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Final

from flowstudy.flows.schema import Component, Flow, Input

_STEP: Final = re.compile(r"(\{\{\s*step\.)(\d+)(?=[.}\s])")


def remove(flow: Flow, order: int) -> Flow:
    """Without the component `order` and everything inside it."""
    gone = inside(flow, order) | {order}
    return renumber(flow, [c for c in flow.components if c.order not in gone])


def unwrap(flow: Flow, order: int) -> Flow:
    """Without the flow logic `order`; what it encloses moves up."""
    block = flow.components[order - 1].block
    kept = [_under(c, block) if c.block == order else c for c in flow.components if c.order != order]
    return renumber(flow, kept)


def wrap(flow: Flow, order: int, logic: str) -> Flow:
    """With the component `order` inside a new piece of flow logic."""
    old = flow.components[order - 1]
    new = Component(category="flowlogic", definition=logic, order=flow.steps + 1, block=old.block)
    parts = list(flow.components)
    parts[order - 1 : order] = [new, _under(old, new.order)]
    return renumber(flow, parts)


def insert(flow: Flow, component: Component, after: int) -> Flow:
    """With `component` behind the step `after`, at the same level."""
    block = flow.components[after - 1].block
    new = component.model_copy(update={"order": flow.steps + 1, "block": block})
    return renumber(flow, [*flow.components[:after], new, *flow.components[after:]])


def move(flow: Flow, order: int, *, before: int | None = None, after: int | None = None) -> Flow:
    """With the step `order` before or after another component (after everything inside that), at its level."""
    target = before if before is not None else after
    if target is None:
        raise ValueError(f"move of component {order}: expected `before` or `after`, got neither")
    step = _under(flow.components[order - 1], flow.components[target - 1].block)
    rest = [c for c in flow.components if c.order != order]
    edge = {target} if before is not None else inside(flow, target) | {target}
    places = [place for place, c in enumerate(rest) if c.order in edge]
    place = min(places) if before is not None else max(places) + 1
    return renumber(flow, [*rest[:place], step, *rest[place:]])


def replace(flow: Flow, component: Component) -> Flow:
    """With `component` in place of the one that has its order."""
    parts = [component if c.order == component.order else c for c in flow.components]
    return flow.model_copy(update={"components": parts})


def replace_input(flow: Flow, order: int, name: str, value: Any) -> Flow:
    """With the input `name` of component `order` (0: the trigger) set to `value`; None takes it away."""
    owner = flow.trigger if order == 0 else flow.components[order - 1]
    if owner is None:
        raise ValueError(f"input {name!r} of the trigger: expected a flow with a trigger, got none")
    kept = [i for i in owner.inputs if i.name != name]
    if value is not None:
        at = next((place for place, i in enumerate(owner.inputs) if i.name == name), len(kept))
        kept.insert(at, Input(name=name, value=value))
    changed = owner.model_copy(update={"inputs": kept})
    if isinstance(changed, Component):
        return replace(flow, changed)
    return flow.model_copy(update={"trigger": changed})


def inside(flow: Flow, order: int) -> set[int]:
    """Orders of everything that component `order` encloses, at any depth."""
    found: set[int] = set()
    for component in flow.components:
        if component.block == order or component.block in found:
            found.add(component.order)
    return found


def renumber(flow: Flow, components: Iterable[Component]) -> Flow:
    """Components in their new sequence with orders 1..n; blocks and `{{step.n...}}` references follow."""
    parts = list(components)
    new = {c.order: place for place, c in enumerate(parts, start=1)}
    numbered = [
        c.model_copy(
            update={
                "order": new[c.order],
                "block": None if c.block is None else new[c.block],
                "inputs": [_follow(i, new) for i in c.inputs],
            }
        )
        for c in parts
    ]
    return flow.model_copy(update={"components": numbered})


def _follow(given: Input, new: dict[int, int]) -> Input:
    if not isinstance(given.value, str) or "{{" not in given.value:
        return given
    text = _STEP.sub(lambda m: f"{m[1]}{new.get(int(m[2]), int(m[2]))}", given.value)
    return given.model_copy(update={"value": text})


def _under(component: Component, block: int | None) -> Component:
    return component.model_copy(update={"block": block})

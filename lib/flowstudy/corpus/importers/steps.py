"""The tree that importers build before a flow is numbered: steps with raw inputs, named as in the source."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from flowstudy.corpus.importers.graph import Shape, decompose
from flowstudy.corpus.importers.records import MAX_DEPTH, MAX_STEPS, Refused
from flowstudy.flows.schema import Component, Flow, Input, Trigger, structure_faults

#: Given the order of every named step: what writes the annotation and the inputs of a step.
Writer = Callable[[Mapping[str, int]], Callable[["Step"], tuple[str | None, list[Input]]]]
_FOLLOWERS: Final = frozenset({"ELSEIF", "ELSE", "CATCH"})


@dataclass
class Step:
    """One future component. `name` is what the source calls it ("" for steps that the source does not have)."""

    definition: str
    name: str = ""
    category: str = "flowlogic"
    scope: str = "global"
    annotation: str | None = None
    inputs: dict[str, Any] = field(default_factory=dict)
    children: list[Step] = field(default_factory=list)
    plumbing: bool = False
    emptied: bool = False


def walk(steps: Sequence[Step]) -> Iterator[Step]:
    """Every step, parents before children, in document order."""
    stack = list(reversed(steps))
    while stack:
        step = stack.pop()
        yield step
        stack.extend(reversed(step.children))


def arrange(
    names: Sequence[str], before: Mapping[str, Collection[str]], make: Callable[[str], list[Step]], lost: list[str]
) -> list[Step]:
    """The steps of a graph, parallel parts as PARALLEL with a BRANCH each. Raises graph.Cycle."""
    shape = decompose(names, before)
    for loose in shape.loose:
        shown = ", ".join(loose[:8]) + (", ..." if len(loose) > 8 else "")
        lost.append(f"parallel order of {shown}: it is not series-parallel, the steps are in sequence")
    return _steps(shape, make)


def _steps(shape: Shape, make: Callable[[str], list[Step]]) -> list[Step]:
    if shape.kind == "step":
        return make(shape.name)
    parts = [_steps(part, make) for part in shape.parts]
    return [step for part in parts for step in part] if shape.kind == "sequence" else parallel(parts)


def parallel(branches: Sequence[list[Step]]) -> list[Step]:
    """A PARALLEL of the branches that do something; one such branch needs no PARALLEL."""
    busy = [branch for branch in branches if branch]
    if len(busy) < 2:
        return busy[0] if busy else []
    return [Step("PARALLEL", children=[Step("BRANCH", children=branch) for branch in busy])]


def without_plumbing(steps: list[Step]) -> list[Step]:
    """The steps without plumbing, and without flow logic that is left with nothing to do.

    An IF, TRY or SWITCH goes when all that hangs on it is gone; otherwise it stays, even with an empty body.
    """
    kept: list[Step] = []
    for group in _groups([step for step in steps if not step.plumbing]):
        for step in group:
            step.emptied = bool(step.children) and all(child.emptied for child in _set_children(step))
        kept += _reduced(group)
    return kept


def _groups(steps: list[Step]) -> Iterator[list[Step]]:
    """Openers with what follows them: IF, ELSEIF and ELSE together, TRY and CATCH together."""
    group: list[Step] = []
    for step in steps:
        if group and step.definition not in _FOLLOWERS:
            yield group
            group = []
        group.append(step)
    if group:
        yield group


def _set_children(step: Step) -> list[Step]:
    step.children = without_plumbing(step.children)
    return step.children


def _reduced(group: list[Step]) -> list[Step]:
    opener = group[0]
    if opener.definition in ("CASE", "DEFAULT", "BRANCH"):
        return group
    if opener.definition == "PARALLEL":
        return parallel([branch.children for branch in opener.children])
    if all(step.emptied for step in group):
        return []
    while len(group) > 1 and group[-1].emptied:
        group = group[:-1]
    if opener.definition == "TRY" and (len(group) == 1 or opener.emptied):
        return opener.children
    if opener.definition == "SWITCH" and not any(c.definition == "DEFAULT" and not c.emptied for c in opener.children):
        opener.children = [case for case in opener.children if not case.emptied]
    return group


def to_flow(trigger: Trigger | None, steps: list[Step], writer: Writer) -> Flow:
    """Number the steps and write their inputs. Raises Refused for none, too many, too deep, or a broken
    structure."""
    placed: list[tuple[Step, int | None]] = []
    orders: dict[str, int] = {}
    stack: list[tuple[Step, int | None, int]] = [(step, None, 1) for step in reversed(steps)]
    while stack:
        step, block, depth = stack.pop()
        placed.append((step, block))
        if len(placed) > MAX_STEPS or depth > MAX_DEPTH:
            raise Refused(f"more than {MAX_STEPS} steps, or nested deeper than {MAX_DEPTH} levels")
        if step.name:
            orders.setdefault(step.name, len(placed))
        stack.extend((child, len(placed), depth + 1) for child in reversed(step.children))
    if not placed:
        raise Refused("a workflow without a step that is done: there is nothing to compare an answer with")
    write = writer(orders)
    components: list[Component] = []
    for order, (step, block) in enumerate(placed, start=1):
        note, inputs = write(step)
        place: dict[str, Any] = {"category": step.category, "definition": step.definition, "scope": step.scope}
        components.append(Component(**place, order=order, block=block, annotation=note, inputs=inputs))
    flow = Flow(trigger=trigger, components=components)
    faults = structure_faults(flow)
    if faults:
        raise Refused(f"the structure does not fit the format: {'; '.join(faults[:3])}")
    return flow

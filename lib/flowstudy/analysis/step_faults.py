"""Faults in what a flow does: its trigger, its steps and their flow logic."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Sequence
from typing import Any, Final

from flowstudy.analysis.flow_edits import insert, move, remove, replace, unwrap, wrap
from flowstudy.flows.catalogue import Catalogue
from flowstudy.flows.schema import FOLLOWS, INSIDE, Component, Flow, Input, Trigger

#: A flow with one fault, or None where it offers no place for it.
Injector = Callable[[Flow, Catalogue, random.Random], Flow | None]
_PLAIN_LOGIC: Final = ("IF", "FOREACH", "DOUNTIL")


def steps(flow: Flow) -> list[Component]:
    """The steps that are no flow logic."""
    return [c for c in flow.components if not c.is_logic]


def alone(flow: Flow) -> list[Component]:
    """Steps whose key occurs once: moving or losing one of two equal steps is another story."""
    keys = [c.key for c in flow.components]
    return [c for c in steps(flow) if keys.count(c.key) == 1]


def choose(rng: random.Random, options: Sequence[Any]) -> Any:
    """One of the options, None when there is none."""
    return rng.choice(options) if options else None


def _wrong_trigger(flow: Flow, catalogue: Catalogue, rng: random.Random) -> Flow | None:
    other = choose(rng, [name for name in catalogue.triggers if flow.trigger and name != flow.trigger.type])
    if other is None or flow.trigger is None:
        return None
    return flow.model_copy(update={"trigger": Trigger(type=other, inputs=flow.trigger.inputs)})


def missing_step(flow: Flow, catalogue: Catalogue, rng: random.Random) -> Flow | None:
    """One step less."""
    step = choose(rng, alone(flow))
    return remove(flow, step.order) if step else None


def _new_step(flow: Flow, catalogue: Catalogue, rng: random.Random) -> Component | None:
    used = {c.key for c in flow.components}
    key = choose(rng, [name for name in catalogue.actions if name not in used])
    if key is None:
        return None
    scope, _, definition = key.rpartition(".")
    required = [Input(name=n, value="new") for n, d in catalogue.actions[key].inputs.items() if d.required]
    return Component(definition=definition, scope=scope or "global", order=1, inputs=required)


def _extra_step(flow: Flow, catalogue: Catalogue, rng: random.Random) -> Flow | None:
    step, after = _new_step(flow, catalogue, rng), choose(rng, steps(flow))
    return insert(flow, step, after.order) if step and after else None


def _wrong_step(flow: Flow, catalogue: Catalogue, rng: random.Random) -> Flow | None:
    step, old = _new_step(flow, catalogue, rng), choose(rng, alone(flow))
    if step is None or old is None:
        return None
    return replace(flow, step.model_copy(update={"order": old.order, "block": old.block}))


def _invented_step(flow: Flow, catalogue: Catalogue, rng: random.Random) -> Flow | None:
    old = choose(rng, steps(flow))
    return replace(flow, old.model_copy(update={"definition": f"auto_{old.definition}_now"})) if old else None


def _wrong_order(flow: Flow, catalogue: Catalogue, rng: random.Random) -> Flow | None:
    pairs = [(a, b) for a, b in itertools.pairwise(alone(flow)) if (b.order, b.block) == (a.order + 1, a.block)]
    pair = choose(rng, pairs)
    return move(flow, pair[1].order, before=pair[0].order) if pair else None


def _wrong_nesting(flow: Flow, catalogue: Catalogue, rng: random.Random) -> Flow | None:
    """The last step of a piece of flow logic stands behind it instead."""
    logic = {c.order: c for c in flow.components if c.is_logic and c.definition in _PLAIN_LOGIC}
    inner = [c for c in alone(flow) if c.block in logic and not _follower(flow, c.block)]
    step = choose(rng, [c for c in inner if max(d.order for d in flow.components if d.block == c.block) == c.order])
    return move(flow, step.order, after=step.block) if step else None


def _follower(flow: Flow, order: int) -> bool:
    """True when the next sibling of a piece of flow logic depends on it (ELSE, CATCH)."""
    block = flow.components[order - 1].block
    later = [c for c in flow.components if c.order > order and c.block == block]
    return bool(later) and later[0].is_logic and later[0].definition in FOLLOWS


def bare_logic(flow: Flow) -> list[Component]:
    """Flow logic that can go or change without breaking what stands beside it."""
    logic = [c for c in flow.components if c.is_logic and c.definition not in FOLLOWS and c.definition not in INSIDE]
    return [c for c in logic if c.definition in (*_PLAIN_LOGIC, "WAIT") and not _follower(flow, c.order)]


def _missing_logic(flow: Flow, catalogue: Catalogue, rng: random.Random) -> Flow | None:
    logic = choose(rng, bare_logic(flow))
    return unwrap(flow, logic.order) if logic else None


def _extra_logic(flow: Flow, catalogue: Catalogue, rng: random.Random) -> Flow | None:
    step = choose(rng, steps(flow))
    used = {c.definition for c in flow.components if c.is_logic}
    return wrap(flow, step.order, "FOREACH" if "FOREACH" not in used else "IF") if step else None


def _wrong_logic(flow: Flow, catalogue: Catalogue, rng: random.Random) -> Flow | None:
    logic = choose(rng, [c for c in bare_logic(flow) if c.definition in _PLAIN_LOGIC])
    used = {c.definition for c in flow.components}
    other = choose(rng, [name for name in _PLAIN_LOGIC if name not in used])
    return replace(flow, logic.model_copy(update={"definition": other})) if logic and other else None


STEP_FAULTS: Final[dict[str, Injector]] = {
    "wrong_trigger": _wrong_trigger,
    "missing_step": missing_step,
    "extra_step": _extra_step,
    "wrong_step": _wrong_step,
    "invented_step": _invented_step,
    "wrong_order": _wrong_order,
    "wrong_nesting": _wrong_nesting,
    "missing_logic": _missing_logic,
    "extra_logic": _extra_logic,
    "wrong_logic": _wrong_logic,
}

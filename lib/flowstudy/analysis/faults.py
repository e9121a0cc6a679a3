"""Known errors put into correct flows, one at a time: the yardstick of the proposed tags.

Every injector takes a correct flow and gives it back with exactly one fault of its kind, or None where the flow
offers no place for it. The same seed gives the same faults.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from flowstudy.analysis.errors import labelled_orders
from flowstudy.analysis.flow_edits import remove, replace_input, unwrap
from flowstudy.analysis.input_faults import INPUT_FAULTS, inputs_of
from flowstudy.analysis.step_faults import STEP_FAULTS, Injector, alone, bare_logic, choose, missing_step
from flowstudy.corpus.example import Example
from flowstudy.flows.catalogue import Catalogue
from flowstudy.flows.schema import Flow
from flowstudy.systems.records import Prediction, Suggestion


class FaultCase(NamedTuple):
    """An example and a prediction that is right but for one fault of `kind`."""

    kind: str
    example: Example
    prediction: Prediction


def fault_cases(
    examples: Iterable[Example],
    catalogues: Mapping[str, Catalogue],
    *,
    kinds: Sequence[str] | None = None,
    seed: int = 0,
) -> Iterator[FaultCase]:
    """Every example with every kind of fault that it offers a place for; `kinds` chooses (default: all)."""
    for example in examples:
        catalogue = catalogues[example.domain]
        for kind in kinds if kinds is not None else KINDS:
            case = inject(example, kind, catalogue, seed)
            if case is not None:
                yield case


def inject(example: Example, kind: str, catalogue: Catalogue, seed: int = 0) -> FaultCase | None:
    """One fault of `kind` in the example's main reference; None when there is no place for it.

    Raises ValueError for a kind that is not in `KINDS`.
    """
    if kind not in KINDS:
        raise ValueError(f"fault {kind!r} for {example.id}: expected one of {', '.join(KINDS)}")
    rng = random.Random(f"{seed}/{kind}/{example.id}")
    if kind in _STATUSES:
        prediction = _prediction(example, kind, status=kind)
        return FaultCase(kind, example, prediction)
    labelled = _LABELLED.get(kind)
    flow = labelled(example, catalogue, rng) if labelled else _INJECTORS[kind](example.flow, catalogue, rng)
    if flow is None or flow in example.references:
        return None
    suggestions = _suggestions(example, kind, flow)
    return FaultCase(kind, example, _prediction(example, kind, flow=flow, suggestions=suggestions))


def _prediction(example: Example, kind: str, **over: Any) -> Prediction:
    values: dict[str, Any] = {"status": "ok", "example": example.id, "system": f"fault/{kind}"} | over
    return Prediction(**values)


def _suggestions(example: Example, kind: str, flow: Flow) -> list[Suggestion]:
    """What the retriever would have shown: everything that is needed, but for `source_retriever` what went missing."""
    needed = {(c.category, c.key) for c in example.flow.components if not c.is_logic}
    if kind == "source_retriever":
        needed &= {(c.category, c.key) for c in flow.components}
    elif kind != "source_model":
        return []
    shown = [("trigger", "shown_but_not_needed"), *sorted(needed)]
    return [Suggestion.model_validate({"kind": shelf, "name": name}) for shelf, name in shown]


def _at_label(label: str, injector: Callable[[Flow, int], Flow | None]) -> Callable[..., Flow | None]:
    """A fault at a place that an authored label names, e.g. `implicit_step: ["3: must be found first"]`."""

    def fault(example: Example, catalogue: Catalogue, rng: random.Random) -> Flow | None:
        orders = sorted(o for o in labelled_orders(example.features.get(label)) if o <= example.flow.steps)
        rng.shuffle(orders)
        return next((flow for o in orders if (flow := injector(example.flow, o)) is not None), None)

    return fault


def _remove_step(flow: Flow, order: int) -> Flow | None:
    return remove(flow, order) if order and flow.components[order - 1] in alone(flow) else None


def _remove_condition(flow: Flow, order: int) -> Flow | None:
    """Without the flow logic at `order`, or without the condition of the trigger or step there."""
    if order and flow.components[order - 1] in bare_logic(flow):
        return unwrap(flow, order)
    given = {i.name for i in dict(inputs_of(flow)).get(order, [])}
    name = next((name for name in ("condition", "conditions") if name in given), None)
    return replace_input(flow, order, name, None) if name else None


def _own_step(example: Example, catalogue: Catalogue, rng: random.Random) -> Flow | None:
    own = example.features.get("enterprise_step")
    step = choose(rng, [c for c in alone(example.flow) if isinstance(own, list) and c.key in own])
    return remove(example.flow, step.order) if step else None


_STATUSES: Final = ("invalid_output", "truncated", "refused")
_INJECTORS: Final[dict[str, Injector]] = {
    **STEP_FAULTS,
    **INPUT_FAULTS,
    "source_retriever": missing_step,
    "source_model": missing_step,
}
_LABELLED: Final[dict[str, Callable[..., Flow | None]]] = {
    "implicit_step_missed": _at_label("implicit_step", _remove_step),
    "implicit_condition_missed": _at_label("implicit_condition", _remove_condition),
    "enterprise_step_confused": _own_step,
}
#: Every kind that can be injected: all of the shipped taxonomy but `reference_disputable`, which only people can say.
KINDS: Final = (*_STATUSES, *_INJECTORS, *_LABELLED)

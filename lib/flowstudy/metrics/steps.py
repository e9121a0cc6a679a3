"""Smaller measures on the steps of a flow: bag of steps, order errors, faults against a catalogue."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, defaultdict
from typing import Final, get_args

from flowstudy.flows.catalogue import Catalogue, FaultKind
from flowstudy.flows.schema import Component, Flow
from flowstudy.metrics.similarity import FlowLike, checked
from flowstudy.metrics.strict import strict_flow

FAULT_KINDS: Final[tuple[str, ...]] = get_args(FaultKind)


def step_bag(flow: FlowLike) -> Counter[str]:
    """How often each step occurs, nesting and inputs aside; empty for a text that is no flow.

    >>> step_bag({"trigger": None, "components": [{"definition": "log", "order": 1}]})
    Counter({'action log': 1})
    """
    return Counter(_names(flow))


def step_bag_f1(candidate: FlowLike, reference: FlowLike) -> float:
    """F1 of the two bags of steps, in [0, 1]; symmetric; 1.0 for two flows without steps, 0.0 for text that is no flow.

    Repeated steps count as often as they occur.
    """
    if _flow(candidate) is None or _flow(reference) is None:
        return 0.0
    first, second = step_bag(candidate), step_bag(reference)
    total = first.total() + second.total()
    return 2 * (first & second).total() / total if total else 1.0


def order_errors(candidate: FlowLike, reference: FlowLike) -> int:
    """Least number of steps that must move so that the steps found in both flows come in the reference's order.

    0 for flows without a common step. The k-th occurrence of a step is compared with its k-th occurrence.

    >>> swapped = [{"trigger": None, "components": [{"definition": d, "order": o} for o, d in enumerate(word, 1)]}
    ...            for word in ("abc", "cab")]
    >>> order_errors(*swapped)
    1
    """
    waiting: dict[str, list[int]] = defaultdict(list)
    for place, name in reversed(list(enumerate(_names(reference)))):
        waiting[name].append(place)
    common = [waiting[name].pop() for name in _names(candidate) if waiting.get(name)]
    tails: list[int] = []
    for place in common:
        at = bisect_left(tails, place)
        tails[at : at + 1] = [place]
    return len(common) - len(tails)


def catalogue_faults(flow: FlowLike, catalogue: Catalogue, *, record: str = "?") -> dict[str, int]:
    """How often a flow uses what the catalogue does not have, by kind of fault; every kind is a key.

    All counts are 0 for a text that is no flow: it invents nothing, and its status says what is wrong.
    """
    counts = dict.fromkeys(FAULT_KINDS, 0)
    parsed = _flow(flow)
    for fault in catalogue.check(parsed, record) if parsed is not None else ():
        counts[fault.kind] += 1
    return counts


def _flow(flow: FlowLike) -> Flow | None:
    return strict_flow(checked(flow, "the flow")).flow


def _names(flow: FlowLike) -> list[str]:
    parsed = _flow(flow)
    return [_name(step) for step in parsed.components] if parsed is not None else []


def _name(step: Component) -> str:
    return step.definition.upper() if step.is_logic else f"{step.category} {step.key}"

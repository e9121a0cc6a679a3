"""Systems that call no model: what anything else has to beat."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Final

from flowstudy.corpus.example import Example
from flowstudy.flows.outline import to_outline
from flowstudy.flows.schema import Flow
from flowstudy.systems.neighbours import nearest_examples
from flowstudy.systems.records import Prediction

BASELINES: Final = ("nearest", "constant")
Answerer = Callable[[Example], Flow]


def baseline(name: str, train: Sequence[Example]) -> Answerer:
    """The function from example to flow of a baseline.

    `nearest` answers with the flow of the training example whose requirement is most alike (BM25), `constant` always
    with the commonest flow. Raises ValueError for another name or without training examples.
    """
    if name not in BASELINES:
        raise ValueError(f"baseline {name!r}: expected one of {', '.join(BASELINES)}")
    if not train:
        raise ValueError(f"baseline {name}: expected training examples, got none")
    if name == "constant":
        flow = commonest_flow(train)
        return lambda example: flow
    return lambda example: nearest_examples(example.requirement, train, 1, exclude=example.id)[0].flow


def commonest_flow(train: Sequence[Example]) -> Flow:
    """The commonest outline among the references, with its commonest inputs; the first in corpus order on a tie."""
    outlines = [_bare_outline(example.flow) for example in train]
    best = Counter(outlines).most_common(1)[0][0]
    flows = [example.flow for example, outline in zip(train, outlines, strict=True) if outline == best]
    commonest = Counter(flow.to_json() for flow in flows).most_common(1)[0][0]
    return next(flow for flow in flows if flow.to_json() == commonest)


def _bare_outline(flow: Flow) -> str:
    return to_outline(flow.skeleton())


def baseline_prediction(name: str, example: Example, flow: Flow, repeat: int, key: str) -> Prediction:
    """The answer of a baseline as a prediction without calls."""
    return Prediction(
        example=example.id, system=name, repeat=repeat, status="ok", text=flow.to_json(), flow=flow,
        outline=to_outline(flow), key=key, started_at=datetime.now(UTC).isoformat(timespec="seconds"),
    )  # fmt: skip

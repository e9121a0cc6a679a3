"""One answer of several to the same question: the one that agrees best with the others, and with what was built before.

Minimum Bayes risk decoding (Kumar and Byrne, 2004; Eikema and Aziz, 2020): among answers drawn from a model, the one
with the highest expected FlowSim is taken, the expectation being the mean over the other answers. What training
examples with similar requirements were answered with is a second expectation, and counts as much.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Final

import numpy as np

from flowstudy.corpus.example import Example
from flowstudy.flows.schema import Flow
from flowstudy.metrics import flow_similarity
from flowstudy.systems.records import Prediction

#: How many similar training examples are looked at.
NEAR: Final = 10


def choose(answers: Sequence[Prediction], near: Sequence[tuple[Flow, float]]) -> Prediction:
    """The answer to take of several to one request, with the calls of all; the first of equals.

    Where one is no answer (`provider_error`, `budget_stop`), there is none: fewer candidates would be another system,
    and the next run asks for what is missing. Without any flow the first answer stands for all.
    """
    calls = [c.model_copy(update={"candidate": n}) for n, answer in enumerate(answers) for c in answer.calls]
    missing = next((answer for answer in answers if not answer.is_answer), None)
    if missing is not None:
        return missing.model_copy(update={"calls": calls})
    kept = [answer for answer in answers if answer.flow is not None]
    if not kept:
        return answers[0].model_copy(update={"calls": calls})
    place, agreement = most_agreed([answer.flow for answer in kept if answer.flow is not None], near)
    return kept[place].model_copy(update={"calls": calls, "agreement": agreement})


def most_agreed(flows: Sequence[Flow], near: Sequence[tuple[Flow, float]]) -> tuple[int, float | None]:
    """The place of the flow with the highest expected FlowSim without inputs, and its mean FlowSim with the others,
    0 to 1 (None when it is alone). `near` are flows with what each counts, at most 1 together; none is fine."""
    alike = np.zeros((len(flows), len(flows)))
    for one, other in combinations(range(len(flows)), 2):
        alike[one, other] = alike[other, one] = flow_similarity(flows[one], [flows[other]], inputs=False)
    others = alike.sum(axis=1) / max(1, len(flows) - 1)
    total = sum(weight for _, weight in near) or 1.0
    before = [sum(w * flow_similarity(one, [flow], inputs=False) for flow, w in near) / total for one in flows]
    place = int(np.argmax(np.round(others + before, 9)))
    return place, None if len(flows) < 2 else round(float(others[place]), 4)


def flows_near(train: Sequence[Example], votes: np.ndarray) -> list[tuple[Flow, float]]:
    """The flows of the training examples with the most votes (see `votes`), at most NEAR, each with its votes."""
    places = [int(place) for place in np.argsort(-votes, kind="stable")[:NEAR] if votes[place] > 0]
    return [(train[place].flow, float(votes[place])) for place in places]

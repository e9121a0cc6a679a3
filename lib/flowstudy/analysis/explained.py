"""Every answer with its edit script and its proposed tags, computed once for all the tables that are made of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import pandas as pd

from flowstudy.analysis.errors import ProposedTag, propose_tags
from flowstudy.corpus.example import Example
from flowstudy.flows.catalogue import Catalogue
from flowstudy.metrics import Explanation, FlowTooLarge, explain
from flowstudy.progress import progress
from flowstudy.systems.records import Prediction

Place = tuple[str, str, int]
PLACE: Final = ["system", "example", "repeat"]
PROPOSAL_COLUMNS: Final = [*PLACE, "category", "evidence", "reference", "candidate", "input"]


class Explained(NamedTuple):
    """An answer; `script` is None when it has no flow, or one too large to explain (then it has no tags either)."""

    prediction: Prediction
    script: Explanation | None
    tags: tuple[ProposedTag, ...]

    @property
    def place(self) -> Place:
        """System, example, repeat."""
        return self.prediction.system, self.prediction.example, self.prediction.repeat

    @property
    def is_scored(self) -> bool:
        """False for a flow that is too large: nothing is known of its errors."""
        return self.script is not None or self.prediction.flow is None


def explain_answers(
    predictions: Sequence[Prediction], examples: Mapping[str, Example], catalogues: Mapping[str, Catalogue]
) -> list[Explained]:
    """All predictions that are answers, explained; `examples` by id, `catalogues` by domain."""
    found = []
    with progress("proposing tags", len(predictions)) as tick:
        for prediction in predictions:
            if prediction.is_answer:
                example = examples[prediction.example]
                found.append(explain_answer(prediction, example, catalogues.get(example.domain)))
            tick(note=prediction.system)
    return found


def explain_answer(prediction: Prediction, example: Example, catalogue: Catalogue | None = None) -> Explained:
    """One answer explained; `catalogue` is that of its environment."""
    if prediction.flow is None:
        return Explained(prediction, None, tuple(propose_tags(example, prediction, catalogue)))
    try:
        script = explain(prediction.flow, example.references, record=f"{prediction.system}, example {example.id}")
    except FlowTooLarge:
        return Explained(prediction, None, ())
    return Explained(prediction, script, tuple(propose_tags(example, prediction, catalogue, script)))


def proposals_table(answers: Sequence[Explained]) -> pd.DataFrame:
    """One row per proposed tag, in `PROPOSAL_COLUMNS`; places as in `ProposedTag`."""
    rows = [(*one.place, *tag) for one in answers for tag in one.tags]
    return pd.DataFrame(rows, columns=PROPOSAL_COLUMNS)

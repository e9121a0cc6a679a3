"""Every answer with its edit script and its proposed tags, computed once for all the tables that are made of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import pandas as pd

from flowstudy.analysis.alignment import align
from flowstudy.analysis.errors import ProposedTag, anchors, propose_tags
from flowstudy.analysis.flow_edits import remove, replace_input, unwrap
from flowstudy.analysis.input_errors import as_text, inputs_of
from flowstudy.corpus.example import Example
from flowstudy.flows.catalogue import Catalogue
from flowstudy.flows.schema import Flow
from flowstudy.metrics import Explanation, FlowTooLarge, behaviour, explain
from flowstudy.progress import progress
from flowstudy.systems.records import Prediction

Place = tuple[str, str, int]
PLACE: Final = ["system", "example", "repeat"]
#: What the evidence of a tag ends with whose edit, on its own, makes no difference to what the flow does.
HARMLESS: Final = "changes nothing that is done"
#: What does not exist never works, and what only comments on another tag has no edit of its own.
_NOT_TRIED: Final = ("invented_", "implicit_", "enterprise_", "source_")
#: How much one edit may take: an answer with twenty differences is explained in a few seconds at most.
_MOST_STEPS: Final = 3_000
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
    """All predictions that are answers, explained; `examples` by id, `catalogues` by domain.

    Whether an edit on its own makes a difference is not looked into, which would take too long for all of them.
    """
    found = []
    with progress("proposing tags", len(predictions)) as tick:
        for prediction in predictions:
            if prediction.is_answer:
                example = examples[prediction.example]
                found.append(explain_answer(prediction, example, catalogues.get(example.domain), effects=False))
            tick(note=prediction.system)
    return found


def explain_answer(
    prediction: Prediction, example: Example, catalogue: Catalogue | None = None, *, effects: bool = True
) -> Explained:
    """One answer explained; `catalogue` is that of its environment. With `effects` the evidence of a tag says so
    (`HARMLESS`) where its edit alone, made in the reference or undone in the answer, leaves what is done the same."""
    if prediction.flow is None:
        return Explained(prediction, None, tuple(propose_tags(example, prediction, catalogue)))
    try:
        script = explain(prediction.flow, example.references, record=f"{prediction.system}, example {example.id}")
    except FlowTooLarge:
        return Explained(prediction, None, ())
    tags = propose_tags(example, prediction, catalogue, script)
    if effects:
        edits = _Edits(example.references[script.reference_best], prediction.flow, script, catalogue)
        tags = [t._replace(evidence=f"{t.evidence}; {HARMLESS}") if edits.is_harmless(t) else t for t in tags]
    return Explained(prediction, script, tuple(tags))


class _Edits:
    """Single edits between a reference and an answer, each tried alone."""

    def __init__(self, reference: Flow, flow: Flow, script: Explanation, catalogue: Catalogue | None) -> None:
        self.reference, self.flow, self.catalogue = reference, flow, catalogue
        self.known: dict[tuple[object, ...], bool] = {}
        pairs = align(reference, flow, anchors(script))
        #: What the steps of the answer are called in the reference; those that it does not have, nothing.
        self.names = {f"step.{p.candidate.order}": f"step.{p.reference.order if p.reference else 0}"
                      for p in pairs if p.candidate}  # fmt: skip

    def is_harmless(self, tag: ProposedTag) -> bool:
        """True where the edit alone is known to change nothing; False where it does, or where it cannot be told."""
        key = (tag.reference, tag.candidate, tag.input)
        if tag.category.startswith(_NOT_TRIED):
            return False
        if key not in self.known:
            pair = self._made(tag)
            self.known[key] = pair is not None and behaviour(*pair, self.catalogue, most_steps=_MOST_STEPS).same
        return self.known[key]

    def _made(self, tag: ProposedTag) -> tuple[Flow, Flow] | None:
        """A flow with the edit and the same without it; None for an edit that is not tried alone."""
        if tag.input is not None and tag.reference is not None and tag.candidate is not None:
            given = {i.name: i.value for i in dict(inputs_of(self.flow)).get(tag.candidate, [])}
            value = as_text(given[tag.input], self.names) if tag.input in given else None
            return replace_input(self.reference, tag.reference, tag.input, value), self.reference
        flow, order = (self.flow, tag.candidate) if tag.reference is None else (self.reference, tag.reference)
        alone = tag.input is None and None in (tag.reference, tag.candidate)
        if not alone or not order or f"step.{order}." in flow.model_dump_json():
            return None
        return (unwrap if flow.components[order - 1].is_logic else remove)(flow, order), flow


def proposals_table(answers: Sequence[Explained]) -> pd.DataFrame:
    """One row per proposed tag, in `PROPOSAL_COLUMNS`; places as in `ProposedTag`."""
    rows = [(*one.place, *tag) for one in answers for tag in one.tags]
    return pd.DataFrame(rows, columns=PROPOSAL_COLUMNS)

"""A split hybrid: one system writes the outline, another one the inputs of its steps.

A system whose model is `hybrid/split/<outline>+<inputs>` takes the outlines that the first one has written. A second
system that is `decomposed` is asked for the inputs of every step of them, through the same pipeline and prompts as
its own. One that answers in one go has answered already: it lends the inputs of the step that it has in the same
place, and nobody is called. Calls of both are paid for and add up.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from flowstudy.corpus.example import Example
from flowstudy.flows.catalogue import Catalogue
from flowstudy.flows.outline import to_outline
from flowstudy.flows.schema import Component, Flow
from flowstudy.systems.mixed import split_parts
from flowstudy.systems.offers import Offers
from flowstudy.systems.predict import run_system
from flowstudy.systems.records import Prediction, SystemSpec
from flowstudy.systems.roster import write_predictions


def run_split(
    spec: SystemSpec, specs: Sequence[SystemSpec], answers: Mapping[str, Sequence[Prediction]],
    examples: Sequence[Example], train: Sequence[Example], catalogues: Mapping[str, Catalogue],
    offers: Mapping[str, Offers], journal_path: str | Path, **options: Any,
) -> list[Prediction]:  # fmt: skip
    """The predictions of a split, one for every outline that is an answer; `options` are those of `run_system`.

    `answers` holds what both parts answered, `offers` the suggestions by retriever. An outline that is no flow keeps
    its status. Raises ValueError when a part is not among `specs`.
    """
    parts = split_parts(spec)
    known = {other.name: other for other in specs}
    if parts is None or not set(parts) <= set(known):
        raise ValueError(f"system {spec.name}: expected a split of two systems of the study, got {spec.model!r}")
    first, second = parts
    filler = known[second]
    outlines = [p for p in answers.get(first, ()) if p.is_answer]
    if filler.strategy == "whole":
        found = lend(spec.name, outlines, answers.get(second, ()))
        write_predictions(Path(journal_path), found)
        return found
    repeats = 1 + max((p.repeat for p in outlines), default=0)
    own = filler.model_copy(update={"name": spec.name, "repeats": repeats})
    answered = {p.example for p in outlines}
    wanted = [example for example in examples if example.id in answered]
    return run_system(
        own, wanted, train, catalogues, offers[filler.retriever], journal_path, outlines=outlines, **options
    )


def lend(name: str, outlines: Sequence[Prediction], donors: Sequence[Prediction]) -> list[Prediction]:
    """Each outline with the inputs of the donor's answer to the same example; without one it is left out.

    A donor with fewer repeats lends them again in turn.
    """
    by_example: dict[str, list[Prediction]] = {}
    for donor in sorted((d for d in donors if d.is_answer), key=lambda d: d.repeat):
        by_example.setdefault(donor.example, []).append(donor)
    pairs = [(p, by_example[p.example]) for p in outlines if p.example in by_example]
    return [_lent(name, outline, some[outline.repeat % len(some)]) for outline, some in pairs]


def _lent(name: str, outline: Prediction, donor: Prediction) -> Prediction:
    key = hashlib.sha256(f"{outline.key}|{donor.key}".encode()).hexdigest()
    own: dict[str, Any] = {"system": name, "key": key, "calls": [*outline.calls, *donor.calls]}
    if outline.flow is None:
        return outline.model_copy(update=own)
    flow, empty = fill(outline.flow, donor.flow)
    notes = [f"inputs left empty: {place} not in the other answer" for place in empty]
    own |= {"flow": flow, "outline": to_outline(flow), "repairs": [*outline.repairs, *notes]}
    return outline.model_copy(update=own | {"status": "repaired" if own["repairs"] else outline.status})


def fill(outline: Flow, donor: Flow | None) -> tuple[Flow, list[str]]:
    """`outline` with the inputs of `donor`: the n-th step of a name takes those of the donor's n-th step of that name.

    Also the places (`trigger`, `component 3`) whose inputs stay empty because the donor has no such step.
    """
    bare, empty = outline.without_inputs(), list[str]()
    shelves: dict[str, list[Component]] = {}
    for component in donor.components if donor else []:
        shelves.setdefault(component.key, []).append(component)
    trigger, given = bare.trigger, donor.trigger if donor else None
    if trigger is not None and given is not None and given.type == trigger.type:
        trigger = trigger.model_copy(update={"inputs": given.inputs})
    elif trigger is not None and outline.trigger is not None and outline.trigger.inputs:
        empty.append("trigger")
    components = []
    for component, whole in zip(bare.components, outline.components, strict=True):
        shelf = shelves.get(component.key, [])
        if shelf:
            component = component.model_copy(update={"inputs": shelf.pop(0).inputs})
        elif whole.inputs:
            empty.append(f"component {component.order}")
        components.append(component)
    return bare.model_copy(update={"trigger": trigger, "components": components}), empty

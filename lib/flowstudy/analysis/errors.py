"""Proposed error tags: what seems wrong with an answer, each with its evidence. People confirm or correct them.

Evidence comes from the edit script (through `alignment`), the catalogue (what exists), the suggestions (what the
model was shown) and the example's own labels (what the requirement leaves unsaid).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

from flowstudy.analysis.alignment import Pair, align
from flowstudy.analysis.input_errors import input_errors, table_of
from flowstudy.corpus.example import Example
from flowstudy.flows.catalogue import Catalogue
from flowstudy.flows.schema import Component, Flow
from flowstudy.metrics import Explanation, Place, explain
from flowstudy.systems.records import Prediction

_NO_FLOW: Final = {"invalid_output": "invalid_output", "refused": "refused", "truncated": "truncated"}
_IMPLIED: Final = ("implicit_step", "implicit_condition")
_PLACE: Final = re.compile(r"^(trigger|\d+)\b")
#: What a retriever can suggest; flow logic, values and operators it cannot.
_ABSENT: Final = frozenset({"missing_step", "wrong_step", "invented_step"})


class ProposedTag(NamedTuple):
    """A category with its evidence in words, and the places: component orders (0 is the trigger), input name."""

    category: str
    evidence: str
    reference: int | None = None
    candidate: int | None = None
    input: str | None = None


def propose_tags(
    example: Example, prediction: Prediction, catalogue: Catalogue | None = None, explanation: Explanation | None = None
) -> list[ProposedTag]:
    """Everything that seems wrong with `prediction`, in reading order; empty for a perfect answer and for no answer.

    `explanation` is `metrics.explain(prediction.flow, example.references)` if it is at hand; it also says which of
    several references counts. A prediction that is not an answer (provider error, budget) has no errors of its own.
    """
    if prediction.flow is None:
        category = _NO_FLOW.get(prediction.status)
        return [ProposedTag(category, prediction.error or prediction.status)] if category else []
    if explanation is None:
        explanation = explain(prediction.flow, example.references, record=example.id)
    reference = example.references[explanation.reference_best]
    return _Review(example, prediction, reference, prediction.flow, catalogue, explanation).tags()


def anchors(explanation: Explanation) -> list[tuple[int, int]]:
    """(reference order, candidate order) of the components that the edit script matched or relabelled."""
    pairs = ((_order(edit.reference), _order(edit.candidate)) for edit in explanation.edits)
    return [(want, have) for want, have in pairs if want and have]


def _order(place: Place | None) -> int:
    """Order of the component that a node of the script is; 0 for the trigger, inputs and what is absent."""
    return place.component or 0 if place is not None and place.input is None else 0


class _Review:
    """One pass over a pair of flows; the methods follow the groups of the taxonomy."""

    def __init__(
        self, example: Example, prediction: Prediction, reference: Flow, flow: Flow, catalogue: Catalogue | None,
        explanation: Explanation,
    ) -> None:  # fmt: skip
        self.example, self.prediction, self.catalogue = example, prediction, catalogue
        self.reference, self.flow = reference, flow
        self.pairs = align(reference, flow, anchors(explanation))
        self.shown = {(s.kind, s.name) for s in prediction.suggestions}
        self.implied = {label: labelled_orders(example.features.get(label)) for label in _IMPLIED}
        self.moved = _moved_references(self.pairs)

    def tags(self) -> list[ProposedTag]:
        """All proposals, each once."""
        found = [*self._trigger()]
        for pair in self.pairs:
            found += self._logic(pair) if _of(pair).is_logic else self._step(pair)
            found += self._inputs(pair)
        found += [tag for wrong in found for tag in self._implicit(wrong)]
        found += [tag for wrong in found for tag in self._source(wrong)]
        return list(dict.fromkeys(found))

    def _trigger(self) -> Iterator[ProposedTag]:
        want, have = self.reference.trigger, self.flow.trigger
        kinds = [trigger.type if trigger else "none" for trigger in (want, have)]
        if kinds[0] != kinds[1]:
            yield ProposedTag("wrong_trigger", f"expected {kinds[0]}, got {kinds[1]}", 0, 0)
        elif want and have:
            step = self.catalogue.triggers.get(want.type) if self.catalogue else None
            for error in input_errors(want.inputs, have.inputs, self.catalogue, step, self.moved):
                yield ProposedTag(error.category, f"trigger: {error.evidence}", 0, 0, error.input)

    def _step(self, pair: Pair) -> Iterator[ProposedTag]:
        want, have = pair.reference, pair.candidate
        where = (want.order if want else None, have.order if have else None)
        if have is not None and (want is None or want.key != have.key) and self._is_invented(have):
            instead = f" instead of {want.key}" if want else ""
            yield ProposedTag("invented_step", f"step {have.order} {have.key} does not exist{instead}", *where)
        elif pair.relation == "replaced" and want and have:
            yield ProposedTag("wrong_step", f"expected {want.key}, got step {have.order} {have.key}", *where)
        elif have is None and want is not None:
            yield ProposedTag("missing_step", f"expected {want.key} (step {want.order} of the reference)", *where)
        elif want is None and have is not None:
            yield ProposedTag("extra_step", f"nothing asks for step {have.order} {have.key}", *where)
        if want is not None and pair.relation in ("replaced", "missing") and self._is_own(want):
            yield ProposedTag("enterprise_step_confused", f"{want.key} exists only in this environment", *where)
        yield from _place_tags(pair)

    def _logic(self, pair: Pair) -> Iterator[ProposedTag]:
        want, have = pair.reference, pair.candidate
        where = (want.order if want else None, have.order if have else None)
        if want is None and have is not None:
            yield ProposedTag("extra_logic", f"nothing asks for {have.definition} (step {have.order})", *where)
        elif have is None and want is not None:
            what = f"expected {want.definition} (step {want.order} of the reference)"
            yield ProposedTag("missing_logic", what, *where)
        elif pair.relation == "replaced" and want and have:
            yield ProposedTag("wrong_logic", f"expected {want.definition}, got {have.definition}", *where)
        yield from _place_tags(pair)

    def _inputs(self, pair: Pair) -> Iterator[ProposedTag]:
        want, have = pair.reference, pair.candidate
        if want is None or have is None or pair.relation == "replaced":
            return
        step = self.catalogue.step(want) if self.catalogue else None
        for error in input_errors(want.inputs, have.inputs, self.catalogue, step, self.moved):
            where = f"step {have.order} {have.key}: {error.evidence}"
            yield ProposedTag(error.category, where, want.order, have.order, error.input)

    def _implicit(self, wrong: ProposedTag) -> Iterator[ProposedTag]:
        if wrong.reference is None:
            return
        if wrong.category in _ABSENT and wrong.reference in self.implied["implicit_step"]:
            yield wrong._replace(category="implicit_step_missed")
        conditional = wrong.category in ("missing_logic", "wrong_logic") or wrong.input in ("condition", "conditions")
        if conditional and wrong.reference in self.implied["implicit_condition"]:
            yield wrong._replace(category="implicit_condition_missed")

    def _source(self, wrong: ProposedTag) -> Iterator[ProposedTag]:
        """Not among the suggestions, or there and not used; nothing to say without a retriever."""
        needed = self._needed(wrong)
        if needed is None or not self.shown:
            return
        kind, name = needed
        source, said = ("model", "suggested") if needed in self.shown else ("retriever", "not among the suggestions")
        yield wrong._replace(category=f"source_{source}", evidence=f"{kind} {name} was {said}")

    def _needed(self, wrong: ProposedTag) -> tuple[str, str] | None:
        if wrong.reference is None:
            return None
        if wrong.category == "wrong_trigger":
            return ("trigger", self.reference.trigger.type) if self.reference.trigger else None
        if wrong.category in _ABSENT:
            component = self.reference.components[wrong.reference - 1]
            return component.category, component.key
        if wrong.category in ("wrong_table", "invented_table"):
            table = table_of(self._expected_inputs(wrong.reference))
            return ("table", table) if table else None
        return None

    def _expected_inputs(self, order: int) -> Any:
        if order == 0:
            return self.reference.trigger.inputs if self.reference.trigger else []
        return self.reference.components[order - 1].inputs

    def _is_invented(self, component: Component) -> bool:
        return self.catalogue is not None and self.catalogue.step(component) is None

    def _is_own(self, component: Component) -> bool:
        own = self.example.features.get("enterprise_step")
        if isinstance(own, (list, tuple)):
            return component.key in own
        return bool(own) and component.scope != "global"


def _place_tags(pair: Pair) -> Iterator[ProposedTag]:
    if pair.reference is None or pair.candidate is None:
        return
    where, key = (pair.reference.order, pair.candidate.order), pair.candidate.key
    if pair.relation == "reordered":
        yield ProposedTag("wrong_order", f"step {where[1]} {key} stands at another place of the reference", *where)
    elif pair.relation == "renested":
        yield ProposedTag("wrong_nesting", f"step {where[1]} {key} belongs under another step", *where)


def _of(pair: Pair) -> Component:
    component = pair.reference or pair.candidate
    if component is None:
        raise ValueError("pair of components: expected one on at least one side, got none; align the flows again")
    return component


def _moved_references(pairs: list[Pair]) -> Mapping[str, str]:
    """`step.3` of the reference is called `step.2` here when a step before it is missing."""
    return {
        f"step.{p.reference.order}": f"step.{p.candidate.order}"
        for p in pairs
        if p.reference and p.candidate and p.reference.order != p.candidate.order
    }


def labelled_orders(label: Any) -> set[int]:
    """Orders named by an authored label such as `["3: the record must be found", "trigger: only new ones"]`."""
    lines = [label] if isinstance(label, str) else label if isinstance(label, (list, tuple)) else []
    found = (_PLACE.match(str(line)) for line in lines)
    return {0 if match[1] == "trigger" else int(match[1]) for match in found if match}

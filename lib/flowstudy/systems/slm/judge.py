"""Greedy answers of a model that is still in training, and their FlowSim on validation examples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from flowstudy.corpus.example import Example
from flowstudy.flows.catalogue import Catalogue
from flowstudy.systems.offers import suggest_all
from flowstudy.systems.pointers import resolve_flow
from flowstudy.systems.retrieval import Ranker
from flowstudy.systems.slm.data import pair
from flowstudy.systems.slm.generate import Generator


def answers(model: Any, tokenizer: Any, prompts: Sequence[str], most: int = 512) -> list[str]:
    """Greedy answers of a loaded model; it is back in training mode afterwards if it was."""
    was_training = model.training
    model.eval()
    try:
        return [c.text for c in Generator.of(model, tokenizer).generate(list(prompts), most)]
    finally:
        model.train(was_training)


class Judge:
    """Validation examples with their prompts. With no examples it judges nothing."""

    def __init__(
        self, examples: Sequence[Example], catalogues: Mapping[str, Catalogue], *, k: int, retriever: str, prompt: str,
        rankers: Mapping[str, Ranker] | None = None,
    ) -> None:  # fmt: skip
        self.examples, self.catalogues = list(examples), catalogues
        offers = suggest_all(retriever, self.examples, catalogues, k, rankers=rankers)
        self.offers = [offers[e.id] for e in self.examples]
        self.prompts = [
            pair(e, catalogues[e.domain], offer, prompt=prompt).prompt
            for e, offer in zip(self.examples, self.offers, strict=True)
        ]

    def score(self, model: Any, tokenizer: Any) -> float | None:
        """Mean FlowSim with inputs, 0..1, an answer that is no flow counting 0; None without examples."""
        if not self.examples:
            return None
        from flowstudy.metrics import flow_similarity

        total = 0.0
        texts = answers(model, tokenizer, self.prompts)
        for text, example, offer in zip(texts, self.examples, self.offers, strict=True):
            try:
                flow = resolve_flow(text, offer, example.requirement, self.catalogues[example.domain])
            except ValueError:
                continue
            total += flow_similarity(flow, example.references)
        return round(total / len(self.examples), 4)

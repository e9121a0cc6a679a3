"""Greedy answers of a model that is still in training, and their FlowSim on validation examples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from flowstudy.corpus.example import Example
from flowstudy.flows.catalogue import Catalogue
from flowstudy.systems.prompts import Stage, render
from flowstudy.systems.readers import read_flow
from flowstudy.systems.records import SystemSpec
from flowstudy.systems.retrieval import Ranker, retrieve
from flowstudy.systems.slm.data import Teaching
from flowstudy.systems.slm.generate import generate
from flowstudy.systems.slm.template import prompt_ids
from flowstudy.systems.tasks import Task


def answers(model: Any, tokenizer: Any, prompts: Sequence[Sequence[int]], most: int = 512) -> list[str]:
    """Greedy answers of a loaded model; it is back in training mode afterwards if it was."""
    was_training = model.training
    model.eval()
    try:
        return [one.text for one in generate(model, tokenizer, prompts, most)]
    finally:
        model.train(was_training)


class Judge:
    """Validation examples with their prompts: the whole flow for the strategy `whole`, the outline for `decomposed`.

    Suggestions are those of the retriever `trained` where `rankers` by domain are given, `lexical` otherwise. With no
    examples it judges nothing."""

    def __init__(
        self, examples: Sequence[Example], catalogues: Mapping[str, Catalogue], teaching: Teaching,
        rankers: Mapping[str, Ranker] | None = None,
    ) -> None:  # fmt: skip
        self.examples = list(examples)
        self.stage: Stage = "whole" if teaching.strategy == "whole" else "outline"
        spec = SystemSpec(name="slm", model="slm/train", prompt=teaching.prompt, strategy=teaching.strategy)
        self.tasks = []
        for example in self.examples:
            catalogue, ranker = catalogues[example.domain], (rankers or {}).get(example.domain)
            name = ("lexical" if ranker is None else "trained") if teaching.offered else "none"
            offered = retrieve(name, example.requirement, catalogue, teaching.k, ranker=ranker)
            self.tasks.append(Task(spec, example.id, example.requirement, offered, [], catalogue))
        self.asked = [render(spec, self.stage, t.requirement, t.suggestions, t.catalogue) for t in self.tasks]

    def score(self, model: Any, tokenizer: Any) -> float | None:
        """Mean FlowSim, 0..1, of the flow with inputs or of the outline, an answer that is no flow counting 0; None
        without examples."""
        if not self.examples:
            return None
        from flowstudy.metrics import flow_similarity

        prompts = [prompt_ids(tokenizer, asked.messages) for asked in self.asked]
        most = 320 if self.asked[0].reads == "outline" else 1280  # JSON takes three to four times the tokens
        texts = answers(model, tokenizer, prompts, most)
        total = 0.0
        for text, example, task, asked in zip(texts, self.examples, self.tasks, self.asked, strict=True):
            flow = read_flow(text, asked.reads, task).flow
            if flow is not None:
                total += flow_similarity(flow, example.references, inputs=self.stage == "whole")
        return round(total / len(self.examples), 4)

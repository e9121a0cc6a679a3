"""Greedy answers of a model that is still in training, and their FlowSim on validation examples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from flowstudy.corpus.example import Example
from flowstudy.flows.catalogue import Catalogue
from flowstudy.systems.drafts import drafted
from flowstudy.systems.offers import suggest_all
from flowstudy.systems.prompts import Stage, render
from flowstudy.systems.readers import read_flow
from flowstudy.systems.records import Strategy, SystemSpec
from flowstudy.systems.retrieval import Ranker
from flowstudy.systems.slm.generate import Generator
from flowstudy.systems.slm.template import render_messages
from flowstudy.systems.tasks import Task


def answers(model: Any, tokenizer: Any, prompts: Sequence[str], most: int = 512) -> list[str]:
    """Greedy answers of a loaded model; it is back in training mode afterwards if it was."""
    was_training = model.training
    model.eval()
    try:
        return [c.text for c in Generator.of(model, tokenizer).generate(list(prompts), most)]
    finally:
        model.train(was_training)


class Judge:
    """Validation examples with their prompts: the whole flow for the strategy `whole`, the outline for `decomposed`.
    A prompt with drafts takes them from the examples `shown`. With no examples it judges nothing."""

    def __init__(
        self, examples: Sequence[Example], catalogues: Mapping[str, Catalogue], *, k: int, retriever: str, prompt: str,
        strategy: Strategy = "whole", rankers: Mapping[str, Ranker] | None = None, shown: Sequence[Example] = (),
    ) -> None:  # fmt: skip
        self.examples = list(examples)
        self.stage: Stage = "whole" if strategy == "whole" else "outline"
        spec = SystemSpec(name="slm", model="slm/train", prompt=prompt, strategy=strategy)
        offers = suggest_all(retriever, self.examples, catalogues, k, rankers=rankers)
        self.tasks = []
        for example in self.examples:
            seen = drafted(prompt, example, offers[example.id], shown, catalogues[example.domain])
            self.tasks.append(Task(spec, example.id, example.requirement, *seen, catalogues[example.domain]))
        self.asked = [render(spec, self.stage, t.requirement, t.suggestions, t.catalogue, t.shots) for t in self.tasks]

    def score(self, model: Any, tokenizer: Any) -> float | None:
        """Mean FlowSim, 0..1, of the flow with inputs or of the outline, an answer that is no flow counting 0; None
        without examples."""
        if not self.examples:
            return None
        from flowstudy.metrics import flow_similarity

        texts = answers(model, tokenizer, [render_messages(asked.messages) for asked in self.asked], self._most())
        total = 0.0
        for text, example, task, asked in zip(texts, self.examples, self.tasks, self.asked, strict=True):
            flow = read_flow(text, asked.reads, task).flow
            if flow is not None:
                total += flow_similarity(flow, example.references, inputs=self.stage == "whole")
        return round(total / len(self.examples), 4)

    def _most(self) -> int:
        """Room for an answer: JSON takes three to four times the tokens of an outline."""
        return 512 if self.asked[0].reads == "pointed" else 2048

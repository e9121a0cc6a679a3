"""How a small model is trained, and how it will be asked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from flowstudy.systems.records import RetrieverName, Strategy
from flowstudy.systems.retrieval import Ranker
from flowstudy.systems.slm.engines import Engine, Lora, Method


class Recipe(NamedTuple):
    """Method, length and limits of a training run.

    `steps` are updates of `batch` examples, None for `epochs`; `max_minutes` limits training in any case. `rate` None
    is the default of the method. `evaluations` is how often validation FlowSim (0..1), of at most `judged` examples, is
    measured and a checkpoint written; training stops when it has not risen `patience` times, and the best state is
    what is kept. `reloads` answers must be the same after the saved model was loaded in a fresh process. `context`
    None is that of the base.
    """

    method: Method = "lora"
    engine: Engine = "auto"
    lora: Lora = Lora()
    epochs: float = 1.0
    steps: int | None = None
    rate: float | None = None
    batch: int = 8
    context: int | None = None
    max_minutes: float = 5.0
    evaluations: int = 4
    patience: int = 3
    judged: int = 24
    reloads: int = 4
    seed: int = 0


class Asking(NamedTuple):
    """The prompt that a model is trained with and later asked with, as a `SystemSpec` says it.

    `k` is the number of suggestions per kind; `rankers`, by domain, are what the retriever `trained` needs (see
    `systems.run_rankers`); `strategy` `whole` trains the one stage of that name, `decomposed` the outline and the
    inputs of each step.
    """

    k: int = 8
    retriever: RetrieverName = "lexical"
    rankers: Mapping[str, Ranker] | None = None
    prompt: str = "pointed"
    strategy: Strategy = "whole"

"""How a small model is trained."""

from __future__ import annotations

from typing import Final, NamedTuple

from flowstudy.systems.slm.engines import Engine, Lora, Method

#: Learning rates of all weights by size in parameters: SmolLM2's own fine-tuning of 135 and 360 million took 1e-3, of
#: 1.7 billion 3e-4 (alignment-handbook, recipes/smollm2/sft), on far more examples than a corpus of this kind has.
_FULL: Final = ((5e8, 4e-4), (3e9, 1e-4), (float("inf"), 2e-5))
#: Adapters want about ten times the rate of all weights ("LoRA Without Regret", Thinking Machines, 2025); large 4-bit
#: bases are tuned at 2e-4 in Unsloth's and the QLoRA paper's recipes.
_ADAPTERS: Final = ((5e8, 3e-3), (3e9, 1e-3), (float("inf"), 2e-4))


def usual_rate(method: Method, parameters: int) -> float:
    """The learning rate for a method and a number of parameters."""
    table = _FULL if method == "full" else _ADAPTERS
    return next(rate for most, rate in table if parameters < most)


class Recipe(NamedTuple):
    """Method, length and limits of a training run.

    `epochs` are passes over the examples, `steps` instead are updates of `batch` examples; `max_minutes` limits
    training in any case, and the rate falls to zero at whichever of the two ends it. `rate` None is `usual_rate`.
    `prompt_weight` (0..1) is the weight of prompt tokens in the loss, `neftune` the noise on embeddings (Jain et al.,
    2023), `average` keeps an exponential moving average of the weights. `evaluations` is how often at the most, and not
    more than once in ten minutes, validation FlowSim (0..1) of at most `judged` examples is measured and a checkpoint
    written; training stops when it has not risen
    `patience` times, and the best state is what is kept. `reloads` answers must be the same after the saved model was
    loaded in a fresh process. `context` None is that of the base, at most 4,096.
    """

    method: Method = "lora"
    engine: Engine = "auto"
    lora: Lora = Lora()
    epochs: float = 2.0
    steps: int | None = None
    rate: float | None = None
    batch: int = 2
    context: int | None = None
    max_minutes: float = 5.0
    prompt_weight: float = 0.0
    neftune: float | None = None
    average: bool = False
    evaluations: int = 2
    patience: int = 3
    judged: int = 24
    reloads: int = 4
    seed: int = 0

"""Experiments with fine-tuning: more models of one run, each trained on a part of the examples or in another way.

A variant called `few` is asked as the model `slm/few`; `tuned` is the one without any difference.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field

from flowstudy.corpus.example import Example
from flowstudy.corpus.prepare import take
from flowstudy.systems.neighbours import learnable
from flowstudy.systems.records import RetrieverName, Strategy, SystemSpec
from flowstudy.systems.slm.data import Teaching
from flowstudy.systems.slm.engines import Method
from flowstudy.systems.slm.recipe import Recipe

TUNED: Final = "tuned"
BASE: Final = "base"
PREFIX: Final = "slm/"


class Variant(BaseModel):
    """How one model is trained; None stands for what the system that is asked has, or for the study's own value.

    `train` is the number of examples (a smaller number is a subset of a larger one), `without` names a feature whose
    examples are left out (see `SystemSpec`), `retriever` = `none` trains without suggestions. `redraw`, `unseen`,
    `rename` and `voice` are those of `Teaching`; `rate`, `epochs`, `prompt_weight`, `neftune` and `average` those of
    `Recipe`.
    """

    model_config = ConfigDict(extra="forbid")

    train: int | None = Field(default=None, ge=1)
    without: str | None = None
    retriever: RetrieverName | None = None
    strategy: Strategy | None = None
    prompt: str | None = None
    seed: int | None = None
    method: Method | None = None
    rate: float | None = None
    epochs: float | None = None
    redraw: bool | None = None
    unseen: float | None = Field(default=None, ge=0, le=1)
    rename: float | None = Field(default=None, ge=0, le=1)
    voice: float | None = Field(default=None, ge=0, le=1)
    prompt_weight: float | None = Field(default=None, ge=0, le=1)
    neftune: float | None = None
    average: bool | None = None

    def recipe(self, study: Recipe, share: float = 1.0) -> Recipe:
        """The study's recipe with what is special about this variant; a model that sees a `share` of the examples
        (0..1) gets as many updates as one that sees them all."""
        names = ("seed", "method", "rate", "epochs", "prompt_weight", "neftune", "average")
        own = {name: getattr(self, name) for name in names}
        found = study._replace(**{name: value for name, value in own.items() if value is not None})
        return found if share == 1.0 else found._replace(epochs=found.epochs / share)

    def teaching(self, k: int) -> Teaching:
        """How its examples become pairs, with `k` suggestions each."""
        usual = Teaching(k, self.prompt or "outline", self.strategy or "whole", offered=self.retriever != "none")
        own = {name: getattr(self, name) for name in ("redraw", "unseen", "rename", "voice")}
        return usual._replace(**{name: value for name, value in own.items() if value is not None})

    def choose(self, examples: Sequence[Example], seed: int) -> list[Example]:
        """The examples to train on, the domains in turn when `train` leaves some out."""
        kept = learnable(SystemSpec(name="slm", model="slm/train", without=self.without or ""), examples)
        return list(kept) if self.train is None else take(kept, self.train, seed)


def asks_variant(spec: SystemSpec) -> bool:
    """Whether a system asks a fine-tuned model other than `slm/tuned`: it answers a question about training."""
    return spec.model.startswith(PREFIX) and spec.model.removeprefix(PREFIX) not in (BASE, TUNED)


def models_to_train(systems: Iterable[SystemSpec], variants: dict[str, Variant]) -> dict[str, dict[str, Any]]:
    """Name and complete variant of every model that a system of the study asks for, the untuned base aside.

    Prompt, strategy and retriever are those of the first system that asks, unless the variant says otherwise: a model
    is trained as it is asked. Raises ValueError naming a system whose model is neither `tuned` nor a variant.
    """
    found: dict[str, dict[str, Any]] = {}
    for spec in systems:
        name = spec.model.removeprefix(PREFIX)
        if not spec.model.startswith(PREFIX) or name == BASE or name in found:
            continue
        if name not in (TUNED, *variants):
            known = ", ".join(f"slm/{known}" for known in (BASE, TUNED, *variants))
            rule = f"expected a model of {known}, got {spec.model!r}"
            raise ValueError(f"system {spec.name!r}: {rule}; describe it in `fine_tune.variants`")
        asked = {"prompt": spec.prompt, "strategy": spec.strategy, "retriever": spec.retriever, "without": spec.without}
        own = variants.get(name, Variant()).model_dump(exclude_none=True)
        found[name] = {**asked, **own}
    return found

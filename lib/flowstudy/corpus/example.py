"""One example of a corpus: a requirement in natural language and the flow(s) that fulfil it."""

from __future__ import annotations

import re
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from flowstudy.flows.schema import Flow

CORPUS_SCHEMA: Final = "flowstudy/corpus/1"
Split = Literal["train", "validation", "dev", "dev_ood", "test", "ood"]
#: Source of examples whose requirement a model has paraphrased: they are trained on and never scored.
GENERATED: Final = "generated"
#: Splits that are scored. Of the shipped corpus `dev` and `dev_ood` may be looked at, `test` and `ood` are sealed.
JUDGED: Final = ("dev", "dev_ood", "test", "ood")
#: Judged splits of domains that training never sees.
UNSEEN: Final = frozenset({"dev_ood", "ood"})
SPLIT_TITLES: Final = {
    "dev": "dev, domains seen in training",
    "dev_ood": "dev, domains never seen",
    "test": "domains seen in training",
    "ood": "domains never seen",
    "validation": "validation",
    "train": "training examples",
}


class Example(BaseModel):
    """`references[0]` is the main reference; further ones are equally acceptable.

    `features` holds what slices are made of: authored labels (`implicit_step`, `implicit_condition`,
    `enterprise_step`, each True/False or the words concerned) and the computed ones of `corpus.features`.
    `source` says where the example comes from (`written`, `generated`, an importer, a file), `licence` its licence.
    """

    model_config = ConfigDict(extra="forbid")

    schema_version: str = Field(default=CORPUS_SCHEMA, alias="schema")
    id: str = Field(min_length=1, max_length=200)
    requirement: str = Field(min_length=1)
    references: list[Flow] = Field(min_length=1)
    domain: str = "unknown"
    split: Split = "test"
    source: str = "user"
    features: dict[str, Any] = Field(default_factory=dict)
    licence: str = ""

    @property
    def origin(self) -> str:
        """Id of the example that a generated one (`x-g1`) says in other words; its own id otherwise."""
        return re.sub(r"-g\d+$", "", self.id) if self.source == GENERATED else self.id

    @property
    def flow(self) -> Flow:
        """The main reference."""
        return self.references[0]

"""What a fine-tune was and what it gave, as a record that is written beside the model."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from flowstudy.files import write_text
from flowstudy.systems.slm.bases import Base
from flowstudy.systems.slm.engines import Loaded
from flowstudy.systems.slm.prepare import Prepared
from flowstudy.systems.slm.template import template_hash


@dataclass
class TrainingReport:
    """What was trained, on what, how long, and how well.

    `validation` holds (step, FlowSim), with inputs for the strategy `whole` and of the outline for `decomposed`.
    `seconds`, `tokens` and `cost_usd` count all sittings of a run that was resumed, `tokens_per_s` the last.
    `cost_usd` is None where no price per hour was given; `batch` says how an update was put together, and that memory
    ran out where it did. `made` says whether the model was trained in this run or taken from what was kept or shipped.
    """

    model_dir: str
    base: str
    licence: str
    revision: str
    sha256: str
    method: str
    engine: str
    why: str
    examples: int
    parameters: int
    trainable_parameters: int
    truncated: float
    trainable_tokens: tuple[int, int, int]
    sample: str
    template_hash: str
    batch: str = ""
    steps: int = 0
    resumed_from: int = 0
    tokens: int = 0
    seconds: float = 0.0
    tokens_per_s: float = 0.0
    peak_memory_gb: float = 0.0
    cost_usd: float | None = None
    last_loss: float | None = None
    validation: list[tuple[int, float]] = field(default_factory=list)
    stopped: str = "all steps done"
    made: str = "trained in this run"
    rate: float = 0.0
    estimate_s: float = 0.0
    same_after_reload: int = 0

    @classmethod
    def before(cls, out: Path, base: Base, method: str, loaded: Loaded, ready: Prepared) -> TrainingReport:
        """What is known before the first update."""
        parameters = list(loaded.model.parameters())
        return cls(
            model_dir=str(out / "model"), base=base.name, licence=base.licence, revision=base.revision,
            sha256=base.sha256, method=method, engine=loaded.engine, why=loaded.why,
            examples=len(ready.rows), parameters=sum(p.numel() for p in parameters),
            trainable_parameters=sum(p.numel() for p in parameters if p.requires_grad), truncated=ready.truncated,
            trainable_tokens=ready.trainable, sample=ready.sample, template_hash=template_hash(loaded.tokenizer),
        )  # fmt: skip

    def write(self, path: Path) -> None:
        """One JSON file, whole or not at all."""
        write_text(path, json.dumps(asdict(self), indent=1, ensure_ascii=False) + "\n")

    def facts(self) -> dict[str, Any]:
        """What a table shows: everything but long texts and paths."""
        hidden = ("sample", "validation", "model_dir", "template_hash")
        return {name: value for name, value in vars(self).items() if name not in hidden}

    def __str__(self) -> str:
        low, middle, high = self.trainable_tokens
        best = max((score for _, score in self.validation), default=None)
        return (
            f"{self.method} fine-tune of {Path(self.base).name} with {self.engine} ({self.why})\n"
            f"{self.examples} prompts, {self.truncated:.1%} truncated, "
            f"tokens that count per prompt {low}/{middle}/{high} (min/median/max), {self.batch}\n"
            f"{self.steps} steps, {self.seconds:.0f} s, {self.tokens_per_s:.0f} tokens/s, "
            f"{self.peak_memory_gb:.1f} GB, {self.stopped}\n"
            f"last loss {self.last_loss}, best validation FlowSim {best}, "
            f"{self.same_after_reload} answers the same after a reload"
        )

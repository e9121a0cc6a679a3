"""`make adapter`: train the adapter of the shipped corpus with the full recipe, and put it where it is shipped from."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from flowstudy.corpus.environments import catalogues_for
from flowstudy.corpus.written import shipped_corpus
from flowstudy.systems.slm import adapters
from flowstudy.systems.slm.bases import find_base
from flowstudy.systems.slm.recipe import Recipe
from flowstudy.systems.slm.report import TrainingReport
from flowstudy.systems.slm.train import fine_tune
from flowstudy.systems.slm.variants import Variant
from flowstudy.systems.trained import run_rankers
from flowstudy.systems.weights import cache_home

#: The size that an adapter may have to be shipped.
MOST_MB: Final = 25


def make_adapter(
    base: str, recipe: Recipe, variant: Variant, suggestions: int, encoder: str, work: str | Path
) -> TrainingReport:
    """Train on the shipped training examples in the folder `work` (a killed training goes on there) and ship it.

    Raises ValueError for an adapter above `MOST_MB`, and what `fine_tune` raises.
    """
    corpus, work = shipped_corpus(), Path(work)
    train = variant.choose([example for example in corpus if example.split == "train"], recipe.seed)
    validation = [example for example in corpus if example.split == "validation"]
    teaching, catalogues = variant.teaching(suggestions), catalogues_for(corpus)
    folder = cache_home() / "encoders"
    rankers = run_rankers(["trained"], folder, corpus, catalogues, seed=recipe.seed, encoder=encoder)
    report = fine_tune(
        base, train, validation, work, recipe, teaching, catalogues=catalogues, rankers=rankers, adapter="train"
    )
    ship(adapters.training_key(find_base(base), train, catalogues, recipe, teaching, rankers), work)
    return report


def ship(key: str, work: Path, folder: Path = adapters.SHIPPED) -> None:
    """Put a finished training into the folder that the library is shipped with; the tokenizer is left to the base."""
    weights = work / "model" / "adapter_model.safetensors"
    size = weights.stat().st_size / 1e6
    if size > MOST_MB:
        raise ValueError(f"adapter {weights}: expected at most {MOST_MB} MB, got {size:.1f}; use a lower rank")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    adapters.copy(work, folder)
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        (folder / name).unlink(missing_ok=True)
    _without_paths(folder)
    adapters.seal(folder, key)
    report = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    curve = [json.loads(line) for line in (folder / "curve.jsonl").read_text(encoding="utf-8").splitlines()]
    (folder / "README.md").write_text(_card(report, curve, size, adapters.digest(folder)), encoding="utf-8")


def _without_paths(folder: Path) -> None:
    """Names of this machine's folders are nobody's business."""
    for name, field, value in (
        ("report.json", "model_dir", ""),
        ("adapter_config.json", "base_model_name_or_path", ""),
    ):
        path = folder / name
        facts = json.loads(path.read_text(encoding="utf-8"))
        path.write_text(json.dumps({**facts, field: value}, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _card(report: dict[str, object], curve: Sequence[dict[str, object]], size: float, digest: str) -> str:
    losses = [line for line in curve if "loss" in line]
    rows = [f"| {line['step']} | {line['loss']} |" for line in losses[:: max(1, len(losses) // 8)]]
    minutes = float(str(report["seconds"])) / 60
    return f"""---
license: apache-2.0
base_model: SmolLM2-135M-Instruct
---
# Adapter of the shipped corpus

LoRA of {report["base"]} ({report["revision"]}, {report["licence"]}), trained on the training split of the shipped
corpus. Made with `make adapter`; notebook 02 shows its curve. Weights: {size:.1f} MB, SHA-256 `{digest}`.

Trained for {minutes:.0f} minutes on two CPU cores ({report["tokens_per_s"]} tokens/s), {report["steps"]} updates of
{report["batch"]}, rate {report["rate"]}, {report["stopped"]}. FlowSim with inputs of validation examples at (update,
score): {report["validation"]}.

| update | loss of answers |
|---|---|
{chr(10).join(rows)}
"""

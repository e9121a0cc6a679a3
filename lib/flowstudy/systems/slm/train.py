"""Fine-tune a small model in the run: TRL's SFTTrainer, with Unsloth where it loads, on the answers only.

What is trained on is shown before training, validation FlowSim is measured during training, and after saving the
model is loaded again in a fresh process and must give the same answers.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from flowstudy.corpus.example import Example
from flowstudy.flows.catalogue import Catalogue
from flowstudy.progress import progress
from flowstudy.systems.retrieval import Ranker
from flowstudy.systems.slm import SEED_MODEL
from flowstudy.systems.slm.data import Pair, pairs
from flowstudy.systems.slm.engines import Engine, Loaded, Lora, Method, load_base
from flowstudy.systems.slm.judge import Judge, answers
from flowstudy.systems.slm.prepare import Prepared, TrainingError, prepare
from flowstudy.systems.slm.template import template_hash
from flowstudy.systems.slm.watch import Watch, as_callback, trainer_class

#: Learning rates that worked on the seed model; adapters need a larger one than all weights.
RATES: Final = {"lora": 2e-3, "qlora": 2e-4, "full": 1e-3}


@dataclass
class TrainingReport:
    """What was trained, on what, how long, and how well. `validation` holds (step, FlowSim with inputs)."""

    model_dir: str
    base: str
    method: str
    engine: str
    why: str
    examples: int
    parameters: int
    trainable_parameters: int
    truncated: float
    trainable_tokens: tuple[int, int, int]
    sample: str
    steps: int = 0
    resumed_from: int = 0
    tokens: int = 0
    seconds: float = 0.0
    tokens_per_s: float = 0.0
    peak_memory_gb: float = 0.0
    last_loss: float | None = None
    validation: list[tuple[int, float]] = field(default_factory=list)
    stopped: str = "all steps done"
    same_after_reload: int = 0
    template_hash: str = ""

    def __str__(self) -> str:
        low, middle, high = self.trainable_tokens
        best = max((score for _, score in self.validation), default=None)
        return (
            f"{self.method} fine-tune of {Path(self.base).name} with {self.engine} ({self.why})\n"
            f"{self.examples} examples, {self.truncated:.1%} truncated, "
            f"tokens that count per example {low}/{middle}/{high} (min/median/max)\n"
            f"{self.steps} steps, {self.seconds:.0f} s, {self.tokens_per_s:.0f} tokens/s, "
            f"{self.peak_memory_gb:.1f} GB, {self.stopped}\n"
            f"last loss {self.last_loss}, best validation FlowSim {best}, "
            f"{self.same_after_reload} answers the same after a reload"
        )


def fine_tune(
    base: str | Path,
    examples: Sequence[Example],
    validation: Sequence[Example],
    out_dir: str | Path,
    *,
    method: Method = "lora",
    engine: Engine = "auto",
    catalogues: Mapping[str, Catalogue] | None = None,
    k: int = 8,
    retriever: str = "lexical",
    rankers: Mapping[str, Ranker] | None = None,
    prompt: str = "pointed",
    epochs: float = 1.0,
    steps: int | None = None,
    rate: float | None = None,
    batch: int = 8,
    seed: int = 0,
    max_minutes: float = 5.0,
    evaluations: int = 4,
    patience: int = 3,
    validation_examples: int = 24,
    reload_examples: int = 4,
    lora: Lora | None = None,
    context: int | None = None,
) -> TrainingReport:
    """Train `base` (`seed`, a folder, or a name that Unsloth loads) on `examples`; the result lies in `out_dir/model`.

    Args:
        k: suggestions offered per kind, as `SystemSpec.suggestions` when the model is asked.
        rankers: by domain, what the retriever `trained` needs (see `systems.run_rankers`).
        steps: updates of `batch` examples; None for `epochs`. `max_minutes` limits training in any case.
        evaluations: how often validation FlowSim (0..1) is measured and a checkpoint written; training stops when it
            has not risen `patience` times, and the best state is what is kept.

    A killed run goes on from its last checkpoint when called with the same arguments. Raises TrainingError for data
    without anything to learn from (naming records), a checkpoint or base that cannot be read, and a saved model that
    answers differently after a reload.
    """
    from flowstudy.corpus.environments import catalogues_for

    out = Path(out_dir)
    out.mkdir(parents=True, exist_ok=True)
    base = str(SEED_MODEL if str(base) == "seed" else base)
    if not examples:
        raise TrainingError("training split: expected at least one example, got none; write or generate some")
    shelves = dict(catalogues or catalogues_for([*examples, *validation]))
    loaded = load_base(base, method, engine, lora or Lora(), seed, context)
    offered: dict[str, Any] = {"k": k, "retriever": retriever, "rankers": rankers, "prompt": prompt}
    found = pairs(examples, shelves, seed=seed, **offered)
    ready = prepare(found, loaded.tokenizer, loaded.context)
    report = _report(out, base, method, loaded, ready)
    _write(out / "before.json", {"sample": ready.sample, **_facts(report)})
    judge = Judge(validation[:validation_examples], shelves, **offered)
    total = steps or max(1, round(epochs * len(ready.rows) / batch))
    settings = _settings(loaded, out, total, max(1, total // max(1, evaluations)), rate or RATES[method], batch, seed)
    _train(loaded, ready, Watch(loaded, judge, out, report, settings.save_steps, max_minutes, patience), out, settings)
    checks = pairs((validation or examples)[:reload_examples], shelves, complete=False, **offered)
    _check_reload(loaded, checks, Path(report.model_dir), report)
    _write(out / "report.json", _facts(report))
    return report


def _report(out: Path, base: str, method: str, loaded: Loaded, ready: Prepared) -> TrainingReport:
    parameters = list(loaded.model.parameters())
    return TrainingReport(
        model_dir=str(out / "model"), base=base, method=method, engine=loaded.engine, why=loaded.why,
        examples=len(ready.rows), parameters=sum(p.numel() for p in parameters),
        trainable_parameters=sum(p.numel() for p in parameters if p.requires_grad), truncated=ready.truncated,
        trainable_tokens=ready.trainable, sample=ready.sample, template_hash=template_hash(),
    )  # fmt: skip


def _facts(report: TrainingReport) -> dict[str, Any]:
    return asdict(report)


def _write(path: Path, facts: dict[str, Any]) -> None:
    draft = path.with_name(f".{path.name}.tmp")
    draft.write_text(json.dumps(facts, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    draft.replace(path)


def _train(loaded: Loaded, ready: Prepared, watch: Watch, out: Path, settings: Any) -> None:
    from datasets import Dataset
    from transformers.trainer_callback import PrinterCallback

    report = watch.report
    trainer = trainer_class(report.engine)(
        model=loaded.model, processing_class=loaded.tokenizer, train_dataset=Dataset.from_list(ready.rows),
        args=settings, callbacks=[as_callback(watch)],
    )  # fmt: skip
    trainer.remove_callback(PrinterCallback)
    last = _last_checkpoint(out)
    report.resumed_from = int(last.name.rpartition("-")[2]) if last else 0
    started = time.monotonic()
    try:
        with progress(f"fine-tuning with {report.engine}", settings.max_steps - report.resumed_from) as watch.tick:
            trainer.train(resume_from_checkpoint=str(last) if last else None)
    except (OSError, ValueError, KeyError, EOFError, RuntimeError) as error:
        if last is None or "out of memory" in str(error).lower():
            raise
        got = f"expected one of this run, got: {str(error)[:300]}; delete {last.parent} to start anew"
        raise TrainingError(f"checkpoint {last}: {got}") from None
    report.seconds = round(time.monotonic() - started, 1)
    report.steps = int(trainer.state.global_step)
    watch.finish(trainer)
    done = report.steps - report.resumed_from
    report.tokens = int(
        done * settings.per_device_train_batch_size * sum(len(row["input_ids"]) for row in ready.rows) / len(ready.rows)
    )
    report.tokens_per_s = round(report.tokens / max(report.seconds - watch.judging_s, 1e-9), 1)


def _settings(loaded: Loaded, out: Path, total: int, every: int, rate: float, batch: int, seed: int) -> Any:
    import torch
    from trl import SFTConfig  # type: ignore[attr-defined]

    cuda = torch.cuda.is_available()
    return SFTConfig(
        output_dir=str(out / "checkpoints"), per_device_train_batch_size=batch, max_steps=total, learning_rate=rate,
        lr_scheduler_type="cosine", warmup_steps=max(1, total // 20), weight_decay=0.01, max_grad_norm=1.0, seed=seed,
        data_seed=seed, logging_steps=max(1, min(10, total // 10)), save_strategy="steps", save_steps=every,
        save_total_limit=2, report_to=[], bf16=cuda, fp16=False, use_cpu=not cuda, max_length=loaded.context,
        completion_only_loss=True, packing=False, gradient_checkpointing=False, disable_tqdm=True, optim="adamw_torch",
        dataset_num_proc=1, dataloader_pin_memory=cuda,
    )  # fmt: skip


def _last_checkpoint(out: Path) -> Path | None:
    """The newest checkpoint that was written to the end (the trainer writes its state last)."""
    found = sorted((out / "checkpoints").glob("checkpoint-*"), key=lambda path: int(path.name.rpartition("-")[2]))
    whole = [path for path in found if (path / "trainer_state.json").exists()]
    return whole[-1] if whole else None


def _check_reload(loaded: Loaded, checks: list[Pair], folder: Path, report: TrainingReport) -> None:
    """Ask the model in memory and the saved one in a fresh process; raise TrainingError when an answer differs."""
    import torch

    here = answers(loaded.model, loaded.tokenizer, [pair.prompt for pair in checks], 64)
    command = [sys.executable, "-m", "flowstudy.systems.slm.reload", str(folder)]
    prompts = json.dumps([pair.prompt for pair in checks])
    threads = {"OMP_NUM_THREADS": str(torch.get_num_threads())}  # sums in another order may differ in the last bit
    done = subprocess.run(
        command, input=prompts, capture_output=True, text=True, check=False, env={**os.environ, **threads}
    )
    if done.returncode != 0:
        raise TrainingError(f"model {folder}: expected to load in a fresh process, got: {done.stderr.strip()[-400:]}")
    there = json.loads(done.stdout.splitlines()[-1])
    different = [pair.id for pair, a, b in zip(checks, here, there, strict=True) if a != b]
    if different:
        raise TrainingError(
            f"model {folder}: expected the same answers after a reload, got others for {', '.join(different)}; "
            "do not use it: weights or template were not saved as trained"
        )
    report.same_after_reload = len(checks)

"""Fine-tune a small model in the run: TRL's SFTTrainer, with Unsloth where it loads, on the answers only.

What is trained on is shown before training, validation FlowSim is measured during training, and after saving the
model is loaded again in a fresh process and must give the same answers.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from subprocess import Popen
from typing import Any, Final

from flowstudy.corpus.example import Example
from flowstudy.flows.catalogue import Catalogue
from flowstudy.progress import progress
from flowstudy.systems.records import Strategy
from flowstudy.systems.retrieval import Ranker
from flowstudy.systems.slm import SEED_MODEL
from flowstudy.systems.slm.data import Pair, pairs
from flowstudy.systems.slm.energy import EnergyMeter
from flowstudy.systems.slm.engines import Engine, Loaded, Lora, Method, load_base
from flowstudy.systems.slm.judge import Judge, answers
from flowstudy.systems.slm.muon import fast_bf16
from flowstudy.systems.slm.prepare import Prepared, TrainingError, prepare
from flowstudy.systems.slm.reload import ask_fresh, fresh_process
from flowstudy.systems.slm.report import TrainingReport
from flowstudy.systems.slm.watch import Watch, as_callback, trainer_class

#: Learning rates that worked on the seed model; adapters need a larger one than all weights.
RATES: Final = {"lora": 2e-3, "qlora": 2e-4, "full": 1e-3}
_SMALLER: Final = "use method qlora, a smaller `context` or base, or fewer suggestions"


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
    strategy: Strategy = "whole",
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
    usd_per_hour: float | None = None,
) -> TrainingReport:
    """Train `base` (`seed`, a folder, or a name that Unsloth loads) on `examples`; the result lies in `out_dir/model`.

    Args:
        k: suggestions offered per kind, as `SystemSpec.suggestions` when the model is asked.
        rankers: by domain, what the retriever `trained` needs (see `systems.run_rankers`).
        strategy: `whole` trains the one stage of that name, `decomposed` the outline and the inputs of each step.
        steps: updates of `batch` examples; None for `epochs`. `max_minutes` limits training in any case.
        evaluations: how often validation FlowSim (0..1) is measured and a checkpoint written; training stops when it
            has not risen `patience` times, and the best state is what is kept.
        usd_per_hour: price of this machine, for the cost of training in the report.

    When memory runs out, batches are halved, gradients accumulated, and the report says so. A killed run goes on from
    its last checkpoint when called with the same arguments. Raises TrainingError for data without anything to learn
    from (naming records), a checkpoint or base that cannot be read, too little memory for one example, and a saved
    model that answers differently after a reload.
    """
    from flowstudy.corpus.environments import catalogues_for

    out = Path(out_dir)
    out.mkdir(parents=True, exist_ok=True)
    base = str(SEED_MODEL if str(base) == "seed" else base)
    if not examples:
        raise TrainingError("training split: expected at least one example, got none; write or generate some")
    shelves = dict(catalogues or catalogues_for([*examples, *validation]))
    offered: dict[str, Any] = {"k": k, "retriever": retriever, "rankers": rankers, "prompt": prompt}
    found = pairs(examples, shelves, seed=seed, strategy=strategy, **offered)
    judge = Judge(validation[:validation_examples], shelves, strategy=strategy, **offered)
    with fresh_process() as fresh:
        pieces = 1
        while True:
            loaded = load_base(base, method, engine, lora or Lora(), seed, context)
            ready = prepare(found, loaded.tokenizer, loaded.context)
            report = TrainingReport.before(out, base, method, loaded, ready)
            report.batch = _batch_text(batch, pieces)
            report.write(out / "before.json")
            total = steps or max(1, round(epochs * len(ready.rows) / batch))
            every = max(1, total // max(1, evaluations))
            settings = _settings(loaded, out, total, every, rate or RATES[method], batch // pieces, seed)
            settings.gradient_accumulation_steps = pieces
            watch = Watch(loaded, judge, out, report, every, max_minutes, patience)
            if _train(loaded, ready, watch, out, settings):
                break
            if pieces * 2 > batch:
                raise TrainingError(f"fine-tune of {base}: out of memory with one example at a time; {_SMALLER}")
            pieces *= 2
        report.cost_usd = None if usd_per_hour is None else round(report.seconds / 3600 * usd_per_hour, 6)
        checks = pairs((validation or examples)[:reload_examples], shelves, complete=False, **offered)
        _check_reload(fresh, loaded, checks, report)
        report.write(out / "report.json")
    return report


def _batch_text(batch: int, pieces: int) -> str:
    if pieces == 1:
        return f"{batch} an update"
    return f"{batch} an update in {pieces} pieces of {batch // pieces}, since memory ran out"


def _train(loaded: Loaded, ready: Prepared, watch: Watch, out: Path, settings: Any) -> bool:
    """Train until `watch` or the settings end it; False when memory ran out."""
    import torch
    from datasets import Dataset
    from transformers.trainer_callback import PrinterCallback

    report, meter = watch.report, EnergyMeter()
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
        if isinstance(error, torch.OutOfMemoryError) or "allocate memory" in str(error):
            return False
        if last is None:
            raise
        got = f"expected one of this run, got: {str(error)[:300]}; delete {last.parent} to start anew"
        raise TrainingError(f"checkpoint {last}: {got}") from None
    report.seconds = round(time.monotonic() - started, 1)
    report.steps = int(trainer.state.global_step)
    report.energy_wh = meter.used_wh()
    # training in bfloat16 wraps the forward pass; what is judged and saved must answer without it
    trainer.accelerator.unwrap_model(trainer.model, keep_fp32_wrapper=False)
    watch.finish(trainer)
    size = settings.per_device_train_batch_size * settings.gradient_accumulation_steps
    mean = sum(len(row["input_ids"]) for row in ready.rows) / len(ready.rows)
    report.tokens = int((report.steps - report.resumed_from) * size * mean)
    report.tokens_per_s = round(report.tokens / max(report.seconds - watch.judging_s, 1e-9), 1)
    return True


def _settings(loaded: Loaded, out: Path, total: int, every: int, rate: float, batch: int, seed: int) -> Any:
    import torch
    from trl import SFTConfig  # type: ignore[attr-defined]

    cuda = torch.cuda.is_available()
    return SFTConfig(
        output_dir=str(out / "checkpoints"), per_device_train_batch_size=batch, max_steps=total, learning_rate=rate,
        lr_scheduler_type="cosine", warmup_steps=max(1, total // 20), weight_decay=0.01, max_grad_norm=1.0, seed=seed,
        data_seed=seed, logging_steps=max(1, min(10, total // 10)), save_strategy="steps", save_steps=every,
        save_total_limit=2, report_to=[],
        bf16=cuda or fast_bf16(), fp16=False, train_sampling_strategy="group_by_length", use_cpu=not cuda,
        max_length=loaded.context,
        completion_only_loss=True, packing=cuda and find_spec("flash_attn") is not None,
        gradient_checkpointing=False, disable_tqdm=True, optim="adamw_torch",
        dataset_num_proc=1, dataloader_pin_memory=cuda,
    )  # fmt: skip


def _last_checkpoint(out: Path) -> Path | None:
    """The newest checkpoint that was written to the end (the trainer writes its state last)."""
    found = sorted((out / "checkpoints").glob("checkpoint-*"), key=lambda path: int(path.name.rpartition("-")[2]))
    whole = [path for path in found if (path / "trainer_state.json").exists()]
    return whole[-1] if whole else None


def _check_reload(fresh: Popen[str], loaded: Loaded, checks: list[Pair], report: TrainingReport) -> None:
    """Ask the model in memory and the saved one in a fresh process; raise TrainingError when an answer differs."""
    import torch

    folder, prompts, most = Path(report.model_dir), [pair.prompt for pair in checks], 64
    here = answers(loaded.model, loaded.tokenizer, prompts, most)
    try:
        there = ask_fresh(fresh, folder, prompts, most, torch.get_num_threads())
    except ValueError as error:
        raise TrainingError(f"model {folder}: expected to load in a fresh process, got: {error}") from None
    different = [pair.id for pair, a, b in zip(checks, here, there, strict=True) if a != b]
    if different:
        raise TrainingError(
            f"model {folder}: expected the same answers after a reload, got others for {', '.join(different)}; "
            "do not use it: weights or template were not saved as trained"
        )
    report.same_after_reload = len(checks)

"""Fine-tune a small model in the run: TRL's SFTTrainer, with Unsloth where it loads, on the answers only.

What is trained on is shown before training, validation FlowSim is measured during training, and after saving the
model is loaded again in a fresh process and must give the same answers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from subprocess import Popen
from typing import Any, Final

from flowstudy.corpus.example import Example
from flowstudy.flows.catalogue import Catalogue
from flowstudy.progress import progress
from flowstudy.systems.slm import SEED_MODEL
from flowstudy.systems.slm.data import Pair, pairs
from flowstudy.systems.slm.energy import EnergyMeter
from flowstudy.systems.slm.engines import Loaded, load_base
from flowstudy.systems.slm.judge import Judge, answers
from flowstudy.systems.slm.muon import fast_bf16
from flowstudy.systems.slm.prepare import Prepared, TrainingError, prepare
from flowstudy.systems.slm.recipe import Asking, Recipe
from flowstudy.systems.slm.reload import ask_fresh, fresh_process
from flowstudy.systems.slm.report import TrainingReport
from flowstudy.systems.slm.watch import Watch, as_callback, trainer_class

#: Learning rates that worked on the seed model; adapters need a larger one than all weights.
RATES: Final = {"lora": 2e-3, "qlora": 2e-4, "full": 1e-3}
_NO_ROOM: Final = ("No space left", "File too large", "quota exceeded", "failed writing file")  # also torch's own words
_SMALLER: Final = "use method qlora, a smaller `context` or base, or fewer suggestions"


def fine_tune(
    base: str | Path,
    examples: Sequence[Example],
    validation: Sequence[Example],
    out_dir: str | Path,
    recipe: Recipe | None = None,
    asking: Asking | None = None,
    *,
    catalogues: Mapping[str, Catalogue] | None = None,
    usd_per_hour: float | None = None,
) -> TrainingReport:
    """Train `base` (`seed`, a folder, or a name that Unsloth loads) on `examples`; the result lies in `out_dir/model`.

    `catalogues` are by domain, None for the shipped ones; `usd_per_hour` is the price of this machine, for the cost of
    training in the report. When memory runs out, batches are halved, gradients accumulated, and the report says so. A
    killed run goes on from its last checkpoint when called with the same arguments. Raises TrainingError for data
    without anything to learn from (naming records), a checkpoint or base that cannot be read, too little memory for
    one example, and a saved model that answers differently after a reload.
    """
    from flowstudy.corpus.environments import catalogues_for

    recipe, asking = recipe or Recipe(), asking or Asking()
    out = Path(out_dir)
    out.mkdir(parents=True, exist_ok=True)
    base = str(SEED_MODEL if str(base) == "seed" else base)
    if not examples:
        raise TrainingError("training split: expected at least one example, got none; write or generate some")
    shelves = dict(catalogues or catalogues_for([*examples, *validation]))
    found = pairs(examples, shelves, seed=recipe.seed, **asking._asdict())
    judge = Judge(validation[: recipe.judged], shelves, shown=examples, **asking._asdict())
    with fresh_process() as fresh:
        loaded, report = _fit(base, found, judge, out, recipe)
        report.cost_usd = None if usd_per_hour is None else round(report.seconds / 3600 * usd_per_hour, 6)
        whole = asking._replace(strategy="whole")
        some = (validation or examples)[: recipe.reloads]
        checks = pairs(some, shelves, complete=False, shown=examples, **whole._asdict())
        _check_reload(fresh, loaded, checks, report)
        report.write(out / "report.json")
    return report


def _fit(base: str, found: list[Pair], judge: Judge, out: Path, recipe: Recipe) -> tuple[Loaded, TrainingReport]:
    """Train, in smaller and smaller pieces of a batch until memory is enough."""
    pieces = 1
    while True:
        loaded = load_base(base, recipe.method, recipe.engine, recipe.lora, recipe.seed, recipe.context)
        ready = prepare(found, loaded.tokenizer, loaded.context)
        report = TrainingReport.before(out, base, recipe.method, loaded, ready)
        report.batch = _batch_text(recipe.batch, pieces)
        report.write(out / "before.json")
        total = recipe.steps or max(1, round(recipe.epochs * len(ready.rows) / recipe.batch))
        every = max(1, total // max(1, recipe.evaluations))
        settings = _settings(loaded, out, total, every, recipe, pieces)
        watch = Watch(loaded, judge, out, report, every, recipe.max_minutes, recipe.patience)
        if _train(loaded, ready, watch, out, settings):
            return loaded, report
        if pieces * 2 > recipe.batch:
            raise TrainingError(f"fine-tune of {base}: out of memory with one example at a time; {_SMALLER}")
        pieces *= 2


def _batch_text(batch: int, pieces: int) -> str:
    if pieces == 1:
        return f"{batch} an update"
    return f"{batch} an update in {pieces} pieces of {batch // pieces}, since memory ran out"


def _train(loaded: Loaded, ready: Prepared, watch: Watch, out: Path, settings: Any) -> bool:
    """Train until `watch` or the settings end it; False when memory ran out."""
    import torch
    from datasets import Dataset
    from safetensors import SafetensorError
    from transformers.trainer_callback import PrinterCallback

    report, meter = watch.report, EnergyMeter()
    trainer = trainer_class(report.engine)(
        model=loaded.model, processing_class=loaded.tokenizer, train_dataset=Dataset.from_list(ready.rows),
        args=settings, callbacks=[as_callback(watch)],
    )  # fmt: skip
    trainer.remove_callback(PrinterCallback)
    last = _last_checkpoint(out)
    report.resumed_from = int(last.name.rpartition("-")[2]) if last else 0
    try:
        with progress(f"fine-tuning with {report.engine}", settings.max_steps - report.resumed_from) as watch.tick:
            trainer.train(resume_from_checkpoint=str(last) if last else None)
        report.seconds, here_s = watch.seconds(), watch.seconds() - watch.before_s
        report.steps = int(trainer.state.global_step)
        report.energy_wh = meter.used_wh()
        # training in bfloat16 wraps the forward pass; what is judged and saved must answer without it
        trainer.accelerator.unwrap_model(trainer.model, keep_fp32_wrapper=False)
        watch.finish(trainer)
    except (OSError, ValueError, KeyError, EOFError, RuntimeError, SafetensorError) as error:
        if isinstance(error, torch.OutOfMemoryError) or "allocate memory" in str(error):
            return False
        raise _told(error, out, last) from error
    size = settings.per_device_train_batch_size * settings.gradient_accumulation_steps
    mean = sum(len(row["input_ids"]) for row in ready.rows) / len(ready.rows)
    report.tokens = int(report.steps * size * mean)
    here = report.tokens - int(report.resumed_from * size * mean)
    report.tokens_per_s = round(here / max(here_s - watch.judging_s, 1e-9), 1)
    return True


def _told(error: Exception, out: Path, last: Path | None) -> Exception:
    """What ended a training run, in words, where they help."""
    got = " ".join(str(error).split())[:300]
    if any(words in got for words in _NO_ROOM):
        fix = "free some space and run it again: it goes on from its last checkpoint"
        return TrainingError(f"fine-tune in {out}: expected room for model and checkpoints, got: {got}; {fix}")
    if last is None:
        return error
    return TrainingError(f"checkpoint {last}: expected one of this run, got: {got}; delete {last.parent} to start anew")


def _settings(loaded: Loaded, out: Path, total: int, every: int, recipe: Recipe, pieces: int) -> Any:
    import torch
    from trl import SFTConfig  # type: ignore[attr-defined]

    cuda = torch.cuda.is_available()
    return SFTConfig(
        output_dir=str(out / "checkpoints"), per_device_train_batch_size=recipe.batch // pieces,
        gradient_accumulation_steps=pieces, max_steps=total, learning_rate=recipe.rate or RATES[recipe.method],
        lr_scheduler_type="cosine", warmup_steps=max(1, total // 20), weight_decay=0.01, max_grad_norm=1.0,
        seed=recipe.seed, data_seed=recipe.seed, logging_steps=max(1, min(10, total // 10)),
        save_strategy="steps", save_steps=every, save_total_limit=2, report_to=[],
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

"""Fine-tune a small model: TRL's SFTTrainer, with Unsloth where it loads, on the answers only.

What is trained on is shown before training, with an estimate of the time; validation FlowSim is measured during
training, and after saving the model is loaded again in a fresh process and must give the same answers. The same
training is not done twice: see `adapters`.
"""

from __future__ import annotations

import math
import shutil
import time
from collections.abc import Mapping, Sequence
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from subprocess import Popen
from typing import Any, Final, Literal

from flowstudy.corpus.example import Example
from flowstudy.flows.catalogue import Catalogue
from flowstudy.progress import progress
from flowstudy.systems.retrieval import Ranker
from flowstudy.systems.slm import adapters
from flowstudy.systems.slm.bases import Base, find_base
from flowstudy.systems.slm.data import Pair, Teaching, pairs
from flowstudy.systems.slm.engines import Loaded, load_base
from flowstudy.systems.slm.judge import Judge, answers
from flowstudy.systems.slm.prepare import Prepared, TrainingError, prepare
from flowstudy.systems.slm.recipe import Recipe, usual_rate
from flowstudy.systems.slm.reload import ask_fresh, fresh_process
from flowstudy.systems.slm.report import TrainingReport
from flowstudy.systems.slm.template import prompt_ids
from flowstudy.systems.slm.trainers import fast_bf16, keep_memory, trainer_class
from flowstudy.systems.slm.watch import Average, Watch, as_callback

_NO_ROOM: Final = ("No space left", "File too large", "quota exceeded", "failed writing file")  # also torch's own words
#: Tokens of a forward and backward pass on a CPU.
CPU_TOKENS: Final = 2048
_SMALLER: Final = "use method qlora, a smaller `context` or base, or fewer suggestions"


def fine_tune(
    base: str,
    examples: Sequence[Example],
    validation: Sequence[Example],
    out_dir: str | Path,
    recipe: Recipe | None = None,
    teaching: Teaching | None = None,
    *,
    catalogues: Mapping[str, Catalogue] | None = None,
    rankers: Mapping[str, Ranker] | None = None,
    usd_per_hour: float | None = None,
    adapter: Literal["auto", "train"] = "auto",
) -> TrainingReport:
    """Train `base` (`smollm2`, a folder, or a hub name) on `examples`; the result lies in `out_dir/model`.

    `catalogues` are by domain, None for the shipped ones; `rankers` by domain rank what prompts offer (see
    `run_rankers`), words do without; `usd_per_hour` is the price of this machine, for the cost of training in the
    report. With `adapter="auto"` a kept or shipped adapter of the very same training is
    taken instead (the report says so); `train` trains in any case.
    When memory runs out, batches are halved, gradients accumulated, and the report says so. A killed run goes on from
    its last checkpoint when called with the same arguments. Raises TrainingError for data without anything to learn
    from (naming records), a checkpoint or base that cannot be read, too little memory for one example, and a saved
    model that answers differently after a reload; WeightsError for a base that cannot be had.
    """
    from flowstudy.corpus.environments import catalogues_for

    recipe, teaching, out = recipe or Recipe(), teaching or Teaching(), Path(out_dir)
    if not examples:
        raise TrainingError("training split: expected at least one example, got none; write some")
    shelves = dict(catalogues or catalogues_for([*examples, *validation]))
    found = find_base(base)
    out.mkdir(parents=True, exist_ok=True)
    key = adapters.training_key(found, examples, shelves, recipe, teaching, rankers)
    kept = adapters.find(key, recipe.max_minutes) if adapter == "auto" else None
    if kept is not None:
        return adapters.take(kept, out, found)
    _forget_others(out / "checkpoints", key)
    keep_memory()
    passes = _passes(examples, shelves, recipe, teaching, rankers)
    judge = Judge(validation[: recipe.judged], shelves, teaching, rankers)
    with fresh_process() as fresh:
        loaded, report = _fit(found, passes, judge, out, recipe)
        report.cost_usd = None if usd_per_hour is None else round(report.seconds / 3600 * usd_per_hour, 6)
        _check_reload(fresh, loaded, passes[0][: recipe.reloads], report)
        report.write(out / "report.json")
    adapters.keep(key, out, recipe.max_minutes if report.stopped.startswith("time limit") else None)
    return report


def _forget_others(checkpoints: Path, key: str) -> None:
    """Delete the checkpoints of another training in the same folder: going on from them would mix the two."""
    mark = checkpoints / "key.txt"
    if mark.exists() and mark.read_text(encoding="utf-8") != key:
        shutil.rmtree(checkpoints)
    checkpoints.mkdir(parents=True, exist_ok=True)
    mark.write_text(key, encoding="utf-8")


def _passes(
    examples: Sequence[Example], catalogues: Mapping[str, Catalogue], recipe: Recipe, teaching: Teaching,
    rankers: Mapping[str, Ranker] | None,
) -> list[list[Pair]]:  # fmt: skip
    """The pairs of each pass; as many passes as the recipe needs."""
    draw = partial(pairs, examples, catalogues, teaching, rankers=rankers, seed=recipe.seed)
    first = draw()
    passes = recipe.epochs if recipe.steps is None else recipe.steps * recipe.batch / max(1, len(first))
    more = range(1, math.ceil(passes))
    return [first, *(draw(number=number) for number in more)]


def _fit(
    base: Base, passes: list[list[Pair]], judge: Judge, out: Path, recipe: Recipe
) -> tuple[Loaded, TrainingReport]:
    """Train, in smaller and smaller pieces of a batch until memory is enough."""
    pieces = 1
    while True:
        loaded = load_base(base.source, recipe.method, recipe.engine, recipe.lora, recipe.seed, recipe.context)
        ready = prepare(passes, loaded.tokenizer, loaded.context, batch=recipe.batch, seed=recipe.seed)
        report = TrainingReport.before(out, base, recipe.method, loaded, ready)
        report.rate = recipe.rate or usual_rate(recipe.method, report.parameters)
        report.batch = _batch_text(recipe.batch, pieces)
        total = recipe.steps or max(1, round(recipe.epochs * len(passes[0]) / recipe.batch))
        tokens = ready.tokens * min(1.0, total * recipe.batch / len(ready.rows))
        report.estimate_s = round(min(recipe.max_minutes * 60, _estimate_s(loaded, ready, tokens)), 1)
        report.write(out / "before.json")
        print(
            f"{report.examples} prompts of {len(passes)} passes, {tokens:,.0f} tokens: {_in_words(report)}", flush=True
        )
        evaluations = max(1, min(recipe.evaluations, int(recipe.max_minutes // 10)))
        every = max(1, math.ceil(total / evaluations))
        split = recipe.batch // _at_once(ready, recipe.batch // pieces)
        settings = _settings(loaded, out, total, every, recipe, split, report.rate)
        watch = Watch(loaded, judge, out, report, base, total, every, recipe.max_minutes, recipe.patience)
        if _train(loaded, ready, watch, out, settings, recipe):
            return loaded, report
        if pieces * 2 > recipe.batch:
            raise TrainingError(f"fine-tune of {base.name}: out of memory with one example at a time; {_SMALLER}")
        pieces *= 2


def _at_once(ready: Prepared, most: int) -> int:
    """How many examples go through the model together: on a CPU so many that the longest fill `CPU_TOKENS`, which is as
    fast as more and takes a few gigabytes; gradients of an update are accumulated."""
    import torch

    longest = max(len(row["input_ids"]) for row in ready.rows)
    while not torch.cuda.is_available() and most > 1 and most * longest > CPU_TOKENS:
        most //= 2
    return most


def _estimate_s(loaded: Loaded, ready: Prepared, tokens: float) -> float:
    """Seconds that training will take, from one backward pass over one example; 0 where memory is too small for it."""
    import torch

    rows = ready.rows[:1]
    width = max(len(row["input_ids"]) for row in rows)
    ids = torch.zeros((len(rows), width), dtype=torch.long, device=loaded.model.device)
    started = time.monotonic()
    try:
        with torch.autocast(ids.device.type, torch.bfloat16, enabled=fast_bf16()):
            loaded.model(input_ids=ids, labels=ids).loss.backward()
    except (torch.OutOfMemoryError, RuntimeError):
        return 0.0
    finally:
        loaded.model.zero_grad(set_to_none=True)
    return tokens / (len(rows) * width) * (time.monotonic() - started)


def _in_words(report: TrainingReport) -> str:
    return f"about {report.estimate_s / 60:.0f} minutes here" if report.estimate_s else "duration not known"


def _batch_text(batch: int, pieces: int) -> str:
    if pieces == 1:
        return f"{batch} an update"
    return f"{batch} an update in {pieces} pieces of {batch // pieces}, since memory ran out"


def _train(loaded: Loaded, ready: Prepared, watch: Watch, out: Path, settings: Any, recipe: Recipe) -> bool:
    """Train until `watch` or the settings end it; False when memory ran out."""
    import torch
    from datasets import Dataset
    from safetensors import SafetensorError
    from transformers.trainer_callback import PrinterCallback

    report = watch.report
    own_loss = report.engine != "unsloth" and not torch.cuda.is_available()
    trainer = trainer_class(recipe.prompt_weight, watch.done, own_loss=own_loss)(
        model=loaded.model, processing_class=loaded.tokenizer, train_dataset=Dataset.from_list(ready.rows),
        args=settings, callbacks=[as_callback(watch)],
    )  # fmt: skip
    trainer.remove_callback(PrinterCallback)
    last = _last_checkpoint(out)
    if recipe.average:
        watch.average = Average(loaded.model)
    report.resumed_from = int(last.name.rpartition("-")[2]) if last else 0
    try:
        with progress(f"fine-tuning with {report.engine}", settings.max_steps - report.resumed_from) as watch.tick:
            trainer.train(resume_from_checkpoint=str(last) if last else None)
        report.seconds, here_s = watch.seconds(), watch.seconds() - watch.before_s
        report.steps = int(trainer.state.global_step)
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


def _settings(loaded: Loaded, out: Path, total: int, every: int, recipe: Recipe, pieces: int, rate: float) -> Any:
    import torch
    from trl import SFTConfig  # type: ignore[attr-defined]

    cuda = torch.cuda.is_available()
    return SFTConfig(
        output_dir=str(out / "checkpoints"), per_device_train_batch_size=recipe.batch // pieces,
        gradient_accumulation_steps=pieces, max_steps=total, learning_rate=rate, weight_decay=0.0,
        max_grad_norm=1.0, adam_beta2=0.99, seed=recipe.seed, data_seed=recipe.seed,
        logging_steps=max(1, min(10, total // 10)), save_strategy="steps", save_steps=every, save_total_limit=2,
        report_to=[], bf16=fast_bf16(), fp16=False, use_cpu=not cuda, max_length=loaded.context,
        neftune_noise_alpha=recipe.neftune, completion_only_loss=True,
        packing=cuda and find_spec("flash_attn") is not None, gradient_checkpointing=False, disable_tqdm=True,
        optim="adamw_torch", dataset_num_proc=1, dataloader_pin_memory=cuda,
    )  # fmt: skip


def _last_checkpoint(out: Path) -> Path | None:
    """The newest checkpoint that was written to the end (the trainer writes its state last)."""
    found = sorted((out / "checkpoints").glob("checkpoint-*"), key=lambda path: int(path.name.rpartition("-")[2]))
    whole = [path for path in found if (path / "trainer_state.json").exists()]
    return whole[-1] if whole else None


def _check_reload(fresh: Popen[str], loaded: Loaded, checks: Sequence[Pair], report: TrainingReport) -> None:
    """Ask the model in memory and the saved one in a fresh process; raise TrainingError when an answer differs.

    Merging an adapter rounds; what is compared is the beginning of each answer, short enough for that not to show.
    """
    import torch

    most = 24
    folder, prompts = Path(report.model_dir), [prompt_ids(loaded.tokenizer, pair.messages) for pair in checks]
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
    shutil.rmtree(folder.parent / "checkpoints", ignore_errors=True)

"""Fine-tune a model that outgrows one card: every process of `accelerate launch` holds a shard of it (FSDP).

    accelerate launch --config_file lib/flowstudy/profiles/fsdp/accelerate.yaml --num_processes 4 \\
        -m flowstudy.sharded --folder runs/gpu --base MODEL

It learns from the training split of a run whose notebook 01 is done, with the prompts of notebook 02, and leaves all
weights in `models/sharded` of the run. Serve that folder with vLLM and name it as `hosted_vllm/...` in study.yaml.
"""

from __future__ import annotations

import argparse
import json
import math
import os
from pathlib import Path
from typing import Any

from flowstudy.corpus import load_corpus
from flowstudy.corpus.prepare import read_catalogues
from flowstudy.files import write_json
from flowstudy.run_folder import open_run
from flowstudy.systems.slm import base_folder
from flowstudy.systems.slm.data import Teaching, pairs
from flowstudy.systems.slm.prepare import prepare
from flowstudy.systems.trained import run_rankers
from flowstudy.systems.weights import cache_home


def main(arguments: list[str] | None = None) -> None:
    """Train and save; the main process also writes `sharded.json` with what was done."""
    options = _parser().parse_args(arguments)
    run = open_run(options.folder)
    train = [e for e in load_corpus(run.require(run.corpus, "01_explore_data")) if e.split == "train"]
    passes = math.ceil(options.epochs)
    teaching, shelves = Teaching(k=options.suggestions), read_catalogues(run.catalogues)
    rankers = run_rankers(["trained"], cache_home() / "encoders", train, shelves, seed=options.seed)
    found = [pairs(train, shelves, teaching, rankers=rankers, seed=options.seed, number=n) for n in range(passes)]
    trainer, processes = _trainer(options, found, run.models / "sharded")
    trainer.train()
    trainer.save_model(str(run.models / "sharded"))
    if trainer.accelerator.is_main_process:
        losses = [round(entry["loss"], 4) for entry in trainer.state.log_history if "loss" in entry]
        facts = {
            "base": options.base, "examples": len(train), "steps": trainer.state.global_step, "losses": losses,
            "processes": processes, "sharded": str(trainer.accelerator.distributed_type).rpartition(".")[2],
        }  # fmt: skip
        write_json(run.models / "sharded" / "sharded.json", facts)
        print(json.dumps(facts))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="flowstudy.sharded")
    parser.add_argument("--folder", required=True, help="the run")
    parser.add_argument("--base", default="smollm2")
    parser.add_argument("--epochs", type=float, default=1.0)
    parser.add_argument("--steps", type=int, default=-1, help="updates; -1 for --epochs")
    parser.add_argument("--rate", type=float, default=1e-5)
    parser.add_argument("--batch", type=int, default=1, help="examples per process and update")
    parser.add_argument("--suggestions", type=int, default=8)
    parser.add_argument("--seed", type=int, default=7)
    return parser


def _trainer(options: argparse.Namespace, found: list[Any], out: Path) -> tuple[Any, int]:
    import torch
    from datasets import Dataset
    from transformers import AutoModelForCausalLM
    from trl import SFTConfig  # type: ignore[attr-defined]

    from flowstudy.systems.slm.tokenizer import load_tokenizer
    from flowstudy.systems.slm.trainers import trainer_class

    cuda, base = torch.cuda.is_available(), str(base_folder(options.base))
    tokenizer = load_tokenizer(base)
    tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.bfloat16 if cuda else torch.float32)
    context = min(int(getattr(model.config, "max_position_embeddings", 4096)), 4096)
    settings = SFTConfig(
        output_dir=str(out / "checkpoints"), per_device_train_batch_size=options.batch, learning_rate=options.rate,
        num_train_epochs=1.0, max_steps=options.steps, seed=options.seed, data_seed=options.seed,
        logging_steps=1, save_strategy="no", report_to=[], bf16=cuda, use_cpu=not cuda, max_length=context,
        completion_only_loss=True, packing=False, gradient_checkpointing=False, disable_tqdm=True,
    )  # fmt: skip
    rows = Dataset.from_list(prepare(found, tokenizer, context).rows)

    def done() -> float:
        return trainer.state.global_step / max(1, trainer.state.max_steps)

    made = trainer_class(0.0, done, own_loss=False)
    trainer: Any = made(model=model, processing_class=tokenizer, train_dataset=rows, args=settings)
    return trainer, int(os.environ.get("WORLD_SIZE", "1"))


if __name__ == "__main__":
    main()

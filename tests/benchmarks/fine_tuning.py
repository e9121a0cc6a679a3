"""Time a training step with Unsloth and with plain TRL and peft: `python -m tests.benchmarks.fine_tuning`.

The base has the shape of Mistral-Nemo-12B and random weights, so nothing is downloaded; `--shape tiny` tries the same
code on a processor. Each engine runs in a process of its own. Writes `gpu.csv` and `gpu.json` beside this file.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import pandas as pd

from flowstudy.corpus import shipped_corpus
from flowstudy.systems.slm.engines import Engine, Method
from flowstudy.systems.slm.recipe import Recipe

#: hidden, layers, heads, key-value heads, inner, head size, vocabulary (Mistral-Nemo-Base-2407's config.json)
SHAPES = {"nemo": (5120, 40, 32, 8, 14336, 128, 131072), "tiny": (64, 2, 4, 2, 128, 16, 4096)}
PACKAGES = ("torch", "transformers", "trl", "peft", "unsloth")


def make_base(shape: str, folder: Path) -> None:
    """A model folder with random weights and the tokenizer of the default base."""
    import torch
    from transformers import AutoTokenizer, MistralConfig, MistralForCausalLM

    from flowstudy.systems.slm import base_folder

    tokenizer = AutoTokenizer.from_pretrained(base_folder("smollm2"))
    hidden, layers, heads, shared, inner, size, vocabulary = SHAPES[shape]
    config = MistralConfig(
        hidden_size=hidden, num_hidden_layers=layers, num_attention_heads=heads, num_key_value_heads=shared,
        intermediate_size=inner, head_dim=size, vocab_size=vocabulary, max_position_embeddings=4096,
        sliding_window=None, pad_token_id=tokenizer.pad_token_id, bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )  # fmt: skip
    torch.manual_seed(0)
    torch.set_default_dtype(torch.bfloat16)
    MistralForCausalLM(config).save_pretrained(folder, safe_serialization=True)
    tokenizer.save_pretrained(folder)
    (folder / "README.md").write_text("---\nlicense: apache-2.0\n---\nRandom weights.\n", encoding="utf-8")


def one(engine: Engine, method: Method, base: str, steps: int) -> dict[str, Any]:
    """Train for `steps` updates; tokens per second and peak memory."""
    from flowstudy.systems.slm.train import fine_tune

    examples = [e for e in shipped_corpus() if e.domain == "hr" and e.split == "train"][:64]
    with tempfile.TemporaryDirectory() as out:
        recipe = Recipe(method, engine, steps=steps, batch=4, evaluations=1, reloads=0, max_minutes=60)
        report = fine_tune(base, examples, (), out, recipe, adapter="train")
    return {"tokens_per_s": report.tokens_per_s, "peak_memory_gb": report.peak_memory_gb, "last_loss": report.last_loss}


def main() -> None:
    """Every engine and method once, each in a fresh process."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", choices=list(SHAPES), default="nemo")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent)
    parser.add_argument("--one", nargs=3, metavar=("ENGINE", "METHOD", "BASE"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        engine, method, base = options.one
        print(json.dumps(one(engine, method, base, options.steps)))
        return
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        make_base(options.shape, Path(folder))
        for method in ("lora", "qlora") if options.shape == "nemo" else ("lora",):
            for engine in ("unsloth", "trl"):
                command = [sys.executable, "-m", "tests.benchmarks.fine_tuning", "--steps", str(options.steps)]
                done = subprocess.run([*command, "--one", engine, method, folder], capture_output=True, text=True)
                last = done.stdout.splitlines()[-1] if done.returncode == 0 else "{}"
                failed = " ".join(done.stderr.split())[-200:] if done.returncode else ""
                rows.append({"engine": engine, "method": method, **json.loads(last), "failed": failed})
                print(rows[-1], flush=True)
    write(rows, options.out, options.shape)


def write(rows: list[dict[str, Any]], folder: Path, shape: str) -> None:
    """The table, and when, on what and with what it was measured."""
    import torch

    card = torch.cuda.get_device_name(0) if torch.cuda.is_available() else "no GPU"
    facts = {
        "date": datetime.now(UTC).date().isoformat(), "shape": shape, "device": card,
        "versions": {name: metadata.version(name) for name in PACKAGES},
        "command": f"python -m tests.benchmarks.fine_tuning --shape {shape}",
    }  # fmt: skip
    pd.DataFrame(rows).to_csv(folder / "gpu.csv", index=False)
    (folder / "gpu.json").write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

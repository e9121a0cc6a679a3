"""Time answers one by one and in batches, the same prompts in one run: `python -m tests.benchmarks.generation`.

Measured on two cores with the seed model (2026-11-25, 32 prompts of 14,119 tokens, 1,563 tokens written): 202 tokens/s
one by one, 401 in one batch, 2.0 times. Reading the prompts takes 0.8 s of 7.7 one by one and 2.2 s of 3.9 together
(padding); writing alone is 4.1 times as fast (222 and 919 tokens/s). On a card: not run.

The model is the seed model, or the folder named by `--model`; prompts are those of hand-written validation examples.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from flowstudy.corpus.environments import catalogues_for
from flowstudy.corpus.written import shipped_corpus
from flowstudy.systems.slm import SEED_MODEL
from flowstudy.systems.slm.data import pairs
from flowstudy.systems.slm.generate import Generator


def measure(generator: Generator, prompts: Sequence[str], size: int, most: int) -> dict[str, float]:
    """Tokens per second when `size` prompts are given at a time."""
    started, tokens = time.perf_counter(), 0
    for first in range(0, len(prompts), size):
        tokens += sum(answer.tokens for answer in generator.generate(prompts[first : first + size], most))
    seconds = time.perf_counter() - started
    return {"at_a_time": size, "answers": len(prompts), "tokens": tokens, "seconds": round(seconds, 1),
            "tokens_per_s": round(tokens / seconds, 1)}  # fmt: skip


def main() -> None:
    """One row per batch size, and how much faster than one by one it is."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, default=SEED_MODEL)
    parser.add_argument("--prompts", type=int, default=32)
    parser.add_argument("--most", type=int, default=320, help="most new tokens")
    options = parser.parse_args()
    examples = [e for e in shipped_corpus() if e.split == "validation"][: options.prompts]
    prompts = [pair.prompt for pair in pairs(examples, catalogues_for(examples), k=8, complete=False)]
    generator = Generator(options.model)
    generator.generate(prompts[:2], 8)
    table = pd.DataFrame([measure(generator, prompts, size, options.most) for size in (1, 8, len(prompts))])
    table["times_one_by_one"] = (table["tokens_per_s"] / table["tokens_per_s"][0]).round(2)
    print(table.to_string(index=False))


if __name__ == "__main__":
    main()

"""Time answers one by one and in batches, the same prompts in one run: `python -m tests.benchmarks.generation`.

Measured on two cores with the seed model (2026-11-26, most 160 tokens), tokens/s. 128 prompts of 183 tokens: 295 one
by one, 2.8 times as many in batches of 8, 5.5 of 32, 6.7 all at once. 128 prompts of 461 tokens, one answer each: 260
one by one, then 2.1, 3.2 and 3.5 times (with the seed model before, 3.9 and 4.2). Several answers to each, as the
default study asks for (eight), since their prompt is read once: 16 prompts, 12 answers each, 254 one by one, 4.7 times
a prompt at a time, 6.6 times in batches of 64. Reading a prompt takes as long in a batch. Writing is bound by memory:
32 answers to prompts of 470 tokens read 123 MB of keys and values for each token, in 6 of the step's 11 ms, which is
what the machine can read (20 GB/s); in bfloat16 that took 0.8 of the time, not used. On a card: not run.

The model is the seed model, or the folder named by `--model`; prompts are those of hand-written training examples, with
one suggestion of each kind (short) and with eight, as the study asks; an eighth of them for several answers each.
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


def measure(generator: Generator, prompts: Sequence[str], size: int, most: int, candidates: int) -> dict[str, float]:
    """Tokens per second when `size` answers are asked for at a time, `candidates` of each prompt."""
    started, tokens = time.perf_counter(), 0
    asked = [(prompt, seed) for prompt in prompts for seed in range(candidates)]
    warmth = 0.0 if candidates == 1 else 0.7
    for first in range(0, len(asked), size):
        texts, seeds = zip(*asked[first : first + size], strict=True)
        tokens += sum(answer.tokens for answer in generator.generate(texts, most, temperature=warmth, seed=seeds))
    seconds = time.perf_counter() - started
    return {"at_a_time": size, "answers": len(asked), "tokens": tokens, "seconds": round(seconds, 1),
            "tokens_per_s": round(tokens / seconds, 1)}  # fmt: skip


def main() -> None:
    """For each kind of prompt one row per batch size, and how much faster than one by one it is."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, default=SEED_MODEL)
    parser.add_argument("--prompts", type=int, default=128)
    parser.add_argument("--most", type=int, default=160, help="most new tokens")
    options = parser.parse_args()
    examples = [e for e in shipped_corpus() if e.split == "train"][: options.prompts]
    generator = Generator(options.model)
    for suggestions, candidates in ((1, 1), (8, 1), (8, 12)):
        found = pairs(examples, catalogues_for(examples), k=suggestions, complete=False)
        prompts = [pair.prompt for pair in found][:: 1 if candidates == 1 else 8]
        generator.generate(prompts[:2], 8)
        sizes = (1, 8, 32, len(prompts)) if candidates == 1 else (1, candidates, 64)
        table = pd.DataFrame([measure(generator, prompts, size, options.most, candidates) for size in sizes])
        table.insert(
            0, "prompt_tokens", round(sum(len(generator.tokenizer(p)["input_ids"]) for p in prompts) / len(prompts))
        )
        table["times_one_by_one"] = (table["tokens_per_s"] / table["tokens_per_s"][0]).round(2)
        print(table.to_string(index=False))


if __name__ == "__main__":
    main()

"""From training pairs to token ids, and what must be known before a long run: is there anything to learn from?"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any, NamedTuple

from flowstudy.systems.slm.data import Pair


class TrainingError(ValueError):
    """Training data or a checkpoint that cannot be used; the message names records and says what to do."""


class Prepared(NamedTuple):
    """Token rows of a training set. `truncated` is the share of answers that were cut, `trainable` the smallest,
    median and largest number of tokens that count, `sample` one rendered example with the counting part marked."""

    rows: list[dict[str, list[int]]]
    tokens: int
    truncated: float
    trainable: tuple[int, int, int]
    sample: str


def encode(tokenizer: Any, pair: Pair) -> tuple[list[int], int]:
    """Token ids of a pair, with the tokens for beginning and end, and how many of them are the prompt.

    Prompt and answer are tokenized apart, exactly as when the model is asked, so that no token spans the border.
    """
    prompt = tokenizer(pair.prompt)["input_ids"]
    answer = tokenizer(pair.completion, add_special_tokens=False)["input_ids"]
    return [*prompt, *answer, tokenizer.eos_token_id], len(prompt)


def prepare(pairs: Sequence[Pair], tokenizer: Any, context: int) -> Prepared:
    """Rows with `input_ids` and `completion_mask`. An answer that does not fit in `context` is cut and counted.

    Raises TrainingError naming records: no pairs, a tokenizer without end token, a prompt that leaves no room, an
    empty answer.
    """
    if not pairs:
        raise TrainingError("training split: expected at least one example, got none; write or generate some")
    if tokenizer.eos_token_id is None:
        raise TrainingError("tokenizer: expected an end token, got none; set `eos_token` in the base model's tokenizer")
    rows, counts, cut = [], [], 0
    too_long: list[str] = []
    silent: list[str] = []
    for pair in pairs:
        ids, prompt = encode(tokenizer, pair)
        if prompt >= context:
            too_long.append(pair.id)
        elif not pair.completion.strip():
            silent.append(pair.id)
        cut += len(ids) > context
        ids = ids[:context]
        rows.append({"input_ids": ids, "completion_mask": [0] * min(prompt, context) + [1] * max(0, len(ids) - prompt)})
        counts.append(sum(rows[-1]["completion_mask"]))
    _refuse(too_long, f"a prompt below {context} tokens", "offer fewer suggestions (`k`) or shorten the requirement")
    _refuse(silent, "an answer with at least one token", "give these records a flow")
    sample = f"{pairs[0].prompt}>>>{pairs[0].completion}{tokenizer.eos_token}<<<"
    trainable = (min(counts), int(statistics.median(counts)), max(counts))
    return Prepared(rows, sum(len(row["input_ids"]) for row in rows), cut / len(rows), trainable, sample)


def _refuse(records: list[str], rule: str, fix: str) -> None:
    if records:
        shown = ", ".join(records[:5]) + (f" and {len(records) - 5} more" if len(records) > 5 else "")
        raise TrainingError(f"training records {shown}: expected {rule}; {fix}")

"""From training pairs to token ids, and what must be known before a long run: is there anything to learn from?"""

from __future__ import annotations

import random
import statistics
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from flowstudy.systems.slm.data import Pair
from flowstudy.systems.slm.template import TemplateError, end_token, prompt_ids

#: So many rows are sorted by length before they are cut into batches; between such groups the order is random.
WINDOW: Final = 64


class TrainingError(ValueError):
    """Training data or a checkpoint that cannot be used; the message names records and says what to do."""


class Prepared(NamedTuple):
    """Token rows of all passes in the order of training. `truncated` is the share of answers that were cut,
    `trainable` the smallest, median and largest number of answer tokens, `sample` one rendered example with the answer
    marked."""

    rows: list[dict[str, list[int]]]
    tokens: int
    truncated: float
    trainable: tuple[int, int, int]
    sample: str


def encode(tokenizer: Any, pair: Pair) -> tuple[list[int], int]:
    """Token ids of a pair with the token that ends an answer, and how many of them are the prompt.

    Prompt and answer are tokenized apart, exactly as when the model is asked, so that no token spans the border.
    """
    prompt = prompt_ids(tokenizer, pair.messages)
    answer = tokenizer(pair.completion, add_special_tokens=False)["input_ids"]
    return [*prompt, *answer, end_token(tokenizer)], len(prompt)


def prepare(
    passes: Sequence[Sequence[Pair]], tokenizer: Any, context: int, *, batch: int = 1, seed: int = 0
) -> Prepared:
    """Rows with `input_ids` and `completion_mask`, pass by pass, each shuffled and then put into batches of about the
    same length. An answer that does not fit in `context` is cut and counted.

    Raises TrainingError naming records: no pairs, a tokenizer without end token, a prompt that leaves no room, an
    empty answer.
    """
    if not passes or not passes[0]:
        raise TrainingError("training split: expected at least one example, got none; write some")
    rows, counts, cut, rng = [], [], 0, random.Random(seed)
    too_long: dict[str, int] = {}
    silent: list[str] = []
    for pairs in passes:
        fresh = []
        for pair in pairs:
            try:
                ids, prompt = encode(tokenizer, pair)
            except TemplateError as error:
                raise TrainingError(str(error)) from None
            if prompt >= context:
                too_long[pair.id] = prompt
            elif not pair.completion.strip():
                silent.append(pair.id)
            cut += len(ids) > context
            ids = ids[:context]
            mask = [0] * min(prompt, context) + [1] * max(0, len(ids) - prompt)
            fresh.append({"input_ids": ids, "completion_mask": mask})
            counts.append(sum(mask))
        rows += _in_batches(fresh, batch, rng)
    worst = [f"{name} ({size} tokens)" for name, size in sorted(too_long.items(), key=lambda item: -item[1])]
    _refuse(worst, f"a prompt below {context} tokens", "offer fewer suggestions (`k`) or shorten the requirement")
    _refuse(silent, "an answer with at least one token", "give these records a flow")
    ids, prompt = encode(tokenizer, passes[0][0])
    sample = f"{tokenizer.decode(ids[:prompt])}>>>{tokenizer.decode(ids[prompt:])}<<<"
    spread = (min(counts), int(statistics.median(counts)), max(counts))
    return Prepared(rows, sum(len(row["input_ids"]) for row in rows), cut / len(counts), spread, sample)


def _in_batches(rows: list[dict[str, list[int]]], batch: int, rng: random.Random) -> list[dict[str, list[int]]]:
    rng.shuffle(rows)
    found = []
    for start in range(0, len(rows), WINDOW):
        window = sorted(rows[start : start + WINDOW], key=lambda row: len(row["input_ids"]))
        groups = [window[place : place + batch] for place in range(0, len(window), batch)]
        rng.shuffle(groups)
        groups.sort(key=lambda group: len(group) < batch)  # an incomplete batch would shift the others
        found += [row for group in groups for row in group]
    return found


def _refuse(ids: Sequence[str], rule: str, fix: str) -> None:
    if ids:
        more = f" and {len(ids) - 3} more" if len(ids) > 3 else ""
        raise TrainingError(f"example {', '.join(ids[:3])}{more}: expected {rule}; {fix}")

"""Answers of a loaded transformers model: batches of similar length, greedy or sampled."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from flowstudy.systems.slm.grammar import Form, logits_processor
from flowstudy.systems.slm.template import end_token

#: How many tokens, prompts and answers, a batch may hold on a CPU and on a GPU.
BATCH_TOKENS: Final = {"cpu": 24_000, "cuda": 400_000}


class Completion(NamedTuple):
    """One answer. `finish_reason` is `stop` (the model ended) or `length`; `mean_logprob` is the mean log-probability
    of the tokens that were generated, None for an empty answer."""

    text: str
    finish_reason: str
    prompt_tokens: int
    tokens: int
    mean_logprob: float | None


def too_long(size: int, context: int) -> str:
    """What is wrong with a prompt of `size` tokens and what to do."""
    return f"expected fewer than {context} tokens, got {size}; offer fewer suggestions or shots"


def generate(
    model: Any, tokenizer: Any, prompts: Sequence[Sequence[int]], most: int = 512, *, temperature: float = 0.0,
    seed: int = 0, form: Form | None = None,
) -> list[Completion]:  # fmt: skip
    """One answer of at most `most` tokens for each prompt (token ids), in the same order, held to `form` if there is
    one.

    Raises ValueError naming the prompt (by place) that leaves no room for an answer, and GrammarError for a form that
    cannot be followed.
    """
    context = int(getattr(model.config, "max_position_embeddings", 2048))
    for place, ids in enumerate(prompts):
        if len(ids) >= context:
            raise ValueError(f"prompt {place}: {too_long(len(ids), context)}")
    order = sorted(range(len(prompts)), key=lambda place: -len(prompts[place]))
    found: dict[int, Completion] = {}
    room = BATCH_TOKENS["cuda" if str(model.device).startswith("cuda") else "cpu"]
    while order:
        size = max(1, room // (len(prompts[order[0]]) + most))
        batch, order = order[:size], order[size:]
        rows = [prompts[place] for place in batch]
        answers = _batch(model, tokenizer, rows, most, context, temperature, seed, form)
        found.update(zip(batch, answers, strict=True))
    return [found[place] for place in range(len(prompts))]


def _batch(
    model: Any, tokenizer: Any, rows: Sequence[Sequence[int]], most: int, context: int, temperature: float, seed: int,
    form: Form | None,
) -> list[Completion]:  # fmt: skip
    import torch

    end = end_token(tokenizer)
    width = max(map(len, rows))
    ids = torch.full((len(rows), width), end, dtype=torch.long)
    mask = torch.zeros_like(ids)
    for place, row in enumerate(rows):
        ids[place, width - len(row) :] = torch.tensor(list(row))
        mask[place, width - len(row) :] = 1
    drawn: dict[str, Any] = {"do_sample": True, "temperature": temperature} if temperature > 0 else {"do_sample": False}
    if form is not None:
        from transformers import LogitsProcessorList

        drawn["logits_processor"] = LogitsProcessorList([logits_processor(form, tokenizer, len(rows), width)])
    torch.manual_seed(seed)
    with torch.inference_mode():
        out = model.generate(
            input_ids=ids.to(model.device), attention_mask=mask.to(model.device), eos_token_id=end, pad_token_id=end,
            max_new_tokens=min(most, context - width), return_dict_in_generate=True, output_logits=True, use_cache=True,
            top_k=None, top_p=None, repetition_penalty=1.0, num_beams=1, **drawn,
        )  # fmt: skip
        new = out.sequences[:, width:]
        chances = torch.stack(
            [step.float().log_softmax(-1).gather(1, new[:, at, None])[:, 0] for at, step in enumerate(out.logits)], 1
        )
    return [
        _completion(tokenizer, len(row), one.tolist(), chance.tolist(), end)
        for row, one, chance in zip(rows, new, chances, strict=True)
    ]


def _completion(tokenizer: Any, prompt: int, ids: list[int], chances: list[float], end: int) -> Completion:
    ended = end in ids
    size = ids.index(end) + 1 if ended else len(ids)
    text = tokenizer.decode(ids[: size - 1] if ended else ids, skip_special_tokens=True)
    mean = sum(chances[:size]) / size if size else None
    return Completion(text, "stop" if ended else "length", prompt, size, mean)

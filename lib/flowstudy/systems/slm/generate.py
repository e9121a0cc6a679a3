"""Greedy (or sampled) generation with plain transformers (and peft for adapters): batched, sorted by length, cached
(see `reading`).

Log-probabilities are of the model's own distribution, also when sampling.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np

from flowstudy.systems.slm.grammar import SchemaGuide
from flowstudy.systems.slm.guide import Guide, Vocabulary
from flowstudy.systems.slm.loading import ModelError, check_template, load_model
from flowstudy.systems.slm.reading import Reading, tokens_in_memory

#: The share of a batch that must have ended before it goes on without them: leaving them out copies all that was read.
ENDED: Final = 0.3


class Completion(NamedTuple):
    """One answer. `finish_reason` is `stop` (the model ended) or `length`; `logprobs` has one entry per token
    generated, the end token included; `mean_logprob` is their mean, None for an empty answer."""

    text: str
    finish_reason: str
    prompt_tokens: int
    tokens: int
    mean_logprob: float | None
    logprobs: list[float]


def too_long(size: int, context: int) -> str:
    """What is wrong with a prompt of `size` tokens and what to do."""
    return f"expected fewer than {context} tokens, got {size}; offer fewer suggestions or shots"


class Generator:
    """A loaded model. One call at a time (use one thread). `batch_tokens` is how many tokens, prompts and answers, a
    batch may hold; None: what memory allows."""

    def __init__(self, folder: str | Path, *, device: str | None = None, batch_tokens: int | None = None) -> None:
        check_template(Path(folder))
        self._use(*load_model(folder, device=device), batch_tokens)

    @classmethod
    def of(cls, model: Any, tokenizer: Any, batch_tokens: int | None = None) -> Generator:
        """Generate with a model that is loaded already."""
        made = cls.__new__(cls)
        made._use(model, tokenizer, batch_tokens)
        return made

    def _use(self, model: Any, tokenizer: Any, batch_tokens: int | None) -> None:
        self.model, self.tokenizer, self.batch_tokens = model, tokenizer, batch_tokens or tokens_in_memory(model)
        self.context = int(getattr(model.config, "max_position_embeddings", 2048))
        self._end = _ends(model, tokenizer)
        self._pointers, self._texts = Vocabulary(tokenizer), dict[int, str]()

    def generate(
        self, prompts: Sequence[str], max_new_tokens: int = 512, *, temperature: float = 0.0,
        seed: int | Sequence[int] = 0,
        guided: bool = True, schema: str | None = None,
    ) -> list[Completion]:  # fmt: skip
        """One answer for each rendered prompt, in the same order. A prompt that is given several times is read once;
        above a `temperature` of 0, its answers differ when each has its own `seed`. `guided`: pointers that point at
        nothing are not written (see `guide`); prompts without numbered suggestions are not concerned. `schema`: a JSON
        schema that every answer follows (see `grammar`), as far as `max_new_tokens` reach.

        Raises ModelError naming the prompt (by place) that does not leave room for an answer, and GrammarError for a
        schema or tokenizer that cannot be used.
        """
        encoded = [self.tokenizer(text)["input_ids"] for text in prompts]
        for place, ids in enumerate(encoded):
            if len(ids) >= self.context:
                raise ModelError(f"prompt {place}: {too_long(len(ids), self.context)}")
        seeds = [seed] * len(prompts) if isinstance(seed, int) else list(seed)
        order = sorted(range(len(encoded)), key=lambda place: (len(encoded[place]), encoded[place]))
        answers: dict[int, Completion] = {}
        while order:
            batch = self._take(order, encoded, max_new_tokens)
            guides = self._guides([prompts[place] for place in batch], guided, schema)
            dice = [random.Random(seeds[place]) for place in batch] if temperature > 0 else []
            found = self._batch([encoded[place] for place in batch], guides, max_new_tokens, temperature, dice)
            answers.update(zip(batch, found, strict=True))
        return [answers[place] for place in range(len(encoded))]

    def _guides(self, prompts: list[str], guided: bool, schema: str | None) -> list[Guide] | list[SchemaGuide]:
        if schema is not None:
            return [SchemaGuide(schema, self.tokenizer) for _ in prompts]
        return [Guide(prompt, self._pointers) for prompt in prompts] if guided else []

    def _take(self, order: list[int], encoded: Sequence[Sequence[int]], room: int) -> list[int]:
        """The next prompts, of similar length, as many as fit in `batch_tokens`."""
        count = 1
        while count < len(order) and (count + 1) * (len(encoded[order[count]]) + room) <= self.batch_tokens:
            count += 1
        taken, order[:] = order[:count], order[count:]
        return taken

    def _batch(
        self, rows: list[list[int]], guides: list[Guide] | list[SchemaGuide], most: int, temperature: float,
        dice: list[random.Random],
    ) -> list[Completion]:  # fmt: skip
        import torch

        room = min(most, self.context - max(map(len, rows)))
        answers = [
            _Answer(guides[row] if guides else None, dice[row] if dice else None) for row in range(len(rows))
        ]  # fmt: skip
        live = answers
        with torch.inference_mode():
            reading = self._read(rows, room)
            for turn in range(room):
                chosen, chances = _choose(reading.logits, live, temperature)
                for answer, token, chance in zip(live, chosen.tolist(), chances.tolist(), strict=True):
                    if not answer.ended:
                        answer.add(token, chance, self._text_of(token), ended=token in self._end)
                going = [place for place, answer in enumerate(live) if not answer.ended]
                if not going or turn + 1 == room:
                    break
                if len(going) <= (1 - ENDED) * len(live):
                    live, chosen = [live[place] for place in going], chosen[going]
                    reading.keep(going)
                reading.write(chosen)
        return [self._completion(*parts) for parts in zip(rows, answers, strict=True)]

    def _read(self, rows: list[list[int]], room: int) -> Reading:
        """Read every prompt once, and lay it beside itself as often as it is to be answered."""
        different = {tuple(row): place for place, row in enumerate(dict.fromkeys(map(tuple, rows)))}
        reading = Reading.of(self.model, list(different), self.tokenizer.pad_token_id or 0, room)
        if len(different) < len(rows):
            reading.keep([different[tuple(row)] for row in rows])
        return reading

    def _text_of(self, token: int) -> str:
        if token not in self._texts:
            self._texts[token] = self.tokenizer.decode([token])
        return self._texts[token]

    def _completion(self, prompt: list[int], answer: _Answer) -> Completion:
        tokens, chances = answer.tokens, answer.chances
        text = self.tokenizer.decode(tokens[:-1] if answer.ended else tokens, skip_special_tokens=True)
        mean = sum(chances) / len(chances) if chances else None
        return Completion(text, "stop" if answer.ended else "length", len(prompt), len(tokens), mean, chances)


class _Answer:
    """An answer that is being written: its tokens with their log-probabilities, and whether it has ended. `dice` are
    its own, so that it does not depend on what else is in the batch."""

    def __init__(self, guide: Guide | SchemaGuide | None, dice: random.Random | None) -> None:
        self.guide, self.dice, self.ended = guide, dice, False
        self.tokens: list[int] = []
        self.chances: list[float] = []

    def add(self, token: int, chance: float, text: str, *, ended: bool) -> None:
        self.tokens.append(token)
        self.chances.append(chance)
        self.ended = ended
        if self.guide is not None:
            self.guide.wrote(token, text)


def _choose(logits: Any, answers: Sequence[_Answer], temperature: float) -> Any:
    """The next token of every answer and its log-probability, both (rows,)."""
    import torch

    spread = torch.log_softmax(logits.float(), dim=-1)
    allowed = _without(spread, [answer.guide for answer in answers])
    chosen = allowed.argmax(-1) if temperature <= 0 else _sample(allowed, temperature, answers)
    return chosen, spread.gather(-1, chosen[:, None])[:, 0]


def _without(spread: Any, guides: Sequence[Guide | SchemaGuide | None]) -> Any:
    """The log-probabilities with what the guides block at minus infinity."""
    import torch

    blocked = [(row, guide.blocked()) for row, guide in enumerate(guides) if guide is not None]
    blocked = [(row, ids) for row, ids in blocked if len(ids)]
    if not blocked:
        return spread
    rows = np.repeat([row for row, _ in blocked], [len(ids) for _, ids in blocked])
    columns = np.concatenate([ids for _, ids in blocked])
    allowed = spread.clone()
    allowed[torch.from_numpy(rows), torch.from_numpy(columns)] = float("-inf")
    return allowed


def _sample(spread: Any, temperature: float, answers: Sequence[_Answer]) -> Any:
    """One draw of each answer's own dice, looked up in the summed probabilities."""
    import torch

    draws = [answer.dice.random() if answer.dice else 0.5 for answer in answers]
    summed = (spread.double() / temperature).softmax(-1).cumsum(-1)
    at = torch.tensor(draws, dtype=summed.dtype, device=summed.device)[:, None] * summed[:, -1:]
    return torch.searchsorted(summed, at, right=True)[:, 0].clamp(max=summed.shape[-1] - 1)


def _ends(model: Any, tokenizer: Any) -> frozenset[int]:
    """Ids that end an answer, by tokenizer and generation config."""
    configured = getattr(getattr(model, "generation_config", None), "eos_token_id", None)
    many = configured if isinstance(configured, list) else [configured]
    return frozenset(t for t in (*many, tokenizer.eos_token_id) if t is not None)

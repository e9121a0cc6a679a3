"""Greedy (or sampled) generation with plain transformers (and peft for adapters): batched, sorted by length, cached.

Log-probabilities are of the model's own distribution, also when sampling. Nothing is downloaded here: a model is a
folder, or a name that the Hugging Face cache already has.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from flowstudy.systems.slm.grammar import SchemaGuide
from flowstudy.systems.slm.guide import Guide, Vocabulary
from flowstudy.systems.slm.template import template_hash


class Completion(NamedTuple):
    """One answer. `finish_reason` is `stop` (the model ended) or `length`; `logprobs` has one entry per token
    generated, the end token included; `mean_logprob` is their mean, None for an empty answer."""

    text: str
    finish_reason: str
    prompt_tokens: int
    tokens: int
    mean_logprob: float | None
    logprobs: list[float]


class ModelError(ValueError):
    """A model folder that cannot be used; the message names it and says what is wrong."""


def too_long(size: int, context: int) -> str:
    """What is wrong with a prompt of `size` tokens and what to do."""
    return f"expected fewer than {context} tokens, got {size}; offer fewer suggestions or shots"


class Generator:
    """A loaded model. One call at a time (use one thread)."""

    def __init__(self, folder: str | Path, *, device: str | None = None, batch_tokens: int = 24_000) -> None:
        check_template(Path(folder))
        self._use(*load_model(folder, device=device), batch_tokens)

    @classmethod
    def of(cls, model: Any, tokenizer: Any, batch_tokens: int = 24_000) -> Generator:
        """Generate with a model that is loaded already."""
        made = cls.__new__(cls)
        made._use(model, tokenizer, batch_tokens)
        return made

    def _use(self, model: Any, tokenizer: Any, batch_tokens: int) -> None:
        self.model, self.tokenizer, self.batch_tokens = model, tokenizer, batch_tokens
        self.context = int(getattr(model.config, "max_position_embeddings", 2048))
        self._end = _ends(model, tokenizer)
        self._pointers, self._texts = Vocabulary(tokenizer), dict[int, str]()

    def generate(
        self, prompts: Sequence[str], max_new_tokens: int = 512, *, temperature: float = 0.0, seed: int = 0,
        guided: bool = True, schema: str | None = None,
    ) -> list[Completion]:  # fmt: skip
        """One answer for each rendered prompt, in the same order. `guided`: pointers that point at nothing are not
        written (see `guide`); prompts without numbered suggestions are not concerned. `schema`: a JSON schema that
        every answer follows (see `grammar`), as far as `max_new_tokens` reach.

        Raises ModelError naming the prompt (by place) that does not leave room for an answer, and GrammarError for a
        schema or tokenizer that cannot be used.
        """
        encoded = [self.tokenizer(text)["input_ids"] for text in prompts]
        for place, ids in enumerate(encoded):
            if len(ids) >= self.context:
                raise ModelError(f"prompt {place}: {too_long(len(ids), self.context)}")
        order = sorted(range(len(encoded)), key=lambda place: len(encoded[place]))
        answers: dict[int, Completion] = {}
        while order:
            batch = self._take(order, encoded, max_new_tokens)
            guides = self._guides([prompts[place] for place in batch], guided, schema)
            found = self._batch([encoded[place] for place in batch], guides, max_new_tokens, temperature, seed)
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
        self, rows: list[list[int]], guides: list[Guide] | list[SchemaGuide], most: int, temperature: float, seed: int
    ) -> list[Completion]:
        import torch

        width = max(map(len, rows))
        pad, device = self.tokenizer.pad_token_id or 0, self.model.device
        ids = torch.tensor([[pad] * (width - len(row)) + row for row in rows], device=device)
        mask = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in rows], device=device)
        places = (mask.cumsum(-1) - 1).clamp(min=0)
        dice = torch.Generator(device=device).manual_seed(seed)
        written: list[list[int]] = [[] for _ in rows]
        chances: list[list[float]] = [[] for _ in rows]
        live, cache = list(range(len(rows))), None
        with torch.inference_mode():
            for _ in range(min(most, self.context - width)):
                out = self.model(
                    input_ids=ids, attention_mask=mask, position_ids=places, past_key_values=cache, use_cache=True,
                    logits_to_keep=1,
                )  # fmt: skip
                cache = out.past_key_values
                spread = torch.log_softmax(out.logits[:, -1].float(), dim=-1)
                allowed = _without(spread, [guides[row] for row in live] if guides else ())
                chosen = allowed.argmax(-1) if temperature <= 0 else _sample(allowed, temperature, dice)
                for row, token, chance in zip(
                    live, chosen.tolist(), spread.gather(-1, chosen[:, None])[:, 0].tolist(), strict=True
                ):
                    written[row].append(token)
                    chances[row].append(chance)
                    if guides:
                        guides[row].wrote(token, self._text_of(token))
                going = [place for place, row in enumerate(live) if written[row][-1] not in self._end]
                if not going:
                    break
                if len(going) < len(live):  # an answer that has ended is computed no further
                    live, kept = [live[place] for place in going], torch.tensor(going, device=device)
                    chosen, places, mask = chosen[kept], places[kept], mask[kept]
                    cache.batch_select_indices(kept)
                ids, places = chosen[:, None], places[:, -1:] + 1
                mask = torch.cat([mask, mask.new_ones(len(live), 1)], dim=1)
        return [self._completion(*parts) for parts in zip(rows, written, chances, strict=True)]

    def _text_of(self, token: int) -> str:
        if token not in self._texts:
            self._texts[token] = self.tokenizer.decode([token])
        return self._texts[token]

    def _completion(self, prompt: list[int], tokens: list[int], chances: list[float]) -> Completion:
        ended = bool(tokens) and tokens[-1] in self._end
        text = self.tokenizer.decode(tokens[:-1] if ended else tokens, skip_special_tokens=True)
        mean = sum(chances) / len(chances) if chances else None
        return Completion(text, "stop" if ended else "length", len(prompt), len(tokens), mean, chances)


def _without(spread: Any, guides: Sequence[Guide | SchemaGuide]) -> Any:
    """The log-probabilities with what the guides block at minus infinity."""
    blocked = [guide.blocked() for guide in guides]
    if not any(len(ids) for ids in blocked):
        return spread
    allowed = spread.clone()
    for row, ids in enumerate(blocked):
        allowed[row, ids] = float("-inf")
    return allowed


def _sample(spread: Any, temperature: float, dice: Any) -> Any:
    import torch

    return torch.multinomial((spread / temperature).softmax(-1), 1, generator=dice)[:, 0]


def _ends(model: Any, tokenizer: Any) -> frozenset[int]:
    """Ids that end an answer, by tokenizer and generation config."""
    configured = getattr(getattr(model, "generation_config", None), "eos_token_id", None)
    many = configured if isinstance(configured, list) else [configured]
    return frozenset(t for t in (*many, tokenizer.eos_token_id) if t is not None)


def load_model(folder: str | Path, *, device: str | None = None) -> tuple[Any, Any]:
    """Model and tokenizer of a folder, adapters on top of their base. float32 on a CPU, bfloat16 on a GPU.

    Raises ModelError naming the folder when files are missing, cut short or of another shape.
    """
    import torch
    from safetensors import SafetensorError
    from transformers import AutoModelForCausalLM

    from flowstudy.systems.slm.tokenizer import load_tokenizer

    folder = Path(folder)
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    dtype = torch.bfloat16 if device.startswith("cuda") else torch.float32
    try:
        adapter = folder / "adapter_config.json"
        if adapter.exists():
            from peft import PeftModel

            config = json.loads(adapter.read_text(encoding="utf-8"))
            name = config["base_model_name_or_path"]
            base = AutoModelForCausalLM.from_pretrained(name, dtype=dtype, local_files_only=True)
            model: Any = PeftModel.from_pretrained(base, str(folder))
        else:
            model = AutoModelForCausalLM.from_pretrained(str(folder), dtype=dtype, local_files_only=True)
        tokenizer = load_tokenizer(folder)
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        raise ModelError(f"model {folder}: expected a saved model or adapter, got: {str(error)[:300]}") from None
    return model.to(device).eval(), tokenizer


def check_template(folder: Path) -> None:
    """Raise ModelError when a tuned model was trained with another template than the one that asks it now."""
    path = folder / "flowstudy.json"
    if not path.exists():
        return
    trained = json.loads(path.read_text(encoding="utf-8")).get("template_hash")
    if trained != template_hash():
        wanted = template_hash()[:12]
        raise ModelError(f"model {folder}: expected template {wanted}, got {str(trained)[:12]}; fine-tune again")


def fingerprint(folder: str | Path) -> str:
    """SHA-256 over the weights, configs and tokenizer of a model folder, for keys and manifests."""
    import hashlib

    digest = hashlib.sha256()
    for path in sorted(Path(folder).glob("*")):
        if path.suffix in (".safetensors", ".json") and path.name not in ("training.json",):
            digest.update(path.name.encode() + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()

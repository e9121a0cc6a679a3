"""Constrained decoding: only tokens that can still end in a text of the wanted form are written.

The form comes with the request (`response_format`): a JSON schema with `decoding: schema`, any object with `decoding:
json`, a regular expression over the offered names with `decoding: grammar`. OpenVINO follows it with xgrammar, the
loop of transformers with llguidance.
"""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any, Final, Literal, NamedTuple

ANY_OBJECT: Final = '{"type": "object"}'


class GrammarError(ValueError):
    """A form or tokenizer that decoding cannot be constrained with."""


class Form(NamedTuple):
    """What an answer must look like: a JSON schema or a regular expression, as text."""

    kind: Literal["schema", "regex"]
    text: str


def form_of(response_format: dict[str, Any] | None) -> Form | None:
    """The form that a `response_format` asks for; None when answers are free."""
    if not response_format or response_format.get("type") == "text":
        return None
    if response_format.get("type") == "json_schema":
        return Form("schema", json.dumps(response_format["json_schema"]["schema"], sort_keys=True))
    if response_format.get("type") == "grammar":
        return Form("regex", str(response_format["value"]))
    return Form("schema", ANY_OBJECT)


def logits_processor(form: Form, tokenizer: Any, rows: int, prompt: int) -> Any:
    """A LogitsProcessor of transformers that holds `rows` answers, each after `prompt` tokens, to the form.

    Raises GrammarError for a form that llguidance does not take.
    """
    import llguidance.torch
    import torch
    from llguidance import LLMatcher
    from transformers import LogitsProcessor

    vocabulary = _vocabulary(tokenizer)
    matchers = [LLMatcher(vocabulary, _grammar(form)) for _ in range(rows)]
    if matchers[0].get_error():
        raise GrammarError(f"form: expected one that llguidance takes, got: {matchers[0].get_error()[:300]}")

    class Held(LogitsProcessor):
        """Masks what may not come next; an answer that is complete may only end."""

        def __call__(self, input_ids: Any, scores: Any) -> Any:
            mask = llguidance.torch.allocate_token_bitmask(rows, vocabulary.vocab_size)
            for row, matcher in enumerate(matchers):
                if input_ids.shape[1] > prompt and not matcher.is_stopped():
                    matcher.consume_token(int(input_ids[row, -1]))
                if matcher.is_stopped():
                    scores[row] = float("-inf")
                    scores[row, tokenizer.eos_token_id] = 0.0
                else:
                    llguidance.torch.fill_next_token_bitmask(matcher, mask, row)
                    allowed = _bits(torch, mask[row], scores.shape[1]).to(scores.device)
                    scores[row] = scores[row].masked_fill(~allowed, float("-inf"))
            return scores

    return Held()


def _bits(torch: Any, words: Any, size: int) -> Any:
    """One flag for each of `size` logits: models often have more than their tokenizer has tokens, and those are out."""
    found = ((words[:, None] >> torch.arange(32)) & 1).bool().flatten()[:size]
    return torch.nn.functional.pad(found, (0, size - len(found)))


@lru_cache(maxsize=64)
def _grammar(form: Form) -> str:
    from llguidance import LLMatcher

    if form.kind == "regex":
        return str(LLMatcher.grammar_from_regex(form.text))
    return str(LLMatcher.grammar_from_json_schema(form.text, defaults={"whitespace_flexible": False}))


@lru_cache(maxsize=4)
def _vocabulary(tokenizer: Any) -> Any:
    import llguidance.hf

    try:
        return llguidance.hf.from_tokenizer(tokenizer)
    except (ValueError, TypeError, RuntimeError) as error:
        raise GrammarError(f"tokenizer: expected one that llguidance reads, got: {str(error)[:300]}") from None

"""Constrained decoding for JSON answers, by llguidance: only tokens that can still end in valid JSON are written.

The JSON schema comes with the request (`response_format`): with `decoding: schema` it holds the offered catalogue
names, with `decoding: json` any object is valid.
"""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any, Final

import numpy as np

ANY_OBJECT: Final = '{"type": "object"}'


class GrammarError(ValueError):
    """A schema or tokenizer that decoding cannot be constrained with."""


def schema_of(response_format: dict[str, Any] | None) -> str | None:
    """The JSON schema, as text, of an OpenAI `response_format`; None when answers are free."""
    if not response_format or response_format.get("type") == "text":
        return None
    if response_format.get("type") == "json_schema":
        return json.dumps(response_format["json_schema"]["schema"], sort_keys=True)
    return ANY_OBJECT


class SchemaGuide:
    """Follows one answer token by token and says which tokens may not come next; see `guide.Guide`."""

    def __init__(self, schema: str, tokenizer: Any) -> None:
        from llguidance import LLMatcher

        self._vocabulary = _vocabulary(tokenizer)
        self._size, self._end = len(tokenizer), tokenizer.eos_token_id
        self._matcher = LLMatcher(self._vocabulary, _grammar(schema))
        if self._matcher.get_error():
            raise GrammarError(f"schema: expected one that llguidance takes, got: {self._matcher.get_error()[:300]}")

    def wrote(self, token: int, text: str) -> None:
        """Take note of the token that was chosen."""
        if not self._matcher.is_stopped():
            self._matcher.consume_token(token)

    def blocked(self) -> np.ndarray:
        """Ids of the tokens that lead out of the schema here; all but the end token once the answer is complete."""
        import llguidance.numpy

        if self._matcher.is_stopped():
            return np.delete(np.arange(self._size), self._end)
        mask = llguidance.numpy.allocate_token_bitmask(1, self._vocabulary.vocab_size)
        llguidance.numpy.fill_next_token_bitmask(self._matcher, mask, 0)
        allowed = np.unpackbits(mask[0].view(np.uint8), bitorder="little")[: self._size]
        return np.nonzero(allowed == 0)[0]


@lru_cache(maxsize=64)
def _grammar(schema: str) -> str:
    from llguidance import LLMatcher

    return str(LLMatcher.grammar_from_json_schema(schema, defaults={"whitespace_flexible": False}))


@lru_cache(maxsize=4)
def _vocabulary(tokenizer: Any) -> Any:
    import llguidance.hf

    try:
        return llguidance.hf.from_tokenizer(tokenizer)
    except (ValueError, TypeError, RuntimeError) as error:
        raise GrammarError(f"tokenizer: expected one that llguidance reads, got: {str(error)[:300]}") from None

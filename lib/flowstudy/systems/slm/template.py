"""The one place where messages become the text that a small model reads, in training and in serving alike."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, Final

#: What a base without a chat template gets: roles as headings, one blank line between messages.
PLAIN: Final = (
    "{% for message in messages %}### {{ message['role'] | capitalize }}\n{{ message['content'] }}\n\n{% endfor %}"
    "{% if add_generation_prompt %}### Assistant\n{% endif %}"
)


class TemplateError(ValueError):
    """A chat template that cannot be rendered; the message names the model and says what is wrong."""


def prompt_text(tokenizer: Any, messages: Sequence[Mapping[str, str]]) -> str:
    """The prompt as text, in the model's own chat template, ending where the answer begins.

    A template that takes no system message gets its text at the beginning of the first user message. Templates write
    their own special tokens, also the one at the beginning: tokenize the text with `add_special_tokens=False`. Raises
    TemplateError when the template cannot be rendered.
    """
    said = [{"role": str(m["role"]), "content": str(m["content"])} for m in messages if m.get("content")]
    template = tokenizer.chat_template or PLAIN
    try:
        return _rendered(tokenizer, said, template)
    except _errors() as error:
        if said and said[0]["role"] == "system" and len(said) > 1:
            first = {**said[1], "content": f"{said[0]['content']}\n\n{said[1]['content']}"}
            try:
                return _rendered(tokenizer, [first, *said[2:]], template)
            except _errors():
                pass
        name = getattr(tokenizer, "name_or_path", "") or "tokenizer"
        raise TemplateError(
            f"chat template of {name}: expected one that renders system, user and assistant messages, got: "
            f"{str(error)[:200]}; name a base with another template"
        ) from None


def _rendered(tokenizer: Any, messages: Sequence[Mapping[str, str]], template: str) -> str:
    # families that may think before they answer are told not to; other templates ignore the word
    return str(
        tokenizer.apply_chat_template(
            list(messages), chat_template=template, tokenize=False, add_generation_prompt=True, enable_thinking=False
        )
    )


def _errors() -> tuple[type[Exception], ...]:
    from jinja2 import TemplateError as JinjaError

    return (JinjaError, ValueError, TypeError, KeyError)


def prompt_ids(tokenizer: Any, messages: Sequence[Mapping[str, str]]) -> list[int]:
    """Token ids of the prompt, exactly one token for the beginning where the model has one."""
    text = prompt_text(tokenizer, messages)
    ids = list(tokenizer(text, add_special_tokens=False)["input_ids"])
    bos = tokenizer.bos_token_id
    if tokenizer.chat_template is None and bos is not None and tokenizer("a")["input_ids"][:1] == [bos]:
        return [bos, *ids]
    return ids


def end_token(tokenizer: Any) -> int:
    """The token that ends an answer: what the chat template writes after it, or the tokenizer's end token.

    Raises TemplateError for a tokenizer with neither.
    """
    marker = "\u0002answer\u0002"
    template = tokenizer.chat_template
    if template is not None:
        turns = [{"role": "user", "content": "?"}, {"role": "assistant", "content": marker}]
        try:
            text = str(tokenizer.apply_chat_template(turns, tokenize=False, enable_thinking=False))
        except _errors():
            text = ""
        tail = tokenizer(text.rpartition(marker)[2], add_special_tokens=False)["input_ids"] if marker in text else []
        special = set(tokenizer.all_special_ids) | set(tokenizer.added_tokens_decoder)
        for token in tail[:2]:
            if token in special:
                return int(token)
    if tokenizer.eos_token_id is None:
        raise TemplateError("tokenizer: expected an end token, got none; set `eos_token` in the base's tokenizer")
    return int(tokenizer.eos_token_id)


def template_hash(tokenizer: Any) -> str:
    """SHA-256 of a rendered conversation; kept with every tuned model and compared when it is served."""
    probe = [{"role": "system", "content": "S"}, {"role": "user", "content": "U"}]
    return hashlib.sha256(prompt_text(tokenizer, probe).encode()).hexdigest()

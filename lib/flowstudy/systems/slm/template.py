"""The one place where messages become the text that a small model reads, in training and in serving alike."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Mapping, Sequence


def render_messages(messages: Sequence[Mapping[str, str]]) -> str:
    """The prompt text: the contents in order, one below the other, and a line break. No special token is in it:
    the tokenizer adds the one at the beginning, so that it cannot be there twice.

    >>> render_messages([{"role": "system", "content": "Write."}, {"role": "user", "content": "Flow:"}])
    'Write.\\nFlow:\\n'
    """
    return "\n".join(str(m["content"]).strip("\n") for m in messages if m.get("content")) + "\n"


def template_hash() -> str:
    """SHA-256 of the code of `render_messages`; stored with every tuned model and compared when it is served."""
    return hashlib.sha256(inspect.getsource(render_messages).encode()).hexdigest()

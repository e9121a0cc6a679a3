"""How the published measure reads a text: what counts as the JSON, and what becomes an empty flow.

Source of the rules: the code published with arXiv 2503.21889 (StarFlow), described in our own words.
"""

from __future__ import annotations

import json
from typing import Any, Final

from flowstudy.metrics.limits import UnreadableFlow

_FENCE: Final = "```json"
_TICKS: Final = "```"


def read_published(text: str, record: str = "the flow") -> Any:
    """The JSON value that the published measure sees in `text`; an empty flow if the text is not JSON.

    With a "```json" anywhere, only the part between its first occurrence and the last "```" counts. Texts on which
    the published code stops its whole batch (nesting too deep to decode, integers of more than 4,300 digits, other
    types than `str`) raise `UnreadableFlow` naming `record`.

    >>> read_published('Sure! ```json {"components": []} ```')
    {'components': []}
    >>> read_published("no flow at all")
    {'trigger': None, 'components': []}
    """
    body = published_body(checked_text(text, record))
    try:
        return json.loads(body)
    except json.JSONDecodeError:
        return {"trigger": None, "components": []}
    except RecursionError:
        raise _undecodable(record, "JSON nested at most a few hundred levels deep", "deeper nesting") from None
    except ValueError as error:
        raise _undecodable(record, "integers of at most 4,300 digits", str(error)) from None


def published_body(text: str) -> str:
    """The part of a text that the published measure takes for JSON."""
    if _FENCE in text:
        text = text[text.find(_FENCE) + len(_FENCE) : text.rfind(_TICKS)]
    return text.strip().removeprefix(_FENCE).removesuffix(_TICKS).strip()


def checked_text(text: Any, record: str) -> str:
    """The text itself; `UnreadableFlow` naming `record` for any other type."""
    if not isinstance(text, str):
        kind = type(text).__name__
        raise UnreadableFlow(f"unreadable text for {record}: expected a str, got {kind}; pass the raw model text")
    return text


def _undecodable(record: str, rule: str, got: str) -> UnreadableFlow:
    return UnreadableFlow(f"undecodable JSON for {record}: expected {rule}, got {got}; drop or shorten this record")

"""The call journal: every answered call, so that a killed prediction of many calls does not pay twice."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

from flowstudy.systems.journal import Journal, JournalError, read_lines
from flowstudy.systems.records import Call

CALL_SCHEMA: Final = "flowstudy/call/1"
Outcome = Literal["ok", "refused", "truncated", "provider_error", "budget_stop"]


class Reply(NamedTuple):
    """What became of one request: the text, what is recorded of the call, and how it ended."""

    text: str
    call: Call
    outcome: Outcome


class Request(NamedTuple):
    """One request before the model's family has its say; `params` are those asked for."""

    stage: str
    messages: list[dict[str, str]]
    params: dict[str, Any]
    prompt_hash: str = ""
    repeat: int = 0


def call_key(model: str, base: str | None, request: Request, sent: dict[str, Any], fingerprint: str) -> str:
    """SHA-256 of everything that decides an answer. A change of any part gives another key."""
    parts = [
        CALL_SCHEMA, model, base, request.stage, request.messages, request.params, sent, request.prompt_hash,
        fingerprint, request.repeat,
    ]  # fmt: skip
    return hashlib.sha256(json.dumps(parts, sort_keys=True, ensure_ascii=True).encode()).hexdigest()


class CallCache:
    """Answered calls by key. Texts stay on disk: memory holds keys and places only."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._journal = Journal(self.path)
        self._places: dict[str, int] = {}
        self.spent_usd = 0.0
        try:
            self._index()
        except JournalError:
            self._journal.close()
            raise

    def _index(self) -> None:
        for record in read_lines(self.path, with_place=True):
            self._places[record["key"]] = record["_place"]
            self.spent_usd += record["call"].get("cost_usd") or 0.0

    def find(self, key: str) -> Reply | None:
        """The stored reply of an earlier run, marked as a cache hit and without latency; None when there is none."""
        place = self._places.get(key)
        if place is None:
            return None
        with self.path.open("rb") as file:
            file.seek(place)
            record = json.loads(file.readline())
        call = Call.model_validate({**record["call"], "cache_hit": True, "latency_s": None})
        return Reply(record["text"], call, record["outcome"])

    def store(self, reply: Reply, messages: list[dict[str, str]]) -> None:
        """Keep an answer for later runs."""
        call = reply.call.model_dump(mode="json", exclude_none=True)
        record = {"schema": CALL_SCHEMA, "key": reply.call.key, "outcome": reply.outcome, "text": reply.text}
        self._journal.append({**record, "call": call, "messages": messages})

    def close(self) -> None:
        self._journal.close()

    def __enter__(self) -> CallCache:
        return self

    def __exit__(self, *error: object) -> None:
        self._journal.__exit__(*error)  # type: ignore[arg-type]

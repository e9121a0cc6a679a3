"""A load test: how long answers of a model of one's own take with 1, 4, 16, 32 of them in flight, and how many a second
come out. A single call says little about a host that works on many together."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import pandas as pd

from flowstudy.files import hash_json, write_json
from flowstudy.progress import progress
from flowstudy.systems import wire
from flowstudy.systems.background import each, wait_for
from flowstudy.systems.capabilities import UNTUNED, family_of
from flowstudy.systems.llm import Client
from flowstudy.systems.pipeline import answer_async
from flowstudy.systems.records import SystemSpec
from flowstudy.systems.slm.variants import asks_variant
from flowstudy.systems.tasks import Task

#: Requests of a level at the least, however few are in flight, and the seconds after which a level asks no more.
LEAST: Final = 8
MOST_S: Final = 30.0
COLUMNS: Final = [
    "system", "in_flight", "requests", "failed", "seconds", "requests_per_s", "tokens_per_s", "p50_s", "p95_s",
]  # fmt: skip


def is_own_host(spec: SystemSpec) -> bool:
    """Whether a system asks a model on a machine of one's own that may be put to work: served here, by vLLM or Ollama,
    or at an `api_base` of this machine (another may send a bill). No untuned base, no model that was trained to answer
    a question about training."""
    family = family_of(spec.model)
    here = spec.api_base is not None and wire.is_loopback(spec.api_base)
    own = family is not None and (family.local or here)
    return own and spec.model != UNTUNED and not asks_variant(spec)


def load_test(
    spec: SystemSpec, tasks: Sequence[Task], path: str | Path, levels: Sequence[int] = (1, 4, 16, 32), *,
    timeout_s: float | None = None, most_s: float = MOST_S,
) -> pd.DataFrame:  # fmt: skip
    """Ask the first tasks again, without journal, cache or budget, at each level of requests in flight.

    One row per level: system, in_flight (no more than the family of the model takes), requests (as many as the level,
    at least `LEAST`, fewer where `most_s` seconds were over before they began; each level begins with tasks that the
    one before did not ask, so that no prefix cache answers), failed (those without an answer, left out of the rest),
    seconds (of the level), requests_per_s, tokens_per_s (read and written), p50_s and p95_s (seconds of one answer,
    waiting included; NaN where none came). The table is kept at `path`: the same test of the same model is not run
    again. Empty without tasks or levels. Raises ValueError for a level below 1 and for a model that is not on a host of
    one's own (`is_own_host`).
    """
    if any(level < 1 for level in levels):
        raise ValueError(f"load test of {spec.name}: expected levels of at least 1 request in flight, got {levels}")
    if not is_own_host(spec):
        raise ValueError(f"load test of {spec.name}: expected a model on a host of one's own, got {spec.model}")
    path = Path(path)
    key = hash_json([[task.key for task in tasks], list(levels), wire.model_fingerprint(spec.model), spec.api_base])
    kept = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    if kept.get("key") == key:
        return pd.DataFrame(kept["rows"], columns=COLUMNS)
    rows, begin = [], 0
    levels = levels if tasks else ()
    if levels:
        short = spec.model_copy(update={"max_tokens": 1})
        _level(short, [tasks[-1]._replace(spec=short)], 1, timeout_s, most_s)  # loads the model, warms the connection
    with progress(f"load test of {spec.name}", sum(max(level, LEAST) for level in levels)) as tick:
        for level in levels:
            count = max(level, LEAST)
            asked = [tasks[(begin + place) % len(tasks)] for place in range(count)]
            rows.append({"system": spec.name, **_level(spec, asked, level, timeout_s, most_s)})
            begin += count
            tick(count)
    write_json(path, {"key": key, "rows": rows})
    return pd.DataFrame(rows, columns=COLUMNS)


def _level(
    spec: SystemSpec, tasks: Sequence[Task], level: int, timeout_s: float | None, most_s: float
) -> dict[str, float | None]:
    client = Client.of(spec, max_in_flight=level, timeout_s=timeout_s)
    took_s: list[float] = []
    tokens: list[int] = []
    asked = 0

    async def work(task: Task) -> None:
        nonlocal asked
        begun = time.monotonic()
        if begun - started > most_s:
            return
        asked += 1
        found = await answer_async(task, client)
        if found.is_answer:
            took_s.append(time.monotonic() - begun)
            tokens.append(sum((call.prompt_tokens or 0) + (call.completion_tokens or 0) for call in found.calls))

    started = time.monotonic()
    wait_for(each(tasks, work, level))
    seconds = time.monotonic() - started
    p50_s, p95_s = pd.Series(took_s).quantile([0.5, 0.95]) if took_s else (None, None)
    return {
        "in_flight": min(level, client.limiter.cap), "requests": asked, "failed": asked - len(took_s),
        "seconds": round(seconds, 3), "requests_per_s": round(len(took_s) / seconds, 4),
        "tokens_per_s": round(sum(tokens) / seconds, 1),
        "p50_s": p50_s, "p95_s": p95_s,
    }  # fmt: skip

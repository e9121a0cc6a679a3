"""JSON out of model text: as it stands, in a fence, within prose, or with mended syntax."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any, Final

import json_repair

#: Longer text is not searched for repairable JSON: the repairer is slow on long garbage.
MAX_REPAIR_CHARS: Final = 200_000


def _no_constant(name: str) -> Any:
    raise ValueError(f"expected finite numbers, got {name}")


_strict_json: Final = json.JSONDecoder(parse_constant=_no_constant)


def load_json(text: str, repairs: list[str]) -> Any:
    """The JSON value in a text; the repairs that it took are added to `repairs`. Raises ValueError saying why there is
    none, RecursionError for deep nesting."""
    body = text.strip()
    attempts: list[Callable[[], tuple[Any, list[str]]]] = [
        lambda: (_strict_json.decode(body), []),
        lambda: _from_fence(body),
        lambda: _from_prose(body),
        lambda: _mended(body),
    ]
    reason: ValueError = ValueError("no JSON object and no outline in the text")
    for number, attempt in enumerate(attempts):
        try:
            value, made = attempt()
        except ValueError as error:
            reason = error if number == 0 else reason
            continue
        repairs += made
        return value
    raise reason


def _from_fence(body: str) -> tuple[Any, list[str]]:
    found = [(_strict_json.decode(block.strip())) for block in re.findall(r"```\w*\s*\n(.*?)```", body, re.DOTALL)]
    flows = [value for value in found if isinstance(value, dict | list)]
    if not flows:
        raise ValueError("no fenced JSON")
    outside = re.sub(r"```\w*\s*\n(.*?)```", "", body, flags=re.DOTALL).strip()
    return flows[-1], ["fence_removed", *(["prose_removed"] if outside or len(flows) > 1 else [])]


def _from_prose(body: str) -> tuple[Any, list[str]]:
    """The first JSON object that looks like a flow, searched at a bounded number of braces."""
    start = -1
    for _ in range(50):
        start = body.find("{", start + 1)
        if start < 0:
            break
        try:
            value, end = _strict_json.raw_decode(body, start)
        except ValueError:
            continue
        if isinstance(value, dict) and ("components" in value or "trigger" in value):
            rest = (body[:start] + body[end:]).replace("```json", "").replace("```", "").strip()
            fenced = "```" in body
            return value, [*(["fence_removed"] if fenced else []), *(["prose_removed"] if rest else [])]
    raise ValueError("no JSON object and no outline in the text")


def _mended(body: str) -> tuple[Any, list[str]]:
    """Mended syntax; only text that plainly starts a flow, so that prose is never turned into one."""
    start = re.search(r'\{\s*"?\'?(trigger|components|flow|inputs|outputs)\b', body)
    if start is None or len(body) > MAX_REPAIR_CHARS or body.count("[") + body.count("{") > 20_000:
        raise ValueError("no flow found to mend")
    value = json_repair.loads(body[start.start() :].split("```")[0], skip_json_loads=True)
    if not isinstance(value, dict) or "components" not in value:
        raise ValueError("no flow found to mend")
    made = ["json_syntax", *(["fence_removed"] if "```" in body else []), *(["prose_removed"] if start.start() else [])]
    return value, made

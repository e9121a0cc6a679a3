"""What to do after a failed call: one policy for every provider, since their SDKs each have another."""

from __future__ import annotations

import asyncio
import email.utils
import math
import random
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final, Literal, NamedTuple

from flowstudy.systems.transport import Traffic, advice, innermost

Kind = Literal["retry", "throttled", "doubtful", "give_up", "no_access", "refused", "too_long"]


class Verdict(NamedTuple):
    """Why a call failed. `after_s` is what the provider asks to wait, None when it does not say.

    `doubtful` is sent again only once: a time limit reached, or a web page in place of an answer. `no_access` will
    meet every later call as well: a refused key, an unknown model, a certificate that is not trusted.
    """

    kind: Kind
    reason: str
    after_s: float | None = None


class Policy(NamedTuple):
    """Attempts and waits. A wait is `base_s` doubled per attempt, at most `longest_s`, +-25 % jitter; a wait that
    the provider asks for is honoured up to `ceiling_s`, beyond it the call fails now. `doubtful` is how often a
    doubtful call is sent in all. No attempt begins more than `total_s` after the first one began, by the wall clock:
    that alone ends the attempts of a call to which the provider says "too many requests"."""

    attempts: int = 6
    doubtful: int = 2
    base_s: float = 0.5
    longest_s: float = 30.0
    ceiling_s: float = 90.0
    total_s: float = 600.0

    def wait_s(self, attempt: int, verdict: Verdict, dice: random.Random, spent_s: float = 0.0) -> float | None:
        """Seconds before the attempt after number `attempt` (from 1), `spent_s` after the first one began; None when
        there is none."""
        if verdict.kind not in ("retry", "throttled", "doubtful"):
            return None
        if verdict.kind != "throttled" and attempt >= (self.doubtful if verdict.kind == "doubtful" else self.attempts):
            return None
        if verdict.after_s is not None and verdict.after_s > self.ceiling_s:
            return None
        pause = min(self.longest_s, self.base_s * 2 ** (attempt - 1)) * dice.uniform(0.75, 1.25)
        if verdict.after_s is not None:
            pause = verdict.after_s * dice.uniform(1.0, 1.05)
        return None if spent_s + pause > self.total_s else pause


#: Words of errors with status 400, narrow enough not to be met in a requirement or schema that an error repeats.
_REFUSED: Final = re.compile(
    r"content.?(filter|policy|management)|responsible.?ai|safety (system|setting|reason|guideline)|blocked by"
    r"|usage polic|content exists risk", re.IGNORECASE
)  # fmt: skip
_TOO_LONG: Final = re.compile(
    r"context.?(length|window)|maximum context|too many tokens|(prompt|input|string) (is )?too long"
    r"|exceeds the maximum (number of tokens|size|length)|fewer than \d+ tokens", re.IGNORECASE
)  # fmt: skip
_KEY: Final = re.compile(
    r"api.?key.{0,20}(invalid|not valid|expired|not found)|(invalid|incorrect|expired|missing|no) api.?key",
    re.IGNORECASE,
)  # fmt: skip
_QUOTA: Final = re.compile(r"insufficient_quota|exceeded your current quota|billing|credit balance", re.IGNORECASE)
_PAGE: Final = re.compile(r"<!doctype html|<html|line 1 column 1 \(char 0\)", re.IGNORECASE)
_BODY: Final = re.compile(
    r"json|expecting value|unterminated|incomplete|peer closed|connection|disconnect|reset|eof|payload", re.IGNORECASE
)


def classify(error: BaseException, traffic: Traffic | None = None, now: datetime | None = None) -> Verdict:
    """What a failed call means, from what was on the wire, from the error's status, its class and its text (SDKs
    disagree on classes, so all of them). Without `traffic` nothing is known of the wire."""
    text = " ".join(f"{type(error).__name__}: {error}".split())
    cause = innermost(error)
    reason, status = text.partition(" Traceback (most recent call last)")[0][:400], _status(error)
    if cause is not error and str(cause) and str(cause) not in text:
        reason += f" (cause: {type(cause).__name__}: {str(cause)[:200]})"
    if traffic is not None and traffic.fault is not None and not traffic.bodies:
        why, lasting = advice(traffic.fault)
        return Verdict("no_access" if lasting else "retry", f"no server is reached, nothing was sent: {why}")
    if isinstance(error, asyncio.TimeoutError) or "timeout" in type(error).__name__.lower() or status == 408:
        return Verdict("doubtful", "no whole answer within the time limit")
    if _PAGE.search(text):
        return Verdict("doubtful", f"the base URL answers with a web page or no JSON; check api_base: {reason}")
    if "ContentPolicy" in text or (status == 400 and _REFUSED.search(text)):
        return Verdict("refused", reason)
    if "ContextWindow" in text or (status in (400, 413, 422) and _TOO_LONG.search(text)):
        return Verdict("too_long", reason)
    if status in (401, 403) or (status == 400 and _KEY.search(text) and "UnsupportedParams" not in text):
        return Verdict("no_access", f"the provider refuses the key: {reason}")
    if status == 404:
        return Verdict("no_access", f"the provider does not know this model or address: {reason}")
    after = retry_after(headers_of(error), text, now)
    if status == 402 or (status == 429 and _QUOTA.search(text) and ("insufficient_quota" in text or after is None)):
        return Verdict("give_up", f"the account has no credit or quota left: {reason}")
    if status in (429, 529) or "overloaded" in text.lower():
        return Verdict("throttled", reason, after)
    if traffic is not None and traffic.fault is None and not traffic.bodies:
        return Verdict("give_up", f"nothing was sent: {reason}")
    if status is not None and status >= 500:
        return Verdict("retry", reason, after)
    if status in (409, 425) or (status in (200, 422, None) and _BODY.search(text)):
        return Verdict("retry", reason, after)
    return Verdict("give_up", reason)


def _status(error: BaseException) -> int | None:
    status = getattr(error, "status_code", None)
    try:
        return int(status) if status is not None else None
    except (TypeError, ValueError):
        return None


def headers_of(error: BaseException) -> dict[str, str]:
    """Response headers that an exception carries, lower-case; LiteLLM and the SDKs keep them in different places."""
    response = getattr(error, "response", None)
    for source in (getattr(error, "litellm_response_headers", None), getattr(response, "headers", None)):
        if source:
            return {str(name).lower(): str(value) for name, value in dict(source).items()}
    return {}


#: A wait that the text of an error asks for.
_IN_BODY: Final = re.compile(
    r"(?:retryDelay\W{1,6}|(?:try again|retry) in )((?:\d+(?:\.\d+)?(?:ms|h|m|s))+)", re.IGNORECASE
)


def retry_after(headers: Mapping[str, str], body: str = "", now: datetime | None = None) -> float | None:
    """Seconds that a provider asks to wait, None when it does not; never negative.

    Read in this order: `retry-after-ms`, `retry-after` (seconds or a date), the reset header of a limit that is used
    up (OpenAI's `1m30s`, Anthropic's time, seconds, Unix time), Gemini's `retryDelay` or words such as `try again in
    20s` in the body.

    >>> retry_after({"retry-after": "1.5"}), retry_after({}, '"retryDelay": "37s"')
    (1.5, 37.0)
    """
    now = now or datetime.now(UTC)
    found = _scaled(headers.get("retry-after-ms"), 0.001)
    if found is None:
        found = _seconds_or_date(headers.get("retry-after"), now)
    if found is None:
        found = _reset(headers, now)
    if found is None and (match := _IN_BODY.search(body)):
        found = _span(match[1])
    return None if found is None else max(0.0, found)


def _scaled(text: str | None, factor: float) -> float | None:
    try:
        number = float(text) if text is not None else math.nan
    except ValueError:
        return None
    return number * factor if math.isfinite(number) else None


def _seconds_or_date(text: str | None, now: datetime) -> float | None:
    seconds = _scaled(text, 1.0)
    if seconds is not None or not text:
        return seconds
    try:
        date = email.utils.parsedate_to_datetime(text)
    except ValueError:
        return _until(text, now)
    return ((date if date.tzinfo else date.replace(tzinfo=UTC)) - now).total_seconds()


def _reset(headers: Mapping[str, str], now: datetime) -> float | None:
    waits = []
    for name, value in headers.items():
        match = re.fullmatch(r"(?:llm_provider-)?(ratelimit|x-ratelimit|anthropic-ratelimit)-(.*)", name)
        if match is None or "reset" not in match[2]:
            continue
        remaining = name.replace("-reset", "-remaining")
        if _scaled(headers.get(remaining), 1.0) == 0:
            waits.append(_until(value, now) if match[1].startswith("anthropic") else _span_or_time(value, now))
    known = [wait for wait in waits if wait is not None]
    return max(known) if known else None


def _until(text: str, now: datetime) -> float | None:
    try:
        date = datetime.fromisoformat(text)
    except ValueError:
        return None
    return ((date if date.tzinfo else date.replace(tzinfo=UTC)) - now).total_seconds()


def _span_or_time(text: str, now: datetime) -> float | None:
    """A span, or what is left until a Unix time in seconds or milliseconds."""
    found = _span(text)
    if found is None or found < 1e9:
        return found
    return (found / 1000 if found > 1e12 else found) - now.timestamp()


def _span(text: str) -> float | None:
    """`1m30.5s`, `20ms`, `2h` or plain seconds."""
    units = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
    parts = re.findall(r"(\d+(?:\.\d+)?)(ms|h|m|s)", text)
    if not parts or "".join(number + unit for number, unit in parts) != text.strip():
        return _scaled(text, 1.0)
    return sum(float(number) * units[unit] for number, unit in parts)

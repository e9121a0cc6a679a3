"""Keys never reach a file: every text that is written passes through `redact`.

Known are the values of the environment variables that providers read, and of any other variable whose name ends in
KEY, TOKEN, SECRET or PASSWORD and whose value is long. Texts that look like a key of a known provider go as well.
"""

from __future__ import annotations

import base64
import functools
import json
import os
import re
from typing import Final
from urllib.parse import quote

_NAMES: Final = re.compile(r"(KEY|TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIALS?)$", re.IGNORECASE)
_PROVIDER_NAMES: Final = re.compile(r"_API_KEY$|^API_KEY$")
#: What keys of well-known services look like.
_SHAPES: Final = re.compile(
    r"\b(?:sk-(?:ant-|proj-|or-)?[A-Za-z0-9_\-]{20,}|AIza[A-Za-z0-9_\-]{30,}|hf_[A-Za-z0-9]{20,}|gh[pousr]_[A-Za-z0-9]{30,}"
    r"|xox[abp]-[A-Za-z0-9\-]{20,}|AKIA[A-Z0-9]{16})"
)
#: A secret in an address, whatever it looks like.
_IN_URL: Final = re.compile(r"https?://[^/\s@]+@|[?&](api[-_]?)?(key|token|secret|password)=\S", re.IGNORECASE)
_cache: tuple[int, list[tuple[str, str]]] = (0, [])


def known_secrets() -> dict[str, str]:
    """Value to variable name of every secret in the environment; short values are taken from `*_API_KEY` only."""
    found = {}
    for name, given in os.environ.items():
        value = given.strip()
        least = _least_length(name)
        if least and len(value) >= least and not value.startswith("/"):
            found[value] = name
    return found


@functools.lru_cache(maxsize=4096)
def _least_length(name: str) -> int:
    """How long the value of an environment variable must be to count as a secret; 0 when it never does."""
    if not _NAMES.search(name):
        return 0
    return 6 if _PROVIDER_NAMES.search(name) else 16


def redact(text: str) -> str:
    """The text with every known secret replaced by `[redacted NAME]`, also where it is quoted, encoded or escaped.

    >>> redact("Incorrect API key provided: sk-abcdefghijklmnopqrstuvwx.")
    'Incorrect API key provided: [redacted].'
    """
    for value, mark in _spellings():
        if value in text:
            text = text.replace(value, mark)
    return _SHAPES.sub("[redacted]", text)


def looks_like_key(value: object) -> bool:
    """Whether a parameter value must not be written down: it is, or holds at any depth, a known secret or a text with
    the shape of a key.

    >>> looks_like_key([{"api_base": "https://host/v1?key=sk-abcdefghijklmnopqrstuvwx"}]), looks_like_key({"seed": 7})
    (True, False)
    """
    if isinstance(value, dict):
        return any(looks_like_key(part) for pair in value.items() for part in pair)
    if isinstance(value, (list, tuple)):
        return any(looks_like_key(part) for part in value)
    return isinstance(value, str) and (redact(value) != value or bool(_IN_URL.search(value)))


def _spellings() -> list[tuple[str, str]]:
    """Every way a secret may be spelt, longest first; rebuilt when the environment changed."""
    global _cache
    secrets = known_secrets()
    state = hash(tuple(secrets.items()))
    if _cache[0] != state:
        pairs = {(way, f"[redacted {name}]") for value, name in secrets.items() for way in _ways(value)}
        _cache = (state, sorted(pairs, key=lambda pair: (-len(pair[0]), pair)))
    return _cache[1]


def _ways(value: str) -> set[str]:
    """A secret as it is, in URLs, in JSON, in Python, in hexadecimal digits, and inside of base64 at any offset."""
    ways = {value, quote(value, safe=""), quote(value), json.dumps(value)[1:-1], repr(value)[1:-1]}
    raw = value.encode("utf-8", "surrogateescape")
    ways |= {raw.hex(), raw.hex().upper()}
    for offset in range(3):
        encoded = base64.b64encode(b"\0" * offset + raw).decode()
        whole = encoded[(0, 2, 3)[offset] : (offset + len(raw)) * 8 // 6]
        ways |= {whole, whole.replace("+", "-").replace("/", "_")}
    return ways

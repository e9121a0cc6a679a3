"""The one place that talks to LiteLLM: lazily imported, kept offline at import, its own retries off."""

from __future__ import annotations

import asyncio
import functools
import importlib
import logging
import os
import re
import sys
from contextvars import ContextVar
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from flowstudy.systems import transport
from flowstudy.systems.background import stop_at_exit
from flowstudy.systems.capabilities import Family


class Answer(NamedTuple):
    """What came back over the wire; None where the provider did not say. `counted`: the tokens are our own count."""

    text: str
    finish_reason: str | None
    refusal: str | None
    prompt_tokens: int | None
    completion_tokens: int | None
    cached_tokens: int
    mean_logprob: float | None
    model: str | None = None
    counted: bool = False
    stored_tokens: int = 0
    tier: str | None = None


@functools.cache
def litellm() -> Any:
    """The litellm module (4-5 s at first), told to fetch nothing, to load no .env file, to keep quiet, to send once
    what it is told to send, and to reach this machine without a proxy."""
    for name in ("LITELLM_LOCAL_MODEL_COST_MAP", "LITELLM_LOCAL_ANTHROPIC_BETA_HEADERS"):
        os.environ[name] = "True"
    for name in ("DISABLE_AIOHTTP_TRANSPORT", "LITELLM_HTTP2"):
        os.environ[name] = "False"
    os.environ["LITELLM_MODE"] = "PRODUCTION"
    _spare_loopback()
    module: Any = importlib.import_module("litellm")
    module.drop_params = False
    module.suppress_debug_info = True
    module.telemetry = False
    module.num_retries = 0
    module.response_cost_calculator = _no_cost
    bundle = os.environ.get("REQUESTS_CA_BUNDLE", "")
    if "SSL_CERT_FILE" not in os.environ and Path(bundle).is_file():
        module.ssl_verify = bundle
    http = "litellm.llms.custom_httpx"
    importlib.import_module(f"{http}.http_handler").AsyncHTTPHandler.single_connection_post_request = _not_again
    transport.watch(importlib.import_module(f"{http}.aiohttp_transport").LiteLLMAiohttpTransport)
    _keep_answers_without_usage()
    for name in ("LiteLLM", "LiteLLM Router", "LiteLLM Proxy"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    stop_at_exit()
    return module


def _no_cost(**_facts: Any) -> None:
    """In place of LiteLLM's prices, 0 or wrong for many models (ours: `prices`): they take a tenth of a call's time."""


def _keep_answers_without_usage() -> None:
    """LiteLLM loses an answer of Anthropic or Gemini that does not say how many tokens it took; let it count as 0."""
    gemini: Any = importlib.import_module("litellm.llms.vertex_ai.gemini.vertex_and_google_ai_studio_gemini")
    anthropic: Any = importlib.import_module("litellm.llms.anthropic.chat.transformation")
    usage_of, read = gemini.VertexGeminiConfig._calculate_usage, anthropic.AnthropicConfig.transform_parsed_response

    def read_anyhow(self: Any, completion_response: dict[str, Any], *rest: Any, **more: Any) -> Any:
        return read(self, {"usage": {}, **completion_response}, *rest, **more)

    gemini.VertexGeminiConfig._calculate_usage = staticmethod(
        lambda completion_response: usage_of({"usageMetadata": {}, **completion_response})
    )
    anthropic.AnthropicConfig.transform_parsed_response = read_anyhow


async def _not_again(*_request: Any, **_rest: Any) -> Any:
    """In place of LiteLLM's own second request after a failed one, in whose handler it is called: the failure stays."""
    raise


def _spare_loopback() -> None:
    for name in {"NO_PROXY", "no_proxy"} & os.environ.keys() or {"NO_PROXY"}:
        hosts = [host.strip() for host in os.environ.get(name, "").split(",") if host.strip()]
        if hosts != ["*"]:
            os.environ[name] = ",".join(dict.fromkeys([*hosts, "127.0.0.1", "localhost", "::1"]))


@functools.cache
def _internal() -> ContextVar[bool]:
    litellm()
    found: ContextVar[bool] = importlib.import_module("litellm._internal_context").is_internal_call
    return found


def loaded() -> Any | None:
    """litellm when something has imported it already, else None."""
    return sys.modules.get("litellm")


def count_tokens(text: str) -> int:
    """Tokens of a text as OpenAI's models count them, offline; seconds for a megabyte."""
    return len(litellm().encode(model="gpt-4o", text=text))


async def warm_up(model: str) -> None:
    """Let LiteLLM build what it builds on its first call, so that no measured call pays for it.

    One call goes to a throw-away listener on loopback that answers 400; nothing leaves this machine. A model in this
    process is asked for one token, which loads its weights.
    """
    ask = [{"role": "user", "content": "hi"}]
    if is_served(model):
        await asyncio.gather(litellm().acompletion(model=model, messages=ask, max_tokens=1), return_exceptions=True)
        return

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        body = b'{"error": {"message": "warm-up", "type": "invalid_request_error"}}'
        head = b"HTTP/1.1 400 Bad Request\r\nContent-Type: application/json\r\nConnection: close\r\n"
        writer.write(head + b"Content-Length: %d\r\n\r\n" % len(body) + body)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(refuse, "127.0.0.1", 0)
    base = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    work = litellm().acompletion(
        model=model, messages=ask, max_tokens=1, api_base=base, api_key="none", timeout=10, num_retries=0, max_retries=0
    )
    async with server:
        await asyncio.gather(asyncio.wait_for(work, 15), return_exceptions=True)


async def send(
    model: str, messages: list[dict[str, str]], params: dict[str, Any], *, base: str | None, key: str | None,
    limit_s: float, traffic: transport.Traffic | None = None,
) -> Answer:  # fmt: skip
    """One attempt, within `limit_s` seconds of wall clock however slowly the answer trickles in; what it puts on the
    wire is counted in `traffic`.

    LiteLLM is told that the call is internal: it then skips the records that it makes for its own callbacks, which
    nobody reads here and which take a tenth of its time.
    """
    _internal().set(True)
    transport.current.set(traffic)
    work = litellm().acompletion(
        model=model, messages=messages, api_base=base, api_key=key, timeout=limit_s,
        num_retries=0, max_retries=0, **params,
    )  # fmt: skip
    return _read(await asyncio.wait_for(work, limit_s))


def key_of(family: Family, base: str | None, *, own_base: bool = False, key_env: str | None = None) -> str | None:
    """The key to send, without blanks around it: that of the variable `key_env`, else the provider's.

    A base URL of the system's own (`own_base`) gets no key of a vendor, only one that is named; a server without one
    gets a placeholder.
    """
    names = (key_env,) if key_env else () if own_base and not family.local else family.keys
    found = next((os.environ[name].strip() for name in names if os.environ.get(name, "").strip()), None)
    return found or ("none" if base else None)


def key_problem(key: str | None) -> str:
    """What keeps a key from being one, without a word of it; empty when nothing does."""
    faults = {
        r"^['\"]|['\"]$": "a quotation mark at its end",
        r"\s": "a blank or line end",
        r"[\x00-\x08\x0e-\x1b\x7f]": "a control character",
        r"[^\x00-\x7f]": "a letter that is not ASCII",
    }
    found = [fault for letters, fault in faults.items() if re.search(letters, key or "")]
    return f"the key holds {' and '.join(found)}" if found else ""


def base_of(family: Family, api_base: str | None) -> str | None:
    """Where calls go: the system's own base URL, else the environment's, else the provider's (None)."""
    return api_base or next((os.environ[name] for name in family.bases if os.environ.get(name)), family.base)


def is_loopback(url: str) -> bool:
    """Whether a URL stays on this machine."""
    return urlsplit(url).hostname in ("localhost", "127.0.0.1", "::1")


def _read(response: Any) -> Answer:
    choices = getattr(response, "choices", None)
    if not choices:
        raise ValueError(f"the provider's answer has no choices: {str(response)[:200]}")
    choice, usage = choices[0], getattr(response, "usage", None)
    details = getattr(usage, "prompt_tokens_details", None)
    return Answer(
        text=_text(choice.message.content),
        finish_reason=choice.finish_reason,
        refusal=(getattr(choice.message, "provider_specific_fields", None) or {}).get("refusal")
        or getattr(choice.message, "refusal", None),
        prompt_tokens=getattr(usage, "prompt_tokens", None) or None,
        completion_tokens=getattr(usage, "completion_tokens", None),
        cached_tokens=getattr(details, "cached_tokens", None) or 0,
        mean_logprob=_mean_logprob(choice),
        model=getattr(response, "model", None),
        stored_tokens=getattr(details, "cache_creation_tokens", None) or 0,
        tier=getattr(response, "service_tier", None),
    )


def _text(content: Any) -> str:
    if isinstance(content, list):
        content = "".join(part.get("text", "") for part in content if isinstance(part, dict))
    return str(content or "").encode("utf-8", "replace").decode("utf-8")


def _mean_logprob(choice: Any) -> float | None:
    logprobs = getattr(choice, "logprobs", None)
    tokens = logprobs.get("content") if isinstance(logprobs, dict) else getattr(logprobs, "content", None)
    values = [token["logprob"] if isinstance(token, dict) else token.logprob for token in tokens or ()]
    return sum(values) / len(values) if values else None


def model_fingerprint(model: str) -> str:
    """What an in-process provider says its model is (weights and adapter), for keys; empty for remote models.

    Asks the handler registered in `litellm.custom_provider_map` for `fingerprint(name)` when it has one.
    """
    return str(_told(model, "fingerprint") or "")


def context_of(model: str) -> int | None:
    """Tokens of prompt and answer together that an in-process model reads; None when it does not say."""
    return _told(model, "context")


def is_served(model: str) -> bool:
    """Whether an in-process provider for this model's prefix is registered, and knows the model if it can say."""
    return bool(_told(model, "serves", unsaid=True))


def _told(model: str, question: str, unsaid: Any = None) -> Any:
    """What the handler registered for a model's prefix answers to `question(name)`; `unsaid` when it has no such
    method, None when there is no handler."""
    provider, _, name = model.partition("/")
    for entry in getattr(loaded(), "custom_provider_map", None) or ():
        if entry.get("provider") == provider:
            method = getattr(entry.get("custom_handler"), question, None)
            return method(name) if callable(method) else unsaid
    return None

"""What the table says is sent arrives on the wire, and what it says is not sent does not (LiteLLM drops in silence)."""

from __future__ import annotations

import json

import pytest

from flowstudy.systems.background import wait_for
from flowstudy.systems.calls import Request
from flowstudy.systems.llm import Client, recorded
from flowstudy.systems.schemas import response_format

MODELS = {
    "openai/gpt-4o": "openai", "openai/gpt-5-mini": "openai", "openai/o3-mini": "openai", "openai/own": "openai",
    "anthropic/claude-sonnet-4-5": "anthropic", "anthropic/claude-sonnet-5": "anthropic",
    "gemini/gemini-2.5-flash": "gemini", "gemini/gemini-2.0-flash": "gemini", "gemini/gemini-3-flash-preview": "gemini",
    "mistral/mistral-large-latest": "openai", "mistral/magistral-medium-latest": "openai",
    "deepseek/deepseek-chat": "openai", "deepseek/deepseek-reasoner": "openai", "hosted_vllm/own": "openai",
}  # fmt: skip
#: How each protocol spells a parameter.
SPELLINGS = {
    "temperature": ["temperature"], "seed": ["seed", "random_seed"], "logprobs": ["logprobs"],
    "max_tokens": ["max_tokens", "max_completion_tokens", "max_output_tokens"],
    "reasoning_effort": ["reasoning_effort", "output_config", "thinkingConfig"],
}  # fmt: skip
SCHEMA = {"type": "object", "properties": {"zebra": {"type": "string"}}}
FORMS = {"json_object": {"type": "json_object"}, "json_schema": response_format("flow", SCHEMA)}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("model", MODELS)
def test_the_wire_carries_what_is_recorded_as_sent(server, model, form):
    asked = {"temperature": 0.5, "seed": 7, "max_tokens": 99, "reasoning_effort": "low", "logprobs": True}
    client = Client(model, api_base=server.base(MODELS[model]))
    messages = [{"role": "user", "content": "Answer in JSON."}]
    reply = wait_for(client.complete(Request("whole", messages, {**asked, "response_format": FORMS[form]})))
    (hit,) = server.hits
    sent, body = reply.call.sent, json.dumps({k: v for k, v in hit.body.items() if k not in ("messages", "contents")})
    assert reply.outcome == "ok"
    for name, spellings in SPELLINGS.items():
        assert (name in sent) == any(f'"{one}":' in body for one in spellings), f"{name}: {body}"
    kind = sent.get("response_format", {}).get("type")
    assert (kind == "json_schema") == ("zebra" in body)
    assert (kind == "json_object") == (("json_object" in body or "application/json" in body) and "zebra" not in body)


@pytest.mark.parametrize("form", [FORMS["json_schema"], {"type": "grammar", "value": "start: flow"}])
def test_a_schema_or_grammar_is_recorded_by_its_hash(form):
    kept = recorded({"seed": 7, "response_format": form})
    assert kept["seed"] == 7 and kept["response_format"].keys() == {"type", "sha256"}
    assert kept["response_format"]["type"] == form["type"]

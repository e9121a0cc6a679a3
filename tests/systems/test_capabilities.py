"""What the table says is sent arrives on the wire, and what it says is not sent does not (LiteLLM drops in silence)."""

from __future__ import annotations

import json

import pytest
from loopback import Reply, body_of

from flowstudy.systems.background import wait_for
from flowstudy.systems.calls import Request
from flowstudy.systems.capabilities import family_of
from flowstudy.systems.llm import Client, recorded
from flowstudy.systems.prices import price_of
from flowstudy.systems.readiness import readiness
from flowstudy.systems.records import SystemSpec
from flowstudy.systems.schemas import response_format

MODELS = {
    "openai/gpt-4o": "openai", "openai/gpt-5-mini": "openai", "openai/o3-mini": "openai", "openai/own": "openai",
    "anthropic/claude-sonnet-4-5": "anthropic", "anthropic/claude-sonnet-5-5": "anthropic",
    "openai/gpt-6.1-sol": "openai",
    "gemini/gemini-2.5-flash": "gemini", "gemini/gemini-2.0-flash": "gemini", "gemini/gemini-3.8-flash": "gemini",
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


#: Ways to a model: how it is named, the model behind it, the end of the address that is asked, the header of the key.
DOORS = {
    "azure/mine": ("openai/gpt-5.4", "/openai/deployments/mine/chat/completions", "api-key"),
    "openrouter/openai/gpt-5.4": ("openai/gpt-5.4", "/chat/completions", "Authorization"),
    "groq/llama-3.3-70b-versatile": (None, "/chat/completions", "Authorization"),
}


@pytest.mark.parametrize("model", DOORS)
def test_a_door_has_its_own_key_and_the_price_and_parameters_of_the_model_behind_it(server, monkeypatch, model):
    behind, path, header = DOORS[model]
    door = family_of(model)
    for name in (*door.keys, *door.needs):
        monkeypatch.delenv(name, raising=False)
    spec = SystemSpec(name="door", model=model, base_model=behind)
    assert not readiness(spec).ready
    if door.needs:
        assert all(name in readiness(spec).fix for name in door.needs)
    monkeypatch.setenv("AZURE_API_VERSION", "2026-10-01")
    monkeypatch.setenv(door.bases[0], server.base())
    assert door.keys[0] in readiness(spec).reason
    monkeypatch.setenv(door.keys[0], "a-key-of-this-door-0123456789")
    assert readiness(spec).ready
    answer = {**body_of("openai", Reply(), (behind or model).rpartition("/")[2]), "service_tier": "default"}
    server.plan = lambda number, hit: Reply(body=json.dumps(answer))
    client = Client(model, base_model=behind)
    assert client.price == (price_of(behind) if behind else None)
    asked = {"temperature": 0.5, "max_tokens": 99}
    reply = wait_for(client.complete(Request("whole", [{"role": "user", "content": "hi"}], asked)))
    (hit,) = server.hits
    assert reply.outcome == "ok" and hit.path.endswith(path)
    assert hit.headers[header].endswith("a-key-of-this-door-0123456789")
    assert ("temperature" in hit.body) == (behind is None) == ("temperature" in reply.call.sent)
    assert (reply.call.cost_usd is None) == (behind is None)


def test_what_is_not_spoken_names_the_way_through_a_base_url():
    for model in ("bedrock/anthropic.claude-x", "vertex_ai/gemini-x"):
        state = readiness(SystemSpec(name="a", model=model))
        assert not state.ready and f"openai/{model.partition('/')[2]} with api_base: https://" in state.fix
    state = readiness(SystemSpec(name="a", model="azure/mine"))
    assert not state.ready and "base_model" in state.fix, "a deployment has any name"

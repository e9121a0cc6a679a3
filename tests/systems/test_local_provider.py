"""A model in this process goes the same way as any other: through LiteLLM, priced by the share of machine time."""

from __future__ import annotations

import asyncio
import json
import math

import pytest
from loopback import FLOW

from flowstudy.systems import SystemSpec, readiness, run_system, wire
from flowstudy.systems.prices import Price
from flowstudy.systems.slm import provider, serve
from flowstudy.systems.slm.loading import ModelError, fingerprint
from flowstudy.systems.slm.provider import stop


@pytest.fixture
def handler(monkeypatch):
    litellm = wire.litellm()
    from litellm.llms.custom_llm import CustomLLM

    class Handler(CustomLLM):
        weights, asked = "a", 0

        def fingerprint(self, name):
            return self.weights

        def serves(self, name):
            return name == "fake"

        async def acompletion(self, model, messages, *args, **options):
            self.asked += 1
            await asyncio.sleep(0.05)
            reply = litellm.ModelResponse()
            logprobs = {"content": [{"token": "", "logprob": -0.5, "bytes": None, "top_logprobs": []}]}
            message = litellm.Message(role="assistant", content=json.dumps(FLOW))
            reply.choices = [litellm.Choices(index=0, message=message, finish_reason="stop", logprobs=logprobs)]
            reply.usage = litellm.Usage(prompt_tokens=10, completion_tokens=5, total_tokens=15)
            return reply

    made = Handler()
    monkeypatch.setattr(litellm, "custom_provider_map", [{"provider": "slm", "custom_handler": made}])
    litellm.utils.custom_llm_setup()
    return made


def test_a_local_model_shares_its_machine(handler, examples, train, catalogue, tmp_path):
    spec = SystemSpec(name="small", model="slm/fake", logprobs=True)
    prices = {"slm/*": Price(usd_per_hour=3.6, source="test", date="2026-01-01")}
    assert readiness(spec).ready and not readiness(spec.model_copy(update={"model": "slm/other"})).ready
    path = tmp_path / "small.jsonl"
    found = run_system(spec, examples, train, {"office": catalogue}, None, path, prices=prices, max_cost_usd=1e-9)
    assert {p.status for p in found} == {"ok"} and handler.asked == 9, "one call to warm up"
    calls = [call for p in found for call in p.calls]
    assert all(call.mean_logprob == -0.5 and call.latency_s >= 0.05 for call in calls)
    busy = sum(call.machine_s for call in calls)
    assert 0.05 <= busy < sum(call.latency_s for call in calls) / 2, "eight at once share the time"
    assert sum(call.cost_usd for call in calls) == pytest.approx(busy * 3.6 / 3600, rel=0.01)
    run_system(spec, examples, train, {"office": catalogue}, None, path, prices=prices)
    assert handler.asked == 9
    handler.weights = "b"
    run_system(spec, examples, train, {"office": catalogue}, None, path, prices=prices)
    assert handler.asked == 18, "another adapter is another model"


ASK = [{"role": "user", "content": "Requirement: a\nWorkflow:"}]


@pytest.fixture
def served(tiny):
    name = serve("tiny", tiny, device="cpu")
    yield name
    stop("tiny")


@pytest.mark.slow
def test_a_served_model_answers_through_litellm(served, tiny):
    litellm = wire.litellm()
    one = litellm.completion(model=served, messages=ASK, max_tokens=5)
    assert served == "slm/tiny" and one.choices[0].finish_reason in ("stop", "length")
    assert 0 < one.usage.completion_tokens <= 5 and one.usage.prompt_tokens > 3
    assert wire.is_served(served) and wire.model_fingerprint(served) == fingerprint(tiny)

    async def many():
        calls = [litellm.acompletion(model=served, messages=ASK, max_tokens=5) for _ in range(6)]
        return await asyncio.gather(*calls)

    assert {a.choices[0].message.content for a in asyncio.run(many())} == {one.choices[0].message.content}
    long = [{"role": "user", "content": "word " * 2100}]
    with pytest.raises(litellm.exceptions.BadRequestError, match="expected fewer than 2048 tokens, got 21"):
        litellm.completion(model=served, messages=long, max_tokens=5)
    stop("tiny")
    assert not wire.is_served(served)
    with pytest.raises(litellm.exceptions.NotFoundError, match="model slm/tiny: expected a served one"):
        litellm.completion(model=served, messages=ASK, max_tokens=5)


@pytest.mark.slow
def test_what_a_served_model_says_reaches_the_journal(served, examples, train, catalogue, tmp_path):
    """Its mean log-probability too, which the cascade goes by, and the form that decoding is held to."""
    spec = SystemSpec(name="tiny", model=served, prompt="outline", shots=0, suggestions=2, max_tokens=40, logprobs=True)
    found = run_system(spec, examples[:2], train, {"office": catalogue}, None, tmp_path / "free.jsonl")
    assert all(p.is_answer and p.status != "ok" for p in found), "random weights write no flow"
    calls = [call for p in found for call in p.calls]
    assert all(math.isfinite(call.mean_logprob) and call.mean_logprob < 0 for call in calls)
    assert all(call.prompt_tokens > 50 and call.completion_tokens and call.cost_usd >= 0 for call in calls)
    held = spec.model_copy(update={"name": "held", "decoding": "grammar"})
    (first, _) = run_system(held, examples[:2], train, {"office": catalogue}, None, tmp_path / "held.jsonl")
    assert first.text.startswith(("trigger daily", "trigger record_create"))


@pytest.mark.slow
def test_an_engine_that_fails_answers_everybody_and_begins_anew(served, monkeypatch):
    litellm, opened = wire.litellm(), provider.open_engine

    def broken(*_):
        raise RuntimeError("no memory for the cache")

    monkeypatch.setattr(provider, "open_engine", broken)

    async def two():
        calls = [litellm.acompletion(model=served, messages=ASK, max_tokens=5) for _ in range(2)]
        return await asyncio.gather(*calls, return_exceptions=True)

    assert all("RuntimeError: no memory for the cache" in str(error) for error in asyncio.run(two()))
    monkeypatch.setattr(provider, "open_engine", opened)
    assert litellm.completion(model=served, messages=ASK, max_tokens=5).usage.completion_tokens > 0


def test_a_folder_without_a_model_is_not_served(tmp_path):
    with pytest.raises(ModelError, match=r"expected config\.json or adapter_config\.json, got none"):
        serve("nothing", tmp_path)
    assert not wire.is_served("slm/nothing")

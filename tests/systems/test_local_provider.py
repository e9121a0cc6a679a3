"""A model in this process goes the same way as any other: through LiteLLM, priced by the share of machine time."""

from __future__ import annotations

import asyncio
import json

import pytest
from loopback import FLOW

from flowstudy.systems import SystemSpec, readiness, run_system, wire
from flowstudy.systems.prices import Price


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

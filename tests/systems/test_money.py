"""What is booked is what was sent: resets, refusals, proxies, certificates and kills, counted at the server."""

from __future__ import annotations

import pytest
from loopback import Reply

from flowstudy.systems.background import wait_for
from flowstudy.systems.budget import Budget
from flowstudy.systems.calls import Request
from flowstudy.systems.llm import Client, prompt_bytes
from flowstudy.systems.prices import Price
from flowstudy.systems.retries import Policy

MODELS = {
    "openai/gpt-4o": "openai",
    "anthropic/claude-sonnet-4-5": "anthropic",
    "gemini/gemini-2.5-flash": "gemini",
    "mistral/mistral-large-latest": "openai",
    "deepseek/deepseek-chat": "openai",
}
PRICE = Price(input=10, output=100, source="test", date="2026-01-01")
ASK = Request("whole", [{"role": "user", "content": "hi"}], {"temperature": 0.0, "max_tokens": 20})
WORST_USD = PRICE.tokens_usd(prompt_bytes(ASK), 20)
ANSWER_USD = PRICE.tokens_usd(100, 50)


def client_of(model: str, base: str | None, budget: Budget, **options) -> Client:
    policy = Policy(attempts=3, base_s=0.01)
    return Client(
        model, api_base=base, budget=budget, prices={model: PRICE}, policy=policy, **{"timeout_s": 5.0, **options}
    )


@pytest.mark.parametrize("manner", ["reset", "half", "hang", "page"])
@pytest.mark.parametrize("model", MODELS)
def test_what_was_sent_is_booked_once_per_request(server, model, manner):
    """Named after 240 requests for 20 prompts that were booked as nothing: LiteLLM sent each twice by itself."""
    server.plan = lambda number, hit: Reply(manner=manner) if manner != "page" else Reply(body="<html>hello</html>")
    budget = Budget(1.0)
    client = client_of(model, server.base(MODELS[model]), budget, timeout_s=0.5 if manner == "hang" else 5.0)
    replies = [wait_for(client.complete(ASK._replace(repeat=n))) for n in range(2)]
    attempts = 3 if manner in ("reset", "half") else 2
    assert len(server.hits) == sum(reply.call.attempts for reply in replies) == 2 * attempts
    assert budget.spent_usd == pytest.approx(len(server.hits) * WORST_USD) and budget.held_usd == 0

"""Every fault of every protocol ends in the right status, after the right number of requests, within the time."""

from __future__ import annotations

import json
import time

import pytest
from loopback import Reply

from flowstudy.systems.background import each, wait_for
from flowstudy.systems.budget import Budget
from flowstudy.systems.calls import Request
from flowstudy.systems.llm import Client
from flowstudy.systems.retries import Policy

MODELS = {
    "openai": "openai/gpt-4o",
    "anthropic": "anthropic/claude-sonnet-4-5",
    "gemini": "gemini/gemini-2.5-flash",
    "vllm": "hosted_vllm/anything",
}


def error(status: int, message: str, code: str = "x", **more) -> Reply:
    return Reply(status=status, body=json.dumps({"error": {"message": message, "type": code, "code": code}}), **more)


#: fault: (what the server does at first, outcome, requests)
FAULTS = {
    "429": (error(429, "slow down"), "ok", 2),
    "429 with seconds": (error(429, "slow down", headers={"Retry-After": "0.2"}), "ok", 2),
    "429 for an hour": (error(429, "slow down", headers={"Retry-After": "3600"}), "provider_error", 1),
    "quota that returns": (error(429, "You exceeded your current quota", headers={"Retry-After": "0.1"}), "ok", 2),
    "402": (error(402, "Insufficient Balance"), "provider_error", 1),
    "quota": (error(429, "You exceeded your current quota", "insufficient_quota"), "provider_error", 1),
    "500": (error(500, "boom"), "ok", 2),
    "503": (error(503, "boom"), "ok", 2),
    "529": (error(529, "overloaded"), "ok", 2),
    "gateway page": (Reply(status=502, body="<html>Bad gateway</html>"), "ok", 2),
    "reset": (Reply(manner="reset"), "ok", 2),
    "half a body": (Reply(manner="half"), "ok", 2),
    "truncated JSON": (Reply(manner="truncated"), "ok", 2),
    "trickle": (Reply(manner="trickle"), "ok", 2),
    "hang": (Reply(manner="hang"), "ok", 2),
    "401": (error(401, "Incorrect API key provided"), "provider_error", 1),
    "403": (error(403, "permission denied"), "provider_error", 1),
    "404": (error(404, "model not found"), "provider_error", 1),
    "400": (error(400, "unknown parameter"), "provider_error", 1),
    "400 for a key": (error(400, "API key not valid. Please pass a valid API key."), "provider_error", 1),
    "context": (error(400, "This model's maximum context length is 9 tokens", "context_length"), "truncated", 1),
    "filtered with an error": (error(400, "triggered the content management policy", "content_filter"), "refused", 1),
    "filtered": (Reply(text="", finish="content_filter"), "refused", 1),
    "length": (Reply(text="{", finish="length"), "truncated", 1),
    "empty": (Reply(text=""), "ok", 1),
}


def ask(model: str, base: str, **options):
    client = Client(model, api_base=base, policy=Policy(base_s=0.02), timeout_s=0.5, **options)
    request = Request("whole", [{"role": "user", "content": "hi"}], {"temperature": 0.0, "max_tokens": 20})
    return wait_for(client.complete(request))


@pytest.mark.parametrize("protocol", MODELS)
@pytest.mark.parametrize("fault", FAULTS)
def test_fault_gives_the_right_outcome(server, protocol, fault):
    first, outcome, requests = FAULTS[fault]
    server.plan = lambda number, hit: first if number == 1 else Reply()
    started = time.monotonic()
    reply = ask(MODELS[protocol], server.base("openai" if protocol == "vllm" else protocol))
    assert (reply.outcome, len(server.hits)) == (outcome, requests), reply.call.error
    assert reply.call.attempts == requests
    if reply.call.latency_s is not None:
        assert reply.call.latency_s < 0.5, "latency is that of the last attempt"
        assert reply.call.wait_s <= time.monotonic() - started
    else:
        assert reply.call.error and reply.call.cost_usd is None


@pytest.mark.parametrize("protocol", MODELS)
def test_a_base_url_that_answers_html_says_so(server, protocol):
    server.plan = lambda number, hit: Reply(body="<html>hello</html>")
    reply = ask(MODELS[protocol], server.base("openai" if protocol == "vllm" else protocol))
    assert reply.outcome == "provider_error" and "check api_base" in str(reply.call.error)
    assert len(server.hits) == 2


def test_retry_after_is_honoured_and_kept_out_of_latency(server):
    slow = error(429, "slow down", headers={"Retry-After": "0.4"})
    server.plan = lambda number, hit: slow if number == 1 else Reply()
    reply = ask(MODELS["openai"], server.base())
    assert reply.call.wait_s >= 0.4 and reply.call.latency_s < 0.3


@pytest.mark.slow
def test_a_storm_of_429_loses_no_call(server):
    """A provider that takes 20 requests in each window of 30 s and never says when to come back, asked 40 times."""
    taken: list[float] = []

    def plan(number, hit):
        now = time.monotonic()
        if sum(now - at < 30 for at in taken) >= 20:
            return error(429, "Rate limit reached")
        taken.append(now)
        return Reply()

    server.plan = plan
    client = Client(MODELS["openai"], api_base=server.base(), max_in_flight=8)
    request = Request("whole", [{"role": "user", "content": "hi"}], {"max_tokens": 5})
    replies = wait_for(each([request] * 40, client.complete, 40))
    assert {reply.outcome for reply in replies} == {"ok"} and len(taken) == 40


def test_a_refused_key_stops_later_calls_before_they_are_sent(server):
    server.plan = lambda number, hit: error(401, "Incorrect API key provided")
    client = Client(MODELS["openai"], api_base=server.base(), policy=Policy(base_s=0.02))
    request = Request("whole", [{"role": "user", "content": "hi"}], {"max_tokens": 5})
    replies = [wait_for(client.complete(request)) for _ in range(3)]
    assert len(server.hits) == 1 and {reply.outcome for reply in replies} == {"provider_error"}


def test_attempts_end(server):
    server.plan = lambda number, hit: error(500, "boom")
    reply = ask(MODELS["anthropic"], server.base("anthropic"))
    assert (reply.outcome, reply.call.attempts, len(server.hits)) == ("provider_error", 6, 6)


def test_a_prompt_that_cannot_fit_is_not_sent(server):
    client = Client(MODELS["openai"], api_base=server.base())
    request = Request("whole", [{"role": "user", "content": "word " * 150_000}], {"max_tokens": 20})
    reply = wait_for(client.complete(request))
    assert reply.outcome == "truncated" and not server.hits
    assert "at most 127980 of 128000 tokens, got about 15000" in str(reply.call.error)
    roomy = request._replace(messages=[{"role": "user", "content": " " * 400_000}])
    assert wait_for(client.complete(roomy)).outcome == "ok", "many bytes, few tokens"


def test_a_server_that_is_not_there_costs_nothing(server):
    budget = Budget(1.0)
    reply = ask(MODELS["openai"], "http://127.0.0.1:9/v1", budget=budget)
    assert (reply.outcome, reply.call.attempts) == ("provider_error", 6)
    assert "no server is reached" in str(reply.call.error) and budget.spent_usd == budget.held_usd == 0

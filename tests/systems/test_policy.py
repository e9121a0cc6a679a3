"""Waits, limits, money, prices, keys and capabilities: the parts of the client that need no server."""

from __future__ import annotations

import asyncio
import base64
import json
import random
import time
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowstudy.systems.budget import Budget, BudgetStop
from flowstudy.systems.calls import Request, call_key
from flowstudy.systems.capabilities import adapt, family_of
from flowstudy.systems.limits import Limiter, Meter
from flowstudy.systems.prices import Price, load_prices, price_of
from flowstudy.systems.records import Call, SystemSpec, is_same_model
from flowstudy.systems.retries import Policy, Verdict, classify, retry_after
from flowstudy.systems.secrets import looks_like_key, redact

NOW = datetime(2026, 11, 22, 12, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("headers", "body", "seconds"),
    [
        ({"retry-after": "7"}, "", 7.0),
        ({"retry-after": "1.5"}, "", 1.5),
        ({"retry-after-ms": "250", "retry-after": "9"}, "", 0.25),
        ({"retry-after": "Sun, 22 Nov 2026 12:00:30 GMT"}, "", 30.0),
        ({"retry-after": "Sun, 22 Nov 2026 11:00:00 GMT"}, "", 0.0),
        ({"retry-after": "-3"}, "", 0.0),
        ({"retry-after": "soon"}, "", None),
        ({"retry-after": "nan"}, "", None),
        ({"x-ratelimit-reset-requests": "1m30.5s", "x-ratelimit-remaining-requests": "0"}, "", 90.5),
        ({"x-ratelimit-reset-requests": "20ms", "x-ratelimit-remaining-requests": "3"}, "", None),
        (
            {
                "anthropic-ratelimit-tokens-reset": (NOW + timedelta(seconds=12)).isoformat(),
                "anthropic-ratelimit-tokens-remaining": "0",
            },
            "",
            12.0,
        ),
        ({"ratelimit-reset": "30", "ratelimit-remaining": "0"}, "", 30.0),
        ({"x-ratelimit-reset": f"{NOW.timestamp() * 1000 + 9000:.0f}", "x-ratelimit-remaining": "0"}, "", 9.0),
        ({"retry-after": "Sunday, 22-Nov-26 12:00:30 GMT"}, "", 30.0),
        ({"retry-after": "2026-11-22T12:00:30Z"}, "", 30.0),
        ({}, '{"details": [{"retryDelay": "37s"}]}', 37.0),
        ({}, '{\\"retryDelay\\": \\"37s\\"}', 37.0),
        ({}, "Rate limit reached. Please try again in 1m2.5s. Visit", 62.5),
        ({}, "Please retry in 250ms", 0.25),
        ({}, "", None),
    ],
)
def test_retry_after_in_all_its_forms(headers, body, seconds):
    assert retry_after(headers, body, NOW) == (None if seconds is None else pytest.approx(seconds))


@given(st.text(max_size=40) | st.text("0123456789.:-hms ", max_size=12), st.text(max_size=40))
def test_retry_after_never_raises_and_is_never_negative(value, body):
    headers = {"retry-after": value, "x-ratelimit-reset-tokens": value, "x-ratelimit-remaining-tokens": "0"}
    found = retry_after(headers, f"{body} try again in {value}", NOW)
    assert found is None or found >= 0


def test_waits_grow_to_a_limit_and_a_long_request_to_wait_gives_up():
    policy, dice = Policy(attempts=9, base_s=1, longest_s=8, ceiling_s=60), random.Random(0)
    waits = [policy.wait_s(n, Verdict("retry", ""), dice) for n in range(1, 9)]
    assert all(w is not None and w <= 10 for w in waits) and waits[3] > waits[0]
    assert policy.wait_s(9, Verdict("retry", ""), dice) is None
    assert policy.wait_s(1, Verdict("throttled", "", 61), dice) is None
    assert policy.wait_s(1, Verdict("throttled", "", 60), dice) >= 60
    assert policy.wait_s(2, Verdict("doubtful", ""), dice) is None
    assert policy.wait_s(1, Verdict("give_up", ""), dice) is None
    assert policy.wait_s(20, Verdict("throttled", ""), dice) is not None, "only the wall clock ends these"
    assert policy.wait_s(1, Verdict("throttled", "", 60), dice, spent_s=policy.total_s - 59) is None, "wall clock"


def test_an_exception_of_any_class_is_classified():
    assert classify(TimeoutError()).kind == "doubtful"
    assert classify(ConnectionResetError("Connection reset by peer")).kind == "retry"
    assert classify(KeyError("x")).kind == "give_up"
    rejected = KeyError("bad schema at 'safety_check': ask for permission, blocked, an API key")
    rejected.status_code = 400
    assert classify(rejected).kind == "give_up", "words of the requirement that an error repeats decide nothing"


@given(st.integers(1, 40), st.floats(0.5, 5), st.integers(1, 60))
def test_the_budget_is_never_overspent(in_flight, limit, calls):
    async def run():
        budget, rng, most = Budget(limit), random.Random(calls), [0.0]
        places = asyncio.Semaphore(in_flight)

        async def call():
            async with places:
                worst = rng.uniform(0.01, 1)
                try:
                    await budget.reserve(worst)
                except BudgetStop:
                    return
                await asyncio.sleep(0)
                budget.settle(worst, rng.uniform(0, worst))
                most[0] = max(most[0], budget.spent_usd + budget.held_usd)

        await asyncio.gather(*(call() for _ in range(calls)))
        return budget, most[0]

    budget, most = asyncio.run(run())
    assert most <= limit + 1e-9 and budget.held_usd == 0


def test_callers_wait_while_money_is_held():
    async def run():
        budget = Budget(1.0)
        await budget.reserve(0.9)
        second = asyncio.create_task(budget.reserve(0.5))
        await asyncio.sleep(0)
        assert not second.done()
        budget.settle(0.9, 0.1)
        await second
        with pytest.raises(BudgetStop, match="raise max_cost_usd"):
            budget.settle(0.5, 0.85)
            await budget.reserve(0.2)

    asyncio.run(run())


def test_the_limiter_halves_once_per_wave_and_recovers():
    async def run():
        limiter, most = Limiter(16), [0]

        async def call():
            async with limiter.slot():
                most[0] = max(most[0], limiter.busy)
                await asyncio.sleep(0)
                limiter.answered()

        sent = time.monotonic()
        for _ in range(16):
            limiter.throttled(sent)
        assert limiter.limit == 8
        await asyncio.gather(*(call() for _ in range(400)))
        assert limiter.limit == 16 and most[0] <= 16 and limiter.busy == 0

    asyncio.run(run())


def test_the_shares_of_a_machine_add_up_to_its_time():
    meter = Meter()
    started = time.monotonic()
    first, second = meter.start(), meter.start()
    time.sleep(0.02)
    shares = [meter.stop(first)]
    time.sleep(0.02)
    shares.append(meter.stop(second))
    assert sum(shares) == pytest.approx(time.monotonic() - started, abs=0.01)


def test_unknown_prices_are_unknown_and_known_ones_have_a_source():
    assert price_of("openai/gpt-4o-2099-01-01") is None and price_of("hosted_vllm/x") is None
    assert all(price.source and price.date for price in load_prices().values())
    price = Price(input=2, cached_input=1, output=10, source="s", date="d")
    assert price.tokens_usd(1_000_000, 100_000, 500_000) == pytest.approx(2.5)
    assert price.tokens_usd(None, 5) is None


@pytest.mark.parametrize(
    ("line", "rule"),
    [
        ("{output: 1, source: s}", "date"), ("{output: -1, source: s, date: d}", "greater than or equal"),
        ("{output: .inf, source: s, date: d}", "finite"), ("{tiers: {flex: 0}, source: s, date: d}", "greater than"),
    ],
)  # fmt: skip
def test_a_price_without_a_date_below_zero_or_without_end_is_refused_by_name(tmp_path, line, rule):
    (tmp_path / "prices.yaml").write_text(f"prices:\n  a/model: {line}\n")
    with pytest.raises(ValueError, match=rf"prices.yaml: a/model: expected(.|\n)*{rule}"):
        load_prices(tmp_path / "prices.yaml")


TEXT = st.text(max_size=6)
PARAMS = st.dictionaries(TEXT, st.one_of(st.integers(), st.booleans(), TEXT, st.lists(TEXT, max_size=2)), max_size=3)
#: Everything that decides an answer, and what it may be.
FIELDS = {
    "model": TEXT, "base": st.none() | TEXT, "stage": TEXT, "params": PARAMS, "sent": PARAMS, "prompt_hash": TEXT,
    "fingerprint": TEXT, "repeat": st.integers(0, 9),
    "messages": st.lists(st.fixed_dictionaries({"role": TEXT, "content": TEXT}), max_size=3),
}  # fmt: skip
MODELS = [
    "openai/gpt-4o", "openai/o3-mini", "anthropic/claude-sonnet-5", "gemini/gemini-2.5-pro", "mistral/x",
    "deepseek/deepseek-chat", "hosted_vllm/x", "ollama/x", "slm/x",
]  # fmt: skip


def key(fields):
    request = Request(**{name: fields[name] for name in Request._fields})
    return call_key(fields["model"], fields["base"], request, fields["sent"], fields["fingerprint"])


@given(st.fixed_dictionaries(FIELDS), st.sampled_from(sorted(FIELDS)), st.data())
def test_a_change_of_any_single_field_changes_the_key(fields, name, data):
    """Named after LiteLLM's cache, whose key leaves out the base URL and provider options."""
    told = json.dumps(fields[name], sort_keys=True)
    other = data.draw(FIELDS[name].filter(lambda value: json.dumps(value, sort_keys=True) != told))
    assert key(fields) == key(dict(reversed(fields.items()))) != key({**fields, name: other})


@pytest.mark.parametrize("model", MODELS)
def test_what_is_not_sent_shows(model):
    requested = {"temperature": 0.0, "seed": 1, "max_tokens": 5, "response_format": {"type": "json_schema"}}
    call = Call(stage="whole", model=model, requested=requested, sent=adapt(family_of(model), requested))
    assert call.sent["max_tokens"] == 5
    assert set(call.changed) == {name for name in requested if call.sent.get(name) != requested[name]}


def test_a_model_in_this_process_takes_its_whole_batch_and_others_what_is_asked():
    small, remote = family_of("slm/x"), family_of("openai/gpt-4o")
    assert (small.in_flight(8), remote.in_flight(8), remote.in_flight(99)) == (48, 8, 32)
    assert small.limit_s(120) == 1800 and remote.limit_s(7) == 7, "who waits for a batch is not cut off"


def test_secrets_are_redacted_in_every_spelling(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", 'odd"key/with+signs')
    monkeypatch.setenv("SOME_PASSWORD", "long-enough-to-be-one")
    text = 'x odd"key/with+signs odd%22key/with%2Bsigns odd%22key%2Fwith%2Bsigns long-enough-to-be-one '
    clean = redact(text + json.dumps('odd"key/with+signs'))
    assert "odd" not in clean and "enough" not in clean and "[redacted OPENAI_API_KEY]" in clean
    assert looks_like_key("sk-" + "a" * 30) and not looks_like_key("openai/gpt-4o") and not looks_like_key(3)
    assert looks_like_key([{"name": "a", "api_base": "https://host?k=sk-" + "a" * 30}]) and not looks_like_key([{}])


@given(st.binary(max_size=9), st.binary(max_size=9))
def test_an_encoded_secret_is_masked_at_any_offset(before, after):
    secret = "a+b/c?d>e~f-0123456789"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OPENAI_API_KEY", f" {secret}\n")
        raw = before + secret.encode() + after
        for text in (base64.b64encode(raw).decode(), base64.urlsafe_b64encode(raw).decode(), raw.hex()):
            assert "[redacted OPENAI_API_KEY]" in redact(text)


@pytest.mark.parametrize("url", ["http://mykey@host/v1", "https://host/v1?api_key=odd", "https://host?x=1&token=y"])
def test_a_key_in_an_address_is_seen_whatever_it_looks_like(url):
    assert looks_like_key({"api_base": url}) and not looks_like_key({"api_base": "https://host/v1?version=2"})


def test_a_dated_version_is_the_same_model_and_another_name_is_not():
    same = ["gpt-4o", "gpt-4o-2024-08-06", "openai/gpt-4o", None]
    other = ["gpt-4o-mini", "gpt-4o-audio-preview", "gpt-4", "chatgpt-4o-latest-x", "gpt-4.1"]
    assert all(is_same_model("openai/gpt-4o", name) for name in same)
    assert not any(is_same_model("openai/gpt-4o", name) for name in other)
    assert is_same_model("mistral/mistral-large-latest", "mistral-large-2512")
    assert not is_same_model("gemini/gemini-2.5-flash", "gemini-3.5-flash")
    assert not is_same_model("openai/gpt-5", "not-gpt-5"), "a name that ends alike is another"


def test_a_spec_rejects_misspelt_fields():
    with pytest.raises(ValueError, match="temprature"):
        SystemSpec(name="a", model="m", temprature=1)

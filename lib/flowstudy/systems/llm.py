"""One client for every model: asks LiteLLM, retries by our policy, keeps to the budget, remembers answers."""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import json
import random
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from flowstudy.systems import wire
from flowstudy.systems.budget import Budget, BudgetStop
from flowstudy.systems.calls import CallCache, Outcome, Reply, Request, call_key
from flowstudy.systems.capabilities import adapt, family_of
from flowstudy.systems.limits import Limiter, Meter
from flowstudy.systems.prices import PRICE_FIX, Price, can_be_limited, price_of
from flowstudy.systems.records import Call, SystemSpec, is_same_model
from flowstudy.systems.retries import Policy, Verdict, classify
from flowstudy.systems.secrets import redact
from flowstudy.systems.transport import Traffic


class Client:
    """Sends the calls of one system, from one event loop.

    `timeout_s` limits one attempt by the wall clock. With a `budget` the model must have a price. The key is that of
    the variable `key_env`; a server at `api_base` gets no other one, except vLLM, which has a variable of its own.
    `base_model` is the model behind a deployment or a reseller: its price and its parameters count.
    Raises ValueError for an unknown provider, a budget without a price, or a key that cannot be one.
    """

    def __init__(
        self,
        model: str,
        *,
        api_base: str | None = None,
        key_env: str | None = None,
        base_model: str | None = None,
        cache: CallCache | None = None,
        budget: Budget | None = None,
        prices: Mapping[str, Price] | None = None,
        policy: Policy | None = None,
        max_in_flight: int | None = None,
        timeout_s: float | None = None,
        seed: int = 0,
    ) -> None:
        family, self.known_as = family_of(model, base_model), base_model or model
        if family is None:
            raise ValueError(f"model {model!r}: expected a known provider before the slash, as in openai/gpt-4o")
        self.model, self.family, self.base = model, family, wire.base_of(family, api_base)
        self._key = wire.key_of(family, self.base, own_base=api_base is not None, key_env=key_env)
        if problem := wire.key_problem(self._key):
            raise ValueError(f"model {model}: expected a key, got something else: {problem}; set its variable again")
        if key_env and self._key in (None, "none"):
            raise ValueError(f"model {model}: expected a key in the variable that key_env names, got none; set it")
        self.price, self._prices, self._own_base = price_of(self.known_as, prices), prices, api_base is not None
        if budget is not None and not can_be_limited(model, self.base, self.price):
            raise ValueError(f"model {model}: max_cost_usd needs a known price, got none; {PRICE_FIX}")
        free = family.local or self.price is None or self.price.output is None
        self.cache, self.budget = cache, None if free else budget
        self.policy, self.timeout_s = policy or Policy(), family.limit_s(timeout_s)
        self.limiter = Limiter(family.in_flight(max_in_flight))
        self.fingerprint = wire.model_fingerprint(model)
        self._meter, self._dice, self._warm = Meter(), random.Random(seed), asyncio.Lock()
        self._no_access: str | None = None
        self._answered_at = time.monotonic()
        self._is_warm = False

    @classmethod
    def of(cls, spec: SystemSpec, **options: Any) -> Client:
        """The client of a system, with the model, server and key that it names; `options` are the others."""
        own = {name: getattr(spec, name) for name in ("api_base", "key_env", "base_model", "seed")}
        return cls(spec.model, **own, **options)

    async def complete(self, request: Request) -> Reply:
        """Answer one request; never raises for what a provider does, the reply's `outcome` says it."""
        sent, key = adapt(self.family, request.params), self.key(request)
        call = Call(
            stage=request.stage, model=self.known_as, requested=recorded(request.params), sent=recorded(sent), key=key,
            attempts=0,
        )  # fmt: skip
        if self.cache is not None and (found := self.cache.find(key)) is not None:
            return found
        size = prompt_bytes(request)
        if (problem := await self._too_long(request, size, sent)) is not None:
            return Reply("", call.model_copy(update={"error": problem, "cost_usd": 0.0}), "truncated")
        if self._no_access is not None:
            return Reply("", call.model_copy(update={"error": self._no_access}), "provider_error")
        await self._warm_up()
        reply = await self._attempts(request.messages, sent, call, self._worst_usd(size, sent))
        if self.cache is not None and reply.outcome in ("ok", "refused", "truncated"):
            self.cache.store(reply, request.messages)
        return reply

    def key(self, request: Request) -> str:
        """What the answer to this request is called in the call journal."""
        sent = adapt(self.family, request.params)
        return call_key(self.model, self.base, request, sent, self.fingerprint)

    async def _attempts(
        self, messages: list[dict[str, str]], sent: dict[str, Any], call: Call, worst_usd: float
    ) -> Reply:
        asked, first_wait_s = time.monotonic(), 0.0
        verdict = Verdict("give_up", "no attempt was made")
        for attempt in itertools.count(1):
            try:
                call, result = await self._attempt(messages, sent, call, worst_usd, asked)
            except BudgetStop as stop:
                return Reply("", call.model_copy(update={"error": str(stop)}), "budget_stop")
            if isinstance(result, wire.Answer):
                return Reply(result.text, call, _outcome(result))
            verdict, first_wait_s = result, first_wait_s if attempt > 1 else call.wait_s
            pause = self.policy.wait_s(attempt, verdict, self._dice, time.monotonic() - asked - first_wait_s)
            if pause is None:
                break
            await asyncio.sleep(pause)
        reply = _failed(call, verdict, self.policy)
        waited_in_vain = verdict.kind == "throttled" and self._answered_at < asked
        if verdict.kind == "no_access" or waited_in_vain:
            self._no_access = f"not sent after: {reply.call.error}"
        return reply

    async def _attempt(
        self, messages: list[dict[str, str]], sent: dict[str, Any], call: Call, worst_usd: float, asked: float
    ) -> tuple[Call, wire.Answer | Verdict]:
        """One attempt within the limit and the budget. A request whose body went out counts as paid for at its worst,
        until an answer says what it cost or a refusal that it cost nothing: an interrupt does neither."""
        async with self.limiter.slot(), self._reserved(worst_usd) as reserved:
            sent_at, mark = time.monotonic(), self._meter.start()
            try:
                result = await self._send(messages, sent, reserved.traffic)
            finally:
                share = self._meter.stop(mark)
            latency = time.monotonic() - sent_at
            call = call.model_copy(update={"attempts": call.attempts + 1, "wait_s": round(sent_at - asked, 4)})
            if isinstance(result, wire.Answer):
                self.limiter.answered()
                self._answered_at = time.monotonic()
                call = self._book(call, await _counted(result, messages), latency, share)
                reserved.cost_usd = call.cost_usd
            elif result.kind == "throttled":
                self.limiter.throttled(sent_at)
            return call, result

    @asynccontextmanager
    async def _reserved(self, worst_usd: float) -> AsyncIterator[_Reserved]:
        """Set the worst case of one attempt aside; at the end book what its `traffic` and `cost_usd` say."""
        budget = self.budget
        reserved = _Reserved(Traffic(partial(budget.sent, worst_usd)) if budget is not None else Traffic())
        if budget is not None:
            await budget.reserve(worst_usd)
        try:
            yield reserved
        finally:
            if budget is not None:
                traffic, cost_usd = reserved.traffic, reserved.cost_usd
                spent_usd = traffic.billable * worst_usd if cost_usd is None else cost_usd
                budget.settle(worst_usd, spent_usd, traffic.bodies * worst_usd)

    async def _send(
        self, messages: list[dict[str, str]], sent: dict[str, Any], traffic: Traffic
    ) -> wire.Answer | Verdict:
        """LiteLLM and the SDKs raise every class there is: whatever was raised is classified."""
        sending = wire.send(
            self.model, messages, sent, base=self.base, key=self._key, limit_s=self.timeout_s, traffic=traffic
        )
        (result,) = await asyncio.gather(sending, return_exceptions=True)
        if isinstance(result, Exception):
            verdict = classify(result, traffic)
            if verdict.kind == "no_access" and traffic.bodies and self._own_base and self._key == "none":
                return verdict._replace(reason=f"no key was sent, set key_env of the system; {verdict.reason}")
            return verdict
        if isinstance(result, BaseException):
            raise result
        return result

    def _book(self, call: Call, answer: wire.Answer, latency: float, share: float) -> Call:
        price, cost = self._price_of_answer(answer.model), None
        if price is not None and price.usd_per_hour is not None:
            cost = price.seconds_usd(share)
        elif price is not None:
            read, stored = answer.cached_tokens, answer.stored_tokens
            tier = None if self._own_base else answer.tier or call.sent.get("service_tier")
            cost = price.tokens_usd(answer.prompt_tokens, answer.completion_tokens, read, stored, tier)
        return call.model_copy(
            update={
                "prompt_tokens": answer.prompt_tokens, "completion_tokens": answer.completion_tokens,
                "cost_usd": cost, "latency_s": round(latency, 4), "finish_reason": answer.finish_reason,
                "answered_by": answer.model, "tokens_counted_here": answer.counted, "mean_logprob": answer.mean_logprob,
                "machine_s": round(share, 4) if self.family.local else None,
                "error": answer.refusal and redact(str(answer.refusal)),
            }
        )  # fmt: skip

    def _price_of_answer(self, answered_by: str | None) -> Price | None:
        """The price of the model that answered, None when that is not known; a server of one's own names its models
        as it likes."""
        if self._own_base or self.family.local or is_same_model(self.known_as, answered_by):
            return self.price
        return price_of(f"{self.known_as.partition('/')[0]}/{answered_by}", self._prices)

    def _worst_usd(self, size: int, sent: dict[str, Any]) -> float:
        if self.budget is None or self.price is None:
            return 0.0
        tokens, tiers = int(sent["max_tokens"]), (None, sent.get("service_tier"))
        return max(self.price.tokens_usd(size, tokens, 0, size, tier) or 0.0 for tier in tiers)

    async def _too_long(self, request: Request, size: int, sent: dict[str, Any]) -> str | None:
        """What is wrong with a prompt that cannot fit."""
        context = self.price.context if self.price is not None else None
        room = (context or 0) - int(sent["max_tokens"])
        if context is None or size <= room:
            return None
        tokens = await asyncio.to_thread(tokens_beyond, prompt_texts(request), room)
        wrong = f"prompt: expected at most {room} of {context} tokens, got about {tokens}; shorten the requirement"
        return None if tokens is None else wrong

    async def _warm_up(self) -> None:
        if not self._is_warm:
            async with self._warm:
                if not self._is_warm:
                    await wire.warm_up(self.model)
                    self._is_warm = True


def recorded(params: dict[str, Any]) -> dict[str, Any]:
    """The parameters as records keep them: a JSON Schema or a grammar, long and made from the suggestions, by its
    hash."""
    form = params.get("response_format", {})
    made = form.get("json_schema", form.get("value"))
    if made is None:
        return params
    text = json.dumps(made, sort_keys=True)
    return {**params, "response_format": {"type": form["type"], "sha256": hashlib.sha256(text.encode()).hexdigest()}}


def prompt_texts(request: Request) -> list[str]:
    """Everything sent as prompt."""
    schema = request.params.get("response_format")
    return [message["content"] for message in request.messages] + ([str(schema)] if schema else [])


def prompt_bytes(request: Request) -> int:
    """Bytes of everything sent as prompt; a byte-level tokenizer makes at most one token of each."""
    size = sum(len(text.encode("utf-8", "replace")) for text in prompt_texts(request))
    return size + 16 * len(request.messages)


def tokens_beyond(texts: Sequence[str], room: int) -> int | None:
    """About how many tokens these texts have if they are more than there is `room` for, else None. Fewer bytes than
    that are fewer tokens; more are counted, with a tenth to spare, since families of models count a little differently.
    """
    if sum(len(text.encode("utf-8", "replace")) for text in texts) <= room:
        return None
    tokens = wire.count_tokens("\n".join(texts))
    return tokens if tokens * 0.9 > room else None


class _Reserved:
    """Money set aside for one attempt, what that puts on the wire, and what it cost once an answer says so."""

    def __init__(self, traffic: Traffic) -> None:
        self.traffic = traffic
        self.cost_usd: float | None = None


async def _counted(answer: wire.Answer, messages: list[dict[str, str]]) -> wire.Answer:
    """The answer with tokens of our own count when the provider sent none; what it thought is not in them."""
    if answer.prompt_tokens is not None and answer.completion_tokens is not None:
        return answer
    prompt = "\n".join(message["content"] for message in messages)
    asked, told = [await asyncio.to_thread(wire.count_tokens, text) for text in (prompt, answer.text)]
    return answer._replace(prompt_tokens=asked, completion_tokens=told, counted=True)


def _outcome(answer: wire.Answer) -> Outcome:
    if answer.refusal or answer.finish_reason == "content_filter":
        return "refused"
    return "truncated" if answer.finish_reason == "length" else "ok"


def _failed(call: Call, verdict: Verdict, policy: Policy) -> Reply:
    reason = verdict.reason
    if verdict.after_s is not None and verdict.after_s > policy.ceiling_s:
        reason = f"the provider asks to wait {verdict.after_s:.0f} s; run again later: {reason}"
    outcome: Outcome = {"refused": "refused", "too_long": "truncated"}.get(verdict.kind, "provider_error")  # type: ignore[assignment]
    return Reply("", call.model_copy(update={"error": redact(reason)}), outcome)

"""One client for every model: asks LiteLLM, retries by our policy, keeps to the budget, remembers answers."""

from __future__ import annotations

import asyncio
import hashlib
import json
import random
import time
from collections.abc import Mapping
from typing import Any

from flowstudy.systems import wire
from flowstudy.systems.budget import Budget, BudgetStop
from flowstudy.systems.calls import CallCache, Outcome, Reply, Request, call_key
from flowstudy.systems.capabilities import adapt, family_of
from flowstudy.systems.limits import Limiter, Meter
from flowstudy.systems.prices import PRICE_FIX, Price, can_be_limited, price_of
from flowstudy.systems.records import Call
from flowstudy.systems.retries import Policy, Verdict, classify
from flowstudy.systems.secrets import redact


class Client:
    """Sends the calls of one system, from one event loop.

    `timeout_s` limits one attempt by the wall clock. With a `budget` the model must have a price.
    Raises ValueError for an unknown provider, or a budget without a price.
    """

    def __init__(
        self,
        model: str,
        *,
        api_base: str | None = None,
        cache: CallCache | None = None,
        budget: Budget | None = None,
        prices: Mapping[str, Price] | None = None,
        policy: Policy | None = None,
        max_in_flight: int | None = None,
        timeout_s: float | None = None,
        seed: int = 0,
    ) -> None:
        family = family_of(model)
        if family is None:
            raise ValueError(f"model {model!r}: expected a known provider before the slash, as in openai/gpt-4o")
        self.model, self.family, self.base = model, family, wire.base_of(family, api_base)
        self.price = price_of(model, prices)
        if budget is not None and not can_be_limited(model, self.base, self.price):
            raise ValueError(f"model {model}: max_cost_usd needs a known price, got none; {PRICE_FIX}")
        free = family.local or self.price is None or self.price.output is None
        self.cache, self.budget = cache, None if free else budget
        self.policy, self.timeout_s = policy or Policy(), family.limit_s(timeout_s)
        self.limiter = Limiter(family.in_flight(max_in_flight))
        self.fingerprint = wire.model_fingerprint(model)
        self._meter, self._dice, self._warm = Meter(), random.Random(seed), asyncio.Lock()
        self._no_access: str | None = None
        self._is_warm = False

    async def complete(self, request: Request) -> Reply:
        """Answer one request; never raises for what a provider does, the reply's `outcome` says it."""
        sent, key = adapt(self.family, request.params), self.key(request)
        call = Call(
            stage=request.stage, model=self.model, requested=recorded(request.params), sent=recorded(sent), key=key,
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
        for attempt in range(1, self.policy.attempts + 1):
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
        if verdict.kind == "no_access":
            self._no_access = f"not sent after: {reply.call.error}"
        return reply

    async def _attempt(
        self, messages: list[dict[str, str]], sent: dict[str, Any], call: Call, worst_usd: float, asked: float
    ) -> tuple[Call, wire.Answer | Verdict]:
        """One attempt within the budget and the limit. Once it is sent it counts as paid for, until an answer says
        what it cost or an error that it cost nothing: an interrupt does neither."""
        spent_usd = 0.0
        if self.budget is not None:
            await self.budget.reserve(worst_usd)
        try:
            async with self.limiter.slot():
                sent_at, mark, spent_usd = time.monotonic(), self._meter.start(), worst_usd
                try:
                    result = await self._send(messages, sent)
                finally:
                    share = self._meter.stop(mark)
            call = call.model_copy(update={"attempts": call.attempts + 1, "wait_s": round(sent_at - asked, 4)})
            if isinstance(result, wire.Answer):
                self.limiter.answered()
                call = self._book(call, result, time.monotonic() - sent_at, share)
                spent_usd = worst_usd if call.cost_usd is None else call.cost_usd
            else:
                spent_usd = worst_usd if result.billed else 0.0
                if result.kind == "throttled":
                    self.limiter.throttled(sent_at)
            return call, result
        finally:
            if self.budget is not None:
                self.budget.settle(worst_usd, spent_usd)

    async def _send(self, messages: list[dict[str, str]], sent: dict[str, Any]) -> wire.Answer | Verdict:
        """LiteLLM and the SDKs raise every class there is: whatever was raised is classified."""
        sending = wire.send(self.model, self.family, messages, sent, self.base, self.timeout_s)
        (result,) = await asyncio.gather(sending, return_exceptions=True)
        if isinstance(result, Exception):
            return classify(result)
        if isinstance(result, BaseException):
            raise result
        return result

    def _book(self, call: Call, answer: wire.Answer, latency: float, share: float) -> Call:
        cost = None
        if self.price is not None and self.price.usd_per_hour is not None:
            cost = self.price.seconds_usd(share)
        elif self.price is not None:
            cost = self.price.tokens_usd(answer.prompt_tokens, answer.completion_tokens, answer.cached_tokens)
        return call.model_copy(
            update={
                "prompt_tokens": answer.prompt_tokens, "completion_tokens": answer.completion_tokens,
                "cost_usd": cost, "latency_s": round(latency, 4), "finish_reason": answer.finish_reason,
                "answered_by": answer.model, "mean_logprob": answer.mean_logprob,
                "machine_s": round(share, 4) if self.family.local else None,
                "error": answer.refusal and redact(str(answer.refusal)),
            }
        )  # fmt: skip

    def _worst_usd(self, size: int, sent: dict[str, Any]) -> float:
        if self.budget is None or self.price is None:
            return 0.0
        return self.price.tokens_usd(size, int(sent["max_tokens"])) or 0.0

    async def _too_long(self, request: Request, size: int, sent: dict[str, Any]) -> str | None:
        """What is wrong with a prompt that cannot fit. One of fewer bytes than there is room for tokens fits; another
        is counted, with a tenth to spare, since families of models count a little differently."""
        context = self.price.context if self.price is not None else None
        room = (context or 0) - int(sent["max_tokens"])
        if context is None or size <= room:
            return None
        tokens = await asyncio.to_thread(wire.count_tokens, "\n".join(prompt_texts(request)))
        if tokens * 0.9 <= room:
            return None
        return f"prompt: expected at most {room} of {context} tokens, got about {tokens}; shorten the requirement"

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

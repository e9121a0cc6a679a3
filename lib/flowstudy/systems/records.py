"""The records of a run: what was asked, what came back, what it cost. One prediction is one journal line."""

from __future__ import annotations

import re
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from flowstudy.flows.schema import Flow

PREDICTION_SCHEMA: Final = "flowstudy/prediction/1"

Status = Literal["ok", "repaired", "invalid_output", "refused", "truncated", "provider_error", "budget_stop"]
#: Statuses that are answers: they are scored (no flow scores 0). The others are not answers and are retried.
ANSWERS: Final = frozenset({"ok", "repaired", "invalid_output", "refused", "truncated"})
Strategy = Literal["whole", "decomposed"]
RetrieverName = Literal["none", "lexical", "trained", "oracle"]


#: What a provider adds to the name of a model to say which version answered.
_VERSION: Final = r"(-(\d{8}|\d{4}-\d\d-\d\d|\d{3,4}|\d\d-\d{2,4}|latest))?"


def is_recorded(model: str) -> bool:
    """Whether a model is a file of answers that one already has (see `systems.recorded`)."""
    return model.endswith(".jsonl")


def is_same_model(asked: str, answered: str | None) -> bool:
    """Whether the model that answered is the one that was asked, in any dated version; True when it is not known.

    >>> is_same_model("openai/gpt-4o", "gpt-4o-2024-08-06"), is_same_model("openai/gpt-4o", "gpt-4o-mini")
    (True, False)
    """
    if not answered:
        return True
    short = asked.partition("/")[2].lower()
    stem = re.escape(short.removesuffix("-latest"))
    return bool(re.search(rf"(^|/)({re.escape(short)}|{stem}{_VERSION})$", answered.lower()))


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", populate_by_name=True)


class Suggestion(_Record):
    """A catalogue entry that the retriever offers. `score` is the retriever's own, higher is closer."""

    kind: Literal["trigger", "action", "subflow", "table", "column"]
    name: str
    score: float = 0.0


class Call(_Record):
    """One call to a model, as sent and as answered; None means not known, never zero.

    `latency_s` is that of the last attempt; `wait_s` is what passed before it (failed attempts and pauses).
    `machine_s` is the call's share of the time of a machine of one's own. `key` finds the call in the call journal;
    `answered_by` is the model that the provider says has answered (often a dated version). `tokens_counted_here`: the
    provider sent no counts, these are ours.
    """

    stage: str
    model: str
    requested: dict[str, Any] = Field(default_factory=dict)
    sent: dict[str, Any] = Field(default_factory=dict)
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    cost_usd: float | None = None
    latency_s: float | None = None
    wait_s: float = 0.0
    attempts: int = 1
    cache_hit: bool = False
    finish_reason: str | None = None
    answered_by: str | None = None
    tokens_counted_here: bool = False
    mean_logprob: float | None = None
    machine_s: float | None = None
    key: str = ""
    error: str | None = None

    @property
    def exchanged(self) -> bool:
        """Whether another model has answered than was asked."""
        return not is_same_model(self.model, self.answered_by)

    @property
    def changed(self) -> dict[str, tuple[Any, Any]]:
        """Parameters that were not sent as requested: name to (requested, sent), None where one is absent."""
        names = self.requested.keys() | self.sent.keys()
        pairs = {name: (self.requested.get(name), self.sent.get(name)) for name in sorted(names)}
        return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


class Prediction(_Record):
    """One system's answer to one example, one repeat.

    `text` is the raw output of the last stage (or of the failing one), `outline` the flow as an outline,
    `error` says why there is no flow.
    """

    schema_version: str = Field(default=PREDICTION_SCHEMA, alias="schema")
    example: str
    system: str
    repeat: int = 0
    status: Status
    text: str = ""
    flow: Flow | None = None
    outline: str | None = None
    repairs: list[str] = Field(default_factory=list)
    suggestions: list[Suggestion] = Field(default_factory=list)
    calls: list[Call] = Field(default_factory=list)
    error: str | None = None
    key: str = ""
    started_at: str = ""

    @property
    def is_answer(self) -> bool:
        return self.status in ANSWERS

    @property
    def judged_as(self) -> str:
        """The system under whose name the answer is judged: `system@model` where another model answered than was asked,
        so that answers before and after an exchange never share a name.

        >>> call = Call(stage="whole", model="openai/gpt-4o", answered_by="gpt-4o-mini")
        >>> Prediction(example="a", system="gpt-4o", status="ok", calls=[call]).judged_as
        'gpt-4o@gpt-4o-mini'
        """
        others = {re.sub(r"[^\w.:-]+", "-", str(call.answered_by))[:80] for call in self.calls if call.exchanged}
        return "@".join([self.system, "+".join(sorted(others))]) if others else self.system

    @property
    def cost_usd(self) -> float | None:
        """Sum over calls; None when any call has no known cost. A prediction without calls costs 0."""
        costs = [call.cost_usd for call in self.calls]
        return None if any(cost is None for cost in costs) else float(sum(cost or 0.0 for cost in costs))

    @property
    def latency_s(self) -> float | None:
        """Seconds of model time over all calls, waits left out; None when not measured, and when an answer came from
        the journal: what is left would be too short."""
        times = [call.latency_s for call in self.calls if call.latency_s is not None and not call.cache_hit]
        return sum(times) if times and len(times) == len(self.calls) else None


class SystemSpec(_Record):
    """One way to answer. `model` is a LiteLLM name (`openai/gpt-4o`, `slm/tuned`) or a baseline (`nearest`).

    `prompt` names a versioned prompt family under `systems/prompts/`; `repeats` answers each example that often.
    `self_repair` sends the validation errors of an answer back once. `reasoning_effort` and `logprobs` are asked for
    where the model takes them. `suggestions` is the k of the retriever. `without` names a feature of examples
    (`implicit_step`): training examples that have it are not looked at, which shows what labelling them is worth.
    `decoding` = `grammar` lets a small local model write nothing but an outline over the offered names. `key_env` names
    the environment variable with the key; a server at `api_base` gets no other one. `max_tokens` limits an answer,
    thinking included; None is what the references of the corpus need (`systems.room`). `service_tier` is asked for
    where the provider has such tiers, and paid as the provider says it answered. `base_model` is the model behind a
    deployment or a reseller (`openai/gpt-4o`): its price and its parameters count.
    """

    name: str
    model: str
    strategy: Strategy = "whole"
    retriever: RetrieverName = "lexical"
    shots: int = Field(default=3, ge=0)
    decoding: Literal["free", "json", "schema", "grammar"] = "free"
    prompt: str = "json"
    temperature: float = 0.0
    max_tokens: int | None = Field(default=None, ge=1)
    seed: int = 0
    repeats: int = Field(default=1, ge=1)
    suggestions: int = Field(default=20, ge=0)
    api_base: str | None = None
    key_env: str | None = None
    base_model: str | None = None
    self_repair: bool = False
    service_tier: Literal["flex", "priority"] | None = None
    reasoning_effort: Literal["minimal", "low", "medium", "high"] | None = None
    logprobs: bool = False
    without: str = ""

    def differs_from(self, other: SystemSpec) -> dict[str, tuple[Any, Any]]:
        """The settings that differ: name to (own, the other's). The name itself is none."""
        return {
            name: (value, getattr(other, name))
            for name, value in self
            if name != "name" and value != getattr(other, name)
        }

    @property
    def known_as(self) -> str:
        """The model by whose name its price and its parameters are known."""
        return self.base_model or self.model

    @property
    def most_tokens(self) -> int:
        """The limit on an answer; 2,048 tokens where none is set and nothing is known of the corpus."""
        return self.max_tokens or 2048

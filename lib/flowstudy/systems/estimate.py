"""What a system will take before its first call: calls, tokens, money, time."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from pydantic import BaseModel, Field

from flowstudy.files import write_text
from flowstudy.systems.calls import Request
from flowstudy.systems.capabilities import family_of
from flowstudy.systems.llm import prompt_bytes
from flowstudy.systems.prices import Price, price_of
from flowstudy.systems.prompts import Stage
from flowstudy.systems.records import SystemSpec
from flowstudy.systems.tasks import Task, prompted

#: Rough figures, used before anything was measured: bytes of English and JSON per token, tokens of an answer per
#: step of a flow, tokens of thinking before an answer, seconds for a first token, seconds per token.
BYTES_PER_TOKEN, TOKENS_PER_STEP, THINKING_TOKENS, FIRST_TOKEN_S, TOKEN_S = 3.6, 45, 1000, 0.6, 0.012


class Estimate(BaseModel):
    """`cost_usd` is what to expect, `worst_usd` the limit when every answer is as long as allowed; None: no price.
    `plan` names the tasks that it was made for, `notices` say what is not fair in them (`systems.room`)."""

    system: str
    model: str
    predictions: int
    calls: int
    prompt_tokens: int
    completion_tokens: int
    cost_usd: float | None
    worst_usd: float | None
    seconds: float
    price_source: str | None
    price_date: str | None
    plan: str = ""
    notices: list[str] = Field(default_factory=list)

    def __str__(self) -> str:
        money = "cost unknown (no price)" if self.cost_usd is None else f"about {self.cost_usd:.2f} USD"
        worst = "" if self.worst_usd is None else f", at most {self.worst_usd:.2f}"
        return (
            f"{self.system}: {self.predictions} predictions, {self.calls} calls, {self.prompt_tokens:,} + "
            f"{self.completion_tokens:,} tokens, {money}{worst}, about {self.seconds:.0f} s"
        )


def estimate(
    spec: SystemSpec,
    tasks: Sequence[Task],
    *,
    in_flight: int | None = None,
    steps: float = 6.0,
    prices: Mapping[str, Price] | None = None,
) -> Estimate:
    """Estimate from the prompts as they would be sent; `steps` is the usual number of components of a flow,
    `in_flight` the calls at a time that are asked for.

    At most 50 prompts are built, the rest is scaled up; the limit on answers is that of the tasks. Later stages count
    as long as the first one. A turn of
    self-repair, which sends prompt and answer again, counts in `worst_usd` only.
    """
    return priced(spec, len(tasks), _size(spec, tasks, steps), in_flight=in_flight, prices=prices)


def priced(
    spec: SystemSpec,
    answers: int,
    size: Size,
    *,
    in_flight: int | None = None,
    prices: Mapping[str, Price] | None = None,
) -> Estimate:
    """The estimate of so many answers of a system, from how much there is to send and to write."""
    price, family = price_of(spec.known_as, prices), family_of(spec.model, spec.base_model)
    at_once = family.in_flight(in_flight) if family is not None else 1
    seconds = (size.calls * FIRST_TOKEN_S + size.answer_tokens * TOKEN_S) / at_once
    tokens = int(size.prompt_bytes / BYTES_PER_TOKEN)
    cost = worst_usd = None
    if price is not None:
        hourly, tier = price.usd_per_hour is not None, spec.service_tier
        cost = price.seconds_usd(seconds) if hourly else price.tokens_usd(tokens, size.answer_tokens, tier=tier)
        worst_usd = price.tokens_usd(size.worst_bytes, size.worst_tokens, tier=tier)
    return Estimate(
        system=spec.name, model=spec.model, predictions=answers, calls=size.calls, prompt_tokens=tokens,
        completion_tokens=size.answer_tokens, cost_usd=cost, worst_usd=worst_usd, seconds=seconds,
        price_source=None if price is None else price.source, price_date=None if price is None else price.date,
    )  # fmt: skip


class Size(NamedTuple):
    """How much there is to send and to write; at worst every byte of a prompt is a token."""

    calls: int
    prompt_bytes: int
    answer_tokens: int
    worst_bytes: int
    worst_tokens: int


#: What takes no call.
NOTHING: Final = Size(0, 0, 0, 0, 0)


def _size(spec: SystemSpec, tasks: Sequence[Task], steps: float) -> Size:
    spec = tasks[0].spec if tasks else spec
    sample = tasks[:: max(1, len(tasks) // 50)]
    stage: Stage = "whole" if spec.strategy == "whole" else "outline"
    sizes = [prompt_bytes(Request(stage, prompted(task, stage).messages, {})) for task in sample]
    per_answer, answers = 1 if spec.strategy == "whole" else 1 + round(steps), len(tasks)
    calls = answers * per_answer
    prompt = int(sum(sizes) / len(sizes) * calls) if sizes else 0
    answer = min(spec.most_tokens, steps * TOKENS_PER_STEP) * (1 if per_answer == 1 else 1.5) * answers
    family = family_of(spec.model, spec.base_model)
    thinking = min(spec.most_tokens, THINKING_TOKENS) * calls if family is not None and family.thinks else 0
    worst_bytes, worst_tokens = prompt, calls * spec.most_tokens
    if spec.self_repair:
        worst_bytes += prompt // per_answer + answers * spec.most_tokens
        worst_tokens += answers * spec.most_tokens
    return Size(calls, prompt, int(answer) + thinking, worst_bytes, worst_tokens)


def keep_estimate(journal: str | Path, tasks: Sequence[Task], expected: Estimate) -> None:
    """Store what was estimated before the first call of `tasks`; a run that resumes or repeats them leaves it alone."""
    file = _file(journal)
    plan = hashlib.sha256("".join(task.key for task in tasks).encode()).hexdigest()
    earlier = stored_estimate(journal)
    if earlier is not None and earlier.plan == plan:
        return
    write_text(file, expected.model_copy(update={"plan": plan}).model_dump_json(indent=1) + "\n")


def stored_estimate(journal: str | Path) -> Estimate | None:
    """The estimate beside a journal of predictions, as shown before the first call; None when there is none."""
    file = _file(journal)
    return Estimate.model_validate_json(file.read_bytes()) if file.is_file() else None


def _file(journal: str | Path) -> Path:
    return Path(journal).parent / "calls" / f"{Path(journal).stem}.estimate.json"

"""Answer every example with one system: estimate, ask, write each answer down at once, resume where a run stopped."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from flowstudy.corpus.example import GENERATED, Example
from flowstudy.files import hash_file
from flowstudy.flows.catalogue import Catalogue
from flowstudy.progress import Tick, progress
from flowstudy.systems import prompts, wire
from flowstudy.systems.background import each, wait_for
from flowstudy.systems.baselines import BASELINES, baseline, baseline_prediction
from flowstudy.systems.budget import Budget
from flowstudy.systems.calls import CallCache
from flowstudy.systems.capabilities import family_of
from flowstudy.systems.estimate import NOTHING, Estimate, estimate, keep_estimate, priced
from flowstudy.systems.journal import Journal, read_predictions
from flowstudy.systems.llm import Client
from flowstudy.systems.neighbours import example_index, learnable
from flowstudy.systems.offers import Offers, suggest_all
from flowstudy.systems.pipeline import PIPELINE_VERSION, answer_async, constraint
from flowstudy.systems.prices import Price
from flowstudy.systems.prompts import Shot
from flowstudy.systems.prompts.offering import ENCODED, conditions_of
from flowstudy.systems.recorded import mismatches, read_recorded, recorded_prediction
from flowstudy.systems.records import Prediction, SystemSpec, is_recorded
from flowstudy.systems.retries import Policy
from flowstudy.systems.retrieval import Ranker
from flowstudy.systems.room import fitted, notices, sized
from flowstudy.systems.tasks import Task
from flowstudy.systems.uses import catalogue_hash


def run_system(
    spec: SystemSpec,
    examples: Sequence[Example],
    train: Sequence[Example],
    catalogues: Mapping[str, Catalogue],
    suggestions: Offers | None = None,
    journal_path: str | Path = "predictions.jsonl",
    *,
    max_cost_usd: float | None = None,
    budget: Budget | None = None,
    dry_run: bool = False,
    max_in_flight: int | None = None,
    timeout_s: float | None = None,
    policy: Policy | None = None,
    prices: Mapping[str, Price] | None = None,
    rankers: Mapping[str, Ranker] | None = None,
    outlines: Sequence[Prediction] | None = None,
) -> list[Prediction]:
    """The latest prediction for every (example, repeat), in order of examples; what the journal holds is not redone.

    `suggestions` by example id come from `suggest_all`; without them they are computed (`rankers` by domain belong to
    the retriever `trained`). Predictions are written to `journal_path`, calls and the estimate (that of the first
    run of these tasks) beside it in `calls/`.
    Not answers (`provider_error`, `budget_stop`) are tried again by the next run. `max_cost_usd` limits what this
    journal costs in all; pass a `budget` instead to share one limit among systems. `dry_run` stops after the estimate.
    `outlines` are another system's answers, whose outlines are taken instead of asking for one.
    Raises ValueError for a system that cannot run; ask `readiness` first.
    """
    path, train = Path(journal_path), learnable(spec, train)
    by_id = {example.id: example for example in examples}
    tasks = plan(spec, examples, train, catalogues, suggestions, rankers)
    tasks = tasks if outlines is None else _with_outlines(tasks, outlines)
    done = {(p.example, p.repeat): p for p in read_predictions(path) if p.is_answer}
    todo = [task for task in tasks if _key_of(done, task) != task.key]
    if spec.model in BASELINES or is_recorded(spec.model):
        if is_recorded(spec.model):
            said = mismatches(spec.model, by_id)
            keep_estimate(path, tasks, priced(spec, len(tasks), NOTHING).model_copy(update={"notices": said}))
        _answer_here(spec, [] if dry_run else todo, by_id, train, path)
    elif todo:
        expected = estimate(spec, todo, in_flight=max_in_flight, steps=_usual_steps(train), prices=prices)
        keep_estimate(path, tasks, expected.model_copy(update={"notices": notices(tasks, by_id)}))
        options = {"prices": prices, "policy": policy, "max_in_flight": max_in_flight, "timeout_s": timeout_s}
        if not dry_run:
            _run_model(spec, todo, path, expected, max_cost_usd, budget, options)
    return _collect(path, tasks)


def plan(
    spec: SystemSpec,
    examples: Sequence[Example],
    train: Sequence[Example],
    catalogues: Mapping[str, Catalogue],
    suggestions: Offers | None = None,
    rankers: Mapping[str, Ranker] | None = None,
) -> list[Task]:
    """Everything that `run_system` would ask, one task per example and repeat, each with its key.

    Raises ValueError naming an example without suggestions or without a catalogue for its domain.
    """
    offers, train = suggestions, learnable(spec, train)
    spec = sized(spec, [*train, *examples])
    if offers is None:
        offers = suggest_all(spec.retriever, examples, catalogues, spec.suggestions, spec.seed, rankers=rankers)
    lacking = [e.id for e in examples if e.id not in offers or e.domain not in catalogues]
    if lacking:
        raise ValueError(f"example {lacking[0]} (and {len(lacking) - 1} more): expected suggestions and a catalogue")
    is_model = spec.model not in BASELINES and not is_recorded(spec.model)
    hashes = {name: catalogue_hash(catalogue) for name, catalogue in catalogues.items()}
    system = _system_state(spec, train)
    conditions = conditions_of((e.flow for e in train), (e.flow for e in examples)) if is_model else ENCODED
    tasks = []
    for example in examples:
        offered = offers[example.id]
        shots = shown_to(spec, example, train, catalogues, rankers) if is_model else []
        here = catalogues[example.domain]
        task = Task(spec, example.id, example.requirement, offered, shots, here, conditions=conditions)
        task = fitted(task) if is_model else task
        parts: list[Any] = [system, hashes[example.domain], example.id, example.requirement, _dump(task.suggestions)]
        parts += [conditions] if is_model else []
        if (held := constraint(task, outline=False)) is not None:
            parts.append(held)
        parts += [[shot.example.id, shot.example.requirement, shot.example.flow.to_json(), _dump(shot.suggestions)]
                  for shot in task.shots]  # fmt: skip
        tasks += [task._replace(repeat=n, key=_hash([*parts, n])) for n in range(spec.repeats)]
    return tasks


def _with_outlines(tasks: Sequence[Task], outlines: Sequence[Prediction]) -> list[Task]:
    """The tasks that another system's answer belongs to, each with that answer; another outline is another key."""
    by_place = {(p.example, p.repeat): p for p in outlines}
    pairs = [(task, by_place.get((task.example, task.repeat))) for task in tasks]
    return [task._replace(outline=given, key=_hash([task.key, given.key])) for task, given in pairs if given]


def shown_to(
    spec: SystemSpec,
    example: Example,
    train: Sequence[Example],
    catalogues: Mapping[str, Catalogue],
    rankers: Mapping[str, Ranker] | None = None,
) -> list[Shot]:
    """Shots of one prompt: the nearest training examples that people wrote, the nearest last (closest to the question),
    each with its own suggestions where the prompt asks for an outline."""
    if spec.shots == 0:
        return []
    found = example_index([e for e in train if e.source != GENERATED]).nearest(
        example.requirement, spec.shots, exclude=example.id
    )[::-1]
    if prompts.load_prompt(spec.prompt).reads != "outline":
        return [Shot(shot) for shot in found]
    offers = suggest_all(spec.retriever, found, catalogues, spec.suggestions, spec.seed, rankers=rankers)
    return [Shot(shot, offers[shot.id], catalogues[shot.domain]) for shot in found]


def _dump(suggestions: Iterable[Any]) -> list[list[Any]]:
    return [[s.kind, s.name] for s in suggestions]


def _system_state(spec: SystemSpec, train: Sequence[Example]) -> list[Any]:
    """What all predictions of a system depend on; its name, its key and the number of repeats do not matter."""
    state: list[Any] = [PIPELINE_VERSION, spec.model_dump(exclude={"name", "repeats", "key_env"}, exclude_none=True)]
    if spec.model in BASELINES:
        return [*state, _hash([[e.id, e.requirement, e.flow.to_json()] for e in train])]
    if is_recorded(spec.model):
        return [*state, hash_file(Path(spec.model))]
    family = family_of(spec.model)
    base = wire.base_of(family, spec.api_base) if family is not None else spec.api_base
    return [*state, prompts.load_prompt(spec.prompt).hash, base, wire.model_fingerprint(spec.model)]


def _hash(parts: Any) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _key_of(done: Mapping[tuple[str, int], Prediction], task: Task) -> str | None:
    found = done.get((task.example, task.repeat))
    return found.key if found is not None else None


def _collect(path: Path, tasks: Sequence[Task]) -> list[Prediction]:
    """The latest predictions that belong to these very tasks."""
    latest = {(p.example, p.repeat): p for p in read_predictions(path)}
    wanted = [(latest.get((task.example, task.repeat)), task.key) for task in tasks]
    return [found for found, key in wanted if found is not None and found.key == key]


def _usual_steps(train: Sequence[Example]) -> float:
    return sum(e.flow.steps for e in train) / len(train) if train else 6.0


def _answer_here(
    spec: SystemSpec, todo: Sequence[Task], examples: Mapping[str, Example], train: Sequence[Example], path: Path
) -> None:
    """Answers of a baseline, or those that were recorded; what was not recorded gets none."""
    if not todo:
        return
    recorded = read_recorded(spec.model) if is_recorded(spec.model) else {}
    answerer = None if is_recorded(spec.model) else baseline(spec.model, train)
    with Journal(path) as journal, progress(spec.name, len(todo)) as tick:
        for task in todo:
            example, given = examples[task.example], recorded.get((task.example, task.repeat))
            tick()
            if answerer is not None:
                found = baseline_prediction(spec.name, example, answerer(example), task.repeat, task.key)
            elif given is not None:
                found = recorded_prediction(task, given)
            else:
                continue
            journal.append(found.model_dump(mode="json", by_alias=True, exclude_none=True))


def _run_model(
    spec: SystemSpec, todo: Sequence[Task], path: Path, expected: Estimate, max_cost_usd: float | None,
    budget: Budget | None, options: dict[str, Any],
) -> None:  # fmt: skip
    calls = path.parent / "calls" / path.name
    with Journal(path) as journal, CallCache(calls) as cache, progress(spec.name, len(todo)) as tick:
        tick(0, note=str(expected).removeprefix(f"{spec.name}: "))
        limit = budget
        if limit is None and max_cost_usd is not None:
            limit = Budget(max_cost_usd, spent_usd=cache.spent_usd)
        options |= {"cache": cache, "budget": limit}
        wait_for(_answer_all(Client.of(spec, **options), todo, journal, tick))


async def _answer_all(client: Client, todo: Sequence[Task], journal: Journal, tick: Tick) -> None:
    """As many at a time as calls may be in flight."""
    counts, costs = Counter[str](), list[float | None]()

    async def work(task: Task) -> None:
        found = await answer_async(task, client)
        journal.append(found.model_dump(mode="json", by_alias=True, exclude_none=True))
        counts["done" if found.is_answer else found.status] += 1
        costs.append(found.cost_usd)
        tick(note=_note(counts, costs))

    await each(todo, work, client.limiter.cap)


def _note(counts: Counter[str], costs: Sequence[float | None]) -> str:
    known, failed = sum(cost or 0.0 for cost in costs), sum(counts.values()) - counts["done"]
    money = "cost unknown" if None in costs and not known else f"{known:.4f} USD"
    return f"{counts['done']} done, {failed} failed, {money}"

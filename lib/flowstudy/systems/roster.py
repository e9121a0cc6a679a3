"""Who takes part in a run: which systems can run here, which cannot and why, and what those that ran answered."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import pandas as pd

from flowstudy.files import write_text
from flowstudy.systems.capabilities import suited
from flowstudy.systems.journal import journal_file, read_predictions
from flowstudy.systems.mixed import hybrid_parts, split_parts
from flowstudy.systems.readiness import NotReady, Ready, readiness
from flowstudy.systems.records import Call, Prediction, SystemSpec
from flowstudy.systems.secrets import looks_like_key, redact

ROSTER_SCHEMA: Final = "flowstudy/roster/1"


def roster(
    specs: Iterable[SystemSpec], *, max_cost_usd: float | None = None, training: int | None = None
) -> pd.DataFrame:  # fmt: skip
    """One row per system: what it is, whether it can run here, and if not the reason and the line that enables it.

    A hybrid can when both of its parts can; with `max_cost_usd`, a model whose price is not known cannot; with
    `training` 0, what learns from training examples cannot.
    """
    rows, specs = [], list(specs)
    states: dict[str, Ready | NotReady] = {}
    for spec in sorted(specs, key=lambda spec: (is_hybrid(spec), is_split(spec))):
        mixed = is_hybrid(spec) or is_split(spec)
        states[spec.name] = (
            _mixed_ready(spec, states) if mixed else readiness(spec, max_cost_usd=max_cost_usd, training=training)
        )
    for spec in specs:
        state = states[spec.name]
        rows.append({
            "system": spec.name, "model": spec.model, "strategy": spec.strategy, "retriever": spec.retriever,
            "shots": spec.shots, "prompt": spec.prompt, "ready": state.ready, "reason": state.reason, "fix": state.fix,
        })  # fmt: skip
    columns = ["system", "model", "strategy", "retriever", "shots", "prompt", "ready", "reason", "fix"]
    return pd.DataFrame(rows, columns=columns)


def system_of(named: str | Mapping[str, Any]) -> SystemSpec:
    """A system from its settings, or from the name of a model alone (`nearest`, `openai/gpt-4o`), with what suits it.

    Raises ValueError when it holds something like a key, which would be written down with the results.

    >>> system_of("openai/gpt-4o").name, system_of("gemini/gemini-2.5-pro").prompt
    ('gpt-4o', 'reasoning')
    """
    if looks_like_key(named):
        raise ValueError("system: expected no secret in its settings, got one; put it into an environment variable")
    if not isinstance(named, str):
        return SystemSpec.model_validate(named)
    label = re.sub(r"[^A-Za-z0-9.-]+", "-", named.partition("/")[2] or named)
    return SystemSpec.model_validate({"name": label, "model": named, **suited(named)})


def is_hybrid(spec: SystemSpec) -> bool:
    """Whether a system is computed from the predictions of two others (see `systems.hybrid`) and calls nobody."""
    return hybrid_parts(spec) is not None


def is_split(spec: SystemSpec) -> bool:
    """Whether a system takes another one's outlines (see `systems.split`); it answers after both of its parts."""
    return split_parts(spec) is not None


def _mixed_ready(spec: SystemSpec, states: Mapping[str, Ready | NotReady]) -> Ready | NotReady:
    routed = hybrid_parts(spec)
    for part in routed[1:] if routed else split_parts(spec) or ():
        state = states.get(part)
        if state is None:
            return NotReady(f"its part {part} is not in this study", f"add {part} to the systems")
        if isinstance(state, NotReady):
            return NotReady(f"its part {part} is not ready: {state.reason}", state.fix)
    return Ready()


def write_predictions(path: Path, predictions: Iterable[Prediction]) -> None:
    """Put computed predictions (a hybrid's) in the place of those in `path`; an older file is replaced whole."""
    lines = [redact(p.model_dump_json(by_alias=True, exclude_none=True)) for p in predictions]
    write_text(path, "".join(f"{line}\n" for line in lines))


def journal_of(folder: Path, spec: SystemSpec) -> Path:
    """The journal of one system; its name is made safe for a file."""
    return journal_file(folder, spec.name)


def write_roster(folder: Path, specs: Sequence[SystemSpec], table: pd.DataFrame) -> None:
    """Keep who took part beside the journals, for the notebooks that read them."""
    folder.mkdir(parents=True, exist_ok=True)
    value = {
        "schema": ROSTER_SCHEMA,
        "systems": [spec.model_dump(mode="json") for spec in specs],
        "roster": table.to_dict(orient="records"),
    }
    draft = folder / ".roster.json"
    draft.write_text(json.dumps(value, indent=1), encoding="utf-8")
    draft.replace(folder / "roster.json")


def with_exchanged(
    specs: Sequence[SystemSpec], table: pd.DataFrame, predictions: Iterable[Prediction]
) -> tuple[list[SystemSpec], pd.DataFrame]:
    """Systems and table with a system more for each other model that answered in the place of one
    (`Prediction.judged_as`): the settings of the system that was asked, the model that answered."""
    by_name, rows = {spec.name: spec for spec in specs}, table.set_index("system", drop=False)
    found: dict[str, SystemSpec] = {}
    for one in predictions:
        if one.judged_as != one.system and one.judged_as not in found:
            asked, model = by_name[one.system], next(str(c.answered_by) for c in one.calls if c.exchanged)
            named = f"{asked.model.partition('/')[0]}/{model}"
            found[one.judged_as] = asked.model_copy(update={"name": one.judged_as, "model": named, "base_model": None})
            table = pd.concat(
                [table, pd.DataFrame([{**rows.loc[one.system], "system": one.judged_as, "model": named}])]
            )
    return [*specs, *found.values()], table.reset_index(drop=True)


def read_roster(folder: Path) -> tuple[list[SystemSpec], pd.DataFrame]:
    """The systems of a run and the table that `roster` made of them."""
    value: dict[str, Any] = json.loads((folder / "roster.json").read_text(encoding="utf-8"))
    return [SystemSpec.model_validate(spec) for spec in value["systems"]], pd.DataFrame(value["roster"])


def read_answers(
    folder: Path, example_ids: Iterable[str], systems: Iterable[str] | None = None
) -> list[Prediction]:  # fmt: skip
    """The latest prediction of every system that ran, for the examples given; older examples stay in the journals.

    What another model answered than was asked is a system's of its own (`Prediction.judged_as`). `systems` reads those
    of some only. Raises ValueError when there is none of any: a dry run, or nobody was ready.
    """
    wanted = set(example_ids)
    specs, table = read_roster(folder)
    ran, named = set(table[table["ready"]]["system"]), None if systems is None else set(systems)
    read = [p for spec in specs if spec.name in ran for p in read_predictions(journal_of(folder, spec))]
    found = [p.model_copy(update={"system": p.judged_as}) for p in read if named is None or p.judged_as in named]
    if not found and systems is None:
        raise ValueError(
            f"predictions of run {folder.parent.name}: expected those of a system, got none; a dry run stops "
            "before the first call (set `dry_run: false`), and the table of notebook 03_prompt says what a system lacks"
        )
    return [prediction for prediction in found if prediction.example in wanted]


def statuses(predictions: Iterable[Prediction]) -> pd.DataFrame:
    """Predictions per system and status; beside them calls, attempts, seconds waited for retries, cost, the first
    error, `changed`: the parameters that were not sent as requested, and `answered_by`: models that answered in the
    place of the one that was asked, with the number of calls. One row per system."""
    by_system: dict[str, list[Prediction]] = {}
    for prediction in predictions:
        by_system.setdefault(prediction.system, []).append(prediction)
    names = sorted({prediction.status for group in by_system.values() for prediction in group})
    rows = []
    for system, group in by_system.items():
        counts, costs = Counter(p.status for p in group), [p.cost_usd for p in group]
        cost_usd = None if None in costs else sum(cost or 0.0 for cost in costs)
        first_error = next((p.error for p in group if p.flow is None and p.error), "")
        calls = [call for p in group for call in p.calls]
        facts = (len(calls), sum(c.attempts for c in calls), round(sum(c.wait_s for c in calls), 2), cost_usd)
        words = (changed(calls), exchanged(calls), first_error)
        rows.append((system, len(group), *(counts[name] for name in names), *facts, *words))
    facts_of = ["calls", "attempts", "wait_s", "cost_usd", "changed", "answered_by", "first_error"]
    return pd.DataFrame(rows, columns=["system", "predictions", *names, *facts_of])


def shortfalls(predictions: Iterable[Prediction]) -> dict[str, str]:
    """Systems that answered nothing or less than all, or in whose place another model answered, each with how many
    requests and the commonest cause; empty when all is as it was asked.

    >>> shortfalls([Prediction(example="a", system="gpt", status="provider_error", error="key refused")])
    {'gpt': 'no answer to 1 of 1 requests: key refused'}
    """
    by_system: dict[str, list[Prediction]] = {}
    for prediction in predictions:
        by_system.setdefault(prediction.system, []).append(prediction)
    found = {}
    for system, group in by_system.items():
        causes = Counter(p.error or p.status for p in group if not p.is_answer)
        words = (
            [f"no answer to {causes.total()} of {len(group)} requests: {causes.most_common(1)[0][0]}"] if causes else []
        )
        calls = [call for p in group for call in p.calls]
        if other := exchanged(calls):
            words.append(f"asked for {', '.join(sorted({c.model for c in calls if c.exchanged}))}, answered by {other}")
        if words:
            found[system] = "; ".join(words)
    return found


def exchanged(calls: Iterable[Call]) -> str:
    """Which models answered in the place of the one that was asked, as one line for a table; empty when none did.

    >>> exchanged([Call(stage="whole", model="openai/gpt-4o", answered_by="gpt-4o-mini")])
    'gpt-4o-mini (1 calls)'
    """
    counts = Counter(call.answered_by for call in calls if call.exchanged)
    return ", ".join(f"{name} ({count} calls)" for name, count in counts.most_common())


def changed(calls: Iterable[Call]) -> str:
    """What was requested and not sent so, as one line for a table; empty when everything was.

    >>> changed([Call(stage="whole", model="m", requested={"seed": 7, "max_tokens": 9}, sent={"max_tokens": 9})])
    'seed: 7 requested, not sent'
    """
    found = {
        f"{name}: {_short(asked)} requested, {_short(sent)}{' sent' if sent is not None else ''}"
        for call in calls
        for name, (asked, sent) in call.changed.items()
    }
    return "; ".join(sorted(found))


def _short(value: Any) -> str:
    if value is None:
        return "not sent"
    return str(value["type"]) if isinstance(value, dict) and "type" in value else str(value)

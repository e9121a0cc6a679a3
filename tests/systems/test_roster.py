"""The roster protects: who could not run is named with the remedy, and only answers of this run are read."""

from __future__ import annotations

import datetime
from pathlib import Path

import pytest

from flowstudy.study import load_study
from flowstudy.systems import Call, Journal, Prediction, SystemSpec
from flowstudy.systems.prices import price_of
from flowstudy.systems.readiness import readiness
from flowstudy.systems.roster import (
    journal_of,
    read_answers,
    read_roster,
    roster,
    shortfalls,
    statuses,
    system_of,
    with_exchanged,
    write_roster,
)

ROOT = Path(__file__).parents[2]
SPECS = [SystemSpec(name="nearest", model="nearest"), SystemSpec(name="gpt", model="openai/gpt-4o")]


@pytest.fixture(autouse=True)
def _no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "OPENAI_API_BASE", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)


def test_a_missing_key_is_a_row_with_its_remedy() -> None:
    table = roster(SPECS).set_index("system")
    assert table.loc["nearest", "ready"] and not table.loc["gpt", "ready"]
    assert "OPENAI_API_KEY" in table.loc["gpt", "fix"]
    assert list(roster([]).columns) == list(roster(SPECS).columns)


def test_without_training_examples_only_what_learns_from_them_is_left_out() -> None:
    """The trained retriever ranks by words then, which once stopped the notebook in a corpus without such a split."""
    learning = SystemSpec(
        name="learning", model="hosted_vllm/x", api_base="http://nowhere.invalid", retriever="trained"
    )
    mixed = SystemSpec(name="mixed", model="hybrid/cascade/learning+plain")
    specs = [*SPECS[:1], learning, learning.model_copy(update={"name": "plain", "retriever": "lexical"}), mixed]
    assert roster(specs, training=1)["ready"].all()
    table = roster(specs, training=0).set_index("system")
    assert table["ready"].to_dict() == {"nearest": False, "learning": True, "plain": True, "mixed": True}
    assert table.loc["nearest", "reason"] == "baseline needs training examples, the corpus has none"


def test_a_key_in_the_settings_of_a_system_is_refused() -> None:
    with pytest.raises(ValueError, match="environment variable"):
        system_of({"name": "a", "model": "openai/x", "api_base": "https://host/v1?key=sk-abcdefghijklmnopqrstuvwxyz"})


def test_only_answers_of_the_examples_at_hand_and_of_systems_that_ran(tmp_path: Path) -> None:
    write_roster(tmp_path, SPECS, roster(SPECS))
    for spec in SPECS:
        with Journal(journal_of(tmp_path, spec)) as journal:
            for example in ("a", "gone"):
                line = Prediction(example=example, system=spec.name, status="invalid_output")
                journal.append(line.model_dump(mode="json", by_alias=True, exclude_none=True))
    assert [(p.system, p.example) for p in read_answers(tmp_path, ["a"])] == [("nearest", "a")]
    specs, table = read_roster(tmp_path)
    assert specs == SPECS and list(table["system"]) == ["nearest", "gpt"]


def test_a_run_without_predictions_says_why(tmp_path: Path) -> None:
    write_roster(tmp_path, SPECS, roster(SPECS))
    with pytest.raises(ValueError, match="a dry run stops before the first call"):
        read_answers(tmp_path, ["a"])


def test_a_name_never_leaves_the_folder(tmp_path: Path) -> None:
    for name in ("../../etc/passwd", "a/b", "..", "é|x"):
        path = journal_of(tmp_path, SystemSpec(name=name, model="nearest"))
        assert path.parent == tmp_path and path.suffix == ".jsonl" and not path.name.startswith(".")


def test_an_unknown_cost_makes_the_sum_unknown() -> None:
    known = Call(stage="whole", model="m", cost_usd=0.5)
    rows = [Prediction(example=str(n), system="s", status="ok", calls=[call])
            for n, call in enumerate([known, known.model_copy(update={"cost_usd": None})])]  # fmt: skip
    assert statuses(rows)["cost_usd"].isna().all()
    assert statuses(rows[:1])["cost_usd"].tolist() == [0.5]


def test_what_was_not_sent_as_requested_is_a_column() -> None:
    asked = {"seed": 7, "temperature": 0.0, "response_format": {"type": "json_schema", "sha256": "x"}}
    sent = {"temperature": 0.0, "response_format": {"type": "json_object"}}
    calls = [Call(stage="whole", model="m", requested=asked, sent=sent, attempts=3, wait_s=0.5)] * 2
    row = statuses([Prediction(example="a", system="s", status="ok", calls=calls)]).iloc[0]
    assert row["changed"] == (
        "response_format: json_schema requested, json_object sent; seed: 7 requested, not sent"
    ) and (row["attempts"], row["wait_s"]) == (6, 1.0)
    whole = [Call(stage="whole", model="m", requested=sent, sent=sent)]
    assert statuses([Prediction(example="a", system="s", status="ok", calls=whole)]).iloc[0]["changed"] == ""


def test_who_answered_less_than_all_or_was_exchanged_is_named_with_the_commonest_cause() -> None:
    other = Call(stage="whole", model="gemini/gemini-2.5-flash", answered_by="gemini-3.5-flash-lite")
    rows = [Prediction(example=str(n), system="gpt", status="provider_error", error="key" if n else "reset")
            for n in range(3)]  # fmt: skip
    rows += [Prediction(example="0", system="nearest", status="ok"), Prediction(example="1", system="gpt", status="ok")]
    rows.append(Prediction(example="0", system="flash", status="ok", calls=[other]))
    assert shortfalls(rows) == {
        "gpt": "no answer to 3 of 4 requests: key",
        "flash": "asked for gemini/gemini-2.5-flash, answered by gemini-3.5-flash-lite (1 calls)",
    }


def test_a_retired_model_is_refused_and_one_that_ends_soon_is_warned_of(monkeypatch: pytest.MonkeyPatch) -> None:
    """Named after a model that answered under the name of another one, at another price, from one day to the next."""
    monkeypatch.setenv("GEMINI_API_KEY", "x" * 30)
    spec = SystemSpec(name="flash", model="gemini/gemini-2.5-flash")
    end = price_of(spec.model).retires
    assert end is not None
    gone = readiness(spec, today=end)
    assert not gone.ready and str(end) in gone.reason and "gemini-3.5-flash-lite" in gone.fix
    soon = readiness(spec, today=end - datetime.timedelta(days=60))
    assert soon.ready and "retires" in soon.reason
    assert readiness(spec, today=end - datetime.timedelta(days=61)).reason == ""


def test_the_default_systems_are_current_models() -> None:
    study = load_study(ROOT / "study.yaml", profile="laptop")
    vendors = ("openai", "gemini", "anthropic")
    hosted = [spec for spec in study.systems.values() if spec.model.partition("/")[0] in vendors]
    assert {spec.model.partition("/")[0] for spec in hosted} == set(vendors)
    prices = {spec.model: price_of(spec.model) for spec in hosted}
    read = datetime.date(2026, 12, 1)
    assert all(p and (p.retires is None or p.retires > read) for p in prices.values()), prices


def test_answers_before_and_after_an_exchange_of_the_model_never_share_a_name(tmp_path: Path) -> None:
    """A mean over two models is that of neither."""

    def answer(example: str, model: str) -> Prediction:
        call = Call(stage="whole", model="openai/gpt-4o", answered_by=model)
        return Prediction(example=example, system="gpt", status="invalid_output", text="x", calls=[call])

    given = [answer("a", "gpt-4o-2024-08-06"), answer("b", "gpt-5-mini"), answer("c", "../<b>")]
    with Journal(journal_of(tmp_path, SPECS[1])) as journal:
        for one in given:
            journal.append(one.model_dump(mode="json", by_alias=True))
    specs, table = with_exchanged(SPECS, roster(SPECS).assign(ready=True), given)
    write_roster(tmp_path, specs, table)
    assert {p.system: p.example for p in read_answers(tmp_path, "abc")} == {
        "gpt": "a", "gpt@gpt-5-mini": "b", "gpt@..-b-": "c"
    }  # fmt: skip
    assert [p.example for p in read_answers(tmp_path, "abc", ["gpt@gpt-5-mini"])] == ["b"]
    models = {spec.name: spec.model for spec in read_roster(tmp_path)[0]}
    assert models["gpt"] == "openai/gpt-4o" and models["gpt@gpt-5-mini"] == "openai/gpt-5-mini"
    assert with_exchanged(SPECS, table, given[:1])[0] == SPECS

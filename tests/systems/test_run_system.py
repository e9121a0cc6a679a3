"""run_system on loopback: statuses, resume after a kill, money, secrets, repeats, and what cannot run."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from loopback import FLOW, Reply

from flowstudy.systems import (
    Budget,
    JournalError,
    NotReady,
    Policy,
    SystemSpec,
    read_predictions,
    readiness,
    run_system,
    wire,
)
from flowstudy.systems.background import wait_for
from flowstudy.systems.calls import Request
from flowstudy.systems.estimate import stored_estimate
from flowstudy.systems.journal import Journal, read_lines
from flowstudy.systems.llm import Client, prompt_bytes
from flowstudy.systems.prices import Price

FAST = Policy(attempts=2, base_s=0.01)
STEP = json.dumps({"to": "Ann"})


def decomposed(number, hit):
    """The outline first, then inputs."""
    text = hit.body["messages"][0]["content"]
    return Reply() if "You plan" in text else Reply(text=STEP)


@pytest.fixture
def spec(server):
    return SystemSpec(name="gpt", model="openai/gpt-4o", api_base=server.base(), shots=2, suggestions=4)


@pytest.fixture
def run(examples, train, catalogue, tmp_path):
    def run(spec, **options):
        path = tmp_path / "predictions" / f"{spec.name}.jsonl"
        return run_system(spec, examples, train, {"office": catalogue}, None, path, policy=FAST, **options)

    return run


def test_every_example_is_answered_once_and_never_again(run, spec, server, examples):
    found = run(spec.model_copy(update={"repeats": 2}))
    assert [(p.example, p.repeat) for p in found] == [(e.id, n) for e in examples for n in range(2)]
    assert {p.status for p in found} == {"ok"} and len(server.hits) == 16
    again = run(spec.model_copy(update={"repeats": 2, "name": "gpt"}))
    assert again == found and len(server.hits) == 16
    assert all(p.cost_usd == pytest.approx(100 * 2.5e-6 + 50 * 10e-6) and p.latency_s for p in found)


def test_a_changed_setting_asks_again(run, spec, server):
    run(spec)
    run(spec.model_copy(update={"temperature": 0.5}))
    assert len(server.hits) == 16 and server.hits[-1].body["temperature"] == 0.5


def test_statuses_follow_the_answer(run, spec, server, tmp_path):
    flow = json.dumps(FLOW)
    plan = [
        Reply(), Reply(text=f"Sure!\n```json\n{flow}\n```"), Reply(text="I cannot."),
        Reply(text="", finish="content_filter"), Reply(text=flow[:40], finish="length"), Reply(text=""),
        Reply(status=400, body='{"error": {"message": "bad"}}'),
        Reply(text="<img src=x onerror=alert(1)> Ignore all instructions {{7*7}}"),
    ]  # fmt: skip
    server.plan = lambda number, hit: plan[number - 1] if number <= 8 else Reply()
    found = run(spec, max_in_flight=1)
    statuses = [p.status for p in found]
    assert statuses == ["ok", "repaired", "invalid_output", "refused", "truncated", "invalid_output", "provider_error",
                        "invalid_output"]  # fmt: skip
    assert found[5].error == "the answer is empty" and all(p.error for p in found if p.flow is None)
    retried = run(spec, max_in_flight=1)
    assert len(server.hits) == 9 and retried[6].status == "ok", "only what is no answer is asked again"
    assert len(read_predictions(tmp_path / "predictions" / "gpt.jsonl", latest=False)) == 9


def test_decomposed_fills_in_the_inputs_of_each_step(run, spec, server):
    server.plan = decomposed
    found = run(spec.model_copy(update={"strategy": "decomposed"}))
    assert {p.status for p in found} == {"ok"}
    assert found[0].calls[0].stage == "outline" and len(found[0].calls) == 3
    assert found[0].flow.components[0].input("to") == "Ann" and found[0].flow.trigger.inputs[0].name == "to"


def test_a_killed_decomposed_prediction_pays_no_call_twice(run, spec, server):
    bad = Reply(status=400, body='{"error": {"message": "bad"}}')
    server.plan = lambda number, hit: bad if number == 3 else decomposed(number, hit)
    one = spec.model_copy(update={"strategy": "decomposed"})
    first = run(one, max_in_flight=1)
    failed = [p for p in first if p.status == "provider_error"]
    hits = len(server.hits)
    second = run(one, max_in_flight=1)
    assert len(failed) == 1 and len(server.hits) == hits + 1
    fixed = next(p for p in second if p.example == failed[0].example)
    assert fixed.status == "ok" and [call.cache_hit for call in fixed.calls].count(True) == 2
    assert fixed.latency_s is None, "one call of three was timed: no latency of the whole"
    assert fixed.cost_usd == pytest.approx(3 * (100 * 2.5e-6 + 50 * 10e-6))


def test_an_unreadable_step_leaves_its_inputs_empty_and_says_so(run, spec, server):
    server.plan = lambda number, hit: Reply() if "You plan" in str(hit.body) else Reply(text="no")
    found = run(spec.model_copy(update={"strategy": "decomposed"}))
    assert {p.status for p in found} == {"repaired"}
    assert set(found[0].repairs) == {
        "inputs left empty: component 1 not readable",
        "inputs left empty: trigger not readable",
    }


def test_self_repair_sends_the_faults_back_once(run, spec, server):
    wrong = json.dumps({**FLOW, "components": [{**FLOW["components"][0], "definition": "creat_record"}]})
    server.plan = lambda number, hit: Reply() if len(hit.body["messages"]) > 2 else Reply(text=wrong)
    found = run(spec.model_copy(update={"self_repair": True}))
    assert len(server.hits) == 16 and {len(p.calls) for p in found} == {2}
    said = server.hits[-1].body["messages"][-1]["content"]
    assert "unknown action 'creat_record'; closest: 'create_record'" in said
    assert found[0].flow.components[0].definition == "create_record"


@pytest.mark.parametrize(
    "turn", [Reply(text="{", finish="length"), Reply(text="", finish="content_filter"), Reply(text="no")]
)
def test_a_second_turn_that_brings_nothing_leaves_the_first_answer(run, spec, server, turn):
    wrong = json.dumps({**FLOW, "components": [{**FLOW["components"][0], "definition": "creat_record"}]})
    server.plan = lambda number, hit: turn if len(hit.body["messages"]) > 2 else Reply(text=wrong)
    found = run(spec.model_copy(update={"self_repair": True}))
    assert {(p.status, p.text, len(p.calls)) for p in found} == {("ok", wrong, 2)}


def test_sixty_concurrent_calls_never_overspend(run, spec, server, examples, tmp_path):
    each = Price(input=10, output=100, source="test", date="2026-01-01")
    actual = (100 * 10 + 50 * 100) / 1e6
    prices = {"openai/gpt-4o": each}
    many = spec.model_copy(update={"repeats": 8, "max_tokens": 200})
    limit = 0.30
    found = run(many, max_cost_usd=limit, prices=prices, max_in_flight=32)
    stopped = [p for p in found if p.status == "budget_stop"]
    assert len(server.hits) * actual <= limit and stopped and len(found) == 64
    assert "raise max_cost_usd" in stopped[0].error and stopped[0].cost_usd is None
    hits = len(server.hits)
    run(many, max_cost_usd=limit, prices=prices)
    assert len(server.hits) * actual <= limit, "the limit counts what earlier runs spent"
    run(many, max_cost_usd=10, prices=prices)
    assert len(server.hits) == 64 and hits < 64


def test_a_budget_needs_a_price_and_can_be_shared(run, spec, monkeypatch):
    monkeypatch.setattr(wire, "is_loopback", lambda url: False)
    with pytest.raises(ValueError, match="needs a known price"):
        run(spec.model_copy(update={"model": "openai/unheard-of"}), max_cost_usd=1.0)
    assert "prices.yaml" in readiness(spec.model_copy(update={"model": "openai/unheard-of"}), max_cost_usd=1.0).fix
    monkeypatch.undo()
    found = run(spec.model_copy(update={"model": "openai/unheard-of"}), max_cost_usd=1.0)
    assert {p.status for p in found} == {"ok"} and {p.cost_usd for p in found} == {None}, "one's own server is free"
    budget = Budget(5.0)
    run(spec.model_copy(update={"name": "priced"}), budget=budget)
    assert budget.spent_usd == pytest.approx(8 * (100 * 2.5e-6 + 50 * 10e-6)) and budget.held_usd == 0


def test_dry_run_stores_the_estimate_and_sends_nothing(run, spec, server, tmp_path):
    assert run(spec, dry_run=True) == [] and not server.hits
    stored = json.loads((tmp_path / "predictions" / "calls" / "gpt.estimate.json").read_text())
    assert stored["calls"] == 8 and stored["cost_usd"] > 0 and stored["worst_usd"] > stored["cost_usd"]


def test_the_estimate_shown_before_the_first_call_survives(run, spec, server, tmp_path):
    """Named after a finished run whose second run wrote an estimate of no calls over the first one."""
    journal = tmp_path / "predictions" / "gpt.jsonl"
    server.plan = lambda number, hit: Reply(status=400, body="{}") if number > 4 else Reply()
    run(spec, max_in_flight=1)
    shown = stored_estimate(journal)
    server.plan = lambda number, hit: Reply()
    for _ in range(2):
        run(spec)
        assert stored_estimate(journal) == shown and shown.calls == 8
    run(spec.model_copy(update={"repeats": 2}))
    assert stored_estimate(journal).calls == 8 and stored_estimate(journal).plan != shown.plan, "of what is new"
    careful = spec.model_copy(update={"self_repair": True})
    run(careful, dry_run=True)
    assert stored_estimate(journal).worst_usd > shown.worst_usd and stored_estimate(journal).calls == 8


def test_an_interrupted_call_counts_as_paid(spec, server):
    """Whoever interrupts does not know whether the provider has answered; nothing stays set aside."""
    server.plan = lambda number, hit: Reply(manner="hang")
    budget = Budget(1.0)
    client = Client(spec.model, api_base=server.base(), budget=budget)
    request = Request("whole", [{"role": "user", "content": "hi"}], {"max_tokens": 20})

    async def interrupted():
        call = asyncio.create_task(client.complete(request))
        while not server.hits:
            await asyncio.sleep(0.01)
        assert budget.held_usd > 0
        call.cancel()
        await asyncio.gather(call, return_exceptions=True)

    wait_for(interrupted())
    assert budget.held_usd == 0 and budget.spent_usd == pytest.approx((prompt_bytes(request) * 2.5 + 20 * 10) / 1e6)


def test_a_key_echoed_by_the_server_is_written_nowhere(run, spec, server, tmp_path, capfd, caplog):
    key = os.environ["OPENAI_API_KEY"]

    def echo(number, hit):
        said = hit.headers.get("Authorization", "")
        if number % 2:
            return Reply(status=401, body=json.dumps({"error": {"message": f"Incorrect API key provided: {said}"}}))
        return Reply(text=f"Your key is {said}", headers={"x-key": said})

    server.plan = echo
    spec = spec.model_copy(update={"key_env": "OPENAI_API_KEY"})
    found = run(spec, max_in_flight=1) + run(spec, max_in_flight=1)
    assert key in server.hits[0].headers["Authorization"]
    written = "".join(path.read_text() for path in tmp_path.rglob("*") if path.is_file())
    shown = "".join(capfd.readouterr()) + caplog.text + repr(found)
    assert written and key not in written and key not in shown


def test_two_runs_of_one_system_at_once_are_refused(run, spec, tmp_path):
    path = tmp_path / "predictions" / "gpt.jsonl"
    with Journal(path), pytest.raises(JournalError, match="another run is writing it"):
        run(spec)


def test_odd_requirements_travel(spec, server, examples, train, catalogue, tmp_path):
    odd = ["\x00\x07 control", "\ud800 lone", "💥" * 50, "{{ 7*7 }} {% raw %}", "a" * 100_000, "</s><s1>", "\n\n", "ß"]
    twisted = [e.model_copy(update={"requirement": text}) for e, text in zip(examples, odd, strict=True)]
    found = run_system(spec, twisted, train, {"office": catalogue}, None, tmp_path / "a.jsonl")
    assert {p.status for p in found} == {"ok"}
    sent = [hit.body["messages"][-1]["content"] for hit in server.hits]
    assert any("{{ 7*7 }} {% raw %}" in text for text in sent) and any("\x00\x07" in text for text in sent)


@pytest.mark.parametrize("model", ["nearest", "constant"])
def test_baselines_answer_without_calls(run, model, server):
    found = run(SystemSpec(name=model, model=model))
    assert {p.status for p in found} == {"ok"} and found[0].cost_usd == 0.0 and found[0].latency_s is None
    assert found[0].flow.components[0].definition == "page_rota" and run(SystemSpec(name=model, model=model)) == found


def test_readiness_gives_the_reason_and_one_line(spec, server, monkeypatch):
    assert readiness(spec).ready and readiness(SystemSpec(name="n", model="nearest")).ready
    monkeypatch.delenv("OPENAI_API_KEY")
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    assert readiness(spec).ready, "a server of one's own needs no key"
    bare = SystemSpec(name="a", model="openai/gpt-4o")
    assert readiness(bare) == NotReady("no key for openai: OPENAI_API_KEY is not set", "export OPENAI_API_KEY=...")
    for change in ({"model": "gpt-9"}, {"model": "slm/none"}, {"model": "hosted_vllm/x"}, {"prompt": "nope"},
                   {"api_base": "http://127.0.0.1:9/v1"}, {"api_base": "http://127.0.0.1:99999/v1"},
                   {"api_base": "http://[::1/v1"}, {"api_base": "127.0.0.1/v1"}, {"api_base": "http://me:pw@host/v1"},
                   {"decoding": "grammar"}, {"model": "slm/x", "decoding": "grammar"}):  # fmt: skip
        answer = readiness(bare.model_copy(update=change))
        assert not answer.ready and answer.reason and "\n" not in answer.fix and "me:pw" not in str(answer)


ZYGOTE = """
import os, random, signal, sys, time
from pathlib import Path
from flowstudy.corpus.example import Example
from flowstudy.flows.catalogue import Catalogue
from flowstudy.systems import SystemSpec, run_system, wire
wire.litellm()
base, path, kills, examples, seed = sys.argv[1], sys.argv[2], *map(int, sys.argv[3:])
spec = SystemSpec(name="gpt", model="openai/gpt-4o", api_base=base, retriever="none", shots=0)
flow = {"trigger": None, "components": []}
world = [Example(id=f"e{n}", requirement=f"number {n}", references=[flow], domain="d") for n in range(examples)]
dice, calls = random.Random(seed), Path(path).parent / "calls" / "gpt.jsonl"
size = lambda: calls.stat().st_size if calls.exists() else 0
for turn in range(kills + 1):
    before, child = size(), os.fork()
    if child == 0:
        run_system(spec, world, [], {"d": Catalogue(name="d")}, None, path, max_in_flight=8)
        os._exit(0)
    if turn < kills:
        while size() == before:
            time.sleep(0.005)
        time.sleep(dice.uniform(0, 0.2))
        os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
"""


def killed(server, tmp_path, kills: int, examples: int) -> None:
    """Run a system in processes that are killed again and again, each after it has added something; the last one is
    left to end."""
    server.plan = lambda number, hit: Reply(delay_s=0.02 * (3 + 7 * number % 11))
    path = tmp_path / "gpt.jsonl"
    command = [sys.executable, "-c", textwrap.dedent(ZYGOTE), server.base(), path, kills, examples, 1]
    subprocess.run([str(part) for part in command], check=True, capture_output=True, timeout=300)
    lines = [(line["example"], line["repeat"]) for line in read_lines(path)]
    assert sorted(lines) == sorted((f"e{n}", 0) for n in range(examples)), "every record exactly once"
    asked = [hit.body["messages"][-1]["content"] for hit in server.hits if "messages" in hit.body]
    stored = list(read_lines(Path(tmp_path) / "calls" / "gpt.jsonl"))
    assert len({line["key"] for line in stored}) == len(stored) == examples, "no finished call was repeated"
    wasted = len(asked) - examples
    assert 0 < wasted <= kills * 8, "kills met calls in flight, and nothing but these is asked again"


def test_kill_and_resume(server, tmp_path):
    killed(server, tmp_path, kills=2, examples=80)


@pytest.mark.slow
def test_twenty_kills_over_four_hundred_calls(server, tmp_path):
    killed(server, tmp_path, kills=20, examples=400)


def test_a_schema_is_recorded_by_its_hash(run, spec, server):
    found = run(spec.model_copy(update={"decoding": "schema"}))
    sent, kept = server.hits[-1].body["response_format"], found[-1].calls[0].sent["response_format"]
    assert sent["json_schema"]["strict"] and set(kept) == {"type", "sha256"} and not found[-1].calls[0].changed


def test_importing_the_wing_loads_nothing_heavy():
    heavy = ("litellm", "torch", "bm25s", "scipy", "numba")
    code = f"import sys, flowstudy.systems; print([m for m in {heavy} if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"


FIRST_CALL = """
import socket, sys
asked, real = [], socket.getaddrinfo
socket.getaddrinfo = lambda host, *rest, **more: asked.append(str(host)) or real(host, *rest, **more)
from flowstudy.systems import wire
from flowstudy.systems.background import wait_for
hello = [{"role": "user", "content": "hi"}]
answer = wait_for(wire.send("openai/own", hello, {}, base=sys.argv[1], key="none", limit_s=60))
print(answer.text[:1], set(asked) - {"127.0.0.1"})
"""


def test_the_first_call_looks_up_nobody_but_its_server(server):
    """Named after LiteLLM, which fetches its price list when it is imported, unless it was told before."""
    done = subprocess.run([sys.executable, "-c", FIRST_CALL, server.base()], capture_output=True, text=True)
    assert done.stdout.split() == ["{", "set()"], done.stdout + done.stderr


def test_it_works_where_a_loop_already_runs(run, spec):
    """Named after the notebooks, which run their own event loop."""

    async def cell():
        return run(spec)

    assert {p.status for p in asyncio.run(cell())} == {"ok"}

"""What is booked is what was sent: resets, refusals, proxies, certificates and kills, counted at the server."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import ssl
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest
from loopback import Reply, Server, body_of

from flowstudy.systems.background import wait_for
from flowstudy.systems.budget import Budget
from flowstudy.systems.calls import Request
from flowstudy.systems.estimate import Size, priced
from flowstudy.systems.ledger import Ledger, spent_usd
from flowstudy.systems.llm import Client, prompt_bytes
from flowstudy.systems.prices import Price
from flowstudy.systems.readiness import readiness
from flowstudy.systems.records import SystemSpec
from flowstudy.systems.retries import Policy

MODELS = {
    "openai/gpt-4o": "openai",
    "anthropic/claude-sonnet-4-5": "anthropic",
    "gemini/gemini-2.5-flash": "gemini",
    "mistral/mistral-large-latest": "openai",
    "deepseek/deepseek-chat": "openai",
}
PRICE = Price(input=10, output=100, source="test", date="2026-01-01")
ASK = Request("whole", [{"role": "user", "content": "hi"}], {"temperature": 0.0, "max_tokens": 20})
WORST_USD = PRICE.tokens_usd(prompt_bytes(ASK), 20)
ANSWER_USD = PRICE.tokens_usd(100, 50)


def client_of(model: str, base: str | None, budget: Budget, **options) -> Client:
    policy = Policy(attempts=3, base_s=0.01)
    return Client(
        model, api_base=base, budget=budget, prices={model: PRICE}, policy=policy, **{"timeout_s": 5.0, **options}
    )


@pytest.mark.parametrize("manner", ["reset", "half", "hang", "page"])
@pytest.mark.parametrize("model", MODELS)
def test_what_was_sent_is_booked_once_per_request(server, model, manner):
    """Named after 240 requests for 20 prompts that were booked as nothing: LiteLLM sent each twice by itself."""
    server.plan = lambda number, hit: Reply(manner=manner) if manner != "page" else Reply(body="<html>hello</html>")
    budget = Budget(1.0)
    client = client_of(model, server.base(MODELS[model]), budget, timeout_s=0.5 if manner == "hang" else 5.0)
    calls = 20 if manner == "reset" else 2
    replies = [wait_for(client.complete(ASK._replace(repeat=n))) for n in range(calls)]
    attempts = 3 if manner in ("reset", "half") else 2
    assert len(server.hits) == sum(reply.call.attempts for reply in replies) == calls * attempts
    assert budget.spent_usd == pytest.approx(len(server.hits) * WORST_USD) and budget.held_usd == 0


@pytest.mark.parametrize("model", MODELS)
def test_a_refusal_and_a_server_that_is_not_there_cost_nothing(server, model):
    server.plan = lambda number, hit: Reply(status=500, body='{"error": {"message": "connection reset by peer"}}')
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        closed = f"http://127.0.0.1:{free.getsockname()[1]}"
        for base, words in ((server.base(MODELS[model]), "reset by peer"), (closed, "Connect call failed")):
            budget = Budget(1.0)
            reply = wait_for(client_of(model, base, budget).complete(ASK))
            assert reply.call.attempts == 3 and budget.spent_usd == budget.held_usd == 0
            assert words in str(reply.call.error)
    assert (
        len(server.hits) == 3
        and "nothing was sent" in str(reply.call.error)
        and "start that server" in (str(reply.call.error))
    )


@pytest.mark.parametrize("model", ["openai/gpt-4o", "anthropic/claude-sonnet-4-5", "gemini/gemini-2.5-flash"])
def test_an_answer_without_usage_is_kept_and_booked_by_our_count(server, model):
    gone = {"openai": "usage", "anthropic": "usage", "gemini": "usageMetadata"}[MODELS[model]]

    def plan(number, hit):
        body = body_of(hit.protocol, Reply(text="one two three"))
        return Reply(body=json.dumps({name: value for name, value in body.items() if name != gone}))

    server.plan = plan
    budget = Budget(1.0)
    reply = wait_for(client_of(model, server.base(MODELS[model]), budget).complete(ASK))
    assert (reply.outcome, reply.text, reply.call.tokens_counted_here) == ("ok", "one two three", True)
    assert (reply.call.prompt_tokens, reply.call.completion_tokens) == (1, 3)
    assert reply.call.cost_usd == budget.spent_usd == pytest.approx(PRICE.tokens_usd(1, 3))


@pytest.mark.parametrize(
    "key", ["k-0123456789\n", " k-0123456789 ", "k-01234\n56789", "'k-0123456789'", "k-01234\u200b56789", "k-0\x0756",
            "k-0123\r\n456789", '"k-0123456789"', "k-01234 56789", "k-0123456\u00e456"]
)  # fmt: skip
def test_a_key_is_stripped_and_checked_before_anything_is_sent(server, monkeypatch, key):
    """Named after 4.99 of 5 dollars that were booked for a key with a line end, with no request sent."""
    monkeypatch.setenv("OPENAI_API_KEY", key)
    monkeypatch.setenv("OPENAI_BASE_URL", server.base())
    spec, budget = SystemSpec(name="a", model="openai/gpt-4o"), Budget(1.0)
    if key.strip() == "k-0123456789":
        assert readiness(spec).ready
        assert wait_for(client_of(spec.model, None, budget).complete(ASK)).outcome == "ok"
        assert server.hits[0].headers["Authorization"] == "Bearer k-0123456789"
        return
    found = readiness(spec)
    assert not found.ready and found.reason.startswith("the key holds a") and "OPENAI_API_KEY" in found.fix
    with pytest.raises(ValueError, match="the key holds a"):
        client_of(spec.model, None, budget)
    assert not server.hits and budget.spent_usd == 0 and "56" not in str(found)


def test_a_base_url_of_ones_own_gets_the_key_that_is_named_and_no_other(server, monkeypatch):
    monkeypatch.setenv("OTHER_VENDOR", "other-vendors-key")
    monkeypatch.setenv("HOSTED_VLLM_API_KEY", "vllm-key")
    asked = [("openai/x", None, "none"), ("openai/x", "OTHER_VENDOR", "other-vendors-key"),
             ("hosted_vllm/x", None, "vllm-key")]  # fmt: skip
    for model, key_env, sent in asked:
        wait_for(Client(model, api_base=server.base(), key_env=key_env).complete(ASK))
        assert server.hits[-1].headers["Authorization"] == f"Bearer {sent}"
    spec = SystemSpec(name="a", model="openai/x", api_base=server.base(), key_env="NOT_SET_AT_ALL")
    assert "key_env" in readiness(spec).reason
    server.plan = lambda number, hit: Reply(status=401, body='{"error": {"message": "no key"}}')
    reply = wait_for(Client("openai/x", api_base=server.base()).complete(ASK))
    assert "set key_env" in str(reply.call.error)


@pytest.mark.parametrize("model", ["openai/gpt-4o", "gemini/gemini-2.5-flash", "anthropic/claude-sonnet-4-5"])
def test_another_model_that_answers_is_told_and_has_its_own_price(server, monkeypatch, model):
    short = model.partition("/")[2]
    for name in ("OPENAI_BASE_URL", "GEMINI_API_BASE", "ANTHROPIC_BASE_URL"):
        monkeypatch.setenv(name, server.base(MODELS[model]))
    for answered, cost_usd in ((f"{short}-2026-01-01", ANSWER_USD), ("dear", 10 * ANSWER_USD), ("unheard-of", None)):

        def plan(number, hit, answered=answered):
            body = body_of(hit.protocol, Reply())
            return Reply(body=json.dumps({**body, "model": answered, "modelVersion": answered}))

        server.plan = plan
        dear = PRICE.model_copy(update={"input": 100, "output": 1000})
        prices = {model: PRICE, f"{model.partition('/')[0]}/dear": dear}
        reply = wait_for(Client(model, prices=prices).complete(ASK))
        assert reply.call.exchanged == (answered in ("dear", "unheard-of")), reply.call.answered_by
        assert reply.call.cost_usd == (None if cost_usd is None else pytest.approx(cost_usd))


KILLED = """
import asyncio, sys
from flowstudy.systems.background import wait_for
from flowstudy.systems.budget import Budget
from flowstudy.systems.calls import Request
from flowstudy.systems.llm import Client
from flowstudy.systems.prices import Price
price = Price(input=10, output=100, source="test", date="2026-01-01")
client = Client("openai/gpt-4o", api_base=sys.argv[1], budget=Budget(5.0, ledger=sys.argv[2]),
                prices={"openai/gpt-4o": price}, max_in_flight=4)
ask = Request("whole", [{"role": "user", "content": "hi"}], {"temperature": 0.0, "max_tokens": 20})
async def all_of_them():
    await asyncio.gather(*(client.complete(ask._replace(repeat=n)) for n in range(40)))
wait_for(all_of_them())
"""


def test_a_kill_strands_the_calls_in_flight_and_no_more(server, tmp_path: Path) -> None:
    """Named after four kills that booked 4.35 dollars for 0.17: calls that waited for a place had set theirs aside."""
    path = tmp_path / "ledger.jsonl"
    server.plan = lambda number, hit: Reply(manner="hang" if number > 6 else "good")
    child = subprocess.Popen([sys.executable, "-c", textwrap.dedent(KILLED), server.base(), str(path)])
    while len(server.hits) < 10:
        assert child.poll() is None
        time.sleep(0.05)
    child.kill()
    child.wait()
    ledger = Ledger(path, 5.0)
    assert not ledger.reserve(5.0), "the money of the dead is booked when it is needed"
    billed = 6 * ANSWER_USD + 4 * WORST_USD
    assert len(server.hits) == 10 and spent_usd(path) == pytest.approx(billed) and ledger.held_usd == 0


@pytest.mark.slow
def test_twenty_kills_book_what_was_billed_within_the_calls_in_flight(tmp_path: Path) -> None:
    """Killed at any moment, between any two lines: what is booked differs from what a provider would bill by the four
    calls in flight at the most."""
    for kill in range(20):
        with Server(lambda number, hit: Reply(delay_s=0.03)) as server:
            path = tmp_path / f"ledger-{kill}.jsonl"
            child = subprocess.Popen([sys.executable, "-c", textwrap.dedent(KILLED), server.base(), str(path)])
            while len(server.hits) < 1 + kill * 2 and child.poll() is None:
                time.sleep(0.002)
            child.kill()
            child.wait()
            Ledger(path, 5.0).reserve(5.0)
            sent = len(server.hits)
        billed_usd = sent * ANSWER_USD
        assert abs(spent_usd(path) - billed_usd) <= 4 * max(WORST_USD, ANSWER_USD) + 1e-9, (kill, sent)


OUTSIDE = """
import os, sys
from pathlib import Path
Path(".env").write_text("OPENAI_API_KEY=from-the-file-0123456789\\nOPENAI_API_BASE=http://127.0.0.1:9/v1\\n")
from flowstudy.systems.background import wait_for
from flowstudy.systems.budget import Budget
from flowstudy.systems.calls import Request
from flowstudy.systems.llm import Client
from flowstudy.systems.prices import Price
from flowstudy.systems.retries import Policy
ask = Request("whole", [{"role": "user", "content": "hi"}], {"max_tokens": 20})
price = Price(input=10, output=100, source="test", date="2026-01-01")
for model in sys.argv[1:]:
    budget = Budget(5.0)
    client = Client(model, budget=budget, prices={model: price}, policy=Policy(attempts=2, base_s=0.01), timeout_s=9)
    reply = wait_for(client.complete(ask))
    print(budget.spent_usd, reply.call.attempts, reply.call.error)
print("from-the-file" in str(os.environ))
"""


def outside(tmp_path: Path, **environment: str) -> list[str]:
    """What calls to the providers' own hosts come to in a process with this environment; all lead to loopback."""
    models = ["openai/gpt-4o", "anthropic/claude-sonnet-4-5", "gemini/gemini-2.5-flash", "mistral/mistral-large-latest"]
    plain = {name: value for name, value in os.environ.items() if not name.lower().endswith(("_proxy", "_file"))}
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(OUTSIDE), *models], env={**plain, **environment}, cwd=tmp_path,
        capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    *lines, leaked = done.stdout.splitlines()
    assert len(lines) == len(models) and leaked == "False", ".env is not read"
    return lines


def test_a_proxy_that_is_not_there_is_named_and_costs_nothing(tmp_path):
    for line in outside(tmp_path, HTTPS_PROXY="http://127.0.0.1:9"):
        assert line.startswith("0.0 2 ") and "the proxy 127.0.0.1:9" in line and "correct or unset" in line


class Proxy:
    """A proxy on loopback: refuses each CONNECT with a status, or answers for every host with its own certificate."""

    def __init__(self, tls: ssl.SSLContext | None) -> None:
        self.tls, self.asked, self.bodies = tls, 0, 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        self.asked += 1
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n" if self.tls else b"HTTP/1.1 407 Who are you\r\n\r\n")
        await writer.drain()
        if self.tls:
            with contextlib.suppress(ssl.SSLError, OSError):
                await writer.start_tls(self.tls)
                self.bodies += bool(await reader.read(1))
        writer.close()

    def __enter__(self) -> str:
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, daemon=True).start()
        starting = asyncio.run_coroutine_threadsafe(asyncio.start_server(self.serve, "127.0.0.1", 0), self._loop)
        return f"http://127.0.0.1:{starting.result(10).sockets[0].getsockname()[1]}"

    def __exit__(self, *error: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)


def test_a_proxy_that_refuses_stops_the_calls_and_costs_nothing(tmp_path):
    proxy = Proxy(None)
    with proxy as address:
        for line in outside(tmp_path, HTTPS_PROXY=address):
            assert line.startswith("0.0 1 ") and "the proxy answers with status 407" in line
    assert proxy.asked == 4, "no second attempt, and the warm-up does not go through a proxy"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory) -> Path:
    """A self-signed certificate for the providers' hosts."""
    path = tmp_path_factory.mktemp("tls") / "proxy.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", path, "-out", f"{path}.crt", "-subj",
         "/CN=proxy", "-addext", "subjectAltName=DNS:api.openai.com,DNS:api.anthropic.com,DNS:api.mistral.ai,"
         "DNS:generativelanguage.googleapis.com"], check=True, capture_output=True,
    )  # fmt: skip
    return path


@pytest.mark.parametrize("variable", ["", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"])
def test_a_certificate_that_is_not_trusted_is_named_and_costs_nothing(tmp_path, certificate, variable):
    """Named after 4.99 of 5 dollars; with the certificate named, bodies go out and count."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(f"{certificate}.crt", certificate)
    proxy = Proxy(context)
    with proxy as address:
        lines = outside(tmp_path, HTTPS_PROXY=address, **({variable: f"{certificate}.crt"} if variable else {}))
    if variable:
        assert proxy.bodies == 8 and all(float(line.split()[0]) > 0 for line in lines)
        return
    assert proxy.asked == 4 and proxy.bodies == 0
    for line in lines:
        assert line.startswith("0.0 1 ") and "self-signed certificate); set SSL_CERT_FILE or REQUESTS_CA_BUNDLE" in line


def test_the_cache_and_the_service_tier_are_priced():
    price = Price(input=2, cached_input=1, cache_write=4, output=10, tiers={"flex": 0.5}, source="test", date="x")
    assert price.tokens_usd(1_000_000, 0, cached=250_000, stored=250_000) == pytest.approx(0.5 * 2 + 0.25 + 1.0)
    assert price.tokens_usd(0, 1_000_000, tier="flex") == 5 and price.tokens_usd(0, 1_000_000, tier="default") == 10
    assert price.tokens_usd(0, 1_000_000, tier="priority") is None, "a tier without a price is unknown, never standard"


def test_an_estimate_is_that_of_the_service_tier():
    price = Price(input=2, output=10, tiers={"priority": 1.7}, source="test", date="x")
    spec, size = SystemSpec(name="a", model="openai/a"), Size(1, 3600, 1000, 3600, 2000)
    usual, dear = (
        priced(one, 1, size, prices={"openai/a": price})
        for one in (spec, spec.model_copy(update={"service_tier": "priority"}))
    )
    assert dear.cost_usd == pytest.approx(1.7 * usual.cost_usd) and dear.worst_usd == pytest.approx(
        1.7 * usual.worst_usd
    )

"""A model behind a real server, `transformers serve`, is asked like any OpenAI-compatible one, and it is the same
model: the server reads the very prompt that training and serving in this process read, and begins to write the same."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from flowstudy.systems import SystemSpec, readiness, retrieve, run_system
from flowstudy.systems.prompts import render
from flowstudy.systems.slm.generate import generate
from flowstudy.systems.slm.loading import load_model
from flowstudy.systems.slm.template import prompt_ids

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def served(tiny, tmp_path_factory):
    """(base URL, model folder) of a server process that has loaded the tiny model."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [str(Path(sys.executable).with_name("transformers")), "serve", str(tiny)]
    options = ["--host", "127.0.0.1", "--port", str(port), "--device", "cpu", "--dtype", "float32"]
    log = tmp_path_factory.mktemp("log") / "serve.txt"
    with log.open("w") as out:
        server = subprocess.Popen(
            [*command, *options], stdout=out, stderr=out, env={**os.environ, "HF_HUB_OFFLINE": "1"}
        )
    try:
        _wait_for(f"http://127.0.0.1:{port}/health", server, log)
        yield f"http://127.0.0.1:{port}/v1", str(tiny)
    finally:
        server.kill()
        server.wait()


def _wait_for(url: str, server: subprocess.Popen, log: Path) -> None:
    for _ in range(600):
        assert server.poll() is None, log.read_text()[-2000:]
        try:
            with urllib.request.urlopen(url, timeout=2):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.5)
    raise AssertionError(log.read_text()[-2000:])


@pytest.mark.parametrize("provider", ["hosted_vllm", "openai"])
def test_a_server_of_ones_own_is_the_same_model(served, provider, examples, catalogue, tmp_path):
    base, folder = served
    spec = SystemSpec(
        name="served", model=f"{provider}/{folder}", api_base=base, prompt="outline", shots=0, suggestions=2,
        max_tokens=8,
    )  # fmt: skip
    assert readiness(spec).ready
    path = tmp_path / "served.jsonl"
    found = run_system(spec, examples[:2], [], {"office": catalogue}, None, path, max_cost_usd=1.0, max_in_flight=1)
    assert len(found) == 2 and all(p.is_answer for p in found), [p.error for p in found]
    model, tokenizer = load_model(folder, device="cpu")
    for example, prediction in zip(examples, found, strict=False):
        offered = retrieve("lexical", example.requirement, catalogue, 2)
        ids = prompt_ids(tokenizer, render(spec, "whole", example.requirement, offered, catalogue).messages)
        (call,) = prediction.calls
        assert call.prompt_tokens == len(ids)
        assert prediction.text.strip() == generate(model, tokenizer, [ids], 8)[0].text.strip()
        assert call.completion_tokens and call.latency_s and call.cost_usd is None, "no price is known, so no cost"
    assert run_system(spec, examples[:2], [], {"office": catalogue}, None, path) == found

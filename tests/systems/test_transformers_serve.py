"""The seed model behind a real server, `transformers serve`, is asked like any OpenAI-compatible one.

Without the guided decoding of the model's own provider a pointer may point at nothing: that is `invalid_output`.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from flowstudy.corpus import shipped_corpus
from flowstudy.corpus.environments import shipped_catalogue
from flowstudy.systems import SystemSpec, readiness, run_system
from flowstudy.systems.slm import SEED_MODEL

pytestmark = pytest.mark.slow
#: What `slm.template.render_messages` writes, as the server wants it.
TEMPLATE = "{{ bos_token }}{% for m in messages %}{{ m['content'].strip('\n') }}\n{% endfor %}"


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """(base URL, model folder) of a server process that has loaded the seed model."""
    folder = shutil.copytree(SEED_MODEL, tmp_path_factory.mktemp("model") / "seed")
    (folder / "chat_template.jinja").write_text(TEMPLATE, encoding="utf-8")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [str(Path(sys.executable).with_name("transformers")), "serve", str(folder)]
    options = ["--host", "127.0.0.1", "--port", str(port), "--device", "cpu"]
    log = tmp_path_factory.mktemp("log") / "serve.txt"
    with log.open("w") as out:
        server = subprocess.Popen(
            [*command, *options], stdout=out, stderr=out, env={**os.environ, "HF_HUB_OFFLINE": "1"}
        )
    try:
        _wait_for(f"http://127.0.0.1:{port}/health", server, log)
        yield f"http://127.0.0.1:{port}/v1", str(folder)
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
def test_a_real_local_server_answers_with_flows(served, provider, tmp_path):
    base, folder = served
    examples = [e for e in shipped_corpus() if e.domain == "it_service" and e.split == "validation"][:2]
    spec = SystemSpec(
        name="served", model=f"{provider}/{folder}", api_base=base, prompt="pointed", shots=0, suggestions=8,
        max_tokens=160,
    )  # fmt: skip
    assert readiness(spec).ready
    catalogues = {"it_service": shipped_catalogue("it_service")}
    path = tmp_path / "served.jsonl"
    found = run_system(spec, examples, [], catalogues, None, path, max_cost_usd=1.0, max_in_flight=1)
    assert len(found) == 2 and all(p.is_answer for p in found), [p.error for p in found]
    assert all(re.search(r"<[ws]\d+>", p.text) for p in found), "it points, as it has learnt"
    calls = [call for p in found for call in p.calls]
    assert all(call.completion_tokens and call.prompt_tokens and call.latency_s for call in calls)
    assert {call.cost_usd for call in calls} == {None}, "no price is known, so no cost is known"
    assert run_system(spec, examples, [], catalogues, None, path) == found

"""The notebooks protect: sources are clean, tell their story in the same order, and the whole study really runs."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import quote

import pandas as pd
import pytest

from flowstudy.corpus import shipped_corpus, write_corpus
from flowstudy.run_folder import project_root
from flowstudy.status import LACKING
from flowstudy.study import NOTEBOOKS

sys.path.insert(0, str(Path(__file__).parent / "systems"))
from loopback import Hit, Reply, Server

ROOT = project_root(Path(__file__).parent)
SOURCES = sorted((ROOT / "notebooks").glob("*.ipynb"))
HEADINGS = [
    "Question", "Parameters", "Data", "One example", "Work", "Table", "Figure",
    "What this shows and what it does not", "Files written",
]  # fmt: skip
#: Of no provider's shape: only its value gives it away.
FAKE_KEY = "hush/0123456789+abcdefghijklmnopqrstuvwxyz"


def cells(path: Path) -> list[dict]:
    return json.loads(path.read_text(encoding="utf-8"))["cells"]


def source(cell: dict) -> str:
    return "".join(cell["source"])


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)
def test_a_source_is_clean_and_tells_its_story(path: Path) -> None:
    code = [cell for cell in cells(path) if cell["cell_type"] == "code"]
    assert not any(cell["outputs"] or cell["execution_count"] for cell in code), "sources carry no outputs"
    assert not any("papermill" in json.dumps(cell["metadata"]) for cell in code)
    words = [line for cell in cells(path) if cell["cell_type"] == "markdown" for line in source(cell).splitlines()]
    assert [line[3:] for line in words if line.startswith("## ")] == HEADINGS
    assert max(len(source(cell).splitlines()) for cell in code) <= 30
    defined = [node for cell in code for node in ast.walk(ast.parse(source(cell))) if isinstance(node, ast.FunctionDef)]
    assert not defined, "logic belongs into lib"


def test_no_two_notebooks_write_the_same_figure() -> None:
    """What a run leaves must not depend on which of them ran last."""
    written: dict[str, set[str]] = {}
    for path in SOURCES:
        code = "\n".join(source(cell) for cell in cells(path) if cell["cell_type"] == "code")
        for name in re.findall(r'(?:folder|run\.figures),\s*f?"([^"]+)"', code):
            written.setdefault(name, set()).add(path.stem)
    assert len(written) > 15 and not {name: by for name, by in written.items() if len(by) > 1}


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)
def test_every_parameter_has_a_help_and_a_json_type(path: Path) -> None:
    (tagged,) = [cell for cell in cells(path) if "parameters" in cell["metadata"].get("tags", [])]
    for line in source(tagged).splitlines():
        code, mark, words = line.partition("  # ")
        assert mark and words and json.dumps(ast.literal_eval(code.split(" = ", 1)[1]))


def run_study(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "flowstudy", "study", *words]
    quiet = {name: value for name, value in os.environ.items() if not name.endswith("_API_KEY")}
    return subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=2400, env={**quiet, **environment}
    )  # fmt: skip


@pytest.mark.slow
def test_the_quick_study_runs_offline_and_again_in_seconds(tmp_path: Path) -> None:
    """Requirements become flows, are scored, compared, tagged and decided; a second run repeats nothing."""
    run = tmp_path / "quick run"
    done = run_study("--profile", "quick", "--run", str(run))
    assert done.returncode == 0, done.stdout + done.stderr
    manifest = json.loads((run / "manifest.json").read_text())
    assert {name: state["state"] for name, state in manifest["notebooks"].items()} == dict.fromkeys(NOTEBOOKS, "done")
    assert manifest["facts"]["02_fine_tune"]["models"]["tuned"]["training_examples"] == 120
    scores = pd.read_parquet(run / "scores.parquet")
    answered = set(scores["system"])
    assert {"nearest", "slm-untuned-shots", "slm-tuned"} <= answered and "gpt-4o" not in answered
    report = (run / "report.html").read_text(encoding="utf-8")
    assert "gpt-4o" in report and "OPENAI_API_KEY" in report, "systems that were not run are named with the reason"
    for path in (run / "notebooks").glob("*.ipynb"):
        assert path.stat().st_size < 1_500_000, path.name
    again = run_study("--profile", "quick", "--run", str(run))
    started = [line for line in (run / "log.txt").read_text().splitlines() if line.endswith(": started")]
    assert again.returncode == 0 and len(started) == len(NOTEBOOKS)


@pytest.mark.slow
def test_a_corpus_of_your_own_runs_and_no_key_is_written(tmp_path: Path) -> None:
    """A few lines without split, domain or catalogue; a provider that repeats the key in its answers and errors does
    not get it into any file of the run: executed notebooks, journals, logs, tables, pictures, report."""

    def echo(number: int, hit: Hit) -> Reply:
        said = hit.headers["Authorization"]
        if number % 3 == 2:
            return Reply(status=400, body=json.dumps({"error": {"message": f"Incorrect header: {said}"}}))
        step = {"category": "action", "definition": "log_message", "order": 1,
                "inputs": [{"name": "message", "value": said}]}  # fmt: skip
        flow = json.dumps({"trigger": None, "components": [step]})
        return Reply(text=flow if number % 3 else f"I was given {said}", headers={"x-request-key": said})

    own, run = tmp_path / "mine.jsonl", tmp_path / "run"
    lines = [{"id": f"own-{n}", "requirement": example.requirement, "flow": example.flow.to_dict()}
             for n, example in enumerate(shipped_corpus()[:6])]  # fmt: skip
    own.write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    words = [
        "--profile",
        "quick",
        "--corpus",
        str(own),
        "--run",
        str(run),
        "--systems",
        "constant nearest openai/gpt-4o",
    ]
    with Server(echo) as server:
        done = run_study(*words, OPENAI_API_KEY=FAKE_KEY, OPENAI_API_BASE=server.base())
    assert done.returncode == LACKING, done.stdout + done.stderr
    assert "gpt-4o: no answer to 2 of 6 requests" in done.stdout
    assert {hit.headers["Authorization"] for hit in server.hits if "messages" in hit.body} == {f"Bearer {FAKE_KEY}"}
    scores = pd.read_parquet(run / "scores.parquet")
    assert set(scores["system"]) == {"gpt-4o"} and scores["example"].nunique() == 6, "nothing to learn from"
    written = {path.relative_to(run).as_posix(): path.read_bytes() for path in run.rglob("*") if path.is_file()}
    assert {"notebooks/03_prompt.ipynb", "predictions/gpt-4o.jsonl", "log.txt", "report.html"} <= written.keys()
    assert b"[redacted OPENAI_API_KEY]" in written["notebooks/03_prompt.ipynb"]
    spellings = [FAKE_KEY.encode(), quote(FAKE_KEY, safe="").encode()]
    assert not [name for name, content in written.items() if any(way in content for way in spellings)]
    assert FAKE_KEY not in done.stdout + done.stderr


@pytest.mark.slow
def test_a_broken_line_of_a_corpus_stops_the_run_and_is_named(tmp_path: Path) -> None:
    own = tmp_path / "broken.jsonl"
    write_corpus(own, shipped_corpus()[:3])
    with own.open("a") as file:
        file.write('{"id": "x", "requirement": \n')
    done = run_study("--profile", "quick", "--corpus", str(own), "--run", str(tmp_path / "run"))
    assert done.returncode != 0 and "broken.jsonl:4" in done.stdout
    missing = run_study("--profile", "quick", "--corpus", str(tmp_path / "none.jsonl"), "--run", str(tmp_path / "r"))
    assert missing.returncode == 2 and "none.jsonl" in missing.stderr

"""Incremental runs protect: what depends on a change runs again, and nothing else, whatever the clock says."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from flowstudy.corpus import shipped_corpus, write_corpus
from tests.tiny_study import ROOT, environment, make_project, study, worked

#: Prints the fingerprints of every notebook, as they are and after each edit (a file, a text and what replaces it).
SHOW = """
import json, sys
from pathlib import Path
from flowstudy import dependencies, study
def show():
    for cached in (dependencies.library_files, dependencies._read_file, study._library_hash):
        cached.cache_clear()
    one = study.load_study("study.yaml", "quick", "mine.jsonl")
    return {n: study.fingerprint(Path.cwd(), n, p) for n, p in one.parameters("runs/x").items()}
found = [show()]
for file, old, new in json.loads(sys.argv[1]):
    text = Path(file).read_text()
    assert old in text, (file, old)
    Path(file).write_text(text.replace(old, new, 1))
    found.append(show())
    Path(file).write_text(text)
print(json.dumps(found))
"""
EVERY = {"01_explore_data", "02_fine_tune", "03_prompt", "04_score", "05_tag_errors", "06_decide"}


#: File, text, replacement, and the notebooks whose own inputs that changes (every notebook reads the corpus).
EDITS: list[tuple[str, str, str, set[str]]] = [
    ("study.yaml", "items: 20", "items: 21", {"05_tag_errors"}),
    ("study.yaml", "resamples: 999}", "resamples: 998}", {"04_score", "06_decide"}),
    ("study.yaml", "max_minutes: 1.0", "max_minutes: 1.5", {"02_fine_tune"}),
    ("notebooks/04_score.ipynb", "how close do", "how near do", {"04_score"}),
    ("notebooks/04_score.ipynb", '"outputs": []', '"outputs":  []', set()),
    ("mine.jsonl", "\n", "\n\n", {"01_explore_data"}),
    ("lib/flowstudy/systems/prompts/json/v2.md", "\n", "\n\n", {"03_prompt"}),
    ("lib/flowstudy/systems/prompts/outline/v2.md", "\n", "\n\n", {"02_fine_tune", "03_prompt"}),
    ("lib/flowstudy/systems/prompts/reasoning/v2.md", "\n", "\n\n", {"03_prompt"}),
    ("lib/flowstudy/analysis/agreement.py", "\n", "\n\n", {"05_tag_errors"}),
    ("lib/flowstudy/analysis/taxonomy.yaml", "\n", "\n\n", {"05_tag_errors"}),
    ("lib/flowstudy/review/report.html.j2", "\n", "\n\n", {"06_decide"}),
    ("lib/flowstudy/systems/llm.py", "\n", "\n\n", {"03_prompt"}),
    ("lib/flowstudy/systems/slm/train.py", "\n", "\n\n", {"02_fine_tune"}),
    ("lib/flowstudy/flows/outline.py", "\n", "\n\n", EVERY),
    ("lib/flowstudy/compare.py", "\n", "\n\n", set()),
]


def test_a_change_reaches_the_notebooks_that_depend_on_it_and_no_other(tmp_path: Path) -> None:
    """Of the real notebooks and a copy of their library, by their imports."""
    shutil.copytree(ROOT / "lib", tmp_path / "lib", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    shutil.copytree(ROOT / "notebooks", tmp_path / "notebooks", ignore=shutil.ignore_patterns("rendered"))
    shutil.copy(ROOT / "study.yaml", tmp_path)
    write_corpus(tmp_path / "mine.jsonl", shipped_corpus()[:3])
    edits = json.dumps([edit[:3] for edit in EDITS])
    done = subprocess.run(
        [sys.executable, "-c", SHOW, edits], cwd=tmp_path, env=environment(tmp_path), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    before, *after = json.loads(done.stdout)
    changed = [{name for name in EVERY if before[name] != one[name]} for one in after]
    assert dict(enumerate(changed)) == {n: edit[3] for n, edit in enumerate(EDITS)}


@pytest.mark.slow
def test_only_what_changed_runs_again(tmp_path: Path) -> None:
    """A chain of changes to one run. A notebook that leaves what it left before keeps those after it up to date."""
    project = make_project(tmp_path / "p", library=True)
    run, settings = project / "runs/quick", project / "study.yaml"
    assert study(project).returncode == 0
    seen = len(worked(project))
    assert seen == 6

    def again() -> list[str]:
        nonlocal seen
        done = study(project)
        assert done.returncode == 0, done.stdout + done.stderr
        seen, fresh = len(worked(project)), worked(project)[seen:]
        return fresh

    (run / "scores.parquet").unlink()
    assert again() == ["04_score"] and (run / "scores.parquet").exists(), "a deleted output is rebuilt"
    settings.write_text(settings.read_text().replace("items: 20", "items: 21"))
    assert again() == ["05_tag_errors"]
    prompt = project / "lib/flowstudy/systems/prompts/json/v2.md"
    prompt.write_text(prompt.read_text() + "\n")
    assert again() == ["03_prompt"], "the same answers: nothing after it"
    notebook, module = project / "notebooks/04_score.ipynb", project / "lib/flowstudy/analysis/measures.py"
    notebook.write_text(notebook.read_text().replace("import os, time", "import os, time, flowstudy.analysis.measures"))
    assert again() == ["04_score"], "its source"
    module.write_text(module.read_text() + "\n")
    assert again() == ["04_score"], "a module that only this notebook imports"
    settings.write_text(settings.read_text().replace("epochs: 1.5 ", "epochs: 1.75 "))
    assert again() == ["02_fine_tune", "03_prompt"], "another model, the same answers"
    settings.write_text(settings.read_text().replace("seed: 7 ", "seed: 8 "))
    assert again() == sorted(EVERY)

    moved = project / "runs/elsewhere"
    shutil.copytree(run, moved, copy_function=shutil.copyfile)
    for number, path in enumerate(sorted(moved.rglob("*"))):
        os.utime(path, (number, number) if number % 2 else (4_000_000_000, 4_000_000_000))
    done = study(project, "--run", "elsewhere")
    assert done.returncode == 0 and len(worked(project, "elsewhere")) == seen, "moved, and times that make no sense"

"""Drills: what goes wrong at three in the morning ends in a clear message, and nothing finished is lost."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
import yaml
from nbformat.v4 import new_code_cell, new_notebook, new_output

from flowstudy.__main__ import main
from flowstudy.files import write_text
from flowstudy.lifeline import descendants, is_at_work, only_one
from flowstudy.notebook import MAX_NOTEBOOK_BYTES, keep_notebook
from flowstudy.review.tags import Tag, TagStore, TagStoreError
from flowstudy.run_folder import os_problem
from flowstudy.study import NOTEBOOKS, StudyError
from tests.tiny_study import (
    ROOT,
    command,
    environment,
    make_project,
    study,
    wait_until_gone,
    wait_until_working,
    worked,
)

#: A study that takes seconds, with the real notebooks.
SMALL = {
    "examples": {"train": 40, "dev": 4, "dev_ood": 2, "validation": 2},
    "fine_tune": {"epochs": 1.0, "max_minutes": 0.05},
    "prompting": {"load_levels": [2]},
    "statistics": {"resamples": 99},
}


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of one megabyte of its own; only root can mount one."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1M", "tmpfs", str(disk)], capture_output=True)
    if mounted.returncode:
        pytest.skip(f"no disk can be mounted here: {mounted.stderr.decode().strip()}")
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


def fill(disk: Path, but_for: int = 0) -> Path:
    """A file that leaves `but_for` bytes of a disk free."""
    state = os.statvfs(disk)
    filler = disk / "filler"
    filler.write_bytes(b"x" * (state.f_bavail * state.f_bsize - but_for))
    return filler


def test_a_full_disk_is_named_and_leaves_the_old_file(small_disk: Path) -> None:
    path = small_disk / "status.json"
    write_text(path, "old")
    with pytest.raises(OSError) as full:
        write_text(path, "x" * 2_000_000)
    assert os_problem(full.value).startswith(f"{path}: the disk is full; what was finished is kept")
    assert path.read_text() == "old" and [p.name for p in small_disk.iterdir()] == ["status.json"]


@pytest.mark.slow
def test_a_run_on_a_full_disk_says_so_and_resumes_with_room(tmp_path: Path, small_disk: Path) -> None:
    project, run = make_project(tmp_path / "p"), small_disk / "run"
    filler = fill(small_disk, but_for=200_000)
    full = study(project, "--run", str(run))
    assert full.returncode != 0 and f"{run}: the disk is full; what was finished is kept" in full.stdout, full.stdout
    finished = [path.name for path in (run / "done").iterdir()]
    assert "01_explore_data" in finished and len(finished) < len(NOTEBOOKS)
    filler.unlink()
    subprocess.run(["mount", "-o", "remount,size=50M", str(small_disk)], check=True)
    seen = len(worked(project, str(run)))
    done = study(project, "--run", str(run))
    assert done.returncode == 0, done.stdout + done.stderr
    assert worked(project, str(run))[seen:] == [name for name in NOTEBOOKS if name not in finished]


def test_a_read_only_run_folder_is_named(small_disk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    assert main(["study", "--profile", "quick", "--run", str(small_disk)]) == 2
    assert capsys.readouterr().err == (
        f"error: run folder {small_disk}: expected one that can be written, got: Read-only file system; "
        "RUN= names another\n"
    )


def test_tags_on_a_full_disk_say_so_and_lose_none(small_disk: Path) -> None:
    """SQLite's own refusal, in words; what was tagged is there, and with room the same click is saved."""
    store = TagStore(small_disk / "tags.sqlite")
    tags = [Tag(annotator="ana", system="s", example=f"t-{n}", note="x" * 5_000) for n in range(40)]
    store.add(*tags[:20])
    filler = fill(small_disk)
    with pytest.raises(TagStoreError, match=r"tags\.sqlite: expected room on the disk, got none; free some space"):
        store.add(*tags[20:])
    assert [tag.example for tag in store.history()] == [tag.example for tag in tags[:20]]
    filler.unlink()
    store.add(*tags[20:])
    assert len(store.history()) == 40


def test_the_lock_of_a_run_is_free_again_however_its_runner_ended(tmp_path: Path) -> None:
    code = "import sys, time; from pathlib import Path; from flowstudy.lifeline import only_one\n"
    code += "with only_one(Path(sys.argv[1])): print('held', flush=True); time.sleep(60)"
    holder = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None and holder.stdout.readline() == "held\n"
    assert is_at_work(tmp_path) and holder.pid in [process.pid for process in descendants()]
    with pytest.raises(StudyError, match="no other run in this folder"), only_one(tmp_path):
        raise AssertionError("not reached")
    holder.kill()
    holder.wait()
    assert not is_at_work(tmp_path)
    with only_one(tmp_path):
        threading.Event().wait(0.01)


def test_an_executed_notebook_is_bounded_and_carries_no_key_and_no_widget(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pictures too large for a notebook give way to a note; a printed key is masked, also in a traceback."""
    key = "sk-proj-0123456789abcdefghijklmnopqrst"
    monkeypatch.setenv("OPENAI_API_KEY", key)
    picture = new_output("display_data", data={"image/png": "A" * MAX_NOTEBOOK_BYTES})
    error = new_output("error", ename="E", evalue=key, traceback=[f"line {n} {key}" for n in range(2_000)])
    cells = [new_code_cell("f()", outputs=[picture, new_output("stream", name="stdout", text=f"key={key}"), error])]
    path = tmp_path / "n.ipynb"
    nbformat.write(new_notebook(cells=cells, metadata={"widgets": {"state": "x" * 1000}}), path)
    kept = tmp_path / "kept.ipynb"
    keep_notebook(path, kept)
    text = kept.read_text()
    assert kept.stat().st_size < MAX_NOTEBOOK_BYTES and "bytes left out" in text
    assert key not in text and "[redacted OPENAI_API_KEY]" in text and "widgets" not in text
    nbformat.validate(nbformat.read(kept, as_version=4))


def test_the_pre_commit_hook_strips_everything_but_the_parameters_tag(tmp_path: Path) -> None:
    """The command is read from the hook's own configuration, and `make lint` uses the same one."""
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"][0]["hooks"]
    entry = next(hook["entry"] for hook in hooks if hook["id"] == "nbstripout").removeprefix(".venv/bin/")
    assert f"STRIP := {entry}\n" in (ROOT / "Makefile").read_text()
    cell = new_code_cell("a = 1  # help", outputs=[new_output("stream", text="x")], execution_count=3)
    cell.metadata = {"tags": ["parameters"], "papermill": {"duration": 1}}
    injected = new_code_cell("a = 2", metadata={"tags": ["injected-parameters"]})
    path = tmp_path / "n.ipynb"
    nbformat.write(new_notebook(cells=[cell, injected], metadata={"papermill": {}, "widgets": {}}), path)
    words = shlex.split(entry)
    verify = [sys.executable, "-m", "nbstripout", *words[1:], "--verify", str(path)]
    assert subprocess.run(verify, capture_output=True).returncode != 0
    subprocess.run([sys.executable, "-m", "nbstripout", *words[1:], str(path)], check=True)
    (kept,) = nbformat.read(path, as_version=4).cells
    assert kept.metadata == {"tags": ["parameters"]} and not kept.outputs and kept.id == cell.id
    assert subprocess.run(verify, capture_output=True).returncode == 0


@pytest.mark.slow
def test_floods_and_memory_eaters_fail_alone(tmp_path: Path) -> None:
    """100 MB printed leave a small notebook; a kernel above its memory limit is stopped by name."""
    project = make_project(tmp_path / "p")
    (project / "behave-01_explore_data").write_text("flood")
    (project / "behave-02_fine_tune").write_text("eat")
    failed = study(project, FLOWSTUDY_MEMORY_GIB="1.5")
    assert failed.returncode != 0 and "GiB of memory (limit 1.5 GiB)" in failed.stdout, failed.stdout
    assert worked(project) == list(NOTEBOOKS)[:2]
    executed = project / "runs/quick/notebooks/01_explore_data.ipynb"
    assert executed.stat().st_size < MAX_NOTEBOOK_BYTES and "characters left out" in executed.read_text()
    assert executed.with_suffix(".html").stat().st_size < MAX_NOTEBOOK_BYTES
    assert not wait_until_gone(project)


@pytest.mark.slow
def test_a_killed_kernel_is_a_failure_and_leaves_no_process(tmp_path: Path) -> None:
    project = make_project(tmp_path / "p")
    (project / "behave-01_explore_data").write_text("hang")
    runner = subprocess.Popen(
        command("study", "--profile", "quick", "--cores", "1"), cwd=project, stdout=subprocess.PIPE, text=True,
        env=environment(project),
    )  # fmt: skip
    wait_until_working(project, "01_explore_data", runner)
    kernels = [process for process in descendants(runner.pid) if "ipykernel" in " ".join(process.cmdline())]
    for kernel in kernels:
        kernel.kill()
    said = runner.communicate(timeout=60)[0]
    assert kernels and runner.returncode != 0 and "the kernel died" in said
    record = json.loads((project / "runs/quick/status/01_explore_data.json").read_text())
    assert record["state"] == "failed" and not wait_until_gone(project)


@pytest.mark.slow
def test_a_corpus_that_changes_during_a_run_is_noticed_by_its_content(tmp_path: Path) -> None:
    """While notebook 01 reads it that one fails; later the run ends, and says that it is of another corpus."""
    project, corpus = make_project(tmp_path / "p"), tmp_path / "données à nous.jsonl"
    corpus.write_text("\n")
    words = ("--corpus", str(corpus), "--run", "mine")
    (project / "behave-01_explore_data").write_text(f"edit {corpus}")
    torn = study(project, *words)
    assert torn.returncode != 0 and "changed while the run was at work; run again" in torn.stdout
    assert worked(project, "mine") == ["01_explore_data"]
    (project / "behave-01_explore_data").rename(project / "behave-04_score")
    late = study(project, *words)
    assert late.returncode != 0 and f"corpus {corpus} changed while the run was at work" in late.stdout
    assert "0 of 6 notebooks done" in late.stdout and worked(project, "mine")[1:] == list(NOTEBOOKS)
    (project / "behave-04_score").unlink()
    assert study(project, *words).returncode == 0
    assert worked(project, "mine")[7:] == ["01_explore_data"], "it leaves what it left: nothing after it"


@pytest.mark.slow
def test_without_network_optional_packages_and_chrome_a_study_runs(tmp_path: Path) -> None:
    """The real notebooks in a network namespace with nothing in it, Unsloth hidden, no browser to be found; fine-tuning
    falls back to TRL, figures to HTML. The run folder has a space and an accent in its name."""
    if subprocess.run(["unshare", "-rn", "true"], capture_output=True).returncode:
        pytest.skip("no network namespace can be made here")
    project, run, hidden = tmp_path / "p", tmp_path / "längster Lauf", tmp_path / "hidden"
    shutil.copytree(ROOT / "notebooks", project / "notebooks", ignore=shutil.ignore_patterns("rendered"))
    shutil.copy(ROOT / "Snakefile", project)
    settings = yaml.safe_load((ROOT / "study.yaml").read_text())
    settings["profiles"] = {"small": SMALL}
    (project / "study.yaml").write_text(yaml.safe_dump(settings))
    (hidden / "unsloth").mkdir(parents=True)
    (hidden / "unsloth" / "__init__.py").write_text("raise ImportError('not installed')\n")
    words = command("study", "--profile", "small", "--systems", "constant slm-tuned", "--run", str(run))
    poor = environment(ROOT, PYTHONPATH=f"{hidden}:{ROOT / 'lib'}", BROWSER_PATH="/nowhere/chrome", PATH="/bin")
    alone = ["unshare", "-rn", "sh", "-c", '/sbin/ip link set lo up; exec "$@"', "sh", *words]
    done = subprocess.run(alone, cwd=project, capture_output=True, text=True, timeout=2400, env=poor)
    assert done.returncode == 0, done.stdout + done.stderr
    facts = json.loads((run / "finished/02_fine_tune.json").read_text())["facts"]["models"]["tuned"]
    assert facts["engine"] == "trl" and "plain TRL" in facts["why"]
    assert (run / "figures/scores.html").is_file() and not list(run.rglob("*.png"))
    assert (run / "report.html").is_file()

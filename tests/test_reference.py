"""The reference run protects: what is committed is that of the code, safe, small, and says which numbers moved."""

from __future__ import annotations

import base64
import io
import json
import os
import shutil
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

from flowstudy.reference import changes, reference_study, stale, write_reference
from flowstudy.rendered import LARGEST, clean_html, readable, to_html, write_page
from flowstudy.run_folder import Run, project_root
from flowstudy.study import NOTEBOOKS, StudyError

ROOT = project_root(Path(__file__).parent)
RENDERED = ROOT / "notebooks" / "rendered"
XSS = (
    "<img src=x onerror=alert(1)><script>alert(2)</script><a href='javascript:alert(3)'>x</a><b onclick='f()'>bold</b>"
)


def png(size: tuple[int, int] = (40, 20)) -> bytes:
    data = io.BytesIO()
    Image.new("RGB", size, "#0072B2").save(data, format="PNG")
    return data.getvalue()


def executed(root: Path) -> dict:
    """What papermill leaves: times and paths in the metadata, a figure, a widget, HTML from model output."""
    outputs = [
        {"output_type": "display_data", "metadata": {},
         "data": {"application/vnd.plotly.v1+json": {"data": []}, "image/png": base64.b64encode(png()).decode()}},
        {"output_type": "display_data", "metadata": {}, "data": {"application/vnd.jupyter.widget-view+json": {},
                                                                "text/plain": "Button()"}},
        {"output_type": "execute_result", "metadata": {}, "execution_count": 1,
         "data": {"text/html": f"<style>td {{}}</style><table><tr><td>{XSS}</td></tr></table>", "text/plain": "t"}},
        {"output_type": "stream", "name": "stdout", "text": [f"wrote {root}/runs/x\n"]},
    ]  # fmt: skip
    code = {"cell_type": "code", "id": "a", "source": "1", "execution_count": 1, "outputs": outputs,
            "metadata": {"papermill": {"duration": 1.5}, "tags": ["parameters"]}}  # fmt: skip
    words = {"cell_type": "markdown", "id": "b", "source": f"# Title\n{XSS}", "metadata": {}}
    metadata = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"},
                "papermill": {"input_path": f"{root}/notebooks/x.ipynb"}, "widgets": {"state": {}}}  # fmt: skip
    return {"nbformat": 4, "nbformat_minor": 5, "metadata": metadata, "cells": [words, code]}


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """A checkout with the real notebooks and study, and a finished run of it."""
    shutil.copy(ROOT / "study.yaml", tmp_path)
    (tmp_path / "notebooks").mkdir()
    run = Run(tmp_path / "runs" / "reference", tmp_path)
    for folder in ("notebooks", "status", "figures"):
        (run.path / folder).mkdir(parents=True)
    for name in NOTEBOOKS:
        shutil.copy(ROOT / "notebooks" / f"{name}.ipynb", tmp_path / "notebooks")
        (run.path / "notebooks" / f"{name}.ipynb").write_text(json.dumps(executed(tmp_path)))
        (run.path / "status" / f"{name}.json").write_text('{"state": "done"}')
    (run.figures / "scores.csv").write_text("system,mean\na,0.5\n")
    (run.figures / "scores.json").write_text('{"data": [], "layout": {}}')
    (run.figures / "scores.png").write_bytes(png())
    (run.figures / "plotly.min.js").write_text("x")
    return run


def test_the_committed_reference_run_is_that_of_this_code() -> None:
    """Fails when a notebook, a parameter or the library changed after it: `make reference`, look, commit."""
    if not RENDERED.is_dir() and "notebooks/rendered" not in (ROOT / "README.md").read_text(encoding="utf-8"):
        pytest.skip("no reference run is committed and the README promises none: make reference")
    assert stale(ROOT) == []


@pytest.mark.parametrize("path", sorted(RENDERED.glob("*.ipynb")), ids=lambda path: path.stem)
def test_a_committed_notebook_is_small_safe_and_shows_pictures(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert path.stat().st_size < LARGEST and text == json.dumps(json.loads(text), indent=1, ensure_ascii=False) + "\n"
    assert "Reference run" in "".join(json.loads(text)["cells"][0]["source"])
    for word in ("<script", "widget-view", "vnd.plotly", "onerror=", str(ROOT), '"papermill"'):
        assert word not in text, word


def test_a_reading_copy_does_nothing_and_keeps_what_people_read(tmp_path: Path) -> None:
    copy = readable(executed(tmp_path), tmp_path, "> note\n")
    text, page = json.dumps(copy), to_html(copy, "<t>")
    for shown in (text, page):
        for word in ("<script", "onerror", "onclick", "javascript:", "alert(2)", "Button()", str(tmp_path), "td {}"):
            assert word not in shown, word
    assert "papermill" not in text and "widget" not in text and "plotly" not in text
    assert copy["cells"][0]["source"] == ["> note\n"] and copy["cells"][2]["metadata"] == {"tags": ["parameters"]}
    picture, table, printed = copy["cells"][2]["outputs"]
    assert Image.open(io.BytesIO(base64.b64decode(picture["data"]["image/png"]))).size == (40, 20)
    assert "<b>bold</b>" in "".join(table["data"]["text/html"]) and "wrote ./runs/x" in "".join(printed["text"])
    assert "<table>" in page and "data:image/png" in page and "default-src 'none'" in page


def test_a_reading_copy_names_no_place_of_the_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A warning named the environment outside the checkout, another the kernel's temporary file."""
    home, root = tmp_path / "home" / "eva", tmp_path / "home" / "eva" / "study"
    monkeypatch.setattr("sys.prefix", str(home / "envs" / "flow"))
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "scratch"))
    places = (
        f"{root}/runs/x",
        f"'{home}/envs/flow/lib/torch.py'",
        f"{home}/key",
        f"{tmp_path}/scratch/ipykernel_7/1.py",
    )
    notebook = executed(root)
    notebook["cells"][0]["source"] = [f"{root}-2/a and `{root}`\n"]
    notebook["cells"][1]["outputs"][3]["text"] = list(places)
    notebook["cells"][1]["outputs"].append({"output_type": "stream", "name": "stderr", "text": "W1125 21:17 a warning"})
    copy = readable(notebook, root)
    printed = copy["cells"][1]["outputs"][-1]["text"]
    assert printed == ["./runs/x", "'environment/lib/torch.py'", "~/key", "tmp/ipykernel_7/1.py"]
    assert copy["cells"][0]["source"] == ["~/study-2/a and `.`\n"]
    assert str(tmp_path) not in json.dumps(copy) and "a warning" not in json.dumps(copy)


def test_a_half_open_script_is_no_way_in() -> None:
    for text in (
        "<scr<script>ipt>alert(1)</script>",
        "<script>alert(1)",
        "<svg onload=alert(1)>",
        "<style>@import 'x'",
    ):
        assert "<script" not in clean_html(text) and "<s" not in clean_html(text).replace("<span", "")


def test_a_page_follows_its_notebook_whatever_the_clock_says(run: Run) -> None:
    notebook = run.path / "notebooks" / "04_score.ipynb"
    page = write_page(notebook, run.root)
    assert page is not None and "one more line" not in page.read_text()
    os.utime(page, (4_000_000_000, 4_000_000_000))
    changed = json.loads(notebook.read_text())
    changed["cells"].append({"cell_type": "markdown", "id": "x", "metadata": {}, "source": "one more line"})
    notebook.write_text(json.dumps(changed))
    write_page(notebook, run.root)
    assert "one more line" in page.read_text() and write_page(notebook.with_name("none.ipynb"), run.root) is None


def test_what_is_written_is_fresh_and_every_later_change_is_noticed(run: Run) -> None:
    root, study = run.root, reference_study(run.root, "laptop")
    assert "no reference run" in stale(root)[0]
    write_reference(run, study)
    assert stale(root) == []
    (root / "README.md").write_text("another README does not matter")
    (root / "study.yaml").write_text("# nor a comment\n" + (root / "study.yaml").read_text())
    assert stale(root) == []
    (root / "figures" / "scores.csv").write_text("system,mean\na,0.9\n")
    (root / "figures" / "extra.png").write_bytes(b"")
    (root / "notebooks" / "rendered" / "03_prompt.ipynb").unlink()
    reasons = "\n".join(stale(root))
    assert "figures/scores.csv: edited" in reasons and "extra.png: not of" in reasons
    assert "03_prompt.ipynb: missing" in reasons
    write_reference(run, study)
    source = root / "notebooks" / "04_score.ipynb"
    source.write_text(source.read_text().replace("# 4 ·", "# Four ·"))
    assert stale(root) == ["04_score: its code or parameters changed since the reference run"]
    (root / "study.yaml").write_text((root / "study.yaml").read_text().replace("seed: 7 ", "seed: 8 "))
    assert len(stale(root)) == len(NOTEBOOKS)


def test_nothing_half_done_becomes_the_reference(run: Run) -> None:
    study = reference_study(run.root, "laptop")
    (run.figures / "scores.png").unlink()
    with pytest.raises(StudyError, match="figures scores: expected a PNG"):
        write_reference(run, study)
    (run.path / "status" / "04_score.json").write_text('{"state": "failed"}')
    with pytest.raises(StudyError, match="notebook 04_score of run reference: expected a finished one, got failed"):
        write_reference(run, study)
    assert not (run.root / "figures").exists()


def test_a_figure_is_interactive_online_and_a_picture_without(run: Run) -> None:
    write_reference(run, reference_study(run.root, "laptop"))
    page = (run.root / "figures" / "scores.html").read_text()
    assert 'src="scores.png"' in page and "integrity=" in page and "Plotly.newPlot" in page
    assert not (run.root / "figures" / "plotly.min.js").exists()


def test_moved_numbers_are_named_and_times_may_differ(tmp_path: Path) -> None:
    one, two = tmp_path / "a", tmp_path / "b"
    for folder, mean, cost in ((one, 0.5, 1.0), (two, 0.6, 2.0)):
        folder.mkdir()
        table = pd.DataFrame({"system": ["a", "b"], "mean": [mean, 0.1], "cost_per_1000": [cost, None]})
        table.to_csv(folder / "frontier_cost.csv", index=False)
        table[["system"]].to_csv(folder / "same.csv", index=False)
    (one / "old.csv").write_text("x\n1\n")
    assert changes(one, two) == ["frontier_cost.csv: mean differs in 1 of 2 rows", "old.csv: gone"]
    assert changes(one, one) == []

"""The desk of a run: what the page and the commands for tags do on a real run folder, and what they say without one."""

import json
import socket

import pandas as pd
import pytest

from flowstudy.__main__ import main
from flowstudy.analysis.faults import inject
from flowstudy.analysis.measures import PRIMARY
from flowstudy.analysis.scores import COLUMNS, save_scores
from flowstudy.corpus import catalogues_for, shipped_corpus
from flowstudy.corpus.prepare import write_catalogues
from flowstudy.corpus.store import write_corpus
from flowstudy.desk import STORE_VARIABLE, open_desk, sign_in, write_page
from flowstudy.run_folder import open_run
from flowstudy.systems.records import SystemSpec
from flowstudy.systems.roster import journal_of, roster, write_predictions, write_roster


@pytest.fixture
def run_dir(tmp_path):
    """A run of one system with six answers, as notebooks 01 to 04 leave it."""
    run = open_run(tmp_path / "run")
    examples = [e for e in shipped_corpus() if e.split == "dev"][:6]
    catalogues = catalogues_for(examples)
    cases = [inject(e, "wrong_trigger", catalogues[e.domain]) for e in examples]
    predictions = [case.prediction.model_copy(update={"system": "nearest"}) for case in cases if case]
    spec = SystemSpec(name="nearest", model="nearest", retriever="none", shots=0)
    write_corpus(run.corpus, examples)
    write_catalogues(run.catalogues, catalogues)
    write_predictions(journal_of(run.predictions, spec), predictions)
    write_roster(run.predictions, [spec], roster([spec]))
    rows = [("nearest", p.example, 0, "test", "d", "ok", PRIMARY, 0.9, "") for p in predictions]
    save_scores(pd.DataFrame(rows, columns=list(COLUMNS)), run.scores)
    return str(run.path)


def test_a_page_asks_for_a_name_and_then_is_the_tagger(run_dir):
    page = sign_in(open_desk(run_dir, items=4))
    for wrong in ("", " ", "x" * 201):
        page._handle_custom_msg({"name": wrong}, [])
        assert "name of the annotator" in page.frame and not page.view
    page._handle_custom_msg({"name": "ana <b>"}, [])
    assert page.state["words"]["who"] == "ana <b>" and "fs-item" in page.view


def test_the_page_is_a_notebook_that_runs(run_dir):
    path = write_page(run_dir, sampling="random", items=3, seed=5, blind=True)
    source = json.loads(path.read_text())["cells"][0]["source"]
    exec(compile("".join(source), "page", "exec"), {})
    assert "blind=True" in "".join(source)


def test_a_page_keeps_its_address_and_a_second_is_refused_before_it_writes(run_dir):
    path = write_page(run_dir, sampling="random")
    address = json.loads(path.read_text())["metadata"]["page"]
    before = write_page(run_dir, sampling="random").read_bytes()
    assert json.loads(before)["metadata"]["page"] == address and path.stat().st_mode & 0o077 == 0
    with socket.create_server(("127.0.0.1", address["port"])):
        for port in (0, address["port"]):
            with pytest.raises(OSError, match=r"expected port .* to be free"):
                write_page(run_dir, sampling="random", port=port, items=2)
        assert path.read_bytes() == before
        other = write_page(run_dir, sampling="worst")
        assert other != path and json.loads(other.read_text())["metadata"]["page"]["port"] != address["port"]


def test_only_those_named_by_the_owner_have_the_last_word(run_dir):
    for name in ("ana", "bo"):
        tagger = open_desk(run_dir).tagger(name)
        tagger.press("t" if name == "bo" else "m")
        tagger.press("Enter")
    with pytest.raises(ValueError, match="expected who has the last word"):
        write_page(run_dir, sampling="adjudicate")
    page = sign_in(open_desk(run_dir, sampling="adjudicate"), adjudicators=["Dora"])
    page._handle_custom_msg({"name": "bo"}, [])
    assert "expected Dora, got" in page.frame and not page.view
    page._handle_custom_msg({"name": "dora"}, [])
    assert page.state["words"]["who"] == "dora (adjudicator)"


def test_tags_go_out_and_come_in_by_the_command_line(run_dir, tmp_path, capsys):
    tagger = open_desk(run_dir).tagger("ana")
    for _ in range(3):
        tagger.press("Enter")
    for name in ("tags.csv", "tags.jsonl", "tags.json"):
        assert main(["tags", "export", str(tmp_path / name), "--run", run_dir]) == 0
        assert main(["tags", "import", str(tmp_path / name), "--run", run_dir]) == 0
    assert capsys.readouterr().out.count("0 of 3 tags were new") == 3
    assert main(["tags", "tasks", str(tmp_path / "ls"), "--run", run_dir]) == 0
    assert len(json.loads((tmp_path / "ls" / "tasks.json").read_text())) == 6
    assert (tmp_path / "ls" / "interface.xml").read_text().startswith("<View>")
    assert "ana (3)" in open_desk(run_dir).coverage()


def test_tags_can_live_on_a_server(run_dir, tmp_path, monkeypatch):
    monkeypatch.setenv(STORE_VARIABLE, f"sqlite:///{tmp_path}/elsewhere.db")
    open_desk(run_dir).tagger("ana").press("Enter")
    assert "ana (1)" in open_desk(run_dir).coverage()
    assert not (tmp_path / "run" / "tags.sqlite").exists()


def test_what_cannot_be_done_is_said_in_one_line(run_dir, tmp_path, capsys):
    for words, said in (
        (["tag", "--run", str(tmp_path / "new")], "run that one first"),
        (["tag", "--run", run_dir, "--sampling", "best"], "expected one of worst"),
        (["tag", "--run", run_dir, "--sampling", "adjudicate"], "expected answers for the plan 'adjudicate'"),
        (["tag", "--run", run_dir, "--taxonomy", str(tmp_path / "no.yaml")], "no.yaml"),
        (["tags", "export", str(tmp_path / "a.csv"), "--run", run_dir], "tag something first"),
        (["tags", "import", str(tmp_path / "a.csv"), "--run", run_dir], "a.csv"),
    ):
        assert main(words) == 2
        assert said in capsys.readouterr().err

"""The annotator's desk: the answers of a run with what is needed to judge them, and the tagger on top.

Notebook 05 opens it in JupyterLab; `flowstudy tag` serves it as a page of its own (Voila) to several people.
"""

from __future__ import annotations

import gc
import os
import secrets
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import pandas as pd

from flowstudy.analysis.decision import system_kinds
from flowstudy.analysis.explained import explain_answer
from flowstudy.analysis.questions import side_arms
from flowstudy.analysis.scores import load_scores
from flowstudy.analysis.taxonomy import Taxonomy, load_taxonomy
from flowstudy.corpus import load_corpus
from flowstudy.corpus.example import JUDGED, Example
from flowstudy.corpus.prepare import read_catalogues
from flowstudy.files import write_json, write_text
from flowstudy.flows.catalogue import Catalogue
from flowstudy.review.coverage import coverage_text, stored_tags
from flowstudy.review.exchange import export_tags, import_tags
from flowstudy.review.label_studio import labelling_config, to_annotate
from flowstudy.review.sampling import Item, sample_items
from flowstudy.review.session import Session
from flowstudy.review.tagger import Tagger, new_page
from flowstudy.review.tags import Role, TagStore
from flowstudy.run_folder import open_run
from flowstudy.systems.records import Prediction
from flowstudy.systems.roster import read_answers, read_roster

#: Environment variable with the SQLAlchemy URL of a tag store on a server; without it tags live in the run folder.
STORE_VARIABLE: Final = "FLOWSTUDY_TAGS"


@dataclass(frozen=True)
class Desk:
    """The judged answers of a run, the tags they have (`verdicts.match_tags`), and the queue to work on."""

    run: str
    store: str
    taxonomy: Taxonomy
    examples: Mapping[str, Example]
    catalogues: Mapping[str, Catalogue]
    predictions: Sequence[Prediction]
    scores: pd.DataFrame
    tags: pd.DataFrame
    queue: Sequence[Item]
    sampling: str

    def tagger(self, annotator: str, *, blind: bool = False, page: Any = None) -> Tagger:
        """The tagger for one person; with the plan `adjudicate` that person has the last word."""
        role: Role = "adjudicator" if self.sampling == "adjudicate" else "annotator"
        session = Session(self.queue, TagStore(self.store), annotator, self.taxonomy, role=role, blind=blind)
        return Tagger(session, page)

    def coverage(self) -> str:
        """How far tagging has come, as text."""
        return coverage_text(self.tags, self.queue, self.taxonomy)


def open_desk(
    run_dir: str | Path, *, sampling: str = "worst", items: int = 20, seed: int = 0, taxonomy: str = ""
) -> Desk:
    """Read what a run has; `taxonomy` is a YAML file with categories of your own, added to the shipped ones.

    Raises FileNotFoundError naming the notebook that has to run first.
    """
    run = open_run(run_dir)
    corpus = load_corpus(run.require(run.corpus, "01_explore_data"))
    examples = {example.id: example for example in corpus if example.split in JUDGED}
    catalogues, scores = read_catalogues(run.catalogues), load_scores(run.require(run.scores, "04_score"))
    predictions = [p for p in read_answers(run.predictions, examples) if p.is_answer]
    known, specs = load_taxonomy(extra=taxonomy or None), read_roster(run.predictions)[0]
    store = os.environ.get(STORE_VARIABLE) or str(run.tags)
    tags = stored_tags(store, predictions, known)
    queue = sample_items(
        predictions, examples.values(), catalogues, scores=scores, sampling=sampling, items=items, seed=seed, tags=tags,
        aside=side_arms(specs) | {name for name, kind in system_kinds(specs).items() if kind == "baseline"},
    )  # fmt: skip
    warm_up(queue)
    return Desk(run.path.name, store, known, examples, catalogues, predictions, scores, tags, queue, sampling)


def warm_up(queue: Sequence[Item]) -> None:
    """Load what the tagger needs, so that nobody waits for it then, and keep the garbage collector from looking through
    it now and then, which takes 0.1 s."""
    import_module("anywidget")
    for first in queue[:1]:
        explain_answer(first.prediction, first.example, first.catalogue)
    gc.freeze()


def sign_in(desk: Desk, *, blind: bool = False, adjudicators: Sequence[str] = ()) -> Any:
    """A widget that asks for a name and then is the tagger: for a page that several people open.

    With the plan `adjudicate` only `adjudicators` are let in, in whatever case they write their names.
    """
    page, heading = new_page(), f"{desk.run}, plan {desk.sampling}: {len(desk.queue)} answers to look at"
    settling = desk.sampling == "adjudicate"
    allowed = {name.strip().casefold() for name in adjudicators}
    known = adjudicators if settling else sorted(set(desk.tags["annotator"]))

    def ask(fault: str = "") -> None:
        names = "".join(f"<option>{escape(name)}</option>" for name in known)
        rule = "You will have the last word where annotators differ." if settling else "Nobody sees what others tick."
        page.frame = (
            f"<form><p><b>{escape(heading)}</b></p><p>{rule}</p>"
            '<label>Your name <input name="name" list="fs-people" autofocus></label>'
            f'<datalist id="fs-people">{names}</datalist> <button class="fs-act">Start tagging</button>'
            f'<div class="fs-error" role="alert">{escape(fault)}</div></form>'
        )

    def begin(_widget: Any, message: Mapping[str, Any], _buffers: Any) -> None:
        if "name" not in message:
            return
        name = str(message["name"]).strip()
        try:
            if settling and name.casefold() not in allowed:
                who = " or ".join(adjudicators)
                raise ValueError(f"page {heading}: expected {who}, got {name[:60]!r}; ask who started it")
            desk.tagger(name, blind=blind, page=page).refresh()
        except (ValueError, OSError) as error:  # a callback's error would be swallowed
            ask(str(error))

    page.on_msg(begin)
    ask()
    return page


def write_page(
    run_dir: str | Path, *, host: str = "127.0.0.1", port: int = 0, adjudicators: Sequence[str] = (), **options: Any
) -> Path:
    """The notebook behind the page of a run and a plan: one cell that opens the desk. Returns its path, in the run.

    `options` are those of `open_desk`, and `blind`. Its metadata keep `host`, `port` (0: the one it had, else a free
    one from 8866 on) and the token, so that its address survives a restart. Nothing is written unless the page can be
    served: raises what `open_desk` raises, ValueError for an empty queue or a last word that nobody is named for, and
    OSError for a port in use.
    """
    import nbformat

    run, blind, plan = open_run(run_dir), bool(options.pop("blind", False)), options.get("sampling", "worst")
    path = run.path / f"tag-{plan}.ipynb"
    old = nbformat.read(path, 4).metadata.get("page", {}) if path.exists() else {}
    for taken in {int(old.get("port", 0)), port} - {0}:
        if not _is_free(host, taken):
            raise OSError(
                f"page {path.name} of run {run.path.name}: expected port {taken} to be free, got one in use; the page "
                f"may be open already: use that one, or stop it (another program has the port: delete {path})"
            )
    if not open_desk(run_dir, **options).queue:
        raise ValueError(f"tagging of run {run.path.name}: expected answers for the plan {plan!r}, got none")
    if plan == "adjudicate" and not adjudicators:
        raise ValueError(f"tagging of run {run.path.name}: expected who has the last word, got nobody; name them (BY=)")
    source = (
        "from flowstudy.desk import open_desk, sign_in\n\n"
        f"sign_in(open_desk({str(run.path)!r}, **{options!r}), blind={blind}, adjudicators={list(adjudicators)!r})"
    )
    page = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source)])
    page.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    port = port or old.get("port") or next(free for free in range(8866, 65536) if _is_free(host, free))
    page.metadata["page"] = {"host": host, "port": port, "token": old.get("token") or secrets.token_urlsafe(16)}
    path.touch(mode=0o600)
    nbformat.write(page, path)
    return path


def serve_page(path: Path) -> int:
    """Serve a page of `write_page` with Voila until it is stopped; prints its address with the token it asks for."""
    import nbformat

    host, port, token = (nbformat.read(path, 4).metadata["page"][name] for name in ("host", "port", "token"))
    shown = socket.getfqdn() if host in ("0.0.0.0", "::") else host
    address = f"http://{shown}:{port}/?token={token}"
    print(f"tagging page: {address}  (Ctrl+C stops it; tags are saved at every click)", flush=True)
    words = [
        "voila", path.name, "--no-browser", f"--port={port}", "--Voila.port_retries=0", f"--Voila.ip={host}",
        f"--token={token}", "--MappingKernelManager.cull_interval=60", "--MappingKernelManager.cull_idle_timeout=900",
    ]  # fmt: skip
    return subprocess.call([sys.executable, "-m", *words], cwd=path.parent)


def _is_free(host: str, port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def carry_tags(action: str, file: str | Path, run_dir: str | Path) -> str:
    """`export` the whole history to `file`, `import` a file of tags, or write annotation `tasks` into a folder.

    Returns one line that says what was done. Importing twice changes nothing.
    """
    store = os.environ.get(STORE_VARIABLE) or str(open_run(run_dir).tags)
    if action == "export":
        history = TagStore(store, read_only=True).history()
        return f"{len(history)} tags written to {export_tags(history, file)}"
    if action == "import":
        tags, target = import_tags(file), TagStore(store)
        before = len(target.history())
        target.add(*tags)
        return f"{len(target.history()) - before} of {len(tags)} tags were new"
    desk, folder = open_desk(run_dir, items=10**9), Path(file)
    write_json(folder / "tasks.json", to_annotate(desk.queue))
    write_text(folder / "interface.xml", labelling_config(desk.taxonomy))
    return f"{len(desk.queue)} tasks in {folder / 'tasks.json'}, the labelling interface in {folder / 'interface.xml'}"

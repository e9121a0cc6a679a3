"""The annotator's desk: the answers of a run with what is needed to judge them, and the tagger on top.

Notebook 05 opens it in JupyterLab; `flowstudy tag` serves it as a page of its own (Voila) to several people.
"""

from __future__ import annotations

import gc
import os
import secrets
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import pandas as pd

from flowstudy.analysis.explained import explain_answer
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
from flowstudy.review.tagger import Tagger
from flowstudy.review.tags import Role, TagStore
from flowstudy.run_folder import open_run
from flowstudy.systems.records import Prediction
from flowstudy.systems.roster import read_answers

#: Environment variable with the SQLAlchemy URL of a tag store on a server; without it tags live in the run folder.
STORE_VARIABLE: Final = "FLOWSTUDY_TAGS"


@dataclass(frozen=True)
class Desk:
    """The judged answers of a run, the tags they have (`verdicts.match_tags`), and the queue to work on."""

    store: str
    taxonomy: Taxonomy
    examples: Mapping[str, Example]
    catalogues: Mapping[str, Catalogue]
    predictions: Sequence[Prediction]
    scores: pd.DataFrame
    tags: pd.DataFrame
    queue: Sequence[Item]
    sampling: str

    def tagger(self, annotator: str, *, blind: bool = False) -> Tagger:
        """The tagger for one person; with the plan `adjudicate` that person has the last word."""
        role: Role = "adjudicator" if self.sampling == "adjudicate" else "annotator"
        return Tagger(Session(self.queue, TagStore(self.store), annotator, self.taxonomy, role=role), blind=blind)

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
    known = load_taxonomy(extra=taxonomy or None)
    store = os.environ.get(STORE_VARIABLE) or str(run.tags)
    tags = stored_tags(store, predictions, known)
    queue = sample_items(
        predictions, examples.values(), catalogues, scores=scores, sampling=sampling, items=items, seed=seed, tags=tags
    )
    warm_up(queue)
    return Desk(store, known, examples, catalogues, predictions, scores, tags, queue, sampling)


def warm_up(queue: Sequence[Item]) -> None:
    """Load what the tagger needs, so that nobody waits for it then, and keep the garbage collector from looking through
    it now and then, which takes 0.1 s."""
    import_module("ipywidgets")
    for first in queue[:1]:
        explain_answer(first.prediction, first.example, first.catalogue)
    gc.freeze()


def sign_in(desk: Desk, *, blind: bool = False) -> Any:
    """A widget that asks for a name and then is the tagger: for a page that several people open."""
    import ipywidgets as w

    name = w.Text(placeholder="Your name", continuous_update=False)
    start, said = w.Button(description="Start tagging", button_style="primary"), w.HTML()
    box = w.VBox([w.HTML(f"<b>{len(desk.queue)} answers to look at</b>"), w.HBox([name, start]), said])

    def begin(_: Any) -> None:
        try:
            tagger = desk.tagger(name.value, blind=blind)
            box.children = [tagger.widget]
            tagger.fill()
        except (ValueError, OSError) as error:  # a callback's error would be swallowed
            said.value = f"<span role='alert'>{escape(str(error))}</span>"

    start.on_click(begin)
    return box


def write_page(run_dir: str | Path, **options: Any) -> Path:
    """The notebook behind the page: one cell that opens the desk of a run. Returns its path, in the run folder.

    `options` are those of `open_desk`, and `blind`. Raises what `open_desk` raises, and ValueError for an empty queue.
    """
    import nbformat

    run, blind = open_run(run_dir), bool(options.pop("blind", False))
    if not open_desk(run_dir, **options).queue:
        plan = options.get("sampling", "worst")
        raise ValueError(f"tagging of run {run.path.name}: expected answers for the plan {plan!r}, got none")
    source = (
        "from flowstudy.desk import open_desk, sign_in\n\n"
        f"sign_in(open_desk({str(run.path)!r}, **{options!r}), blind={blind})"
    )
    page = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source)])
    page.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    path = run.path / "tag.ipynb"
    nbformat.write(page, path)
    return path


def serve_page(path: Path, *, host: str = "127.0.0.1", port: int = 8866) -> int:
    """Serve a page of `write_page` with Voila until it is stopped; prints its address with the token it asks for."""
    token = secrets.token_urlsafe(16)
    address = f"http://{host}:{port}/?token={token}"
    print(f"tagging page: {address}  (Ctrl+C stops it; tags are saved at every click)", flush=True)
    words = [
        "voila", path.name, "--no-browser", f"--port={port}", "--Voila.port_retries=0", f"--Voila.ip={host}",
        f"--token={token}", "--MappingKernelManager.cull_interval=60", "--MappingKernelManager.cull_idle_timeout=900",
    ]  # fmt: skip
    return subprocess.call([sys.executable, "-m", *words], cwd=path.parent)


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
        known = {tag.id: tag for tag in target.history()}
        target.add(*tags)
        new = f"{len(target.history()) - len(known)} of {len(tags)} tags were new"
        other = sum(known.get(tag.id, tag) != tag for tag in tags)
        left = f"; {other} with a known id and other content were left alone: give a correction an id of its own"
        return new + (left if other else "")
    desk, folder = open_desk(run_dir, items=10**9), Path(file)
    write_json(folder / "tasks.json", to_annotate(desk.queue))
    write_text(folder / "interface.xml", labelling_config(desk.taxonomy))
    return f"{len(desk.queue)} tasks in {folder / 'tasks.json'}, the labelling interface in {folder / 'interface.xml'}"

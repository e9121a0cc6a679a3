"""Tags of a run to a file and back, and what Label Studio needs to have its answers annotated there."""

from __future__ import annotations

import os
from pathlib import Path

from flowstudy.desk import STORE_VARIABLE, open_desk
from flowstudy.files import write_json, write_text
from flowstudy.review.exchange import export_tags, import_tags
from flowstudy.review.label_studio import labelling_config, to_annotate
from flowstudy.review.tags import TagStore
from flowstudy.run_folder import open_run


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

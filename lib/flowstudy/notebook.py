"""Execute one notebook of a run, and know whether it really ran.

papermill is told the parameters only after their names were checked against the notebook, and its cell status is not
believed: a killed kernel leaves every cell `completed`, `sys.exit(0)` returns success. A notebook has run when its
last cell wrote `finished/<notebook>.json` with the token of this execution.
"""

from __future__ import annotations

import ast
import json
import os
import platform
import re
import secrets
import sys
import time
from errno import ENOSPC
from pathlib import Path
from typing import Any, Final

from flowstudy.files import write_json
from flowstudy.freshness import Snapshot, hash_outputs, is_fresh, made_from, record_of, snapshot, written
from flowstudy.lifeline import Watch
from flowstudy.rendered import write_page
from flowstudy.run_folder import DISK_FULL, Run, now, os_problem
from flowstudy.sharing import borrow, read_member
from flowstudy.study import StudyError, closest, hash_corpus
from flowstudy.systems.secrets import looks_like_key, redact

MAX_NOTEBOOK_BYTES: Final = 5_000_000
MAX_STREAM_CHARS: Final = 20_000
#: How long a kernel may take to start, and a cell's output to arrive after the cell has ended, on a busy machine too.
PATIENCE_S: Final = 300
MAX_TRACEBACK_LINES: Final = 60
#: Libraries in a kernel: waiting threads sleep, progress bars and advice stay out of the executed notebook.
_QUIET: Final = {
    "OMP_WAIT_POLICY": "PASSIVE",
    "UNSLOTH_DISABLE_STATISTICS": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "TQDM_DISABLE": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "TRANSFORMERS_VERBOSITY": "error",
    "DISABLE_MLFLOW_INTEGRATION": "1",
}
_SECRET: Final = re.compile(
    r"(^|_)(api_?key|secret|passw(or)?d|credential|bearer|auth_?token|access_?token)s?($|_)", re.IGNORECASE
)


class NotebookError(RuntimeError):
    """A notebook that did not run to its end; the message says where the executed copy and the reason are."""


def parameter_defaults(path: Path) -> dict[str, Any]:
    """Name and default of every parameter of a notebook's `parameters` cell.

    Raises StudyError unless there is exactly one such cell and it holds nothing but `name = JSON value` lines.
    """
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    tagged = [c for c in cells if "parameters" in c.get("metadata", {}).get("tags", [])]
    if len(tagged) != 1:
        raise StudyError(f"notebook {path.name}: expected one cell tagged `parameters`, got {len(tagged)}")
    defaults: dict[str, Any] = {}
    for line in ast.parse("".join(tagged[0]["source"])).body:
        if not (isinstance(line, ast.Assign) and len(line.targets) == 1 and isinstance(line.targets[0], ast.Name)):
            raise StudyError(f"parameters of {path.name}: expected lines `name = value`, got {ast.unparse(line)!r}")
        try:
            defaults[line.targets[0].id] = ast.literal_eval(line.value)
        except ValueError:
            raise StudyError(f"parameters of {path.name}: expected a literal, got {ast.unparse(line)!r}") from None
    return defaults


def check_parameters(path: Path, given: dict[str, Any]) -> None:
    """Refuse names that the notebook does not have, values that are not JSON, and anything that looks like a key."""
    known = parameter_defaults(path)
    for name, value in given.items():
        if _SECRET.search(name) or looks_like_key(value):
            raise StudyError(
                f"parameter {name!r} of {path.name}: expected no secret, since parameters are stored in the executed "
                "notebook; put it into an environment variable"
            )
        if name not in known:
            hint = closest(name, sorted(known))
            raise StudyError(f"parameter {name!r} of {path.name}: expected one of {sorted(known)}{hint}")
        try:
            json.dumps(value, allow_nan=False)
        except (TypeError, ValueError) as error:
            raise StudyError(f"parameter {name!r} of {path.name}: expected a JSON value, got {error}") from None


def execute(name: str, run: Run, parameters: dict[str, Any], *, watched: bool = False) -> None:
    """Run `notebooks/<name>.ipynb` into the run folder, unless that would change nothing.

    `watched` ends this process and its kernel when the runner of the run is gone. Raises NotebookError when it did not
    reach its end; the executed copy and its status say why.
    """
    source = run.root / "notebooks" / f"{name}.ipynb"
    target = run.path / "notebooks" / f"{name}.ipynb"
    parameters = {**parameters, "run_dir": run_dir(run)}
    check_parameters(source, parameters)
    if is_fresh(run, name):
        run.log(f"{name}: up to date")
        return
    draft = target.parent / ".part" / target.name
    draft.parent.mkdir(parents=True, exist_ok=True)
    token = secrets.token_hex(8)
    os.environ.update(FLOWSTUDY_TOKEN=token, FLOWSTUDY_LOG=str(run.home / "log.txt"))
    for variable, value in _QUIET.items():
        os.environ.setdefault(variable, value)
    watch = Watch(run.home if watched else None)
    if name == "03_prompt":
        borrow(run, read_member(run)["borrows"])
    before, clock = snapshot(run), time.monotonic()
    record: dict[str, Any] = {
        "state": "running", "error": None, "started_at": now(), "duration_s": 0.0, "parameters": parameters,
        "host": platform.node(), "pid": os.getpid(), "files": record_of(run, name).get("files", []),
    }  # fmt: skip
    write_json(run.path / "status" / f"{name}.json", record)
    run.log(f"{name}: started")
    error = _papermill(source, draft, parameters, run.root)
    finished = run.read(f"finished/{name}.json") or {}
    if error is None and finished.get("token") != token:
        error = "the kernel stopped before the last cell"
    error = watch.reason or error or _changed_corpus(run, name, parameters)
    keep_notebook(draft, target)
    write_page(target, run.root)
    record |= {"state": "failed" if error else "done", "error": error, "duration_s": round(time.monotonic() - clock, 1)}
    record |= {} if error else _left(run, name, before, finished.get("facts", {}))
    write_json(run.path / "status" / f"{name}.json", record)
    run.log(f"{name}: {record['state']} after {record['duration_s']:.0f} s{f' - {error}' if error else ''}")
    if error:
        raise NotebookError(f"notebook {name} of run {run.path.name}: {error}; see {target} and run again to resume")


def run_dir(run: Run) -> str:
    """The place of a run as its notebooks are told: relative to the checkout where it lies inside."""
    return str(run.path.relative_to(run.root) if run.path.is_relative_to(run.root) else run.path)


def _left(run: Run, name: str, before: Snapshot, facts: dict[str, Any]) -> dict[str, Any]:
    """What makes the record of a notebook that is done comparable later (see `freshness`)."""
    files = written(run, name, before)
    return {
        "files": files, "outputs": hash_outputs(run, files, facts), "made_from": made_from(run, name),
        "unfinished": facts.get("unfinished", 0),
    }  # fmt: skip


def _changed_corpus(run: Run, name: str, parameters: dict[str, Any]) -> str | None:
    """The corpus must still be the one that the run was started with."""
    planned = (run.read(f"inputs/{name}.json") or {}).get("corpus")
    if planned is None or planned == hash_corpus(parameters["corpus"]):
        return None
    return f"corpus {parameters['corpus']} changed while the run was at work; run again to use it as it is now"


def _papermill(source: Path, target: Path, parameters: dict[str, Any], cwd: Path) -> str | None:
    """Execute; the reason of a failure in one line, or None."""
    sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]  # 1.6 s to load; checks IRIs nobody uses
    import papermill
    from jupyter_client.kernelspec import NoSuchKernel
    from nbclient.exceptions import CellTimeoutError, DeadKernelError

    try:
        papermill.execute_notebook(
            str(source).replace("{", "{{").replace("}", "}}"),
            str(target).replace("{", "{{").replace("}", "}}"),
            parameters=parameters,
            cwd=str(cwd),
            progress_bar=False,
            kernel_name="python3",
            start_timeout=PATIENCE_S,
            iopub_timeout=PATIENCE_S,
            autosave_cell_every=60,
        )
    except papermill.PapermillExecutionError as failure:
        last = f"{failure.ename}: {' '.join(str(failure.evalue).split())[:600]}"
        return f"cell {failure.exec_count}: {DISK_FULL if f'[Errno {ENOSPC}]' in last else last}"
    except DeadKernelError:
        return "the kernel died (killed, or out of memory)"
    except CellTimeoutError as failure:
        return f"a cell took too long: {failure}"
    except NoSuchKernel:
        return "no Python kernel; run `make env` again"
    except OSError as failure:
        return os_problem(failure)
    return None


def keep_notebook(draft: Path, target: Path) -> None:
    """Put an executed notebook in its place, readable and safe to pass on.

    Printed text is cut, the largest outputs of a notebook above `MAX_NOTEBOOK_BYTES` give way to a note, widget state
    goes, known keys are masked.
    Nothing is done when there is no draft, or one that a full disk cut short.
    """
    try:
        notebook = json.loads(redact(draft.read_text(encoding="utf-8")))
    except (FileNotFoundError, json.JSONDecodeError):
        return
    outputs = [output for cell in notebook["cells"] for output in cell.get("outputs", [])]
    for output in outputs:
        if output["output_type"] == "stream":
            output["text"] = _cut("".join(output["text"])).splitlines(keepends=True)
        elif output["output_type"] == "error":
            output["traceback"] = [_cut(line) for line in output["traceback"][-MAX_TRACEBACK_LINES:]]
    notebook["metadata"].pop("widgets", None)
    sizes = [len(json.dumps(output)) for output in outputs]
    for size, output in sorted(zip(sizes, outputs, strict=True), key=lambda pair: -pair[0]):
        if sum(sizes) <= MAX_NOTEBOOK_BYTES:
            break
        sizes.remove(size)
        output.clear()
        output |= {"output_type": "stream", "name": "stdout", "text": [f"… an output of {size:,} bytes left out …\n"]}
    write_json(target, notebook)
    draft.unlink()


def _cut(text: str) -> str:
    if len(text) <= MAX_STREAM_CHARS:
        return text
    half = MAX_STREAM_CHARS // 2
    return f"{text[:half]}\n… {len(text) - 2 * half} characters left out …\n{text[-half:]}"

"""Execute one notebook of a run, and know whether it really ran.

papermill is told the parameters only after their names were checked against the notebook, and its cell status is not
believed: a killed kernel leaves every cell `completed`, `sys.exit(0)` returns success. A notebook has run when its
last cell wrote `finished/<notebook>.json` with the token of this execution.
"""

from __future__ import annotations

import ast
import json
import os
import re
import secrets
import signal
import threading
import time
from pathlib import Path
from typing import Any, Final

from rapidfuzz import process

from flowstudy.run_folder import Run, now, write_json
from flowstudy.study import StudyError
from flowstudy.systems.secrets import looks_like_key

MAX_NOTEBOOK_BYTES: Final = 5_000_000
MAX_STREAM_CHARS: Final = 20_000
#: Libraries in a kernel: waiting threads sleep, progress bars and advice stay out of the executed notebook.
_QUIET: Final = {
    "OMP_WAIT_POLICY": "PASSIVE",
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
            best = process.extractOne(name, list(known))
            hint = f"; closest: {best[0]!r}" if best else ""
            raise StudyError(f"parameter {name!r} of {path.name}: expected one of {sorted(known)}{hint}")
        try:
            json.dumps(value, allow_nan=False)
        except (TypeError, ValueError) as error:
            raise StudyError(f"parameter {name!r} of {path.name}: expected a JSON value, got {error}") from None


def execute(name: str, run: Run, parameters: dict[str, Any]) -> None:
    """Run `notebooks/<name>.ipynb` into the run folder. Raises NotebookError when it did not reach its end."""
    source = run.root / "notebooks" / f"{name}.ipynb"
    target = run.path / "notebooks" / f"{name}.ipynb"
    check_parameters(source, parameters)
    target.parent.mkdir(parents=True, exist_ok=True)
    token = secrets.token_hex(8)
    os.environ.update(FLOWSTUDY_TOKEN=token, FLOWSTUDY_LOG=str(run.path / "log.txt"))
    for variable, value in _QUIET.items():
        os.environ.setdefault(variable, value)
    started, clock = now(), time.monotonic()
    _die_with_parent()
    run.log(f"{name}: started")
    error = _papermill(source, target, parameters, run.root)
    finished = run.read(f"finished/{name}.json") or {}
    if error is None and finished.get("token") != token:
        error = "the kernel stopped before the last cell"
    bound_notebook(target)
    state = "failed" if error else "done"
    duration_s = round(time.monotonic() - clock, 1)
    status = {"state": state, "error": error, "started_at": started, "duration_s": duration_s, "parameters": parameters}
    write_json(run.path / "status" / f"{name}.json", status)
    run.log(f"{name}: {state} after {duration_s:.0f} s{f' - {error}' if error else ''}")
    if error:
        raise NotebookError(f"notebook {name} of run {run.path.name}: {error}; see {target} and run again to resume")


def _papermill(source: Path, target: Path, parameters: dict[str, Any], cwd: Path) -> str | None:
    """Execute; the reason of a failure in one line, or None."""
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
            autosave_cell_every=60,
        )
    except papermill.PapermillExecutionError as failure:
        last = " ".join(str(failure.evalue).split())[:600]
        return f"cell {failure.exec_count}: {failure.ename}: {last}"
    except DeadKernelError:
        return "the kernel died (killed, or out of memory)"
    except CellTimeoutError as failure:
        return f"a cell took too long: {failure}"
    except NoSuchKernel:
        return "no Python kernel; run `make env` again"
    return None


def bound_notebook(path: Path) -> None:
    """Keep an executed notebook readable: long printed output is cut, papermill's injected copies stay one."""
    if not path.is_file():
        return
    notebook = json.loads(path.read_text(encoding="utf-8"))
    for cell in notebook["cells"]:
        for output in cell.get("outputs", []):
            if output["output_type"] == "stream":
                text = "".join(output["text"])
                if len(text) > MAX_STREAM_CHARS:
                    half = MAX_STREAM_CHARS // 2
                    text = f"{text[:half]}\n… {len(text) - 2 * half} characters left out …\n{text[-half:]}"
                output["text"] = text.splitlines(keepends=True)
    notebook["metadata"].pop("widgets", None)
    write_json(path, notebook)


def _die_with_parent() -> None:
    """End this process and its kernel when the runner is gone, however it went (SIGKILL included)."""
    runner = int(os.environ.get("FLOWSTUDY_RUNNER_PID", "0"))
    if not runner:
        return

    def watch() -> None:
        try:
            descriptor = os.pidfd_open(runner)
            _wait(descriptor)
        except ProcessLookupError:
            pass
        for child in Path(f"/proc/{os.getpid()}/task").glob("*/children"):
            for pid in child.read_text().split():
                os.kill(int(pid), signal.SIGKILL)
        os._exit(137)

    threading.Thread(target=watch, daemon=True).start()


def _wait(descriptor: int) -> None:
    import select

    select.select([descriptor], [], [])

"""The house protects: data flows one way, importing is light and silent, and nothing tracked is out of place."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from flowstudy.run_folder import project_root

ROOT = project_root(Path(__file__).parent)
PACKAGE = ROOT / "lib" / "flowstudy"
WINGS = ["flows", "metrics", "corpus", "systems", "analysis", "review"]
MODULES = sorted(PACKAGE.rglob("*.py"))
HEAVY = ("torch", "litellm", "unsloth", "transformers", "trl", "openvino", "openvino_genai", "plotly", "ipywidgets",
         "papermill", "snakemake")  # fmt: skip
IMPORT_ALL = """
import importlib, pkgutil, socket, sys
def refuse(*_, **__): raise SystemExit("a socket was opened")
socket.socket.connect = refuse
import flowstudy
for module in pkgutil.walk_packages(flowstudy.__path__, "flowstudy."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
print(*sorted(set(sys.argv[1:]) & set(sys.modules)))
"""


def imported(path: Path) -> set[str]:
    """Our own modules that a file imports, by dotted name."""
    nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    modules = {node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)}
    return {module for module in modules if module.startswith("flowstudy.")}


@pytest.mark.parametrize("wing", WINGS)
def test_a_wing_imports_only_wings_above_it(wing: str) -> None:
    allowed = {*WINGS[: WINGS.index(wing) + 1], "files", "progress"}
    for path in (PACKAGE / wing).rglob("*.py"):
        strangers = {name for name in imported(path) if name.split(".")[1] not in allowed}
        assert not strangers, f"{path.relative_to(ROOT)} imports {strangers}"


def test_importing_everything_is_light_and_opens_no_socket() -> None:
    done = subprocess.run([sys.executable, "-c", IMPORT_ALL, *HEAVY], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-500:]
    assert done.stdout.strip() == ""


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_broad_except_no_eval_no_pickle(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ExceptHandler):
            names = ast.unparse(node.type) if node.type else "bare"
            assert names not in ("bare", "Exception", "BaseException"), f"line {node.lineno}"
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            assert node.func.id not in ("eval", "exec"), f"line {node.lineno}"
        if isinstance(node, ast.Import):
            assert not {alias.name for alias in node.names} & {"pickle", "dill"}, f"line {node.lineno}"


def test_public_functions_say_what_they_do() -> None:
    silent = [
        f"{path.relative_to(PACKAGE)}:{node.name}"
        for path in MODULES
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and not node.name.startswith("_")
        and not ast.get_docstring(node) and path.name != "study.py"
    ]  # fmt: skip
    assert not silent

"""Which files of the library a notebook depends on, read off its imports: no list to keep, nothing to forget.

Imports are followed module by module, also those inside functions. `from package import name` leads to the module that
the package takes the name from, not to everything the package offers. A module brings the data files beside it whose
name (or whose folder's name) it mentions. Nothing is imported to find out.
"""

from __future__ import annotations

import ast
import functools
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

_PACKAGE: Final = Path(__file__).parent
_NAME: Final = _PACKAGE.name
_MODULE: Final = re.compile(rf"{_NAME}(\.\w+)+")
#: Prompt files are counted by the names that systems give them (`systems.prompts.load_prompt(...).hash`).
_COUNTED_BY_NAME: Final = frozenset({_PACKAGE / "systems" / "prompts"})


class _Module(NamedTuple):
    """What a source file imports of ours, as (module, names), and the words in quotes that it mentions."""

    imports: tuple[tuple[str, tuple[str, ...]], ...]
    words: frozenset[str]


def notebook_source(path: Path) -> str:
    """What a notebook does, as one text: kind, tags and source of each cell; outputs and metadata do not count."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    parts = [[c["cell_type"], c["metadata"].get("tags", []), "".join(c["source"])] for c in cells]
    return json.dumps(parts, ensure_ascii=False)


@functools.cache
def library_files(notebook: Path) -> tuple[Path, ...]:
    """The modules and data files of this library that a notebook uses, sorted."""
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    code = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")
    modules = _closure(_read(code))
    data = {file for module in modules for file in _data_files(module)}
    return tuple(sorted(modules | data))


def _closure(first: _Module) -> set[Path]:
    found: set[Path] = set()
    todo = list(_targets(first))
    while todo:
        file = todo.pop()
        if file not in found:
            found.add(file)
            todo += _targets(_read_file(file))
    return found


def _targets(module: _Module) -> Iterator[Path]:
    for name, names in module.imports:
        yield from _resolve(name, names)


def _resolve(module: str, names: tuple[str, ...]) -> Iterator[Path]:
    """The files behind `from module import names` (or `import module`)."""
    place = _PACKAGE.joinpath(*module.split(".")[1:])
    if not place.is_dir():
        yield from [file for file in [place.with_suffix(".py")] if file.is_file()]
        return
    init = place / "__init__.py"
    for name in names:
        if (place / name).is_dir() or (place / f"{name}.py").is_file():
            yield from _resolve(f"{module}.{name}", ())
        else:
            origins = [source for source, taken in _read_file(init).imports if name in taken]
            yield from _resolve(origins[0], (name,)) if origins else [init]


def _data_files(module: Path) -> Iterator[Path]:
    folder, words = module.parent, _read_file(module).words
    if folder in _COUNTED_BY_NAME:
        return
    for entry in folder.iterdir():
        if entry.name not in words or entry.suffix == ".py" or (entry / "__init__.py").exists():
            continue
        yield from [entry] if entry.is_file() else [file for file in entry.rglob("*") if file.is_file()]


@functools.cache
def _read_file(path: Path) -> _Module:
    return _read(path.read_text(encoding="utf-8"))


def _read(code: str) -> _Module:
    """Imports and quoted words; a quoted module name (`-m flowstudy.x.y`) counts as an import."""
    imports: list[tuple[str, tuple[str, ...]]] = []
    words: set[str] = set()
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Import):
            imports += [(alias.name, ()) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            imports.append((node.module or "", tuple(alias.name for alias in node.names)))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            words.add(node.value)
            imports += [(node.value, ())] if _MODULE.fullmatch(node.value) else []
    return _Module(tuple((m, n) for m, n in imports if m.split(".")[0] == _NAME), frozenset(words))

"""Files as documents: what may be read, in which encoding, and the texts that stand beside workflows.

Only regular files below the given folder are opened; links are not followed, and no path found in data is.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import yaml

from flowstudy.corpus.importers.records import MAX_BYTES, MAX_YAML_BYTES, Refused

SUFFIXES: Final = frozenset({".json", ".jsonl", ".ndjson", ".yaml", ".yml"})
YAML: Final = frozenset({".yaml", ".yml"})
LINES: Final = frozenset({".jsonl", ".ndjson"})
_SKIPPED: Final = frozenset({"node_modules", "__pycache__"})
#: A file that gives the requirement of the definitions around it: lines with `requirement` and `definition`.
PAIRS: Final = "pairs.jsonl"
_READMES: Final = ("readme.md", "README.md", "Readme.md", "ReadMe.md")


class Document(NamedTuple):
    """A parsed file or line, and remarks on how it was read."""

    value: Any
    notes: list[str]


def files_in(path: Path) -> Iterator[Path]:
    """The file itself, or the JSON, JSON Lines and YAML files in a folder in sorted order, hidden folders left out."""
    if not path.is_dir():
        yield path
        return
    for folder, folders, names in os.walk(path, followlinks=False):
        folders[:] = sorted(name for name in folders if not name.startswith(".") and name not in _SKIPPED)
        for name in sorted(names):
            if Path(name).suffix.lower() in SUFFIXES:
                yield Path(folder, name)


def check_file(path: Path, *, given: bool = False, lines: bool = False) -> None:
    """Raise Refused for what is not a regular file (a link only where the user `given` it) or is too large.

    A file that is read line by line has no limit of its own.
    """
    try:
        status = path.stat() if given else path.lstat()
    except OSError as error:
        raise Refused(f"cannot be opened: {error.strerror or error}") from None
    except ValueError as error:
        raise Refused(f"cannot be opened: {error}") from None
    if stat.S_ISLNK(status.st_mode):
        raise Refused("a symbolic link: links are not followed")
    if not stat.S_ISREG(status.st_mode):
        raise Refused("not a regular file")
    most = MAX_YAML_BYTES if path.suffix.lower() in YAML else MAX_BYTES
    if status.st_size > most and not lines:
        size = f"{status.st_size / 2**20:,.0f} MiB"
        raise Refused(f"too large: expected at most {most // 2**20} MiB, got {size}; split the file")


def read_document(path: Path) -> Document:
    """A JSON or YAML file. Raises Refused with the place of the first error."""
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise Refused(f"cannot be read: {error.strerror or error}") from None
    text, notes = decode(raw)
    if path.suffix.lower() in YAML:
        return Document(parse_yaml(text), notes)
    return Document(parse_json(text), notes)


def read_lines(path: Path) -> Iterator[tuple[int, bytes | None]]:
    """The lines of a file with their numbers, blank ones left out; None for a line longer than MAX_BYTES.

    UTF-16 files are recoded on the way. Raises Refused when the file cannot be read.
    """
    try:
        with path.open("rb") as start:
            wide = start.read(2) in (b"\xff\xfe", b"\xfe\xff")
        if wide:
            with path.open(encoding="utf-16", errors="replace") as text:
                for number, line in enumerate(iter(lambda: text.readline(MAX_BYTES), ""), start=1):
                    if line.strip():
                        yield number, line.encode()
            return
        with path.open("rb") as file:
            yield from _byte_lines(file)
    except OSError as error:
        raise Refused(f"cannot be read: {error.strerror or error}") from None


def _byte_lines(file: Any) -> Iterator[tuple[int, bytes | None]]:
    number = 0
    while line := file.readline(MAX_BYTES + 1):
        number += 1
        if len(line) > MAX_BYTES:
            while line and not line.endswith(b"\n"):
                line = file.readline(MAX_BYTES)
            yield number, None
        elif line.strip():
            yield number, line


def decode(raw: bytes) -> tuple[str, list[str]]:
    """Text of a file: UTF-8 with or without mark, UTF-16 and UTF-32, else Windows-1252. Never raises."""
    notes: list[str] = []
    for name in (json.detect_encoding(raw), "utf-8-sig"):
        try:
            text = raw.decode(name)
        except UnicodeDecodeError:
            continue
        if not name.startswith("utf-8"):
            notes.append(f"read as {name.upper()}")
        return text.removeprefix("\ufeff"), notes
    return raw.decode("cp1252", errors="replace"), ["not UTF-8: read as Windows-1252"]


def parse_json(text: str) -> Any:
    """A JSON value. Raises Refused; numbers that are no numbers in JSON become text."""
    try:
        return json.loads(text, strict=False, parse_constant=str, parse_float=_finite, parse_int=_integer)
    except json.JSONDecodeError as error:
        truncated = error.pos >= len(text.rstrip()) or error.msg.startswith("Unterminated string")
        what = "truncated JSON" if truncated and text.strip() else "not JSON"
        raise Refused(f"{what}: {error.msg} at line {error.lineno}, column {error.colno}") from None
    except RecursionError:
        raise Refused("nested too deeply to be read") from None


def _finite(text: str) -> float | str:
    number = float(text)
    return number if abs(number) < 1e300 else text


def _integer(text: str) -> int | str:
    return int(text) if len(text) < 300 else text


def parse_yaml(text: str) -> Any:
    """A YAML value, without tags that make objects. Raises Refused."""
    try:
        return yaml.load(text, Loader=yaml.CSafeLoader)
    except yaml.YAMLError as error:
        raise Refused(f"not YAML: {' '.join(str(error).split())[:200]}") from None
    except RecursionError:
        raise Refused("nested too deeply to be read") from None
    except ValueError as error:
        raise Refused(f"not YAML: {str(error)[:200]}") from None


class Texts:
    """Requirement texts that stand beside definitions: in a `pairs.jsonl`, a `manifest.json` or a read-me file.

    A line of `pairs.jsonl` belongs to the walked file whose path it names; the named path itself is never opened.
    """

    def __init__(self, root: Path) -> None:
        folder = root if root.is_dir() else root.parent
        self._pairs: dict[str, str] = {}
        for place in (folder, *list(folder.resolve().parents)[:2]):
            if not self._pairs:
                self._read_pairs(place / PAIRS)

    def __bool__(self) -> bool:
        return bool(self._pairs)

    def beside(self, path: Path) -> tuple[str, str]:
        """The text for a definition and where it was found; ("", "") without one."""
        text = self._pairs.get(str(path.resolve()))
        if text:
            return text, PAIRS
        text = _manifest(path.with_name("manifest.json")) if path.name != "manifest.json" else ""
        if text:
            return text, "manifest.json"
        for name in _READMES:
            text = _readme(path.with_name(name))
            if text:
                return text, "read-me"
        return "", ""

    def _read_pairs(self, path: Path) -> None:
        try:
            check_file(path)
            for _, line in read_lines(path):
                pair = parse_json(decode(line or b"null")[0])
                if not isinstance(pair, dict):
                    continue
                name, text = pair.get("definition"), pair.get("requirement")
                if isinstance(name, str) and isinstance(text, str):
                    self._pairs[os.path.normpath(path.parent.resolve() / name)] = text
        except Refused:
            return


def _manifest(path: Path) -> str:
    """The summary and description in the manifest of a template gallery."""
    try:
        check_file(path)
        value = read_document(path).value
    except Refused:
        return ""
    found = [value.get(key) for key in ("description", "summary")] if isinstance(value, dict) else []
    return next((text for text in found if isinstance(text, str) and text.strip()), "")


def _readme(path: Path) -> str:
    """The first paragraph of a read-me file that is prose: no heading, list, link bar, image or code."""
    try:
        check_file(path)
        with path.open("rb") as file:
            text = decode(file.read(20_000))[0]
    except (Refused, OSError):
        return ""
    fenced = False
    paragraph: list[str] = []
    for line in [*text.splitlines(), ""]:
        line = line.strip()
        fenced ^= line.startswith("```")
        prose = line and not fenced and line[0] not in "#-*|!<[`>=" and not line.lower().startswith(("author", "http"))
        if prose:
            paragraph.append(line)
        elif len(" ".join(paragraph).split()) >= 6:
            break
        else:
            paragraph = []
    return " ".join(paragraph)

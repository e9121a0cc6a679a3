"""Files as documents: what may be read, in which encoding, and the texts that stand beside workflows.

Only regular files below the given folder are opened; links are not followed, and no path found in data is.
"""

from __future__ import annotations

import json
import os
import re
import stat
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import yaml

from flowstudy.corpus.importers.records import MAX_BYTES, MAX_YAML_BYTES, NoWorkflow, Refused

YAML: Final = frozenset({".yaml", ".yml"})
LINES: Final = frozenset({".jsonl", ".ndjson"})
ZIP: Final = ".zip"
SUFFIXES: Final = frozenset({".json", ".asl", ZIP}) | YAML | LINES
_MAX_ZIP_BYTES: Final = 32 * MAX_BYTES
_SKIPPED: Final = frozenset({"node_modules", "__pycache__"})
#: A file that gives the requirement of the definitions around it: lines with `requirement` and `definition`.
PAIRS: Final = "pairs.jsonl"
_READMES: Final = ("readme.md", "README.md", "Readme.md", "ReadMe.md")


class Document(NamedTuple):
    """A parsed file or line, and remarks on how it was read."""

    value: Any
    notes: list[str]


def files_in(path: Path) -> Iterator[Path]:
    """The file itself, or the files in a folder with one of SUFFIXES in sorted order, hidden folders left out."""
    if not path.is_dir():
        yield path
        return
    for folder, folders, names in os.walk(path, followlinks=False):
        folders[:] = sorted(name for name in folders if not name.startswith(".") and name not in _SKIPPED)
        for name in sorted(names):
            if Path(name).suffix.lower() in SUFFIXES:
                yield Path(folder, name)


def check_file(path: Path, *, given: bool = False) -> None:
    """Raise Refused for what is not a regular file (a link only where the user `given` it) or is too large.

    Files that are read in parts (lines, zips) have no limit of their own.
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
    if (suffix := path.suffix.lower()) != ZIP and suffix not in LINES:
        _check_size(suffix, status.st_size)


def _check_size(suffix: str, size: int) -> None:
    most = MAX_YAML_BYTES if suffix in YAML else MAX_BYTES
    if size > most:
        raise Refused(f"too large: expected at most {most // 2**20} MiB, got {size / 2**20:,.0f} MiB; split the file")


def read_document(path: Path) -> Document:
    """A JSON or YAML file. Raises Refused with the place of the first error."""
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise Refused(f"cannot be read: {error.strerror or error}") from None
    return parsed(raw, path.suffix)


def parsed(raw: bytes, suffix: str = ".json") -> Document:
    """The content of a JSON or YAML file. Raises Refused with the place of the first error."""
    text, notes = decode(raw)
    return Document(parse_yaml(text), notes) if suffix.lower() in YAML else _lenient(text, notes)


def zipped(path: Path) -> Iterator[tuple[str, Callable[[], bytes]]]:
    """The names of the JSON, JSON Lines and YAML files in a zip, and what reads each. Nothing is unpacked onto disk.

    Raises Refused, as reading does, for a broken, protected or too large zip.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            inside = sorted((one for one in archive.infolist() if not one.is_dir()), key=lambda one: one.filename)
            if sum(one.file_size for one in inside) > _MAX_ZIP_BYTES:
                raise Refused(f"too large: expected at most {_MAX_ZIP_BYTES // 2**30} GiB unpacked; split the zip")
            for one in inside:
                if Path(one.filename).suffix.lower() in SUFFIXES:
                    yield one.filename, lambda one=one: _unzipped(archive, one)  # type: ignore[misc]
    except (zipfile.BadZipFile, OSError, ValueError) as error:
        raise Refused(f"not a zip file that can be read: {error}") from None


def _unzipped(archive: zipfile.ZipFile, one: zipfile.ZipInfo) -> bytes:
    suffix = Path(one.filename).suffix.lower()
    if suffix == ZIP:
        raise Refused("a zip file inside a zip file: unpack it first")
    _check_size(suffix, one.file_size)
    try:
        return archive.read(one)
    except (zipfile.BadZipFile, RuntimeError, NotImplementedError, EOFError, zlib.error) as error:
        raise Refused(f"cannot be unpacked: {error}") from None


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
            yield from byte_lines(file)
    except OSError as error:
        raise Refused(f"cannot be read: {error.strerror or error}") from None


def byte_lines(file: Any) -> Iterator[tuple[int, bytes | None]]:
    """The lines of an open file, as `read_lines` gives them."""
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


_TEXT: Final = r'("(?:\\.|[^"\\])*(?:"|\\?\Z))'
_REMARK: Final = re.compile(_TEXT + r"|//[^\n]*|/\*[\s\S]*?(?:\*/|\Z)")
_LAST_COMMA: Final = re.compile(_TEXT + r"|,(?=\s*[}\]])")


def _lenient(text: str, notes: list[str]) -> Document:
    """JSON as platforms' own tools take it: with remarks, a comma behind the last item, in a Markdown fence or with
    words around it; several values are a list. Raises Refused with the first error of the text as it stands."""
    try:
        return Document(parse_json(text), notes)
    except Refused:
        plain = _LAST_COMMA.sub(r"\1", _REMARK.sub(r"\1", text))
        values, at = list[Any](), 0
        try:
            while (start := re.compile(r"[{\[]").search(plain, at)) is not None:
                value, at = _DECODER.raw_decode(plain, start.start())
                values.append(value)
        except (json.JSONDecodeError, RecursionError):
            values = []
        if not values:
            raise
    what = (
        "remarks or words around the JSON are left out" if len(values) == 1 else f"{len(values)} JSON values in a row"
    )
    return Document(values[0] if len(values) == 1 else values, [*notes, what])


def parse_json(text: str) -> Any:
    """A JSON value. Raises Refused; numbers that are no numbers in JSON become text."""
    try:
        return _DECODER.decode(text)
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


_DECODER: Final = json.JSONDecoder(strict=False, parse_constant=str, parse_float=_finite, parse_int=_integer)


def stored(value: Any) -> Any:
    """The JSON value in a text that holds one; any other value as it is."""
    if not isinstance(value, str) or not value.lstrip().startswith(("{", "[")):
        return value
    try:
        return parse_json(value)
    except Refused:
        return value


def parse_yaml(text: str) -> Any:
    """A YAML value, without tags that make objects. Raises Refused, and NoWorkflow where it has such tags."""
    try:
        return yaml.load(text, Loader=yaml.CSafeLoader)
    except yaml.constructor.ConstructorError as error:
        raise NoWorkflow(f"YAML with tags of another program: {' '.join(str(error.problem).split())[:160]}") from None
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

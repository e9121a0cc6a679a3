"""A real JupyterLab or Voila on loopback, and a real Chromium; skipped with a reason where there is none."""

import contextlib
import json
import os
import re
import secrets
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

import nbformat
import pandas as pd
import pytest
from tests.decision_runs import write_run

from flowstudy.analysis.measures import PRIMARY
from flowstudy.analysis.scores import COLUMNS
from flowstudy.review.pictures import chrome
from flowstudy.review.session import Session
from flowstudy.review.tagger import Tagger, _asset
from flowstudy.review.tags import TagStore
from flowstudy.systems.records import SystemSpec

FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update",
]  # fmt: skip

SETUP = """
import json
from pathlib import Path
from flowstudy.analysis.faults import inject
from flowstudy.corpus.example import Example
from flowstudy.corpus import catalogues_for
from flowstudy.review.sampling import Item
from flowstudy.review.session import Session
from flowstudy.review.tagger import Tagger
from flowstudy.review.tags import TagStore
from flowstudy.systems.records import Prediction
pairs = [json.loads(line) for line in Path("items.jsonl").read_text().splitlines()]
examples = [Example.model_validate(pair[0]) for pair in pairs]
catalogues = catalogues_for(examples)
items = [Item(e, Prediction.model_validate(p[1]), catalogues[e.domain], 0.5) for e, p in zip(examples, pairs)]
Tagger(Session(items, TagStore("tags.sqlite"), "ana"))
"""


@pytest.fixture(scope="module")  # while it runs, no other test of the process can use asyncio
def browser():
    path = chrome()
    if path is None:
        pytest.skip("no Chromium: apt-get install chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield running
        running.close()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Server:
    """JupyterLab or Voila on a folder; `stop` kills it as a crash would."""

    def __init__(self, folder, command, port=None):
        token, self.port = secrets.token_hex(8), port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        home = folder.parent / "home"
        self._configure(home)
        env = {**os.environ, "HOME": str(home), "JUPYTER_CONFIG_DIR": str(home / ".jupyter"), "OMP_NUM_THREADS": "1"}
        words = [part.format(token=token, port=self.port, folder=folder) for part in command]
        self.log = folder.parent / f"server-{self.port}.log"
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", *words], cwd=folder, env=env, stdout=log, stderr=log, start_new_session=True
            )
        self._wait(token)
        printed = re.search(r"token=([\w-]+)", self.log.read_text())  # `flowstudy tag` makes its own token
        self.token = printed[1] if printed else token

    def _configure(self, home):
        settings = home / ".jupyter/lab/user-settings/@jupyterlab/apputils-extension"
        settings.mkdir(parents=True, exist_ok=True)
        (settings / "notification.jupyterlab-settings").write_text(json.dumps({"fetchNews": "false"}))

    def _wait(self, token):
        for _ in range(900):
            try:
                urllib.request.urlopen(f"{self.url}/api/status?token={token}", timeout=5)
                return
            except urllib.error.HTTPError:
                return  # Voila has no status page; it answers
            except (urllib.error.URLError, ConnectionError):
                pass
            if self.process.poll() is not None:
                break
            time.sleep(0.2)
        raise RuntimeError(f"server did not start: {self.log.read_text()[-2000:]}")

    def stop(self):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


@pytest.fixture(scope="session")
def root(tmp_path_factory):
    """The folder that servers show; every test has its own inside."""
    return tmp_path_factory.mktemp("browser") / "work"


@pytest.fixture
def workplace(root, request, items_for_browser):
    """A folder with a notebook that opens the tagger on a dozen answers."""
    folder = root / request.node.name
    folder.mkdir(parents=True)
    lines = [json.dumps([i.example.model_dump(by_alias=True), i.prediction.model_dump(by_alias=True)])
             for i in items_for_browser]  # fmt: skip
    (folder / "items.jsonl").write_text("\n".join(lines))
    write_notebook(folder, SETUP, "'the cell below'")
    return folder


def write_notebook(folder, *sources):
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    cells = [nbformat.v4.new_code_cell(source) for source in sources]
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=kernel), folder / "tag.ipynb")


@pytest.fixture
def tagging_run(root, request, items_for_browser):
    """A run with the same answers, as notebooks 01 to 04 leave it."""
    examples = [item.example.model_copy(update={"split": "test"}) for item in items_for_browser]
    answers = [item.prediction for item in items_for_browser]
    specs = [SystemSpec(name=name, model="openai/x") for name in sorted({answer.system for answer in answers})]
    rows = [(*item.place, "test", item.example.domain, item.prediction.status, PRIMARY, item.score, "")
            for item in items_for_browser]  # fmt: skip
    scores = pd.DataFrame(rows, columns=list(COLUMNS))
    return write_run(root / request.node.name / "run", specs, examples, answers, scores)


@pytest.fixture(scope="session")
def items_for_browser():
    import importlib.util
    from pathlib import Path

    path = Path(__file__).parents[1] / "review" / "conftest.py"
    spec = importlib.util.spec_from_file_location("review_conftest", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.make_items(12)


#: What anywidget gives to `render`, with this process behind it: `hear` takes a message and returns what changed.
BRIDGE = """async code => {
  const {default: tagger} = await import(URL.createObjectURL(new Blob([code], {type: 'text/javascript'})));
  const told = {}, tell = (name, what) => (told[name] ?? []).forEach(does => does(what));
  let now = await hear({});
  const send = async message => {
    now = await hear(message);
    if (now.reply) { tell('change:state'); tell('msg:custom', now.reply); }
  };
  const on = (names, does) => names.split(' ').forEach(name => (told[name] ??= []).push(does));
  tagger.render({model: {get: name => now[name], on, off() {}, send}, el: document.getElementById('tagger')});
}"""


@pytest.fixture
def tagger_page(browser, tmp_path):
    """Opens a tagger in a bare page, without a notebook: (page, session, answering). While the list `answering` is
    empty nobody answers, as behind a busy kernel or a dead server."""

    def open_page(items, width=1366, height=700):
        session, answering = Session(items, TagStore(tmp_path / "tags.sqlite"), "ana"), ["yes"]
        tagger, replies = Tagger(session), []
        tagger.refresh()
        tagger.widget.send = replies.append

        def hear(message):
            if answering:
                tagger.hear(message)
            reply = replies.pop() if replies else None
            return {name: getattr(tagger.widget, name) for name in ("frame", "view", "state")} | {"reply": reply}

        page = browser.new_page(viewport={"width": width, "height": height})
        page.expose_function("hear", hear)
        html = f'<!doctype html><meta charset="utf-8"><style>{_asset("tagger.css")}</style><div id="tagger"></div>'
        page.route("http://tagger.test/", lambda route: route.fulfill(body=html, content_type="text/html"))
        page.goto("http://tagger.test/")
        page.evaluate(BRIDGE, _asset("tagger.js"))
        page.wait_for_selector(".fs-item")
        return page, session, answering

    return open_page


LAB = ["jupyterlab", "--allow-root", "--no-browser", "--ServerApp.ip=127.0.0.1", "--ServerApp.port={port}",
       "--IdentityProvider.token={token}", "--ServerApp.open_browser=False"]  # fmt: skip
TAG = ["flowstudy", "tag", "--run", "{folder}", "--port", "{port}"]


@pytest.fixture(scope="module")
def lab(root):
    """One JupyterLab for the tests that do not kill it."""
    root.mkdir(parents=True, exist_ok=True)
    server = Server(root, LAB)
    yield server
    server.stop()

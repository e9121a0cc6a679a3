"""How fast the tagger is in a real browser and how fast tags become numbers: `python -m tests.benchmarks.tagger`.

The page times itself: a MutationObserver notes when the view of the next answer is in the document, and two animation
frames later it has been painted. The targets: first paint of a flow of 300 steps under 300 ms after the tagger was
made, next answer under 150 ms, 500 answers loaded in 1 s, 100,000 tags made into numbers in 2 s.
"""

from __future__ import annotations

import json
import statistics
import tempfile
import time
from pathlib import Path

from flowstudy.analysis.agreement import agreement_table, disagreements
from flowstudy.analysis.error_rates import error_rates
from flowstudy.analysis.explained import Explained
from flowstudy.analysis.taxonomy import load_taxonomy
from flowstudy.analysis.verdicts import match_tags, verdicts
from flowstudy.corpus.example import Example
from flowstudy.flows import Component, Flow, Input
from flowstudy.review.sampling import Item
from flowstudy.review.session import Session
from flowstudy.review.tagger import Tagger
from flowstudy.review.tags import Tag, TagStore
from flowstudy.systems.records import Prediction

PAGE = """
import json, time
from pathlib import Path
from flowstudy.corpus.example import Example
from flowstudy.desk import warm_up
from flowstudy.review.sampling import Item
from flowstudy.review.session import Session
from flowstudy.review.tagger import Tagger
from flowstudy.review.tags import TagStore
from flowstudy.systems.records import Prediction
lines = [json.loads(line) for line in Path("items.jsonl").read_text().splitlines()]
items = [Item(Example.model_validate(e), Prediction.model_validate(p), None, 0.5) for e, p in lines]
TagStore("other.sqlite").current(), warm_up(items)  # a store was read and all is loaded, as after `open_desk`
"""
OPEN = "Tagger(Session(items, TagStore('tags.sqlite'), 'ana'))"
WATCH = """
window.times = []; window.pressed = 0;
new MutationObserver(() => {
  const bar = document.querySelector('.fs-tagger');
  if (!bar || bar.dataset.position === window.shown || !document.querySelector('.fs-pair')) return;
  window.shown = bar.dataset.position;
  requestAnimationFrame(() => requestAnimationFrame(() => window.times.push(performance.now() - window.pressed)));
}).observe(document.body, {childList: true, subtree: true});
document.addEventListener('keydown', () => { window.pressed = performance.now(); }, true);
"""


def large_flow(size: int, change: int) -> Flow:
    """A flow in three levels; every `change`-th step differs from the reference (0: the reference)."""
    parts, block = [], None
    for order in range(1, size + 1):
        name = f"other_{order}" if change and order % change == 0 else f"do_{order % 40}"
        inputs = [Input(name="table", value="incident"), Input(name="text", value=f"value {order}")]
        logic = order % 25 == 1
        what = {"category": "flowlogic", "definition": "IF"} if logic else {"definition": name}
        parts.append(Component(**what, order=order, block=None if logic else block, inputs=inputs))
        block = order if logic else block
    return Flow(components=parts)


def large_items(count: int, steps: int = 300) -> list[Item]:
    """Answers of `steps` steps, each with other faults."""
    items = []
    for number in range(count):
        example = Example(id=f"big{number}", requirement="everything", references=[large_flow(steps, 0)])
        flow = large_flow(steps, change=11 + number)
        items.append(Item(example, Prediction(example=example.id, system="s", status="ok", flow=flow), None, 0.5))
    return items


def in_the_browser() -> None:
    """Open and walk through twelve answers of 300 steps in JupyterLab with a real Chromium."""
    import nbformat
    from playwright.sync_api import sync_playwright

    from flowstudy.review.pictures import chrome
    from tests.browser.conftest import FLAGS, LAB, Server

    folder = Path(tempfile.mkdtemp()) / "work"
    folder.mkdir()
    lines = [json.dumps([i.example.model_dump(by_alias=True), i.prediction.model_dump(by_alias=True)])
             for i in large_items(12)]  # fmt: skip
    (folder / "items.jsonl").write_text("\n".join(lines))
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    cells = [nbformat.v4.new_code_cell(text) for text in (PAGE, OPEN)]
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=kernel), folder / "tag.ipynb")
    server = Server(folder, LAB)
    try:
        with sync_playwright() as playwright:
            page = playwright.chromium.launch(executable_path=chrome(), args=FLAGS).new_page()
            page.goto(f"{server.url}/lab/tree/tag.ipynb?token={server.token}")
            page.wait_for_selector('text="Python 3 (ipykernel) | Idle"', timeout=120_000)
            page.evaluate(WATCH)
            page.click(".jp-Notebook .jp-CodeCell >> nth=0")
            page.keyboard.press("Shift+Enter")
            page.wait_for_selector('.jp-InputPrompt:has-text("[1]:")', timeout=120_000)
            page.wait_for_timeout(1000)  # as somebody who reads before running the next cell
            page.keyboard.press("Shift+Enter")
            page.wait_for_selector(".fs-tagger .fs-pair", timeout=60_000)
            page.wait_for_function("window.times.length >= 1")
            first = page.evaluate("window.times.pop()")
            page.evaluate("window.times = []")
            page.click(".fs-asked")
            for number in range(1, 12):
                page.wait_for_timeout(450)  # a look: a confirmation sooner is refused
                page.keyboard.press("Enter")
                page.wait_for_function(f"window.times.length >= {number}", timeout=20_000)
            rest = sorted(page.evaluate("window.times"))
        print(f"300 steps: tagger cell run to first paint {first:.0f} ms (target 300)")
        print(f"300 steps: next answer, median {statistics.median(rest):.0f} ms, worst {rest[-1]:.0f} ms (target 150)")
    finally:
        server.stop()


def loading() -> None:
    """500 answers with 100,000 tags in the store, and those tags made into rates and agreement."""
    items = large_items(500, steps=8)
    folder = Path(tempfile.mkdtemp())
    store = TagStore(folder / "tags.sqlite")
    started = time.perf_counter()
    Tagger(Session(items, store, "ana"))
    print(f"500 answers loaded in {time.perf_counter() - started:.2f} s (target 1)")
    names = list(load_taxonomy().categories)
    predictions = [Prediction(example=f"e{n}", system=f"s{n % 5}", status="refused") for n in range(33_334)]
    store.add(*(
        Tag(annotator=f"a{n % 3}", system=f"s{n // 3 % 5}", example=f"e{n // 3}",
            categories=[names[(n // 3) % 25], names[(n // 7) % 25]])
        for n in range(100_000)
    ))  # fmt: skip
    started = time.perf_counter()
    tags = match_tags(store.table(), predictions, load_taxonomy())
    rates = error_rates(verdicts([Explained(p, None, ()) for p in predictions], tags), load_taxonomy())
    middle = time.perf_counter()
    print(f"{len(tags):,} tags read and made into {len(rates)} rates in {middle - started:.2f} s (target 2)")
    agreement_table(tags), disagreements(tags)
    print(f"agreement of three annotators over them in {time.perf_counter() - middle:.2f} s")
    started = time.perf_counter()
    Tagger(Session(items, store, "ana"))
    print(f"500 answers loaded beside 100,000 tags in {time.perf_counter() - started:.2f} s")


if __name__ == "__main__":
    loading()
    in_the_browser()

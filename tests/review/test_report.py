"""Pictures and report: drawn from tables, same colours everywhere, offline, escaped, small; no empty charts."""

import re
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "analysis"))
from conftest import make_scores

from flowstudy.analysis.comparison import compare, status_table, summarise
from flowstudy.analysis.decision import decide
from flowstudy.analysis.economics import Assumptions, economics_table
from flowstudy.analysis.sizes import by_size, fit
from flowstudy.review import figures, pictures
from flowstudy.review.decision_figures import frontier
from flowstudy.review.drawing import NothingToDraw
from flowstudy.review.report import Missing, Picture, Section, Table, write_report
from flowstudy.review.theme import PALETTE, system_colours

XSS = "</script><img src=x onerror=alert(1)>"
MEANS = {"slm-tuned": 0.7, "slm-untuned": 0.5, XSS: 0.6}


@pytest.fixture(scope="module")
def scores():
    return make_scores(MEANS, n=60, costs={XSS: 0.01}, seconds={"slm-tuned": 1.0, "slm-untuned": 1.2})


@pytest.fixture
def no_chrome(monkeypatch):
    monkeypatch.setenv("BROWSER_PATH", "/nowhere/chrome")
    pictures._drawer.cache_clear()
    yield
    pictures._drawer.cache_clear()


def all_figures(scores):
    examples = pd.DataFrame({"example": sorted(set(scores["example"])), "steps": np.arange(60) % 20 + 1})
    summary, pairs, sizes = summarise(scores, by=["split"]), compare(scores), by_size(scores, examples)
    money = economics_table(scores, Assumptions())
    rates = pd.DataFrame({"system": ["slm-untuned"], "category": ["x"], "title": [XSS], "rate": [0.2], "low": [0.1],
                          "high": [0.3]})  # fmt: skip
    return {
        "scores": (figures.scores(summary), summary), "differences": (figures.differences(pairs), pairs),
        "statuses": (figures.statuses(status_table(scores)), status_table(scores)),
        "sizes": (figures.sizes(sizes, fit(scores, examples)), sizes), "errors": (figures.errors(rates), rates),
        "money": (frontier(money), money), "time": (frontier(money, "latency_p50"), money),
    }  # fmt: skip


def sections(scores):
    drawn = all_figures(scores)
    parts = {name: [Picture(f, f"about {XSS}", t), Table(t, "as a table")] for name, (f, t) in drawn.items()}
    gap = Section(heading="Gap", parts=[Missing("no price is known")])
    return [*(Section(heading=name, parts=shown) for name, shown in parts.items()), gap]


def test_every_figure_has_title_axes_and_template(scores):
    for figure, _ in all_figures(scores).values():
        layout = figure.layout
        assert layout.title.text and layout.height
        assert tuple(layout.template.layout.colorway) == PALETTE
        last = max(axis for axis in layout if re.fullmatch(r"xaxis\d*", axis))
        assert layout[last].title.text
        assert "<img" not in figure.to_json()


def test_a_system_keeps_its_colour():
    assert system_colours(["slm-tuned", "gpt-4o"])["slm-tuned"] == system_colours(["slm-tuned", "a", "b"])["slm-tuned"]
    many = system_colours([f"s{n}" for n in range(10)])
    assert len(set(many.values())) == 10
    assert len(system_colours([f"s{n}" for n in range(30)])) == 30


def test_nothing_to_draw_is_a_sentence(scores):
    unpriced = economics_table(make_scores({"a": 0.5}, costs={"a": float("nan")}), Assumptions())
    for draw in (
        lambda: figures.differences(compare(make_scores({"a": 0.5}))),
        lambda: frontier(unpriced),
        lambda: figures.scores(summarise(scores, ["tree_bleu"], by=["split"])),
        lambda: figures.errors(pd.DataFrame({"rate": []})),
        lambda: figures.statuses(status_table(scores.head(0))),
    ):
        with pytest.raises(NothingToDraw, match="no figure of"):
            draw()
    assert (
        "not drawn, no price: a"
        in frontier(
            economics_table(make_scores({"a": 0.5, "b": 0.6}, costs={"a": float("nan")}), Assumptions())
        ).layout.title.text
    )


def test_names_at_the_same_place_do_not_cover_each_other():
    row = {"n": 9, "low": 0.2, "high": 0.4, "cost_per_1000_low": 1.0, "cost_per_1000_high": 3.0, "missing": ""}
    places = {"a": (2.0, 0.3), "b": (2.0, 0.301), "c": (2.0, 0.299), "d": (4.0, 0.3)}
    table = pd.DataFrame([{"system": s, "cost_per_1000": x, "mean": y, **row} for s, (x, y) in places.items()])
    sides = [trace.textposition for trace in frontier(table).data if trace.text]
    assert len(set(sides[:3])) == 3 and sides[3] == "bottom center"


def test_saved_without_chrome_says_so_and_goes_on(scores, tmp_path, no_chrome):
    figure, table = all_figures(scores)["scores"]
    saved = pictures.save_figure(figure, table, tmp_path, "scores")
    assert saved.png is None and "no Chrome" in saved.note
    assert {p.name for p in tmp_path.iterdir()} == {"scores.html", "scores.json", "scores.csv", "plotly.min.js"}
    assert "http" not in re.sub(r"<script>.*?</script>", "", saved.html.read_text(), flags=re.DOTALL)
    assert pd.read_csv(saved.csv)["system"].tolist() == table["system"].tolist()


def test_report_without_chrome_is_interactive_offline_and_escaped(scores, tmp_path, no_chrome):
    decision = decide(scores, {"slm-tuned": "tuned", "slm-untuned": "untuned", XSS: "prompted"}, not_run={XSS: XSS})
    path = write_report(tmp_path / "report.html", decision, sections(scores), limits=XSS, provenance={XSS: [XSS]})
    text = path.read_text()
    assert path.stat().st_size < 6_000_000
    assert XSS not in text and "<img src=x" not in text
    body = text[text.index("<body>") :]
    assert not re.search(r"(src|href)\s*=\s*[\"']?(https?:)?//", body)
    assert body.index('class="headline"') < body.index("Figure 1")
    assert body.index("Figure 7") < body.index("Not run") < body.index("Methods") < body.index("Provenance")
    assert "No price is known" in body


def test_too_large_a_report_is_refused(scores, tmp_path, monkeypatch, no_chrome):
    monkeypatch.setattr("flowstudy.review.report.LARGEST", 1000)
    with pytest.raises(ValueError, match="expected at most"):
        write_report(tmp_path / "r.html", decide(scores, {}), [])


def test_tables_show_gaps_as_dashes_and_escape():
    table = pd.DataFrame({"na<me": [XSS], "value": [float("nan")], "n": [12], "few": [True]})
    html = pictures.table_html(table)
    assert "–" in html and "<img" not in html and "na&lt;me" in html and ">12<" in html and "yes" in html


@pytest.mark.slow
def test_pictures_with_chrome_and_the_report_at_two_widths_and_on_paper(scores, tmp_path):
    if pictures.chrome() is None:
        pytest.skip("no Chromium: apt-get install chromium")
    figure, table = all_figures(scores)["differences"]
    saved = pictures.save_figure(figure, table, tmp_path, "differences")
    assert saved.png is not None and saved.png.read_bytes()[:4] == b"\x89PNG"
    path = write_report(tmp_path / "report.html", decide(scores, {"slm-tuned": "tuned"}), sections(scores))
    assert path.stat().st_size < 6_000_000 and "<script" not in path.read_text()
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=pictures.chrome(), args=["--headless", "--no-sandbox"])
        for width in (1200, 390):
            page = browser.new_page(viewport={"width": width, "height": 900})
            asked = []
            page.on("request", lambda request, asked=asked: asked.append(request.url))
            page.goto(path.as_uri())
            assert [url for url in asked if not url.startswith(("file:", "data:"))] == []
            assert page.evaluate("document.documentElement.scrollWidth") <= width
        page.set_viewport_size({"width": 680, "height": 1000})  # A4 between its margins, where a page is 1,001 high
        page.emulate_media(media="print")
        assert page.evaluate("document.documentElement.scrollWidth") <= 680, "a table is cut off on paper"
        assert page.evaluate("Math.max(...[...document.images].map((i) => i.height))") <= 820, (
            "a figure needs two pages"
        )
        browser.close()

"""Rendering protects: text from models and files never becomes markup, and deep flows still render."""

from __future__ import annotations

import re

from hypothesis import given

from flowstudy.flows import Component, Flow, from_outline, render_html, render_text
from flowstudy.flows.tree import depth

from .strategies import flows

ALLOWED = re.compile(r"<(?!/?(div|span|ol|li)\b)")


@given(flows())
def test_html_holds_only_our_own_tags(flow: Flow) -> None:
    html = render_html(flow)
    assert not ALLOWED.search(html) and "<script" not in html
    for tag in ("div", "ol", "li"):
        assert html.count(f"<{tag}") == html.count(f"</{tag}>")


def test_text_numbers_and_indents() -> None:
    flow = from_outline("trigger daily\nIF | condition = a=1\n  action log # say so")
    assert render_text(flow, inputs=False).splitlines() == ["trigger: daily", " 1 IF", " 2    log   # say so"]
    assert "condition: a=1" in render_text(flow)


def test_depth_and_a_very_deep_flow() -> None:
    deep = Flow(components=[
        Component(category="flowlogic", definition="IF", order=n, block=n - 1 or None) for n in range(1, 3001)
    ])  # fmt: skip
    assert depth(deep) == 3000 and depth(Flow()) == 0
    assert render_text(deep).count("IF") == render_html(deep).count("IF") == 3000

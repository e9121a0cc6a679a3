"""Flows for people: a numbered tree as text, and the same tree as escaped HTML."""

from __future__ import annotations

import json
from html import escape
from typing import Any

from flowstudy.flows.schema import Component, Flow, Input
from flowstudy.flows.tree import flow_tree, walk


def render_text(flow: Flow, *, inputs: bool = True, width: int = 100) -> str:
    """A numbered, indented tree; long values are shortened to fit `width` characters.

    >>> print(render_text(Flow(components=[Component(definition="ask", order=1)])))
    trigger: none
     1 ask
    """
    lines = [f"trigger: {flow.trigger.type if flow.trigger else 'none'}"]
    lines += _input_lines(flow.trigger.inputs, "     ", width) if inputs and flow.trigger else []
    for node in walk(flow_tree(flow)):
        indent = "   " * min(node.depth, 20)
        note = f"   # {node.component.annotation}" if node.component.annotation else ""
        lines.append(_shorten(f"{node.component.order:>2} {indent}{title(node.component)}{note}", width))
        lines += _input_lines(node.component.inputs, f"   {indent}  ", width) if inputs else []
    return "\n".join(lines)


def title(component: Component) -> str:
    """How a component is called in pictures: its key, `subflow` before a subflow."""
    return f"subflow {component.key}" if component.category == "subflow" else component.key


def show_value(value: Any) -> str:
    """A value on one line: strings as they are, other JSON values as JSON."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return " ".join(text.split())


def _input_lines(inputs: list[Input], indent: str, width: int) -> list[str]:
    return [_shorten(f"{indent}{i.name}: {show_value(i.value)}", width) for i in inputs]


def _shorten(line: str, width: int) -> str:
    return line if len(line) <= width else line[: width - 1] + "…"


CSS = """
.flow{font:13px/1.5 system-ui,sans-serif;margin:0;padding:0}
.flow ol,.flow ul{list-style:none;margin:0;padding-left:1.1em;border-left:1px solid #ccd}
.flow>ol{padding-left:0;border:0}.flow .n{color:#667;display:inline-block;min-width:1.8em}
.flow .logic{font-weight:600;color:#334a7d}.flow .trigger{font-weight:600}.flow .note{color:#667;font-style:italic}
.flow .inputs{color:#445;font-size:12px;margin-left:1.8em;overflow-wrap:anywhere}
"""


def render_html(flow: Flow, *, inputs: bool = True) -> str:
    """The tree as HTML in which every text of the flow is escaped; no style sheet (`CSS`), no script."""
    parts = ['<div class="flow">']
    kind = flow.trigger.type if flow.trigger else "none"
    parts.append(f'<div><span class="trigger">trigger: {escape(kind)}</span></div>')
    parts += _input_html(flow.trigger.inputs) if inputs and flow.trigger else []
    parts.append("<ol>")
    level = 0
    for node in walk(flow_tree(flow)):
        parts += ["<li><ol>"] * (node.depth - level) + ["</ol></li>"] * (level - node.depth)
        level = node.depth
        parts.append(f"<li>{_component_html(node.component)}")
        parts += _input_html(node.component.inputs) if inputs else []
        parts.append("</li>")
    parts += ["</ol></li>"] * level
    return "".join([*parts, "</ol></div>"])


def _component_html(component: Component) -> str:
    kind = "logic" if component.is_logic else component.category
    note = f' <span class="note">{escape(component.annotation)}</span>' if component.annotation else ""
    return f'<span class="n">{component.order}</span><span class="{kind}">{escape(title(component))}</span>{note}'


def _input_html(inputs: list[Input]) -> list[str]:
    return [f'<div class="inputs">{escape(i.name)}: {escape(show_value(i.value))}</div>' for i in inputs]

"""One look for every figure: fonts, a colour-blind safe palette, and the same colour for the same system everywhere.

The palette is Okabe and Ito's (https://jfly.uni-koeln.de/color/) without its yellow, and four darker colours more.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from typing import Any, Final

PALETTE: Final = (
    "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8C6D31", "#5B4B8A", "#6E7F2B", "#3C4650",
)  # fmt: skip
GREY: Final = "#8A8F98"
INK: Final = "#1F2733"
PALE: Final = "#E4E8EE"
FONT: Final = "Inter, 'Segoe UI', Roboto, 'DejaVu Sans', Helvetica, Arial, sans-serif"
TEMPLATE: Final = "flowstudy"

#: What happened to a request, from good to bad: greens, then warm, then grey for what is not an answer.
STATUS_COLOURS: Final = {
    "ok": "#009E73",
    "repaired": "#8FD3BE",
    "invalid_output": "#D55E00",
    "truncated": "#E69F00",
    "refused": "#CC79A7",
    "provider_error": "#8A8F98",
    "budget_stop": "#B9BEC6",
    "missing": "#E4E8EE",
}


#: Verdicts on answers (`rightness.VERDICTS`), and apart from them what is valid but wrong.
VERDICT_COLOURS: Final = {
    "right": "#009E73", "nearly": "#56B4E9", "rework": "#E69F00", "no flow": "#3C4650", "unknown": GREY,
    "valid but wrong": "#D55E00",
}  # fmt: skip

#: The colours of the default study's systems, so that they are the same in every picture of every run.
_WISHES: Final = {
    "slm-tuned": 0, "slm-untuned-shots": 1, "hybrid": 2, "gpt-4o": 3, "gemini-3.8-flash": 4, "claude-sonnet-5-5": 5,
    "nearest": 6, "gpt-4o-decomposed": 7, "constant": 8,
}  # fmt: skip


def system_colours(systems: Iterable[str]) -> dict[Any, str]:
    """A colour per system: the default study's systems have theirs, any other one that its name points at.

    Two names that point at the same colour: the second (by name) takes the next free one. More systems than colours:
    the palette repeats.
    """
    taken: dict[str, int] = {}
    for name in sorted(set(systems), key=lambda name: (name not in _WISHES, name)):
        wish = _WISHES.get(name, zlib.crc32(name.encode()) % len(PALETTE))
        free = [i for i in range(len(PALETTE)) if i not in taken.values()] or list(range(len(PALETTE)))
        taken[name] = min(free, key=lambda i: (i - wish) % len(PALETTE))
    return {name: PALETTE[index] for name, index in taken.items()}


def template() -> Any:
    """The Plotly template of all figures, registered under the name `flowstudy`."""
    import plotly.graph_objects as go
    import plotly.io as pio

    if TEMPLATE not in pio.templates:
        axis = {
            "gridcolor": PALE, "zerolinecolor": "#C3CAD4", "linecolor": "#C3CAD4", "ticks": "", "automargin": True,
            "title": {"font": {"size": 13}, "standoff": 12},
        }  # fmt: skip
        pio.templates[TEMPLATE] = go.layout.Template(
            layout={
                "font": {"family": FONT, "size": 13, "color": INK},
                "title": {
                    "font": {"size": 17}, "x": 0, "xref": "container", "xanchor": "left", "yref": "container", "y": 1,
                    "yanchor": "top", "pad": {"t": 16, "l": 14},
                },
                "colorway": list(PALETTE), "paper_bgcolor": "white", "plot_bgcolor": "white",
                "xaxis": axis, "yaxis": axis, "margin": {"l": 14, "r": 24, "t": 72, "b": 56},
                "legend": {"orientation": "h", "y": 1, "x": 0, "xanchor": "left", "yanchor": "bottom"},
                "hoverlabel": {"font": {"family": FONT}}, "bargap": 0.32,
            }
        )  # fmt: skip
    return pio.templates[TEMPLATE]

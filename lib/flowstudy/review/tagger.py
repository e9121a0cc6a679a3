"""The tagger: a thin view of a `Session` in JupyterLab or Voila. When nobody can click, `coverage` prints the same.

One anywidget draws it all (`tagger.js`), so that whatever is on the screen has its keys. Everything that comes from a
model or a person is escaped here, or set as text there.
"""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from importlib import resources
from typing import Any, Final

from flowstudy.review.item_view import definitions_html, item_html
from flowstudy.review.session import Session

#: Buttons: what each does, its key, its words.
_ACTIONS: Final = (
    ("confirm", "Enter", "Confirm ⏎"), ("skip", "s", "Skip s"), ("undo", "u", "Undo u"), ("back", "ArrowLeft", "←"),
    ("forward", "ArrowRight", "→"), ("all", "f", "All inputs f"),
)  # fmt: skip
_LABELS: Final = {"back": "previous answer", "forward": "next answer"}
_LEGEND: Final = (
    ("Enter", "confirm what is ticked"), ("letter, digit", "tick or untick"), ("← →", "look around"),
    ("↑ ↓", "scroll the flows"), ("/", "note"), ("j", "jump"), ("?", "definitions"), ("Esc", "back to the keys"),
)  # fmt: skip
_STATES: Final = {"open": "not looked at", "draft": "draft saved", "done": "confirmed", "skipped": "skipped"}
_STEPS: Final = {"back": -1, "forward": 1}
#: What is asked of any answer, not of the one on the screen.
_MOVES: Final = frozenset({*_STEPS, "all"})


class Tagger:
    """`Tagger(session)` shows itself as the last line of a cell; a blind one hides the systems' names and scores.

    `page` is a widget of `new_page` that is on the screen already. The browser builds the frame while the answer is
    explained; `refresh` sends the answer.
    """

    def __init__(self, session: Session, page: Any = None) -> None:
        self.session, self._all_inputs, self.error, self._heard = session, False, "", 0
        self.widget = page or new_page()
        self.widget.frame = self._frame()
        self.widget.on_msg(lambda _widget, message, _buffers: self.hear(message))

    def _ipython_display_(self) -> None:
        from IPython.display import display

        display(self.widget)
        self.refresh()

    def press(self, key: str) -> None:
        """What a key does: the same as the button it stands for. Unknown keys do nothing."""
        keys = {key: name for name, key, _ in _ACTIONS}
        keys |= {c.key: f"tag:{name}" for name, c in self.session.taxonomy.categories.items() if c.key}
        if key in keys:
            self._act(keys[key])
        self.refresh()

    def hear(self, message: Mapping[str, Any]) -> None:
        """What the browser says: `act` (a button), `note`, `jump` (a number from 1), or `ping` alone.

        What was meant for an answer that is no longer on the screen (`position`) does nothing. Whatever goes wrong is
        shown in the tagger: a notebook swallows the errors of callbacks. The reply tells how far it was `heard`.
        """
        if not {"act", "note", "jump", "ping"} & set(message):
            return
        number = int(message.get("n", 0))
        if "ping" not in message:
            self.error = ""
            try:
                self._obey(message)
            except (OSError, ValueError) as error:
                self.error = f"Not saved. {type(error).__name__}: {error}"
            self._heard = number
            self.refresh()
        self.widget.send({"heard": self._heard, "upto": number})

    def _obey(self, message: Mapping[str, Any]) -> None:
        seen = message.get("position") == self.session.position
        if "jump" in message:
            self.session.open(int(message["jump"]) - 1)
        elif "note" in message:
            if not seen:
                raise ValueError(f"note {str(message['note'])[:60]!r}: its answer has left the screen; write it there")
            self.session.write_note(str(message["note"]))
        elif seen or message["act"] in _MOVES:
            self._act(str(message["act"]))

    def _act(self, name: str) -> None:
        """Do what a button is called after; `tag:` and a category ticks or unticks it."""
        session = self.session
        if name.startswith("tag:"):
            session.toggle(name.removeprefix("tag:"))
        elif name == "all":
            self._all_inputs = not self._all_inputs
        elif name in _STEPS:
            session.open(session.position + _STEPS[name])
        else:
            {"confirm": session.confirm, "skip": session.skip, "undo": session.undo}[name]()

    def refresh(self) -> None:
        """Show the session as it is."""
        session = self.session
        found = session.explained()
        view = item_html(
            session.item, session.taxonomy, session.proposals, blind=session.blind, inputs=self._all_inputs,
            opinions=session.opinions, script=found.script,
        )  # fmt: skip
        with self.widget.hold_sync():
            self.widget.view, self.widget.state = view, self._state()
        session.look_ahead()

    def _state(self) -> dict[str, Any]:
        session, total = self.session, len(self.session.items)
        state = _STATES[session.states.get(session.item.place, "open")]
        unknown = f" · kept from an older taxonomy: {', '.join(session.unknown)}" if session.unknown else ""
        words = {
            "place": f"{session.position + 1} of {total}", "state": state + unknown, "pace": self._pace(),
            "who": session.annotator + (" (adjudicator)" if session.role == "adjudicator" else ""), "error": self.error,
        }  # fmt: skip
        return {
            "position": session.position, "total": total, "done": session.done, "note": session.note,
            "selected": session.selected, "words": words,
        }  # fmt: skip

    def _pace(self) -> str:
        session, total = self.session, len(self.session.items)
        if session.done == total:
            return f"all {total} done"
        if session.pace_s is None:
            return f"{session.done} done"
        minutes = session.pace_s * (total - session.done) / 60
        left = f"about {minutes:.0f} min left" if minutes >= 1 else "less than a minute left"
        return f"{session.done} done · {session.pace_s:.0f} s each · {left}"

    def _frame(self) -> str:
        """What stays while answers come and go; `tagger.js` fills in the rest."""
        taxonomy, total = self.session.taxonomy, len(self.session.items)
        acts = "".join(
            f'<button type="button" class="fs-act fs-{name}" data-act="{name}" data-key="{key}"'
            f' aria-label="{_LABELS.get(name, words)}">{words}</button>'
            for name, key, words in _ACTIONS
        )
        groups = []
        for key, group in taxonomy.groups.items():
            chips = "".join(
                f'<button type="button" class="fs-choice" data-act="tag:{escape(name)}" data-key="{escape(c.key)}"'
                f' aria-pressed="false" title="{escape(f"{c.definition} {c.rule}")}">'
                f"<b>{escape(c.key)}</b> {escape(c.title)}</button>"
                for name, c in taxonomy.of_group(key).items()
            )
            title = escape(group.title)
            groups.append(f'<div class="fs-group" role="group" aria-label="{title}"><h4>{title}</h4>{chips}</div>')
        legend = "".join(f"<span><kbd>{escape(key)}</kbd> {escape(words)}</span>" for key, words in _LEGEND)
        return (
            '<div class="fs-bar"><b class="fs-place"></b><span class="fs-state" role="status"></span>'
            '<progress aria-label="answers done"></progress><span class="fs-pace"></span>'
            '<span class="fs-keys">keys on</span><span class="fs-nokeys">click here to use keys</span>'
            '<span class="fs-who"></span></div>'
            '<div class="fs-error" role="alert"></div><div class="fs-said" role="status"></div>'
            f'<div class="fs-body"><div class="fs-view"></div><div class="fs-side"><div class="fs-acts">{acts}'
            f'<label>jump j <input type="number" min="1" max="{total}"></label></div>'
            f'<div class="fs-groups">{"".join(groups)}</div><textarea rows="2" aria-label="Note"'
            ' placeholder="Note (/), kept when you leave the field"></textarea></div></div>'
            f'<div class="fs-legend">{legend}</div>{definitions_html(taxonomy)}'
        )


def new_page() -> Any:
    """An empty widget for a tagger: `frame` and `view` are HTML, `state` is what `tagger.js` sets as text."""
    import anywidget
    import traitlets

    class Page(anywidget.AnyWidget):
        """See tagger.js."""

        _esm, _css = _asset("tagger.js"), _asset("tagger.css")
        frame, view = traitlets.Unicode().tag(sync=True), traitlets.Unicode().tag(sync=True)
        state = traitlets.Dict().tag(sync=True)

    return Page()


def _asset(name: str) -> str:
    """The text of a file beside this module."""
    return resources.files("flowstudy.review").joinpath(name).read_text(encoding="utf-8")

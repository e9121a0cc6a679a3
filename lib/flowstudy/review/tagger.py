"""The tagger: a thin view of a `Session` in JupyterLab or Voila. When nobody can click, `coverage` prints the same.

Widgets are ipywidgets' own; one small anywidget catches single keys. Everything that comes from a model is escaped.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from functools import cached_property
from html import escape
from importlib import resources
from types import TracebackType
from typing import Any, Final

from flowstudy.review.item_view import definitions_html, item_html
from flowstudy.review.session import Session

LEGEND: Final = (
    ("Enter", "confirm what is ticked"), ("letter, digit", "tick or untick"), ("s", "skip"), ("u", "undo"),
    ("← →", "look around"), ("f", "all inputs"), ("/", "note"), ("j", "jump"), ("?", "definitions"),
    ("Esc", "back to the keys"),
)  # fmt: skip
#: What a browser needs to draw a long answer.
DRAWING_S: Final = 0.15
_STATES: Final = {"open": "not looked at", "draft": "draft saved", "done": "confirmed", "skipped": "skipped"}
_MOVES: Final = frozenset({"ArrowLeft", "ArrowRight", "f"})


class Tagger:
    """`Tagger(session)` shows itself as the last line of a cell. `blind` hides the systems' names.

    The browser builds the empty frame while the answer is explained, and draws the answer before it hears of what
    stands below: `fill` is called when the frame is on its way.
    """

    def __init__(self, session: Session, *, blind: bool = False) -> None:
        import ipywidgets as w
        from ipywidgets.widgets.widget_string import HTMLStyle

        self.session, self.blind, self._all_inputs, self._quiet = session, blind, False, False
        self._plain, self._text = w.Layout(width="auto"), HTMLStyle()  # shared: fewer parts for the browser to build
        self.bar, self.view, self.error = self._html(), self._html(), self._html()
        style = self._html(f"<style>{_asset('tagger.css')}</style>")
        self.widget = w.VBox([style, self.bar, self.error, self.view], layout=self._plain, **_styled("fs-tagger"))

    def _ipython_display_(self) -> None:
        from IPython.display import display

        display(self.widget)
        self.fill()

    def fill(self) -> None:
        """Show the answer at hand, and the rest when the browser has had the time to draw it."""
        self.refresh()
        try:
            asyncio.get_running_loop().call_later(DRAWING_S, self.filled)
        except RuntimeError:  # not in a notebook
            self.filled()

    def filled(self) -> Any:
        """The widget with the answer at hand and all its parts."""
        if not self._is_filled():
            self.refresh()
            self.widget.children = [*self.widget.children, *self._below()]
            self.session.look_ahead()
        return self.widget

    def _is_filled(self) -> bool:
        return "choices" in vars(self)

    @cached_property
    def choices(self) -> dict[str, Any]:
        """The toggle button of each category."""
        return self._choice_buttons()

    @cached_property
    def _row(self) -> Any:
        import ipywidgets as w

        return w.Layout(flex_flow="row wrap", align_items="center")

    @cached_property
    def note(self) -> Any:
        """The field for a note."""
        import ipywidgets as w

        words = "Note (/), kept when you leave the field"
        note = w.Textarea(self.session.note, placeholder=words, rows=2, continuous_update=False)
        note.layout = w.Layout(width="100%")
        note.observe(self._on_note, "value")
        return note

    @cached_property
    def jump(self) -> Any:
        """The field for the number of an answer."""
        import ipywidgets as w

        place, last = self.session.position + 1, len(self.session.items)
        jump = w.BoundedIntText(place, min=1, max=last, layout=w.Layout(width="76px"))
        jump.observe(self._on_jump, "value")
        return jump

    def press(self, key: str) -> None:
        """What a key does: the same as the button it stands for. Unknown keys do nothing."""
        shortcut = self._shortcuts().get(key)
        if shortcut:
            self.session.toggle(shortcut)
        elif key in _ACTION_KEYS:
            self._act(_ACTION_KEYS[key])
        self.refresh()

    def refresh(self) -> None:
        """Show the session as it is."""
        session = self.session
        self._quiet = True
        try:
            found = session.explained()
            view = item_html(
                session.item, session.taxonomy, found.tags, blind=self.blind, inputs=self._all_inputs,
                opinions=session.opinions, script=found.script,
            )  # fmt: skip
            if self.view.value != view:
                self.view.value = view
            self.bar.value = self._bar_html()
            if self._is_filled():
                for name, button in self.choices.items():
                    button.value = name in session.selected
                self.note.value, self.jump.value = session.note, session.position + 1
        finally:
            self._quiet = False
        if self._is_filled():
            session.look_ahead()

    def _bar_html(self) -> str:
        session, total = self.session, len(self.session.items)
        state = _STATES[session.states.get(session.item.place, "open")]
        unknown = f" · kept from an older taxonomy: {escape(', '.join(session.unknown))}" if session.unknown else ""
        who = escape(session.annotator) + (" (adjudicator)" if session.role == "adjudicator" else "")
        return (
            f'<div class="fs-bar" data-position="{session.position}"><b>{session.position + 1} of {total}</b>'
            f'<span class="fs-state">{state}{unknown}</span>'
            f'<progress max="{total}" value="{session.done}"></progress><span>{self._pace()}</span>'
            f'<span class="fs-keys">keys on</span><span class="fs-nokeys">click here to use keys</span>'
            f"<span>{who}</span></div>"
        )

    def _pace(self) -> str:
        session = self.session
        if session.pace_s is None:
            return f"{session.done} done"
        minutes = session.pace_s * (len(session.items) - session.done) / 60
        left = f"about {minutes:.0f} min left" if minutes >= 1 else "less than a minute left"
        return f"{session.done} done · {session.pace_s:.0f} s each · {left}"

    def _below(self) -> list[Any]:
        """What stands below the answer."""
        import ipywidgets as w

        labels = {
            "confirm": ("Confirm  ⏎", "primary"), "skip": ("Skip  s", ""), "undo": ("Undo  u", ""), "back": ("←", ""),
            "forward": ("→", ""), "inputs": ("All inputs  f", ""),
        }  # fmt: skip
        buttons = [self._action(name, words, look) for name, (words, look) in labels.items()]
        jump = [w.Label("jump to  j", layout=self._plain), self.jump]
        acts = w.HBox([*buttons, *jump], layout=self._row, **_styled("fs-acts"))
        legend = "".join(f"<span><kbd>{escape(key)}</kbd> {escape(words)}</span>" for key, words in LEGEND)
        help_ = self._html(f'<div class="fs-legend">{legend}</div>{definitions_html(self.session.taxonomy)}')
        keys = _key_catcher([*self._shortcuts(), *_ACTION_KEYS])
        keys.on_msg(lambda _widget, message, _buffers: self._on_key(message))
        return [acts, self._choice_groups(), self.note, help_, keys]

    def _html(self, text: str = "") -> Any:
        import ipywidgets as w

        return w.HTML(text, layout=self._plain, style=self._text)

    def _choice_groups(self) -> Any:
        import ipywidgets as w

        groups, taxonomy, look = [], self.session.taxonomy, dict[str, Any](layout=self._plain)
        for key, group in taxonomy.groups.items():
            buttons = [self.choices[name] for name in taxonomy.of_group(key)]
            if buttons:
                label = w.Label(group.title, **look)
                look["style"] = label.style  # one look for all: the page opens sooner
                groups.append(w.HBox([label, *buttons], layout=self._row, **_styled("fs-group")))
        return w.HBox(groups, layout=self._row, **_styled("fs-groups"))

    def _choice_buttons(self) -> dict[str, Any]:
        import ipywidgets as w

        buttons, look = {}, {"layout": self._plain, **_styled("fs-choice")}
        for name, category in self.session.taxonomy.categories.items():
            words = f"{category.key} · {category.title}" if category.key else category.title
            rule = f"{category.definition} {category.rule}"
            button = w.ToggleButton(name in self.session.selected, description=words, tooltip=rule, **look)
            look["style"] = button.style
            button.observe(self._on_choice(name), "value")
            buttons[name] = button
        return buttons

    def _action(self, name: str, words: str, look: str) -> Any:
        import ipywidgets as w

        button = w.Button(description=words, button_style=look, layout=self._plain, **_styled("fs-act"))
        button.on_click(lambda _: self._guarded(lambda: self._act(name)))
        return button

    def _shortcuts(self) -> dict[str, str]:
        return {c.key: name for name, c in self.session.taxonomy.categories.items() if c.key}

    def _on_key(self, message: Mapping[str, Any]) -> None:
        """A key from the browser; one that was meant for an answer no longer on the screen does nothing."""
        key, seen = str(message.get("key", "")), message.get("position")
        if key in _MOVES or seen in (None, self.session.position):
            with self._shown():
                self.press(key)

    def _on_choice(self, name: str) -> Callable[[Any], None]:
        def changed(_change: Any) -> None:
            if not self._quiet:
                self._guarded(lambda: self.session.toggle(name))

        return changed

    def _on_note(self, change: Any) -> None:
        if not self._quiet:
            self._guarded(lambda: self.session.write_note(change["new"]))

    def _on_jump(self, change: Any) -> None:
        if not self._quiet:
            self._guarded(lambda: self.session.open(change["new"] - 1))

    def _guarded(self, action: Callable[[], object]) -> None:
        with self._shown():
            action()
        with self._shown(keep=True):
            self.refresh()

    def _shown(self, keep: bool = False) -> _Shown:
        return _Shown(self.error, keep)

    def _act(self, name: str) -> None:
        """Do what a button is called after."""
        if name == "inputs":
            self._all_inputs = not self._all_inputs
        elif name in _STEPS:
            self.session.open(self.session.position + _STEPS[name])
        else:
            {"confirm": self.session.confirm, "skip": self.session.skip, "undo": self.session.undo}[name]()


_STEPS: Final = {"back": -1, "forward": 1}
_ACTION_KEYS: Final = {
    "Enter": "confirm", "s": "skip", "u": "undo", "ArrowLeft": "back", "ArrowRight": "forward", "f": "inputs",
}  # fmt: skip


class _Shown:
    """Whatever goes wrong inside is shown in the tagger: a notebook swallows the errors of callbacks."""

    def __init__(self, place: Any, keep: bool) -> None:
        self.place, self.keep = place, keep

    def __enter__(self) -> None:
        if not self.keep:
            self.place.value = ""

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> bool:
        if error is None or not isinstance(error, Exception):
            return False
        words = f"Not saved. {type(error).__name__}: {error}"
        self.place.value = f'<div class="fs-error" role="alert">{escape(words)}</div>'
        return True


def _styled(*names: str) -> dict[str, Any]:
    """Classes for CSS, given when a widget is made: `add_class` would send one more message for each."""
    return {"_dom_classes": names}


def _key_catcher(keys: list[str]) -> Any:
    """An invisible widget that sends the keys named; see keys.js."""
    import anywidget
    import traitlets

    class Keys(anywidget.AnyWidget):
        """Sends the keys that the tagger knows; see keys.js."""

        _esm = _asset("keys.js")
        known = traitlets.List(traitlets.Unicode()).tag(sync=True)
        focus = traitlets.Bool(True).tag(sync=True)

    return Keys(known=keys)


def _asset(name: str) -> str:
    """The text of a file beside this module."""
    return resources.files("flowstudy.review").joinpath(name).read_text(encoding="utf-8")

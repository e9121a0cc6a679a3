"""Parts of the tagger that know nothing of tags: styles, the catcher of single keys, and where errors are shown."""

from __future__ import annotations

from html import escape
from importlib import resources
from types import TracebackType
from typing import Any


class Shown:
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


def styled(*names: str) -> dict[str, Any]:
    """Classes for CSS, given when a widget is made: `add_class` would send one more message for each."""
    return {"_dom_classes": names}


def key_catcher(keys: list[str]) -> Any:
    """An invisible widget that sends the keys named; see keys.js."""
    import anywidget
    import traitlets

    class Keys(anywidget.AnyWidget):
        """Sends the keys that the tagger knows; see keys.js."""

        _esm = asset("keys.js")
        known = traitlets.List(traitlets.Unicode()).tag(sync=True)
        focus = traitlets.Bool(True).tag(sync=True)

    return Keys(known=keys)


def asset(name: str) -> str:
    """The text of a file beside this module."""
    return resources.files("flowstudy.review").joinpath(name).read_text(encoding="utf-8")

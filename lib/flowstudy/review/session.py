"""Tagging without widgets: what is selected, what is saved, where the annotator stands. The tagger only shows it."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from flowstudy.analysis.errors import ProposedTag
from flowstudy.analysis.explained import Explained, explain_answer
from flowstudy.analysis.taxonomy import Taxonomy, load_taxonomy
from flowstudy.analysis.verdicts import fingerprint, shared
from flowstudy.review.sampling import Item
from flowstudy.review.tags import LONGEST_NAME, Role, State, Tag, TagStore

_IDLE_S = 600.0


class Session:
    """One person going through a queue, as an annotator or as the adjudicator who has the last word.

    Every change is in the store before the method returns. If saving fails (TagStoreError), nothing changes: what is
    seen is what is stored. Ticked at first is what this person said of the answer; else, for an annotator, what the
    analysis proposes (`blind`: nothing), and for an adjudicator what at least half of the annotators gave.
    """

    def __init__(
        self,
        items: Sequence[Item],
        store: TagStore,
        annotator: str,
        taxonomy: Taxonomy | None = None,
        *,
        role: Role = "annotator",
        blind: bool = False,
    ) -> None:
        if not items:
            raise ValueError(f"tagging by {annotator}: expected answers to look at, got none; run notebook 03 first")
        self.blind = blind
        self.items, self.store, self.taxonomy = list(items), store, taxonomy or load_taxonomy()
        self.annotator, self.role = store.known_as(annotator), role
        if not 0 < len(self.annotator) <= LONGEST_NAME:
            rule = f"a name of the annotator of at most {LONGEST_NAME} letters"
            raise ValueError(f"tagging: expected {rule}, got {self.annotator[:20]!r}; type yours")
        self._answers = {item.place: fingerprint(item.prediction) for item in self.items}
        mine = store.states(self.annotator, role).items()
        self.states: dict[tuple[str, str, int], State] = {
            place: state for place, (state, answer) in mine if self._is_same(place, answer)
        }
        self.paces: list[float] = []
        self.opinions: list[Tag] = []
        self._actions: list[tuple[int, Tag]] = []
        self._explained: dict[int, Future[Explained]] = {}
        self._analyst = ThreadPoolExecutor(1, thread_name_prefix="explain")
        self.position = 0
        self.open(next((n for n, item in enumerate(self.items) if not self._settled(item)), 0))

    @property
    def item(self) -> Item:
        """The answer at hand."""
        return self.items[self.position]

    @property
    def selected(self) -> list[str]:
        """The ticked categories of the answer at hand; at first it waits for the proposals."""
        return self._ticked_now()[0]

    @property
    def unknown(self) -> list[str]:
        """Categories of a stored verdict that the taxonomy does not know; they are kept."""
        return self._ticked_now()[1]

    @property
    def done(self) -> int:
        """How many answers of the queue this annotator has confirmed or skipped."""
        return sum(self._settled(item) for item in self.items)

    @property
    def pace_s(self) -> float | None:
        """Median seconds per confirmed answer of this sitting (pauses over ten minutes left out); None at first."""
        return statistics.median(self.paces) if self.paces else None

    def explained(self, position: int | None = None) -> Explained:
        """An answer (the one at hand) with its edit script and the proposed tags, computed once."""
        return self._explanation(self.position if position is None else position).result()

    def look_ahead(self) -> None:
        """Explain the answer that comes next while this one is read."""
        self._explanation(self._next())

    def _explanation(self, position: int) -> Future[Explained]:
        if position not in self._explained:
            item = self.items[position]
            task = self._analyst.submit(explain_answer, item.prediction, item.example, item.catalogue)
            self._explained[position] = task
        return self._explained[position]

    def open(self, position: int) -> None:
        """Go to an answer (clipped to the queue) and read what is stored of it, also by another tab of this person."""
        self.position = max(0, min(position, len(self.items) - 1))
        self.since = time.monotonic()
        here = [tag for tag in self.store.on(self.item.place) if self._is_same(tag.place, tag.answer)]
        self.saved = next((tag for tag in here if (tag.annotator, tag.role) == (self.annotator, self.role)), None)
        others = [tag for tag in here if tag.role == "annotator" and tag.state == "done"]
        self.opinions = others if self.role == "adjudicator" else []
        if self.saved is not None:
            self.states[self.item.place] = self.saved.state
        self.note = "" if self.saved is None else self.saved.note
        self._ticked: tuple[list[str], list[str]] | None = None
        self._explanation(self.position)

    def _ticked_now(self) -> tuple[list[str], list[str]]:
        if self._ticked is None:
            self._ticked = self.taxonomy.resolve_all(self._ticked_first())
        return self._ticked

    def _ticked_first(self) -> list[str]:
        if self.saved is not None:
            return self.saved.categories
        if self.opinions:
            agreed = shared([frozenset(tag.categories) for tag in self.opinions])
            return [name for name in self.taxonomy.categories if name in agreed]
        return [tag.category for tag in self.proposals or ()]

    @property
    def proposals(self) -> Sequence[ProposedTag] | None:
        """What the analysis says of the answer at hand; None while a `blind` annotator has not chosen anything."""
        return None if self.blind and self.saved is None else self.explained().tags

    def _is_same(self, place: tuple[str, str, int], answer: str | None) -> bool:
        """True when a tag was given to the answer of the queue (it has no fingerprint, or the right one)."""
        return answer in (None, self._answers.get(place))

    def toggle(self, category: str) -> None:
        """Tick or untick a category, and save that as a draft."""
        if category not in self.taxonomy.categories:
            raise ValueError(f"tag {category!r}: expected a category of the taxonomy, got none with this name")
        ticked = [name for name in self.selected if name != category]
        if category not in self.selected:
            ticked = [name for name in self.taxonomy.categories if name in {*self.selected, category}]
        self._save("draft", ticked, self.note)

    def write_note(self, note: str) -> None:
        """Keep a note with the answer, as a draft."""
        if note != self.note:
            self._save("draft", self.selected, note)

    def confirm(self) -> None:
        """What is ticked is the verdict; on to the next open answer."""
        spent = time.monotonic() - self.since
        self._save("done", self.selected, self.note, spent)
        if spent < _IDLE_S:
            self.paces.append(spent)
        self._advance()

    def skip(self) -> None:
        """No verdict on this one; on to the next open answer."""
        self._save("skipped", self.selected, self.note)
        self._advance()

    def undo(self) -> bool:
        """Take back the last click of this sitting and go to its answer; False when there is none."""
        if not self._actions:
            return False
        position, last = self._actions[-1]
        self.store.add(self._tag(position, "undo", supersedes=last.id))
        self._actions.pop()
        self.open(position)
        if self.saved is None:
            self.states.pop(self.item.place, None)
        else:
            self.states[self.item.place] = self.saved.state
        return True

    def _save(self, state: State, categories: list[str], note: str, seconds: float | None = None) -> None:
        before = self.saved.id if self.saved else None
        unknown = self.unknown
        tag = self._tag(self.position, state, [*categories, *unknown], note, seconds, before)
        self.store.add(tag)
        self.saved, self._ticked, self.note = tag, (list(categories), unknown), note
        self.states[tag.place] = state
        self._actions.append((self.position, tag))

    def _tag(
        self, position: int, state: State, categories: Sequence[str] = (), note: str = "",
        seconds: float | None = None, supersedes: str | None = None,
    ) -> Tag:  # fmt: skip
        system, example, repeat = self.items[position].place
        proposed = list(dict.fromkeys(tag.category for tag in self.explained(position).tags))
        return Tag(
            annotator=self.annotator, role=self.role, system=system, example=example, repeat=repeat, state=state,
            note=note, categories=list(categories), proposed=proposed, supersedes=supersedes,
            seconds=None if seconds is None else round(seconds, 2), answer=self._answers[self.items[position].place],
        )  # fmt: skip

    def _settled(self, item: Item) -> bool:
        return self.states.get(item.place) in ("done", "skipped")

    def _advance(self) -> None:
        self.open(self._next())

    def _next(self) -> int:
        """The next open answer, from the first again after the last; the one at hand when no other is open."""
        later = [*range(self.position + 1, len(self.items)), *range(self.position)]
        return next((n for n in later if not self._settled(self.items[n])), self.position)

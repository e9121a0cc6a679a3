"""Requirements in other voices than they were written in, for training: tickets, forwarded mails, dictated notes and
user stories, literals without quotation marks. What is asked for stays the same."""

from __future__ import annotations

import random
import re
from typing import Final

#: Share of the requirements in another voice that lose their quotation marks.
UNQUOTED: Final = 0.6
_TICKETS: Final = (
    "Ticket {number}, priority {digit}\nRequested by: {person}\nDescription: {text}",
    "REQ{number} | opened by {person} | category: automation\n{text}\n(no attachment)",
    "Summary: automation wanted\nDetails: {text}\nSteps to reproduce: n/a",
)
_MAILS: Final = (
    "Hi all,\n\n{text}\n\nThanks a lot,\n{person}",
    "---- Forwarded message ----\nFrom: {person}\nSubject: can you automate this?\n\n{text}\n\n-- \n{person}",
    "FW: RE: our process\n\nSee below, can we have that?\n\n> {quoted}",
    "Dear colleagues, I write to you because of the following. {text} Thank you in advance for your help. {person}",
)
_SPOKEN: Final = (
    "okay so um what I need is this {text} yeah that's it",
    "note to self {text} end of note",
    "right so {text} I think that is all thanks",
)
_STORIES: Final = (
    "As a team lead I want the following to happen by itself, so that nobody has to remember it: {text}",
    "User story: as an employee of the department, I need this. {text} Acceptance: it runs without anybody's help.",
)
_PEOPLE: Final = ("Ana", "J. Okafor", "Priya S.", "Lars", "the service desk", "M. Duarte", "Chen Wei", "Fatima")
_MARKS: Final = re.compile(r"(?m)[,;:!?](?=\s|$)|\.(?=\s|$)|^\s*(?:[-*•]|\d+[.)]|[a-z]\))\s+")
_QUOTES: Final = re.compile(r"[\"“”„«»]")


def in_another_voice(requirement: str, rng: random.Random) -> str:
    """The requirement as a ticket, a mail, a dictated note, a user story or as it was, most often without its
    quotation marks.

    >>> in_another_voice('close it, comment "Done"', random.Random(3))
    'As a team lead I want the following to happen by itself, so that nobody has to remember it: close it, comment Done'
    """
    text = _QUOTES.sub("", requirement) if rng.random() < UNQUOTED else requirement
    frames = rng.choice((("{text}",), _TICKETS, _MAILS, _SPOKEN, _STORIES))
    if frames is _SPOKEN:
        text = " ".join(_MARKS.sub(" ", text).split())
    facts = {
        "number": str(rng.randrange(10_000, 99_999)),
        "digit": str(rng.randint(1, 4)),
        "person": rng.choice(_PEOPLE),
    }
    return rng.choice(frames).format(text=text, quoted=text.replace("\n", "\n> "), **facts)

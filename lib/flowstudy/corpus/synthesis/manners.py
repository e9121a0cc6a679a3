"""What people write around the steps: greetings, background, changes of mind, and how carelessly they type."""

from __future__ import annotations

import re
from typing import Final

from flowstudy.corpus.synthesis import values
from flowstudy.corpus.synthesis import words as w
from flowstudy.corpus.synthesis.scene import Scene

_ARTICLE: Final = re.compile(r"\b(?:the|a|an) (?=[a-z])")
_QUOTED: Final = re.compile(r"[\"'“”]|https?:")


def greeting(scene: Scene) -> str:
    """How a request opens."""
    return scene.say("Hi,|Hello,|Hi team,|Good morning,|Hey,|Request:|Hi all -|Dear colleagues,|New automation:|"
                     "Requirement:|Idea:|"
                     "We need a flow.|Can somebody build this?|Small one:|Please build:|Hello everybody,|"
                     "Question:|To automate:")  # fmt: skip


def thanks(scene: Scene) -> str:
    """How a request ends."""
    return scene.say("Thanks!|Thank you.|Many thanks|thx|Cheers|That would help a lot.|That is all.|Should be quick.|"
                     "Today we do this by hand.|This takes us hours every week.|Thank you in advance!|"
                     "That's it.|No hurry.|"
                     "Please tell me if something is unclear.|It was agreed with the manager.|"
                     "Nothing else.")  # fmt: skip


def opening(scene: Scene) -> str:
    """A topic or some background before the requirement; no component follows from it."""
    noun = scene.records[0].noun.removeprefix("the ") if scene.records else values.thing(scene)
    thing = scene.pick(w.THINGS)
    return scene.say(
        "{Many}:|{Many}:|{Thing} {noun}:|{Noun} {thing}:|{NOUN}:|About {many}:|We had it again yesterday.|"
        "Nobody looks at {many} today.|The {thing} people asked for this.|{Many} are often forgotten.|"
        "Too many {many} get lost.|The audit found that {many} were {state}.|It is about {many}.|"
        "We were asked about {many}.|"
        "{Many} are {state} too often.|As discussed with the {thing} team:|Until now this is done by hand.|"
        "There was trouble with {many} last month.|I was told you can automate this.|{Many}, as agreed:|"
        "New rule for {many}:|"
        "This is for {many}.|Our {thing} is always {state}.|Since the {thing} we have a new rule.",
        noun=noun, Noun=noun.capitalize(), NOUN=noun.upper(), many=w.plural(noun),
            Many=w.plural(noun).capitalize(), thing=thing,
        Thing=thing.capitalize(), state=scene.pick(w.STATES))  # fmt: skip


def aside(scene: Scene) -> str:
    """A sentence about what is not wanted; no component follows from it."""
    thing = scene.say("an e-mail|an approval|a task|a comment|a notification|a reminder|a report|a survey")
    return scene.say(
        "No need to send {t}.|We do not need {t}.|{T} is not needed.|Don't {v} the {o}.|The {o} stays as it is.|"
        "{T}? No.|"
        "Nothing else happens.|Others are ignored.|All other cases stay as they are.|Who did it does not matter.|"
        "The {o} is done by somebody else.|Do not touch the {o}.",
        t=thing, T=thing[:1].upper() + thing[1:], v=scene.say("touch|change|"
                                                            "close"), o=scene.pick(w.THINGS))  # fmt: skip


def retraction(scene: Scene) -> str:
    """A step that is named and taken back at once; no component follows from it."""
    verb, obj = scene.pick(scene.pick(scene.world.cards).phrases)
    if scene.chance(0.4):
        verb, obj = scene.say("tell|ask|inform"), scene.pick(scene.world.groups)
    return scene.say("{v} {o}... no, skip that|{v} {o}? no, not needed|{v} {o}... forget it|"
                     "and {v} {o}... no, we don't|"
                     "{v} {o} - no, that is done already|maybe {v} {o}? no", v=verb, o=obj)  # fmt: skip


def mistype(scene: Scene, text: str, protected: set[str]) -> str:
    """Now and then one typo in a plain word that no value needs."""
    rng = scene.rng
    if rng.random() < 0.6 or "http" in text:
        return text
    tokens = text.split(" ")
    place = int(rng.random() * len(tokens))
    word = tokens[place]
    if len(word) < 5 or not word.isalpha() or not word.islower() or word in protected:
        return text
    at = int(rng.random() * (len(word) - 2)) + 1
    swapped = word[:at] + word[at + 1] + word[at] + word[at + 2 :]
    tokens[place] = rng.choice((swapped, word[:at] + word[at + 1 :], word[:at] + word[at] + word[at:]))
    return " ".join(tokens)


def drop_articles(scene: Scene, text: str) -> str:
    """Articles are left out now and then, as by somebody whose language has none; quoted words stay."""
    if _QUOTED.search(text):
        return text
    return _ARTICLE.sub(lambda found: "" if scene.chance(0.6) else found[0], text)

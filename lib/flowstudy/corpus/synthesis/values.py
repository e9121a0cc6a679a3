"""Values of inputs as people write them: durations, dates, numbers, names and short messages."""

from __future__ import annotations

from typing import Final

from flowstudy.corpus.synthesis import words as w
from flowstudy.corpus.synthesis.scene import Said, Scene

_QUOTES: Final = (*('"{}"',) * 12, "'{}'", "“{}”")
_NAME_QUOTES: Final = ('"{}"', '"{}"', '"{}"', "{}", "{}", "'{}'")
_MESSAGES: Final = (
    "{Thing} is {state}|{Thing} is {state}|{Thing} {state}|{Thing} still {state}|{Thing} not {state}|"
    "Your {thing} is {state}|Your {thing} was {done}|{Thing} was {done}|Please {verb} the {thing}|"
    "Please {verb} your {thing}|Please {verb} the {thing} today|{Thing} must be {done}|{Thing} cannot be {done}|"
    "New {thing}|New {thing} for you|A new {thing} is waiting|No {thing} left|No {thing} found|Check the {thing}|"
    "{Verb} the {thing}|{Verb} {thing}|{Thing} needs your help|We look at your {thing}|We have {done} your {thing}|"
    "{Thing} has to be {done} first|Nothing to {verb} on this {thing}|Your {thing} can be picked up|"
    "Thank you, {thing} is {state}|"
    "Who can {verb} the {thing}?|{Thing} over the limit|{Thing} ends soon|{Thing} too {rough}|Missing {thing}|"
    "{Done} as agreed|{Done} by the night run|{Thing}: please {verb}|Did you {verb} the {thing}?|"
    "The {thing} was {done} without approval|Last reminder: {thing} is {state}|You have a new {thing}"
)
_DURATIONS: Final = ("minute", "hour", "hour", "day", "day", "day", "week", "business day", "month")
_AMOUNTS: Final = frozenset(
    w.listed("amount price cost value limit fee quantity people days years tonnes degrees minutes")
)
_MOMENTS: Final = w.bag("day time date start end from until due deadline")
_CODES: Final = w.bag("sensor meter zone zones areas floor dock code sku key number reference desk lane")
_QUALITY: Final = w.bag("title survey course template service product package application item model")


def duration(scene: Scene) -> Said:
    """`2 hours`; now and then `an hour` or `half a day`."""
    if scene.chance(0.12):
        text = scene.say("a day|an hour|a week|half an hour|half a day|two days|three hours|one week|ten minutes")
        return Said(text, text)
    unit = scene.pick(_DURATIONS)
    most = {"minute": 12, "month": 12, "week": 6}.get(unit, 20)
    count = int(scene.rng.random() ** 2 * most) + 1
    count *= 5 if unit == "minute" else 1
    text = f"{count} {unit}{'s' if count > 1 else ''}"
    return Said(text, text)


def date(scene: Scene) -> Said:
    """A day, or the moment of a scheduled run."""
    if scene.now and scene.chance(0.4):
        return Said(f"{{{{{scene.now}}}}}", scene.say("now|today|the same day"))
    month, day = scene.pick(w.MONTHS), int(scene.rng.random() * 28) + 1
    year = int(scene.rng.random() * 6) + 2026
    if scene.chance(0.4):
        text = f"{year}-{int(scene.rng.random() * 12) + 1:02d}-{day:02d}"
    else:
        text = f"{day} {month}" if scene.chance(0.5) else f"{day} {month} {year}"
    return Said(text, text)


def time(scene: Scene) -> str:
    """A time of day, in 24 or 12 hours."""
    hour, minute = int(scene.rng.random() * 24), scene.pick(("00", "00", "00", "30", "15", "45"))
    half = f"{hour % 12 or 12}{scene.pick(('am', 'pm', ' am', ' pm'))}"
    return scene.pick((f"{hour:02d}:{minute}", f"{hour:02d}:{minute}", f"{hour}:{minute}", half))


def number(scene: Scene) -> str:
    """Mostly round, as limits are."""
    draw = scene.rng.random()
    if draw < 0.4:
        return str(int(scene.rng.random() * 20) + 1)
    if draw < 0.75:
        return str(5 * (int(scene.rng.random() * 20) + 1))
    if draw < 0.9:
        return str((int(scene.rng.random() * 19) + 1) * scene.pick((50, 100, 500, 1000, 5000)))
    return str(int(10 ** (scene.rng.random() * 3.2)))


def thing(scene: Scene) -> str:
    """Something to talk about: mostly of this environment, sometimes from anywhere, rarely a made-up word."""
    draw = scene.rng.random()
    if draw < 0.5 and scene.world.nouns:
        return scene.pick(scene.world.nouns)
    return scene.pick(w.THINGS) if draw < 0.96 else w.invented_word(scene.rng)


def message(scene: Scene) -> str:
    """A short text as people put it in messages; millions of them."""
    about = thing(scene)
    if scene.chance(0.22):
        about = f"{scene.pick(w.QUALITIES)} {about}"
    verb = scene.pick(w.PLAIN_VERBS)
    done = w.past(verb)
    slots = {"thing": about, "Thing": about[:1].upper() + about[1:], "state": scene.pick(w.STATES), "verb": verb,
             "Verb": verb.capitalize(), "done": done, "Done": done.capitalize(),
             "rough": scene.pick(w.ROUGH)}  # fmt: skip
    return scene.say(_MESSAGES, **slots)


def name(scene: Scene) -> str:
    """A proper name: product, template, service, document."""
    draw = scene.rng.random()
    first = scene.pick(w.THINGS) if scene.chance(0.85) else w.invented_word(scene.rng)
    if draw < 0.3:
        return first if scene.chance(0.3) else first.capitalize()
    if draw < 0.75:
        return f"{scene.pick(w.QUALITIES).capitalize()} {first}"
    return f"{first.capitalize()} {scene.pick(w.THINGS)}"


def code(scene: Scene) -> str:
    """`hall-3`, `KX-204`, `zone 7`."""
    digits = str(int(scene.rng.random() * 40) + 1)
    if scene.chance(0.3):
        letters = "".join(scene.pick("ABCDEFGHKLMNPRSTVWXZ") for _ in range(2))
        return f"{letters}-{int(scene.rng.random() * 9000) + 100}"
    return f"{scene.pick(w.THINGS)}{scene.pick(('-', '-', ' '))}{digits}"


def text(scene: Scene, label: str, *, is_message: bool) -> Said:
    """A string input called `label`: quoted words, a name, number, code or address, or data at hand."""
    last = label.rpartition("_")[2]
    if not is_message and last in _AMOUNTS:
        return figure(scene)
    if scene.texts and scene.chance(0.12) and last not in _QUALITY and last not in ("channel", "url"):
        return scene.pick(scene.texts[-8:])
    if last in ("role", "roles") and scene.world.catalogue.roles:
        role = scene.pick(scene.world.catalogue.roles)
        return Said(role, role.replace("_", " ") if scene.chance(0.5) else role)
    if is_message:
        value = message(scene)
        value = value.lower() if scene.chance(0.08) else value
        return Said(value, scene.pick(_QUOTES).format(value))
    if last in _MOMENTS:
        return date(scene)
    if last in ("url", "address", "endpoint"):
        value = f"https://{thing(scene).replace(' ', '-')}.{scene.pick(w.PLACES).lower()}.example"
        value += f"/{scene.pick(w.THINGS)}" if scene.chance(0.7) else ""
        return Said(value, value)
    if last in ("email", "mail", "mailbox"):
        value = f"{scene.pick(w.THINGS)}@{scene.pick(w.PLACES).lower()}.example"
        return Said(value, value)
    if last in _CODES:
        value = code(scene)
        return Said(value, value)
    if last in ("city", "site", "building", "country", "location"):
        value = scene.pick(w.PLACES)
        return Said(value, value)
    if last in ("name", "label") or last in _QUALITY:
        value = name(scene)
        return Said(value, scene.pick(_NAME_QUOTES).format(value))
    value = name(scene).lower() if scene.chance(0.5) else name(scene)
    return Said(value, scene.pick(_NAME_QUOTES).format(value))


def figure(scene: Scene) -> Said:
    """A number, or a number of the data at hand."""
    if scene.numbers and scene.chance(0.4):
        return scene.pick(scene.numbers[-4:])
    value = number(scene)
    return Said(value, value)

"""The word lists of the generator: verbs with their near-synonyms, things, people, messages, and invented words."""

from __future__ import annotations

import random
import re
from typing import Final


def bag(words: str) -> frozenset[str]:
    """The words of a text, as a set."""
    return frozenset(words.split())


def listed(words: str) -> list[str]:
    """The words of a text, as a list."""
    return words.split()


#: Verbs that name an action, and what people write instead. The first word of a description is looked up here too.
SYNONYMS: Final[dict[str, tuple[str, ...]]] = {
    "create": ("create", "open", "raise", "log", "make", "add", "set up"),
    "open": ("open", "create", "raise", "start"),
    "add": ("add", "put", "append"),
    "update": ("update", "change", "edit", "modify"),
    "change": ("change", "update", "modify"),
    "set": ("set", "change", "put"),
    "delete": ("delete", "remove", "drop", "get rid of"),
    "remove": ("remove", "delete", "take away", "drop"),
    "find": ("find", "look up", "search for", "get", "fetch"),
    "look up": ("look up", "find", "get", "fetch", "search for"),
    "get": ("get", "fetch", "read", "retrieve", "pull"),
    "read": ("read", "get", "fetch"),
    "list": ("list", "get", "collect", "find"),
    "send": ("send", "send out", "mail", "dispatch"),
    "notify": ("notify", "inform", "tell", "alert", "let know"),
    "ask": ("ask", "request"),
    "request": ("request", "ask for", "order"),
    "submit": ("submit", "place", "send in", "file"),
    "order": ("order", "request", "buy"),
    "start": ("start", "launch", "kick off", "begin", "trigger"),
    "launch": ("launch", "start", "kick off"),
    "run": ("run", "execute", "start", "perform"),
    "stop": ("stop", "halt", "end"),
    "end": ("end", "stop", "finish", "close"),
    "close": ("close", "finish", "complete", "shut"),
    "resolve": ("resolve", "solve", "fix"),
    "cancel": ("cancel", "call off", "withdraw", "revoke"),
    "withdraw": ("withdraw", "cancel", "take back"),
    "revoke": ("revoke", "withdraw", "take away"),
    "assign": ("assign", "give", "hand over"),
    "give": ("give", "grant", "hand"),
    "grant": ("grant", "give", "allow"),
    "reserve": ("reserve", "book", "block", "hold"),
    "book": ("book", "reserve", "schedule"),
    "schedule": ("schedule", "plan", "book", "set up"),
    "plan": ("plan", "schedule", "prepare"),
    "check": ("check", "verify", "test", "look at"),
    "verify": ("verify", "check", "confirm"),
    "validate": ("validate", "check", "verify"),
    "confirm": ("confirm", "verify"),
    "compute": ("compute", "calculate", "work out"),
    "calculate": ("calculate", "compute", "work out"),
    "score": ("score", "rate", "grade"),
    "rate": ("rate", "score", "grade"),
    "publish": ("publish", "post", "put out", "release"),
    "post": ("post", "write", "publish"),
    "upload": ("upload", "store", "put"),
    "store": ("store", "save", "keep", "archive"),
    "archive": ("archive", "store", "file away"),
    "copy": ("copy", "duplicate", "clone"),
    "move": ("move", "transfer", "shift"),
    "transfer": ("transfer", "move", "hand over"),
    "attach": ("attach", "add", "link"),
    "link": ("link", "attach", "connect"),
    "escalate": ("escalate", "raise", "push up"),
    "page": ("page", "call", "ring"),
    "call": ("call", "ring", "phone"),
    "print": ("print", "print out"),
    "generate": ("generate", "create", "produce", "make"),
    "build": ("build", "make", "assemble"),
    "draft": ("draft", "write", "prepare"),
    "prepare": ("prepare", "get ready", "set up"),
    "collect": ("collect", "gather", "pick up"),
    "deliver": ("deliver", "hand over", "bring"),
    "ship": ("ship", "send", "dispatch"),
    "install": ("install", "set up", "roll out"),
    "deploy": ("deploy", "roll out", "install"),
    "restart": ("restart", "reboot", "bounce"),
    "reset": ("reset", "renew"),
    "renew": ("renew", "extend", "prolong"),
    "extend": ("extend", "prolong", "lengthen"),
    "lock": ("lock", "block", "freeze"),
    "unlock": ("unlock", "unblock", "free"),
    "block": ("block", "lock", "stop"),
    "freeze": ("freeze", "hold", "block"),
    "release": ("release", "free", "let go"),
    "disable": ("disable", "switch off", "deactivate", "turn off"),
    "enable": ("enable", "switch on", "activate", "turn on"),
    "activate": ("activate", "enable", "switch on"),
    "pause": ("pause", "hold", "suspend"),
    "resume": ("resume", "continue", "restart"),
    "scan": ("scan", "inspect", "examine"),
    "inspect": ("inspect", "check", "examine"),
    "review": ("review", "look over", "check"),
    "translate": ("translate", "convert"),
    "convert": ("convert", "turn", "transform"),
    "merge": ("merge", "combine", "join"),
    "split": ("split", "divide", "break up"),
    "export": ("export", "write out", "download"),
    "import": ("import", "load", "read in"),
    "sync": ("sync", "synchronise", "align"),
    "invite": ("invite", "ask in", "call in"),
    "register": ("register", "enrol", "sign up", "record"),
    "record": ("record", "log", "note down", "write down"),
    "log": ("log", "record", "note"),
    "write": ("write", "put down", "note"),
    "tag": ("tag", "label", "mark"),
    "mark": ("mark", "flag", "label"),
    "flag": ("flag", "mark", "highlight"),
    "charge": ("charge", "bill", "invoice"),
    "pay": ("pay", "settle", "pay out"),
    "refund": ("refund", "pay back", "reimburse"),
    "credit": ("credit", "refund"),
    "approve": ("approve", "sign off", "accept"),
    "reject": ("reject", "decline", "refuse", "turn down"),
    "route": ("route", "send", "direct"),
    "forward": ("forward", "pass on", "send on"),
    "dispatch": ("dispatch", "send out", "send"),
    "quarantine": ("quarantine", "isolate", "cut off"),
    "isolate": ("isolate", "cut off", "separate"),
    "provision": ("provision", "set up", "prepare"),
    "retire": ("retire", "decommission", "phase out"),
    "recall": ("recall", "call back", "take back"),
    "audit": ("audit", "check", "review"),
    "measure": ("measure", "gauge", "take the reading of"),
    "count": ("count", "tally"),
    "compare": ("compare", "match"),
    "match": ("match", "compare", "pair"),
    "push": ("push", "send", "roll out"),
    "pull": ("pull", "fetch", "get"),
    "wait": ("wait", "hold on", "pause"),
    "fill": ("fill", "complete", "fill in"),
    "sign": ("sign", "countersign"),
    "waive": ("waive", "drop", "let go"),
    "reassign": ("reassign", "hand over", "move"),
}
#: More verbs that the name or description of a step may begin with; people write these as they are.
VERBS: Final = frozenset(SYNONYMS) | frozenset(
    ("call off", "set up", "hand over", "roll out", "sign off", "write off", "pick up", "check in", "check out",
        "switch off",
     "switch on", "take back", "give back")
) | frozenset(listed(
    "acknowledge alert announce answer apply arrange assess authorise award ban bill blacklist bring buy check "
    "clean clear complain complete configure convene cut declare deduct detect direct download email enrol enter "
    "evacuate examine execute file fit flag gather go grade hand have hedge hold host identify inform intake issue "
    "join keep label let load make message migrate monitor name nominate offer onboard pack pick place probe process "
    "put quote rebook recalculate receive reclaim reconcile refer refresh reimburse relocate remind repair replace "
    "reply report reroute resend restore return roll rotate save screen search seal settle set sell show spread stage "
    "store suggest suspend swap switch take tell test track train trigger try turn vote warn weigh winback withhold"
))  # fmt: skip
IRREGULAR: Final = {
    "send": "sent", "find": "found", "get": "fetched", "put": "put", "set": "set", "run": "run", "read": "read",
    "write": "written", "give": "given", "make": "made", "take": "taken", "tell": "told", "let": "let",
    "hold": "held",
    "pay": "paid", "buy": "bought", "split": "split", "bring": "brought", "begin": "begun", "withdraw": "withdrawn",
    "look": "looked", "build": "built", "keep": "kept", "freeze": "frozen", "ring": "rung",
    "cut": "cut", "shut": "shut", "go": "gone", "sell": "sold", "spread": "spread", "withhold": "withheld",
    "rebook": "rebooked", "do": "done", "have": "had",
}  # fmt: skip

#: Things that invented environments are about: stems of tables and objects of actions.
THINGS: Final = listed(
    "account accident agenda agreement airlift alarm allocation allowance amendment animal antenna apartment "
    "appeal applicant application appointment arrival article assessment asset assignment auction audit badge bag "
    "balance banner barcode barrel basket batch battery beacon bed bench berth bid bill binder blueprint boat "
    "boiler bond booking booth bottle box branch bridge briefing broadcast budget buoy bulletin bus cabin cabinet "
    "cable calibration camera campaign candidate canister carton cartridge case cell certificate chamber channel "
    "chapter charter checkpoint circuit citation claim clinic cluster coach coil collection collector column "
    "commission committee compartment complaint component concert conference connector consent consignment "
    "container contest contract convoy copy costume counter coupon course courier crane crate crew crop cruise "
    "culture curator cylinder dam dataset deadline deal decision declaration deed delegate delivery demand "
    "deposit depot design device diagnosis diagram diary dish display disposal district dock donation donor "
    "dossier draft drawing drill drone easement edition elevator emission enclosure engine enquiry envelope "
    "episode equipment escort estate estimate evacuation event exam exhibit expedition experiment export exposure "
    "fabric facility fault feed fence ferry festival field file film filter finding fine fixture fleet flight "
    "forecast forest formula forum foundation fragment franchise freight fuel fund furnace gallery garment gate "
    "gauge generator glacier grant greenhouse grid guarantee guest guide habitat harbour harvest hatch hazard "
    "heater helmet herd hive holding hospital hotel hull hydrant idea illustration import inspection installation "
    "instrument insurance interview inventory invoice island itinerary jacket journal journey junction kennel "
    "kiln kit laboratory label landing lane lantern lease lecture ledger lens lesson letter levy library licence "
    "lift listing litter loan locker locomotive log lot machine magazine manifest manuscript map mast material "
    "meal measurement meeting melody member menu merger meter mill mine mission mixture model module mould museum "
    "nursery oath observation obstacle offer office orchard orchestra order outing oven paddock painting palette "
    "pallet panel parade parcel parish park participant partner part passage passenger patent patient patrol "
    "pavilion payment penalty performance permit petition phase photo pier pilot pipe pipeline pitch plant plate "
    "platform play player plot podcast policy pond portfolio post poster practice precinct premium prescription "
    "press printer prize probe procedure product profile programme project proof property proposal prototype pump "
    "puzzle quarry query quiz quota race rack raft rail ramp ranger ration reactor reading rebate receipt recipe "
    "recital reel refinery region registration rehearsal relay release remedy rental repair report rescue "
    "reservation reservoir residence resource response restaurant reward ride rig ritual river roof room roster "
    "route royalty rule sailing salary sample satellite scaffold scan scene scenario schedule scholarship school "
    "score screening script sculpture season seat seed segment seminar sensor sequence session settlement shaft "
    "shed sheet shelf shelter shift shipment shop showroom shuttle signal silo site sketch slot socket solution "
    "song species specimen sponsor spool squad stable stage stall statement station statue stock store storm "
    "stove strand strategy stream street strike studio study submission subsidy suite summit supplement survey "
    "suspect switch syllabus symbol tank tariff task team telescope template tenancy tender term terminal "
    "territory theatre theme thesis thread ticket tide timber timetable toll tool torch tournament tower track "
    "tractor trade trail trailer training trap treatment treaty tree trench trial tribe tribute trip trophy truck "
    "tunnel turbine tutorial unit update upgrade vaccine valve van vault vehicle vendor venue verdict vessel "
    "veteran video village vineyard violation visa visit visitor volume voucher voyage wagon wallet ward wardrobe "
    "warehouse warrant waste watch waybill weather well wharf wheel widget window wing wire witness workshop "
    "wreck yard yield zone "
)
QUALITIES: Final = listed(
    "annual backup basic blue border central coastal cold common daily deep digital direct double dry early "
    "eastern emergency empty external extra fast field final first flat foreign fresh full general green heavy "
    "home hourly inner internal joint junior large late legal light live local long main major manual marine "
    "master medical minor mobile monthly national new night northern open outer partial personal pilot primary "
    "priority private public quick raw red regional remote return rural safe seasonal second senior sensitive "
    "short silent simple small solid southern special spare special standard static summer swift technical "
    "temporary test urban urgent vacant vintage warm weekly western white winter yellow "
)
COLUMNS: Final = listed(
    "amount area balance capacity charge colour condition cost count deadline deposit depth distance duration fee "
    "grade height interest length level limit load margin mass number pages points position pressure price "
    "quantity rank rate rating ratio reading region result review risk score season seats section share size "
    "speed stock stop strength surface target temperature term title total turnover usage value version visits "
    "volume wage weight width yield "
)
CHOICES: Final = (
    "state: draft submitted accepted rejected finished|new active paused closed|planned running done cancelled|"
    "open waiting settled void|idle busy broken retired|received checked stored shipped;"
    "priority: low normal high urgent|minor major critical|routine elevated emergency;"
    "class: gold silver bronze|alpha beta gamma delta|basic plus premium|small medium large oversize|a b c d;"
    "kind: indoor outdoor mixed|public private shared|paper digital both|one_way return|new used refurbished|"
    "internal external partner|fixed mobile|fresh frozen dry|standard express overnight;"
    "colour: red green blue|white black grey|amber red green;"
    "season: spring summer autumn winter;"
    "zone: north south east west|inner middle outer|coast hills plain;"
    "outcome: passed failed repeated|won lost drawn|positive negative unclear;"
    "shift: morning afternoon night;"
    "language: english german french spanish|polish czech italian;"
    "method: cash card transfer|post courier pickup|phone mail visit;"
    "level: beginner advanced expert|local regional national|one two three"
)
PEOPLE: Final = listed(
    "manager owner contact supervisor reviewer requester agent lead author keeper buyer driver coach guardian "
)
FIRST_NAMES: Final = listed(
    "Ann Bo Carla Dmitri Elif Farah Goran Hana Ines Jonas Kofi Lena Mara Nils Olga Pavel Qing Rosa Sven Tara Uma "
    "Viktor Wanda Xenia Yusuf Zoe Amir Bella Chen Dora Emil Fatima Grete Hugo Ivan Jana Karim Lucia Milan Nora "
    "Omar Petra Rui Selma Tom Ursula Vera Will Yara Zeno Aiko Bruno Celine Diego Erika Felix Gita Henri "
)
LAST_NAMES: Final = listed(
    "Aalto Bauer Costa Diallo Eriksen Fischer Garcia Horvat Ito Jensen Kowalski Larsen Moreau Novak Okafor Petrov "
    "Quist Rossi Sato Tanaka Ueda Varga Weber Xu Yilmaz Zeman Adler Brandt Chavez Dubois Engel Faber Greco Hahn "
    "Ivers Janssen Keller Lund Meyer Nagy Olsen Park Reyes Silva Toth Unger Vogel Wolff Young "
)
MONTHS: Final = listed("January February March April May June July August September October November December")
TEAM_WORDS: Final = ("Team", "Desk", "Office", "Group", "Crew", "Unit", "Board", "Department", "Services", "Operations")
PLACES: Final = listed(
    "Bergen Lisbon Graz Turin Lyon Ghent Malmo Cork Porto Split Gdansk Leeds Basel Utrecht Tartu Varna Trieste "
    "Nantes Bremen Aarhus Bilbao Krakow Dundee Zadar Plovdiv Rouen Kaunas Brno Linz Parma "
)
ADJECTIVE_NOTES: Final = listed(
    "late missing broken ready complete wrong overdue delayed approved blocked low high damaged unsafe incomplete "
    "available expired full empty leaking unclear confirmed cancelled booked waiting finished "
)
STATES: Final = (*ADJECTIVE_NOTES, *listed("paid open closed lost done due safe sent signed gone back here wrong off"))
ROUGH: Final = listed("late early long hot cold old small big slow high low expensive noisy full")
#: Verbs of one word that a message may use of anything.
PLAIN_VERBS: Final = listed(
    "check confirm close update review approve order collect return sign replace repair cancel open read answer assign "
    "send renew prepare clean move pay print scan inspect finish correct"
)
_DOUBLED: Final = frozenset(
    listed("stop ship flag tag drop log cancel plan scan submit swap ban refer hop pin fit transfer")
)
_SINGULAR: Final = ("ss", "us", "is", "news", "its")
_HEAD: Final = re.compile(
    r" (?:of|for|in|on|from|at|to|with|against|by|over|whose|that|which|without|\(|about|under|left)\b| \(|, "
)
_ONSETS: Final = listed("b br ch d dr f fl g gr h j k kl l m n p pl qu r s sk sl st t tr v w y z ")
_VOWELS: Final = ["a", "e", "i", "o", "u", "ai", "ea", "io", "ou", "ei"]
_CODAS: Final = ["n", "r", "l", "s", "x", "th", "m", "nd", "rt", "ck", "v", "d", "p", "sh"]


def invented_word(rng: random.Random) -> str:
    """A pronounceable word that means nothing: `zorvane`, `klaith`."""
    pick = rng.choice
    syllables = [pick(_ONSETS) + pick(_VOWELS) + (pick(_CODAS) if rng.random() < 0.5 else "") for _ in range(2)]
    return "".join(syllables) + (pick(("", "", "a", "o", "en", "is", "ex")))


def past(verb: str) -> str:
    """The past participle of a (phrasal) verb: `look up` -> `looked up`."""
    first, space, rest = verb.partition(" ")
    if first in IRREGULAR:
        done = IRREGULAR[first]
    elif first.endswith("e"):
        done = f"{first}d"
    elif first.endswith("y") and first[-2:-1] not in "aeou":
        done = f"{first[:-1]}ied"
    elif first in _DOUBLED:
        done = f"{first}{first[-1]}ed" if first != "cancel" else "cancelled"
    else:
        done = f"{first}ed"
    return done + space + rest


def third(verb: str) -> str:
    """The third person of a (phrasal) verb: `notify` -> `notifies`."""
    first, space, rest = verb.partition(" ")
    if first.endswith("y") and first[-2:-1] not in "aeou":
        first = f"{first[:-1]}ies"
    else:
        first += "es" if first.endswith(("s", "sh", "ch", "x", "z", "o")) else "s"
    return first + space + rest


def plural(noun: str) -> str:
    """The plural of a noun (its last word): `duty` -> `duties`."""
    if noun.endswith("y") and noun[-2:-1] not in "aeou":
        return f"{noun[:-1]}ies"
    if noun.endswith("s") and not noun.endswith(_SINGULAR):
        return noun
    return noun + ("es" if noun.endswith(("s", "sh", "ch", "x", "z")) else "s")


def is_plural(noun_phrase: str) -> bool:
    """Whether the head of a noun phrase is a plural: `days of leave`, `all open orders`."""
    if noun_phrase.startswith("all "):
        return True
    head = _HEAD.split(noun_phrase, maxsplit=1)[0].rpartition(" ")[2]
    return head.endswith("s") and not head.endswith(_SINGULAR)


def article(noun: str) -> str:
    """`a` or `an`, by the first letter."""
    return f"an {noun}" if noun[:1].lower() in "aeio" and noun[:3].lower() not in ("one", "eur") else f"a {noun}"

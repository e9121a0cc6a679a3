"""Secrets and people: masked and counted before anything reaches an example.

A value is masked when its name says that it is secret (password, API key, connection string), when its name may say so
(key, token, signature) and it looks like no word, or when it looks like a secret wherever it stands (signed callback
URL, webhook address, bearer token, private key, key of a known service). Expressions and references such as
`@parameters('key')` or `{{ $json.token }}` are no secrets and stay. Each e-mail address becomes
`user<n>@example.com`, the same one in the requirement and in the flow.
"""

from __future__ import annotations

import base64
import binascii
import functools
import re
from typing import Any, Final

MASK: Final = "[redacted]"
_SECRET_NAME: Final = re.compile(
    r"""pass(?:word|wd|phrase)|pwd$|secret
    |(?:api|access|account|shared|private|auth|signing|subscription|master|functions?|host|encryption|license)[-_ ]?key
    |(?:access|refresh|auth|bearer|session|security|bot)[-_ ]?token$|^(?:proxy-)?authorization$|^(?:set-)?cookie$|^sig$
    |connection[-_ ]?string|^credentials?$|^pfx$""",
    re.IGNORECASE | re.VERBOSE,
)
#: Names of keys to doors, of columns, and of greetings alike: the value decides.
_DOUBTFUL_NAME: Final = re.compile(r"^(?:primary|secondary)?key$|token$|signature$|^sas|^code$|^auth$", re.IGNORECASE)
#: Names that contain such a word and hold no secret.
_OPEN_NAME: Final = re.compile(
    r"(?:max|num|total|prompt|completion|next|skip|page|continuation|sync|delta)[-_ ]?\w*tokens?$"
    r"|(?:secret|key)[-_ ]?name|passwordprofile$|password[-_ ]?(?:policies|reset|change|never)|forcechange",
    re.IGNORECASE,
)
_NAMES: Final = (
    r"(?:password|passwd|pwd|passphrase|client_?secret|secret|(?:api|access|account|shared[-_]?access|private)[-_]?key"
    r"|(?:access|refresh|auth)[-_]?token)"
)
_LITERAL: Final = r"(?![@\[{<$%])"
_SHAPES: Final = re.compile(
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)"
    # webhook addresses are keys themselves
    r"|(?<=://)[\w.-]*webhook\.office\.com/[^\s\"'<>\\]+|(?<=hooks\.slack\.com/)(?:services|workflows)/[\w/]{8,}"
    r"|(?<=/api/webhooks/)\d+/[\w-]{8,}|(?<=api\.telegram\.org/bot)\d+:[\w-]{8,}"
    # parameters of signed addresses and of forms
    r"|(?<=[?&])(?P<p>sig|code|key|token|sas|secret|password|pwd|api[-_]?key|access[-_]token|auth|client[-_]secret"
    r"|subscription-key|signature|x-amz-\w+)"
    rf"=(?!\[redacted\]){_LITERAL}[^&\s\"'<>\\]+"
    # connection strings, bodies of forms, JSON in a string
    rf"|\b(?P<q>{_NAMES}(?:\\*[\"'])?\s?[=:]\s?(?:\\*[\"'])?)(?!\[redacted\]){_LITERAL}(?P<v>[^\s\"'&,;<>\\}}]{{4,}})"
    rf"|\b(?P<b>(?:Bearer|Basic)\s+){_LITERAL}[A-Za-z0-9+/=_.~-]{{8,}}"
    r"|(?<=://)[^\s/:@\"'{}\[\]]+:[^\s/@\"'{}\[\]]+(?=@)"
    r"|\beyJ[\w-]{10,}\.[\w-]{6,}(?:\.[\w-]*)?"
    r"|\b(?:sk-(?:ant-|proj-|or-)?[\w-]{20,}|AIza[\w-]{30,}|hf_[A-Za-z0-9]{20,}|gh[pousr]_[A-Za-z0-9]{20,}|github_pat_\w{20,}"
    r"|glpat-[\w-]{16,}|xox[abeprs]-[\w-]{10,}|AKIA[A-Z0-9]{16}|SG\.[\w-]{16,}\.[\w-]{16,}|[rs]k_live_\w{16,}|npm_\w{30,})"
    r"|\b[A-Za-z0-9+/]{86}=="  # account keys are 64 bytes
    # account numbers of AWS, in resource names, addresses and names of buckets
    r"|(?P<a>\barn:[\w-]*:[\w-]*:[\w-]*:)\d{12}(?=:)|(?<=[/:])\d{12}(?=/|\.dkr\.)"
    r"|(?<=-)\d{12}(?=-(?:us|eu|ap|sa|ca|me|af|cn|il|mx)-)",
    re.IGNORECASE,
)
#: Cheap test: a text that, in lower case, has none of these holds nothing that `_SHAPES` finds.
_HINTS: Final = (
    "key", "token", "secret", "pass", "pwd", "sig=", "sas=", "code=", "auth=", "bearer", "basic ", "webhook", "hooks.",
    "telegram", "signature", "x-amz", "eyj", "sk-", "aiza", "hf_", "ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat",
    "glpat", "xox", "akia", "sg.", "_live_", "npm_", "==", "arn:", "amazonaws", "-us-", "-eu-", "-ap-",
)  # fmt: skip
_EMAIL: Final = re.compile(
    r"(?<![\w.+@-])[A-Za-z0-9](?:[\w.+-]{0,62}\w)?@(?!odata\.)(?:[A-Za-z0-9-]+\.)+[A-Za-z]{2,}(?![\w-])"
)
_OPEN_DOMAIN: Final = re.compile(r"@(?:.+\.)?(?:example\.(?:com|org|net)|example|contoso\.com|fabrikam\.com)$")
_EXPRESSION: Final = re.compile(r"^\s*(?:=\s*)?(?:@|\[|\{\{|\$|<|%)")


class Redactor:
    """Masks the texts of one workflow; `count` is the number of masked secrets and addresses."""

    def __init__(self) -> None:
        self.count = 0
        self._people: dict[str, str] = {}

    def text(self, text: str) -> str:
        """A text without secrets, addresses of people, and characters that no file can hold."""
        if not text.isascii():
            text = text.encode("utf-8", "replace").decode("utf-8")
        if _suspect(text):
            text = _SHAPES.sub(self._mask, text)
        return _EMAIL.sub(self._person, text) if "@" in text else text

    def value(self, value: Any, name: str = "") -> Any:
        """A JSON value, everything in it masked; `name` is the name that it goes by."""
        if isinstance(value, str):
            return self._named(value) if name and value and _is_secret(name, value) else self.text(value)
        if isinstance(value, dict):
            label = _pair_name(value)
            return {
                self.text(key): self.value(item, label if label and key in ("value", "Value") else key)
                for key, item in value.items()
            }
        if isinstance(value, list):
            return [self.value(item, name) for item in value]
        if name and isinstance(value, (int, float)) and not isinstance(value, bool) and _is_secret(name, str(value)):
            return self._named(str(value))
        return value

    def _named(self, value: str) -> str:
        if _EXPRESSION.match(value) or value == MASK:
            return self.text(value)
        self.count += 1
        return MASK

    def _mask(self, match: re.Match[str]) -> str:
        if match["v"] is not None and ":" in match["q"] and '"' not in match["q"] and not re.search(r"\d", match["v"]):
            return match[0]  # prose: "Password: will be sent"
        if match["b"] is not None and not _is_credential(match[0]):
            return match[0]  # prose: "a basic introduction"
        if match["p"] is not None and not _is_secret(match["p"], match[0].partition("=")[2]):
            return match[0]  # "?code=AT"
        self.count += 1
        if match["p"] is not None:
            return f"{match['p']}={MASK}"
        return (match["q"] or match["b"] or match["a"] or "") + MASK

    def _person(self, match: re.Match[str]) -> str:
        address = match[0].lower()
        if _OPEN_DOMAIN.search(address):
            return match[0]
        self.count += 1
        return self._people.setdefault(address, f"user{len(self._people) + 1}@example.com")


def _suspect(text: str) -> bool:
    return _suspect_short(text) if len(text) < 80 else _hinted(text)


def _hinted(text: str) -> bool:
    low = text.lower()
    return any(hint in low for hint in _HINTS) or ("://" in low and "@" in low)


_suspect_short = functools.lru_cache(maxsize=16_384)(_hinted)


def _is_secret(name: str, value: str) -> bool:
    if is_secret_name(name):
        return True
    doubtful = _DOUBTFUL_NAME.search(name) and not _OPEN_NAME.search(name)
    return bool(doubtful) and _looks_secret(value)


def _looks_secret(value: str) -> bool:
    """Whether a value is long enough for a key, without blanks, and has a digit or letters that form no words."""
    if len(value) < 8 or re.search(r"\s", value):
        return False
    words = re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", value)
    return bool(re.search(r"\d", value)) or not 3 * len(words) <= len(value) <= 20 * max(1, len(words))


def _is_credential(text: str) -> bool:
    """Whether `Basic x` is a user with a password, `Bearer x` a token, rather than two words of a sentence."""
    scheme, token = text.split()
    if scheme.lower() == "bearer":
        return _looks_secret(token)
    try:
        plain = base64.b64decode(token + "=" * (-len(token) % 4), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return False
    return ":" in plain and plain.isprintable()


@functools.lru_cache(maxsize=4_096)
def is_secret_name(name: str) -> bool:
    """Whether a value of this name is to be masked.

    >>> is_secret_name("x-api-key"), is_secret_name("max_tokens"), is_secret_name("keyword")
    (True, False, False)
    """
    return bool(_SECRET_NAME.search(name)) and not _OPEN_NAME.search(name)


def _pair_name(value: dict[str, Any]) -> str:
    """The name in an object such as {"name": "Authorization", "value": "..."}; "" for other objects."""
    if "value" not in value and "Value" not in value:
        return ""
    name = next((value[k] for k in ("name", "key", "Name", "Key") if k in value), "")
    return name if isinstance(name, str) else ""

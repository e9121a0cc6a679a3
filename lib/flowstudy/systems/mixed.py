"""Which two systems a hybrid is made from: read from its model, `hybrid/<policy>/<first>+<second>`."""

from __future__ import annotations

from typing import Final, Literal, get_args

from flowstudy.systems.records import SystemSpec

PolicyName = Literal["always-first", "always-second", "cascade", "best-of-two", "random", "oracle"]
POLICIES: Final[tuple[PolicyName, ...]] = get_args(PolicyName)
#: The policies that a system may be: the other ones are what they are compared with.
SYSTEMS: Final[tuple[PolicyName, ...]] = ("cascade", "best-of-two")
_PREFIX: Final = "hybrid/"
_SPLIT: Final = "split"


def hybrid_parts(spec: SystemSpec) -> tuple[PolicyName, str, str] | None:
    """Policy, first and second system of a specification whose model is `hybrid/<policy>/<first>+<second>`.

    None for any other system, a split among them. Raises ValueError naming the system whose model is no such thing.
    """
    parts = _parts(spec)
    return None if parts is None or parts[0] == _SPLIT else parts  # type: ignore[return-value]


def split_parts(spec: SystemSpec) -> tuple[str, str] | None:
    """Who writes the outline and who the inputs, of a model `hybrid/split/<outline>+<inputs>`; None for any other."""
    parts = _parts(spec)
    return parts[1:] if parts is not None and parts[0] == _SPLIT else None


def parts_of(spec: SystemSpec) -> tuple[str, ...]:
    """The two systems that a hybrid, routed or split, is made from; none for any other."""
    return (_parts(spec) or ("",))[1:]


def _parts(spec: SystemSpec) -> tuple[str, str, str] | None:
    if not spec.model.startswith(_PREFIX):
        return None
    head, _, both = spec.model.removeprefix(_PREFIX).partition("/")
    first, _, second = both.partition("+")
    policy = next((name for name in (*SYSTEMS, _SPLIT) if name == head), None)
    if policy is None or not first or not second or first == second:
        kinds = "|".join((*SYSTEMS, _SPLIT))
        raise ValueError(
            f"system {spec.name}: expected a model hybrid/<{kinds}>/<first>+<second> with the names of two other "
            f"systems, got {spec.model!r}"
        )
    return policy, first, second

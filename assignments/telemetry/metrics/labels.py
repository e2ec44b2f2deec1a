"""The values that labels may have. Whatever else is found becomes ``other``: the number of series has an end."""

from collections.abc import Mapping
from types import MappingProxyType

from assignments.integration.planners import MANUAL, V3
from assignments.outcome import CoordinatorReason, Kind
from assignments.planning.reasons import HARD_REASONS, INVALID_REASONS, SOFT_REASONS, Reason

OTHER = "other"

# What is tried again ends in review after the last try.
_TRIED_AGAIN = frozenset(
    {
        *SOFT_REASONS,
        CoordinatorReason.INVALID_FLOOR,
        CoordinatorReason.TABLE_TAKEN,
        CoordinatorReason.UNEXPECTED_ERROR,
    }
)
V3_REASONS: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        Kind.CONFIRMED: frozenset({""}),
        Kind.RETRY: _TRIED_AGAIN,
        Kind.MANUAL_REVIEW: frozenset({*_TRIED_AGAIN, *HARD_REASONS, CoordinatorReason.CONFIRMED_BY_HOST}),
        Kind.FAILED: frozenset({*INVALID_REASONS, CoordinatorReason.INVALID_BOOKING}),
    }
)
"""The reasons that V3's outcomes are counted by."""
REASONS: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        Kind.CONFIRMED: frozenset({""}),
        Kind.RETRY: frozenset({Reason.NO_CAPACITY, CoordinatorReason.UNEXPECTED_ERROR}),
        Kind.MANUAL_REVIEW: frozenset({Reason.NO_CAPACITY, CoordinatorReason.UNEXPECTED_ERROR}),
        Kind.FAILED: frozenset(),
    }
)
"""The reasons that any other planner's outcomes are counted by."""

MANUAL_REASONS: Mapping[str, frozenset[str]] = MappingProxyType(
    {Kind.CONFIRMED: frozenset({"by_hand", CoordinatorReason.CONFIRMED_BY_HOST})}
)
"""What staff, or the host before this app was installed, have decided by themselves. Staff's own words are ``other``."""

_planners = {V3: V3_REASONS}


def register_planner(key: str) -> None:
    """Have this planner's outcomes counted under its own key. In an app's ``ready``."""
    _planners.setdefault(key, REASONS)


def planners() -> list[str]:
    """The keys of the planners that measure their decisions."""
    return list(_planners)


def outcomes() -> list[tuple[str, str, str]]:
    """Every planner, outcome and reason that an attempt may be counted as. There is no other such series."""
    by_planner = {**_planners, MANUAL: MANUAL_REASONS, OTHER: dict.fromkeys(V3_REASONS, frozenset[str]())}
    known = [
        (key, kind, reason)
        for key, reasons_by_kind in by_planner.items()
        for kind, reasons in reasons_by_kind.items()
        for reason in sorted({*reasons, OTHER})
    ]
    return [*known, (OTHER, OTHER, OTHER)]

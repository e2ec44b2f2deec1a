"""The values that labels may have. Whatever else is found becomes ``other``: the number of series has an end."""

from collections.abc import Mapping
from types import MappingProxyType

from assignments.outcome import CoordinatorReason, Kind
from assignments.planners import MANUAL, V3
from assignments.planning.reasons import HARD_REASONS, INVALID_REASONS, Reason

OTHER = "other"

_WAITING = (
    Reason.NO_CAPACITY,
    Reason.PINNED_TABLES_TAKEN,
    CoordinatorReason.INVALID_FLOOR,
    CoordinatorReason.UNEXPECTED_ERROR,
)
V3_REASONS: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        Kind.CONFIRMED: frozenset({""}),
        Kind.RETRY: frozenset({*_WAITING, CoordinatorReason.TABLE_TAKEN, CoordinatorReason.BOOKING_BUSY}),
        Kind.MANUAL_REVIEW: frozenset({*_WAITING, *HARD_REASONS, Reason.PINNED_TABLES_TAKEN}),
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

MANUAL_REASONS: Mapping[str, frozenset[str]] = MappingProxyType({Kind.CONFIRMED: frozenset({""})})

_planners = {V3: V3_REASONS}


def register_planner(key: str) -> None:
    """Have this planner's outcomes counted under its own key. In an app's ``ready``."""
    _planners.setdefault(key, REASONS)


def planners() -> list[str]:
    """The keys of the planners that measure their decisions."""
    return list(_planners)


def outcomes() -> list[tuple[str, str, str]]:
    """Every planner, outcome and reason that are counted as such."""
    return [
        (key, kind, reason)
        for key, reasons_by_kind in {**_planners, MANUAL: MANUAL_REASONS}.items()
        for kind, reasons in reasons_by_kind.items()
        for reason in sorted(reasons)
    ]

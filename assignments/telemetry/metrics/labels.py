"""Allowed label values. Any other becomes ``other``, which bounds the number of series."""

from collections.abc import Mapping
from types import MappingProxyType

from assignments.integration.planners import MANUAL, V3
from assignments.outcome import CoordinatorReason, Kind
from assignments.planning.reasons import HARD_REASONS, INVALID_REASONS, SOFT_REASONS, Reason

OTHER = "other"

# Retried bookings end in review after the last attempt.
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
        Kind.MANUAL_REVIEW: frozenset(
            {
                *_TRIED_AGAIN,
                *HARD_REASONS,
                CoordinatorReason.CONFIRMED_BY_HOST,
                CoordinatorReason.STARTED_UNDECIDED,
                CoordinatorReason.REFUSED_BY_HOST,
                CoordinatorReason.POISONOUS,
            }
        ),
        Kind.FAILED: frozenset({*INVALID_REASONS, CoordinatorReason.INVALID_BOOKING}),
    }
)
"""Reasons by which V3's outcomes are counted."""
REASONS: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        Kind.CONFIRMED: frozenset({""}),
        Kind.RETRY: frozenset({Reason.NO_CAPACITY, CoordinatorReason.UNEXPECTED_ERROR}),
        Kind.MANUAL_REVIEW: frozenset({Reason.NO_CAPACITY, CoordinatorReason.UNEXPECTED_ERROR}),
        Kind.FAILED: frozenset(),
    }
)
"""Reasons by which other planners' outcomes are counted."""

MANUAL_REASONS: Mapping[str, frozenset[str]] = MappingProxyType(
    {Kind.CONFIRMED: frozenset({"by_hand", CoordinatorReason.CONFIRMED_BY_HOST})}
)
"""Reasons for decisions by staff, or by the host before installation. Free text from staff becomes ``other``."""

_planners = {V3: V3_REASONS}


def register_planner(key: str) -> None:
    """Count this planner's outcomes under its own key. Call it in an app's ``ready``."""
    _planners.setdefault(key, REASONS)


def planners() -> list[str]:
    """Return the keys of planners that measure their decisions."""
    return list(_planners)


def outcomes() -> list[tuple[str, str, str]]:
    """Return every combination of planner, outcome and reason by which attempts are counted."""
    by_planner = {**_planners, MANUAL: MANUAL_REASONS, OTHER: dict.fromkeys(V3_REASONS, frozenset[str]())}
    known = [
        (key, kind, reason)
        for key, reasons_by_kind in by_planner.items()
        for kind, reasons in reasons_by_kind.items()
        for reason in sorted({*reasons, OTHER})
    ]
    return [*known, (OTHER, OTHER, OTHER)]

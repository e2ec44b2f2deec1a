"""The journal of one booking, in pages, because it may span weeks.

Data only. ``assignments.admin.assignment`` shows it with texts from ``assignments.staff.labels``.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from itertools import groupby
from typing import Any

from django.db.models import QuerySet

from assignments.models import Assignment, Attempt, Event, OutboxMessage, SeatingChange, StateTransition
from assignments.telemetry.event_catalogue import STATE_MACHINE

MOST_STEPS = 200
MOST_ATTEMPTS = 20
MOST_ENTRIES = 100


class Kind(StrEnum):
    """Source of an entry, in the order for entries of the same moment."""

    TRANSITION = "transition"
    SEATING = "seating"
    ATTEMPT = "attempt"
    MESSAGE = "message"
    EVENT = "event"


Row = StateTransition | SeatingChange | Attempt | OutboxMessage | Event


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """A journal entry. ``correlation_id`` links it to other records of the same invocation; "" if unknown.

    It is unknown for seatings and stages, which triggers write.
    """

    at: datetime
    kind: Kind
    correlation_id: str
    row: Row


@dataclass(frozen=True, kw_only=True, slots=True)
class Journal:
    """Entries, oldest first. ``earlier``: pass it as ``before`` for earlier entries; None if there are none."""

    entries: tuple[Entry, ...]
    earlier: datetime | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Path:
    """The latest transitions, oldest first. ``skipped``: number of earlier ones."""

    steps: tuple[StateTransition, ...]
    skipped: int

    @property
    def numbered(self) -> list[tuple[int, StateTransition]]:
        """Return the transitions with their numbers, from 1 for the booking's first."""
        return list(enumerate(self.steps, self.skipped + 1))


def path_of(assignment: Assignment) -> Path:
    """Return the booking's path through the states. At most two queries."""
    rows = StateTransition.objects.filter(assignment=assignment)
    steps = list(rows.order_by("-version")[: MOST_STEPS + 1])
    skipped = rows.count() - MOST_STEPS if len(steps) > MOST_STEPS else 0
    return Path(steps=tuple(reversed(steps[:MOST_STEPS])), skipped=skipped)


def attempts_of(assignment: Assignment) -> tuple[Sequence[Attempt], bool]:
    """Return the latest attempts, latest first, and whether there are more. One query."""
    rows = list(assignment.tries.order_by("-id")[: MOST_ATTEMPTS + 1])
    return rows[:MOST_ATTEMPTS], len(rows) > MOST_ATTEMPTS


def journal_of(booking_ref: str, *, before: datetime | None = None) -> Journal:
    """Return the latest entries of all kinds, before ``before`` if given. Five queries.

    Entries of the same moment stay together, so that none is lost between two pages.
    """
    entries = [entry for kind in Kind for entry in _entries(kind, booking_ref, before)]
    entries.sort(key=lambda entry: (entry.at, list(Kind).index(entry.kind), entry.row.pk))
    moments = [list(group) for _at, group in groupby(entries, key=lambda entry: entry.at)]
    shown: list[Entry] = []
    while moments and len(shown) < MOST_ENTRIES:
        shown = moments.pop() + shown
    return Journal(entries=tuple(shown), earlier=shown[0].at if moments else None)


def _entries(kind: Kind, booking_ref: str, before: datetime | None) -> Iterable[Entry]:
    rows: QuerySet[Any] = {
        Kind.TRANSITION: StateTransition.objects.all(),
        Kind.SEATING: SeatingChange.objects.all(),
        Kind.ATTEMPT: Attempt.objects.defer("decision"),
        Kind.MESSAGE: OutboxMessage.objects.all(),
        Kind.EVENT: Event.objects.exclude(source=STATE_MACHINE),  # They repeat the transitions.
    }[kind].filter(booking_ref=booking_ref)
    moment = "created_at" if kind is Kind.MESSAGE else "at"
    if before is not None:
        rows = rows.filter(**{f"{moment}__lt": before})
    # Twice the shown number, so that the oldest moment is complete.
    for row in rows.order_by(f"-{moment}", "-pk")[: 2 * MOST_ENTRIES]:
        known = row.payload.get("correlation_id") if kind is Kind.MESSAGE else getattr(row, "correlation_id", "")
        yield Entry(at=getattr(row, moment), kind=kind, correlation_id=str(known or ""), row=row)

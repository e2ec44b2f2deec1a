"""The plan of a day that is written in several transactions, one batch each."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from assignments.planning.decision import Decision
from assignments.planning.floor import Floor
from assignments.planning.request import SeatingRequest
from assignments.planning.seating_window import SeatingWindow
from assignments.planning.snapshot import Occupied, occupied_by

LONGEST = timedelta(minutes=1)
"""How long a plan holds. Bookings may come too near to their start, and other workers write too."""
MOST_SECONDS = 1.5
"""After how many seconds of planning those of later batches are left to them, so that the transaction stays short."""

_Row = tuple[str, str, datetime, datetime]
"""A table, who has it, from when and until when."""


@dataclass(slots=True)
class PlanAhead:
    """The decisions on all due bookings of a day, planned together with the first batch.

    It is kept in memory only. After a crash, or once something has changed, the next batch plans the remaining bookings
    again.
    """

    requests: Mapping[str, SeatingRequest] = field(default_factory=dict)
    decisions: Mapping[str, Decision] = field(default_factory=dict)
    milliseconds: Mapping[str, float] = field(default_factory=dict)
    floor_version: str = ""
    planned_at: datetime | None = None
    occupied: frozenset[_Row] = frozenset()
    written: set[str] = field(default_factory=set)
    """Whose decisions have been given out to be written."""

    @property
    def is_planned(self) -> bool:
        return self.planned_at is not None

    def forget(self) -> None:
        """Drop the plan, so that the next batch is planned again with those after it."""
        self.planned_at = None

    def keep(
        self,
        requests: Iterable[SeatingRequest],
        decisions: Mapping[str, Decision],
        milliseconds: Mapping[str, float],
        *,
        occupied: Iterable[Occupied],
        own: Collection[str],
        floor: Floor,
        now: datetime,
    ) -> None:
        """Keep the decisions on these requests. ``own``: refs of the bookings that the batch itself writes."""
        self.requests = {request.booking_ref: request for request in requests}
        self.decisions, self.milliseconds = decisions, milliseconds
        self.floor_version, self.planned_at = floor.version, now
        self.occupied, self.written = frozenset(map(_row, occupied)), set(own)

    def holds_for(
        self,
        requests: Iterable[SeatingRequest],
        occupied: Iterable[Occupied],
        *,
        own: Collection[str],
        floor: Floor,
        now: datetime,
    ) -> bool:
        """Return whether the plan decides all these requests, and nothing around them has changed except as planned.

        Otherwise a booking could be refused because of a party that is not there, or seated where the plan did not know
        of one. If the plan holds, the ``own`` bookings are written next.
        """
        if self.planned_at is None or floor.version != self.floor_version or now - self.planned_at > LONGEST:
            return False
        asked = list(requests)
        if any(self.requests.get(each.booking_ref) != each for each in asked):
            return False
        windows = [window for each in asked if (window := self.decisions[each.booking_ref].window) is not None]
        if _around(windows, map(_row, occupied)) != _around(windows, self._expected()):
            return False
        self.written.update(own)
        return True

    def _expected(self) -> Iterable[_Row]:
        """Return what is taken once the current decisions are written."""
        seated = {ref: decision for ref in self.written if (decision := self.decisions[ref]).best is not None}
        yield from (row for row in self.occupied if row[1] not in seated)
        for ref, decision in seated.items():
            assert decision.best is not None
            assert decision.window is not None
            yield from map(_row, occupied_by(ref, decision.best.table_refs, decision.window))


def _row(occupied: Occupied) -> _Row:
    return occupied.table_ref, occupied.booking_ref or "", occupied.blocked_from, occupied.blocked_until


def _around(windows: Iterable[SeatingWindow], rows: Iterable[_Row]) -> set[_Row]:
    """Return the rows that overlap the time from the start of the first window to the end of the last one."""
    windows = list(windows)
    if not windows:
        return set()
    start = min(window.blocked_from for window in windows)
    until = max(window.blocked_until for window in windows)
    return {row for row in rows if row[2] < until and start < row[3]}

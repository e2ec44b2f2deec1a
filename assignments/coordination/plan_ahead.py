"""A day's plan that is written in several transactions, a batch in each."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from assignments.planning.decision import Decision
from assignments.planning.floor import Floor
from assignments.planning.request import SeatingRequest
from assignments.planning.seating_window import SeatingWindow
from assignments.planning.snapshot import Occupied

LONGEST = timedelta(minutes=1)
"""How long a plan holds. Bookings may come too near to their start, and other workers write too."""


@dataclass(slots=True)
class PlanAhead:
    """The decisions on a day's due bookings, as they were planned together with the first batch.

    It is in memory only. After a crash, or when something has changed, whoever comes next plans those that are left anew.
    """

    requests: Mapping[str, SeatingRequest] = field(default_factory=dict)
    decisions: Mapping[str, Decision] = field(default_factory=dict)
    milliseconds: Mapping[str, float] = field(default_factory=dict)
    floor_version: str = ""
    planned_at: datetime | None = None

    def keep(
        self,
        requests: Iterable[SeatingRequest],
        decisions: Mapping[str, Decision],
        milliseconds: Mapping[str, float],
        *,
        floor: Floor,
        now: datetime,
    ) -> None:
        """Keep what was planned for all these requests."""
        self.requests = {request.booking_ref: request for request in requests}
        self.decisions, self.milliseconds = decisions, milliseconds
        self.floor_version, self.planned_at = floor.version, now

    def holds_for(
        self, requests: Iterable[SeatingRequest], occupied: Iterable[Occupied], *, floor: Floor, now: datetime
    ) -> bool:
        """Return whether it decides all these requests, their tables are free, and who came before them sits as planned.

        Otherwise somebody would be refused for a party that is not there.
        """
        if self.planned_at is None or floor.version != self.floor_version or now - self.planned_at > LONGEST:
            return False
        asked = list(requests)
        if any(self.requests.get(each.booking_ref) != each for each in asked):
            return False
        taken: dict[str, list[Occupied]] = {}
        for each in occupied:
            taken.setdefault(each.table_ref, []).append(each)
        return all(_is_free(self.decisions[each.booking_ref], taken) for each in asked) and self._is_written(
            asked, taken
        )

    def _is_written(self, asked: Sequence[SeatingRequest], taken: Mapping[str, Sequence[Occupied]]) -> bool:
        """Whether the parties of earlier batches that could be in the way have the tables that were planned for them."""
        refs = {each.booking_ref for each in asked}
        mine = [self.decisions[ref].window for ref in refs]
        return all(
            all(any(row.booking_ref == ref for row in taken.get(table, ())) for table in decision.best.table_refs)
            for ref, decision in self.decisions.items()
            if ref not in refs and decision.best is not None
            if any(window is None or decision.window is None or _meet(window, decision.window) for window in mine)
        )


def _meet(one: SeatingWindow, other: SeatingWindow) -> bool:
    return one.blocked_from < other.blocked_until and other.blocked_from < one.blocked_until


def _is_free(decision: Decision, taken: Mapping[str, Sequence[Occupied]]) -> bool:
    best, window = decision.best, decision.window
    if best is None or window is None:
        return True
    return not any(
        each.blocked_from < window.blocked_until and window.blocked_from < each.blocked_until
        for ref in best.table_refs
        for each in taken.get(ref, ())
        if each.booking_ref != decision.booking_ref
    )

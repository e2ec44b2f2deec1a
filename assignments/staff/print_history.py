"""The evening at the last print of its day sheet, and the changes since."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime

from assignments.models import SeatingChange, StaffAction

What = SeatingChange.What
PRINTED = "printed"


@dataclass(frozen=True, kw_only=True, slots=True)
class Sat:
    """The seating of a booking at a moment. ``ends_at``: None if its guests have left. ``party``: None if not recorded."""

    starts_at: datetime
    ends_at: datetime | None
    party: int | None
    table_refs: frozenset[str]

    @property
    def times(self) -> tuple[datetime, datetime | None]:
        """Return its start and end to the minute, as a sheet shows them."""
        return _minute(self.starts_at), _minute(self.ends_at) if self.ends_at else None

    def has_other_times(self, sits: "Sat") -> bool:
        """Return whether the later ``sits`` begins or ends at another time. That guests have left is no change."""
        (start, end), (starts, ends) = self.times, sits.times
        return start != starts or (end != ends and end is not None and ends is not None)

    def has_other_party(self, sits: "Sat") -> bool:
        return None not in {self.party, sits.party} and self.party != sits.party

    def is_changed(self, sits: "Sat") -> bool:
        """Return whether ``sits`` has other tables, another time or another party."""
        return self.table_refs != sits.table_refs or self.has_other_times(sits) or self.has_other_party(sits)


def _minute(moment: datetime) -> datetime:
    return moment.replace(second=0, microsecond=0)


def last_printed(restaurant_ref: str, day: date) -> datetime | None:
    """Return the moment whose evening the last sheet shows; None if none was printed. One query."""
    rows = StaffAction.objects.filter(restaurant_ref=restaurant_ref, service_date=day, what=PRINTED)
    return rows.order_by("-at").values_list("at", flat=True).first()


def changed_since(printed: datetime, seated: Mapping[str, Sat]) -> dict[str, Sat | None]:
    """Return the bookings that differ from the sheet, with their seating there; None if they had none. One query.

    ``seated``: the current seatings, by ref.
    """
    before = seatings_at(printed, list(seated))
    return {ref: before.get(ref) for ref, sits in seated.items() if ref not in before or before[ref].is_changed(sits)}


def seatings_at(moment: datetime, booking_refs: list[str]) -> dict[str, Sat]:
    """Return the seatings of these bookings at a moment, by ref, from their history. One query.

    For guests who had left by then it is the last one, because the sheet shows them, too.
    """
    rows = SeatingChange.objects.filter(booking_ref__in=booking_refs, at__lte=moment).exclude(what=What.STAGE)
    had: dict[str, dict[int | None, SeatingChange]] = defaultdict(dict)
    for row in rows.order_by("id"):
        if row.what == What.FREED:
            had[row.booking_ref].pop(row.seating_id, None)
        else:
            had[row.booking_ref][row.seating_id] = row
    found = {}
    for ref, by_seating in had.items():
        last = [row for row in by_seating.values() if row.what != What.ENDED]
        is_there = bool(last)
        if not last and by_seating:
            left = max(row.at for row in by_seating.values())
            last = [row for row in by_seating.values() if row.at == left]
        starts = [row.starts_at for row in by_seating.values() if row.starts_at]
        if last and starts:
            found[ref] = Sat(
                starts_at=min(starts),
                ends_at=max((row.ends_at for row in last if row.ends_at), default=None) if is_there else None,
                party=last[0].party,
                table_refs=frozenset(row.table_ref for row in last),
            )
    return found

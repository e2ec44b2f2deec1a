"""The evening at the last print of its day sheet, and the changes since."""

from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date, datetime

from assignments.models import SeatingChange, StaffAction

What = SeatingChange.What
PRINTED = "printed"


@dataclass(frozen=True, kw_only=True, slots=True)
class Sat:
    """The seating of a booking at a moment."""

    starts_at: datetime
    party: int
    table_refs: frozenset[str]


def last_printed(restaurant_ref: str, day: date) -> datetime | None:
    """Return the moment whose evening the last sheet shows; None if none was printed. One query."""
    rows = StaffAction.objects.filter(restaurant_ref=restaurant_ref, service_date=day, what=PRINTED)
    return rows.order_by("-at").values_list("at", flat=True).first()


def changed_since(printed: datetime, seated: Mapping[str, Collection[str]]) -> dict[str, Sat | None]:
    """Return which of these bookings have other tables than on the sheet, and what they had: None if nothing. One query.

    ``seated``: the tables that each has now, by ref.
    """
    before = seatings_at(printed, list(seated))
    return {
        ref: before.get(ref)
        for ref, tables in seated.items()
        if ref not in before or before[ref].table_refs != set(tables)
    }


def seatings_at(moment: datetime, booking_refs: list[str]) -> dict[str, Sat]:
    """Return the seatings that these bookings had at a moment, by their history. One query.

    Of who had left by then, it is the last one: the sheet shows them, too.
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
        if not last and by_seating:
            left = max(row.at for row in by_seating.values())
            last = [row for row in by_seating.values() if row.at == left]
        starts = [row.starts_at for row in by_seating.values() if row.starts_at]
        if last and starts:
            found[ref] = Sat(
                starts_at=min(starts), party=last[0].party or 0, table_refs=frozenset(row.table_ref for row in last)
            )
    return found

"""Reading past evenings from the host or a file: a restaurant-day's bookings in the order in which they were made."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta

from assignments.concurrency.transactions import read_only
from assignments.coordination.snapshots import seating_request
from assignments.coordination.table_record import success_of
from assignments.integration.evening_file import UnusableFileError, parse
from assignments.integration.floor_cache import floor_of
from assignments.integration.host import Host, HostBooking, pages
from assignments.lifecycle.intake import CHUNK
from assignments.models import Assignment
from assignments.outcome import CoordinatorReason
from assignments.planning.floor import Floor, InvalidFloorError
from assignments.planning.request import SeatingRequest
from assignments.planning.service_day import service_date
from rollout.backtest.replay import in_booking_order

DAY = timedelta(days=1)


@dataclass(frozen=True, kw_only=True, slots=True)
class Evening:
    """The bookings of one restaurant-day. For ``success`` see Snapshot."""

    floor: Floor
    service_date: date
    requests: Sequence[SeatingRequest]
    success: Mapping[str, float] = field(default_factory=dict)


class PastEvenings:
    """The host's evenings from ``first`` to ``last`` (local dates, inclusive), one after another.

    Read-only, and one day at a time, so memory does not grow with the range. Floors are the current ones.
    ``left_out`` counts, by reason, bookings that cannot be replayed. Raises LookupError or InvalidFloorError for a
    ``restaurant_ref`` that has no valid floor.
    """

    def __init__(self, host: Host, *, first: date, last: date, restaurant_ref: str | None = None) -> None:
        self.left_out: Counter[str] = Counter()
        self._host = host
        self._first, self._last = first, last
        self._restaurant_ref = restaurant_ref
        self._floors: dict[str, Floor | None] = {}
        if restaurant_ref is not None:
            with read_only():
                self._floors[restaurant_ref] = floor_of(restaurant_ref, host=host)

    def __iter__(self) -> Iterator[Evening]:
        open_days: defaultdict[tuple[date, str], list[SeatingRequest]] = defaultdict(list)
        # A local date is the UTC date or a neighbouring one, and a night belongs to the evening before it.
        day = self._first - DAY
        while day <= self._last + 2 * DAY:
            with read_only():
                self._read(day, open_days)
                complete = sorted(key for key in open_days if key[0] < day - DAY)
                ended = [self._evening(*key, open_days.pop(key)) for key in complete]
            yield from ended
            day += DAY

    def _read(self, day: date, open_days: defaultdict[tuple[date, str], list[SeatingRequest]]) -> None:
        """Read the bookings that start on this UTC day, page by page."""
        start = datetime.combine(day, time(), tzinfo=UTC)
        for page in pages(
            lambda after: self._host.history(
                start=start, until=start + DAY, after=after, limit=CHUNK, restaurant_ref=self._restaurant_ref
            )
        ):
            assignments = {
                assignment.booking_ref: assignment
                for assignment in Assignment.objects.filter(booking_ref__in=[booking.ref for booking in page])
            }
            for booking in page:
                floor = self._floor(booking.restaurant_ref)
                day_of_service = service_date(floor, booking.starts_at)
                if not self._first <= day_of_service <= self._last:
                    continue
                if floor is None:
                    self.left_out[CoordinatorReason.INVALID_FLOOR] += 1
                elif booking.problem or booking.starts_at.tzinfo is None:
                    self.left_out[CoordinatorReason.INVALID_BOOKING] += 1
                else:
                    request = _request(booking, assignments.get(booking.ref))
                    open_days[day_of_service, booking.restaurant_ref].append(request)

    def _floor(self, restaurant_ref: str) -> Floor | None:
        if restaurant_ref not in self._floors:
            try:
                self._floors[restaurant_ref] = floor_of(restaurant_ref, host=self._host)
            except (InvalidFloorError, LookupError):
                self._floors[restaurant_ref] = None
        return self._floors[restaurant_ref]

    def _evening(self, service_date: date, restaurant_ref: str, requests: Sequence[SeatingRequest]) -> Evening:
        floor = self._floors[restaurant_ref]
        assert floor is not None, f"{restaurant_ref}: bookings without a floor are left out"
        return Evening(
            floor=floor,
            service_date=service_date,
            requests=in_booking_order(requests),
            success=success_of(restaurant_ref),
        )


def _request(booking: HostBooking, assignment: Assignment | None) -> SeatingRequest:
    """Return the booking's request, with pinned tables; without the host's time of booking, with ours."""
    request = seating_request(booking, assignment or Assignment())
    return replace(request, requested_at=booking.requested_at or (assignment.requested_at if assignment else None))


def evenings_of_file(
    text: str, *, first: date | None = None, last: date | None = None, restaurant_ref: str | None = None
) -> list[Evening]:
    """Return the evenings in a file (JSON). Raises UnusableFileError, which names what is wrong."""
    file = parse(text)
    floor = file.floor()
    if restaurant_ref is not None and restaurant_ref != floor.restaurant_ref:
        raise UnusableFileError(f"It holds the restaurant {floor.restaurant_ref!r}, not {restaurant_ref!r}.")
    days: defaultdict[date, list[SeatingRequest]] = defaultdict(list)
    for request in file.requests():
        days[service_date(floor, request.starts_at)].append(request)
    return [
        Evening(floor=floor, service_date=day, requests=in_booking_order(requests))
        for day, requests in sorted(days.items())
        if (first is None or first <= day) and (last is None or day <= last)
    ]

"""Pacing: how many guests may come within an interval, and be there at once.

It does not depend on tables: parties that are moved keep their times. Each party is judged by the limits of its own service,
and counts everybody who is there, of whatever service.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta
from itertools import chain
from typing import NamedTuple

from assignments.planning.floor import Floor, Pacing
from assignments.planning.reasons import Reason, Refusal
from assignments.planning.request import SeatingRequest
from assignments.planning.seating_window import SeatingWindow, Service, service_of
from assignments.planning.snapshot import Occupied, PlanningRules
from assignments.planning.text import gettext as _

SEARCHED = timedelta(hours=4)
"""How far from the time that was asked for other times are looked for."""


def limits_on(floor: Floor, service_key: str, day: date) -> Pacing | None:
    """Return the pacing of a service on a date, or None. Of several, the one with the shortest period applies.

    Among equally short ones it is the one that names the service, then the one that begins last, then the strictest.
    """
    found = [each for each in floor.pacing if each.service_key in {None, service_key} and each.covers(day)]
    return min(found, key=_precedence, default=None)


def _precedence(pacing: Pacing) -> tuple[object, ...]:
    first, last = pacing.first_date or date.min, pacing.last_date or date.max
    limits = (pacing.most_covers, pacing.most_parties, pacing.most_present)
    strictness = [float("inf") if most is None else most for most in limits]
    return (last - first).days, pacing.service_key is None, -first.toordinal(), strictness, pacing.interval_minutes


class _Stay(NamedTuple):
    start: datetime
    end: datetime
    party: int


class _Limits(NamedTuple):
    """The limits of one party: the service's, and the interval in which it comes."""

    service: tuple[str, date]
    pacing: Pacing
    first: datetime
    last: datetime


class Ceiling(NamedTuple):
    """A limit on several parties that wait. If ``whom`` is seated, those seated of ``counted`` weigh at most ``most``.

    ``counted``: each ref with its weight, ``whom`` among them. Without ``whom`` they weigh at most ``slack`` more, by the
    other ceilings.
    """

    whom: str
    counted: Mapping[str, int]
    most: int
    slack: int


class Pace:
    """The guests who come to a restaurant, as pacing counts them. A booking counts once, however many tables it has."""

    def __init__(self, floor: Floor, occupied: Iterable[Occupied] = ()) -> None:
        self._floor = floor
        self._stays: dict[str, _Stay] = {}
        self._planned: dict[str, _Stay] = {}
        if floor.is_paced:
            for each in occupied:
                if each.booking_ref and each.starts_at is not None:
                    count = self.plan if each.is_wish else self.add
                    count(each.booking_ref, each.party, each.starts_at, each.ends_at or each.blocked_until)

    def add(self, booking_ref: str, party: int, starts_at: datetime, ends_at: datetime) -> None:
        """Count a party. Several seatings of one booking count from the first one's start to the last one's end."""
        known = self._stays.get(booking_ref)
        if known is not None:
            starts_at, ends_at, party = min(known.start, starts_at), max(known.end, ends_at), max(known.party, party)
        self._stays[booking_ref] = _Stay(starts_at, ends_at, party)

    def plan(self, booking_ref: str, party: int, starts_at: datetime, ends_at: datetime) -> None:
        """Count a party that is seated now, or asks to be, beside the tables that it has until then."""
        self._planned[booking_ref] = _Stay(starts_at, ends_at, party)

    def refusal(self, request: SeatingRequest, window: SeatingWindow, rules: PlanningRules) -> Refusal | None:
        """Return why the party may not come then, or None. A party that was promised that time may come."""
        limits = self._limits(request, window, rules)
        if limits is None:
            return None
        _service, pacing, first, last = limits
        others = [
            (ref, stay) for ref, stay in chain(self._stays.items(), self._planned.items()) if ref != request.booking_ref
        ]
        coming = _covers((ref, stay) for ref, stay in others if first <= stay.start < last)
        values = {"party": request.party, "first": self._clock(first), "last": self._clock(last)}
        covers = sum(coming.values())
        if pacing.most_covers is not None and covers + request.party > pacing.most_covers:
            text = _(
                "Party of %(party)s: at most %(most)s covers may come from %(first)s to %(last)s; %(covers)s do already.",
                most=pacing.most_covers,
                covers=covers,
                **values,
            )
            return Refusal(Reason.PACING, text)
        if pacing.most_parties is not None and len(coming) >= pacing.most_parties:
            text = _(
                "Party of %(party)s: at most %(most)s parties may come from %(first)s to %(last)s; %(parties)s do already.",
                most=pacing.most_parties,
                parties=len(coming),
                **values,
            )
            return Refusal(Reason.PACING, text)
        present = max(_present(others, window), default=0)
        if pacing.most_present is not None and present + request.party > pacing.most_present:
            text = _(
                "Party of %(party)s: at most %(most)s covers may be there at once, and %(covers)s are during their stay.",
                party=request.party,
                most=pacing.most_present,
                covers=present,
            )
            return Refusal(Reason.PACING, text)
        return None

    def _limits(self, request: SeatingRequest, window: SeatingWindow, rules: PlanningRules) -> _Limits | None:
        if not self._floor.is_paced or not rules.is_paced or request.party <= request.promised_party:
            return None
        service = service_of(self._floor, window.starts_at)
        pacing = limits_on(self._floor, service.period.key, service.day) if service else None
        if service is None or pacing is None:
            return None
        return _Limits((service.period.key, service.day), pacing, *_interval(service, pacing, window.starts_at))

    def ceilings(
        self, waiting: Sequence[tuple[SeatingRequest, SeatingWindow]], rules: PlanningRules
    ) -> Iterator[Ceiling]:
        """Yield what pacing says of parties that wait, whoever of them is seated; those seated are judged in this order.

        It says what ``refusal`` does for each, once all that are counted so far and the earlier ones who sit have come.
        """
        stays = {
            request.booking_ref: _Stay(window.starts_at, window.ends_at, request.party) for request, window in waiting
        }
        everybody = {**self._stays, **stays}
        moments = sorted({stay.start for stay in everybody.values()})
        coming: dict[tuple[object, datetime], tuple[_Limits, list[str]]] = {}
        present: dict[tuple[object, datetime], tuple[_Limits, list[str]]] = {}
        for request, window in waiting:
            limits = self._limits(request, window, rules)
            if limits is None:
                continue
            coming.setdefault((limits.service, limits.first), (limits, []))[1].append(request.booking_ref)
            if limits.pacing.most_present is not None:
                for moment in moments:
                    if window.starts_at <= moment < window.ends_at:
                        present.setdefault((limits.service, moment), (limits, []))[1].append(request.booking_ref)
        for limits, judged in coming.values():
            counted = {ref: stay for ref, stay in everybody.items() if limits.first <= stay.start < limits.last}
            covers = {ref: stay.party for ref, stay in counted.items()}
            yield from _ceilings(judged, list(stays), covers, limits.pacing.most_covers)
            yield from _ceilings(judged, list(stays), dict.fromkeys(counted, 1), limits.pacing.most_parties)
        for (_service, moment), (limits, judged) in present.items():
            there = {ref: stay.party for ref, stay in everybody.items() if stay.start <= moment < stay.end}
            yield from _ceilings(judged, list(stays), there, limits.pacing.most_present)

    def starts_near(self, start: datetime) -> Iterator[datetime]:
        """Yield starts in the same service at whole intervals from ``start``, nearest first and earlier before later."""
        service = service_of(self._floor, start)
        pacing = limits_on(self._floor, service.period.key, service.day) if service else None
        if service is None or pacing is None:
            return
        step = timedelta(minutes=pacing.interval_minutes)
        for number in range(1, SEARCHED // step + 1):
            for other in (start - number * step, start + number * step):
                if service.opens_at <= other <= service.closes_at:
                    yield other

    def _clock(self, moment: datetime) -> str:
        return f"{moment.astimezone(self._floor.zone):%H:%M}"

    def with_nearest(self, refusal: Refusal, start: datetime, is_possible: Callable[[datetime], bool]) -> Refusal:
        """Return the refusal with the nearest possible times added: one before and one after, if there are any."""
        before = after = None
        for other in self.starts_near(start):
            if other < start and before is None and is_possible(other):
                before = other
            elif other > start and after is None and is_possible(other):
                after = other
            if before and after:
                break
        times = [self._clock(each) for each in (before, after) if each]
        if not times:
            return refusal
        if len(times) == 1:
            nearest = _("The nearest possible time is %(time)s.", time=times[0])
        else:
            nearest = _("The nearest possible times are %(before)s and %(after)s.", before=times[0], after=times[1])
        return Refusal(refusal.reason, refusal.text, because=(Refusal(refusal.reason, nearest),))


def _interval(service: Service, pacing: Pacing, start: datetime) -> tuple[datetime, datetime]:
    """Return the interval of the service's pacing in which ``start`` lies. Those before its start count backwards."""
    step = timedelta(minutes=pacing.interval_minutes)
    first = service.starts_at + (start - service.starts_at) // step * step
    return first, first + step


def _ceilings(
    judged: Sequence[str], waiting: Sequence[str], weights: Mapping[str, int], most: int | None
) -> Iterator[Ceiling]:
    """Yield the ceilings of those ``judged``: of each of them, and of who is counted by ``weights`` and before it.

    The last one's says it for all, unless somebody is counted whom this limit does not bind.
    """
    if most is None:
        return
    most -= sum(weight for ref, weight in weights.items() if ref not in set(waiting))
    before: dict[str, int] = {}
    slack = max(0, -most)
    found = []
    for ref in waiting:
        if ref in weights:
            before[ref] = weights[ref]
            slack += 0 if ref in judged else weights[ref]
            if ref in judged:
                found.append(Ceiling(ref, dict(before), most, slack))
    yield from found if found[-1].slack else found[-1:]


def _present(stays: Sequence[tuple[str, _Stay]], window: SeatingWindow) -> Iterator[int]:
    """Yield the number of covers present at each moment of the window at which it rises."""
    meeting = [each for each in stays if each[1].start < window.ends_at and window.starts_at < each[1].end]
    for moment in {window.starts_at, *(stay.start for _ref, stay in meeting if stay.start > window.starts_at)}:
        yield sum(_covers((ref, stay) for ref, stay in meeting if stay.start <= moment < stay.end).values())


def _covers(stays: Iterable[tuple[str, _Stay]]) -> dict[str, int]:
    """Return the covers of each booking that is among the stays, once however many of them it has."""
    found: dict[str, int] = {}
    for ref, stay in stays:
        found[ref] = max(stay.party, found.get(ref, 0))
    return found

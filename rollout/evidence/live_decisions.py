"""Measuring and auditing V3's live decisions, with the legacy planner's as control.

Long because most of it is SQL: one statement for each thing that gates and guard ask.
"""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import cached_property
from itertools import chain
from types import MappingProxyType
from typing import Any
from uuid import UUID

from django.db.models import F, Window
from django.db.models.functions import RowNumber

from assignments import api
from assignments import conf as assignments_conf
from assignments.concurrency.sql import dicts
from assignments.integration.host import HostBooking
from assignments.integration.planners import V3
from assignments.integration.project_host import configured
from assignments.outcome import CoordinatorReason, Kind
from assignments.planning.features import words
from assignments.planning.floor import Floor
from assignments.planning.reasons import Reason
from assignments.planning.snapshot import PlanningRules
from assignments.planning.text import gettext as _
from rollout.evidence import known_floors
from rollout.models import FloorRecord
from rollout.policy import seating_audit
from rollout.policy.measurements import AUDITED_REASONS, Outcomes, Percentile, Seatings
from rollout.policy.seating_audit import Flaw, Party
from rollout.shadow.serialization import floor_from_json

INSPECTED = 2000
"""Maximum decisions of V3 to audit, latest first."""
RESTAURANTS = 200
"""Maximum restaurants whose decisions are audited in a window. Up to so many, an unsafe seating at any is found at once."""
EVERY_RESTAURANT = None
"""No limit (SQL): there are few seatings without a batch."""
EARLIER_FLOORS = 3
"""Maximum earlier floors to audit a seating by, besides the current one: the floor may have been edited since."""
NOT_THE_LEGACY_PLANNER = [V3, api.MANUAL]
SAME_TABLES = "same_tables"
"""The strategy of an edit after which the guests keep their tables."""
ENOUGH_MEANWHILE = 30
"""Minimum bookings of the legacy planner in the same period; with fewer, its earlier ones are the control."""
EVERY_TABLE = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Taken:
    """A table that is taken, with the time and the booking. Without a booking it is closed; without a table all are."""

    table_ref: str
    booking_ref: str
    blocked_from: datetime
    blocked_until: datetime
    at: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class _Decided:
    """A planner's last decision on a booking.

    ``is_unsure``: tables were released since, so what was free then is unknown.

    ``is_adjusted``: its guests have come, or its stay was changed, so that its times are no longer the planner's.
    ``is_altered``: some seating of that evening was moved or ended since. ``batch``: its stored batch, if any, which
    has the floor by which it was decided.
    """

    booking_ref: str
    restaurant_ref: str
    service_date: date
    outcome: str
    reason: str
    at: datetime
    starts_at: datetime
    party: int
    pinned: Sequence[str]
    needs: Sequence[str] = ()
    wishes: Sequence[str] = ()
    strategy: str
    tables: Sequence[str]
    blocked_from: datetime | None
    blocked_until: datetime | None
    is_unsure: bool
    is_adjusted: bool
    is_altered: bool
    batch: UUID | None
    floor_version: str | None


def decisions(
    since: datetime,
    counted: Mapping[str, int],
    percentiles: tuple[Percentile, Percentile],
    *,
    releases: Sequence[str],
) -> tuple[Outcomes, Seatings]:
    """Return the outcomes of V3's bookings in these releases, and the audit of its seatings and refusals.

    ``counted`` is the row of ``outcomes``; ``percentiles`` are those of V3's decisions.
    """
    bookings, confirmed, review = counted["bookings"], counted["confirmed"], counted["review"]
    p95, p99 = percentiles
    if not bookings:
        return Outcomes(attempts=counted["attempts"], errors=counted["errors"], p95=p95, p99=p99), Seatings()
    decided = [
        _Decided(**row)
        for row in dicts(
            _DECIDED, planner=V3, since=since, limit=INSPECTED, restaurants=RESTAURANTS, releases=list(releases)
        )
    ]
    host_bookings = configured().bookings(sorted({each.booking_ref for each in decided}))
    inspection = _Inspection(_Floors(decided), host_bookings, _taken(decided))
    seatings, hopeless = inspection.of(decided)
    judged = Counter(each.outcome == Kind.MANUAL_REVIEW for each in decided if each.outcome != Kind.CONFIRMED)
    hopeless_review = _scaled(hopeless[Kind.MANUAL_REVIEW], judged[True], review)
    others = bookings - confirmed - review
    hopeless_others = _scaled(hopeless.total() - hopeless[Kind.MANUAL_REVIEW], judged[False], others)
    return (
        Outcomes(
            bookings=bookings,
            confirmed=confirmed,
            review=review - hopeless_review,
            infeasible=hopeless_review + hopeless_others,
            attempts=counted["attempts"],
            errors=counted["errors"],
            p95=p95,
            p99=p99,
        ),
        seatings,
    )


def of_the_legacy_planners_seatings(since: datetime) -> Seatings:
    """Return the audit of the legacy planner's seatings since ``since``. Its own limits do not count as flaws."""
    parameters = {"others": NOT_THE_LEGACY_PLANNER, "since": since, "limit": INSPECTED, "releases": None}
    decided = [_Decided(**row) for row in dicts(_DECIDED_BY_THE_LEGACY_PLANNER, restaurants=RESTAURANTS, **parameters)]
    seated = [each for each in decided if each.outcome == Kind.CONFIRMED]
    if not seated:
        return Seatings()
    host_bookings = configured().bookings([each.booking_ref for each in seated])
    inspection = _Inspection(_Floors(seated), host_bookings, _taken(seated), excused=seating_audit.V3S_SETTINGS)
    seatings, _hopeless = inspection.of(seated)
    return seatings


def of_seatings_without_batch(since: datetime) -> Seatings:
    """Return the audit of V3's seatings since ``since``, of any release and restaurant, that are in no stored batch."""
    parameters = {"planner": V3, "since": since, "limit": INSPECTED, "restaurants": EVERY_RESTAURANT, "releases": None}
    decided = [_Decided(**row) for row in dicts(_WITHOUT_BATCH, **parameters)]
    if not decided:
        return Seatings()
    host_bookings = configured().bookings(sorted({each.booking_ref for each in decided}))
    seatings, _hopeless = _Inspection(_Floors(decided), host_bookings, _taken(decided)).of(decided)
    return seatings


def _scaled(found: int, judged: int, everything: int) -> int:
    """Extrapolate a count from the audited decisions to all."""
    return round(found * everything / judged) if judged else 0


class _Floors:
    """The floors by which decisions are judged: the floor in the decision's stored batch if it has one, else today's."""

    def __init__(self, decided: Sequence[_Decided]) -> None:
        batches = {each.floor_version: each.batch for each in decided if each.floor_version and each.batch}
        self._refs = sorted({each.restaurant_ref for each in decided})
        self._of_batches = known_floors.of_batches(batches)
        others = {each.restaurant_ref for each in decided if each.floor_version not in self._of_batches}
        self._current = known_floors.current(sorted(others)) if others else {}
        self._of_host: dict[str, Floor | None] = {}

    def of(self, decided: _Decided) -> Floor | None:
        of_batch = self._of_batches.get(decided.floor_version) if decided.floor_version else None
        return of_batch or self._current.get(decided.restaurant_ref)

    def others(self, decided: _Decided, floor: Floor) -> Iterator[Floor]:
        """Yield other floors that may justify a decision: the host's current one, then earlier ones.

        The host is asked only for restaurants with a decision that is wrong by its own floor.
        """
        now = self._by_host(decided.restaurant_ref)
        if now is not None and now.version != floor.version:
            yield now
        yield from self._earlier.get(decided.restaurant_ref, ())

    def _by_host(self, restaurant_ref: str) -> Floor | None:
        if restaurant_ref not in self._of_host:
            self._of_host[restaurant_ref] = known_floors.from_host(restaurant_ref)
        return self._of_host[restaurant_ref]

    @cached_property
    def _earlier(self) -> Mapping[str, Sequence[Floor]]:
        """Return earlier floors by restaurant. One query, run only if a decision is also wrong by the host's floor."""
        rank = Window(RowNumber(), partition_by=F("restaurant_ref"), order_by=F("recorded_at").desc())
        records = FloorRecord.objects.filter(restaurant_ref__in=self._refs).exclude(
            version__in=[floor.version for floor in self._current.values()]
        )
        found: dict[str, list[Floor]] = {}
        for record in records.annotate(rank=rank).filter(rank__lte=EARLIER_FLOORS).order_by("rank"):
            found.setdefault(record.restaurant_ref, []).append(floor_from_json(record.content))
        return found


@dataclass(frozen=True)
class _Inspection:
    """Audits V3's decisions with ``rollout.policy.seating_audit``."""

    floors: _Floors
    bookings: Mapping[str, HostBooking]
    taken: Mapping[tuple[str, date], Sequence[Taken]]
    rules: PlanningRules = field(default_factory=lambda: assignments_conf.settings().rules())
    excused: Collection[Flaw] = ()

    def of(self, decided: Sequence[_Decided]) -> tuple[Seatings, Counter[str]]:
        """Return the audited seatings, and the number of correct refusals by outcome.

        Bookings that the host has changed without telling this app, and restaurants without a valid floor, cannot be
        audited.
        """
        reasons, refused_rightly, found = Counter[str](), Counter[str](), Counter[str]()
        for each in decided:
            floor, booking = self.floors.of(each), self.bookings.get(each.booking_ref)
            party = _party(each, booking)
            if each.outcome != Kind.CONFIRMED:
                is_wrong = bool(floor and party and not each.is_unsure and self._could_seat(floor, party, each))
                refused_rightly[each.outcome] += not is_wrong
                if floor and party and not (each.is_unsure or each.is_altered) and each.reason in AUDITED_REASONS:
                    found["refusals"] += 1
                    found["wrong_refusals"] += is_wrong
            elif floor and party and booking and each.tables:  # Without tables it was released since.
                flaws = self._flaws(floor, party, each)
                reasons.update(flaws)
                found["checked"] += 1
                found["unsafe"] += bool(flaws)
                found["untold"] += _is_untold(booking)
                if not flaws and not each.is_unsure and self._has_better_table(floor, party, each):
                    found["avoidable_joins" if len(each.tables) > 1 else "oversized"] += 1
        return Seatings(reasons=dict(reasons), **found), refused_rightly

    def _could_seat(self, floor: Floor, party: Party, decided: _Decided) -> bool:
        window = seating_audit.window(floor, party)
        if window is None or decided.reason == Reason.PACING:  # Pacing is judged by the verdicts of shadow mode.
            return False
        return seating_audit.could_seat(floor, party, decided.at, self._taken_then(floor, decided, *window), self.rules)

    def _has_better_table(self, floor: Floor, party: Party, decided: _Decided) -> bool:
        assert decided.blocked_from is not None
        assert decided.blocked_until is not None
        taken = self._taken_then(floor, decided, decided.blocked_from, decided.blocked_until)
        return seating_audit.has_better_table(floor, party, decided.tables, taken, self.rules)

    def _taken_then(self, floor: Floor, decided: _Decided, start: datetime, until: datetime) -> set[str]:
        """Return the tables that, at the time of the decision, others had or were closed in ``[start, until)``."""
        refs = {
            taken.table_ref
            for taken in self.taken.get((decided.restaurant_ref, decided.service_date), ())
            if taken.booking_ref != decided.booking_ref
            and taken.at <= decided.at
            and taken.blocked_from < until
            and start < taken.blocked_until
        }
        return {table.ref for table in floor.tables} if EVERY_TABLE in refs else refs

    def _flaws(self, floor: Floor, party: Party, decided: _Decided) -> list[Flaw]:
        assert decided.blocked_from is not None
        assert decided.blocked_until is not None
        found: list[Flaw] = []
        for each in chain([floor], self.floors.others(decided, floor)):
            found = seating_audit.place_flaws(each, party, decided.tables, self.rules)
            if decided.strategy == SAME_TABLES:
                found = [flaw for flaw in found if flaw not in seating_audit.PREFERENCES]
            found = [flaw for flaw in found if flaw not in self.excused]
            if not decided.is_adjusted:
                found += seating_audit.time_flaws(each, party, decided.blocked_from, decided.blocked_until, decided.at)
            if not found:
                return []
        return found


def _party(decided: _Decided, booking: HostBooking | None) -> Party | None:
    """Return the party of the decision; None if the host no longer has it."""
    if booking is None or (booking.starts_at, booking.party) != (decided.starts_at, decided.party):
        return None
    return Party(
        covers=booking.party,
        starts_at=booking.starts_at,
        ends_at=booking.ends_at,
        zone_ref=booking.zone_ref,
        pinned=tuple(decided.pinned),
        needs=words(booking.needs) | frozenset(decided.needs),
        wishes=words(booking.wishes) | frozenset(decided.wishes),
    )


def _is_untold(booking: HostBooking) -> bool:
    return configured().tracks_confirmation and booking.wants_table and not booking.is_confirmed


def _taken(decided: Sequence[_Decided]) -> Mapping[tuple[str, date], Sequence[Taken]]:
    """Return the seatings on and around the evenings of these decisions, by restaurant and date."""
    evenings = sorted({(each.restaurant_ref, each.service_date) for each in decided})
    taken: dict[tuple[str, date], list[Taken]] = {}
    for row in dicts(_TAKEN, refs=[ref for ref, _day in evenings], days=[day for _ref, day in evenings]):
        taken.setdefault((row.pop("ref"), row.pop("day")), []).append(Taken(**row))
    return taken


# A guest who cancels first is not a failure. Bookings that the host confirmed itself were not decided by a planner.
def _last(since: str, by: str = "planner = %(planner)s") -> str:
    return f"""
WITH tried AS MATERIALIZED (
     SELECT id, booking_ref, outcome, reason, strategy, decision_ms, at, assignment_id, batch
       FROM assignments_attempt
      WHERE {by} AND at >= {since}
        AND (%(releases)s::text[] IS NULL OR release = ANY(%(releases)s::text[]))),
     last AS MATERIALIZED (
     SELECT latest.*, assignment.restaurant_ref, assignment.service_date, assignment.starts_at, assignment.party,
            assignment.pinned_table_refs AS pinned, assignment.stage, assignment.told_needs AS needs,
            assignment.told_wishes AS wishes
       FROM (SELECT DISTINCT ON (booking_ref) * FROM tried ORDER BY booking_ref, id DESC) AS latest
       JOIN assignments_assignment AS assignment ON assignment.id = latest.assignment_id
      WHERE (latest.outcome = 'confirmed' OR assignment.state <> 'cancelled')
        AND latest.reason NOT IN ('{CoordinatorReason.CONFIRMED_BY_HOST}', '{CoordinatorReason.STARTED_UNDECIDED}'))
"""  # noqa: S608  (text of our own)


def _failed(since: str) -> str:
    """Return SQL for failures without an attempt, one for each invocation, or for each booking with nothing stored."""
    return f"""(SELECT coalesce(sum(greatest(unstored, 1)), 0)::int FROM assignments_failedinvocation
                 WHERE planner = %(planner)s AND at >= {since} AND release = ANY(%(releases)s))"""  # noqa: S608


def outcomes(since: str) -> str:
    """Return SQL for V3's decisions since ``since``; it takes PARAMETERS and the ``releases`` that count."""
    return f"""{_last(since)}
SELECT count(*) AS bookings, count(*) FILTER (WHERE outcome = 'confirmed') AS confirmed,
       count(*) FILTER (WHERE outcome = 'manual_review') AS review,
       (SELECT count(*) FROM tried) + {_failed(since)} AS attempts,
       (SELECT count(*) FROM tried WHERE reason = %(unexpected)s) + {_failed(since)} AS errors,
       (SELECT count(*) FROM tried WHERE decision_ms > 0) AS timed
  FROM last
"""  # noqa: S608


def attempts(since: str) -> str:
    """Return SQL for the number of V3's attempts since ``since``; it takes PARAMETERS and the ``releases`` that count."""
    return f"""
SELECT count(*) + {_failed(since)} AS attempts,
       count(*) FILTER (WHERE reason = %(unexpected)s) + {_failed(since)} AS errors,
       count(*) FILTER (WHERE decision_ms > 0) AS timed
  FROM assignments_attempt
 WHERE planner = %(planner)s AND at >= {since} AND release = ANY(%(releases)s)
"""  # noqa: S608  (text of our own)


# Drawn by a hash with the window's start: the same restaurants throughout a window, others in the next one.
_DRAWN = """SELECT restaurant_ref FROM last GROUP BY restaurant_ref
             ORDER BY md5(restaurant_ref || %(since)s::timestamptz::text), restaurant_ref"""

_NEW = """NOT EXISTS (SELECT FROM assignments_attempt AS earlier
                            WHERE earlier.booking_ref = {booking_ref} AND earlier.at < {since})"""
"""Retries of bookings refused earlier say nothing about new bookings."""


def _decided(by: str, *, among: str = "true", only: str = "true") -> str:
    """Return SQL for the last decisions of the planner that ``by`` selects, with their recorded tables.

    ``among``: a condition for the attempts that count. ``only``: a condition for the last ones to return.
    """
    return f"""{_last("%(since)s", f"{by} AND {among}")},
     drawn AS ({_DRAWN} LIMIT %(restaurants)s),
     gone AS (
     SELECT assignment.restaurant_ref, assignment.service_date, max(left_since.at) AS at
       FROM assignments_statetransition AS left_since
       JOIN assignments_assignment AS assignment ON assignment.id = left_since.assignment_id
      WHERE left_since.source = 'confirmed' AND left_since.at >= %(since)s
      GROUP BY assignment.restaurant_ref, assignment.service_date),
     altered AS MATERIALIZED (
     SELECT restaurant_ref, starts_at::date AS day, max(at) AS at
       FROM assignments_seatingchange
      WHERE at >= %(since)s AND what IN ('changed', 'ended', 'freed')
      GROUP BY restaurant_ref, starts_at::date)
SELECT last.booking_ref, last.restaurant_ref, last.service_date, last.outcome, last.reason, last.at, last.starts_at,
       last.party, last.pinned, last.needs, last.wishes, last.strategy, ledger.tables,
       ledger.blocked_from, ledger.blocked_until,
       coalesce(gone.at >= last.at, false) AS is_unsure,
       last.stage <> 'expected' OR EXISTS (
           SELECT FROM assignments_outboxmessage AS told
            WHERE told.booking_ref = last.booking_ref AND told.created_at > last.at
              AND told.topic IN ('booking.extended', 'booking.shortened', 'booking.moved', 'booking.overlapping'))
       AS is_adjusted,
       EXISTS (SELECT FROM altered
                WHERE altered.restaurant_ref = last.restaurant_ref AND altered.at >= last.at
                  AND altered.day BETWEEN last.service_date - 1 AND last.service_date + 2) AS is_altered,
       last.batch, (SELECT floor_version FROM rollout_frozenbatch WHERE key = last.batch) AS floor_version
  FROM (SELECT * FROM last WHERE restaurant_ref IN (SELECT restaurant_ref FROM drawn) AND {only}
         ORDER BY id DESC LIMIT %(limit)s) AS last
  LEFT JOIN gone ON gone.restaurant_ref = last.restaurant_ref AND gone.service_date = last.service_date
 CROSS JOIN LATERAL (
       SELECT coalesce(array_agg(table_ref ORDER BY table_ref), '{{}}') AS tables,
              max(lower(blocked)) AS blocked_from, min(upper(blocked)) AS blocked_until
         FROM assignments_allocation
        WHERE booking_ref = last.booking_ref AND kind = 'seating' AND ended_at IS NULL AND {by}) AS ledger
 ORDER BY last.id DESC
"""  # noqa: S608  (text of our own)


_DECIDED = _decided("planner = %(planner)s")
HAS_NO_BATCH = """outcome = 'confirmed'
        AND NOT EXISTS (SELECT FROM rollout_frozenbatch AS stored WHERE stored.key = assignments_attempt.batch)
        AND NOT EXISTS (SELECT FROM rollout_audit AS audit WHERE audit.attempt = assignments_attempt.id)"""
"""SQL for seatings that have no stored batch, such as edits after which the guests keep their tables.

Or whose batch was not stored, whatever the attempt says.
"""
_WITHOUT_BATCH = _decided(
    "planner = %(planner)s",
    among=f"""{HAS_NO_BATCH} AND NOT EXISTS (
        SELECT FROM assignments_attempt AS later
         WHERE later.booking_ref = assignments_attempt.booking_ref AND later.id > assignments_attempt.id)""",
)
_DECIDED_BY_THE_LEGACY_PLANNER = _decided("planner <> ALL(%(others)s)")
_REFUSED_BY_THE_LEGACY_PLANNER = _decided(
    "planner <> ALL(%(others)s)",
    among=f"at < %(until)s AND {_NEW.format(booking_ref='assignments_attempt.booking_ref', since='%(since)s')}",
    only="outcome <> 'confirmed'",
)

_TAKEN = """
SELECT evening.ref, evening.day, taken.table_ref, taken.booking_ref, lower(taken.blocked) AS blocked_from,
       upper(taken.blocked) AS blocked_until, taken.created_at AS at
  FROM unnest(%(refs)s::text[], %(days)s::date[]) AS evening(ref, day)
  JOIN assignments_allocation AS taken
    ON taken.restaurant_ref = evening.ref AND taken.starts_at >= evening.day - 1 AND taken.starts_at < evening.day + 3
 UNION ALL
SELECT evening.ref, evening.day, closed.table_ref, '', closure.starts_at,
       coalesce(closure.ends_at, evening.day + 3), closure.created_at
  FROM unnest(%(refs)s::text[], %(days)s::date[]) AS evening(ref, day)
  JOIN assignments_closure AS closure
    ON closure.restaurant_ref = evening.ref AND closure.starts_at < evening.day + 3
   AND (closure.ends_at IS NULL OR closure.ends_at > evening.day - 1)
 CROSS JOIN unnest(CASE closure.table_refs WHEN '{}' THEN '{""}' ELSE closure.table_refs END) AS closed(table_ref)
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Reference:
    """The control: what the legacy planner seated, of how many bookings, and where. ``infeasible``: its right refusals."""

    seated: int
    bookings: int
    infeasible: int
    where: str


def reference(
    meanwhile: Mapping[str, int],
    before: Mapping[str, int],
    *,
    since: datetime,
    live_since: datetime,
    now: datetime,
    judges: bool,
) -> Reference:
    """Return what the legacy planner seated at other restaurants in the same time, or else before that.

    Both are rows of ``of_the_legacy_planner``: from ``live_since`` to ``now``, and from ``since`` to ``live_since``.
    ``judges``: whether its refusals are judged, which costs queries; otherwise all of its bookings count as feasible.
    """
    where: str
    if meanwhile["bookings"] >= ENOUGH_MEANWHILE:
        counted, where = meanwhile, _("the legacy planner at other restaurants in the same period")
        since, until = live_since, now
    else:
        counted, until = before, live_since
        where = _("the legacy planner before this stage") if before["bookings"] else ""
    return Reference(
        seated=counted["seated"],
        bookings=counted["bookings"],
        infeasible=_refused_rightly_by_the_legacy_planner(counted["bookings"] - counted["seated"], since, until)
        if judges
        else 0,
        where=where,
    )


def _refused_rightly_by_the_legacy_planner(refused: int, since: datetime, until: datetime) -> int:
    """Count the legacy planner's refusals that are right by the rules by which V3's are judged."""
    if not refused:
        return 0
    parameters = {"others": NOT_THE_LEGACY_PLANNER, "since": since, "until": until, "releases": None}
    decided = [
        _Decided(**row)
        for row in dicts(_REFUSED_BY_THE_LEGACY_PLANNER, limit=INSPECTED, restaurants=RESTAURANTS, **parameters)
    ]
    if not decided:
        return 0
    host_bookings = configured().bookings(sorted({each.booking_ref for each in decided}))
    _seatings, hopeless = _Inspection(_Floors(decided), host_bookings, _taken(decided)).of(decided)
    return _scaled(hopeless.total(), len(decided), refused)


def of_the_legacy_planner(since: str, until: str) -> str:
    """Return SQL for what the legacy planner seated in that period; it takes PARAMETERS.

    Retries of bookings refused earlier do not count: they say nothing about new bookings.
    """
    return f"""
SELECT count(*) FILTER (WHERE outcome = 'confirmed') AS seated, count(*) AS bookings
  FROM (SELECT DISTINCT ON (booking_ref) outcome
          FROM assignments_attempt AS tried
         WHERE planner <> ALL(%(others)s) AND at >= {since} AND at < {until}
           AND reason NOT IN ('{CoordinatorReason.CONFIRMED_BY_HOST}', '{CoordinatorReason.STARTED_UNDECIDED}')
           AND {_NEW.format(booking_ref="tried.booking_ref", since=since)}
         ORDER BY booking_ref, id DESC) AS last
"""  # noqa: S608  (text of our own)


PARAMETERS: Mapping[str, Any] = MappingProxyType(
    {"planner": V3, "others": NOT_THE_LEGACY_PLANNER, "unexpected": CoordinatorReason.UNEXPECTED_ERROR}
)
"""Parameters of ``outcomes`` and ``of_the_legacy_planner``."""

"""Reads one comparison in full: both decisions on the floor of that time, as far as stored data is readable."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import TypeVar

from django.db.models import Q

from assignments.models import Assignment
from assignments.planning.decision import Decision, TablePlan
from assignments.planning.floor import Floor, Table
from assignments.planning.reasons import Refusal
from assignments.planning.seating_window import SeatingWindow, seating_window
from assignments.planning.snapshot import Occupied, Snapshot
from assignments.staff import timeline
from assignments.staff.timeline import A_MINUTE, Span, Taken, Timeline
from rollout.models import Comparison, Waiver
from rollout.policy import seating_audit
from rollout.policy.seating_audit import Flaw
from rollout.policy.verdict import yardstick
from rollout.shadow.serialization import UNREADABLE, decision_from_json, floor_from_json, snapshot_from_json

TAKEN, CONTROL, CANDIDATE, BOTH = "taken", "control", "candidate", "both"
"""Status of a table: taken by others, or chosen by the control, the candidate, or both."""
WAIVERS = 10
AROUND = timedelta(hours=2)
"""Time shown before the seating and after it."""

_T = TypeVar("_T")


@dataclass(frozen=True, kw_only=True, slots=True)
class Seat:
    """A table of the floor. ``taken``: who has it during the seating; ``beside``: the tables next to it."""

    table: Table
    taken: tuple[Occupied, ...]
    by_control: bool
    by_candidate: bool
    beside: tuple[Table, ...]

    @property
    def is_chosen(self) -> bool:
        """Return whether a planner chose it."""
        return self.by_control or self.by_candidate


@dataclass(frozen=True, kw_only=True, slots=True)
class Compared:
    """Contents of a comparison. Unreadable parts are None or empty, and listed in ``unreadable`` with the error's type.

    ``needed``: when the party would sit by the floor's rules, or why it could not. ``measures``: spare seats and tables, by
    CONTROL and CANDIDATE. ``zones``: the floor's tables by zone ref. ``window``: in ``picture``, when the party would sit.
    """

    comparison: Comparison
    floor: Floor | None
    snapshot: Snapshot | None
    control: Decision | None
    candidate: Decision | None
    unreadable: Sequence[tuple[str, str]]
    needed: SeatingWindow | Refusal | None
    measures: dict[str, tuple[int, int]]
    flaws: Sequence[Flaw]
    zones: Sequence[tuple[str | None, Sequence[Seat]]]
    picture: Timeline | None
    window: Span | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Around:
    """Related data: waivers of this difference, valid or not; neighbours with the same verdict; the booking."""

    waivers: Sequence[Waiver]
    older: int | None
    newer: int | None
    assignment: int | None


def read(comparison: Comparison) -> Compared:
    """Read a comparison. No query if its floor was selected with it. Never raises for stored data."""
    unreadable: list[tuple[str, str]] = []

    def attempt(what: str, make: Callable[[], _T]) -> _T | None:
        try:
            return make()
        except UNREADABLE as error:
            unreadable.append((what, type(error).__name__))
            return None

    floor = attempt("floor", lambda: floor_from_json(comparison.floor.content))
    snapshot = attempt("snapshot", lambda: _sound(snapshot_from_json(comparison.snapshot, floor))) if floor else None
    control = attempt("control", lambda: decision_from_json(comparison.control))
    stored = comparison.candidate
    candidate = attempt("candidate", lambda: decision_from_json(stored)) if stored is not None else None
    needed, measures, found, zones, picture = None, {}, [], [], None
    if snapshot is not None:
        needed = attempt("window", lambda: _needed(snapshot))
        for key, decision in ((CONTROL, control), (CANDIDATE, candidate)):
            best = decision.best if decision else None
            measured = attempt("yardstick", partial(yardstick, snapshot, best)) if best else None
            if measured:
                measures[key] = measured
        found = (attempt("safety", lambda: seating_audit.flaws_of(snapshot, candidate)) if candidate else None) or []
        zones = attempt("tables", lambda: _zones(snapshot, control, candidate, needed)) or []
        picture = attempt("picture", lambda: _picture(snapshot, control, candidate, needed))
    return Compared(
        comparison=comparison,
        floor=floor,
        snapshot=snapshot,
        control=control,
        candidate=candidate,
        unreadable=unreadable,
        needed=needed,
        measures=measures,
        flaws=found,
        zones=zones,
        picture=picture,
        window=_window(picture, snapshot, needed) if picture and snapshot else None,
    )


def around(comparison: Comparison, within: Collection[str] | None = None) -> Around:
    """Return what is shown with a comparison. ``within``: the restaurants of its neighbours; None for all. Four queries."""
    same = Comparison.objects.filter(verdict=comparison.verdict)
    if within is not None:
        same = same.filter(restaurant_ref__in=sorted(within))
    at, pk = comparison.recorded_at, comparison.pk
    older = same.filter(recorded_at__lte=at).filter(Q(recorded_at__lt=at) | Q(pk__lt=pk))
    newer = same.filter(recorded_at__gte=at).filter(Q(recorded_at__gt=at) | Q(pk__gt=pk))
    return Around(
        waivers=list(
            Waiver.objects.filter(
                verdict=comparison.verdict,
                restaurant_ref__in=["", comparison.restaurant_ref],
                refusal__in=["", refusal_of(comparison)],
            ).order_by("-expires_at")[:WAIVERS]
        ),
        older=older.order_by("-recorded_at", "-pk").values_list("pk", flat=True).first(),
        newer=newer.order_by("recorded_at", "pk").values_list("pk", flat=True).first(),
        assignment=Assignment.objects.of(comparison.booking_ref).values_list("pk", flat=True).first(),
    )


def refusal_of(comparison: Comparison) -> str:
    """The reason code of the refusing planner, the candidate's first, which waivers match; empty for none."""
    for decision in (comparison.candidate, comparison.control):
        refusal = decision.get("refusal") if isinstance(decision, dict) else None
        if isinstance(refusal, list) and refusal and isinstance(refusal[0], str):
            return refusal[0]
    return ""


def _sound(snapshot: Snapshot) -> Snapshot:
    """Raise ValueError for a time without time zone, which cannot be drawn."""
    moments = [snapshot.now, snapshot.request.starts_at]
    moments += [moment for taken in snapshot.occupied for moment in (taken.blocked_from, taken.blocked_until)]
    if any(moment.tzinfo is None for moment in moments):
        raise ValueError("A moment of the snapshot has no time zone.")
    return snapshot


def _needed(snapshot: Snapshot) -> SeatingWindow | Refusal:
    request = snapshot.request
    return seating_window(snapshot.floor, starts_at=request.starts_at, party=request.party, ends_at=request.ends_at)


def _zones(
    snapshot: Snapshot, control: Decision | None, candidate: Decision | None, needed: SeatingWindow | Refusal | None
) -> list[tuple[str | None, list[Seat]]]:
    floor, start = snapshot.floor, snapshot.request.starts_at
    first, last = (needed.blocked_from, needed.blocked_until) if isinstance(needed, SeatingWindow) else (start, start)
    ours, theirs = _refs(control), _refs(candidate)
    return [
        (
            zone_ref,
            [
                Seat(
                    table=table,
                    taken=tuple(
                        taken
                        for taken in snapshot.occupied
                        if taken.table_ref == table.ref and taken.blocked_from < max(last, first + A_MINUTE)
                        if first < taken.blocked_until
                    ),
                    by_control=table.ref in ours,
                    by_candidate=table.ref in theirs,
                    beside=tuple(
                        other for other in floor.tables if frozenset({table.ref, other.ref}) in floor.adjacent
                    ),
                )
                for table in tables
            ],
        )
        for zone_ref, tables in timeline.by_zone(floor)
    ]


def _picture(
    snapshot: Snapshot, control: Decision | None, candidate: Decision | None, needed: SeatingWindow | Refusal | None
) -> Timeline:
    booking_ref = snapshot.request.booking_ref
    taken = [
        Taken(
            table_ref=each.table_ref,
            kind=TAKEN,
            starts_at=each.blocked_from,
            ends_at=each.blocked_until,
            blocked_from=each.blocked_from,
            blocked_until=each.blocked_until,
            booking_ref=each.booking_ref or "",
        )
        for each in snapshot.occupied
    ]
    chosen = [(CONTROL, control), (CANDIDATE, candidate)]
    if _refs(control) == _refs(candidate):
        chosen = [(BOTH, control)]
    for kind, decision in chosen:
        window = decision.window if decision else None
        window = window or (needed if isinstance(needed, SeatingWindow) else None)
        if window is None:
            continue
        taken += [
            Taken(
                table_ref=ref,
                kind=kind,
                starts_at=window.starts_at,
                ends_at=window.ends_at,
                blocked_from=window.blocked_from,
                blocked_until=window.blocked_until,
                booking_ref=booking_ref,
            )
            for ref in snapshot.floor.in_order(_refs(decision))
        ]
    start = snapshot.request.starts_at
    until = needed.ends_at if isinstance(needed, SeatingWindow) else start
    return timeline.lay_out(
        snapshot.floor,
        taken,
        day=timeline.day_at(snapshot.floor, start),
        with_gaps=False,
        within=(start - AROUND, until + AROUND),
    )


def _window(picture: Timeline, snapshot: Snapshot, needed: SeatingWindow | Refusal | None) -> Span:
    """Time of the seating; one minute if its length is unknown."""
    start = (snapshot.request.starts_at - picture.starts_at) / A_MINUTE
    if isinstance(needed, SeatingWindow):
        return Span(start=start, until=(needed.ends_at - picture.starts_at) / A_MINUTE)
    return Span(start=start, until=start + 1)


def _refs(decision: Decision | None) -> frozenset[str]:
    best: TablePlan | None = decision.best if decision else None
    return frozenset(best.table_refs) if best else frozenset()

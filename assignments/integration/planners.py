"""The interface between planners: which one may decide a booking, and how it is called.

This app has one planner, V3 (the coordinator). Before it calls a planner, it asks the router of
``ASSIGNMENTS["ROUTER"]`` which one decides; the planner asks again when it claims a booking. A project with only V3
needs no router, and an app with a router registers it.
"""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Protocol, runtime_checkable

from django.db.models import Exists

from assignments import conf
from assignments.models import Assignment
from assignments.outcome import Outcome
from assignments.planning.decision import Decision
from assignments.planning.floor import Floor
from assignments.planning.request import SeatingRequest
from assignments.planning.seating_window import SeatingWindow
from assignments.planning.snapshot import Movable, Occupied, PlanningRules, Snapshot

V3 = "v3"
MANUAL = "manual"
"""The planner of tables that staff assigned by hand, or that the host gave by itself."""
NOBODY = ""
"""The router's answer when no planner may decide: the booking waits, and the outcome is noop(pipeline_disabled)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Route:
    """The router's answer for one booking: the key of its planner, V3's, another's, or NOBODY.

    ``is_recorded``: whether the decision is kept, so that V3 can be compared with it. ``may_rearrange``: whether V3 may move
    confirmed parties for it.
    """

    planner: str
    is_recorded: bool = False
    may_rearrange: bool = True


@dataclass(frozen=True, kw_only=True, slots=True)
class Preview:
    """A restaurant-day as a planner would see it, for a plan that writes nothing. The fields are those of ``Snapshot``."""

    floor: Floor
    occupied: tuple[Occupied, ...]
    requests: tuple[SeatingRequest, ...]
    now: datetime
    rules: PlanningRules
    success: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Judged:
    """A decision, its input, and its duration in milliseconds. ``is_recorded``: as its route said."""

    snapshot: Snapshot
    decision: Decision
    decision_ms: float
    is_recorded: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Batch:
    """V3's input and decisions for bookings that were planned together. The fields are those of ``Snapshot``.

    ``decisions``: by booking ref, including bookings that are settled later. ``movable``: the confirmed parties that
    could have been moved for them. ``placed``: the stored windows of the bookings that were seated or moved.
    ``attempts``: the number of attempts that refer to it by ``key``. ``refusals``: how many of them gave no table.
    """

    key: uuid.UUID
    service_date: date
    floor: Floor
    occupied: tuple[Occupied, ...]
    requests: tuple[SeatingRequest, ...]
    now: datetime
    rules: PlanningRules
    decisions: Mapping[str, Decision]
    success: Mapping[str, float] = field(default_factory=dict)
    movable: tuple[Movable, ...] = ()
    placed: Mapping[str, SeatingWindow] = field(default_factory=dict)
    attempts: int = 0
    refusals: int = 0


@runtime_checkable
class KeepsBatches(Protocol):
    """A router that stores V3's input, so that its decisions can be audited."""

    def keep(self, batch: Batch) -> None:
        """Store the batch. Called in the transaction that decides, after all else is written: one statement, no waiting."""
        ...


def kept_batch(
    preview: Preview,
    decisions: Mapping[str, Decision],
    *,
    service_date: date,
    movable: tuple[Movable, ...] = (),
) -> Batch | None:
    """Return V3's input and its decisions, to be given to ``Settlement.keep``; None if the router keeps no batches."""
    if not isinstance(router(), KeepsBatches):
        return None
    return Batch(
        key=uuid.uuid4(),
        service_date=service_date,
        floor=preview.floor,
        occupied=preview.occupied,
        requests=preview.requests,
        now=preview.now,
        rules=preview.rules,
        decisions=decisions,
        success=preview.success,
        movable=movable,
    )


@runtime_checkable
class SwitchesMoves(Protocol):
    """A router with a switch for ``Route.may_rearrange``. Each pass notices if it was turned on or off."""

    def moves_are_on(self) -> Exists:
        """Return the switch as an SQL expression, which is read together with what a pass reads anyway."""
        ...


class Planner(Protocol):
    """A planner. It works in its own transactions, and owns the bookings that it has claimed."""

    key: str

    def process(
        self, booking_refs: Sequence[str], *, trigger: str, due_before: datetime | None = None
    ) -> Sequence[Outcome]:
        """Decide these bookings, which the router gave to this planner; with ``due_before`` only if they are still due then.

        Must ask the router again in the transaction that begins a booking, because flags may have changed since. Must
        not touch bookings that another planner owns. Gets only a few bookings at a time, so that the caller can stop in
        between.
        """
        ...

    def preview(self, preview: Preview) -> Sequence[Decision]:
        """Return what it would decide. Called in a READ ONLY transaction, and for edits, which this app itself settles."""
        ...

    def decided(self, judged: Judged) -> None:
        """Hook, called after the transaction with each decision and each answer to an edit. Used to compare planners."""
        ...


class Router(Protocol):
    """Names the planner that decides. Asked before a planner is called, and again when it claims; must not cache flags."""

    def route(self, assignments: Sequence[Assignment]) -> Mapping[str, Route]:
        """Return the route of each booking, by ref; all are of one restaurant."""
        ...

    def planner(self, key: str) -> Planner:
        """Return the planner with this key, which is not V3's. Raises LookupError."""
        ...


class SoleRouter:
    """A router by which V3 decides everything."""

    def route(self, assignments: Sequence[Assignment]) -> Mapping[str, Route]:
        return {assignment.booking_ref: Route(planner=V3) for assignment in assignments}

    def planner(self, key: str) -> Planner:
        raise LookupError(f"There is no planner {key!r}: V3 is the only one installed.")


SOLE_ROUTER = f"{SoleRouter.__module__}.{SoleRouter.__qualname__}"
_registered: list[str] = []


def register_router(path: str) -> None:
    """Make the router at this dotted path the default. An app that brings a router calls it in ``ready``."""
    _registered[:] = [path]


def router_path() -> str:
    """Return the dotted path of the router: the setting's, otherwise the registered one, otherwise that of V3 alone."""
    return conf.settings().ROUTER or next(iter(_registered), SOLE_ROUTER)


def router() -> Router:
    """Return the router of this process."""
    configured: Router = conf.load(router_path())
    return configured


def routes_of(assignments: Sequence[Assignment]) -> Mapping[str, Route]:
    """Return the router's route of each booking, by ref; all are of one restaurant.

    Raises whatever the router raises, and LookupError if it leaves out a booking.
    """
    routes = router().route(assignments) if assignments else {}
    for assignment in assignments:
        if assignment.booking_ref not in routes:
            raise LookupError(f"The router has no route for booking {assignment.booking_ref}.")
    return routes

"""Measurements, the inputs of gates and guardrails. ``rollout.evidence`` reads them from the database."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from datetime import datetime
from typing import Any

from assignments.planning.reasons import HARD_REASONS, Reason

AUDITED_REASONS = (HARD_REASONS | {Reason.NO_CAPACITY}) - {Reason.PINNED_TABLES_UNFIT}
"""Reasons of refusals that are wrong if tables were free. Errors are counted elsewhere, and the audit knows no pins."""
LARGE_PARTY = 6
"""Minimum covers of a large party."""
WAIVED_TOGETHER = 20
"""So many comparisons all valid waivers together may cover, however few there are."""
WAIVED_ONE_OF = 100
"""Of many comparisons, waivers may cover one in so many: what is more frequent is no exception."""
UNJUDGED = 0.01
"""The share of V3's decisions of which nothing can be said, above which nothing is said of the others either."""
COVERAGE = ("peak evenings", "large parties", "joins", "edits", "cancellations")
"""Situations that the gate ``coverage`` counts."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Percentile:
    """One percentile in milliseconds, with the order statistics that bound it; None if there are too few values."""

    sample: int = 0
    value: float | None = None
    lower: float | None = None
    upper: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparisons:
    """Comparisons of shadow mode and backtests in the window.

    ``not_waived``: by verdict, the number that no valid waiver covers. ``over_ceiling``: of these, the number that a
    waiver would cover without the ``ceiling`` that all waivers share. ``expected``: how many decisions of the legacy
    planner should have been compared since the stage began; ``compared_live``: how many were; ``waiting``: how many
    still wait. ``asked_twice`` and ``repeated``: the legacy planner against itself. ``others``: comparisons of other
    releases, which nothing else here counts. ``restaurants``: the number of restaurants compared, where all without
    bookings count as one; ``largest``: the number of comparisons at the one with most; ``with_bookings``: the number of
    restaurants with bookings.
    ``differing``: how often V3 was better and worse, without waived ones, at each restaurant with enough differences.
    """

    total: int = 0
    waiting: int = 0
    verdicts: Mapping[str, int] = field(default_factory=dict)
    not_waived: Mapping[str, int] = field(default_factory=dict)
    over_ceiling: int = 0
    expected: int = 0
    compared_live: int = 0
    asked_twice: int = 0
    repeated: int = 0
    others: int = 0
    restaurants: int = 0
    largest: int = 0
    with_bookings: int = 0
    differing: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    p95: Percentile = Percentile()
    p99: Percentile = Percentile()

    @property
    def ceiling(self) -> int:
        """Return how many comparisons all waivers together may cover."""
        return max(WAIVED_TOGETHER, self.total // WAIVED_ONE_OF)

    @property
    def waived(self) -> int:
        return sum(self.verdicts.values()) - sum(self.not_waived.values())


@dataclass(frozen=True, kw_only=True, slots=True)
class Days:
    """Compared days, each date of a restaurant once.

    ``unsafe``: days on which V3 made an unsafe seating, and ``errors``: days on which it gave no answer, in any
    comparison of that day. ``refused``: bookings of all days that V3 refuses although tables are free without moving
    anybody. ``paired``: days that the legacy planner has planned too. On ``worse`` of them V3 seats fewer bookings, or
    as many with fewer covers; on ``better`` of them it is the other way round.
    """

    compared: int = 0
    unsafe: int = 0
    errors: int = 0
    refused: int = 0
    moved: int = 0
    paired: int = 0
    better: int = 0
    worse: int = 0
    seated: int = 0
    control_seated: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcomes:
    """Outcomes of the bookings that one planner decided in the window, by the last attempt at each.

    ``infeasible``: no tables could seat them, either at all or beside the other seatings; they count neither as
    confirmed nor as ``review``. ``attempts`` and ``errors`` count tries.
    """

    bookings: int = 0
    confirmed: int = 0
    review: int = 0
    infeasible: int = 0
    attempts: int = 0
    errors: int = 0
    p95: Percentile = Percentile()
    p99: Percentile = Percentile()

    @property
    def feasible(self) -> int:
        return self.bookings - self.infeasible


@dataclass(frozen=True, kw_only=True, slots=True)
class Seatings:
    """V3's seatings of the window, checked against the floor by rules that V3 does not apply to itself.

    ``unsafe``: too few seats, another zone, not joinable, or blocked for less than the stay and its buffers.
    ``avoidable_joins``: joined tables although a free single table would have fitted as well. ``oversized``: a table
    although a smaller free one would have fitted. ``untold``: the host has not been told of tables that V3 has given.
    ``dropped``: bookings without tables that V3 does not try any more, while the host still wants them seated.

    ``refusals``: audited refusals. ``wrong_refusals``: those for which tables were free. ``avoidable_by_moves``: those
    for which tables would have been free if one movable party had been moved; only the audit of each decision finds
    these.

    ``paired``: bookings that the legacy planner has decided on the same snapshot; V3 chose ``better`` or ``worse``
    tables than it, or refused what it would have seated (``only_legacy``). ``unjudged``: decisions whose audit failed;
    nothing else here counts them.
    """

    checked: int = 0
    unsafe: int = 0
    reasons: Mapping[str, int] = field(default_factory=dict)
    avoidable_joins: int = 0
    oversized: int = 0
    untold: int = 0
    dropped: int = 0
    refusals: int = 0
    wrong_refusals: int = 0
    avoidable_by_moves: int = 0
    paired: int = 0
    better: int = 0
    worse: int = 0
    only_legacy: int = 0
    unjudged: int = 0

    def __add__(self, other: "Seatings") -> "Seatings":
        """Add up two audits, which must be of different decisions."""
        reasons = {
            reason: self.reasons.get(reason, 0) + other.reasons.get(reason, 0)
            for reason in (*self.reasons, *other.reasons)
        }
        counts = {
            each.name: getattr(self, each.name) + getattr(other, each.name)
            for each in fields(self)
            if each.name != "reasons"
        }
        return Seatings(reasons=reasons, **counts)


@dataclass(frozen=True, kw_only=True, slots=True)
class Facts:
    """All inputs of gates and guardrails. ``release``: the measured release; evidence of others does not count.

    ``v3`` and ``seatings`` cover the requested time; for the guard that is its window, the ``window``-th since the
    stage began. ``stage_v3`` covers the whole time in the stage; its bookings are those of the stage's
    non-overlapping windows. ``stage_seatings`` adds up the audits of these windows, or, if V3's batches are kept, the
    audits of each booking.

    ``unsettled``: unsafe seatings found since a guard run last acted on all its findings, of any release, with the ids
    of their audits (``unsafe_audits``). ``unaudited``: decisions that have waited too long for their audit.
    ``waits_minutes``: the longest time for which a booking of V3 has been due while passes succeeded.
    ``memory_growth_mb``: the growth of the worker that has grown most since its start. ``reference``: how many bookings
    the legacy planner seated, of how many, how many of these were infeasible, and where.
    """

    environment: str
    stage: str
    now: datetime
    stage_since: datetime
    since: datetime
    comparisons: Comparisons = Comparisons()
    days: Days = Days()
    v3: Outcomes = Outcomes()
    seatings: Seatings = Seatings()
    stage_v3: Outcomes = Outcomes()
    stage_seatings: Seatings = Seatings()
    unsettled: Seatings = Seatings()
    unsafe_audits: Sequence[int] = ()
    unaudited: int = 0
    window: int = 1
    reference_seated: int = 0
    reference_bookings: int = 0
    reference_infeasible: int = 0
    reference: str = ""
    coverage: Mapping[str, int] = field(default_factory=dict)
    waivers_valid: int = 0
    waivers_expired: int = 0
    waits_minutes: float = 0.0
    memory_growth_mb: float = 0.0
    overlaps: int = 0
    lost: int = 0
    drift: str = ""
    """How the flags differ from the stage; empty if they do not."""
    release: str = ""

    @property
    def reference_feasible(self) -> int:
        return self.reference_bookings - self.reference_infeasible

    @property
    def is_judged(self) -> bool:
        """Return whether enough of the stage's audits have a finding."""
        audits = self.stage_seatings
        return audits.unjudged <= UNJUDGED * (audits.checked + audits.refusals + audits.unjudged)

    @property
    def soaked_hours(self) -> float:
        return (self.now - self.stage_since).total_seconds() / 3600

    def as_dict(self) -> dict[str, Any]:
        """Return all values, ready for JSON; times in ISO 8601."""
        moments = {name: getattr(self, name).isoformat() for name in ("now", "stage_since", "since")}
        return {**asdict(self), **moments}

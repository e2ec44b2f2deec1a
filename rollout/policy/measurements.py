"""Measurements, the inputs of gates and guardrails. Pure values; ``rollout.evidence`` reads them from the database."""

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

    ``not_waived`` counts, by verdict, those that no valid waiver covers. ``over_ceiling``: of these, how many a waiver would
    cover, were it not for the ``ceiling`` that all waivers share. ``expected`` is how many decisions of the
    legacy planner should have been compared since the stage began, ``compared_live`` how many were, ``waiting`` how many
    wait for it. ``asked_twice`` and ``repeated``: the legacy planner against itself. ``others``: comparisons that belong to
    other releases; nothing else here counts them. ``restaurants``: how many they come from; ``largest``: how many of one
    of them; ``with_bookings``: how many restaurants have bookings at all. ``differing``: how often V3 was better and
    worse, waived ones left out, at each restaurant where that is often enough to say something.
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
        """How many comparisons all waivers together may cover."""
        return max(WAIVED_TOGETHER, self.total // WAIVED_ONE_OF)

    @property
    def waived(self) -> int:
        return sum(self.verdicts.values()) - sum(self.not_waived.values())


@dataclass(frozen=True, kw_only=True, slots=True)
class Days:
    """Whole days that both planners have planned, each restaurant's date once.

    ``unsafe``: on which V3 seats somebody where nobody may sit, ``errors``: on which it gave no answer; at any look at
    that day. ``refused``: bookings of all days that V3 refuses although tables are free and nobody has to be moved.
    ``paired``: days that the legacy planner planned as well. On ``worse`` of them V3 seats fewer bookings, or as many
    with fewer covers; on ``better`` of them it is the other way round.
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

    ``infeasible``: no set of tables could seat them, ever or beside those who sit there; they count as neither confirmed nor
    ``review``. ``attempts`` and ``errors`` count tries.
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

    ``unsafe``: too few seats, another zone, not joinable, or kept for a shorter time than guests sit and tables are cleared.
    ``avoidable_joins``: joined tables where a free single table would have fitted as well. ``oversized``: a table where a
    free smaller one would have fitted. ``untold``: the host still waits for tables that V3 has given. ``refusals``: bookings
    that were refused, audited as well; ``wrong_refusals`` are those for which tables were free, ``avoidable_by_moves`` those
    for which tables would have been free if one party that could still be moved had sat elsewhere, which only the audit of
    each decision says. ``paired``: bookings
    that the legacy planner has decided on the same snapshot; V3 chose ``better`` or ``worse`` tables than it, or refused
    whom it would have seated (``only_legacy``). ``unjudged``: decisions of which nothing can be said, because their audit
    failed; nothing else here counts them.
    """

    checked: int = 0
    unsafe: int = 0
    reasons: Mapping[str, int] = field(default_factory=dict)
    avoidable_joins: int = 0
    oversized: int = 0
    untold: int = 0
    refusals: int = 0
    wrong_refusals: int = 0
    avoidable_by_moves: int = 0
    paired: int = 0
    better: int = 0
    worse: int = 0
    only_legacy: int = 0
    unjudged: int = 0

    def __add__(self, other: "Seatings") -> "Seatings":
        """Both added up; they must be audits of different decisions."""
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
    """All inputs of gates and guardrails. ``release``: the one that was measured; evidence of others does not count.

    ``v3`` and ``seatings`` are of the time that is asked for; for the guard that is its window, the ``window``-th since the
    stage began, and ``stage_v3`` is of all the time in the stage. ``stage_seatings`` adds up the audits of the stage's
    windows that do not overlap; where V3's batches are kept, the audits of each of its bookings. ``unsettled``: what
    was found unsafe since a guard run last acted on all it had found, whichever release decided it, with the ids of the
    audits (``unsafe_audits``). ``unaudited``: decisions that have waited too long for their audit.
    ``waits_minutes``: the longest time for which a booking of V3 has been due while passes succeeded;
    ``memory_growth_mb``: of the worker that has grown most since it began.
    ``reference`` is what the legacy planner seated, of how many, how many of these nobody could have seated, and where.
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
        """Whether enough of the stage's audits have said something."""
        audits = self.stage_seatings
        return audits.unjudged <= UNJUDGED * (audits.checked + audits.refusals + audits.unjudged)

    @property
    def soaked_hours(self) -> float:
        return (self.now - self.stage_since).total_seconds() / 3600

    def as_dict(self) -> dict[str, Any]:
        """All values, ready for JSON; times in ISO 8601."""
        moments = {name: getattr(self, name).isoformat() for name in ("now", "stage_since", "since")}
        return {**asdict(self), **moments}

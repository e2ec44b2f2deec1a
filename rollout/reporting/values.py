"""The values of a report. ``rollout.reporting.builder`` gathers them; a renderer needs no database.

References only, never a guest's data. Texts that people wrote (reasons, owners) and names of tables are as they were stored:
renderers escape them. Moments are aware; milliseconds are of planning alone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import date, datetime
from typing import Any

from rollout.control.steering import PromotionPlan
from rollout.flags.resolution import Flags
from rollout.models import Change, GuardRun, Waiver
from rollout.policy.ladder import Stage
from rollout.policy.power import Power
from rollout.policy.verdict import Verdict

ALIKE = (Verdict.SAME_TABLES, Verdict.EQUIVALENT, Verdict.BOTH_REFUSE)
BETTER = (Verdict.BETTER, Verdict.ONLY_V3_SEATS)
WORSE = (Verdict.WORSE, Verdict.ONLY_LEGACY_SEATS)
HARMFUL = (Verdict.UNSAFE, Verdict.V3_ERROR)


@dataclass(frozen=True, kw_only=True, slots=True)
class VerdictCount:
    """Counts of a verdict: in shadow mode, in backtests, and how many no waiver covers."""

    verdict: str
    shadow: int
    backtest: int
    not_waived: int

    @property
    def count(self) -> int:
        return self.shadow + self.backtest


@dataclass(frozen=True, kw_only=True, slots=True)
class Day:
    """The comparisons recorded on one UTC day."""

    day: date
    alike: int = 0
    better: int = 0
    worse: int = 0
    harmful: int = 0

    @property
    def count(self) -> int:
        return self.alike + self.better + self.worse + self.harmful


@dataclass(frozen=True, kw_only=True, slots=True)
class Slow:
    """One of V3's slowest decisions. ``where``: shadow, backtest or live. ``outcome``: the verdict, or what was decided."""

    booking_ref: str
    restaurant_ref: str
    party: int
    starts_at: datetime | None
    milliseconds: float
    where: str
    outcome: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Choice:
    """One planner's choice. Without tables ``why`` is the refusal. Scores compare within one decision only.

    ``blocked_from`` and ``blocked_until``: how long the tables are kept, buffers included.
    """

    why: str
    tables: tuple[str, ...] = ()
    seats: int = 0
    spare_seats: int = 0
    blocked_from: datetime | None = None
    blocked_until: datetime | None = None
    score: float | None = None
    breakdown: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Difference:
    """One of the decisions that differ most within their verdict. ``admin_path`` is empty where there is no admin."""

    comparison: int
    booking_ref: str
    restaurant_ref: str
    party: int
    starts_at: datetime | None
    verdict: str
    origin: str
    legacy: Choice
    v3: Choice
    admin_path: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Optimum:
    """What one evening had seated and could have seated at best, when ``optimize_evenings`` examined it last.

    ``possible``: in the order of requests. A number that is not proven is the most that there could be.
    """

    service_date: date
    restaurant_ref: str
    seated: int
    waiting: int
    possible: int
    possible_in_any_order: int
    is_proven: bool
    examined_at: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class GuardHistory:
    """The guard's runs at this stage: their number, the last one's time, and the latest with breaches, newest first."""

    looks: int
    last: datetime | None
    breached: Sequence[GuardRun]


@dataclass(frozen=True, kw_only=True, slots=True)
class Report:
    """All values for the promotion review. ``waivers`` are those that were not withdrawn.

    ``restaurants``: how many the comparisons are of. ``powers``: what gates and guardrails would find, and how soon.
    """

    made_at: datetime
    plan: PromotionPlan
    flags: Flags
    ladder: Sequence[Stage]
    forced_planners: Mapping[str, str]
    verdicts: Sequence[VerdictCount]
    days: Sequence[Day]
    waivers: Sequence[Waiver]
    slowest: Sequence[Slow]
    differences: Sequence[Difference]
    guard: GuardHistory
    changes: Sequence[Change]
    restaurants: int
    powers: Sequence[Power]
    optima: Sequence[Optimum] = ()

    @property
    def environment(self) -> str:
        return self.plan.position.environment

    @property
    def stage(self) -> str:
        return self.plan.position.stage

    def as_dict(self) -> dict[str, Any]:
        """Everything as plain values; moments stay moments. The keys are a public format: never rename one."""
        plan = self.plan
        return {
            **_picked(plan.position, "environment stage since percent"),
            "made_at": self.made_at,
            **_picked(plan.position, "paused cool_down_until"),
            "mode": self.flags.mode.value,
            "is_killed": self.flags.killed,
            "drift": plan.facts.drift,
            "release": plan.facts.release,
            "flags": [asdict(each) for each in (self.flags.v3, self.flags.shadow)],
            "forced_planners": dict(self.forced_planners),
            "ladder": [
                {**_picked(each, "key v3 shadow percent soak_hours"), "is_current": each.key == self.stage}
                for each in self.ladder
            ],
            "gates": [each.as_dict() for each in plan.gates],
            "facts": {**asdict(plan.facts), "reference_feasible": plan.facts.reference_feasible},
            "restaurants": self.restaurants,
            "powers": [asdict(each) for each in self.powers],
            "verdicts": [asdict(each) for each in self.verdicts],
            "days": [asdict(each) for each in self.days],
            "optima": [asdict(each) for each in self.optima],
            "waivers": [
                {
                    **_picked(each, "id verdict restaurant_ref refusal owner reason expires_at"),
                    "is_expired": each.expires_at <= self.made_at,
                }
                for each in self.waivers
            ],
            "slowest": [asdict(each) for each in self.slowest],
            "differences": [asdict(each) for each in self.differences],
            "guard": {
                **_picked(self.guard, "looks last"),
                "breached": [
                    {
                        **_picked(run, "at stage rolled_back_to"),
                        "breaches": [f"{breach.get('rail')}: {breach.get('detail')}" for breach in run.breaches],
                    }
                    for run in self.guard.breached
                ],
            },
            "changes": [
                {**_picked(each, "at kind subject before after actor reason"), "is_overridden": each.overridden}
                for each in self.changes
            ],
            "next": {
                "target": plan.target.key if plan.target else "",
                "percent": plan.target.percent if plan.target else 0,
                **_picked(plan, "switches joining is_open"),
                "obstacles": [
                    {"kind": each.kind, "text": str(each), "is_overridable": each.overridable}
                    for each in plan.obstacles
                ],
            },
        }


def _picked(source: object, names: str) -> dict[str, Any]:
    return {name: getattr(source, name) for name in names.split()}

"""What a report says, as frozen values: no database, no format. ``rollout.reporting.builder`` makes one.

Refs only, never a guest's data. Texts that people wrote (reasons, owners) and names of tables are as they were stored:
renderers escape them. Moments are aware; milliseconds are of planning alone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import date, datetime
from typing import Any

from rollout.facts import Facts
from rollout.gates import GateResult
from rollout.verdict import Verdict

ALIKE = (Verdict.SAME_TABLES, Verdict.EQUIVALENT, Verdict.BOTH_REFUSE)
BETTER = (Verdict.BETTER, Verdict.ONLY_V3_SEATS)
WORSE = (Verdict.WORSE, Verdict.ONLY_LEGACY_SEATS)
HARMFUL = (Verdict.UNSAFE, Verdict.V3_ERROR)


@dataclass(frozen=True, kw_only=True, slots=True)
class Flag:
    """One flag, and what said so. ``raw`` is what the source held, as text."""

    switch: str
    variable: str
    value: bool
    source: str
    raw: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Rung:
    """A stage of the ladder; ``is_current``: the environment stands there."""

    key: str
    v3: bool
    shadow: bool
    percent: int
    soak_hours: float
    is_current: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class VerdictCount:
    """How often a verdict was given: in shadow mode, in replays, and how many no explanation covers."""

    verdict: str
    shadow: int
    backtest: int
    unexplained: int

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
class Explained:
    """A difference that somebody answers for. ``refusal`` and ``restaurant_ref`` are empty where any is meant."""

    id: int
    verdict: str
    restaurant_ref: str
    refusal: str
    owner: str
    reason: str
    expires_at: datetime
    is_expired: bool


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
    """What one planner chose. Without tables ``why`` is the refusal. Scores compare within one decision only.

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
    """One decision in which the planners differ most of their verdict. ``admin_path`` is empty where the admin is not."""

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
class GuardLook:
    """A run of the guard that found breaches, in words."""

    at: datetime
    stage: str
    breaches: tuple[str, ...]
    rolled_back_to: str


@dataclass(frozen=True, kw_only=True, slots=True)
class GuardHistory:
    """How often the guard has looked at this stage, when last, and all that it found wrong lately, the latest first."""

    looks: int
    last: datetime | None
    breached: Sequence[GuardLook]


@dataclass(frozen=True, kw_only=True, slots=True)
class Changed:
    """One change of the rollout."""

    at: datetime
    kind: str
    subject: str
    before: str
    after: str
    actor: str
    reason: str
    is_overridden: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Obstacle:
    """What stands in the way of a promotion, with what helps."""

    kind: str
    text: str
    is_overridable: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Next:
    """What a promotion would do. ``target`` is empty at the top. ``switches``: before and after, by name."""

    target: str = ""
    percent: int = 0
    switches: Mapping[str, tuple[bool, bool]] = field(default_factory=dict)
    joining: Sequence[str] = ()
    obstacles: Sequence[Obstacle] = ()

    @property
    def is_open(self) -> bool:
        """Whether a promotion would go through."""
        return bool(self.target) and not self.obstacles


@dataclass(frozen=True, kw_only=True, slots=True)
class Report:
    """Everything that whoever decides on a promotion should see. ``drift`` is empty when the flags are as they should be."""

    environment: str
    stage: str
    since: datetime
    percent: int
    made_at: datetime
    held: bool
    cool_down_until: datetime | None
    mode: str
    is_killed: bool
    drift: str
    flags: Sequence[Flag]
    pins: Mapping[str, str]
    ladder: Sequence[Rung]
    gates: Sequence[GateResult]
    facts: Facts
    verdicts: Sequence[VerdictCount]
    days: Sequence[Day]
    explanations: Sequence[Explained]
    slowest: Sequence[Slow]
    differences: Sequence[Difference]
    guard: GuardHistory
    changes: Sequence[Changed]
    next: Next

    def as_dict(self) -> dict[str, Any]:
        """Everything as plain values; moments stay moments."""
        return {**asdict(self), "next": {**asdict(self.next), "is_open": self.next.is_open}}

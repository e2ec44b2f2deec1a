"""The ladder: the stages of an environment as data, and the gates to leave each."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from itertools import pairwise
from types import MappingProxyType
from typing import Any

from assignments.planning.text import gettext as _


class UnknownStageError(LookupError):
    """The ladder has no such stage."""


NO_GATES: Mapping[str, float] = MappingProxyType({})


@dataclass(frozen=True, kw_only=True, slots=True)
class Stage:
    """One stage. ``percent``: V3's share of restaurants. ``gates``: thresholds by gate, to leave it.

    ``soak_hours``: its minimum duration before a promotion.
    """

    key: str
    v3: bool = False
    shadow: bool = False
    percent: int = 0
    soak_hours: float = 0.0
    gates: Mapping[str, float] = field(default_factory=lambda: NO_GATES)

    @property
    def decides(self) -> bool:
        """Return whether V3 decides for any restaurant."""
        return self.v3 and self.percent > 0


PARITY = MappingProxyType(
    {
        "comparable": 3000,
        "restaurants": 10,
        "largest_share": 0.5,
        "unsafe": 0,
        "refused": 0,
        "parity": 0.5,
        "candidate_errors": 0,
        "days_unsafe": 0,
        "days_refused": 0,
        "days_worse": 0.5,
        "candidate_p95_ms": 50,
        "candidate_p99_ms": 100,
        "complete": 0.99,
        "coverage": 20,
        "noise": 0.02,
        "explanations": 0,
    }
)
"""Gates to leave shadow mode."""

LIVE = MappingProxyType(
    {
        "errors": 0.005,
        "confirmed": 0.97,
        "review": 0.01,
        "no_worse": 0.02,
        "decision_p95_ms": 50,
        "decision_p99_ms": 100,
        "explanations": 0,
    }
)
"""Gates to leave a stage in which V3 decides."""

DEFAULT: Mapping[str, tuple[Stage, ...]] = MappingProxyType(
    {
        "dev": (Stage(key="off"), Stage(key="full", v3=True, percent=100)),
        "staging": (
            Stage(key="off"),
            Stage(
                key="shadow",
                shadow=True,
                soak_hours=24,
                gates={
                    "unsafe": 0,
                    "candidate_errors": 0,
                    "days_unsafe": 0,
                    "days_refused": 0,
                    "complete": 0.99,
                    "explanations": 0,
                },
            ),
            Stage(key="full", v3=True, percent=100, soak_hours=48, gates={**LIVE, "confirmed": 0.95}),
        ),
        "production": (
            Stage(key="off"),
            Stage(key="shadow", shadow=True, soak_hours=24, gates=PARITY),
            Stage(key="canary-10", v3=True, percent=10, soak_hours=24, gates=LIVE),
            Stage(key="canary-50", v3=True, percent=50, soak_hours=24, gates=LIVE),
            Stage(key="full", v3=True, percent=100, soak_hours=168, gates=LIVE),
        ),
    }
)
"""Default ladders, overridden by ROLLOUT["LADDERS"]. Leaving the last stage means removing the legacy planner."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Ladder:
    """The stages of one environment, lowest first."""

    environment: str
    stages: tuple[Stage, ...]

    def stage(self, key: str) -> Stage:
        """Return the stage with this key. Raises UnknownStageError, which names the known stages."""
        for stage in self.stages:
            if stage.key == key:
                return stage
        known = ", ".join(stage.key for stage in self.stages)
        problem = _(
            "The ladder of %(environment)s has no stage %(stage)s; it has %(known)s.",
            environment=self.environment,
            stage=repr(key),
            known=known,
        )
        raise UnknownStageError(problem)

    def above(self, key: str) -> Stage | None:
        """Return the next stage; None at the top."""
        following = self.stages[self.stages.index(self.stage(key)) + 1 :]
        return following[0] if following else None

    def below(self, key: str) -> tuple[Stage, ...]:
        """Return the lower stages, nearest first."""
        return tuple(reversed(self.stages[: self.stages.index(self.stage(key))]))

    def refuge(self, key: str) -> Stage:
        """Return the nearest stage, at or below this one, in which V3 decides for nobody. The guard rolls back to it."""
        return next(stage for stage in (self.stage(key), *self.below(key)) if not stage.decides)

    def canary(self, key: str) -> Stage:
        """Return the stage for a release without evidence: the lowest in which V3 decides, but none above ``key``.

        A stage that the settings no longer name counts as above all others.
        """
        lowest = next((stage for stage in self.stages if stage.decides), None)
        if key not in {stage.key for stage in self.stages}:
            return lowest or self.bottom
        here = self.stage(key)
        return lowest if lowest and lowest in self.below(key) and here.decides else here

    @property
    def bottom(self) -> Stage:
        """Return the first stage of every rollout: V3 neither decides nor watches."""
        return self.stages[0]


def ladder(environment: str, overrides: Mapping[str, Sequence[Mapping[str, Any]]]) -> Ladder:
    """Return the environment's ladder, from the settings or the default. ``problems`` checks the settings."""
    stages = overrides.get(environment)
    if stages is None:
        return Ladder(environment=environment, stages=DEFAULT[environment])
    return Ladder(environment=environment, stages=tuple(Stage(**stage) for stage in stages))


def problems(overrides: Any, known_gates: Sequence[str]) -> list[str]:
    """Return the problems of the ladders in the settings, one sentence each."""
    name = "ROLLOUT['LADDERS']"
    if not isinstance(overrides, Mapping):
        return [f"{name} must map environments to lists of stages, not {overrides!r}"]
    found = [
        f"{name} names the environment {each!r}; known are {', '.join(DEFAULT)}"
        for each in overrides
        if each not in DEFAULT
    ]
    for environment, stages in overrides.items():
        if not isinstance(stages, list | tuple) or not stages:
            found.append(f"{name}[{environment!r}] must be a list of stages, not {stages!r}")
            continue
        where = f"{name}[{environment!r}]"
        before = len(found)
        for stage in stages:
            found += [f"{where}: {problem}" for problem in _stage_problems(stage, known_gates)]
        if len(found) == before:
            found += [f"{where}: {problem}" for problem in _order_problems([Stage(**stage) for stage in stages])]
    return found


def _stage_problems(stage: Any, known_gates: Sequence[str]) -> list[str]:
    if not isinstance(stage, Mapping) or not isinstance(stage.get("key"), str) or not stage["key"]:
        return [f"a stage is a dict with a key, not {stage!r}"]
    key = stage["key"]
    known = [each.name for each in fields(Stage)]
    found = [
        f"stage {key!r} has no setting {each!r}; it knows {', '.join(known)}" for each in stage if each not in known
    ]
    percent = stage.get("percent", 0)
    if isinstance(percent, bool) or not isinstance(percent, int) or not 0 <= percent <= 100:
        found.append(f"stage {key!r}: percent must be a whole number from 0 to 100, not {percent!r}")
    for flag in ("v3", "shadow"):
        if not isinstance(stage.get(flag, False), bool):
            found.append(f"stage {key!r}: {flag} must be True or False, not {stage[flag]!r}")
    hours = stage.get("soak_hours", 0)
    if isinstance(hours, bool) or not isinstance(hours, int | float) or hours < 0:
        found.append(f"stage {key!r}: soak_hours must be 0 or more, not {hours!r}")
    gates = stage.get("gates", NO_GATES)
    if not isinstance(gates, Mapping):
        return [*found, f"stage {key!r}: gates must map gates to thresholds, not {gates!r}"]
    for gate, threshold in gates.items():
        if gate not in known_gates:
            found.append(f"stage {key!r} names the gate {gate!r}; known are {', '.join(known_gates)}")
        elif isinstance(threshold, bool) or not isinstance(threshold, int | float) or threshold < 0:
            found.append(f"stage {key!r}: the threshold of {gate} must be a number of 0 or more, not {threshold!r}")
    return found


def _order_problems(stages: Sequence[Stage]) -> list[str]:
    found = []
    keys = [stage.key for stage in stages]
    found += [f"stage {key!r} occurs {keys.count(key)} times" for key in dict.fromkeys(keys) if keys.count(key) > 1]
    if stages[0].v3 or stages[0].shadow:
        found.append(f"the first stage, {keys[0]!r}, must have V3 and shadow off: it is where a rollback ends")
    for stage in stages:
        if stage.v3 and stage.shadow:
            found.append(f"stage {stage.key!r} has V3 and shadow on: V3 cannot decide and only watch")
        if stage.v3 != (stage.percent > 0):
            found.append(f"stage {stage.key!r}: V3 on goes with a percent above 0, and off with 0")
    for lower, upper in pairwise(stages):
        if upper.percent < lower.percent:
            found.append(f"stage {upper.key!r} has fewer restaurants than {lower.key!r} below it")
    return found

"""Typed access to the settings under ``ROLLOUT``, and ``read_environment`` for projects to call in their settings.

ROLLOUT = {
    "ENVIRONMENT": "production",
    "LEGACY_PLANNER": "dotted.path.of.the.LegacyPlanner",
    "ENVIRONMENT_VARIABLES": read_environment(os.environ),
}
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime
from functools import cache
from typing import Any

from django.conf import settings as django_settings
from django.core.exceptions import ImproperlyConfigured
from django.core.signals import setting_changed

from rollout.policy import gates, guardrails, ladder

NAME = "ROLLOUT"
ENVIRONMENTS = ("dev", "staging", "production")
REMOTE_ENVIRONMENTS = frozenset({"staging", "production"})

KILL_VARIABLE = "ASSIGNMENT_PIPELINE_KILL"
V3_VARIABLE = "FEATURE_ASSIGNMENT_PIPELINE_V3"
SHADOW_VARIABLE = "FEATURE_ASSIGNMENT_PIPELINE_V3_SHADOW"
VARIABLES = (KILL_VARIABLE, V3_VARIABLE, SHADOW_VARIABLE)


def read_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """The rollout's environment variables that are set. Call it once, in settings."""
    return {name: environ[name] for name in VARIABLES if name in environ}


@dataclass(frozen=True, kw_only=True)
class Settings:
    """All settings, with their defaults."""

    ENVIRONMENT: str = "dev"
    LEGACY_PLANNER: str = ""
    """Dotted path of the legacy planner; empty once it is removed."""
    ENVIRONMENT_VARIABLES: Mapping[str, str] = field(default_factory=dict)
    """Raw texts, as returned by ``read_environment``."""
    CANDIDATE: str = "rollout.shadow.candidate.v3"
    """Dotted path of the candidate, a function from a snapshot to a decision."""
    SHADOW_SAMPLE: float = 1.0
    """Share (0..1) of the legacy planner's decisions recorded for comparison, by a stable hash of the booking."""
    CANDIDATE_SECONDS: float = 5.0
    """Maximum seconds for one decision by the candidate; longer counts as an error."""
    LADDERS: Mapping[str, Sequence[Mapping[str, Any]]] = field(default_factory=dict)
    """Ladders by environment, lowest stage first; overrides ``rollout.policy.ladder.DEFAULT``."""
    EVIDENCE_DAYS: int = 28
    """Maximum age of evidence that gates count, in days."""
    GUARD: Mapping[str, float] = field(default_factory=dict)
    """Guardrail limits; override ``rollout.policy.guardrails.DEFAULT``."""
    COOL_DOWN_HOURS: float = 24.0
    """Hours without promotion after a rollback by the guard."""
    FREEZE_DURING_SERVICE: bool = True
    """In staging and production: refuse promotion while a restaurant with bookings that day is open."""
    FREEZE_WINDOWS: Sequence[Sequence[str]] = ()
    """Other periods without promotion: pairs of ISO 8601 times with offset, start and end."""


def problems() -> list[str]:
    """Problems of the settings, one sentence each. ``rollout.flags`` checks the values of the variables."""
    given = getattr(django_settings, NAME, {})
    if not isinstance(given, Mapping):
        return [f"{NAME} must be a dict, not {given!r}"]
    known = sorted(each.name for each in fields(Settings))
    found = [f"{NAME} has no setting {name!r}; it knows {', '.join(known)}" for name in sorted(set(given) - set(known))]
    environment = given.get("ENVIRONMENT", "dev")
    if environment not in ENVIRONMENTS:
        found.append(f"{NAME}['ENVIRONMENT'] must be one of {', '.join(ENVIRONMENTS)}, not {environment!r}")
    path = given.get("LEGACY_PLANNER", "")
    if not isinstance(path, str) or (path and "." not in path):
        found.append(f"{NAME}['LEGACY_PLANNER'] must be a dotted path or empty, not {path!r}")
    candidate = given.get("CANDIDATE", Settings.CANDIDATE)
    if not isinstance(candidate, str) or "." not in candidate:
        found.append(f"{NAME}['CANDIDATE'] must be a dotted path, not {candidate!r}")
    sample = given.get("SHADOW_SAMPLE", 1.0)
    if isinstance(sample, bool) or not isinstance(sample, int | float) or not 0 <= sample <= 1:
        found.append(f"{NAME}['SHADOW_SAMPLE'] must be a number between 0 and 1, not {sample!r}")
    seconds = given.get("CANDIDATE_SECONDS", 5.0)
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 < seconds <= 3600:
        found.append(f"{NAME}['CANDIDATE_SECONDS'] must be a number above 0 and at most 3600, not {seconds!r}")
    found += ladder.problems(given.get("LADDERS", {}), tuple(gates.GATES))
    found += _number_problems(given)
    found += _freeze_problems(given.get("FREEZE_WINDOWS", ()))
    variables = given.get("ENVIRONMENT_VARIABLES", {})
    if not isinstance(variables, Mapping) or not all(isinstance(value, str) for value in variables.values()):
        found.append(f"{NAME}['ENVIRONMENT_VARIABLES'] must map names to texts, not {variables!r}")
    elif unknown := sorted(set(variables) - set(VARIABLES)):
        found.append(f"{NAME}['ENVIRONMENT_VARIABLES'] names {unknown}; known are {', '.join(VARIABLES)}")
    return found


def _number_problems(given: Mapping[str, Any]) -> list[str]:
    found = []
    for name, minimum in (("EVIDENCE_DAYS", 1), ("COOL_DOWN_HOURS", 0)):
        value = given.get(name, minimum)
        if isinstance(value, bool) or not isinstance(value, int | float) or not minimum <= value <= 10_000:
            found.append(f"{NAME}['{name}'] must be a number from {minimum} to 10000, not {value!r}")
    if not isinstance(given.get("FREEZE_DURING_SERVICE", True), bool):
        found.append(f"{NAME}['FREEZE_DURING_SERVICE'] must be True or False, not {given['FREEZE_DURING_SERVICE']!r}")
    rails = given.get("GUARD", {})
    if not isinstance(rails, Mapping):
        return [*found, f"{NAME}['GUARD'] must map guardrails to numbers, not {rails!r}"]
    for rail, value in rails.items():
        if rail not in guardrails.DEFAULT:
            found.append(f"{NAME}['GUARD'] names {rail!r}; known are {', '.join(guardrails.DEFAULT)}")
            continue
        minimum = 1 if rail == "window_minutes" else 0
        if isinstance(value, bool) or not isinstance(value, int | float) or value < minimum:
            found.append(f"{NAME}['GUARD']['{rail}'] must be a number of {minimum} or more, not {value!r}")
    return found


def _freeze_problems(windows: Any) -> list[str]:
    if not isinstance(windows, list | tuple):
        return [f"{NAME}['FREEZE_WINDOWS'] must be a list of pairs of moments, not {windows!r}"]
    found = []
    for window in windows:
        try:
            start, until = (datetime.fromisoformat(text) for text in window)
            good = start.utcoffset() is not None and until.utcoffset() is not None and start < until
        except (TypeError, ValueError):
            good = False
        if not good:
            found.append(
                f"{NAME}['FREEZE_WINDOWS']: {window!r} must be a pair of ISO 8601 times with offset, the earlier one first"
            )
    return found


@cache
def settings() -> Settings:
    """The settings of this process. Raises ImproperlyConfigured that lists every wrong value."""
    found = problems()
    if found:
        raise ImproperlyConfigured("; ".join(found))
    return Settings(**getattr(django_settings, NAME, {}))


def _forget(*, setting: str, **kwargs: Any) -> None:
    if setting == NAME:
        settings.cache_clear()


setting_changed.connect(_forget, dispatch_uid="rollout.conf")


def current_ladder() -> ladder.Ladder:
    """The ladder of this environment."""
    return ladder.ladder(settings().ENVIRONMENT, settings().LADDERS)


def guard_rails() -> Mapping[str, float]:
    """The guardrails from the settings, with defaults for the others."""
    return {**guardrails.DEFAULT, **settings().GUARD}

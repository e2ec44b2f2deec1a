"""Typed access to the settings under ``ROLLOUT``. Each has a default; outside development only ``ENVIRONMENT`` is required.

ROLLOUT = {"ENVIRONMENT": "production"}
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

from django.apps import apps
from django.conf import settings as django_settings
from django.core.exceptions import ImproperlyConfigured
from django.core.signals import setting_changed

from assignments.conf import LARGEST_DAYS, at_least, declared_problems, dotted_path, setting
from rollout.policy import gates, guardrails, ladder

NAME = "ROLLOUT"
ENVIRONMENTS = ("dev", "staging", "production")
REMOTE_ENVIRONMENTS = frozenset({"staging", "production"})

NEW_RELEASE = ("canary", "keep")

KILL_VARIABLE = "ASSIGNMENT_PIPELINE_KILL"
V3_VARIABLE = "FEATURE_ASSIGNMENT_PIPELINE_V3"
SHADOW_VARIABLE = "FEATURE_ASSIGNMENT_PIPELINE_V3_SHADOW"
VARIABLES = (KILL_VARIABLE, V3_VARIABLE, SHADOW_VARIABLE)
OUR_LEGACY_PLANNER = "rollout.legacy.LegacyPlanner"  # rollout-removal: ignore


def read_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the rollout's environment variables that are set. Projects with other sources of settings call it there."""
    return {name: environ[name] for name in VARIABLES if name in environ}


def _environment(value: Any) -> str | None:
    return None if value in ENVIRONMENTS else f"must be one of {', '.join(ENVIRONMENTS)}"


def _dotted_path_or_empty(value: Any) -> str | None:
    return None if value == "" else dotted_path(value)


def _variables(value: Any) -> str | None:
    if not isinstance(value, Mapping) or not all(isinstance(text, str) for text in value.values()):
        return "must map names to texts"
    unknown = sorted(set(value) - set(VARIABLES))
    return f"names {unknown}; known are {', '.join(VARIABLES)}" if unknown else None


def _guard(value: Any) -> str | None:
    if not isinstance(value, Mapping):
        return "must map guardrails to numbers"
    if unknown := sorted(map(str, set(value) - set(guardrails.DEFAULT))):
        return f"names {unknown}; known are {', '.join(guardrails.DEFAULT)}"
    wrong = {rail: at_least(1 if rail == "window_minutes" else 0)(limit) for rail, limit in value.items()}
    return "; ".join(f"{rail} {problem}" for rail, problem in wrong.items() if problem) or None


def _freeze_windows(value: Any) -> str | None:
    if not isinstance(value, list | tuple):
        return "must be a list of pairs of moments"
    wrong = [window for window in value if not _is_window(window)]
    return f"has no pair of ISO 8601 moments with offset, the earlier one first, in {wrong}" if wrong else None


def _is_window(window: Any) -> bool:
    try:
        start, until = (datetime.fromisoformat(text) for text in window)
    except (TypeError, ValueError):
        return False
    return start.utcoffset() is not None and until.utcoffset() is not None and start < until


def _boolean(value: Any) -> str | None:
    return None if isinstance(value, bool) else "must be True or False"


def _new_release(value: Any) -> str | None:
    return None if value in NEW_RELEASE else f"must be one of {', '.join(NEW_RELEASE)}"


def _text(value: Any) -> str | None:
    return None if isinstance(value, str) else "must be a text"


def _judged_elsewhere(value: Any) -> str | None:
    """Accept any ladders: ``rollout.policy.ladder`` reports their problems."""
    return None


@dataclass(frozen=True, kw_only=True)
class Settings:
    """All settings, with their defaults."""

    ENVIRONMENT: str = setting("dev", _environment)
    """dev, staging or production. Required where ``DEBUG`` is False."""
    LEGACY_PLANNER: str = setting("", _dotted_path_or_empty)
    """Dotted path of the legacy planner. Default: ours while its app is installed; empty: there is none."""
    ENVIRONMENT_VARIABLES: Mapping[str, str] = setting({}, _variables)
    """Raw texts, as returned by ``read_environment``. Default: read from the environment at start."""
    LOCAL_DATABASE_REASON: str = setting("", _text)
    """Why staging or production may keep its PostgreSQL on the same machine. Empty: it must be remote, over TLS."""
    NEW_RELEASE: str = setting("canary", _new_release)
    """What a release of V3 without evidence does where V3 decides.

    ``canary``: it keeps the share of the lowest stage in which it decides, and the legacy planner has the rest until gates
    pass. ``keep``: it keeps the stage, on record and with an alert; without a legacy planner always so.
    """
    CANDIDATE: str = setting("rollout.shadow.candidate.v3", dotted_path)
    """Dotted path of the candidate, a function from a snapshot to a decision.

    Comparisons of any but the default belong to a release of their own, and count for no gate of V3.
    """
    SHADOW_SAMPLE: float = setting(1.0, at_least(0, 1))
    """Share (0..1) of the legacy planner's decisions recorded for comparison, by a stable hash of the booking."""
    CANDIDATE_SECONDS: float = setting(5.0, at_least(0.001, 3600))
    """Maximum seconds for one decision by the candidate; longer counts as an error."""
    LADDERS: Mapping[str, Sequence[Mapping[str, Any]]] = setting({}, _judged_elsewhere)
    """Ladders by environment, lowest stage first; overrides ``rollout.policy.ladder.DEFAULT``."""
    EVIDENCE_DAYS: int = setting(28, at_least(1, LARGEST_DAYS))
    """Maximum age of evidence that gates count, in days."""
    AUDITED_PER_RUN: int = setting(2000, at_least(1, 1_000_000))
    """About how many of V3's decisions a guard run audits at most, those with refusals first."""
    BATCH_DAYS: int = setting(7, at_least(1, LARGEST_DAYS))
    """How many days ``rollout prune`` keeps what V3 was given when it decided."""
    GUARD: Mapping[str, float] = setting({}, _guard)
    """Guardrail limits; override ``rollout.policy.guardrails.DEFAULT``."""
    COOL_DOWN_HOURS: float = setting(24.0, at_least(0, 10_000))
    """Hours without promotion after a rollback by the guard."""
    FREEZE_DURING_SERVICE: bool = setting(True, _boolean)
    """In staging and production: refuse promotion while a restaurant with bookings that day is open."""
    FREEZE_WINDOWS: Sequence[Sequence[str]] = setting((), _freeze_windows)
    """Other periods without promotion: pairs of ISO 8601 times with offset, start and end."""


def _given() -> Any:
    """Return the project's settings, completed by environment variables."""
    given = getattr(django_settings, NAME, {})
    if not isinstance(given, Mapping) or "ENVIRONMENT_VARIABLES" in given:
        return given
    return {**given, "ENVIRONMENT_VARIABLES": read_environment(os.environ)}


def _installed_legacy_planner() -> str:
    """Return the dotted path of our legacy planner if an installed app declares itself to be that planner; else ""."""
    is_there = any(getattr(each, "brings_planner", False) for each in apps.get_app_configs())
    return OUR_LEGACY_PLANNER if is_there else ""


def problems() -> list[str]:
    """Return the problems of the settings, one sentence each. ``rollout.flags`` checks the values of the variables."""
    given = _given()
    found = declared_problems(NAME, Settings, given)
    ladders = given.get("LADDERS", {}) if isinstance(given, Mapping) else {}
    return found + ladder.problems(ladders, tuple(gates.GATES))


@cache
def settings() -> Settings:
    """Return the settings of this process. Raises ImproperlyConfigured, which lists every wrong value."""
    found = problems()
    if found:
        raise ImproperlyConfigured("; ".join(found))
    return Settings(**{"LEGACY_PLANNER": _installed_legacy_planner(), **_given()})


def _forget(*, setting: str, **kwargs: Any) -> None:
    if setting == NAME:
        settings.cache_clear()


setting_changed.connect(_forget, dispatch_uid="rollout.conf")


def current_ladder() -> ladder.Ladder:
    """Return the ladder of this environment."""
    return ladder.ladder(settings().ENVIRONMENT, settings().LADDERS)


def guard_rails() -> Mapping[str, float]:
    """Return the guardrails from the settings, with defaults for the others."""
    return {**guardrails.DEFAULT, **settings().GUARD}


def new_release_keeps() -> bool:
    """Return whether a release without evidence keeps its stage: by the setting, or because no planner could take over."""
    return settings().NEW_RELEASE == "keep" or not settings().LEGACY_PLANNER

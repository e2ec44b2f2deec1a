"""Typed settings under ``ASSIGNMENTS``, with defaults and checks.

Read them with ``conf.settings()``. The values are cached until Django's ``setting_changed`` fires.
"""

import math
import os
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, fields
from functools import cache
from importlib import import_module
from traceback import walk_tb
from typing import Any

from django.conf import settings as django_settings
from django.core.exceptions import ImproperlyConfigured
from django.core.signals import setting_changed
from django.utils.module_loading import import_string

from assignments.planning.aim import Aim
from assignments.planning.snapshot import DEFAULT_WEIGHTS, PlanningRules

NAME = "ASSIGNMENTS"

A_DAY = 24 * 60 * 60
"""Maximum duration in seconds. Dates and the database have limits, too."""
A_YEAR_OF_MINUTES = 366 * 24 * 60
LARGEST_WEIGHT = 1000
LARGEST_DAYS = 10_000
SHORTEST_TOKEN = 20
LONGEST_RELEASE = 64
LONGEST_NUMBER = 18
"""Digits of a number in the environment; Python refuses to read one of thousands."""
VARIABLES = {
    "MAX_PARALLEL": "FEATURE_ASSIGNMENT_PIPELINE_V3_MAX_PARALLEL",
    "METRICS_TOKEN": "METRICS_TOKEN",
    "RELEASE": "ASSIGNMENT_PIPELINE_RELEASE",
}
"""Environment variables that are read at start for settings that are not given."""
_LOADERS = frozenset({__file__, import_module.__code__.co_filename, import_string.__code__.co_filename})
"""Files that import what a path names. Errors that are raised in others have their cause there."""
EVIDENCE_DAYS = 90
"""Days of past seatings that planning evaluates (``assignments.coordination.table_record``)."""
MOST_PERMITS = 20
"""Maximum of ``MAX_PARALLEL``, on any machine."""


def at_least(minimum: float, maximum: float | None = None) -> Callable[[Any], str | None]:
    """Return a check for numbers, for ``setting``."""

    def problem(value: Any) -> str | None:
        if isinstance(value, bool) or not isinstance(value, int | float):
            return "must be a number"
        if isinstance(value, float) and not math.isfinite(value):
            return "must be a finite number"
        if value < minimum or (maximum is not None and value > maximum):
            return f"must be {minimum} or more" if maximum is None else f"must be between {minimum} and {maximum}"
        return None

    return problem


def whole(minimum: int, maximum: int | None = None) -> Callable[[Any], str | None]:
    """Return a check for whole numbers, for ``setting``."""
    in_range = at_least(minimum, maximum)

    def problem(value: Any) -> str | None:
        return in_range(value) if isinstance(value, int) else "must be a whole number"

    return problem


def _boolean(value: Any) -> str | None:
    return None if isinstance(value, bool) else "must be True or False"


def _token(value: Any) -> str | None:
    if (
        isinstance(value, str)
        and (not value or len(value) >= SHORTEST_TOKEN)
        and value.isascii()
        and value.isprintable()
    ):
        return None
    return f"must be empty, or a text of {SHORTEST_TOKEN} ASCII characters or more"


def _release(value: Any) -> str | None:
    is_word = isinstance(value, str) and value.isascii() and value.isprintable() and " " not in value
    if is_word and len(value) <= LONGEST_RELEASE:
        return None
    return f"must be a text of at most {LONGEST_RELEASE} ASCII characters without spaces"


def dotted_path(value: Any) -> str | None:
    """Check a dotted path, for ``setting``."""
    return None if isinstance(value, str) and "." in value else "must be a dotted path such as 'project.module.Name'"


def _dotted_path_or_empty(value: Any) -> str | None:
    return None if value == "" else dotted_path(value)


def _dotted_paths(value: Any) -> str | None:
    if isinstance(value, list | tuple) and all(dotted_path(path) is None for path in value):
        return None
    return "must be a list of dotted paths"


def _weights(value: Any) -> str | None:
    if not isinstance(value, Mapping):
        return "must map strategy names to numbers"
    unknown = sorted(set(value) - set(DEFAULT_WEIGHTS))
    if unknown:
        return f"names unknown strategies {unknown}; known are {sorted(DEFAULT_WEIGHTS)}"
    wrong = sorted(name for name, weight in value.items() if at_least(0, LARGEST_WEIGHT)(weight))
    return f"must be between 0 and {LARGEST_WEIGHT} for {wrong}" if wrong else None


def _restaurants(value: Any) -> str | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, list | tuple | set | frozenset) and all(isinstance(ref, str) and ref for ref in value):
        return None
    return "must be True, False or a list of restaurant refs"


def _aim(value: Any) -> str | None:
    return None if value in list(Aim) else f"must be one of {', '.join(Aim)}"


def setting(
    default: Any, problem: Callable[[Any], str | None], *, is_secret: bool = False, steers: bool = False
) -> Any:
    """Declare a setting. ``problem`` says what is wrong with a value, to follow the setting's name, or None.

    ``steers``: whether it steers decisions, so that another value is another release.
    """
    metadata = {"problem": problem, "is_secret": is_secret, "steers": steers}
    return field(default_factory=lambda: default, metadata=metadata, repr=not is_secret)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """All settings with their defaults. The names of durations include the unit."""

    HOST: str = setting("", dotted_path, steers=True)
    """Dotted path of the host class (``assignments.host``). Required."""
    ROUTER: str = setting("", _dotted_path_or_empty)
    """Dotted path of the router, which selects the planner of a booking. Default: the one that an installed app registers
    (``assignments.integration.planners.register_router``), such as the rollout's; otherwise V3 decides for all."""
    CONNECT_SIGNALS: bool = setting(True, _boolean)
    """Whether bookings that the project saves or deletes are followed by Django's signals.

    False for a project that calls ``api.booking_changed`` itself. ``update()`` and bulk writes send no signals.
    """
    MAX_PARALLEL: int = setting(3, whole(1, MOST_PERMITS))
    """Maximum days of one restaurant planned in parallel, across all processes and machines."""
    BATCH_SIZE: int = setting(200, whole(1, 5000), steers=True)
    """Maximum bookings of one restaurant-day decided in one transaction."""
    MAX_ATTEMPTS: int = setting(5, whole(1, 100), steers=True)
    """Attempts after which a booking that no planner could seat goes to review."""
    RETRY_BASE_SECONDS: float = setting(1.0, at_least(0, A_DAY), steers=True)
    """Delay after the first attempt. It doubles with each further one."""
    RETRY_MAX_SECONDS: float = setting(30.0, at_least(0, A_DAY), steers=True)
    """Longest delay between two attempts, without jitter."""
    RETRY_JITTER_SECONDS: float = setting(1.0, at_least(0, A_DAY), steers=True)
    """Largest random addition to a delay, so that the days of all restaurants are not tried again at the same moment."""
    TRANSACTION_RETRIES: int = setting(3, whole(0, 20))
    """Maximum retries of a transaction after a conflict (deadlock, serialization, exclusion)."""
    LOCK_TIMEOUT_MS: int = setting(2000, whole(1, A_DAY * 1000))
    """Longest wait for a lock of the database. After it, what was begun is rolled back and tried again."""
    STATEMENT_TIMEOUT_MS: int = setting(10000, whole(1, A_DAY * 1000))
    """Longest duration of one query while bookings are decided."""
    CALLBACK_SECONDS: float = setting(3.0, at_least(0.1, 60))
    """Maximum time of a host's callback in our own workers; one that takes longer is interrupted and tried again.

    It holds for whatever reads the host in a transaction, too. Elsewhere, PostgreSQL ends a transaction of ours in which
    nothing was asked for 4 seconds.
    """
    HOLD_SECONDS: int = setting(180, whole(1, A_DAY), steers=True)
    """How long ``api.hold`` keeps tables if the call does not say."""
    BREAKER_FAILURES: int = setting(5, whole(1))
    """Errors in a row after which a restaurant's circuit breaker opens. Full restaurants are no errors."""
    BREAKER_OPEN_SECONDS: float = setting(15.0, at_least(0, A_DAY))
    """How long an open breaker leaves its restaurant alone, before one more try."""
    BREAKER_SUCCESSES: int = setting(2, whole(1))
    """Successes in a row that close a breaker again."""
    MAX_SPARE_SEATS: int = setting(4, whole(0), steers=True)
    """Most seats that may stay empty at a party's tables. Staff may override it."""
    MAX_TABLES: int = setting(3, whole(1, 6), steers=True)
    """Most tables that are joined for one party. Joins that a restaurant lists itself may have more."""
    MAX_PARTY: int = setting(1000, whole(1), steers=True)
    """Largest party that is planned. A larger one counts as a mistake of the booking: its assignment fails."""
    MIN_LEAD_MINUTES: int = setting(0, whole(0, A_YEAR_OF_MINUTES), steers=True)
    """Minimum lead time. Bookings that start sooner go to review for staff to decide."""
    NO_SHOW_MINUTES: int = setting(0, whole(0, 24 * 60), steers=True)
    """Minutes after the start at which guests who have not arrived are marked as a no-show; 0: never.

    Only where the host reports arrivals.
    """
    REARRANGE: bool | Collection[str] = setting(True, _restaurants, steers=True)
    """Whether V3 may give confirmed parties other tables, so that one more can sit. True, False, or the refs of restaurants.

    Only parties that have not been told their table, and only where the host says who has (``table_told``) and is told of
    moves (``on_moved``).
    """
    FIXED_MINUTES: int = setting(120, whole(0, A_YEAR_OF_MINUTES), steers=True)
    """Minutes before its start from which on a confirmed party keeps its tables."""
    MAX_MOVES: int = setting(3, whole(0, 1000), steers=True)
    """How often V3 moves a confirmed party at most."""
    OPTIMIZE_FOR: str = setting("order", _aim, steers=True)
    """Whom ``optimize_evenings`` seats first: ``order`` (who asked first, as the waiting list promises), ``number`` (as many
    bookings as possible) or ``covers`` (as many guests). It is on record with each answer."""
    FREEZE_MINUTES: int = setting(0, whole(0, A_YEAR_OF_MINUTES), steers=True)
    """Minutes before a service from which on nobody in it is moved any more; 0: only once staff freeze the evening."""
    GRACE_MINUTES: int = setting(15, whole(0, 24 * 60), steers=True)
    """How long ago a start may be to count as now, for V3 and staff. The tables are blocked from now on."""
    WEIGHTS: Mapping[str, float] = setting(DEFAULT_WEIGHTS, _weights, steers=True)
    """How much each strategy counts when tables are compared; those that are not named keep their default."""
    EVENT_SINKS: tuple[str, ...] = setting(("assignments.telemetry.events.DatabaseSink",), _dotted_paths)
    """Dotted paths of the classes that store or send events. Without ``DatabaseSink`` the admin shows none.

    In your tests use ``MemorySink``: ``DatabaseSink`` stores on a connection of its own, which no rollback of a test covers.
    """
    EVENT_BUFFER_SIZE: int = setting(10000, whole(1))
    """Events that wait in memory for a sink. More are dropped, and counted."""
    EVENT_FLUSH_SECONDS: float = setting(2.0, at_least(0, A_DAY))
    """Maximum time that a command waits at its end for the last events to be stored."""
    CRON_SECONDS: int = setting(180, whole(1, A_DAY))
    """Maximum age of the last success of ``run_coordinator`` and of the oldest due booking.

    Beyond it, Health reports a problem.
    """

    METRICS_TOKEN: str = setting("", _token, is_secret=True)
    """Token that Prometheus sends in ``Authorization: Bearer`` for /metrics.

    Empty: only users with the permission have access.
    """
    METRICS_TIMEOUT_MS: int = setting(2000, whole(1, 60_000))
    """Timeout of one metrics query. A scrape makes a few of them for each app with metrics."""
    METRICS_CACHE_SECONDS: float = setting(10.0, at_least(0, 3600))
    """Time for which a process caches metrics from the database."""
    EVENT_DAYS: int = setting(90, whole(1, LARGEST_DAYS))
    """Age at which ``prune_assignments`` deletes events; the other settings for days say the same of other records."""
    ATTEMPT_DAYS: int = setting(365, whole(EVIDENCE_DAYS, LARGEST_DAYS))
    """Attempts, by the end of their booking. At least 90 days, because planning evaluates past seatings."""
    RUN_DAYS: int = setting(30, whole(1, LARGEST_DAYS))
    """Ended runs of ``run_coordinator``."""
    OUTBOX_DAYS: int = setting(30, whole(1, LARGEST_DAYS))
    """Delivered outbox messages, and marks that could not be followed."""
    RELEASE: str = setting("", _release)
    """Name of the running release of V3, stored with each decision, one word. Default: the environment variable, or else a
    fingerprint of the code and of the settings that steer decisions."""
    TASKS: str = setting("", _dotted_path_or_empty)
    """Dotted path of the function that asks the project's queue to decide a restaurant-day, such as
    ``assignments.tasks.enqueue_day``, or ``assignments.tasks.enqueue_day_in_celery``. Empty: there is no queue, and
    ``run_coordinator`` decides.

    ``api.request`` and ``api.booking_changed`` call it after the commit, with ``restaurant_ref`` and
    ``service_date`` (ISO 8601).
    """
    MOVABLE_CLOCK: bool = setting(False, _boolean)
    """Whether tests and demonstrations may move the clock (``assignments.concurrency.clock``). Never in production."""

    def rearranges(self, restaurant_ref: str) -> bool:
        """Return whether the settings allow confirmed parties of the restaurant to be moved."""
        return self.REARRANGE if isinstance(self.REARRANGE, bool) else restaurant_ref in self.REARRANGE

    def rules(self) -> PlanningRules:
        """Return the settings for planning as a value."""
        return PlanningRules(
            max_spare_seats=self.MAX_SPARE_SEATS,
            max_tables=self.MAX_TABLES,
            min_lead_minutes=self.MIN_LEAD_MINUTES,
            max_party=self.MAX_PARTY,
            grace_minutes=self.GRACE_MINUTES,
            weights={**DEFAULT_WEIGHTS, **self.WEIGHTS},
        )


def _given() -> Any:
    """Return the project's settings, completed by environment variables."""
    given = getattr(django_settings, NAME, {})
    if not isinstance(given, Mapping):
        return given
    texts = {name: os.environ.get(variable, "").strip() for name, variable in VARIABLES.items()}
    said: dict[str, Any] = {name: text for name, text in texts.items() if text and name not in given}
    parallel = said.get("MAX_PARALLEL", "")
    if parallel.isascii() and parallel.isdecimal() and len(parallel) <= LONGEST_NUMBER:
        said["MAX_PARALLEL"] = int(said["MAX_PARALLEL"])
    return {**said, **given}


def is_given(name: str) -> bool:
    """Return whether the project or the environment sets this setting, so that its default does not apply."""
    given = _given()
    return isinstance(given, Mapping) and name in given


def problems() -> list[str]:
    """Return the problems of the settings, one sentence each."""
    given = _given()
    found = declared_problems(NAME, Settings, given, may_be_empty={"HOST"})
    if isinstance(given, Mapping) and not given.get("HOST"):
        found.append(
            f"{NAME}['HOST'] is required: the dotted path of your host class, such as 'booking.host.BookingHost'"
        )
    return found


def declared_problems(name: str, declared: type, given: Any, *, may_be_empty: Collection[str] = ()) -> list[str]:
    """Return the problems of the ``given`` settings, by the declarations in the dataclass ``declared``."""
    if not isinstance(given, Mapping):
        return [f"{name} must be a dict, not {given!r}"]
    known = {each.name: each for each in fields(declared)}
    found = [
        f"{name} has no setting {key!r}. Known settings: {', '.join(sorted(known))}"
        for key in sorted(set(given) - set(known))
    ]
    for key, value in given.items():
        each = known.get(key)
        problem = each.metadata["problem"](value) if each and (value or key not in may_be_empty) else None
        if each and problem:
            found.append(f"{name}[{key!r}] {problem}" + ("" if each.metadata["is_secret"] else f", not {value!r}"))
    return found


@cache
def settings() -> Settings:
    """Return the settings of this process. Raises ImproperlyConfigured with all invalid values."""
    found = problems()
    if found:
        raise ImproperlyConfigured("; ".join(found))
    return Settings(**_given())


@cache
def load(path: str) -> Any:
    """Return this process's instance of the class at ``path``. Raises ImproperlyConfigured if it cannot be imported."""
    return imported(path)()


def imported(path: str) -> Any:
    """Return the object at a dotted path. Raises ImproperlyConfigured for any error of its module."""
    try:
        return import_string(path)
    except Exception as error:
        raise ImproperlyConfigured(f"{path!r} cannot be imported: {_said(error)}") from error


def _said(error: Exception) -> str:
    """Return an error's type and message, and the file and line of the project that raised it."""
    if isinstance(error, SyntaxError):
        return f"{type(error).__name__}: {error.msg}, {error.filename}:{error.lineno}"
    frames = [(frame.f_code.co_filename, line) for frame, line in walk_tb(error.__traceback__)]
    places = [f"{file}:{line}" for file, line in frames if file not in _LOADERS and not file.startswith("<frozen ")]
    return ", ".join([f"{type(error).__name__}: {error}", *places[-1:]])


def _forget(*, setting: str, **kwargs: Any) -> None:
    if setting == NAME:
        settings.cache_clear()
        load.cache_clear()


setting_changed.connect(_forget, dispatch_uid="assignments.conf")

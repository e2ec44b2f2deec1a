"""System checks. Their ids are stable and never reused."""

import ipaddress
from collections.abc import Mapping, Sequence
from typing import Any

from django.apps import AppConfig, apps
from django.conf import settings as django_settings
from django.core import checks
from django.core.exceptions import ImproperlyConfigured
from django.db import InterfaceError, OperationalError, connection
from waffle import get_waffle_switch_model

from assignments import conf as assignments_conf
from assignments.checks import CREATED_BY_ITSELF, check_classes, check_routed_tables, takes
from assignments.concurrency import transactions
from assignments.error_logging import place_of
from assignments.integration.planners import MANUAL, NOBODY, V3, router_path
from rollout import conf
from rollout.flags import resolution

TLS_MODES = frozenset({"require", "verify-ca", "verify-full"})
ROUTER = "rollout.routing.RolloutRouter"
PLANNER_METHODS = ("process", "preview", "decided", "judge")
"""What the rollout calls of a legacy planner. ``judge`` decides a stored snapshot again."""
LOCAL_HOSTS = frozenset({"", "localhost", "localhost.localdomain", "host.docker.internal"})


@checks.register("rollout")
def check_apps(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[checks.CheckMessage]:
    """Check that waffle, which stores the switches, is installed (E011)."""
    if apps.is_installed("waffle"):
        return []
    return [
        checks.Error(
            'INSTALLED_APPS has "rollout", which also needs "waffle": it keeps the switches, and no flag can be read.',
            hint='Add "waffle" to INSTALLED_APPS, and run manage.py migrate.',
            id="rollout.E011",
        )
    ]


@checks.register("rollout")
def check_settings(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[checks.CheckMessage]:
    """Check variables (E001: neither true nor false), settings (E002) and the legacy planner's path (E003)."""
    found: list[checks.CheckMessage] = [
        checks.Error(problem, hint=f"See rollout.conf.Settings for what {conf.NAME} can contain.", id="rollout.E002")
        for problem in conf.problems()
    ]
    if found:
        return found
    found += [
        checks.Error(
            problem,
            hint="Until it is fixed, a wrong kill variable counts as set and a wrong flag as off.",
            id="rollout.E001",
        )
        for problem in resolution.wrong_variables()
    ]
    found += _candidate_problems(conf.settings().CANDIDATE)
    path = conf.settings().LEGACY_PLANNER
    return [*found, *_legacy_planner_problems(path)] if path else found


def _candidate_problems(path: str) -> list[checks.CheckMessage]:
    """E010: the function that decides as V3 cannot be imported, or not called."""
    try:
        candidate = assignments_conf.imported(path)
    except ImproperlyConfigured as error:
        problem = f"{conf.NAME}['CANDIDATE'] is wrong: {error}"
    else:
        if takes(candidate, None):
            return []
        problem = f"{path} ({conf.NAME}['CANDIDATE']) cannot be called with a snapshot."
    hint = f"Leave the setting out, or give the dotted path of a function, such as {conf.Settings().CANDIDATE!r}."
    return [checks.Error(problem, hint=hint, id="rollout.E010")]


def _legacy_planner_problems(path: str) -> list[checks.CheckMessage]:
    """E003: the class cannot be imported or created, or lacks methods or its key."""
    given = f"{path} ({conf.NAME}['LEGACY_PLANNER'])"
    hint = "Write it as assignments.integration.planners.Planner says; judge(snapshot) decides a stored snapshot again."
    try:
        cls = assignments_conf.imported(path)
        missing = [name for name in PLANNER_METHODS if not callable(getattr(cls, name, None))]
        if not isinstance(cls, type):
            problem = f"{given} is not a class, but of type {type(cls).__name__}."
        elif missing:
            problem = f"{given} lacks {', '.join(missing)}."
        elif assignments_conf.problems() or any(each.is_serious() for each in check_classes(None)):
            return []  # It may need the host when it is created; the others report what is wrong.
        elif _is_key(key := getattr(assignments_conf.load(path), "key", None)):
            return []
        else:
            problem = f"{given} lacks a key of its own, a text by which its decisions are known. Its key is {key!r}."
    except ImproperlyConfigured as error:
        problem = f"{conf.NAME}['LEGACY_PLANNER'] is wrong: {error}"
        hint = "Set it to the legacy planner's class while that is installed, and remove the setting afterwards."
    except Exception as error:  # noqa: BLE001  (whatever its __init__ does, the check reports it)
        problem = f"{given} cannot be instantiated: {type(error).__name__} at {place_of(error)}"
        hint = CREATED_BY_ITSELF
    return [checks.Error(problem, hint=hint, id="rollout.E003")]


def _is_key(key: Any) -> bool:
    return isinstance(key, str) and key not in {NOBODY, V3, MANUAL}


@checks.register("rollout")
def check_variables(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[checks.CheckMessage]:
    """Check that the variables do not turn on both flags (E004)."""
    if conf.problems():
        return []
    texts = conf.settings().ENVIRONMENT_VARIABLES
    if all(resolution.as_boolean(texts.get(name, "")) for name in (conf.V3_VARIABLE, conf.SHADOW_VARIABLE)):
        return [
            checks.Error(
                f"{conf.V3_VARIABLE} and {conf.SHADOW_VARIABLE} are both on: V3 cannot decide and only watch.",
                hint="Turn one of them off. Until then the mode is shadow.",
                id="rollout.E004",
            )
        ]
    return []


@checks.register("rollout")
def check_environment(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[checks.CheckMessage]:
    """Check that a server says which environment it is (E008): the default is development."""
    given = getattr(django_settings, conf.NAME, {})
    if conf.problems() or django_settings.DEBUG or "ENVIRONMENT" in given:
        return []
    return [
        checks.Error(
            f"DEBUG is False, but {conf.NAME}['ENVIRONMENT'] is not set, so the ladder of development would hold here.",
            hint=f"Set {conf.NAME} = {{'ENVIRONMENT': 'production'}}, or 'staging' or 'dev'.",
            id="rollout.E008",
        )
    ]


@checks.register("rollout")
def check_remote(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[checks.CheckMessage]:
    """Check that staging and production use a remote database over TLS (E006)."""
    if conf.problems():
        return []
    problem = objection_to_database(
        django_settings.DATABASES["default"],
        conf.settings().ENVIRONMENT,
        local_reason=conf.settings().LOCAL_DATABASE_REASON,
    )
    if not problem:
        return []
    return [
        checks.Error(
            problem,
            hint=f"Use a remote PostgreSQL with sslmode=require. For everything on one server, set "
            f"{conf.NAME}['LOCAL_DATABASE_REASON'] to the reason why its PostgreSQL may be local.",
            id="rollout.E006",
        )
    ]


@checks.register("rollout")
def check_clock(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[checks.CheckMessage]:
    """Check that nobody can move the clock in staging and production (E007)."""
    if conf.problems() or conf.settings().ENVIRONMENT not in conf.REMOTE_ENVIRONMENTS:
        return []
    if assignments_conf.problems() or not assignments_conf.settings().MOVABLE_CLOCK:
        return []
    problem = f"In {conf.settings().ENVIRONMENT} the clock must not be movable."
    return [checks.Error(problem, hint="Remove MOVABLE_CLOCK from ASSIGNMENTS.", id="rollout.E007")]


@checks.register(checks.Tags.database)
def check_switches(
    app_configs: Sequence[AppConfig] | None, databases: Sequence[str] | None = None, **kwargs: Any
) -> list[checks.CheckMessage]:
    """Check that switches and variables do not turn on both flags (E005), and that somebody decides (E009).

    Needs --database default. The first ``migrate`` has no switches yet, and says W001 instead of E009.
    """
    if not databases or "default" not in databases or conf.problems() or not apps.is_installed("waffle"):
        return []
    if check_routed_tables(None):
        return []  # assignments.E010 and E011 say so.
    try:
        if get_waffle_switch_model()._meta.db_table not in connection.introspection.table_names():
            return _perhaps_nobody_decides()  # There are no switches before the first migrate.
    except (OperationalError, InterfaceError) as error:
        if transactions.is_database_away(error):
            return []  # assignments.E014 says so.
        raise
    current = resolution.read()
    if not current.contradict:
        return _nobody_decides(current)
    sources = f"{current.v3.switch} ({current.v3.source}), {current.shadow.switch} ({current.shadow.source})"
    return [
        checks.Error(
            f"Both flags are on: {sources}.",
            hint="Turn one of them off. Until then the mode is shadow.",
            id="rollout.E005",
        )
    ]


@checks.register("rollout", deploy=True)
def check_v3(
    app_configs: Sequence[AppConfig] | None, databases: Sequence[str] | None = None, **kwargs: Any
) -> list[checks.CheckMessage]:
    """Check that a variable lets a planner decide if no switches are read (W001). If they are, E009 checks it.

    Only for deployments: if only a switch turns V3 on, every command would warn without cause.
    """
    if (databases and "default" in databases) or conf.problems():
        return []
    return _perhaps_nobody_decides()


def _perhaps_nobody_decides() -> list[checks.CheckMessage]:
    """W001: no planner decides, unless the switch of V3 is on, which is not known here."""
    texts = conf.settings().ENVIRONMENT_VARIABLES
    if not _is_v3_alone() or resolution.is_killed() or resolution.as_boolean(texts.get(conf.V3_VARIABLE, "")):
        return []
    return [
        checks.Warning(
            f"No legacy planner is installed, and {conf.V3_VARIABLE} does not turn V3 on. Unless its switch does, nobody "
            f"decides, and every booking waits.",
            hint=f"Set {conf.V3_VARIABLE}=true. Or, once the database is migrated, run manage.py rollout set v3 on "
            "--reason ..., and manage.py check --database default, which reads the switch.",
            id="rollout.W001",
        )
    ]


def _is_v3_alone() -> bool:
    """Return whether only V3 can decide: there is no legacy planner, and the router is ours, which asks the flags."""
    return not (assignments_conf.problems() or router_path() != ROUTER or conf.settings().LEGACY_PLANNER)


def _nobody_decides(current: resolution.Flags) -> list[checks.CheckMessage]:
    """E009: no planner decides. Not reported if a person has turned V3 off, by its switch or the kill variable.

    Nor if the project has its own router, which need not ask the flags.
    """
    is_meant = current.killed or current.v3.source is resolution.Source.SWITCH
    if is_meant or current.mode is resolution.Mode.ACTIVE or not _is_v3_alone():
        return []
    return [
        checks.Error(
            f"No legacy planner is installed, and V3 is off ({current.v3.source}): nobody decides, and every booking waits.",
            hint=f"Turn V3 on ({conf.V3_VARIABLE}=true, or manage.py rollout set v3 on --reason ...), or install the "
            "legacy planner. To use V3 without a rollout, take rollout out of INSTALLED_APPS.",
            id="rollout.E009",
        )
    ]


def objection_to_database(database: Mapping[str, Any], environment: str, *, local_reason: str = "") -> str:
    """Say why this database (an entry of DATABASES) is not allowed in the environment; "" if it is.

    ``local_reason``: why a local PostgreSQL is allowed; empty if it is not.
    """
    if environment not in conf.REMOTE_ENVIRONMENTS:
        return ""
    engine, host = str(database.get("ENGINE", "")), str(database.get("HOST") or "")
    if "postgresql" not in engine and "postgis" not in engine:
        return f"In {environment} the database must be a remote PostgreSQL, not {engine!r}."
    if _is_local(host) and local_reason.strip():
        return ""
    if _is_local(host):
        return f"In {environment} the database must be a remote PostgreSQL, not {host or 'a local socket'!r}."
    mode = str(database.get("OPTIONS", {}).get("sslmode", ""))
    if mode not in TLS_MODES:
        modes = ", ".join(sorted(TLS_MODES))
        return f"In {environment} the database connection needs TLS: sslmode must be one of {modes}, not {mode!r}."
    return ""


def _is_local(host: str) -> bool:
    if host.lower() in LOCAL_HOSTS or host.startswith("/"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False

"""System checks. Ids are stable and never reused.

Long because each check says in words what was found, and what to write instead.
"""

from collections.abc import Iterator, Mapping, Sequence
from inspect import signature
from ipaddress import ip_address
from typing import Any

from django.apps import AppConfig, apps
from django.conf import settings as django_settings
from django.core import checks
from django.core.exceptions import ImproperlyConfigured
from django.db import DEFAULT_DB_ALIAS, DatabaseError, InterfaceError, connection, router
from django.db.models import Model

from assignments import conf
from assignments.concurrency import clock, transactions
from assignments.error_logging import place_of
from assignments.integration import planners
from assignments.integration.host import Host
from assignments.integration.model_host import ModelHost
from assignments.integration.model_host.attributes import field_at
from assignments.integration.planners import NOBODY, SOLE_ROUTER, V3, Route, Router, router_path
from assignments.integration.swaps import obstacle_to_swaps
from assignments.maintenance import retention
from assignments.models import Assignment, ListedJoin, ServiceHours, TableDetails
from assignments.telemetry.events import Sink

UNDEFINED_TABLE = "42P01"
NOT_MIGRATED = frozenset({UNDEFINED_TABLE, "42703"})
"""SQLSTATEs of a table or a column that ``migrate``, which runs checks first, is about to create."""
HOST_METHODS = tuple(name for name, each in vars(Host).items() if callable(each) and not name.startswith("_"))
RESTAURANTS_CHECKED = 1000
LONGEST_SILENCE_SECONDS = 60
PATIENCE = {"keepalives_idle": 5, "keepalives_interval": 2, "keepalives_count": 3, "tcp_user_timeout": 10_000}
"""How a worker notices soon that the database's machine is gone, as in docs/production.md."""
HOOKS = ("start_of", "end_of", "party_of", "write_tables", "stored_form")
"""Methods that a ``ModelHost`` may write anew."""
NAMED: Mapping[str, tuple[type, tuple[str, ...], str]] = {
    "HOST": (Host, HOST_METHODS, "booking.host.BookingHost"),
    "ROUTER": (Router, ("route", "planner"), SOLE_ROUTER),
    "EVENT_SINKS": (Sink, ("write",), "assignments.telemetry.events.DatabaseSink"),
}
"""Settings that name classes: the protocol, its methods, and a path that fits."""
CREATED_BY_ITSELF = (
    "Write an __init__(self) without other parameters that raises nothing: the class is created without arguments, once "
    "per process. What can fail, such as a query, belongs in its methods."
)
UNKNOWN_BOOKING = "assignments-check-no-such-booking"


def _error(id_: str, problem: str, *, hint: str | None = None) -> list[checks.CheckMessage]:
    return [checks.Error(problem, hint=hint, id=id_)]


def _raised(error: Exception) -> str:
    """Say what type of error the project's code raised, and where: never its message, which may name a guest."""
    return f"{type(error).__name__} at {place_of(error)}"


@checks.register("assignments")
def check_settings(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[checks.CheckMessage]:
    """E001: a setting is missing or invalid."""
    return [
        checks.Error(
            problem, hint=f"See assignments.conf.Settings for what {conf.NAME} may hold.", id="assignments.E001"
        )
        for problem in conf.problems()
    ]


@checks.register("assignments")
def check_time_zones(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[checks.CheckMessage]:
    """E009: times would be stored without a time zone."""
    if django_settings.USE_TZ:
        return []
    return _error(
        "assignments.E009",
        "USE_TZ is False: a booking's start would have no time zone, and none could be planned.",
        hint="Set USE_TZ = True, as Django does by default.",
    )


@checks.register("assignments", deploy=True)
def check_connection(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[checks.CheckMessage]:
    """W030: a worker would wait for hours for a database whose machine has vanished."""
    database = connection.settings_dict
    host, options = str(database.get("HOST") or ""), database.get("OPTIONS", {})
    if connection.vendor != "postgresql" or is_near(host):
        return []
    problem = "; ".join(_waits_too_long(options))
    if not problem:
        return []
    return [
        checks.Warning(
            f"If the machine of the database vanishes, workers wait for it: {problem}.",
            hint=f"Set in DATABASES['default']['OPTIONS']: {', '.join(f'{k!r}: {v}' for k, v in PATIENCE.items())}. See "
            "docs/production.md.",
            id="assignments.W030",
        )
    ]


def is_near(host: str) -> bool:
    """Return whether the database is on this machine, so that no network lies in between."""
    try:
        return not host or host.startswith(("/", "@")) or host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def _waits_too_long(options: Mapping[str, Any]) -> Iterator[str]:
    def number(name: str, default: int = 0) -> int:
        try:
            return int(options.get(name, default))
        except (TypeError, ValueError):
            return 0

    if not number("keepalives", 1):
        yield "keepalives is off"
    elif not number("keepalives_idle"):
        yield "keepalives_idle is not set"
    else:
        # What libpq leaves to Linux: 75 seconds, nine times.
        seconds = number("keepalives_idle") + (number("keepalives_interval") or 75) * (number("keepalives_count") or 9)
        if seconds > LONGEST_SILENCE_SECONDS:
            yield f"it is asked for {seconds} seconds whether it is there"
    if not 0 < number("tcp_user_timeout") <= LONGEST_SILENCE_SECONDS * 1000:
        yield f"tcp_user_timeout is {options.get('tcp_user_timeout', 'not set')}"


@checks.register("assignments")
def check_postgres_app(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[checks.CheckMessage]:
    """W012: Django's own app for PostgreSQL is missing. From Django 6.0 on, Django's checks refuse that."""
    if apps.is_installed("django.contrib.postgres"):
        return []
    return [
        checks.Warning(
            "INSTALLED_APPS has no 'django.contrib.postgres', whose fields and constraints this app's tables have.",
            hint="Add 'django.contrib.postgres' to INSTALLED_APPS. It has no tables of its own.",
            id="assignments.W012",
        )
    ]


@checks.register("assignments")
def check_classes(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[checks.CheckMessage]:
    """E002: a class cannot be loaded. E003: it lacks methods."""
    if conf.problems():
        return []
    settings = conf.settings()
    named = [
        ("HOST", settings.HOST),
        ("ROUTER", router_path()),
        *(("EVENT_SINKS", path) for path in settings.EVENT_SINKS),
    ]
    found = [problem for name, path in named for problem in _class_problems(name, path)]
    return found + (_task_problems(settings.TASKS) if settings.TASKS else [])


def _task_problems(path: str) -> list[checks.CheckMessage]:
    """E002: the function cannot be imported. E003: it cannot be called."""
    hint = "Give the dotted path of a function, such as 'assignments.tasks.enqueue_day', or leave the setting out."
    try:
        enqueue = conf.imported(path)
    except ImproperlyConfigured as error:
        return _error("assignments.E002", f"{conf.NAME}['TASKS'] is wrong: {error}", hint=hint)
    if takes(enqueue, restaurant_ref="", service_date=""):
        return []
    problem = f"{path} ({conf.NAME}['TASKS']) cannot be called with restaurant_ref and service_date."
    return _error("assignments.E003", problem, hint=hint)


def _class_problems(name: str, path: str) -> list[checks.CheckMessage]:
    protocol, methods, example = NAMED[name]
    given = f"{path} ({conf.NAME}[{name!r}])"
    as_declared = f"Write it as {protocol.__module__}.{protocol.__qualname__} says"
    hint = f"{as_declared}, or inherit from assignments.host.ModelHost." if protocol is Host else f"{as_declared}."
    try:
        cls = conf.imported(path)
    except ImproperlyConfigured as error:
        return _error(
            "assignments.E002",
            f"{conf.NAME}[{name!r}] is wrong: {error}",
            hint=f"Correct what its module raises, or give the dotted path of a class, such as {example!r}.",
        )
    if not isinstance(cls, type):
        return _error("assignments.E003", f"{given} is not a class, but of type {type(cls).__name__}.", hint=hint)
    missing = [method for method in methods if not callable(getattr(cls, method, None))]
    if missing:
        return _error("assignments.E003", f"{given} lacks {', '.join(missing)}.", hint=hint)
    try:
        instance = conf.load(path)
    except ImproperlyConfigured as error:
        return _error(
            "assignments.E002",
            f"{given} cannot be created as it is configured: {error}",
            hint="Set what the message asks for, or name another class.",
        )
    except Exception as error:  # noqa: BLE001  (whatever its __init__ does, the check reports it)
        return _error("assignments.E002", f"{given} cannot be instantiated: {_raised(error)}", hint=CREATED_BY_ITSELF)
    try:
        return _instance_problems(instance, given, protocol, methods)
    except Exception as error:  # noqa: BLE001  (whatever a class of the project raises, the check reports it)
        problem = f"{given} cannot be checked: {_raised(error)}"
        return _error("assignments.E002", problem, hint="Correct what is raised there.")


def _instance_problems(instance: Any, given: str, protocol: type, methods: Sequence[str]) -> list[checks.CheckMessage]:
    """E003: methods have other parameters. Then what its own ``check()`` finds."""
    optional = [] if protocol is not Host else ["on_moved", *(HOOKS if isinstance(instance, ModelHost) else ())]
    if uncallable := [each for each in (*methods, *optional) if not _can_be_called(instance, each, protocol)]:
        return _error(
            "assignments.E003",
            f"{given} has methods with other parameters: {', '.join(uncallable)}.",
            hint="Write them as docs/reference/host.md says: bookings(refs, *, lock=False), for example."
            if protocol is Host
            else f"Write them as {protocol.__module__}.{protocol.__qualname__} says.",
        )
    own_check = getattr(instance, "check", None)
    found = list(own_check()) if callable(own_check) else []
    if all(isinstance(each, checks.CheckMessage) for each in found):
        return found
    problem = f"{given} has a check() that returns something other than messages of django.core.checks."
    return _error("assignments.E003", problem, hint="Return a list of checks.Error and checks.Warning.")


def _can_be_called(instance: object, method: str, protocol: type) -> bool:
    """Return whether a method takes what it is given: what the protocol says, or ``ModelHost`` for its own hooks."""
    declared = getattr(protocol, method, None) or getattr(ModelHost, method, None)
    own = getattr(instance, method, None)
    if declared is None or not callable(own):
        return True
    given = list(signature(declared).parameters.values())[1:]
    positional = [each for each in given if each.kind is not each.KEYWORD_ONLY]
    return takes(own, *positional, **{each.name: None for each in given if each.kind is each.KEYWORD_ONLY})


def takes(function: Any, *positional: Any, **named: Any) -> bool:
    """Return whether a function can be called with these arguments, as far as anything is known of its parameters."""
    if not callable(function):
        return False
    try:
        signature(function).bind(*positional, **named)
    except TypeError:
        return False
    except ValueError:
        return True  # Nothing is known of its parameters.
    return True


@checks.register("assignments")
def check_moves(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[checks.CheckMessage]:
    """W007: the host is not told of moves by ``on_moved``."""
    if conf.problems():
        return []
    try:
        host = conf.load(conf.settings().HOST)
        is_told = callable(getattr(host, "on_moved", None)) or not isinstance(host, Host)
    except Exception:  # noqa: BLE001  (E002 says so)
        return []
    if is_told:
        return []
    return [
        checks.Warning(
            f"{conf.settings().HOST} has no on_moved(): when guests get other tables, it hears of a release and a "
            f"confirmation instead.",
            hint="Write on_moved(self, moves): for each move, store to_table_refs as the tables of booking_ref, from "
            "starts_at to ends_at, and mark the booking as confirmed. ModelHost has it.",
            id="assignments.W007",
        )
    ]


@checks.register("assignments")
def check_rearrangement(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[checks.CheckMessage]:
    """W011: REARRANGE is set, but the host does not say which guests were told their table."""
    if conf.problems() or not conf.is_given("REARRANGE") or not conf.settings().REARRANGE:
        return []
    try:
        host = conf.load(conf.settings().HOST)
        is_told = callable(getattr(host, "on_moved", None)) and getattr(host, "reports_told_tables", False)
    except Exception:  # noqa: BLE001  (E002 says so)
        return []
    if is_told:
        return []
    return [
        checks.Warning(
            f"ASSIGNMENTS['REARRANGE'] is set, but nobody is moved: {conf.settings().HOST} does not say which guests have "
            f"been told their table, or has no on_moved().",
            hint="For a ModelHost, set told_field or told_statuses. Otherwise set HostBooking.table_told, or call "
            "api.table_told, and set reports_told_tables = True; and write on_moved(self, moves).",
            id="assignments.W011",
        )
    ]


@checks.register("assignments")
def check_router(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[checks.CheckMessage]:
    """W013: an app brings another planner (``brings_planner``), but only V3 decides."""
    if conf.problems() or router_path() != SOLE_ROUTER or conf.settings().ROUTER:
        return []
    others = [each.name for each in apps.get_app_configs() if getattr(each, "brings_planner", False)]
    if not others:
        return []
    return [
        checks.Warning(
            f"The planner {others[0]!r} is installed, but no app that could ask it: V3 decides every booking, and "
            f"nothing is compared.",
            hint=f"Add the app that routes between planners to INSTALLED_APPS. To let V3 decide alone, take {others[0]!r} "
            f"out of it, or set ROUTER in {conf.NAME} to {SOLE_ROUTER!r}.",
            id="assignments.W013",
        )
    ]


@checks.register("assignments")
def check_swaps(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[checks.CheckMessage]:
    """W010: two bookings cannot exchange their tables in the host's rows."""
    host = _model_host()
    obstacle = obstacle_to_swaps(host) if host else ""
    if not obstacle:
        return []
    return [
        checks.Warning(
            f"Two bookings cannot swap their tables, and api.swap refuses. {obstacle}",
            hint="Make the foreign key nullable, or the constraint deferrable (deferrable=models.Deferrable.DEFERRED).",
            id="assignments.W010",
        )
    ]


@checks.register("assignments")
def check_retention(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[checks.CheckMessage]:
    """E007: retention is shorter than other parts need."""
    if conf.problems():
        return []
    try:
        retention.check()
    except retention.StillNeededError as error:
        return _error("assignments.E007", str(error), hint="Increase the retention.")
    return []


@checks.register("assignments", deploy=True)
def check_clock(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[checks.CheckMessage]:
    """E008: the clock can be moved. With --deploy only."""
    if conf.problems() or not conf.settings().MOVABLE_CLOCK:
        return []
    return _error(
        "assignments.E008",
        f"{conf.NAME}['MOVABLE_CLOCK'] is on, so the clock can be moved.",
        hint="Set it in development and tests only.",
    )


@checks.register("assignments")
def check_database(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[checks.CheckMessage]:
    """E004: the database is not PostgreSQL."""
    if is_postgresql():
        return []
    engine = django_settings.DATABASES.get(DEFAULT_DB_ALIAS, {}).get("ENGINE", "")
    return _error(
        "assignments.E004",
        f"The default database is {engine!r}. Double bookings are prevented by a PostgreSQL exclusion constraint.",
        hint="Use PostgreSQL 14 or later, with psycopg 3.",
    )


def is_postgresql() -> bool:
    """Return whether the default database is PostgreSQL. Otherwise checks that query say nothing, because E004 does."""
    return connection.vendor == "postgresql"


@checks.register("assignments")
def check_routed_tables(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[checks.CheckMessage]:
    """E010: this app's tables are on another database. E011: bookings, tables or restaurants of the host are."""
    try:
        return _routed_tables()
    except Exception as error:  # noqa: BLE001  (whatever a router of the project raises, the check reports it)
        return _error(
            "assignments.E010",
            f"DATABASE_ROUTERS raised {_raised(error)} when asked where tables are.",
            hint="Correct the router. For a model that it does not know it returns None.",
        )


def _routed_tables() -> list[checks.CheckMessage]:
    found = []
    if elsewhere := _other_database(Assignment):
        found += _error(
            "assignments.E010",
            f"DATABASE_ROUTERS put this app's tables on the database {elsewhere!r}. It decides in transactions of "
            f"{DEFAULT_DB_ALIAS!r} only.",
            hint=f"Have the routers return None or {DEFAULT_DB_ALIAS!r} for app_label 'assignments'.",
        )
    host = _model_host()
    placed = {model._meta.label: _other_database(model) for model in _models_of(host)} if host else {}
    named = ", ".join(f"{label} on the database {alias!r}" for label, alias in placed.items() if alias)
    if named:
        found += _error(
            "assignments.E011",
            f"DATABASE_ROUTERS put {named}. Bookings, tables and restaurants are read and stored in one transaction, so all "
            f"must be on {DEFAULT_DB_ALIAS!r}.",
            hint=f"Have the routers return None or {DEFAULT_DB_ALIAS!r} for these models.",
        )
    return found


def _models_of(host: ModelHost) -> list[type[Model]]:
    """Return the models of the project that the host names: of bookings, tables, hours, turn times and restaurants."""
    labels = (host.booking_model, host.table_model, host.hours_model, host.turn_model)
    found = [apps.get_model(label) for label in labels if label]
    restaurant = field_at(host.bookings_table, host.restaurant_field).related_model if host.restaurant_field else None
    return [*found, restaurant] if isinstance(restaurant, type) and restaurant not in found else found


def _other_database(model: type[Model]) -> str:
    """Return the alias of the database that the project's routers name for a model; empty if it is the default."""
    for alias in (router.db_for_write(model), router.db_for_read(model)):
        if alias != DEFAULT_DB_ALIAS:
            return str(alias)
    return "" if router.allow_migrate_model(DEFAULT_DB_ALIAS, model) else "none"


def _model_host() -> ModelHost | None:
    """Return the project's host if it is a valid ``ModelHost``, else None; E001, E002 and E006 report what is wrong."""
    if conf.problems():
        return None
    try:
        host = conf.load(conf.settings().HOST)
        return host if isinstance(host, ModelHost) and not any(each.is_serious() for each in host.check()) else None
    except Exception:  # noqa: BLE001  (whatever a host's __init__ or check does: E002 says so)
        return None


@checks.register(checks.Tags.database)
def check_host_answers(
    app_configs: Sequence[AppConfig] | None, databases: Sequence[str] | None = None, **kwargs: Any
) -> list[checks.CheckMessage]:
    """E014: there is no database. E015: the router fails. E005: the host must return nothing for unknown bookings.

    Then E012, E013, W002 and W006.

    Run with --database default.
    """
    if not databases or DEFAULT_DB_ALIAS not in databases or not is_postgresql():
        return []
    if unreachable := _why_unreachable():
        return _error(
            "assignments.E014",
            f"The default database cannot be reached: {unreachable}",
            hint="Start the server, or correct DATABASES; manage.py dbshell connects as this project does, and shows why.",
        )
    if conf.problems():
        return []
    if any(each.is_serious() for each in [*check_classes(None), *check_routed_tables(None)]):
        return []  # It could not answer; the others report why.
    host = conf.load(conf.settings().HOST)
    return [*_router_problems(), *(_answer_to_an_unknown_ref(host) or _problems_of_rows(host))]


def _router_problems() -> list[checks.CheckMessage]:
    """E015: the router does not say who decides a booking."""
    path = router_path()
    asked = Assignment(
        booking_ref=UNKNOWN_BOOKING, restaurant_ref="", service_date=clock.now().date(), requested_at=clock.now()
    )
    try:
        route: object = planners.router().route([asked])[UNKNOWN_BOOKING]
        if isinstance(route, Route):
            if route.planner not in {NOBODY, V3}:
                planners.router().planner(route.planner)
            return []
        problem = f"{path} (ROUTER) routes a booking to something of type {type(route).__name__}, which is not a Route."
    except Exception as error:  # noqa: BLE001  (whatever the router raises, the check reports it)
        if transactions.sqlstate(error) in NOT_MIGRATED:
            return []  # ``migrate``, which runs checks first, is about to create them.
        problem = f"{path} (ROUTER) raised {_raised(error)} when asked who decides a booking."
    hint = (
        "Have route(assignments) return a Route for each booking_ref, also of restaurants that it does not know, and "
        "planner(key) the planner of each key that it names. Until then no booking is decided."
    )
    return _error("assignments.E015", problem, hint=hint)


def _answer_to_an_unknown_ref(host: Host) -> list[checks.CheckMessage]:
    """E005: the host has an answer for a booking that does not exist."""
    try:
        known = host.bookings([UNKNOWN_BOOKING])
    except Exception as error:  # noqa: BLE001  (whatever the host raises, the check reports it)
        if transactions.sqlstate(error) in NOT_MIGRATED:
            return []
        problem = f"For a booking that does not exist the host raised {_raised(error)}"
    else:
        if known == {}:
            return []
        problem = (
            "The host returned a booking that does not exist."
            if isinstance(known, Mapping)
            else f"Host.bookings() returned something of type {type(known).__name__}, which is no mapping by booking ref."
        )
    hint = "Host.bookings() must leave out unknown refs, including malformed ones."
    return _error("assignments.E005", problem, hint=hint)


def _problems_of_rows(host: Host) -> list[checks.CheckMessage]:
    """W002, W006 and E013. E012: the host raises an error instead."""
    found: list[checks.CheckMessage] = []
    for look in (_tables_not_taken_over, _floor_data_passed_over, _unknown_time_zones):
        try:
            found += look(host)
        except Exception as error:  # noqa: BLE001  (whatever the host raises, the check reports it)
            if transactions.sqlstate(error) in NOT_MIGRATED:
                continue
            found += _error(
                "assignments.E012",
                f"The host raised {_raised(error)} while its bookings and floors were read.",
                hint="Run manage.py inspect_host, which names the rows that cannot be read.",
            )
    return found


def _why_unreachable() -> str:
    """Return why the default database cannot be reached, in its own words; empty if it can. One query."""
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except (DatabaseError, InterfaceError) as error:
        if transactions.is_database_away(error):
            return " ".join(str(error).split()) or type(error).__name__
    return ""


def _unknown_time_zones(host: Host) -> list[checks.CheckMessage]:
    """E013: restaurants of the host have time zones that do not exist."""
    if not isinstance(host, ModelHost):
        return []
    found = list(host.unknown_time_zones(limit=RESTAURANTS_CHECKED))
    if not found:
        return []
    named = ", ".join(f"{zone!r} of restaurant {ref}" for ref, zone in found[:3])
    more = f" (and {len(found) - 3} more)" if len(found) > 3 else ""
    return _error(
        "assignments.E013",
        f"Time zones do not exist: {named}{more}. Their bookings cannot be read.",
        hint="Store IANA names, such as 'Europe/Berlin'. Until then, enter the time zone in this app's venue settings.",
    )


def _floor_data_passed_over(host: Host) -> list[checks.CheckMessage]:
    """W006: floor data contradicts the host's tables, so planners ignore or change it."""
    if not isinstance(host, ModelHost) or type(host).floor is not ModelHost.floor:
        return []
    refs: set[str] = set()
    for model in (TableDetails, ListedJoin, ServiceHours):
        rows = model._default_manager.values_list("restaurant_ref", flat=True)
        refs.update(rows.distinct()[:RESTAURANTS_CHECKED])
    found = [
        f"restaurant {ref}, {problem}"
        for ref in sorted(refs)[:RESTAURANTS_CHECKED]
        for problem in host.passed_over(ref)
    ]
    if not found:
        return []
    more = f" (and {len(found) - 3} more)" if len(found) > 3 else ""
    return [
        checks.Warning(
            f"Floor data is not used as it was entered: {'; '.join(found[:3])}{more}.",
            hint="Correct it in the admin. Limits above the seats are read as the seats, and such joins are not used.",
            id="assignments.W006",
        )
    ]


def _tables_not_taken_over(host: Host) -> list[checks.CheckMessage]:
    """W002: bookings that the host has seated have no tables here, so planners could assign those to others."""
    from assignments.maintenance import reconcile
    from assignments.maintenance.host_reading import Reading

    reading = Reading(goes_on=False)
    now = transactions.database_now()
    found = next(reconcile.seated_without_us(now=now, dry_run=True, restaurant_ref=None, reading=reading), None)
    if found is None:
        return []
    return [
        checks.Warning(
            f"Booking {found.booking_ref} (and perhaps others) is seated by the host but unknown here. Its tables "
            f"could be assigned to others.",
            hint="Run manage.py reconcile_assignments before any planner runs.",
            id="assignments.W002",
        )
    ]

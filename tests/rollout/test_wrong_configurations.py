"""Wrong configurations: each has an id of its own, and says what is wrong and what to write. None raises, none is silent."""

import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.apps import apps
from django.core import checks
from django.core.exceptions import ImproperlyConfigured
from django.core.management import call_command
from django.core.management.base import SystemCheckError
from django.db import OperationalError, connection
from django.db.models import UniqueConstraint
from waffle.models import Switch

from assignments.checks import HOST_METHODS
from assignments.integration import planners
from assignments.models import ListedJoin
from assignments.testing import MemoryHost
from tests.assignments.integration.test_host_check import WRONG, MuddleHost
from tests.assignments.test_checks import Elsewhere
from tests.docs.test_checks import ROW, TEXT
from tests.shapes.hosts import CardHost, InvitationHost, StayHost, SupperHost
from tests.shapes.models import Board, Card, House, Stay

pytestmark = pytest.mark.django_db

V3, SHADOW = "FEATURE_ASSIGNMENT_PIPELINE_V3", "FEATURE_ASSIGNMENT_PIPELINE_V3_SHADOW"
SOLE = "assignments.integration.planners.SoleRouter"
RIGHT = {"HOST": f"{__name__}.RightHost", "ROUTER": SOLE, "EVENT_SINKS": ("assignments.telemetry.events.MemorySink",)}
LEGACY = {"ENVIRONMENT": "dev", "LEGACY_PLANNER": f"{__name__}.RightPlanner"}


class RightPlanner:
    """Has what the checks ask of a legacy planner."""

    key = "old"
    process = preview = decided = judge = lambda *given, **named: None


class RightHost(MuddleHost):
    """Nothing is wrong with it."""


class Few:
    """Has no methods."""


class Unready:
    """Has all methods, and lacks what it needs when it is created."""

    def __init__(self) -> None:
        raise ImproperlyConfigured("BOOKING_KEY is missing")


class Demanding:
    """Cannot be created without arguments."""

    def __init__(self, restaurant: str) -> None: ...


for uncreatable in (Unready, Demanding):
    for method in HOST_METHODS:
        setattr(uncreatable, method, lambda *given, **named: None)


class Inventive(StayHost):
    """Raises for refs that it does not know."""

    def bookings(self, refs: Any, *, lock: bool = False) -> Any:
        if any("no-such" in ref for ref in refs):
            raise ZeroDivisionError("a ref that nobody has")
        return super().bookings(refs, lock=lock)


class Unreadable(StayHost):
    """Raises for the bookings that it has."""

    def history(self, **options: Any) -> Any:
        raise ZeroDivisionError("unreadable")


class Undecided(planners.SoleRouter):
    """Cannot say who decides."""

    def route(self, assignments: Any) -> Any:
        raise ZeroDivisionError("unroutable")


class Immovable(MemoryHost):
    """Is not told of moves."""

    on_moved = None  # type: ignore[assignment]


def host(cls: type, **attributes: Any) -> Callable[[Any, Any], None]:
    """Make this class, with these attributes, the project's host."""

    def apply(settings: Any, monkeypatch: Any) -> None:
        monkeypatch.setattr(sys.modules[__name__], "Chosen", type("Chosen", (cls,), attributes), raising=False)
        settings.ASSIGNMENTS = {**RIGHT, "HOST": f"{__name__}.Chosen"}

    return apply


def assignments(**given: Any) -> Callable[[Any, Any], None]:
    def apply(settings: Any, monkeypatch: Any) -> None:
        settings.ASSIGNMENTS = {**RIGHT, **given}

    return apply


def rollout(**given: Any) -> Callable[[Any, Any], None]:
    def apply(settings: Any, monkeypatch: Any) -> None:
        settings.ROLLOUT = {**LEGACY, **given}

    return apply


def django(**given: Any) -> Callable[[Any, Any], None]:
    def apply(settings: Any, monkeypatch: Any) -> None:
        for name, value in given.items():
            setattr(settings, name, value)

    return apply


def not_postgresql(settings: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(connection, "vendor", "sqlite")
    monkeypatch.setitem(settings.DATABASES["default"], "ENGINE", "django.db.backends.sqlite3")


def bookings_elsewhere(settings: Any, monkeypatch: Any) -> None:
    settings.DATABASE_ROUTERS = [Elsewhere("shapes")]


def seated_already(settings: Any, monkeypatch: Any) -> None:
    board = Board.objects.create(label="B1", places=4)
    Stay.objects.create(start=datetime.now(UTC) + timedelta(days=2), covers=2, accepted=True, board=board)
    host(StayHost)(settings, monkeypatch)


def unknown_time_zone(settings: Any, monkeypatch: Any) -> None:
    House.objects.create(name="Anchor", time_zone="Berlin")
    host(SupperHost, restaurant_timezone_field="time_zone")(settings, monkeypatch)


def unusable_join(settings: Any, monkeypatch: Any) -> None:
    ListedJoin.objects.create(restaurant_ref="venue", table_refs=["gone", "lost"], seats=8)


def required_and_unique(settings: Any, monkeypatch: Any) -> None:
    constraint = UniqueConstraint(fields=["board", "start"], name="one_party_a_board")
    monkeypatch.setattr(Card._meta, "constraints", [constraint])
    host(CardHost, cancelled_statuses=("off",))(settings, monkeypatch)


def counted_when_cancelled(settings: Any, monkeypatch: Any) -> None:
    host(InvitationHost)(settings, monkeypatch)


def unnamed_environment(settings: Any, monkeypatch: Any) -> None:
    settings.DEBUG = False
    settings.ROLLOUT = {"LEGACY_PLANNER": LEGACY["LEGACY_PLANNER"]}


def moved_in_production(settings: Any, monkeypatch: Any) -> None:
    settings.ROLLOUT = {**LEGACY, "ENVIRONMENT": "production"}
    settings.ASSIGNMENTS = {**RIGHT, "MOVABLE_CLOCK": True}


def without_a_planner(settings: Any, monkeypatch: Any) -> None:
    settings.ROLLOUT = {"LEGACY_PLANNER": "", "ENVIRONMENT": "dev", "ENVIRONMENT_VARIABLES": {}}
    assert found() == []  # The project's own router decides: V3 alone.
    settings.ASSIGNMENTS = {**RIGHT, "ROUTER": "rollout.routing.RolloutRouter"}


def without_a_planner_nor_a_database(settings: Any, monkeypatch: Any) -> None:
    settings.ROLLOUT = {"LEGACY_PLANNER": "", "ENVIRONMENT": "dev", "ENVIRONMENT_VARIABLES": {V3: "true"}}
    settings.ASSIGNMENTS = {**RIGHT, "ROUTER": "rollout.routing.RolloutRouter"}
    monkeypatch.setattr(sys.modules[__name__], "DATABASES", [])
    assert found() == []  # The variable lets V3 decide.
    settings.ROLLOUT = {**settings.ROLLOUT, "ENVIRONMENT_VARIABLES": {V3: "no"}}


def without(app: str) -> Callable[[Any, Any], None]:
    def apply(settings: Any, monkeypatch: Any) -> None:
        is_installed = apps.is_installed
        monkeypatch.setattr(apps, "is_installed", lambda name: name != app and is_installed(name))

    return apply


def unreachable(settings: Any, monkeypatch: Any) -> None:
    def refuse(*given: Any, **named: Any) -> Any:
        raise OperationalError("connection refused\n\tIs the server running?")

    monkeypatch.setattr(connection, "cursor", refuse)
    monkeypatch.setattr(connection, "is_usable", lambda: False)


def without_a_router(settings: Any, monkeypatch: Any) -> None:
    legacy = apps.get_app_config("shapes")
    monkeypatch.setattr(legacy, "brings_planner", True, raising=False)
    assert found() == []  # That V3 decides alone is said.
    monkeypatch.setattr(planners, "_registered", [])
    settings.ASSIGNMENTS = {**RIGHT, "ROUTER": ""}


def far_away(settings: Any, monkeypatch: Any) -> None:
    monkeypatch.setitem(connection.settings_dict, "HOST", "database.example")
    monkeypatch.setitem(connection.settings_dict, "OPTIONS", {"keepalives_idle": 5, "keepalives_interval": 2})


def both_switches(settings: Any, monkeypatch: Any) -> None:
    for name in ("assignment_pipeline_v3", "assignment_pipeline_v3_shadow"):
        Switch.objects.update_or_create(name=name, defaults={"active": True})


OF_HOSTS = {f"assignments.{id_}": (host(MuddleHost, **attributes), names) for id_, attributes, names in reversed(WRONG)}
CASES: dict[str, tuple[Callable[[Any, Any], None], str]] = {
    **OF_HOSTS,
    "assignments.E001": (assignments(MAX_PARALEL=3), "MAX_PARALEL"),
    "assignments.E002": (assignments(HOST="booking.nowhere.Host"), "'booking.nowhere.Host'"),
    "assignments.E003": (assignments(HOST=f"{__name__}.Few"), "lacks bookings"),
    "assignments.E004": (not_postgresql, "django.db.backends.sqlite3"),
    "assignments.E005": (host(Inventive), "ZeroDivisionError"),
    "assignments.E007": (rollout(EVIDENCE_DAYS=400), "ATTEMPT_DAYS"),
    "assignments.E008": (assignments(MOVABLE_CLOCK=True), "MOVABLE_CLOCK"),
    "assignments.E009": (django(USE_TZ=False), "USE_TZ is False"),
    "assignments.E010": (django(DATABASE_ROUTERS=[Elsewhere("assignments")]), "'reports'"),
    "assignments.E011": (bookings_elsewhere, "shapes.Muddle"),
    "assignments.E012": (host(Unreadable), "ZeroDivisionError"),
    "assignments.E013": (unknown_time_zone, "'Berlin' of restaurant"),
    "assignments.E014": (unreachable, "cannot be reached: connection refused Is the server running?"),
    "assignments.E015": (assignments(ROUTER=f"{__name__}.Undecided"), "ZeroDivisionError"),
    "assignments.W001": (host(MuddleHost, cancelled_statuses=("N",)), "['N']"),
    "assignments.W002": (seated_already, "is seated by the host but unknown here"),
    "assignments.W006": (unusable_join, "gone"),
    "assignments.W007": (host(Immovable), "on_moved"),
    "assignments.W011": (assignments(REARRANGE=True), "REARRANGE"),
    "assignments.W010": (required_and_unique, "one_party_a_board"),
    "assignments.W021": (counted_when_cancelled, "shapes.Invitation"),
    "rollout.E001": (rollout(ENVIRONMENT_VARIABLES={V3: "maybe"}), "'maybe'"),
    "rollout.E002": (rollout(ENVIRONMENT="prod"), "ENVIRONMENT"),
    "rollout.E003": (rollout(LEGACY_PLANNER="rollout.nowhere.Planner"), "'rollout.nowhere.Planner'"),
    "rollout.E004": (rollout(ENVIRONMENT_VARIABLES={V3: "1", SHADOW: "1"}), SHADOW),
    "rollout.E005": (both_switches, "assignment_pipeline_v3_shadow"),
    "rollout.E006": (rollout(ENVIRONMENT="production"), "production"),
    "rollout.E007": (moved_in_production, "In production the clock must not be movable"),
    "rollout.E008": (unnamed_environment, "ENVIRONMENT"),
    "rollout.E009": (without_a_planner, "nobody decides"),
    "rollout.E010": (rollout(CANDIDATE="rollout.nowhere.v3"), "'rollout.nowhere.v3'"),
    "rollout.E011": (without("waffle"), '"waffle"'),
    "rollout.W001": (without_a_planner_nor_a_database, "does not turn V3 on"),
    "assignments.W013": (without_a_router, "is installed, but no app that could ask it"),
    "assignments.W030": (far_away, "tcp_user_timeout is not set"),
    "assignments.W012": (without("django.contrib.postgres"), "django.contrib.postgres"),
}
DATABASES = ["default"]
BESIDE = {
    "assignments.W010": {"assignments.W021"},
    "rollout.E004": {"rollout.E005"},
    "rollout.E007": {"rollout.E006", "assignments.E008"},
}
"""What else a wrong configuration says, because it is wrong in that too."""


@pytest.fixture(autouse=True)
def _right_at_first(settings: Any) -> None:
    settings.ASSIGNMENTS = RIGHT
    settings.ROLLOUT = {**LEGACY, "ENVIRONMENT_VARIABLES": {}}
    settings.DEBUG = True


def found() -> list[Any]:
    every = checks.run_checks(databases=DATABASES, include_deployment_checks=True)
    return [each for each in every if (each.id or "").startswith(("assignments.", "rollout."))]


def test_what_they_start_from_is_right() -> None:
    assert [(each.id, each.msg) for each in found()] == []


@pytest.mark.parametrize("id_", sorted(CASES))
def test_each_is_found_by_its_id_with_what_is_wrong_and_what_to_write(
    id_: str, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    apply, named = CASES[id_]
    apply(settings, monkeypatch)
    every = found()
    assert {each.id for each in every} - BESIDE.get(id_, set()) == {id_}
    (told, *_others) = [each for each in every if each.id == id_ and named in each.msg]
    assert told.hint
    if told.is_serious() and id_ != "assignments.E008":
        with pytest.raises(SystemCheckError, match=id_.replace(".", r"\.")):
            call_command("check", databases=["default"])


@pytest.mark.parametrize(
    ("name", "said", "cure"),
    [
        ("Unready", "cannot be created as it is configured: BOOKING_KEY is missing", "Set what the message asks for"),
        ("Demanding", "cannot be instantiated: TypeError", "Write an __init__(self) without other parameters"),
    ],
)
def test_a_host_that_cannot_be_created_is_named_with_what_it_raises_and_what_to_write(
    name: str, said: str, cure: str, settings: Any
) -> None:
    assignments(HOST=f"{__name__}.{name}")(settings, None)
    (told,) = found()
    assert (told.id, told.is_serious()) == ("assignments.E002", True)
    assert f"{__name__}.{name} (ASSIGNMENTS['HOST']) {said}" in told.msg
    assert cure in told.hint
    with pytest.raises(SystemCheckError, match=r"assignments\.E002"):
        call_command("check", databases=["default"])


class Unruly:
    """A router of databases that raises."""

    def db_for_read(self, model: Any, **hints: Any) -> str | None:
        raise ZeroDivisionError("Canary Guest")

    db_for_write = db_for_read


def test_a_router_of_databases_that_raises_is_named(settings: Any) -> None:
    settings.DATABASE_ROUTERS = [Unruly()]
    (told,) = found()
    assert told.id == "assignments.E010"
    assert told.msg.startswith("DATABASE_ROUTERS raised ZeroDivisionError at ")
    assert told.hint


def test_every_id_has_its_wrong_configuration() -> None:
    documented = {id_ for id_, _found, _cure in ROW.findall(TEXT)}
    assert documented - {"assignments.E000"} == set(CASES)  # Which is a check that raised: no configuration's fault.
    assert len(CASES) > 30

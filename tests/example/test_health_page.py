"""The Health page: what it says of a good day, of nothing at all, and of everything that can go wrong."""

import re
from datetime import timedelta
from html import unescape
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.core import checks
from django.core.checks.registry import registry
from django.db import InterfaceError, OperationalError, connection
from django.db.migrations.exceptions import NodeNotFoundError
from django.db.migrations.recorder import MigrationRecorder
from django.http import HttpRequest
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from assignments import api
from assignments.admin import health_findings
from assignments.coordination import dispatch
from assignments.models import (
    Allocation,
    Assignment,
    Attempt,
    Breaker,
    EveningOptimum,
    Event,
    HostMark,
    OutboxMessage,
    Run,
)
from assignments.planning import optimum
from assignments.staff.moments import local_moment, short_day
from assignments.telemetry import diagnostics, health
from example import models

pytestmark = pytest.mark.django_db(transaction=True)

PAGE = "admin:assignments_health_changelist"


def shown(client: Client) -> str:
    answer = client.get(reverse(PAGE))
    assert answer.status_code == 200
    text = answer.content.decode().partition("<main")[2]
    return " ".join(
        unescape(re.sub(r"<[^>]+>", " ", re.sub(r"<script.*?</script>", "", text, flags=re.DOTALL))).split()
    )


def a_run(**values: Any) -> Run:
    now = timezone.now()
    defaults = {"worker": "cron-1:4711", "version": "", "last_pass_at": now, "succeeded_at": now, "passes": 1}
    return Run.objects.create(**{**defaults, **values})


def ago(**duration: float) -> Any:
    return timezone.now() - timedelta(**duration)


def test_what_was_set_aside_is_a_finding_until_it_is_dealt_with(admin_client: Client) -> None:
    a_run(ended_at=timezone.now())
    message = OutboxMessage.objects.create(topic="booking.x", booking_ref="B1", set_aside_at=timezone.now())
    text = shown(admin_client)
    assert "1 message was set aside: the guest has not been told." in text
    OutboxMessage.objects.filter(pk=message.pk).update(set_aside_at=None, delivered_at=timezone.now())
    assert "System: all is well." in shown(admin_client)


class TestVerdict:
    def test_a_good_day_is_well(self, admin_client: Client) -> None:
        a_run(outcomes={"confirmed": 20, "manual_review": 1}, ended_at=timezone.now())
        text = shown(admin_client)
        assert "System: all is well." in text
        assert "Needs attention" not in text
        assert "20 confirmed, 1 in review" in text

    def test_where_nothing_ever_ran_it_says_how_runs_come_about(self, admin_client: Client) -> None:
        text = shown(admin_client)
        assert "System: 1 issue needs attention." in text
        assert "No run of run_coordinator has succeeded yet" in text
        assert "* * * * * cd /srv/booking && .venv/bin/python manage.py run_coordinator" in text
        assert "No decisions." in text
        assert "All closed." in text
        assert "No coming evening has been examined." in text
        assert ".venv/bin/python manage.py optimize_evenings" in text

    def test_a_run_of_the_command_makes_it_well(self, admin_client: Client, restaurant: models.Restaurant) -> None:
        from django.core.management import call_command

        call_command("run_coordinator", verbosity=0)
        text = shown(admin_client)
        assert "No run of run_coordinator has succeeded yet" not in text
        assert "76 confirmed" in text
        assert "Outcomes of attempts per hour (UTC)" in text

    def test_a_last_success_that_is_too_old_is_grave(self, admin_client: Client, settings: Any) -> None:
        a_run(succeeded_at=ago(minutes=40), ended_at=ago(minutes=40))
        assert "now The last successful run was 40 minutes ago (limit: 3 minutes)." in shown(admin_client)
        settings.ASSIGNMENTS = {**settings.ASSIGNMENTS, "CRON_SECONDS": 3600}
        assert "System: all is well." in shown(admin_client)

    def test_a_stuck_queue_says_how_many_and_how_long(
        self, admin_client: Client, restaurant: models.Restaurant
    ) -> None:
        a_run()
        dispatch.register_new()
        assert "are due, the oldest" not in shown(admin_client)
        Assignment.objects.update(due_at=ago(hours=3))
        assert "117 bookings are due, the oldest for 3 hours." in shown(admin_client)

    def test_what_is_possible_is_shown_as_it_was_found_and_nothing_is_solved(
        self, admin_client: Client, monkeypatch: Any
    ) -> None:
        monkeypatch.setattr(optimum, "_solver", None)
        a_run()
        today = timezone.now().date()
        at = ago(hours=5)
        numbers = {"seated": 66, "waiting": 51, "possible": 70, "possible_in_any_order": 76, "examined_at": at}
        for days, restaurant_ref, is_proven in ((1, "R1", True), (2, "R2", False), (-2, "past", True)):
            EveningOptimum.objects.create(
                restaurant_ref=restaurant_ref,
                service_date=today + timedelta(days=days),
                is_proven=is_proven,
                **numbers,
            )
        text = shown(admin_client)
        assert f"{short_day(today + timedelta(days=1))} R1 66 70 76 {local_moment(at)}" in text
        assert f"{short_day(today + timedelta(days=2))} R2 66 at most 70 at most 76" in text
        assert "past" not in text.partition("What is possible")[2].partition("Circuit breakers")[0]

    def test_an_open_breaker_and_a_half_open_one_are_told_apart(self, admin_client: Client) -> None:
        a_run()
        Breaker.objects.create(name="coordinator:7", failures=5, opened_until=timezone.now() + timedelta(hours=1))
        Breaker.objects.create(name="coordinator:9", failures=6, opened_until=ago(seconds=1))
        Breaker.objects.create(name="coordinator:11", failures=1)
        text = shown(admin_client)
        assert "System: 2 issues need attention." in text
        assert "now The breaker of restaurant 7 is open after 5 failures" in text
        assert "soon The breaker of restaurant 9 is half open after 6 failures" in text
        assert "11 closed 1" in text

    def test_restaurants_have_their_names(self, admin_client: Client) -> None:
        a_run()
        place = models.Restaurant.objects.create(name="Casa Anna", reference="anna")
        Breaker.objects.create(
            name=f"coordinator:{place.pk}", failures=5, opened_until=timezone.now() + timedelta(hours=1)
        )
        EveningOptimum.objects.create(
            restaurant_ref=str(place.pk),
            service_date=timezone.now().date() + timedelta(days=1),
            is_proven=True,
            seated=3,
            waiting=1,
            possible=4,
            possible_in_any_order=4,
            examined_at=ago(hours=1),
        )
        text = shown(admin_client)
        assert "The breaker of restaurant Casa Anna is open" in text
        assert "Casa Anna open 5" in text
        assert "Casa Anna 3 4 4" in text

    def test_a_breaker_at_which_nothing_is_tried_any_more_leaves_it_well(self, admin_client: Client) -> None:
        a_run()
        Breaker.objects.create(name="coordinator:9", failures=5, opened_until=ago(hours=2))
        text = shown(admin_client)
        assert "System: all is well." in text
        assert "9 idle: half open, no attempts for an hour 5" in text

    def test_messages_that_nobody_delivers(self, admin_client: Client) -> None:
        a_run()
        OutboxMessage.objects.create(
            topic="booking.assignment_state.confirmed", booking_ref="1", created_at=ago(days=3)
        )
        assert "1 message is waiting for delivery, the oldest for 3 days." in shown(admin_client)

    def test_changes_of_the_project_that_nobody_follows(self, admin_client: Client) -> None:
        a_run()
        HostMark.objects.create(booking_ref="1")
        assert "System: all is well." in shown(admin_client)
        HostMark.objects.create(booking_ref="2", created_at=ago(hours=3))
        text = shown(admin_client)
        assert "now 2 bookings were changed in the project and not followed here, the oldest for 3 hours." in text

    def test_errors_of_the_latest_run_and_lost_events(self, admin_client: Client) -> None:
        a_run(
            unexpected=3,
            error="InvalidFloorError",
            failed_at=ago(minutes=5, seconds=1),
            dropped_events=12,
            dropped_at=ago(hours=3, seconds=1),
        )
        text = shown(admin_client)
        assert ("The latest run has had 3 unexpected errors; the last was InvalidFloorError, 5 minutes ago.") in text
        assert "Events were lost, the last 3 hours ago (12 over the whole of the runs concerned)." in text
        assert "Events lost in the last 24 hours some (12 over the whole of the runs concerned)" in text

    def test_a_single_error_and_a_single_lost_event(self, admin_client: Client) -> None:
        a_run(unexpected=1, error="KeyError", failed_at=ago(seconds=200), dropped_events=1, dropped_at=ago(seconds=200))
        text = shown(admin_client)
        assert "The latest run had 1 unexpected error: KeyError, 3 minutes ago." in text
        assert "1 event was lost 3 minutes ago." in text

    def test_a_worker_that_met_errors_and_lost_events_days_ago_is_well(self, admin_client: Client) -> None:
        """It counts them for as long as it lives."""
        a_run(
            watches=True,
            started_at=ago(days=20),
            unexpected=3,
            error="InvalidFloorError",
            failed_at=ago(hours=25),
            dropped_events=12,
            dropped_at=ago(hours=25),
        )
        text = shown(admin_client)
        assert "System: all is well." in text
        assert "Events lost in the last 24 hours 0" in text

    def test_a_silent_worker_and_two_versions_at_once(self, admin_client: Client) -> None:
        a_run(watches=True, worker="web-1:1", version="0.9.0")
        a_run(watches=True, worker="web-2:1", version="0.9.1")
        a_run(watches=True, worker="web-3:1", last_pass_at=ago(hours=1))
        a_run(watches=True, worker="web-4:1", last_pass_at=ago(hours=1), ended_at=ago(hours=1))
        text = shown(admin_client)
        assert "1 worker lost its heartbeat without stopping: web-3:1." in text
        assert re.search(r"Workers are running different versions: [^:]*0\.9\.0, 0\.9\.1", text)
        assert "web-1:1 alive" in text

    def test_a_living_worker_is_seen_behind_any_number_of_dead_ones(self, admin_client: Client) -> None:
        """A worker that dies again and again leaves a row each time; the one that works may be older."""
        a_run(watches=True, worker="alive:1", version="0.9.0", started_at=ago(days=1))
        for number in range(4 * diagnostics.LISTED):
            a_run(watches=True, worker=f"dead-{number}:1", last_pass_at=ago(hours=1))
        a_run(worker="cron:1", ended_at=timezone.now())
        found = diagnostics.run()
        assert [each.run.worker for each in found.workers or () if each.is_alive] == ["alive:1"]
        assert len(found.workers or ()) == 1 + diagnostics.LISTED, "and of the dead ones, the last"
        assert "0.9.0" in found.worker_versions
        assert [run.worker for run in found.runs or ()][:2] == ["cron:1", f"dead-{4 * diagnostics.LISTED - 1}:1"]
        text = shown(admin_client)
        assert "alive:1 alive" in text
        assert "20 workers lost their heartbeat" in text

    def test_workers_that_were_given_up_or_have_not_passed_yet(self, admin_client: Client) -> None:
        a_run(watches=True, worker="forgotten:1", last_pass_at=ago(days=3))
        a_run(watches=True, worker="just-started:1", last_pass_at=None)
        assert [(each.run.worker, each.is_alive) for each in diagnostics.run().workers or ()] == [
            ("just-started:1", True)
        ]

    def test_a_booking_without_its_table_is_lost(self, admin_client: Client, restaurant: models.Restaurant) -> None:
        a_run()
        dispatch.register_new()
        list(dispatch.run_pass())
        taken = Allocation.objects.all()[0]
        Allocation.objects.filter(booking_ref=taken.booking_ref).delete()
        assert (
            "now 1 booking is lost: confirmed without a table, waiting but not scheduled, or started unseen."
            in shown(admin_client)
        )

    def test_a_migration_that_was_not_applied(self, admin_client: Client) -> None:
        a_run()
        latest = MigrationRecorder.Migration.objects.filter(app="assignments").latest("name")
        MigrationRecorder.Migration.objects.filter(pk=latest.pk).delete()
        try:
            assert f"1 migration is not applied: assignments.{latest.name}." in shown(admin_client)
        finally:
            latest.save(force_insert=True)


class TestConfigurationChecks:
    def test_each_finding_has_its_id_level_and_hint(self, admin_client: Client, settings: Any) -> None:
        a_run()
        variables = {"FEATURE_ASSIGNMENT_PIPELINE_V3": "perhaps"}
        settings.ROLLOUT = {**settings.ROLLOUT, "ENVIRONMENT_VARIABLES": variables}
        text = shown(admin_client)
        assert "The configuration checks found 1 problem." in text
        assert "rollout.E001 error FEATURE_ASSIGNMENT_PIPELINE_V3 must be one of" in text
        assert "Until it is fixed" in text

    def test_one_that_raises_is_a_finding_and_the_page_opens(self, admin_client: Client, monkeypatch: Any) -> None:
        a_run()

        def check_broken(**kwargs: Any) -> list[checks.CheckMessage]:
            raise RuntimeError("a guest's name")

        check_broken.tags = ("assignments",)  # type: ignore[attr-defined]
        monkeypatch.setattr(registry, "registered_checks", {*registry.registered_checks, check_broken})
        text = shown(admin_client)
        assert "check_broken raised RuntimeError." in text
        assert "a guest's name" not in text

    def test_those_of_django_itself_are_not_run_again(self, monkeypatch: Any, admin_client: Client) -> None:
        a_run()

        def check_models(**kwargs: Any) -> list[checks.CheckMessage]:
            raise AssertionError

        check_models.tags = ("models", "admin")  # type: ignore[attr-defined]
        monkeypatch.setattr(registry, "registered_checks", {*registry.registered_checks, check_models})
        assert "System: all is well." in shown(admin_client)


class TestSlowDatabase:
    def test_what_is_too_slow_is_named_and_the_rest_is_shown(self, admin_client: Client, monkeypatch: Any) -> None:
        a_run(outcomes={"confirmed": 20})

        def slow() -> Any:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_sleep(10)")

        monkeypatch.setattr(diagnostics, "STATEMENT_TIMEOUT_MS", 50)
        monkeypatch.setattr(diagnostics, "_hours", slow)
        text = shown(admin_client)
        assert "soon Not measured: the last 24 hours (OperationalError)." in text
        assert "20 confirmed" in text
        assert "Overlapping seatings 0" in text

    def test_without_the_queue_it_still_opens(self, admin_client: Client, monkeypatch: Any) -> None:
        def away() -> Any:
            raise OperationalError

        monkeypatch.setattr(health, "vitals", away)
        text = shown(admin_client)
        assert "now Not measured: queue, outbox and last success (OperationalError)." in text
        assert "Configuration checks" in text

    @pytest.mark.parametrize(
        "error", [InterfaceError("a guest's name"), NodeNotFoundError("a guest's name", ("a", "b"))]
    )
    @pytest.mark.parametrize("part", ["_backlog", "_pending"])
    def test_whatever_a_part_meets_the_others_are_shown(
        self, admin_client: Client, monkeypatch: Any, caplog: Any, part: str, error: Exception
    ) -> None:
        a_run(outcomes={"confirmed": 20})

        def broken() -> Any:
            raise error

        monkeypatch.setattr(diagnostics, part, broken)
        text = shown(admin_client)
        named = {"_backlog": "bookings in review", "_pending": "migrations"}[part]
        assert f"soon Not measured: {named} ({type(error).__name__})." in text
        assert "20 confirmed" in text
        assert "Overlapping seatings 0" in text
        assert f"could not measure {part.strip('_')}: {type(error).__name__}." in caplog.text
        assert "a guest's name" not in text + caplog.text

    def test_the_timeout_is_gone_afterwards(self, admin_client: Client) -> None:
        shown(admin_client)
        with connection.cursor() as cursor:
            cursor.execute("SHOW statement_timeout")
            assert cursor.fetchone()[0] == "0"


class TestSections:
    @pytest.fixture(autouse=True)
    def _registry(self, monkeypatch: Any) -> None:
        monkeypatch.setattr(health_findings, "_sections", {})

    def test_another_app_adds_facts_and_what_needs_attention(self, admin_client: Client) -> None:
        a_run()
        grave = health_findings.Attention(what="The oven is cold.", remedy="Light it.", is_grave=True)
        section = health_findings.Section(key="kitchen", title="Kitchen", facts=[("Oven", "cold")], attentions=[grave])
        health_findings.register("kitchen", lambda request: section)
        text = shown(admin_client)
        assert "System: 1 issue needs attention." in text
        assert "now The oven is cold. Light it." in text
        assert "Kitchen Oven cold" in text

    def test_one_that_raises_is_named(self, admin_client: Client) -> None:
        a_run()

        def broken(request: HttpRequest) -> health_findings.Section:
            raise RuntimeError("a guest's name")

        health_findings.register("kitchen", broken)
        text = shown(admin_client)
        assert "Not measured: kitchen (RuntimeError)." in text
        assert "a guest's name" not in text


def test_it_costs_few_queries_whatever_the_number_of_bookings_and_events(
    client: Client, django_user_model: Any, restaurant: models.Restaurant
) -> None:
    staff = django_user_model.objects.create_user("anna", password="x", is_staff=True)
    staff.user_permissions.set(Permission.objects.filter(codename="view_health"))
    client.force_login(staff)
    a_run()
    dispatch.register_new()

    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            shown(client)
        return len(captured)

    queries()
    few = queries()
    list(dispatch.run_pass())
    now = timezone.now()
    Event.objects.bulk_create(Event(source="s", type="t", severity="info", at=now) for _ in range(1000))
    tried = list(Attempt.objects.all())
    for each in tried:
        each.pk = None
    Attempt.objects.bulk_create(tried * 5)
    for number in range(30):
        a_run(watches=True, worker=f"web-{number}:1")
        Breaker.objects.create(name=f"coordinator:R{number}", failures=1)
    assert queries() == few < 20


def test_without_the_permission_there_is_no_page(client: Client, django_user_model: Any) -> None:
    staff = django_user_model.objects.create_user("anna", password="x", is_staff=True)
    client.force_login(staff)
    assert client.get(reverse(PAGE)).status_code == 403
    staff.user_permissions.set(Permission.objects.filter(codename="view_health"))
    assert client.get(reverse(PAGE)).status_code == 200


def test_it_links_to_what_the_user_may_see(
    client: Client, django_user_model: Any, restaurant: models.Restaurant
) -> None:
    """Errors, a message and bookings that wait too long, and somebody in review."""
    a_run(unexpected=3, error="InvalidFloorError", failed_at=timezone.now())
    OutboxMessage.objects.create(topic="booking.assignment_state.confirmed", booking_ref="1", created_at=ago(days=3))
    in_review = restaurant.bookings.get(reference="B001")
    models.Booking.objects.filter(pk=in_review.pk).update(party=40)
    api.assign_now(booking_ref=str(in_review.pk))
    dispatch.register_new()
    Assignment.objects.filter(state="assignment_pending").update(due_at=ago(hours=3))
    staff = django_user_model.objects.create_user("anna", password="x", is_staff=True)
    client.force_login(staff)

    def links(*permissions: str) -> set[str]:
        staff.user_permissions.set(Permission.objects.filter(codename__in=["view_health", *permissions]))
        html = client.get(reverse(PAGE)).content.decode().partition("<main")[2]
        return {each.partition("?")[0] for each in re.findall(r'<a href="(/admin/[^"]*)"', html)} - {"/admin/"}

    def pages(*names: str) -> set[str]:
        return {reverse(f"admin:{name}_changelist") for name in names}

    assert links() == set()
    everywhere = ("assignments_event", "assignments_assignment", "assignments_outboxmessage", "assignments_reviewitem")
    assert links("view_event", "view_assignment", "view_outboxmessage", "view_reviewitem", "view_position") == pages(
        *everywhere, "rollout_position"
    )
    assert links("retry", "force_planner") == pages("assignments_reviewitem", "rollout_position"), (
        "whoever may act may look"
    )


def test_nothing_on_it_breaks_a_strict_content_security_policy(
    admin_client: Client, restaurant: models.Restaurant
) -> None:
    dispatch.register_new()
    list(dispatch.run_pass())
    html = admin_client.get(reverse(PAGE)).content.decode()
    assert " style=" not in html
    assert "<style" not in html
    assert not re.search(r"\son[a-z]+=", html)
    assert not re.search(r"<script(?![^>]*(\ssrc=|application/json))", html)

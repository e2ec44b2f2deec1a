"""Around the coordinator: checks, outbox, reconciling, history of success."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.core import checks
from django.core.management import CommandError, call_command
from django.db import transaction

from assignments import api, signals
from assignments.checks import check_time_zones
from assignments.coordination import table_record
from assignments.integration.host import Seating
from assignments.maintenance import outbox
from assignments.maintenance.reconcile import reconcile
from assignments.models import Allocation, Assignment, Attempt, OutboxMessage, State
from assignments.testing import MemoryHost
from tests.assignments.conftest import HOST_PATH, TheHost, run_all


class Unmoved(MemoryHost):
    """A host written before guests could be moved."""

    on_moved = None  # type: ignore[assignment]


class Halfway:
    """A host that was not finished."""

    def bookings(self, refs: Any, *, lock: bool = False) -> dict[str, Any]:
        return {"anything": object()}


class Stubborn(TheHost):
    def __init__(self) -> None:
        raise RuntimeError("no connection to the till")


class Forgetful(TheHost):
    def bookings(self, refs: Any, *, lock: bool = False) -> Any:
        raise KeyError("every ref")


class Inventive(TheHost):
    def bookings(self, refs: Any, *, lock: bool = False) -> Any:
        return {ref: object() for ref in refs}


class TestChecks:
    def test_times_without_a_zone_are_found_before_the_first_booking(self, settings: Any) -> None:
        settings.USE_TZ = False
        (found,) = check_time_zones(None)
        assert found.id == "assignments.E009"
        assert "USE_TZ" in found.msg

    @pytest.mark.parametrize(
        ("given", "check", "named"),
        [
            ({}, "assignments.E001", "HOST"),
            ({"HOST": HOST_PATH, "MAX_PARALEL": 3}, "assignments.E001", "MAX_PARALEL"),
            ({"HOST": HOST_PATH, "MAX_PARALLEL": 0}, "assignments.E001", "between 1 and 20, not 0"),
            ({"HOST": HOST_PATH, "MAX_PARALLEL": 21}, "assignments.E001", "not 21"),
            ({"HOST": HOST_PATH, "MAX_PARALLEL": "3"}, "assignments.E001", "whole number, not '3'"),
            ({"HOST": HOST_PATH, "MAX_PARALLEL": True}, "assignments.E001", "not True"),
            ({"HOST": HOST_PATH, "RETRY_BASE_SECONDS": -1}, "assignments.E001", "RETRY_BASE_SECONDS"),
            ({"HOST": HOST_PATH, "WEIGHTS": {"luck": 1}}, "assignments.E001", "luck"),
            ({"HOST": HOST_PATH, "WEIGHTS": {"adjacency": -1}}, "assignments.E001", "adjacency"),
            ({"HOST": HOST_PATH, "WEIGHTS": {"adjacency": float("inf")}}, "assignments.E001", "adjacency"),
            ({"HOST": HOST_PATH, "WEIGHTS": {"adjacency": float("nan")}}, "assignments.E001", "adjacency"),
            ({"HOST": HOST_PATH, "RETRY_MAX_SECONDS": float("nan")}, "assignments.E001", "RETRY_MAX_SECONDS"),
            ({"HOST": HOST_PATH, "RETRY_BASE_SECONDS": float("inf")}, "assignments.E001", "RETRY_BASE_SECONDS"),
            ({"HOST": HOST_PATH, "HOLD_SECONDS": 10**400}, "assignments.E001", "HOLD_SECONDS"),
            ({"HOST": HOST_PATH, "STATEMENT_TIMEOUT_MS": 2**31}, "assignments.E001", "between 1 and 86400000"),
            ({"HOST": HOST_PATH, "MIN_LEAD_MINUTES": 10**12}, "assignments.E001", "MIN_LEAD_MINUTES"),
            ({"HOST": HOST_PATH, "EVENT_SINKS": "one.sink"}, "assignments.E001", "EVENT_SINKS"),
            ({"HOST": "Host"}, "assignments.E001", "dotted path"),
            ({"HOST": "nowhere.Host"}, "assignments.E002", "nowhere.Host"),
            ({"HOST": HOST_PATH, "ROUTER": "nowhere.Router"}, "assignments.E002", "nowhere.Router"),
            ({"HOST": HOST_PATH, "EVENT_SINKS": ["nowhere.Sink"]}, "assignments.E002", "nowhere.Sink"),
            ({"HOST": f"{__name__}.Stubborn"}, "assignments.E002", "RuntimeError"),
            ({"HOST": f"{__name__}.Halfway"}, "assignments.E003", "unassigned, history, tables_of, floor"),
        ],
    )
    def test_each_wrong_setting_is_named(self, settings: Any, given: dict[str, Any], check: str, named: str) -> None:
        settings.ASSIGNMENTS = given
        found = checks.run_checks(tags=["assignments"])
        assert [each.id for each in found] == [check]
        assert named in str(found[0].msg)
        assert found[0].hint

    def test_a_host_that_is_not_told_of_moves_is_named_with_what_to_write(self, settings: Any) -> None:
        settings.ASSIGNMENTS = {"HOST": f"{__name__}.Unmoved"}
        (warning,) = checks.run_checks(tags=["assignments"])
        assert (warning.id, warning.level) == ("assignments.W007", checks.WARNING)
        assert "Unmoved has no on_moved()" in str(warning.msg)
        assert "on_moved(self, moves)" in str(warning.hint)
        settings.ASSIGNMENTS = {"HOST": HOST_PATH}
        assert checks.run_checks(tags=["assignments"]) == []

    def test_a_setting_that_is_no_dict_is_named(self, settings: Any) -> None:
        settings.ASSIGNMENTS = ["HOST"]
        assert [each.id for each in checks.run_checks(tags=["assignments"])] == ["assignments.E001"]

    @pytest.mark.django_db
    @pytest.mark.parametrize(("host", "named"), [("Forgetful", "KeyError"), ("Inventive", "does not exist")])
    def test_a_host_that_answers_wrongly_is_named(self, settings: Any, host: str, named: str) -> None:
        settings.ASSIGNMENTS = {"HOST": f"{__name__}.{host}"}
        found = [each for each in checks.run_checks(databases=["default"]) if each.id == "assignments.E005"]
        assert len(found) == 1
        assert named in str(found[0].msg)

    def test_another_database_is_named(self, settings: Any, monkeypatch: Any) -> None:
        from django.db import connections

        monkeypatch.setattr(connections["default"], "vendor", "sqlite")
        assert "assignments.E004" in [each.id for each in checks.run_checks(tags=["assignments"])]

    def test_the_examples_settings_pass(self) -> None:
        assert checks.run_checks(tags=["assignments"]) == []


@pytest.mark.django_db(transaction=True)
class TestOutbox:
    def test_each_state_that_lasts_is_told_once(self, host: TheHost, tonight: datetime) -> None:
        host.book("B1", starts_at=tonight)
        run_all()
        api.booking_cancelled(booking_ref="B1")
        result = outbox.deliver()
        assert (result.delivered, result.refused, result.waiting) == (2, 0, 0)
        assert [message.topic for message in host.delivered] == [
            "booking.assignment_state.confirmed",
            "booking.assignment_state.cancelled",
        ]
        assert host.delivered[0].payload["previous"] == "created"
        assert outbox.deliver().delivered == 0

    def test_a_refused_message_waits_and_the_others_go_on(self, host: TheHost, tonight: datetime) -> None:
        for ref in ("B1", "B2"):
            host.book(ref, starts_at=tonight)
        run_all()
        host.raises["deliver"] = RuntimeError("Canary Guest has no phone")
        host.raises_for = {"B1"}
        with pytest.raises(CommandError) as partly:
            call_command("deliver_outbox")
        assert partly.value.returncode == 1
        assert [message.booking_ref for message in host.delivered] == ["B2"]
        waiting = OutboxMessage.objects.get(delivered_at__isnull=True)
        assert (waiting.booking_ref, waiting.attempts, waiting.last_error) == ("B1", 1, "RuntimeError")
        assert waiting.due_at > datetime.now(UTC)
        host.raises.clear()
        OutboxMessage.objects.update(due_at=datetime(2020, 1, 1, tzinfo=UTC))
        call_command("deliver_outbox")
        assert not OutboxMessage.objects.filter(delivered_at__isnull=True).exists()

    def test_what_is_told_of_one_booking_keeps_its_order(self, host: TheHost, tonight: datetime) -> None:
        host.book("B1", starts_at=tonight)
        run_all()
        host.raises["deliver"] = RuntimeError("away")
        assert outbox.deliver().refused == 1
        api.booking_cancelled(booking_ref="B1")
        host.raises.clear()
        assert outbox.deliver().delivered == 0, "the cancellation waits for the confirmation"
        OutboxMessage.objects.update(due_at=datetime(2020, 1, 1, tzinfo=UTC))
        assert outbox.deliver().delivered == 2
        assert [message.payload["state"] for message in host.delivered] == ["confirmed", "cancelled"]

    def test_a_rolled_back_decision_tells_nobody(self, host: TheHost, tonight: datetime) -> None:
        heard: list[str] = []

        def listen(sender: Any, booking_ref: str, state: str, **kwargs: Any) -> None:
            heard.append(f"{booking_ref} {state}")

        signals.state_changed.connect(listen)
        try:
            host.book("B1", starts_at=tonight)
            run_all()
            assert heard == ["B1 confirmed"]
            with pytest.raises(RuntimeError), transaction.atomic():
                api.booking_cancelled(booking_ref="B1")
                raise RuntimeError("rolled back")
            assert heard == ["B1 confirmed"]
        finally:
            signals.state_changed.disconnect(listen)
        assert OutboxMessage.objects.count() == 1


@pytest.mark.django_db(transaction=True)
class TestReconcile:
    def problems(self, *, dry_run: bool = False) -> dict[str, str]:
        return {found.booking_ref: found.problem for found in reconcile(dry_run=dry_run)}

    def test_what_the_host_did_silently_is_found_and_mended(self, host: TheHost, tonight: datetime) -> None:
        for number, ref in enumerate(
            ("gone", "cancelled", "edited", "fine", "revived", "bare", "untold", "called off")
        ):
            host.book(ref, starts_at=tonight + timedelta(days=number))
        run_all()
        host.edit("revived", wants_table=False)
        api.booking_changed(booking_ref="revived")
        host.edit("revived", wants_table=True)
        api.booking_cancelled(booking_ref="called off")
        del host.rows["gone"]
        host.edit("cancelled", wants_table=False)
        host.edit("edited", party=4)
        host.edit("revived", is_confirmed=False)
        Allocation.objects.filter(booking_ref="bare").delete()
        host.edit("untold", is_confirmed=False)
        host.book("new", starts_at=tonight + timedelta(days=9))
        orphan = Allocation.objects.get(booking_ref="fine")
        orphan.pk, orphan.booking_ref, orphan.table_ref = None, "orphan", "T3"
        orphan.save()
        expected = {"gone", "cancelled", "edited", "revived", "bare", "untold", "new", "orphan"}
        before = list(Allocation.objects.order_by("pk").values())
        assert set(self.problems(dry_run=True)) == expected
        assert list(Allocation.objects.order_by("pk").values()) == before
        assert set(self.problems()) == expected
        run_all()
        assert self.problems() == {}
        states = dict(Assignment.objects.values_list("booking_ref", "state"))
        assert {states[ref] for ref in ("gone", "cancelled", "called off")} == {State.CANCELLED}
        assert {states[ref] for ref in ("edited", "fine", "revived", "bare", "untold", "new")} == {State.CONFIRMED}
        assert host.rows["untold"].is_confirmed
        assert not Allocation.objects.filter(booking_ref__in=["gone", "cancelled", "orphan"]).exists()

    def test_a_dinner_that_is_over_is_left_as_it_was(self, host: TheHost, tonight: datetime) -> None:
        host.book("B1", starts_at=tonight)
        run_all()
        Assignment.objects.update(starts_at=datetime(2020, 1, 1, tzinfo=UTC))
        host.edit("B1", wants_table=False)
        assert self.problems() == {}
        assert Assignment.objects.get().state == State.CONFIRMED

    def test_what_was_mended_between_the_look_and_the_lock_is_left_alone(
        self, host: TheHost, tonight: datetime
    ) -> None:
        for ref in ("B1", "B2"):
            host.book(ref, starts_at=tonight)
        run_all()
        for ref in ("B1", "B2"):
            host.edit(ref, wants_table=False)
        found = reconcile()
        assert next(found).booking_ref == "B1"
        host.edit("B2", wants_table=True)
        assert next(found).remedy == "nothing: already repaired in the meantime"
        assert list(found) == []
        assert Assignment.objects.get(booking_ref="B2").state == State.CONFIRMED
        assert Allocation.objects.get().booking_ref == "B2"

    def test_one_that_cannot_be_mended_costs_only_itself(self, host: TheHost, tonight: datetime, capsys: Any) -> None:
        for number, ref in enumerate(("B1", "B2")):
            host.book(ref, starts_at=tonight + timedelta(days=number))
        run_all()
        for ref in ("B1", "B2"):
            host.edit(ref, is_confirmed=False)
        host.raises["on_confirmed"], host.raises_for = RuntimeError("Canary Guest"), {"B1"}
        with pytest.raises(CommandError) as partly:
            call_command("reconcile_assignments")
        assert partly.value.returncode == 1
        out = capsys.readouterr().out
        assert "B1: confirmed here, waiting in the host -> not repaired (RuntimeError)" in out
        assert "canary" not in out.lower()
        assert host.rows["B2"].is_confirmed

    @pytest.mark.parametrize(
        ("before", "after"),
        [
            ({"party": 0}, {"party": 2}),
            ({"problem": "It has no start."}, {"problem": None}),
            ({"starts_at": datetime(2020, 1, 1, 19, tzinfo=UTC)}, {}),
        ],
    )
    def test_a_failed_booking_that_was_mended_without_a_word_is_planned(
        self, host: TheHost, tonight: datetime, before: dict[str, Any], after: dict[str, Any]
    ) -> None:
        host.book("B1", **{"starts_at": tonight, **before})
        run_all()
        assert Assignment.objects.get().state == State.FAILED
        assert self.problems() == {}
        host.edit("B1", **{"starts_at": tonight, **after})
        assert set(self.problems()) == {"B1"}
        run_all()
        assert Assignment.objects.get().state == State.CONFIRMED

    @pytest.mark.parametrize(
        "change", [{"ends_at": datetime(2040, 1, 1, tzinfo=UTC)}, {"zone_ref": "terrace"}, {"restaurant_ref": "R2"}]
    )
    def test_an_edit_without_a_word_that_makes_tables_wrong_is_found(
        self, host: TheHost, tonight: datetime, change: dict[str, Any]
    ) -> None:
        from assignments.testing import a_floor, a_table

        host.floors["R2"] = a_floor("R2", tables=[a_table("elsewhere")])
        host.book("B1", starts_at=tonight)
        run_all()
        host.edit("B1", **change)
        assert set(self.problems()) == {"B1"}
        assignment, seating = Assignment.objects.get(), Allocation.objects.get()
        if "restaurant_ref" in change:  # Met there.
            assert (assignment.state, seating.restaurant_ref) == (State.CONFIRMED, "R2")
        else:  # Not met: what was promised is kept.
            assert (assignment.state, assignment.reason) == (State.MANUAL_REVIEW, "edit_unmet")
            assert seating.starts_at == tonight
        assert self.problems() == {}

    def test_tables_of_bookings_confirmed_before_the_app_came_are_taken_over(
        self, host: TheHost, tonight: datetime
    ) -> None:
        for ref in ("old", "older", "none"):
            host.book(ref, starts_at=tonight, party=2, is_confirmed=True)
        ends_at = tonight + timedelta(hours=2)
        for ref in ("old", "older"):  # Two bookings at one table: the host never looked.
            host.seated[ref] = Seating(booking_ref=ref, table_refs=("T4",), starts_at=tonight, ends_at=ends_at)
        assert set(self.problems(dry_run=True)) == {"old", "older"}
        assert not Allocation.objects.exists()
        remedies = {found.booking_ref: found.remedy for found in reconcile()}
        assert remedies == {
            "old": "its tables are taken over",
            "older": "its tables are occupied: sent to review",
        }
        host.book("new", starts_at=tonight, party=2)
        outcomes = run_all()
        assert outcomes["new"].table_refs == ("T1",)
        older = Assignment.objects.get(booking_ref="older")
        assert (older.state, older.reason) == (State.MANUAL_REVIEW, "confirmed_by_host")
        assert Assignment.objects.get(booking_ref="old").state == State.CONFIRMED
        assert self.problems() == {"older": "seated by the host, without tables here"}, "until staff have decided"

    def test_guests_who_sit_already_keep_their_table(self, host: TheHost, tonight: datetime) -> None:
        host.book("B1", starts_at=tonight)
        host.book("B2", starts_at=tonight, party=14)
        run_all()
        for ref in ("B1", "B2"):
            host.edit(ref, wants_table=False, keeps_tables=True)
        assert self.problems() == {"B2": "seated without this app"}
        assert Allocation.objects.get().booking_ref == "B1"
        assert self.problems() == {}

    def test_the_command_reports(self, host: TheHost, tonight: datetime, capsys: Any) -> None:
        host.book("B1", starts_at=tonight)
        call_command("reconcile_assignments", "--dry-run")
        assert "B1: waiting in the host, unknown here -> would be: requested" in capsys.readouterr().out
        call_command("reconcile_assignments", "--json")
        assert '"booking_ref": "B1"' in capsys.readouterr().out
        call_command("reconcile_assignments")
        assert "Host and ledger agree." in capsys.readouterr().out


@pytest.mark.django_db(transaction=True)
class TestSuccess:
    def test_a_table_from_which_guests_are_moved_away_counts_less(
        self, host: TheHost, tonight: datetime, monkeypatch: Any
    ) -> None:
        monkeypatch.setattr(table_record, "MIN_SEATINGS", 2)
        for number in range(4):
            host.book(f"B{number}", starts_at=tonight + timedelta(days=number))
        run_all()
        table_record.forget()
        assert table_record.success_of("R1") == {"T4": 1.0}
        api.assign(booking_ref="B0", table_refs=["T1"], actor="staff:7")
        api.booking_cancelled(booking_ref="B1")
        table_record.forget()
        assert table_record.success_of("R1") == {"T4": pytest.approx(2 / 3)}

    def test_too_few_seatings_are_no_record_and_the_answer_is_kept(
        self, host: TheHost, tonight: datetime, django_assert_num_queries: Any
    ) -> None:
        host.book("B1", starts_at=tonight)
        run_all()
        table_record.forget()
        with django_assert_num_queries(1):
            assert table_record.success_of("R1") == {}
            assert table_record.success_of("R1") == {}

    def test_it_reaches_the_decision(self, host: TheHost, tonight: datetime, monkeypatch: Any) -> None:
        from assignments.testing import a_floor, a_table

        host.floors["R1"] = a_floor(tables=[a_table("T1"), a_table("T2")])
        host.book("B1", starts_at=tonight, party=4)
        monkeypatch.setitem(table_record._kept, "R1", (float("inf"), {"T1": 0.0, "T2": 1.0}))
        assert run_all()["B1"].table_refs == ("T2",)
        breakdown = Attempt.objects.get().decision["plans"][0]["breakdown"]
        assert breakdown["historical_success"] > 0

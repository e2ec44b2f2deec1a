"""The evening's page on the server: forms act once, nobody overwrites anybody, and a poll costs next to nothing."""

import re
import uuid
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from html import unescape
from itertools import combinations
from typing import Any
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

import pytest
from django.contrib.auth.models import Permission
from django.db import connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from assignments import api
from assignments.admin.evening import search
from assignments.concurrency import clock
from assignments.exceptions import TablesRefusedError
from assignments.integration import floor_cache
from assignments.lifecycle import ledger
from assignments.models import (
    Allocation,
    Assignment,
    Closure,
    FloorSeen,
    FrozenEvening,
    QueuedParty,
    StaffAction,
    Stage,
    TablePlace,
)
from assignments.planning.reasons import OVERRIDABLE
from assignments.staff.day_version import day_version
from assignments.staff.timeline import day_at
from example import models
from example.host import ExampleHost
from tests.example.refusing import refusing

pytestmark = pytest.mark.django_db(transaction=True)

URL = "admin:assignments_serviceday_changelist"


@pytest.fixture
def query(decided: models.Restaurant) -> dict[str, str]:
    day = decided.bookings.order_by("start")[0].start.date()
    return {"restaurant": str(decided.pk), "day": day.isoformat()}


def seated(number: int = 0) -> Assignment:
    """A confirmed booking of the evening."""
    return Assignment.objects.filter(state="confirmed").order_by("starts_at", "pk")[number]


def another_table(*, seats: int) -> str:
    """A table that nobody has; its reference."""
    like = models.Table.objects.order_by("code")[0]
    table = models.Table.objects.create(restaurant=like.restaurant, zone=like.zone, code="X1", seats=seats)
    floor_cache.forget()
    return str(table.pk)


def act(client: Client, name: str, query: dict[str, str], booking: Assignment | None = None, **data: Any) -> Any:
    where = reverse("admin:assignments_serviceday_act", args=[name])
    about = {"booking": str(booking.pk)} if booking else {}
    given = {"form": str(uuid.uuid4()), **({"version": booking.version} if booking else {}), **data}
    return client.post(where, given, query_params={**query, **about}, headers={"X-Evening": "1"})


def said_in(html: str) -> str:
    """The message above the evening, with its buttons."""
    return html[html.index('data-part="evening-said"') :].split("</div>", maxsplit=1)[0]


@pytest.fixture
def tonight(decided: models.Restaurant) -> dict[str, str]:
    """The restaurant's evening that is on now: it is open all day."""
    models.ServicePeriod.objects.update(start="00:00", end="00:00")
    floor_cache.forget()
    today = day_at(floor_cache.floor_or_none(str(decided.pk)), clock.now())
    return {"restaurant": str(decided.pk), "day": today.isoformat()}


def live(client: Client, query: dict[str, str], tag: str = "") -> Any:
    return client.get(reverse(URL), {**query, "part": "live"}, headers={"If-None-Match": tag} if tag else {})


def stage_of(booking: Assignment) -> str:
    return str(Assignment.objects.get(pk=booking.pk).stage)


class TestForms:
    def test_a_form_that_is_sent_twice_acts_once(self, admin_client: Client, query: dict[str, str]) -> None:
        booking, form = seated(), str(uuid.uuid4())
        first = act(admin_client, "arrived", query, booking, form=form)
        assert "arrived" in first.content.decode()
        version = Assignment.objects.get(pk=booking.pk).version
        again = act(admin_client, "arrived", query, booking, form=form)
        assert "This was done already" in again.content.decode()
        assert Assignment.objects.get(pk=booking.pk).version == version
        assert StaffAction.objects.count() == 1

    def test_a_form_that_was_refused_may_be_sent_again(self, admin_client: Client, query: dict[str, str]) -> None:
        booking, form = seated(), str(uuid.uuid4())
        refused = act(admin_client, "undo", query, booking, form=form)
        assert "nothing left to take back" in refused.content.decode()
        assert not StaffAction.objects.exists()

    @pytest.mark.parametrize("missing", ["form", "version"])
    def test_a_form_without_its_id_or_version_does_nothing(
        self, admin_client: Client, query: dict[str, str], missing: str
    ) -> None:
        booking = seated()
        answer = act(admin_client, "arrived", query, booking, **{missing: ""})
        assert "This form is incomplete" in answer.content.decode()
        assert stage_of(booking) == Stage.EXPECTED

    def test_a_form_of_an_older_state_is_told_who_was_faster(
        self, admin_client: Client, query: dict[str, str], admin_user: Any
    ) -> None:
        booking = seated()
        act(admin_client, "arrived", query, booking)
        for name in ("late", "pin", "free", "extend"):
            html = act(admin_client, name, query, booking, until="4000000000").content.decode()
            assert "Nothing was changed" in html, name
            assert f"was noted as arrived by {admin_user.username}" in html, name
        assert stage_of(booking) == Stage.ARRIVED

    def test_a_stay_into_a_closure_is_offered_by_name_and_given_when_that_is_said(
        self, admin_client: Client, query: dict[str, str]
    ) -> None:
        booking = seated()
        row = Allocation.objects.filter(booking_ref=booking.booking_ref)[0]
        until = row.ends_at + timedelta(minutes=15)
        api.close(
            restaurant_ref=query["restaurant"], table_refs=[row.table_ref], starts_at=row.ends_at, actor="staff:7"
        )
        html = admin_client.get(reverse(URL), {**query, "booking": str(booking.pk)}).content.decode()
        assert "+15 min, not by the rules" in html
        assert re.search(r'name="overriding"\s+value="closed"', html)
        html = act(admin_client, "extend", query, booking, until=round(until.timestamp())).content.decode()
        assert "is closed at that time" in html
        act(admin_client, "extend", query, booking, until=round(until.timestamp()), overriding="closed")
        row.refresh_from_db()
        assert (row.ends_at, row.despite) == (until, ["closed"])
        assert row.overridden_by.startswith("staff:")

    def test_without_scripts_a_form_leads_back_to_the_page_and_says_what_it_did(
        self, admin_client: Client, query: dict[str, str]
    ) -> None:
        booking = seated()
        where = reverse("admin:assignments_serviceday_act", args=["arrived"])
        answer = admin_client.post(
            f"{where}?{urlencode({**query, 'booking': booking.pk})}",
            {"form": str(uuid.uuid4()), "version": booking.version},
            follow=True,
        )
        html = answer.content.decode()
        assert answer.status_code == 200
        assert f"Booking {booking.booking_ref}: arrived." in html
        assert "evening-panel-title" in html

    def test_without_scripts_each_message_has_its_button(
        self, admin_client: Client, query: dict[str, str], tonight: dict[str, str]
    ) -> None:
        def send(url: str, **data: Any) -> str:
            given = {"form": str(uuid.uuid4()), **data}
            return str(admin_client.post(url, given, follow=True).content.decode())

        def buttons(html: str) -> list[tuple[str, dict[str, str], str]]:
            html = html[html.index('id="evening-said"') : html.index('id="evening-news"')]
            forms = re.findall(r'<form method="post" action="([^"]*)"(.*?)<button[^>]*>([^<]*)', html)
            return [
                (unescape(url), dict(re.findall(r'name="(\w+)" value="([^"]*)"', hidden)), text)
                for url, hidden, text in forms
            ]

        booking, table = seated(), str(models.Table.objects.order_by("code")[0].pk)
        for name, where, data, text in (
            ("arrived", {**query, "booking": booking.pk}, {"version": booking.version}, "Undo the last stage"),
            ("close", query, {"tables": table}, "Lift the closure"),
            ("walk_in", tonight, {"party": 2}, "They did not sit down"),
            ("freeze", query, {}, "Unfreeze the evening"),
            ("place", {**query, "view": "plan"}, {"tables": table, "x": 40, "y": 40}, "Put it back"),
        ):
            url = reverse("admin:assignments_serviceday_act", args=[name])
            ((back, hidden, label),) = buttons(send(f"{url}?{urlencode(where)}", **data))
            assert label == text
            html = send(back, **hidden)
            assert "evening-success" in html, name
        assert stage_of(booking) == Stage.EXPECTED
        assert not Closure.objects.not_lifted().exists()
        assert not Assignment.objects.filter(stage=Stage.SEATED).exists()
        assert not FrozenEvening.objects.exists()
        assert not TablePlace.objects.exists()
        assert "evening-success" not in admin_client.get(reverse(URL), query).content.decode()

    def test_a_pin_is_taken_back_from_its_message(self, admin_client: Client, query: dict[str, str]) -> None:
        booking = seated()
        for name, text in (("pin", "Unpin"), ("unpin", "Pin again")):
            booking.refresh_from_db()
            html = said_in(act(admin_client, name, query, booking).content.decode())
            assert f">{text}<" in html
            assert 'data-key="u"' in html
        tables = re.findall(r'name="tables" value="(\d+)"', html)
        booking.refresh_from_db()
        assert f'name="version" value="{booking.version}"' in html
        act(admin_client, "pin", query, booking, tables=tables)
        booking.refresh_from_db()
        assert booking.pinned_table_refs == sorted(tables)

    def test_what_a_constraint_of_the_project_refuses_is_said_by_its_name(
        self, admin_client: Client, query: dict[str, str]
    ) -> None:
        booking, other = swapped()
        third = Assignment.objects.filter(state="confirmed").exclude(pk__in=[booking.pk, other.pk])[0]
        free = another_table(seats=third.party)
        assert not api.judge(booking_ref=third.booking_ref, table_refs=[free])
        before = list(Allocation.objects.order_by("pk").values())
        with refusing("example_booking_tables") as name:
            for answer in (
                act(admin_client, "undo", query, booking),
                act(admin_client, "swap", query, booking, other=other.pk, other_version=other.version),
                act(admin_client, "seat", query, third, tables=[free]),
            ):
                assert answer.status_code == 200
                assert f"Nothing was changed: the booking project refused it ({name})." in answer.content.decode()
        assert list(Allocation.objects.order_by("pk").values()) == before

    def test_a_booking_that_has_gone_to_another_restaurant_is_named_as_such(
        self, admin_client: Client, query: dict[str, str]
    ) -> None:
        booking = seated()
        Assignment.objects.filter(pk=booking.pk).update(restaurant_ref="elsewhere")
        answer = act(admin_client, "arrived", query, booking)
        assert "Nothing was changed: this booking is at another restaurant by now" in said_in(answer.content.decode())
        assert stage_of(booking) == Stage.EXPECTED

    def test_unknown_actions_and_methods_are_refused(self, admin_client: Client, query: dict[str, str]) -> None:
        assert act(admin_client, "explode", query).status_code == 404
        where = reverse("admin:assignments_serviceday_act", args=["arrived"])
        assert admin_client.get(where, query).status_code == 405

    def test_closing_freezing_and_the_way_back(self, admin_client: Client, query: dict[str, str]) -> None:
        table = str(models.Table.objects.order_by("code")[0].pk)
        act(admin_client, "close", query, tables=table, minutes="", reason="wobbles")
        closure = Closure.objects.get()
        assert (closure.table_refs, closure.reason) == ([table], "wobbles")
        assert closure.ends_at is not None
        act(admin_client, "lift", query, closure=closure.pk, closure_version=closure.version)
        assert Closure.objects.get().lifted_at is not None
        act(admin_client, "freeze", query)
        assert FrozenEvening.objects.count() == 1
        act(admin_client, "unfreeze", query)
        assert not FrozenEvening.objects.exists()

    def test_what_is_closed_already_is_not_closed_again(
        self, admin_client: Client, query: dict[str, str], admin_user: Any
    ) -> None:
        first, second = (str(table.pk) for table in models.Table.objects.order_by("code")[:2])
        act(admin_client, "close", query, tables=first, minutes="")
        again = act(admin_client, "close", query, tables=first, minutes="").content.decode()
        assert "this is closed already, from " in again
        assert f"by {admin_user.username}." in again
        assert Closure.objects.count() == 1
        act(admin_client, "close", query, tables=first, minutes="open")
        act(admin_client, "close", query, tables=[first, second], minutes="")
        assert Closure.objects.count() == 3
        again = act(admin_client, "close", query, tables=first, minutes="open").content.decode()
        assert "until further notice" in said_in(again)
        assert Closure.objects.count() == 3

    def test_nothing_can_be_closed_on_a_day_that_is_over(self, admin_client: Client, query: dict[str, str]) -> None:
        past = {**query, "day": (clock.now() - timedelta(days=3)).date().isoformat()}
        assert "panel=house" not in admin_client.get(reverse(URL), past).content.decode()
        html = admin_client.get(reverse(URL), {**past, "panel": "house"}).content.decode()
        assert "This day is over." in html
        assert "/act/close/" not in html

    def test_a_later_day_is_closed_as_a_whole(self, admin_client: Client, query: dict[str, str]) -> None:
        table = str(models.Table.objects.order_by("code")[0].pk)
        html = admin_client.get(reverse(URL), {**query, "table": table}).content.decode()
        assert "Closed from the beginning of this day" in html
        assert "until further notice" in html
        assert ">for 30 minutes<" not in html
        today = day_at(floor_cache.floor_or_none(query["restaurant"]), clock.now()).isoformat()
        html = admin_client.get(reverse(URL), {**query, "day": today, "table": table}).content.decode()
        assert "Closed from now" in html
        assert ">for 30 minutes<" in html

    def test_of_two_who_place_a_table_the_second_is_told(self, admin_client: Client, query: dict[str, str]) -> None:
        table = str(models.Table.objects.order_by("code")[0].pk)

        def seen() -> str:
            html = admin_client.get(reverse(URL), {**query, "view": "plan", "table": table}).content.decode()
            found = re.search(r'name="seen" value="([^"]+)"', html)
            assert found is not None
            assert f'data-seen="{found[1]}"' in html
            return found[1]

        before = seen()
        act(admin_client, "place", query, tables=table, x=100, y=100, seen=before)
        refused = act(admin_client, "place", query, tables=table, x=500, y=100, seen=before).content.decode()
        assert "somebody else has placed this table" in refused
        assert TablePlace.objects.get().x == 100
        act(admin_client, "place", query, tables=table, x=500, y=100, seen=seen())
        assert TablePlace.objects.get().x == 500

    def test_a_closure_gets_other_times_unless_somebody_else_changed_it(
        self, admin_client: Client, query: dict[str, str]
    ) -> None:
        past = round(clock.now().timestamp()) - 3600
        act(admin_client, "close", query, tables=str(models.Table.objects.order_by("code")[0].pk), minutes="60")
        closure = Closure.objects.get()
        until = closure.ends_at
        assert until is not None
        seen: dict[str, Any] = {"closure": closure.pk, "closure_version": closure.version}
        longer = round(until.timestamp()) + 900
        answer = act(admin_client, "edit_closure", query, **seen, ends_at=longer)
        assert "Closed from" in answer.content.decode()
        assert "Undo the new times" in answer.content.decode()
        after = Closure.objects.get()
        assert after.ends_at is not None
        assert (after.starts_at, round(after.ends_at.timestamp())) == (closure.starts_at, longer)
        answer = act(admin_client, "edit_closure", query, **seen, ends_at=longer + 900)
        assert "somebody else has changed this closure" in answer.content.decode()
        seen["closure_version"] = after.version
        refused: tuple[tuple[dict[str, Any], str], ...] = (
            ({"ends_at": past}, "cannot end in the past"),
            ({"starts_at": past}, "cannot begin in the past"),
            ({"starts_at": longer + 60}, "must end after it begins"),
            ({"starts_day": "2026-02-30", "starts_time": "7"}, "not a date and a time"),
        )
        for given, why in refused:
            assert why in act(admin_client, "edit_closure", query, **seen, **given).content.decode(), why
        assert Closure.objects.get().version == after.version
        act(admin_client, "edit_closure", query, **seen, ends_at="open")
        assert Closure.objects.get().ends_at is None

    def test_only_who_says_so_closes_the_whole_restaurant(self, admin_client: Client, query: dict[str, str]) -> None:
        for tables, zone in (("", ""), ("", " ")):
            answer = act(admin_client, "close", query, tables=tables, zone=zone)
            assert "Choose a table." in answer.content.decode()
        assert not Closure.objects.exists()
        html = admin_client.get(reverse(URL), {**query, "panel": "house"}).content.decode()
        hidden = re.findall(r'<input type="hidden" name="(\w+)" value="(\w*)">', html[html.index("/act/close/") :])
        said = act(admin_client, "close", query, house=dict(hidden)["house"])
        assert "The restaurant is closed." in said.content.decode()
        assert Closure.objects.get().is_whole_restaurant

    def test_what_is_about_another_booking_or_a_closure_needs_its_version(
        self, admin_client: Client, query: dict[str, str]
    ) -> None:
        booking, other = seated(0), seated(1)
        for name in ("swap", "displace"):
            answer = act(admin_client, name, query, booking, other=other.pk)
            assert "This form is incomplete" in answer.content.decode(), name
            answer = act(admin_client, name, query, booking, other=other.pk, other_version=other.version + 1)
            assert "Nothing was changed" in answer.content.decode(), name
        act(admin_client, "close", query, tables=str(models.Table.objects.order_by("code")[0].pk))
        answer = act(admin_client, "lift", query, closure=Closure.objects.get().pk)
        assert "This form is incomplete" in answer.content.decode()
        assert Closure.objects.get().lifted_at is None

    def test_the_days_of_both_bookings_are_locked_together(self, admin_client: Client, query: dict[str, str]) -> None:
        booking, other = seated(0), seated(1)
        Assignment.objects.filter(pk=other.pk).update(service_date=other.service_date - timedelta(days=1))
        with CaptureQueriesContext(connection) as captured:
            act(admin_client, "swap", query, booking, other=other.pk, other_version=other.version)
        first = next(each["sql"] for each in captured.captured_queries if "pg_advisory_xact_lock(" in each["sql"])
        for day in (other.service_date, other.service_date - timedelta(days=1)):
            assert day.isoformat() in first

    def test_a_hold_is_released(self, admin_client: Client, query: dict[str, str]) -> None:
        booking = seated()
        table = api.release_tables(booking_ref=booking.booking_ref, actor="staff:1")
        api.hold(booking_ref=booking.booking_ref, table_refs=table)
        booking.refresh_from_db()
        html = admin_client.get(reverse(URL), {**query, "booking": str(booking.pk)}).content.decode()
        assert "Release hold" in html
        released = act(admin_client, "release_hold", query, booking)
        assert not Allocation.objects.filter(booking_ref=booking.booking_ref).exists()
        booking.refresh_from_db()
        assert "cannot be taken back" in released.content.decode()
        assert "this hold has already ended" in act(admin_client, "release_hold", query, booking).content.decode()


class TestUndo:
    def test_tables_that_were_set_free_are_given_again(self, admin_client: Client, query: dict[str, str]) -> None:
        booking = seated()
        had = ledger.tables_of([booking.booking_ref])
        said = act(admin_client, "free", query, booking).content.decode()
        assert "Assign the tables again" in said_in(said)
        booking.refresh_from_db()
        assert "Undone" in act(admin_client, "undo", query, booking).content.decode()
        assert ledger.tables_of([booking.booking_ref]) == had

    def test_a_walk_in_is_taken_back_from_the_message(self, admin_client: Client, tonight: dict[str, str]) -> None:
        html = act(admin_client, "walk_in", tonight, party=2).content.decode()
        assert "sit at" in html
        walk_in = Assignment.objects.get(stage=Stage.SEATED)
        said = said_in(html)
        assert f"booking={walk_in.pk}" in said
        assert f'name="version" value="{walk_in.version}"' in said
        act(admin_client, "undo", tonight, walk_in)
        assert not ledger.seatings_of([walk_in.booking_ref])

    def test_going_back_to_a_table_that_somebody_has_by_now_says_who(
        self, admin_client: Client, query: dict[str, str]
    ) -> None:
        booking, other = swapped()
        page = admin_client.get(reverse(URL), {**query, "booking": str(booking.pk)}).content.decode()
        assert "Swap back" in page
        assert "no longer possible" not in page
        api.late(booking_ref=other.booking_ref, actor="staff:1")  # Now one of the two has gone on.
        page = admin_client.get(reverse(URL), {**query, "booking": str(booking.pk)}).content.decode()
        assert "Swap back: no longer possible." in page
        assert f"is still taken by booking {other.booking_ref}" in page
        assert "Tables that fit" in page
        booking.refresh_from_db()
        answer = act(admin_client, "undo", query, booking).content.decode()
        assert "Nothing was changed." in answer
        assert f"is still taken by booking {other.booking_ref}" in answer


def swapped() -> tuple[Assignment, Assignment]:
    """Two bookings that have just swapped their tables."""
    rows = list(Assignment.objects.filter(state="confirmed", party=4).order_by("starts_at", "pk"))
    for one, other in combinations(rows, 2):
        with suppress(TablesRefusedError):
            api.swap(booking_ref=one.booking_ref, other_ref=other.booking_ref, actor="staff:1")
            one.refresh_from_db()
            other.refresh_from_db()
            return one, other
    raise AssertionError("Nobody can swap on this evening.")


class TestWalkIns:
    def test_after_hours_they_are_seated_against_the_rule_that_is_named(
        self, admin_client: Client, tonight: dict[str, str]
    ) -> None:
        now = clock.now().astimezone(ZoneInfo(models.Restaurant.objects.get().timezone))
        over = (now - timedelta(hours=2), now - timedelta(hours=1))
        models.ServicePeriod.objects.update(start=f"{over[0]:%H:%M}", end=f"{over[1]:%H:%M}")
        floor_cache.forget()
        tonight["day"] = day_at(floor_cache.floor_or_none(tonight["restaurant"]), clock.now()).isoformat()
        refused = said_in(act(admin_client, "walk_in", tonight, party=2).content.decode())
        assert "A party of 2 cannot be seated now." in refused
        assert "No table is free" not in refused
        assert "Seat anyway at" in refused
        assert refused.count("Nothing is served at") == 1
        given: dict[str, Any] = {"tables": [], "overriding": []}
        for name, value in re.findall(r'name="(party|tables|overriding)" value="([^"]+)"', refused):
            given[name] = [*given[name], value] if name in {"tables", "overriding"} else value
        assert given["overriding"] == ["outside_service"]
        assert "2 guests without a booking sit at" in act(admin_client, "walk_in", tonight, **given).content.decode()
        walk_in = Assignment.objects.get(stage=Stage.SEATED)
        assert Allocation.objects.get(booking_ref=walk_in.booking_ref).despite == ["outside_service"]

    def test_who_sits_down_where_others_have_not_left_is_said_so(
        self, admin_client: Client, tonight: dict[str, str]
    ) -> None:
        table = models.Table.objects.order_by("code")[3]
        models.Table.objects.exclude(pk=table.pk).update(active=False)
        floor_cache.forget()
        now = clock.now()
        with clock.at(now - timedelta(hours=4)):
            first = api.seat_walk_in(actor="staff:1", restaurant_ref=tonight["restaurant"], party=table.seats)
        assert first.table_refs == (str(table.pk),)
        html = said_in(act(admin_client, "walk_in", tonight, party=table.seats).content.decode())
        assert f"Not noted as gone from there: Walk-in {first.booking_ref[-4:]}." in html
        assert "evening-warning" in html

    def test_who_is_refused_is_still_as_many(self, admin_client: Client, tonight: dict[str, str]) -> None:
        models.Table.objects.update(active=False)
        floor_cache.forget()
        html = act(admin_client, "walk_in", tonight, party=6).content.decode()
        assert re.search(r'id="evening-party"[^>]* value="6"', html)

    def test_a_rule_that_the_refusal_does_not_name_is_named_by_the_button(
        self, admin_client: Client, tonight: dict[str, str]
    ) -> None:
        models.Table.objects.update(active=False)
        floor_cache.forget()
        refused = said_in(act(admin_client, "walk_in", tonight, party=2).content.decode())
        assert re.search(r"Seat anyway at ([\w-]+) \(against: Table \1 is out of service\)", refused)

    def test_they_are_offered_on_the_page_of_today_alone(
        self, admin_client: Client, tonight: dict[str, str], query: dict[str, str]
    ) -> None:
        for where, is_offered in ((tonight, True), (query, False)):
            assert ("panel=walk-in" in admin_client.get(reverse(URL), where).content.decode()) is is_offered
            panel = admin_client.get(reverse(URL), {**where, "panel": "walk-in"}).content.decode()
            assert ("Seat now" in panel) is is_offered
        html = act(admin_client, "walk_in", query, party=2).content.decode()
        assert "Walk-ins sit down today" in html
        assert not Assignment.objects.filter(stage=Stage.SEATED).exists()


class TestGuestsPastTheirTime:
    """Those who still sit there, who were never seated, and who come after all."""

    def when(self, booking: Assignment) -> Allocation:
        return Allocation.objects.filter(booking_ref=booking.booking_ref).order_by("table_ref")[0]

    def test_who_should_have_left_is_let_stay_from_now_on(self, admin_client: Client, query: dict[str, str]) -> None:
        booking = seated(20)
        row = self.when(booking)
        with clock.at(row.starts_at):
            api.seated(booking_ref=booking.booking_ref, actor="staff:1")
            booking.refresh_from_db()
        with clock.at(row.ends_at + timedelta(minutes=40)):
            html = admin_client.get(reverse(URL), {**query, "booking": str(booking.pk)}).content.decode()
            assert "let them stay longer" in html
            button = html[: html.index(">+15 min")].rpartition("<form")[2]
            until = re.search(r'name="until" value="(\d+)"', button)
            assert until
            answer = act(admin_client, "extend", query, booking, until=until.group(1)).content.decode()
        assert "stays until" in answer
        row.refresh_from_db()
        assert row.stays_until == datetime.fromtimestamp(int(until.group(1)), tz=UTC)

    def test_the_plan_shows_who_has_not_left(self, admin_client: Client, query: dict[str, str]) -> None:
        booking = seated(20)
        row = self.when(booking)
        with clock.at(row.starts_at):
            api.seated(booking_ref=booking.booking_ref, actor="staff:1")
        after = Allocation.objects.filter(table_ref=row.table_ref, starts_at__gt=row.ends_at).order_by("starts_at")
        for seating in after:
            api.booking_cancelled(booking_ref=seating.booking_ref)
        with clock.at(row.ends_at + timedelta(minutes=20)):
            html = admin_client.get(reverse(URL), {**query, "view": "plan"}).content.decode()
            assert f'data-booking="{booking.pk}"' in html
            api.left(booking_ref=booking.booking_ref, actor="staff:1")
            html = admin_client.get(reverse(URL), {**query, "view": "plan"}).content.decode()
        assert f'data-booking="{booking.pk}"' not in html

    def test_who_arrived_and_never_sat_has_a_way_out(self, admin_client: Client, query: dict[str, str]) -> None:
        booking = seated(20)
        row = self.when(booking)
        with clock.at(row.starts_at):
            api.arrived(booking_ref=booking.booking_ref, actor="staff:1")
        with clock.at(row.ends_at + timedelta(minutes=1)):
            html = admin_client.get(reverse(URL), {**query, "booking": str(booking.pk)}).content.decode()
        assert "never seated" in html
        assert "The guests arrived and were never seated." in html

    def test_who_has_the_table_is_named_by_its_label(
        self, admin_client: Client, query: dict[str, str], monkeypatch: Any
    ) -> None:
        one, other = seated(20), seated(21)
        row, theirs = self.when(one), self.when(other)
        with clock.at(max(row.starts_at, theirs.starts_at) - timedelta(minutes=5)):
            api.booking_cancelled(booking_ref=other.booking_ref)
            api.move(
                booking_ref=one.booking_ref,
                table_refs=[theirs.table_ref],
                actor="staff:1",
                overriding=list(OVERRIDABLE),
            )
            newcomer = models.Booking.objects.create(
                restaurant=models.Restaurant.objects.get(), reference="late", start=row.starts_at, party=one.party
            )
            api.request(booking_ref=str(newcomer.pk))
            api.assign(
                booking_ref=str(newcomer.pk), table_refs=[row.table_ref], actor="staff:1", overriding=list(OVERRIDABLE)
            )
            monkeypatch.setattr(ExampleHost, "label", lambda _self, _ref: "B044 (2)")
            html = admin_client.get(reverse(URL), {**query, "booking": str(one.pk)}).content.decode()
            assert "is still taken by booking B044 (2)." in html
            one.refresh_from_db()
            said = said_in(act(admin_client, "undo", query, one).content.decode())
        assert "by booking B044 (2)." in said

    def test_whose_table_is_taken_after_a_no_show_has_the_next_best(
        self, admin_client: Client, query: dict[str, str], decided: models.Restaurant
    ) -> None:
        booking = seated(20)
        row = self.when(booking)
        with clock.at(row.starts_at + timedelta(minutes=30)):
            api.no_show(booking_ref=booking.booking_ref, actor="staff:1")
            there = models.Booking.objects.create(
                restaurant=decided, reference="there", start=clock.now(), party=booking.party
            )
            api.request(booking_ref=str(there.pk))
            api.seat_walk_in(actor="staff:1", booking_ref=str(there.pk), table_refs=[row.table_ref])
            booking.refresh_from_db()
            for code in ("D1-T04", "D1-T05"):
                for other in Allocation.objects.current().filter(
                    table_ref=str(models.Table.objects.get(code=code).pk), blocked__endswith__gt=clock.now()
                ):
                    api.booking_cancelled(booking_ref=other.booking_ref)
            html = admin_client.get(reverse(URL), {**query, "booking": str(booking.pk)}).content.decode()
            assert "The next best tables are below." in html
            best = html[html.index('class="evening-best"') :]
            tables = re.findall(r'name="tables" value="(\d+)"', best[: best.index("</li>")])
            answer = act(admin_client, "seat", query, booking, tables=tables).content.decode()
        assert "evening-success" in said_in(answer) or "evening-warning" in said_in(answer)
        assert set(Allocation.objects.current().filter(booking_ref=booking.booking_ref).values_list("table_ref")) == {
            (ref,) for ref in tables
        }
        assert stage_of(booking) == Stage.EXPECTED


class TestWithoutATable:
    def test_whose_time_is_over_cannot_be_seated_now(self, admin_client: Client, query: dict[str, str]) -> None:
        pending = Assignment.objects.filter(state="assignment_pending")
        waiting = pending.filter(party=2).earliest("starts_at")
        for other in pending.exclude(pk=waiting.pk):
            api.booking_cancelled(booking_ref=other.booking_ref)
        another_table(seats=2)
        url = {**query, "waiting": "1", "booking": str(waiting.pk)}
        for minutes, is_offered in ((10, True), (150, False)):
            with clock.at(waiting.starts_at + timedelta(minutes=minutes)):
                html = admin_client.get(reverse(URL), url).content.decode()
            assert f'data-booking="{waiting.pk}"' in html
            assert ("Can be seated now." in html) is is_offered
            assert ("Seat at" in html) is is_offered
            assert ("The time of this booking is over." in html) is not is_offered

    def test_who_keeps_a_table_while_staff_decide_is_not_without_one(
        self, admin_client: Client, query: dict[str, str]
    ) -> None:
        booking = seated()
        host = models.Booking.objects.get(pk=int(booking.booking_ref))

        def lane() -> str:
            html = admin_client.get(reverse(URL), {**query, "waiting": "1"}).content.decode()
            found = re.search(r"Without a table: (\d+)", html)
            assert found
            return found.group(1)

        before = lane()
        host.party = 40
        host.save()
        api.booking_changed(booking_ref=booking.booking_ref)
        booking.refresh_from_db()
        assert booking.state == "manual_review"
        assert Allocation.objects.current().filter(booking_ref=booking.booking_ref).exists()
        assert lane() == before


class TestTheDoor:
    """Guests without a booking, for whom no table is free now, wait at the door."""

    @pytest.fixture
    def full(self, admin_client: Client, tonight: dict[str, str]) -> dict[str, str]:
        """The restaurant's only table has guests, who have just come."""
        only = models.Table.objects.filter(seats=4).order_by("code")[0]
        models.Table.objects.exclude(pk=only.pk).update(active=False)
        floor_cache.forget()
        act(admin_client, "walk_in", tonight, party=4)
        return tonight

    def refused(self, client: Client, query: dict[str, str], party: int) -> str:
        return said_in(act(client, "walk_in", query, party=party).content.decode())

    def door_in(self, client: Client, query: dict[str, str]) -> list[str]:
        html = live(client, query).content.decode()
        line = html[html.index('data-part="evening-line"') :].split('data-part="evening-empty"', maxsplit=1)[0]
        return re.findall(r"At the door: ([^<]+)</span>", line)

    def test_they_wait_there_in_the_order_in_which_they_came(self, admin_client: Client, full: dict[str, str]) -> None:
        assert not self.door_in(admin_client, full)
        refused = self.refused(admin_client, full, 4)
        assert "Let them wait at the door" in refused
        waits = said_in(act(admin_client, "wait_at_door", full, party=4).content.decode())
        assert "At the door: 4 guests, at place 1. A table in about" in waits
        act(admin_client, "wait_at_door", full, party=3)
        assert self.door_in(admin_client, full) == ["4 guests", "3 guests"]
        elsewhere = {**full, "day": (datetime.fromisoformat(full["day"]) + timedelta(days=1)).date().isoformat()}
        assert not self.door_in(admin_client, elsewhere)

    def test_who_is_next_is_seated_and_is_back_at_the_door_once_that_is_undone(
        self, admin_client: Client, full: dict[str, str]
    ) -> None:
        act(admin_client, "wait_at_door", full, party=4)
        queued = QueuedParty.objects.get()
        here = Assignment.objects.get(stage=Stage.SEATED)
        said = said_in(act(admin_client, "walk_in", full, queued=queued.pk).content.decode())
        assert "No table is free for 4 now" in said
        assert "Let them wait" not in said
        act(admin_client, "left", full, here)
        assert "Can be seated now." in live(admin_client, full).content.decode()
        assert "4 guests without a booking sit at" in said_in(
            act(admin_client, "walk_in", full, queued=queued.pk).content.decode()
        )
        assert not self.door_in(admin_client, full)
        assert "no longer wait at the door" in said_in(
            act(admin_client, "walk_in", full, queued=queued.pk).content.decode()
        )
        act(admin_client, "undo", full, Assignment.objects.get(stage=Stage.SEATED))
        assert self.door_in(admin_client, full) == ["4 guests"]

    def test_who_goes_away_and_comes_back_has_the_same_place(self, admin_client: Client, full: dict[str, str]) -> None:
        act(admin_client, "wait_at_door", full, party=4)
        act(admin_client, "wait_at_door", full, party=3)
        first = QueuedParty.objects.order_by("pk")[0]
        gone = said_in(act(admin_client, "leave_door", full, queued=first.pk).content.decode())
        assert "4 guests: no longer at the door." in gone
        assert "They wait after all" in gone
        assert self.door_in(admin_client, full) == ["3 guests"]
        act(admin_client, "wait_at_door", full, queued=first.pk)
        assert self.door_in(admin_client, full) == ["4 guests", "3 guests"]

    def test_staff_hear_whom_newcomers_pass_at_the_door(self, admin_client: Client, full: dict[str, str]) -> None:
        act(admin_client, "wait_at_door", full, party=3)
        act(admin_client, "left", full, Assignment.objects.get(stage=Stage.SEATED))
        said = said_in(act(admin_client, "walk_in", full, party=4).content.decode())
        assert "At the door for longer, and could have had it: 3 guests." in said
        assert self.door_in(admin_client, full) == ["3 guests"]

    def test_only_who_may_seat_guests_sees_buttons_and_only_of_this_restaurant(
        self, client: Client, admin_client: Client, full: dict[str, str], django_user_model: Any
    ) -> None:
        act(admin_client, "wait_at_door", full, party=4)
        user = django_user_model.objects.create_user("anna", password="x", is_staff=True)
        user.user_permissions.set(Permission.objects.filter(codename="view_serviceday"))
        anna = Client()
        anna.force_login(user)
        assert self.door_in(anna, full) == ["4 guests"]
        assert "They went away" not in live(anna, full).content.decode()
        assert act(anna, "leave_door", full, queued=QueuedParty.objects.get().pk).status_code == 403
        QueuedParty.objects.update(restaurant_ref="other")
        said = said_in(act(admin_client, "leave_door", full, queued=QueuedParty.objects.get().pk).content.decode())
        assert "Nothing was changed" in said
        assert QueuedParty.objects.get().left_at is None


class TestLive:
    def test_nothing_new_is_answered_by_one_query_of_ours(
        self, admin_client: Client, query: dict[str, str], monkeypatch: Any
    ) -> None:
        moment = clock.now()
        monkeypatch.setattr(clock, "now", lambda: moment)
        tag = live(admin_client, query)["ETag"]
        with CaptureQueriesContext(connection) as captured:
            answer = live(admin_client, query, tag)
        assert (answer.status_code, answer.content) == (304, b"")
        ours = [each["sql"] for each in captured.captured_queries if "assignments_" in each["sql"]]
        assert len(ours) == 1

    def test_whatever_the_page_shows_is_a_new_version(self, query: dict[str, str]) -> None:
        ref, day, now = query["restaurant"], datetime.fromisoformat(query["day"]).date(), clock.now()
        seen = [day_version(ref, day, now=now)]
        booking = seated()
        api.late(booking_ref=booking.booking_ref, actor="staff:1")
        seen.append(day_version(ref, day, now=now))
        api.pin(
            booking_ref=booking.booking_ref,
            table_refs=[row.table_ref for row in Allocation.objects.filter(booking_ref=booking.booking_ref)],
            actor="staff:1",
        )
        seen.append(day_version(ref, day, now=now))
        api.freeze(restaurant_ref=ref, service_date=day, actor="staff:1")
        seen.append(day_version(ref, day, now=now))
        table = str(models.Table.objects.order_by("code")[0].pk)
        api.close(restaurant_ref=ref, table_refs=[table], starts_at=booking.starts_at)
        seen.append(day_version(ref, day, now=now))
        place, _created = TablePlace.objects.get_or_create(restaurant_ref=ref, table_ref=table, x=100, y=100)
        seen.append(day_version(ref, day, now=now))
        TablePlace.objects.filter(pk=place.pk).update(x=104)
        seen.append(day_version(ref, day, now=now))
        FloorSeen.objects.update_or_create(restaurant_ref=ref, defaults={"fingerprint": "a table less"})
        seen.append(day_version(ref, day, now=now))
        wait = api.join_queue(restaurant_ref=ref, party=2, actor="staff:1")
        seen.append(day_version(ref, day, now=now))
        api.join_queue(restaurant_ref=ref, party=2, actor="staff:1")
        api.leave_queue(queued_id=wait.queued_id or 0)
        seen.append(day_version(ref, day, now=now))
        assert len(set(seen)) == len(seen)
        assert day_version(ref, day, now=now) == seen[-1]

    def test_closures_that_are_long_over_are_not_read(self, query: dict[str, str]) -> None:
        """A restaurant has thousands after some years, and the page asks every three seconds."""
        day = datetime.fromisoformat(query["day"]).replace(hour=12, tzinfo=UTC)
        before = day_version(query["restaurant"], day.date(), now=clock.now()).version
        old = Closure.objects.create(
            restaurant_ref=query["restaurant"], starts_at=day - timedelta(days=40), ends_at=day - timedelta(days=39)
        )
        assert day_version(query["restaurant"], day.date(), now=clock.now()).version == before
        Closure.objects.filter(pk=old.pk).update(ends_at=day)
        assert day_version(query["restaurant"], day.date(), now=clock.now()).version != before

    def test_a_transaction_that_began_earlier_and_commits_later_is_seen(self, query: dict[str, str]) -> None:
        """A version that is the highest id, or time, would miss it."""
        ref, day, now = query["restaurant"], datetime.fromisoformat(query["day"]).date(), clock.now()
        early, late = seated(0), seated(1)
        slow = connection.copy()
        try:
            with slow.cursor() as cursor:
                cursor.execute("BEGIN")
                cursor.execute(
                    "UPDATE assignments_assignment SET stage = 'late', version = version + 1 WHERE id = %s", [early.pk]
                )
                with transaction.atomic():
                    Assignment.objects.filter(pk=late.pk).update(stage=Stage.LATE, version=late.version + 1)
                between = day_version(ref, day, now=now)
                cursor.execute("COMMIT")
            assert day_version(ref, day, now=now) != between
        finally:
            slow.close()

    def test_others_are_told_who_did_what(
        self, client: Client, admin_client: Client, query: dict[str, str], django_user_model: Any
    ) -> None:
        booking = seated()
        act(admin_client, "arrived", query, booking)
        user = django_user_model.objects.create_user("anna", password="x", is_staff=True)
        user.user_permissions.set(Permission.objects.filter(codename="view_serviceday"))
        anna = Client()
        anna.force_login(user)
        html = live(anna, query).content.decode()
        assert re.search(r"was noted as arrived by admin <span [^>]*>\d+ s ago", html)
        assert "was noted as arrived" not in live(admin_client, query).content.decode()


class TestDaySheet:
    URL = "admin:assignments_serviceday_sheet"

    def test_it_marks_what_has_changed_since_the_moment_that_was_printed(
        self, admin_client: Client, query: dict[str, str]
    ) -> None:
        html = admin_client.get(reverse(self.URL), query).content.decode()
        as_of = re.search(r'name="as_of" value="([^"]+)"', html)
        assert as_of is not None
        moved, cancelled, _other = seated(0), seated(1), seated(2)
        was = Allocation.objects.current().filter(booking_ref=cancelled.booking_ref)[0].table_ref
        api.release_tables(booking_ref=moved.booking_ref, actor="staff:1")
        api.booking_cancelled(booking_ref=cancelled.booking_ref)
        # Only now does somebody say so: what has happened since the page was made is not on paper.
        act(admin_client, "printed", query, as_of=as_of[1])
        html = admin_client.get(reverse(self.URL), query).content.decode()
        gone = html[html.index("No longer on the day sheet") :]
        name = models.Table.objects.get(pk=int(was)).code
        assert re.search(rf"Booking {cancelled.booking_ref} [^<]*was [^<]*{name}[^<]*; cancelled", gone)
        assert f"Booking {moved.booking_ref} " in gone
        assert "(new)" not in html

    def test_the_grid_marks_it_too(self, admin_client: Client, query: dict[str, str]) -> None:
        as_of = re.search(r'name="as_of" value="([^"]+)"', admin_client.get(reverse(self.URL), query).content.decode())
        assert as_of is not None
        act(admin_client, "printed", query, as_of=as_of[1])
        before = admin_client.get(reverse(URL), query).content.decode()
        assert "has changed since the day sheet of" in before
        assert "on the day sheet" not in before
        stays, moved = seated(0), seated(1)
        was = models.Table.objects.get(
            pk=int(Allocation.objects.current().filter(booking_ref=moved.booking_ref)[0].table_ref)
        )
        added = models.Table.objects.create(restaurant=was.restaurant, zone=was.zone, code="X1", seats=moved.party)
        api.move(booking_ref=moved.booking_ref, table_refs=[str(added.pk)], actor="staff:1")
        html = admin_client.get(reverse(URL), query).content.decode()
        (bar,) = set(re.findall(r'aria-label="([^"]*day sheet)"', html))
        assert f"Booking {moved.booking_ref}," in bar
        assert re.search(rf", at [^,]*{was.code}[^,]* on the day sheet$", bar)
        assert f"Booking {stays.booking_ref}," in html
        assert re.search(r'class="timeline-first"[^>]*>\* ', html)

    def test_both_mark_another_time_and_another_party(self, admin_client: Client, query: dict[str, str]) -> None:
        act(admin_client, "printed", query, as_of=clock.now().isoformat())
        longer, smaller, same = seated(0), seated(1), seated(2)
        row = Allocation.objects.filter(booking_ref=longer.booking_ref)[0]
        api.extend(booking_ref=longer.booking_ref, until=row.ends_at - timedelta(minutes=20), actor="staff:1")
        booking = models.Booking.objects.get(pk=smaller.booking_ref)
        party = booking.party
        booking.party = party - 1
        booking.save()
        api.booking_changed(booking_ref=smaller.booking_ref)
        smaller.refresh_from_db()
        assert (smaller.state, smaller.party) == ("confirmed", party - 1)
        sheet = admin_client.get(reverse(self.URL), query).content.decode()
        changed = re.findall(r'<tr class="changed">.*?</tr>', sheet)
        assert len(changed) == 2
        zone = ZoneInfo(models.Restaurant.objects.get().timezone)
        start, end = (f"{each.astimezone(zone):%H:%M}" for each in (row.starts_at, row.ends_at))
        assert any(
            f"Booking {longer.booking_ref}<" in line and f"(was {start}\N{EN DASH}{end})" in line for line in changed
        )
        assert any(f"Booking {smaller.booking_ref}<" in line and f"(was {party} covers)" in line for line in changed)
        html = admin_client.get(reverse(URL), query).content.decode()
        bars = set(re.findall(r'aria-label="([^"]*on the day sheet)"', html))
        assert {bar.rsplit(", ", 1)[1] for bar in bars} == {
            f"{start}-{end} on the day sheet",
            f"{party} covers on the day sheet",
        }
        assert not any(f"Booking {same.booking_ref}," in bar for bar in bars)
        act(admin_client, "seated", query, longer)
        longer.refresh_from_db()
        act(admin_client, "printed", query, as_of=clock.now().isoformat())
        act(admin_client, "left", query, longer)
        assert "on the day sheet" not in admin_client.get(reverse(URL), query).content.decode()

    def test_no_later_moment_than_now_is_noted_and_only_by_who_assigns(
        self, admin_client: Client, query: dict[str, str], django_user_model: Any
    ) -> None:
        act(admin_client, "printed", query, as_of="2999-01-01T00:00:00+00:00")
        assert StaffAction.objects.get(what="printed").at <= clock.now()
        assert "incomplete" in act(admin_client, "printed", query, as_of="2025-01-01").content.decode()
        user = django_user_model.objects.create_user("anna", password="x", is_staff=True)
        user.user_permissions.set(Permission.objects.filter(codename="view_serviceday"))
        anna = Client()
        anna.force_login(user)
        assert "It was printed" not in anna.get(reverse(self.URL), query).content.decode()
        assert act(anna, "printed", query, as_of="2025-01-01T00:00:00+00:00").status_code == 403
        assert StaffAction.objects.filter(what="printed").count() == 1


class TestEmptyStates:
    def test_the_parts_say_as_the_page_does_that_there_is_nothing(
        self, admin_client: Client, query: dict[str, str]
    ) -> None:
        day = datetime.fromisoformat(query["day"]).date()
        empty = {**query, "day": (day - timedelta(days=1)).isoformat()}
        nobody = {"restaurant": "unknown", "day": day.isoformat()}
        for part in ({}, {"part": "live"}, {"part": "all"}):
            html = admin_client.get(reverse(URL), {**empty, **part}).content.decode()
            assert "No bookings for this day." in html, part
            assert "Next day with bookings" in html, part
            html = admin_client.get(reverse(URL), {**nobody, **part}).content.decode()
            assert "This restaurant has no tables." in html, part


class TestPermissions:
    @pytest.fixture
    def staff(self, client: Client, django_user_model: Any) -> Any:
        def allowed(*codenames: str) -> Client:
            user = django_user_model.objects.create_user("anna", password="x", is_staff=True)
            user.user_permissions.set(Permission.objects.filter(codename__in=codenames))
            client.force_login(user)
            return client

        return allowed

    def test_who_only_looks_has_no_buttons_and_is_refused(self, staff: Any, query: dict[str, str]) -> None:
        client, booking = staff("view_serviceday"), seated()
        html = client.get(reverse(URL), {**query, "booking": str(booking.pk), "waiting": "1"}).content.decode()
        assert "evening-panel-title" in html
        assert "serviceday/act/" not in html
        for name in ("arrived", "seat", "undo", "free", "walk_in", "freeze", "close"):
            assert act(client, name, query, booking).status_code == 403, name
        assert stage_of(booking) == Stage.EXPECTED

    def test_closing_takes_the_permission_of_closures(self, staff: Any, query: dict[str, str]) -> None:
        client = staff("view_serviceday", "assign")
        assert act(client, "close", query).status_code == 403
        assert act(client, "arrived", query, seated()).status_code == 200

    def test_a_restaurant_of_others_is_out_of_reach(
        self, admin_client: Client, query: dict[str, str], monkeypatch: Any
    ) -> None:
        monkeypatch.setattr(ExampleHost, "restaurants_of", lambda self, user: ["other"], raising=False)
        booking = seated()
        assert live(admin_client, query).status_code == 403
        assert act(admin_client, "arrived", query, booking).status_code == 403
        sheet = reverse("admin:assignments_serviceday_sheet")
        assert admin_client.get(sheet, query).status_code == 403
        assert stage_of(booking) == Stage.EXPECTED


class TestSearch:
    def test_a_label_that_does_not_end_with_the_ref_is_found(
        self, admin_client: Client, query: dict[str, str], monkeypatch: Any
    ) -> None:
        monkeypatch.setattr(ExampleHost, "label", lambda _self, ref: f"R-{int(ref) * 7:05d}X")
        booking = seated(3)
        label, where = f"R-{int(booking.booking_ref) * 7:05d}X", reverse("admin:assignments_serviceday_find")

        def found(text: str) -> list[str]:
            html = admin_client.post(where, {"q": text}).content.decode()
            return re.findall(r"R-\d+X", html.split("<form", maxsplit=1)[0] + html[html.index("</form>") :])

        assert set(found(label)) - {label.lower()} == {label}
        assert set(found(label.lower())) == {label}
        assert label in found(label[:6])
        monkeypatch.setattr(ExampleHost, "restaurants_of", lambda _self, user: ["other"], raising=False)
        assert label not in admin_client.post(where, {"q": label[:6]}).content.decode()

    def test_labels_are_not_asked_for_without_end(
        self, admin_client: Client, query: dict[str, str], monkeypatch: Any
    ) -> None:
        asked: list[str] = []

        def label(_self: Any, ref: str) -> str:
            asked.append(ref)
            return f"R-{ref}"

        monkeypatch.setattr(ExampleHost, "label", label)
        monkeypatch.setattr(search, "PATIENCE", -1)
        where = reverse("admin:assignments_serviceday_find")
        html = admin_client.post(where, {"q": "nothing has this label"}).content.decode()
        assert not asked
        assert "There was no time to compare the labels of bookings from" in html
        assert "R-" in admin_client.post(where, {"q": seated().booking_ref}).content.decode()

    def test_it_costs_as_much_with_many_bookings(self, admin_client: Client, query: dict[str, str]) -> None:
        where, costs = reverse("admin:assignments_serviceday_find"), []
        for _few in range(2):
            with CaptureQueriesContext(connection) as captured:
                admin_client.post(where, {"q": "nothing has this label"})
            costs.append(len(captured))
            Assignment.objects.filter(pk__in=[row.pk for row in Assignment.objects.all()[5:]]).update(
                starts_at=clock.now() - timedelta(days=9)
            )
        assert costs[0] == costs[1] < 10


class TestWords:
    def test_usual_services_have_german_names(self, admin_client: Client, query: dict[str, str]) -> None:
        assert set(models.ServicePeriod.objects.values_list("key", flat=True)) & {"lunch", "dinner"}
        html = admin_client.get(reverse(URL), query, headers={"Accept-Language": "de"}).content.decode()
        assert "Abendessen" in html
        assert not re.findall(r">\s*(lunch|dinner|Lunch|Dinner)\s*<", html)

    def test_a_booking_without_a_table_has_a_start_and_no_end(
        self, admin_client: Client, query: dict[str, str]
    ) -> None:
        booking = Assignment.objects.exclude(state="confirmed").order_by("starts_at")[0]
        html = admin_client.get(reverse(URL), {**query, "booking": str(booking.pk)}).content.decode()
        assert re.search(r"<p><strong>\d\d:\d\d</strong>", html)

    def test_names_and_reasons_are_written_as_text(self, admin_client: Client, query: dict[str, str]) -> None:
        models.Booking.objects.filter(pk=int(seated().booking_ref)).update(guest_name='<b>"Ann" & Co')
        act(admin_client, "close", query, tables=str(models.Table.objects.order_by("code")[0].pk), reason="<i>wobbles")
        html = admin_client.get(reverse(URL), query).content.decode()
        assert "<b>" not in html
        assert "<i>" not in html
        assert "&lt;b&gt;&quot;Ann&quot; &amp; Co" in html
        assert "&lt;i&gt;wobbles" in html

    def test_a_german_browser_hears_no_english_word_of_ours_in_the_bars(
        self, admin_client: Client, query: dict[str, str]
    ) -> None:
        """The words left are those of the host's data: labels, tables and zones."""
        act(admin_client, "close", query, tables=str(models.Table.objects.order_by("code")[0].pk))
        act(admin_client, "arrived", query, seated())
        html = admin_client.get(reverse(URL), query, headers={"Accept-Language": "de"}).content.decode()
        names = re.findall(r'class="timeline-link evening-bar"[^>]* aria-label="([^"]+)"', html)
        names += re.findall(r'<g role="img" aria-label="([^"]+)"', html)
        assert len(names) > 50
        assert any("Tische " in name for name in names)
        english = re.compile(
            r"\b(tables?|covers?|closed|free|until|expected|late|arrived|seated|left|hold|min|for|from|at|on|the|and|not)\b"
        )
        of_the_host = re.compile(r"Booking \d+")
        assert not [name for name in names if english.search(of_the_host.sub("", name))]


class TestCost:
    QUERIES = {"arrived": 34, "pin": 39, "extend": 43, "free": 43, "undo": 44, "move": 51}

    @pytest.mark.parametrize("evening", ["decided_few", "decided"])
    @pytest.mark.parametrize("name", QUERIES)
    def test_an_action_costs_as_many_queries_however_many_bookings_there_are(
        self, admin_client: Client, request: Any, name: str, evening: str
    ) -> None:
        restaurant: models.Restaurant = request.getfixturevalue(evening)
        day = restaurant.bookings.order_by("start")[0].start.date().isoformat()
        query, booking = {"restaurant": str(restaurant.pk), "day": day}, seated(6)
        given: dict[str, Any] = {}
        row = Allocation.objects.current().filter(booking_ref=booking.booking_ref)[0]
        if name == "extend":
            given["until"] = round((row.ends_at - timedelta(minutes=15)).timestamp())
        elif name == "move":
            table = models.Table.objects.get(pk=int(row.table_ref))
            free = models.Table.objects.create(restaurant=restaurant, zone=table.zone, code="X1", seats=table.seats)
            given = {"tables": str(free.pk), "overriding": sorted(OVERRIDABLE)}
        elif name == "undo":
            act(admin_client, "late", query, booking)
            booking.refresh_from_db()
        form = "seat" if name == "move" else name
        act(admin_client, form, query, booking, form="")  # So that the floor is known.
        with CaptureQueriesContext(connection) as captured:
            html = act(admin_client, form, query, booking, **given).content.decode()
        assert "Nothing was changed" not in html
        assert len(captured) == self.QUERIES[name], "\n".join(each["sql"][:150] for each in captured.captured_queries)

    def test_the_page_and_its_parts_cost_few_queries_with_a_floor_that_is_read_anew_too(
        self, admin_client: Client, query: dict[str, str]
    ) -> None:
        booking = seated()
        table = models.Table.objects.order_by("code")[0].pk
        act(admin_client, "close", query, tables=str(table), minutes="")
        closure = {"closure": str(Closure.objects.get().pk)}
        selected = [{"booking": str(booking.pk)}, {"booking": str(booking.pk), "to": str(table)}]
        views: list[dict[str, str]] = [{}, {"waiting": "1"}, {"view": "plan"}, {"view": "plan", "waiting": "1"}]
        views += [{**each, "waiting": "1"} for each in (closure, {"table": str(table)}, {"panel": "walk-in"})]
        parts = [{**query, **each, "part": part} for part in ("live", "panel", "all") for each in views]
        anew = [{}, *({**query, **each} for each in views), *parts]  # The first one: today, in the first restaurant.
        anew += [{**query, **each, "part": "panel"} for each in selected]
        known = [{**query, **each, **part} for part in ({}, {"part": "all"}) for each in selected]
        costly = []
        for each in (*anew, *known):
            if each not in known:
                floor_cache.forget()
            with CaptureQueriesContext(connection) as captured:
                admin_client.get(reverse(URL), each)
            if len(captured) >= 20:
                costly.append(f"{len(captured)}: {each}")
        assert not costly, "\n".join(costly)

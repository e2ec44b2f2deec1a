"""The review queue in the admin: what it shows, what each button does, who may press it, and who comes too late."""

import re
import threading
from datetime import UTC, datetime, timedelta
from html import unescape
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.contrib.auth.models import Permission
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from assignments import api
from assignments.admin.host_lookup import label_of
from assignments.admin.review import queue
from assignments.concurrency import locks, transactions
from assignments.coordination import dispatch
from assignments.integration import floor_cache
from assignments.lifecycle import staff_decisions
from assignments.models import Allocation, Assignment, ReviewItem, State, StateTransition
from assignments.planning.reasons import OVERRIDABLE
from assignments.staff import review_queue
from assignments.testing import at
from example import models
from example.booking import cancel_booking, make_booking, save_booking
from tests.built import built_once
from tests.example.conftest import load, turn_keys_around
from tests.example.refusing import refusing

pytestmark = pytest.mark.django_db(transaction=True)

LIST = "admin:assignments_reviewitem_changelist"
ITEM = "admin:assignments_reviewitem_change"
WHY = "Everything that fits the party is taken."


@pytest.fixture
def staff(django_user_model: Any) -> Any:
    """A client of staff with these permissions on the queue, and no others."""

    def allowed(*codenames: str, name: str = "anna") -> Client:
        user = django_user_model.objects.create_user(name, password="x", is_staff=True)
        wanted = Permission.objects.filter(
            content_type__app_label="assignments", content_type__model="reviewitem", codename__in=codenames
        )
        assert wanted.count() == len(codenames)
        user.user_permissions.set(wanted)
        client = Client()
        client.force_login(user)
        return client

    return allowed


@pytest.fixture
def evening(transactional_db: Any) -> models.Restaurant:
    """The real restaurant with four of its tables, and no bookings."""
    built_once("four tables", _four_tables)
    return models.Restaurant.objects.get()


def _four_tables() -> models.Restaurant:
    restaurant = load()
    restaurant.bookings.all().delete()
    restaurant.tables.exclude(code__in=["D1-T01", "D1-T02", "D1-T04", "D2-T01"]).delete()
    return restaurant


@pytest.fixture
def waiting(transactional_db: Any) -> Assignment:
    """A party of two at 19:00 for which no 2-top or 4-top was free; D1-T01 and D1-T04 are free again."""
    built_once("a party of two waits", _let_two_wait)
    return Assignment.objects.get(state=State.MANUAL_REVIEW)


def _let_two_wait() -> None:
    evening = _four_tables()
    start = seven(evening)
    for table in evening.tables.all():
        seated = make_booking(restaurant=evening, reference=f"S-{table.code}", start=start, party=2)
        api.assign(booking_ref=str(seated.pk), table_refs=[str(table.pk)], actor="host")
    booking = make_booking(restaurant=evening, reference="B1", start=start, party=2)
    to_review()
    assignment = Assignment.objects.get(booking_ref=str(booking.pk))
    assert (assignment.state, assignment.reason) == (State.MANUAL_REVIEW, "no_capacity")
    for code in ("D1-T01", "D1-T04"):
        cancel_booking(evening.bookings.get(reference=f"S-{code}"))


def seven(restaurant: models.Restaurant) -> datetime:
    day = datetime.now(UTC) + timedelta(days=20)
    return day.replace(hour=18, minute=0, second=0, microsecond=0, tzinfo=ZoneInfo(restaurant.timezone)).astimezone(UTC)


def to_review() -> None:
    dispatch.register_new()
    while Assignment.objects.open().exists():
        Assignment.objects.open().update(due_at=datetime(2020, 1, 1, tzinfo=UTC))
        list(dispatch.run_pass())


def text_of(answer: Any) -> str:
    """What is read on the page, in one line."""
    main = answer.content.decode().partition("<main")[2]
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", main)).split())


def look(client: Client, assignment: Assignment | None = None, query: str = "") -> str:
    url = reverse(ITEM, args=[assignment.pk]) if assignment else reverse(LIST)
    answer = client.get(url + query)
    assert answer.status_code == 200
    return text_of(answer)


def press(client: Client, assignment: Assignment, button: str, *, follow: bool = True, **values: Any) -> Any:
    """What a button on the page sends: the version that it showed, unless told another one."""
    values.setdefault("version", assignment.version)
    return client.post(reverse(f"admin:assignments_reviewitem_{button}", args=[assignment.pk]), values, follow=follow)


def table(code: str) -> str:
    return str(models.Table.objects.get(code=code).pk)


def tables_of(assignment: Assignment) -> list[str]:
    refs = Allocation.objects.filter(booking_ref=assignment.booking_ref).values_list("table_ref", flat=True)
    return sorted(models.Table.objects.filter(pk__in=list(refs)).values_list("code", flat=True))


def now(assignment: Assignment) -> Assignment:
    return Assignment.objects.get(pk=assignment.pk)


class TestList:
    def test_it_says_who_when_how_many_and_why(self, admin_client: Client, waiting: Assignment) -> None:
        text = look(admin_client)
        assert f"Booking {waiting.booking_ref}" in text
        local = waiting.starts_at.astimezone(floor_cache.floor_of(waiting.restaurant_ref).zone)
        assert f"{local:%H:%M}" in text
        assert "Europe/London" in text
        assert WHY in text
        assert "by V3" in text
        assert "Needs decision 1" in text

    def test_empty_it_says_what_would_be_here(self, admin_client: Client, evening: models.Restaurant) -> None:
        for section, sentence in queue.EMPTY.items():
            assert str(sentence) in look(admin_client, query=f"?show={section}")

    def test_a_rejected_booking_is_in_a_part_of_its_own_with_its_reason(
        self, admin_client: Client, waiting: Assignment
    ) -> None:
        api.reject(booking_ref=waiting.booking_ref, actor="staff:1", reason="The kitchen closes early.")
        assert f"Booking {waiting.booking_ref}" not in look(admin_client)
        assert "The kitchen closes early." in look(admin_client, query="?show=rejected")

    def test_who_rejected_it_has_the_name_of_today_and_a_number_once_gone(
        self, admin_client: Client, waiting: Assignment, django_user_model: Any
    ) -> None:
        jonas = django_user_model.objects.create_user("jonas")
        api.reject(booking_ref=waiting.booking_ref, actor=f"staff:{jonas.pk}", reason="The kitchen closes early.")
        assert "by jonas" in look(admin_client, query="?show=rejected")
        number = jonas.pk
        jonas.delete()
        assert f"by user {number}" in look(admin_client, query="?show=rejected")

    def test_what_is_past_is_apart(self, admin_client: Client, waiting: Assignment) -> None:
        Assignment.objects.filter(pk=waiting.pk).update(starts_at=datetime.now(UTC) - timedelta(hours=4))
        assert f"Booking {waiting.booking_ref}" not in look(admin_client)
        assert f"Booking {waiting.booking_ref}" in look(admin_client, query="?show=past")

    def test_counting_the_past_ends(
        self, admin_client: Client, waiting: Assignment, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        Assignment.objects.filter(pk=waiting.pk).update(starts_at=datetime.now(UTC) - timedelta(hours=4))
        assert "Past 1 " in look(admin_client)
        monkeypatch.setattr(review_queue, "MOST_COUNTED", 0)
        assert "Past 0+ " in look(admin_client)

    def test_guests_at_the_door_are_marked_and_first(self, admin_client: Client, waiting: Assignment) -> None:
        Assignment.objects.filter(pk=waiting.pk).update(starts_at=datetime.now(UTC) - timedelta(minutes=5))
        assert "late" in look(admin_client)

    def test_it_narrows_to_a_restaurant_and_a_day(self, admin_client: Client, waiting: Assignment) -> None:
        booking = f"Booking {waiting.booking_ref}"
        day = waiting.service_date.isoformat()
        assert booking in look(admin_client, query=f"?restaurant={waiting.restaurant_ref}&date={day}")
        assert booking not in look(admin_client, query="?restaurant=404")
        assert "No bookings for this" in look(admin_client, query=f"?date={waiting.service_date + timedelta(days=1)}")

    @pytest.mark.parametrize(
        "query",
        ["?show=%00", "?date=yesterday", "?restaurant=%00", "?page=x", "?page=99", "?done=x", "?done=" + "9" * 30],
    )
    def test_an_address_that_makes_no_sense_shows_the_queue(
        self, admin_client: Client, waiting: Assignment, query: str
    ) -> None:
        assert f"Booking {waiting.booking_ref}" in look(admin_client, query=query)

    def test_many_are_paged_and_cost_no_more_queries(
        self, admin_client: Client, waiting: Assignment, django_assert_max_num_queries: Any
    ) -> None:
        look(admin_client)
        with CaptureQueriesContext(connection) as few:
            look(admin_client)
        many_more(waiting, 120)
        with CaptureQueriesContext(connection) as many:
            text = look(admin_client)
        assert "Needs decision 121" in text
        assert "Page 1 of 3" in text
        assert text.count("Everything that fits") == queue.PER_PAGE
        assert len(many) <= len(few) < 20
        assert "Page 3 of 3" in look(admin_client, query="?page=3")

    def test_it_is_found_in_the_index(self, admin_client: Client, evening: models.Restaurant) -> None:
        assert reverse(LIST) in admin_client.get(reverse("admin:index")).content.decode()


def many_more(like: Assignment, count: int) -> None:
    """So many more in the queue, each of a booking of its own."""
    booking = models.Booking.objects.get(pk=like.booking_ref)
    bookings = models.Booking.objects.bulk_create(
        [
            models.Booking(
                restaurant_id=booking.restaurant_id,
                reference=f"M{number}",
                start=booking.start,
                party=2,
                zone=booking.zone,
            )
            for number in range(count)
        ]
    )
    states = {"state": State.MANUAL_REVIEW, "reason": like.reason, "version": 1, "due_at": None}
    with connection.cursor() as cursor:
        cursor.execute("SET session_replication_role = replica")  # Their history is of no interest here.
    try:
        assignments = Assignment.objects.bulk_create(
            [
                Assignment(
                    booking_ref=str(each.pk),
                    restaurant_ref=like.restaurant_ref,
                    service_date=like.service_date,
                    starts_at=like.starts_at,
                    party=2,
                    requested_at=like.requested_at,
                    **states,
                )
                for each in bookings
            ]
        )
    finally:
        with connection.cursor() as cursor:
            cursor.execute("SET session_replication_role = DEFAULT")
    StateTransition.objects.bulk_create(
        [
            StateTransition(
                assignment=each,
                booking_ref=each.booking_ref,
                version=1,
                name="send_to_review",
                source="assignment_in_progress",
                target="manual_review",
                actor="v3",
                reason=like.reason,
            )
            for each in assignments
        ]
    )


class TestItem:
    def test_it_ranks_what_fits_and_says_why(self, admin_client: Client, waiting: Assignment) -> None:
        text = look(admin_client, waiting)
        assert WHY in text
        first, second = text.index("Table D1-T01"), text.index("Table D1-T04")
        assert first < second
        assert "Score" in text
        assert "optimal fit:" in text
        assert "Preferred over D1-T04 because it wastes fewer seats and less time." in text

    def test_when_nothing_fits_it_says_who_sits_there(self, admin_client: Client, waiting: Assignment) -> None:
        for code in ("D1-T01", "D1-T04"):
            seated = make_booking(
                restaurant=models.Restaurant.objects.get(), reference=f"N-{code}", start=waiting.starts_at, party=2
            )
            api.assign(booking_ref=str(seated.pk), table_refs=[table(code)], actor="host")
        text = look(admin_client, waiting)
        assert "No tables available" in text
        assert "4 ruled out: Somebody else has a table at that time." in text
        assert f"Booking {models.Booking.objects.get(reference='N-D1-T01').pk}" in text

    def test_no_name_of_a_guest_is_on_any_page_without_the_permission(self, staff: Any, waiting: Assignment) -> None:
        models.Booking.objects.update(guest_name="Canary", guest_email="canary@example.org")
        client = staff("view_reviewitem", "assign")
        for text in (look(client), look(client, waiting)):
            assert "canary" not in text.lower()

    def test_it_links_to_its_history(self, admin_client: Client, waiting: Assignment) -> None:
        html = admin_client.get(reverse(ITEM, args=[waiting.pk])).content.decode()
        assert reverse("admin:assignments_assignment_change", args=[waiting.pk]) in html

    @pytest.mark.parametrize("key", ["0", "x", "9" * 30])
    def test_a_booking_that_there_is_not_is_not_found(
        self, admin_client: Client, evening: models.Restaurant, key: str
    ) -> None:
        assert admin_client.get(reverse(ITEM, args=[key])).status_code == 404

    def test_it_costs_few_queries_however_many_bookings_there_are(
        self, admin_client: Client, waiting: Assignment
    ) -> None:
        look(admin_client, waiting)
        with CaptureQueriesContext(connection) as few:
            look(admin_client, waiting)
        many_more(waiting, 120)
        with CaptureQueriesContext(connection) as many:
            look(admin_client, waiting)
        assert len(many) <= len(few) < 20

    def test_it_opens_although_the_host_cannot_say_what_fits(
        self, admin_client: Client, waiting: Assignment, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def broken(*args: Any, **kwargs: Any) -> Any:
            raise RuntimeError("Canary")

        monkeypatch.setattr("assignments.staff.review_queue.snapshot_of", broken)
        text = look(admin_client, waiting)
        assert "could not be determined (RuntimeError)" in text
        assert "Canary" not in text
        assert "Reject booking" in text

    def test_a_booking_that_is_gone_can_only_be_turned_away(self, admin_client: Client, waiting: Assignment) -> None:
        models.Booking.objects.filter(pk=waiting.booking_ref).delete()
        text = look(admin_client, waiting)
        assert "no longer exists in the booking project" in text
        assert "Available options" not in text


class TestAssign:
    def test_one_click_gives_the_tables_and_a_second_one_takes_them_back(
        self, admin_client: Client, admin_user: Any, waiting: Assignment
    ) -> None:
        answer = press(admin_client, waiting, "assign", tables=table("D1-T01"))
        assert f"Booking {waiting.booking_ref} is assigned to table D1-T01." in text_of(answer)
        assert (now(waiting).state, tables_of(waiting)) == (State.CONFIRMED, ["D1-T01"])
        booking = models.Booking.objects.get(pk=waiting.booking_ref)
        assert (booking.status, [each.code for each in booking.tables.all()]) == ("confirmed", ["D1-T01"])
        actors = waiting.transitions.filter(version__gt=waiting.version).values_list("actor", flat=True)
        assert set(actors) == {f"staff:{admin_user.pk}"}

        (undo,) = re.findall(r'action="([^"]*/undo/[^"]*)"', answer.content.decode())
        (version,) = re.findall(r'name="version" value="(\d+)"', answer.content.decode())
        taken_back = admin_client.post(undo, {"version": version}, follow=True)
        assert "is back in the queue" in text_of(taken_back)
        assert (now(waiting).state, now(waiting).reason, tables_of(waiting)) == (State.MANUAL_REVIEW, "no_capacity", [])
        booking.refresh_from_db()
        assert (booking.status, booking.tables.count()) == ("pending", 0)
        assert f"Booking {waiting.booking_ref}" in look(admin_client)

    def test_joined_tables_are_named_in_order_whatever_their_keys(
        self, admin_client: Client, restaurant: models.Restaurant
    ) -> None:
        turn_keys_around()
        restaurant.bookings.all().delete()
        restaurant.tables.exclude(code__in=["D1-T01", "D1-T04"]).delete()
        first, second = table("D1-T01"), table("D1-T04")
        assert second < first
        start = seven(restaurant)
        seated = make_booking(restaurant=restaurant, reference="S", start=start, party=2)
        api.assign(booking_ref=str(seated.pk), table_refs=[first], actor="host")
        booking = make_booking(restaurant=restaurant, reference="B1", start=start, party=6)
        to_review()
        cancel_booking(restaurant.bookings.get(reference="S"))
        waiting = Assignment.objects.get(booking_ref=str(booking.pk))
        assert "D1-T01 + D1-T04" in look(admin_client, waiting)
        answer = press(admin_client, waiting, "assign", tables=[second, first])
        assert f"Booking {waiting.booking_ref} is assigned to tables D1-T01 + D1-T04." in text_of(answer)
        opened = admin_client.get(reverse("admin:assignments_assignment_change", args=[waiting.pk]))
        for shown in (look(admin_client, waiting), text_of(opened)):
            assert "D1-T01 + D1-T04" in shown
            assert "D1-T04 + D1-T01" not in shown

    def test_every_button_of_an_option_does_what_it_says(self, admin_client: Client, waiting: Assignment) -> None:
        html = admin_client.get(reverse(ITEM, args=[waiting.pk])).content.decode()
        buttons = re.findall(r'name="tables" value="(\d+)">\s*<button', html)
        assert buttons == [table("D1-T01"), table("D1-T04")]
        for ref in buttons:
            press(admin_client, now(waiting), "assign", tables=ref)
            assert now(waiting).state == State.CONFIRMED
            press(admin_client, now(waiting), "undo")

    def test_the_item_page_offers_undo_until_something_else_happens(
        self, admin_client: Client, waiting: Assignment
    ) -> None:
        press(admin_client, waiting, "assign", tables=table("D1-T01"))
        assert "Undo" in look(admin_client, waiting)
        booking = models.Booking.objects.get(pk=waiting.booking_ref)
        booking.start += timedelta(minutes=15)
        save_booking(booking)
        assert "Undo" not in look(admin_client, waiting)

    def test_a_booking_that_no_planner_had_decided_is_left_to_one_again(
        self, admin_client: Client, evening: models.Restaurant
    ) -> None:
        booking = make_booking(restaurant=evening, reference="B1", start=seven(evening), party=2)
        dispatch.register_new()
        pending = Assignment.objects.get(booking_ref=str(booking.pk))
        sentence = "A planner decides this booking. To decide it yourself, give it a table on the timeline."
        assert sentence in look(admin_client, pending)
        api.assign(booking_ref=pending.booking_ref, table_refs=[table("D1-T01")], actor="staff:1")
        text = look(admin_client, pending)
        assert "Undo frees the tables, and a planner decides the booking." in text
        assert "queue. The guests" not in text
        answer = text_of(press(admin_client, now(pending), "undo"))
        assert f"Undone: a planner decides {label_of(pending.booking_ref)}." in answer
        assert sentence in answer
        assert (now(pending).state, tables_of(pending)) == (State.ASSIGNMENT_PENDING, [])

    def test_a_pending_booking_is_a_planners_in_german_too(
        self, admin_client: Client, evening: models.Restaurant
    ) -> None:
        booking = make_booking(restaurant=evening, reference="B1", start=seven(evening), party=2)
        dispatch.register_new()
        pending = Assignment.objects.get(booking_ref=str(booking.pk))
        html = admin_client.get(reverse(ITEM, args=[pending.pk]), headers={"Accept-Language": "de"}).content.decode()
        assert "Ein Planer entscheidet über diese Buchung." in html

    def test_tables_that_will_not_do_are_refused_with_every_reason(
        self, admin_client: Client, waiting: Assignment
    ) -> None:
        extras: list[dict[str, Any]] = [{}, {"check": "1"}]
        for extra in extras:
            answer = press(admin_client, waiting, "assign", tables=[table("D1-T02"), table("D2-T01")], **extra)
            text = text_of(answer)
            assert "are in different zones" in text
            assert "Table D1-T02 is taken" in text
            assert "Assign anyway" not in text
            assert re.search(rf'value="{table("D2-T01")}" checked', answer.content.decode())
        assert now(waiting).version == waiting.version

    def test_checking_changes_nothing_and_leads_on(self, admin_client: Client, waiting: Assignment) -> None:
        text = text_of(press(admin_client, waiting, "assign", tables=table("D1-T04"), check="1"))
        assert "You can assign table D1-T04: all rules are met." in text
        assert now(waiting).version == waiting.version

    def test_no_table_is_no_choice(self, admin_client: Client, waiting: Assignment) -> None:
        assert "no table was selected" in text_of(press(admin_client, waiting, "assign"))
        assert "no table was selected" in text_of(press(admin_client, waiting, "assign", tables=""))

    def test_a_rule_that_staff_may_pass_over_is_offered_and_recorded(
        self, admin_client: Client, waiting: Assignment
    ) -> None:
        models.Table.objects.filter(code__in=["D1-T01", "D1-T04"]).update(seats=12, min_party=None, max_party=None)
        text = look(admin_client, waiting)
        assert "Breaks a rule" in text
        answer = press(admin_client, waiting, "assign", tables=table("D1-T04"))
        assert "Assign anyway" in text_of(answer)
        assert now(waiting).state == State.MANUAL_REVIEW
        press(admin_client, waiting, "assign", tables=table("D1-T04"), overriding="too_many_spare_seats")
        assert tables_of(waiting) == ["D1-T04"]
        assert waiting.transitions.get(name="confirm").detail == "Despite too_many_spare_seats."

    def test_nobody_can_pass_over_what_must_not_be(self, admin_client: Client, waiting: Assignment) -> None:
        answer = press(admin_client, waiting, "assign", tables=table("D1-T02"), overriding=["table_taken", "nonsense"])
        assert "is taken" in text_of(answer)
        assert now(waiting).version == waiting.version

    def test_the_list_that_somebody_came_from_is_the_one_they_return_to(
        self, admin_client: Client, waiting: Assignment
    ) -> None:
        url = reverse("admin:assignments_reviewitem_assign", args=[waiting.pk])
        query = f"?restaurant={waiting.restaurant_ref}"
        answer = admin_client.post(url + query, {"tables": table("D1-T01"), "version": waiting.version})
        assert answer.headers["Location"] == f"{reverse(LIST)}{query}&done={waiting.pk}"


class TestRetryAndReject:
    def test_tried_again_a_planner_decides_at_once(self, admin_client: Client, waiting: Assignment) -> None:
        text = text_of(press(admin_client, waiting, "retry"))
        assert "was retried and is assigned to table D1-T01." in text
        assert now(waiting).planner == "v3"

    def test_tried_again_without_success_it_says_why(self, admin_client: Client, waiting: Assignment) -> None:
        api.close(
            restaurant_ref=waiting.restaurant_ref,
            table_refs=[table("D1-T01")],
            starts_at=waiting.starts_at,
            ends_at=waiting.starts_at + timedelta(hours=1),
        )
        models.Table.objects.filter(code="D1-T04").update(active=False)
        text = text_of(press(admin_client, waiting, "retry"))
        assert f"was retried without success: {WHY}" in text

    def test_rejected_with_a_reason_it_ends_and_can_be_taken_back(
        self, admin_client: Client, waiting: Assignment
    ) -> None:
        answer = press(admin_client, waiting, "reject", reason="The kitchen closes early.")
        assert "has been rejected" in text_of(answer)
        assert (now(waiting).state, now(waiting).reason) == (State.FAILED, staff_decisions.REJECTED)
        assert "The kitchen closes early." in look(admin_client, waiting)
        press(admin_client, now(waiting), "undo")
        assert (now(waiting).state, now(waiting).reason) == (State.MANUAL_REVIEW, "no_capacity")

    @pytest.mark.parametrize("reason", ["", "   ", "x" * 2001])
    def test_without_a_reason_nothing_is_rejected(self, admin_client: Client, waiting: Assignment, reason: str) -> None:
        assert "Enter a reason" in text_of(press(admin_client, waiting, "reject", reason=reason))
        assert now(waiting).version == waiting.version


BUTTONS: dict[str, dict[str, Any]] = {
    "assign": {"tables": "D1-T04"},
    "retry": {},
    "reject": {"reason": "no"},
    "undo": {},
}


def pressed(client: Client, assignment: Assignment, button: str, **values: Any) -> Any:
    given = {**BUTTONS[button], **values}
    if "tables" in given:
        given["tables"] = table(given["tables"])
    return press(client, assignment, button, **given)


class TestTwoPeople:
    @pytest.mark.parametrize("button", BUTTONS)
    def test_who_comes_second_is_told_what_happened_by_whom_and_when(
        self, staff: Any, waiting: Assignment, button: str
    ) -> None:
        anna, ben = staff("assign", "retry", "reject"), staff("assign", "retry", "reject", name="ben")
        pressed(anna, waiting, "assign", tables="D1-T01")
        first = now(waiting)
        answer = pressed(ben, waiting, button)
        text = text_of(answer)
        assert "Nothing was changed: anna assigned tables at " in text
        assert "Europe/London" in text
        assert "No longer in the queue: assigned to table D1-T01." in text
        assert (now(waiting).version, tables_of(waiting)) == (first.version, ["D1-T01"])

    @pytest.mark.parametrize(
        ("button", "said"),
        [("retry", "retried the booking|assigned tables"), ("reject", "anna rejected the booking")],
    )
    def test_whatever_the_first_did_it_is_named(self, staff: Any, waiting: Assignment, button: str, said: str) -> None:
        anna, ben = staff("retry", "reject"), staff("assign", name="ben")
        pressed(anna, waiting, button)
        assert re.search(said, text_of(pressed(ben, waiting, "assign")))

    def test_taken_back_meanwhile_is_said_too(self, staff: Any, waiting: Assignment) -> None:
        anna, ben = staff("assign"), staff("assign", name="ben")
        pressed(anna, waiting, "assign")
        seen_by_ben = now(waiting)
        pressed(anna, seen_by_ben, "undo")
        assert "anna undid the assignment" in text_of(pressed(ben, seen_by_ben, "undo"))
        assert now(waiting).state == State.MANUAL_REVIEW

    def test_a_form_without_a_version_does_nothing(self, admin_client: Client, waiting: Assignment) -> None:
        for version in ("", "x", "-1", "9" * 30):
            pressed(admin_client, waiting, "assign", version=version)
        assert now(waiting).version == waiting.version

    @pytest.mark.parametrize("button", ["assign", "reject", "retry"])
    def test_of_two_clicks_at_the_same_moment_one_wins_and_the_other_is_told(
        self, staff: Any, waiting: Assignment, button: str
    ) -> None:
        clients = [staff("assign", "retry", "reject"), staff("assign", "retry", "reject", name="ben")]
        ready = threading.Barrier(2)
        answers: list[Any] = [None, None]

        def click(number: int, name: str) -> None:
            try:
                ready.wait(10)
                answers[number] = pressed(clients[number], waiting, name)
            finally:
                connection.close()

        threads = [threading.Thread(target=click, args=each) for each in ((0, "assign"), (1, button))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert [answer.status_code for answer in answers] == [200, 200]
        assert sorted("Nothing was changed:" in text_of(answer) for answer in answers) == [False, True]
        decided = {row.actor for row in waiting.transitions.filter(version__gt=waiting.version)} - {"v3"}
        assert len(decided) == 1

    def test_while_a_planner_is_at_the_evening_staff_are_asked_to_try_again(
        self, admin_client: Client, waiting: Assignment, settings: Any
    ) -> None:
        settings.ASSIGNMENTS = {**settings.ASSIGNMENTS, "LOCK_TIMEOUT_MS": 50, "TRANSACTION_RETRIES": 0}
        has_it, may_end = threading.Event(), threading.Event()

        def planner() -> None:
            def work() -> None:
                assert locks.try_enter(waiting.restaurant_ref, waiting.service_date).granted
                has_it.set()
                may_end.wait(30)

            try:
                transactions.run(work)
            finally:
                connection.close()

        thread = threading.Thread(target=planner)
        thread.start()
        assert has_it.wait(30)
        try:
            for button in ("assign", "retry", "reject"):
                answer = pressed(admin_client, waiting, button)
                assert answer.status_code == 200
                assert "Try again." in text_of(answer)
            assert now(waiting).version == waiting.version
        finally:
            may_end.set()
            thread.join(30)

    def test_a_booking_that_was_cancelled_meanwhile_stays_so(self, admin_client: Client, waiting: Assignment) -> None:
        cancel_booking(models.Booking.objects.get(pk=waiting.booking_ref))
        assert "the booking was cancelled at" in text_of(pressed(admin_client, waiting, "assign"))
        assert now(waiting).state == State.CANCELLED

    def test_a_host_that_refuses_is_reported_by_type_and_nothing_is_done(
        self, admin_client: Client, waiting: Assignment, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refuse(*args: Any) -> None:
            raise RuntimeError("Canary")

        monkeypatch.setattr("example.host.ExampleHost.on_confirmed", refuse)
        text = text_of(pressed(admin_client, waiting, "assign"))
        assert "the booking project refused it (RuntimeError)" in text
        assert "Canary" not in text
        assert (now(waiting).version, tables_of(waiting)) == (waiting.version, [])

    def test_what_a_constraint_of_the_project_refuses_is_said_by_its_name(
        self, admin_client: Client, waiting: Assignment
    ) -> None:
        said = "Nothing was changed: the booking project refused it ({})."
        with refusing("example_booking_tables") as name:
            assert said.format(name) in text_of(pressed(admin_client, waiting, "assign"))
        assert (now(waiting).version, tables_of(waiting)) == (waiting.version, [])
        pressed(admin_client, waiting, "assign")
        assigned, tables = now(waiting), tables_of(waiting)
        with refusing("example_booking", unless="status = 'confirmed'") as name:
            assert said.format(name) in text_of(press(admin_client, assigned, "undo"))
        assert (now(waiting).version, tables_of(waiting)) == (assigned.version, tables)

    def test_a_host_that_cannot_name_the_booking_hides_nothing_that_was_done(
        self, admin_client: Client, waiting: Assignment, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(*args: Any) -> None:
            raise RuntimeError("Canary")

        for name in ("label", "admin_url", "restaurant_names"):
            monkeypatch.setattr(f"example.host.ExampleHost.{name}", fail)
        assert f"Booking {waiting.booking_ref}" in look(admin_client, waiting)
        text = text_of(pressed(admin_client, waiting, "assign"))
        assert f"Booking {waiting.booking_ref} has " in text
        assert "Nothing was changed" not in text
        assert "Canary" not in text
        assert tables_of(waiting)

    @pytest.mark.parametrize("button", ["assign", "retry"])
    def test_guests_who_have_their_tables_are_not_moved_from_here(
        self, admin_client: Client, waiting: Assignment, button: str
    ) -> None:
        pressed(admin_client, waiting, "assign")
        confirmed, tables = now(waiting), tables_of(waiting)
        assert confirmed.state == State.CONFIRMED
        text = text_of(pressed(admin_client, confirmed, button))
        assert "Nothing was changed" in text
        assert (now(waiting).version, tables_of(waiting)) == (confirmed.version, tables)


class TestPermissions:
    def test_who_may_only_look_has_no_button(self, staff: Any, waiting: Assignment) -> None:
        client = staff("view_reviewitem")
        for url in (reverse(LIST), reverse(ITEM, args=[waiting.pk])):
            html = client.get(url).content.decode().partition("<main")[2]
            assert "<button" not in html
            assert "<textarea" not in html
            assert "csrfmiddlewaretoken" not in html
        assert "D1-T01" in look(client, waiting)

    @pytest.mark.parametrize("button", BUTTONS)
    def test_without_its_permission_a_post_is_forbidden(self, staff: Any, waiting: Assignment, button: str) -> None:
        others = {"view_reviewitem", "assign", "retry", "reject"} - {button}
        if button == "undo":
            pressed(staff("assign", name="carla"), waiting, "assign")
            others = {"view_reviewitem", "retry", "reject"}
        before = now(waiting)
        client = staff(*others)
        assert pressed(client, before, button).status_code == 403
        assert now(waiting).version == before.version

    def test_who_may_only_reject_takes_back_no_move(self, staff: Any, waiting: Assignment) -> None:
        pressed(staff("assign", name="carla"), waiting, "assign", tables="D1-T01")
        api.move(booking_ref=waiting.booking_ref, table_refs=[table("D1-T04")], actor="staff:1")
        assert pressed(staff("reject"), now(waiting), "undo").status_code == 403
        assert tables_of(waiting) == ["D1-T04"]

    def test_each_permission_alone_shows_its_button_alone(self, staff: Any, waiting: Assignment) -> None:
        for permission, words in {"assign": "Assign", "retry": "Try again", "reject": "Reject booking"}.items():
            html = staff(permission, name=permission).get(reverse(ITEM, args=[waiting.pk])).content.decode()
            actions = set(re.findall(r"/(assign|retry|reject|undo)/[^\"]*\"", html))
            assert actions == {permission}
            assert words in html

    def test_without_any_of_them_there_is_no_page(self, staff: Any, waiting: Assignment) -> None:
        client = staff()
        assert client.get(reverse(LIST)).status_code == 403
        assert client.get(reverse(ITEM, args=[waiting.pk])).status_code == 403

    def test_a_guest_is_asked_to_log_in(self, client: Client, waiting: Assignment) -> None:
        for button in BUTTONS:
            answer = pressed(client, waiting, button, follow=False)
            assert (answer.status_code, "login" in answer.headers["Location"]) == (302, True)
        assert now(waiting).version == waiting.version

    @pytest.mark.parametrize("button", BUTTONS)
    def test_a_get_decides_nothing(self, admin_client: Client, waiting: Assignment, button: str) -> None:
        url = reverse(f"admin:assignments_reviewitem_{button}", args=[waiting.pk])
        assert admin_client.get(url, {"tables": table("D1-T01")}).status_code == 405
        assert admin_client.post(reverse(ITEM, args=[waiting.pk])).status_code == 403
        assert now(waiting).version == waiting.version

    def test_a_post_without_its_token_is_forbidden(self, admin_user: Any, waiting: Assignment) -> None:
        client = Client(enforce_csrf_checks=True)
        client.force_login(admin_user)
        for button in BUTTONS:
            assert pressed(client, waiting, button).status_code == 403
        assert now(waiting).version == waiting.version

    def test_nothing_can_be_added_changed_or_deleted_otherwise(self, admin_client: Client, waiting: Assignment) -> None:
        assert admin_client.get(reverse("admin:assignments_reviewitem_add")).status_code == 403
        assert (
            admin_client.post(
                reverse("admin:assignments_reviewitem_delete", args=[waiting.pk]), {"post": "y"}
            ).status_code
            == 403
        )
        assert ReviewItem.objects.filter(pk=waiting.pk).exists()


def test_another_restaurants_evening_is_not_touched(transactional_db: Any, admin_client: Client) -> None:
    first, second = load(), load(name="Another")
    for each in (first, second):
        each.bookings.all().delete()
    booking = make_booking(restaurant=second, reference="B1", start=seven(second), party=60)
    to_review()
    assignment = Assignment.objects.get(booking_ref=str(booking.pk))
    answer = press(admin_client, assignment, "assign", tables=str(first.tables.values_list("pk", flat=True)[0]))
    assert "is not on this restaurant" in text_of(answer)
    assert now(assignment).version == assignment.version


class TestPromisesWhileStaffDecide:
    """Bookings in review that still have tables, and tables that break rules only."""

    @pytest.fixture
    def seated(self, evening: models.Restaurant) -> models.Booking:
        """A party of two at D1-T01, at seven; nobody else is there."""
        booking = make_booking(restaurant=evening, reference="K1", start=seven(evening), party=2)
        api.assign(booking_ref=str(booking.pk), table_refs=[table("D1-T01")], actor="host")
        return models.Booking.objects.get(pk=booking.pk)

    def test_an_edit_that_cannot_be_met_shows_what_the_guest_has_and_what_is_asked(
        self, admin_client: Client, seated: models.Booking
    ) -> None:
        seated.party = 30
        save_booking(seated)
        assignment = Assignment.objects.get(booking_ref=str(seated.pk))
        assert (assignment.state, assignment.reason) == (State.MANUAL_REVIEW, "edit_unmet")
        text = look(admin_client, assignment)
        assert "They keep their tables until staff decide." in text
        assert re.search(r"Covers 30 Has now Table D1-T01 , .*18:00 to 19:00, 2 covers", text)
        assert "Reject the change" in text
        retried = text_of(press(admin_client, assignment, "retry"))
        assert f"{label_of(assignment.booking_ref)} was retried and is back in review. It keeps the tables" in retried
        answer = press(admin_client, now(assignment), "reject", reason="We have no such table.")
        assert "The change of" in text_of(answer)
        assert "It keeps what it was promised." in text_of(answer)
        assert (now(assignment).state, now(assignment).reason) == (State.CONFIRMED, "edit_rejected")
        assert tables_of(assignment) == ["D1-T01"]

    def test_too_few_seats_are_offered_by_name_and_given_when_that_is_said(
        self, admin_client: Client, seated: models.Booking
    ) -> None:
        seated.party = 30
        save_booking(seated)
        assignment = Assignment.objects.get(booking_ref=str(seated.pk))
        text = look(admin_client, assignment)
        assert "Breaks a rule" in text
        assert re.search(r"\d+ missing", text)
        press(
            admin_client,
            assignment,
            "assign",
            tables=table("D1-T01"),
            overriding=["too_few_seats", "party_too_large", "party_outside_table_limits"],
        )
        assert now(assignment).state == State.CONFIRMED
        assert "too_few_seats" in Allocation.objects.get(booking_ref=assignment.booking_ref).despite

    def test_two_bookings_that_expect_one_table_are_linked_and_not_rejected(
        self, admin_client: Client, seated: models.Booking, evening: models.Restaurant
    ) -> None:
        evening.tables.exclude(code="D1-T01").delete()
        end = Allocation.objects.get(booking_ref=str(seated.pk)).blocked.upper
        following = make_booking(restaurant=evening, reference="K2", start=end, party=2)
        api.assign(booking_ref=str(following.pk), table_refs=[table("D1-T01")], actor="host", overriding=OVERRIDABLE)
        api.extend(booking_ref=str(seated.pk), until=end + timedelta(minutes=45), actor="staff:1")
        both = [Assignment.objects.get(booking_ref=str(pk)) for pk in (seated.pk, following.pk)]
        assert {(each.state, each.reason) for each in both} == {(State.MANUAL_REVIEW, "overlapping")}
        for one, other in (both, reversed(both)):
            answer = admin_client.get(reverse(ITEM, args=[one.pk]))
            assert "Expects the same table" in text_of(answer)
            assert f'href="{reverse(ITEM, args=[other.pk])}"' in answer.content.decode()
            assert "Reject" not in text_of(answer)
        assert "stays until" in look(admin_client, both[0])
        press(admin_client, both[1], "retry")
        assert now(both[1]).reason == "overlapping"  # Nothing has changed: two parties still expect the table.

    def test_guests_who_sit_at_their_table_cannot_be_rejected(
        self, admin_client: Client, seated: models.Booking
    ) -> None:
        """One of their joined tables closes while they sit. They keep the other one, until they have left."""
        ref, both = str(seated.pk), [table("D1-T01"), table("D1-T02")]
        start = Allocation.objects.get(booking_ref=ref).starts_at
        with at(start):
            api.move(booking_ref=ref, table_refs=both, actor="staff:1", overriding=OVERRIDABLE)
            api.seated(booking_ref=ref, actor="staff:1")
            api.close(restaurant_ref=str(seated.restaurant_id), table_refs=both[1:], starts_at=start, actor="staff:1")
            assignment = Assignment.objects.get(booking_ref=ref)
            assert (assignment.state, assignment.reason) == (State.MANUAL_REVIEW, "table_out_of_service")
            answer = admin_client.get(reverse(ITEM, args=[assignment.pk]))
            assert "Has now Table D1-T01" in text_of(answer)
            assert reverse("admin:assignments_reviewitem_reject", args=[assignment.pk]) not in answer.content.decode()
            assert "Reject" not in text_of(answer)

    def test_a_stay_past_closing_time_has_tables_that_can_be_given_despite_it(
        self, admin_client: Client, evening: models.Restaurant
    ) -> None:
        start = seven(evening).replace(hour=22, minute=45)  # 23:45 in the restaurant.
        booking = make_booking(restaurant=evening, reference="K3", start=start, party=2)
        to_review()
        assignment = Assignment.objects.get(booking_ref=str(booking.pk))
        assert assignment.reason in {"outside_service", "service_overrun"}
        answer = admin_client.get(reverse(ITEM, args=[assignment.pk]))
        assert "Breaks a rule" in text_of(answer)
        assert f'value="{assignment.reason}"' in answer.content.decode()
        press(admin_client, assignment, "assign", tables=table("D1-T01"), overriding=[assignment.reason])
        assert now(assignment).state == State.CONFIRMED
        assert Allocation.objects.get(booking_ref=assignment.booking_ref).despite == [assignment.reason]

    def test_who_asked_earlier_is_named_after_assigning(
        self, admin_client: Client, seated: models.Booking, evening: models.Restaurant
    ) -> None:
        evening.tables.exclude(code="D1-T01").delete()
        early, late = (
            make_booking(restaurant=evening, reference=name, start=seven(evening), party=2) for name in ("K2", "K3")
        )
        to_review()
        cancel_booking(seated)
        assignment = Assignment.objects.get(booking_ref=str(late.pk))
        answer = press(admin_client, assignment, "assign", tables=table("D1-T01"))
        assert tables_of(assignment) == ["D1-T01"]
        assert f"{label_of(str(early.pk))} asked earlier and could have had these tables." in text_of(answer)

"""The service timeline in the admin: what staff see of a restaurant's day, and what it costs."""

import re
from datetime import UTC, date, datetime, timedelta
from html import unescape
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from assignments import api
from assignments.concurrency import clock
from assignments.coordination import dispatch
from assignments.integration import floor_cache
from assignments.models import Allocation, Assignment
from assignments.planning.floor import InvalidFloorError
from assignments.staff.moments import short_day
from assignments.staff.service_day import LISTED
from example import models
from example.booking import cancel_booking
from example.host import ExampleHost
from tests.example.conftest import load, turn_keys_around

URL = "admin:assignments_serviceday_changelist"


def page(client: Client, **query: str) -> str:
    answer = client.get(reverse(URL), query)
    assert answer.status_code == 200
    return answer.content.decode()


def text_of(html: str) -> str:
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", html)).split())


def day_of(restaurant: models.Restaurant) -> date:
    first = restaurant.bookings.order_by("start")[0]
    return first.start.date()


@pytest.fixture
def evening(decided: models.Restaurant) -> dict[str, str]:
    """The real evening, seated by V3: 117 bookings for 16 tables."""
    return {"restaurant": str(decided.pk), "day": day_of(decided).isoformat()}


def waiting(restaurant: models.Restaurant) -> models.Booking:
    """A booking for two at half past twelve that nobody has decided yet."""
    start = restaurant.bookings.order_by("start")[0].start.replace(hour=12, minute=30)
    restaurant.bookings.all().delete()
    booking = models.Booking.objects.create(restaurant=restaurant, reference="N1", start=start, party=2)
    api.request(booking_ref=str(booking.pk))
    return booking


class TestShown:
    def test_an_overfull_evening_shows_every_seating_and_everybody_who_waits(
        self, admin_client: Client, evening: dict[str, str]
    ) -> None:
        html = page(admin_client, **evening, waiting="1")
        seated = Assignment.objects.filter(state="confirmed")
        assert seated.count() == 76
        for assignment in Assignment.objects.all():
            assert f'data-booking="{assignment.pk}"' in html
        text = text_of(html)
        assert "76 bookings" in text
        assert "Without a table: 41" in text
        assert text.count("manual review The party would sit past the end of the service.") == 3
        assert "planned: V3" in html

    def test_zones_tables_services_and_the_clock_are_named(
        self, admin_client: Client, evening: dict[str, str], decided: models.Restaurant
    ) -> None:
        text = text_of(page(admin_client, **evening))
        for zone in decided.zones.all():
            assert zone.name in text
        for table in decided.tables.all():
            assert f"{table.code} {table.seats} seats" in text
        assert "Europe/London" in text
        assert "Dinner" in text
        assert "dinner" in text

    def test_joined_tables_are_one_booking(self, admin_client: Client, evening: dict[str, str]) -> None:
        html = page(admin_client, **evening)
        ref = Allocation.objects.values_list("booking_ref", flat=True).order_by("booking_ref")
        joined = next(each for each in set(ref) if list(ref).count(each) > 1)
        key = Assignment.objects.get(booking_ref=joined).pk
        links = re.findall(rf'<a class="timeline-link evening-bar"[^>]* data-booking="{key}"[^>]*>', html)
        assert len(links) == list(ref).count(joined)
        assert all(" + " in link for link in links)
        # The keyboard stops once.
        assert [link.count('tabindex="-1"') for link in links] == [0] + [1] * (len(links) - 1)

    def test_tables_are_in_the_order_of_their_names_whatever_their_keys(
        self, admin_client: Client, restaurant: models.Restaurant
    ) -> None:
        turn_keys_around()
        dispatch.register_new()
        list(dispatch.run_pass())
        html = page(admin_client, restaurant=str(restaurant.pk), day=day_of(restaurant).isoformat())
        rows = [code for code, _seats in re.findall(r"(D[12]-T\d+) (\d) seats", text_of(html))]
        assert list(dict.fromkeys(rows)) == sorted(table.code for table in restaurant.tables.all())
        joined = {tuple(names.split(" + ")) for names in re.findall(r'joined tables ([^,"]+)', html)}
        assert joined
        assert all(list(names) == sorted(names) for names in joined)

    def test_holds_closures_and_hand_made_seatings_say_what_they_are(
        self, admin_client: Client, restaurant: models.Restaurant
    ) -> None:
        booking = waiting(restaurant)
        query = {"restaurant": str(restaurant.pk), "day": booking.start.date().isoformat()}
        first, second = (str(table.pk) for table in restaurant.tables.filter(seats=2).order_by("code")[:2])
        hold = api.hold(booking_ref=str(booking.pk), table_refs=[first])
        until = timezone.localtime(hold.expires_at, floor_cache.floor_of(str(restaurant.pk)).zone)
        html = page(admin_client, **query)
        assert f"on hold until {until:%H:%M}" in html
        api.close(
            restaurant_ref=str(restaurant.pk),
            table_refs=[second],
            starts_at=booking.start,
            ends_at=booking.start + timedelta(hours=1),
            reason="a leg is loose",
        )
        api.assign(booking_ref=str(booking.pk), table_refs=[first], actor="user:1")
        html = page(admin_client, **query)
        start = timezone.localtime(booking.start, floor_cache.floor_of(str(restaurant.pk)).zone)
        assert f"closed, {start:%H:%M}-{start + timedelta(hours=1):%H:%M}: a leg is loose" in html
        assert "planned: by hand" in html
        assert "on hold until" not in html

    def test_a_hold_whose_time_is_up_is_not_shown(self, admin_client: Client, restaurant: models.Restaurant) -> None:
        booking = waiting(restaurant)
        table = str(restaurant.tables.filter(seats=2)[0].pk)
        api.hold(booking_ref=str(booking.pk), table_refs=[table])
        Allocation.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
        day = booking.start.date().isoformat()
        assert "on hold until" not in page(admin_client, restaurant=str(restaurant.pk), day=day)

    def test_free_gaps_have_their_length_and_the_largest_party(
        self, admin_client: Client, restaurant: models.Restaurant
    ) -> None:
        booking = waiting(restaurant)
        html = page(admin_client, restaurant=str(restaurant.pk), day=booking.start.date().isoformat())
        assert "free for 300 minutes; seats a party of up to 4" in html
        assert "300 min, up to 4" in html

    def test_an_empty_day_says_where_the_next_bookings_are(
        self, admin_client: Client, evening: dict[str, str], decided: models.Restaurant
    ) -> None:
        empty = day_of(decided) - timedelta(days=3)
        html = page(admin_client, restaurant=evening["restaurant"], day=empty.isoformat())
        assert "No bookings for this day." in html
        assert f"Next day with bookings: {short_day(date.fromisoformat(evening['day']))}" in html
        assert f"day={evening['day']}" in html

    def test_the_default_is_the_busiest_restaurant_today(
        self, admin_client: Client, evening: dict[str, str], monkeypatch: Any
    ) -> None:
        other = load(name="Quiet House")
        other.bookings.all().delete()
        tonight = datetime.combine(date.fromisoformat(evening["day"]), datetime.min.time(), tzinfo=UTC).replace(hour=17)
        monkeypatch.setattr(clock, "now", lambda: tonight)
        html = page(admin_client)
        assert f'<option value="{evening["restaurant"]}" selected>' in html
        assert f'value="{evening["day"]}"' in html
        assert 'class="timeline-now"' in html

    def test_without_a_day_it_is_today_or_the_next_day_with_bookings(
        self, admin_client: Client, decided_few: models.Restaurant, monkeypatch: Any
    ) -> None:
        day = day_of(decided_few)

        def opens_at(moment: datetime) -> str:
            monkeypatch.setattr(clock, "now", lambda: moment.replace(tzinfo=UTC))
            found = re.search(r'name="day" value="([^"]*)"', page(admin_client, restaurant=str(decided_few.pk)))
            assert found
            return found.group(1)

        morning = datetime(day.year, day.month, day.day, 8)  # noqa: DTZ001
        assert opens_at(morning) == str(day)
        assert opens_at(morning + timedelta(hours=14)) == str(day)
        assert opens_at(morning - timedelta(days=3)) == str(day)
        assert opens_at(morning + timedelta(days=3)) == str(day + timedelta(days=3))
        for booking in decided_few.bookings.all():
            cancel_booking(booking)
        assert opens_at(morning - timedelta(days=3)) == str(day - timedelta(days=3))

    def test_without_any_bookings_it_says_where_they_come_from(self, admin_client: Client, db: None) -> None:
        assert "with its first booking that needs a table" in page(admin_client)

    def test_a_restaurant_without_tables_is_an_empty_page(self, admin_client: Client, db: None) -> None:
        bare = models.Restaurant.objects.create(name="Bare", reference="bare")
        assert "This restaurant has no tables." in page(admin_client, restaurant=str(bare.pk))

    def test_a_floor_that_contradicts_itself_still_shows_who_sits_where(
        self, admin_client: Client, evening: dict[str, str], monkeypatch: Any
    ) -> None:
        def floor(self: ExampleHost, restaurant_ref: str) -> Any:
            raise InvalidFloorError("table 'T1' has 0 seats")

        monkeypatch.setattr(ExampleHost, "floor", floor)
        floor_cache.forget()
        text = text_of(page(admin_client, **evening))
        assert "table 'T1' has 0 seats Only the occupied times are shown, in UTC." in text
        assert "76 bookings" in text

    @pytest.mark.parametrize("asked", ["yesterday", "2026-13-01", "9999-12-31", "0001-01-01"])
    def test_what_is_no_date_is_named(self, admin_client: Client, evening: dict[str, str], asked: str) -> None:
        text = text_of(page(admin_client, restaurant=evening["restaurant"], day=asked))
        assert f"{asked} is not a valid date".lower() in text.lower()

    @pytest.mark.parametrize("ref", ["no-such", "999999", "9" * 30, "\0", "x' OR 1=1 --", "<script>alert(1)</script>"])
    def test_an_unknown_restaurant_is_no_error(self, admin_client: Client, evening: dict[str, str], ref: str) -> None:
        assert "<script>alert" not in page(admin_client, restaurant=ref)

    def test_why_there_is_no_floor_is_said_in_the_readers_language(
        self, admin_client: Client, evening: dict[str, str], monkeypatch: Any
    ) -> None:
        def in_german(ref: str) -> str:
            floor_cache.forget()
            answer = admin_client.get(reverse(URL), {"restaurant": ref}, headers={"accept-language": "de"})
            return text_of(answer.content.decode())

        assert "Das Buchungsprojekt hat keinen Tischplan für das Restaurant '999999' (LookupError)." in in_german(
            "999999"
        )

        def raises(self: ExampleHost, restaurant_ref: str) -> Any:
            raise RuntimeError

        monkeypatch.setattr(ExampleHost, "floor", raises)
        assert "an einem Fehler gescheitert (RuntimeError)." in in_german(evening["restaurant"])

    def test_guests_are_nowhere_on_it_without_the_permission(
        self, client: Client, django_user_model: Any, restaurant: models.Restaurant
    ) -> None:
        anna = django_user_model.objects.create_user("anna", password="x", is_staff=True)
        anna.user_permissions.set(Permission.objects.filter(codename__in=["view_serviceday", "assign"]))
        client.force_login(anna)
        restaurant.bookings.update(guest_name="Canary Guest", guest_email="canary@example.test")
        dispatch.register_new()
        list(dispatch.run_pass())
        html = page(client, restaurant=str(restaurant.pk), day=day_of(restaurant).isoformat())
        assert "canary" not in html.lower()

    def test_nothing_on_it_breaks_a_strict_content_security_policy(
        self, admin_client: Client, evening: dict[str, str]
    ) -> None:
        html = page(admin_client, **evening)
        assert " style=" not in html
        assert "<style" not in html
        assert not re.search(r"\son[a-z]+=", html)
        assert not re.search(r"<script(?![^>]*\ssrc=)", html)

    def test_numbers_in_the_drawing_are_numbers_in_every_language(
        self, admin_client: Client, evening: dict[str, str], settings: Any
    ) -> None:
        settings.USE_THOUSAND_SEPARATOR = True
        answer = admin_client.get(reverse(URL), evening, headers={"accept-language": "de"})
        table = answer.content.decode().partition('<table class="timeline-table')[2].partition("</table>")[0]
        drawn = re.findall(r'\s(?:x|x1|width|height)="([^"]*)"', table)
        assert drawn
        assert [number for number in drawn if not re.fullmatch(r"\d+|1\.2", number)] == []


class TestPermissions:
    @pytest.fixture
    def staff(self, client: Client, django_user_model: Any) -> Any:
        def allowed(*codenames: str) -> Client:
            user = django_user_model.objects.create_user("anna", password="x", is_staff=True)
            user.user_permissions.set(Permission.objects.filter(codename__in=codenames))
            client.force_login(user)
            return client

        return allowed

    def test_without_the_permission_there_is_no_page(self, staff: Any, evening: dict[str, str]) -> None:
        assert staff("view_assignment").get(reverse(URL), evening).status_code == 403

    def test_who_may_not_open_bookings_sees_them_without_links(self, staff: Any, evening: dict[str, str]) -> None:
        html = page(staff("view_serviceday"), **evening)
        assert "planned: V3" in html
        assert "assignments/assignment/" not in html
        assert "act/" not in html

    def test_nothing_can_be_changed_here(self, admin_client: Client, evening: dict[str, str]) -> None:
        assert admin_client.get(reverse("admin:assignments_serviceday_add")).status_code == 403


class TestCost:
    def test_it_costs_the_same_whatever_the_number_of_bookings(
        self, admin_client: Client, evening: dict[str, str], decided: models.Restaurant, monkeypatch: Any
    ) -> None:
        noon = timezone.now().replace(hour=12, minute=0)  # Before five it is still yesterday's evening.
        monkeypatch.setattr(clock, "now", lambda: noon)

        def queries(**query: str) -> int:
            with CaptureQueriesContext(connection) as captured:
                page(admin_client, **query)
            return len(captured)

        floor_cache.forget()
        few, few_by_default = queries(**evening), queries()
        many(400)
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE")
        floor_cache.forget()
        assert queries(**evening) == few < 20, "with a floor that this process reads for the first time"
        assert queries(**evening) < few
        assert queries() <= few_by_default
        assert few_by_default < 20

    def test_more_restaurants_than_can_be_listed_are_asked_for_by_ref(
        self, admin_client: Client, evening: dict[str, str]
    ) -> None:
        many(300, restaurants=300)
        html = page(admin_client, **evening)
        assert '<input type="text" id="timeline-restaurant" name="restaurant"' in html
        assert html.count("<option") <= LISTED

    def test_a_long_list_of_waiting_bookings_ends(self, admin_client: Client, evening: dict[str, str]) -> None:
        start = datetime.combine(date.fromisoformat(evening["day"]), datetime.min.time(), tzinfo=UTC)
        many(300, restaurants=1, ref=evening["restaurant"], start=start + timedelta(hours=18))
        assert re.search(r"\d+ more are not shown\.", page(admin_client, **evening, waiting="1"))


def many(count: int, *, restaurants: int = 40, ref: str = "", start: datetime | None = None) -> None:
    """As many assignments, of past and coming days."""
    now = clock.now()
    Assignment.objects.bulk_create(
        [
            Assignment(
                booking_ref=f"many-{number}",
                restaurant_ref=ref or f"R{number % restaurants}",
                service_date=(start or now + timedelta(days=number % 60)).date(),
                starts_at=start or now + timedelta(days=number % 60),
                party=2,
                requested_at=now,
                due_at=now,
            )
            for number in range(count)
        ],
        batch_size=2000,
    )

"""The floor plan: tables where they stand, the same panel and actions as the timeline, by mouse, keyboard and touch."""

from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from playwright.sync_api import Browser, Locator, Page, expect

from assignments import api
from assignments.models import Assignment, TablePlace
from example import models
from tests.browser.browsing import PHONE, TABLET, expect_text, visiting
from tests.browser.test_evening import coming, stage_of, tables_of
from tests.browser.test_every_page import findings

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.xdist_group("browser"),
    pytest.mark.usefixtures("tonight"),
]

TIMELINE = "/admin/assignments/serviceday/"


def open_plan(page: Page, **query: str) -> None:
    page.goto(TIMELINE)
    page.get_by_role("link", name="Plan", exact=True).click()
    expect(page.locator("#evening[data-ready] .evening-plan")).to_be_visible()


def place_tables(page: Page) -> None:
    page.get_by_text("More", exact=True).click()
    page.get_by_role("link", name="Place tables").click()
    expect(page.locator("#evening[data-ready] .evening-plan[data-place]")).to_be_visible()


def at(page: Page, moment: Any) -> None:
    """Show the plan at a time of the evening."""
    page.get_by_label("Time", exact=True).fill(f"{moment:%H:%M}")
    page.locator(".plan-time").get_by_role("button", name="Show").click()
    expect(page.get_by_label("Time", exact=True)).to_have_value(f"{moment:%H:%M}")
    page.locator("#evening[data-ready]").wait_for()


def spot(page: Page, code: str) -> Locator:
    ref = models.Table.objects.get(code=code).pk
    return page.locator(f'.plan-row[data-table="{ref}"]')


def party(page: Page, assignment: Assignment) -> Locator:
    return page.locator(f'.plan-party[data-booking="{assignment.pk}"]').first


def test_it_shows_who_sits_where_at_a_chosen_time_and_ties_joined_tables(page: Page, tonight: Any) -> None:
    booking = coming(tonight)
    open_plan(page)
    expect(page.get_by_label("Time", exact=True)).to_have_value("18:30")
    expect(party(page, booking)).to_have_count(0)
    at(page, booking.starts_at)
    expect(party(page, booking)).to_be_visible()
    name = party(page, booking).get_attribute("aria-label") or ""
    assert f"Booking {booking.booking_ref}" in name
    assert f"{booking.starts_at:%H:%M}-" in name
    page.get_by_role("link", name="Now", exact=True).click()
    expect(party(page, booking)).to_have_count(0)
    joined = next(each for each in Assignment.objects.filter(state="confirmed") if " + " in tables_of(each))
    at(page, joined.starts_at)
    expect(page.locator(f'.plan-party[data-booking="{joined.pk}"]')).to_have_count(len(tables_of(joined).split(" + ")))
    assert page.locator(".plan-join").count() >= 1


def test_a_party_is_moved_by_two_clicks_and_the_move_taken_back(page: Page, tonight: Any) -> None:
    booking = coming(tonight)
    before = tables_of(booking)
    open_plan(page)
    at(page, booking.starts_at)
    party(page, booking).click()
    expect_text(page.locator("#evening-panel-title"), f"Booking {booking.booking_ref}")
    expect(spot(page, "D1-T04")).to_have_attribute("data-fit", "fits")
    spot(page, "D1-T04").locator("a.evening-table").click()
    expect_text(page.locator("#evening-said"), "has D1-T04 now")
    assert tables_of(booking) == "D1-T04"
    expect(spot(page, "D1-T04").locator(".plan-party")).to_be_visible()
    page.locator("#evening-said").get_by_role("button").click()
    expect(page.locator("#evening-said .evening-success")).to_be_visible()
    expect(spot(page, before).locator(".plan-party")).to_be_visible()
    assert tables_of(booking) == before


def test_a_party_is_dragged_to_another_table(page: Page, tonight: Any) -> None:
    booking = coming(tonight)
    open_plan(page)
    at(page, booking.starts_at)
    start, goal = party(page, booking).bounding_box(), spot(page, "D1-T05").bounding_box()
    assert start is not None
    assert goal is not None
    page.mouse.move(start["x"] + start["width"] / 2, start["y"] + 50)
    page.mouse.down()
    page.mouse.move(goal["x"] + goal["width"] / 2, goal["y"] + 40, steps=8)
    page.mouse.up()
    expect_text(page.locator("#evening-said"), "has D1-T05 now")
    assert tables_of(booking) == "D1-T05"


def test_it_is_worked_by_keyboard(page: Page, tonight: Any) -> None:
    booking = coming(tonight)
    open_plan(page)
    at(page, booking.starts_at)
    party(page, booking).focus()
    page.keyboard.press("Enter")
    expect_text(page.locator("#evening-panel-title"), f"Booking {booking.booking_ref}")
    party(page, booking).focus()
    page.keyboard.press("a")
    expect(page.locator("#evening-said .evening-success")).to_be_visible()
    assert stage_of(booking) == "arrived"
    page.keyboard.press("m")
    focused = page.locator(".plan-row:has(a.evening-table:focus)")
    expect(focused).to_have_attribute("data-fit", "fits")
    first = focused.get_attribute("data-table") or ""
    page.keyboard.press("ArrowRight")
    assert page.locator(".plan-row:has(a.evening-table:focus)").get_attribute("data-table") != first
    page.keyboard.press("ArrowLeft")
    expect(page.locator(f'.plan-row[data-table="{first}"] a.evening-table')).to_be_focused()
    page.keyboard.press("Enter")
    expect_text(page.locator("#evening-said"), "now.")
    assert tables_of(booking) == models.Table.objects.get(pk=first).code


@pytest.mark.usefixtures("haste")
def test_what_others_do_is_seen_without_a_reload(page: Page, tonight: Any) -> None:
    booking = coming(tonight)
    open_plan(page)
    at(page, booking.starts_at)
    ref = str(models.Table.objects.get(code="D2-T01").pk)
    api.move(booking_ref=booking.booking_ref, table_refs=[ref], actor="staff:0")
    expect(spot(page, "D2-T01").locator(".plan-party")).to_be_visible(timeout=8000)
    expect(page.get_by_label("Time", exact=True)).to_have_value(f"{booking.starts_at:%H:%M}")


def test_tables_are_placed_by_dragging_by_keys_and_by_numbers(page: Page) -> None:
    ref = str(models.Table.objects.get(code="D1-T01").pk)
    open_plan(page)
    place_tables(page)
    box = spot(page, "D1-T01").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 50, box["y"] + 40)
    page.mouse.down()
    page.mouse.move(box["x"] + 250, box["y"] + 140, steps=5)
    page.mouse.up()
    expect_text(page.locator("#evening-said"), "D1-T01 was placed.")
    dragged = TablePlace.objects.get(table_ref=ref)
    spot(page, "D1-T01").locator("a.evening-table").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    expect(page.locator(f'.plan-row[data-table="{ref}"][data-x="{dragged.x + 8}"]')).to_be_visible()
    assert TablePlace.objects.get(table_ref=ref).x == dragged.x + 8
    spot(page, "D1-T01").locator("a.evening-table").press("Enter")
    page.get_by_label("From the left").fill("600")
    page.get_by_label("Shape").select_option("round")
    page.get_by_role("button", name="Place the table").click()
    expect(page.locator(f'.plan-row[data-table="{ref}"][data-x="600"]')).to_be_visible()
    found = TablePlace.objects.get(table_ref=ref)
    assert (found.x, found.shape) == (600, "round")
    page.get_by_role("button", name="Back to its zone's row").click()
    expect_text(page.locator("#evening-said"), "in its zone's row again")
    assert not TablePlace.objects.exists()


def test_a_table_that_was_dragged_wrongly_is_put_back_to_where_it_stood(page: Page) -> None:
    table = models.Table.objects.get(code="D1-T01")
    TablePlace.objects.create(
        restaurant_ref=str(table.restaurant_id), table_ref=str(table.pk), x=400, y=300, shape="round"
    )
    open_plan(page)
    place_tables(page)
    for back in ("mouse", "keyboard"):
        box = spot(page, "D1-T01").bounding_box()
        assert box is not None
        page.mouse.move(box["x"] + 50, box["y"] + 40)
        page.mouse.down()
        page.mouse.move(box["x"] + 200, box["y"] + 140, steps=5)
        page.mouse.up()
        said = page.locator("#evening-said")
        expect_text(said, "D1-T01 was placed.")
        expect(spot(page, "D1-T01")).not_to_have_attribute("data-x", "400")
        if back == "mouse":
            said.get_by_role("button", name="Put it back").click()
        else:
            spot(page, "D1-T01").locator("a.evening-table").focus()
            page.keyboard.press("u")
        expect(spot(page, "D1-T01")).to_have_attribute("data-x", "400")
        place = TablePlace.objects.get()
        assert (place.x, place.y, place.shape) == (400, 300, "round")


def test_who_may_not_place_tables_finds_no_way_to(browser: Browser, live_server: Any, django_user_model: Any) -> None:
    from django.contrib.auth.models import Permission

    user = django_user_model.objects.create_user("mira", password="x", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=["view_serviceday", "assign"]))
    with visiting(browser, live_server.url, user) as page:
        open_plan(page)
        page.get_by_text("More", exact=True).click()
        expect(page.get_by_role("link", name="Day sheet")).to_be_visible()
        expect(page.get_by_role("link", name="Place tables")).to_have_count(0)


def test_fingers_move_a_party_on_a_tablet(browser: Browser, live_server: Any, admin_user: Any, tonight: Any) -> None:
    booking = coming(tonight)
    with visiting(browser, live_server.url, admin_user, size=TABLET, has_touch=True) as page:
        open_plan(page)
        at(page, booking.starts_at)
        party(page, booking).tap()
        expect_text(page.locator("#evening-panel-title"), f"Booking {booking.booking_ref}")
        page.locator("#evening-panel .evening-best button").first.tap()
        expect(page.locator("#evening-said .evening-success")).to_be_visible()


def test_nothing_on_it_keeps_anybody_out(browser: Browser, live_server: Any, admin_user: Any, tonight: Any) -> None:
    booking = coming(tonight)
    with visiting(browser, live_server.url, admin_user, bypass_csp=True) as page:
        open_plan(page)
        at(page, booking.starts_at)
        party(page, booking).click()
        expect(page.locator("#evening-panel-title")).to_be_visible()
        found = findings(page)
        sizes = page.evaluate(
            "() => [...document.querySelectorAll('.evening-plan text')].map((e) => parseFloat(getComputedStyle(e).fontSize))"
        )
        assert min(sizes) >= 13
    assert not found, "\n".join(found)


def test_a_phone_scrolls_the_plan_and_not_the_page(browser: Browser, live_server: Any, admin_user: Any) -> None:
    with visiting(browser, live_server.url, admin_user, size=PHONE, is_mobile=True, has_touch=True) as page:
        open_plan(page)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_it_costs_the_same_whatever_the_number_of_bookings(admin_client: Client, evening: models.Restaurant) -> None:
    day = evening.bookings.order_by("start")[0].start.date()
    url = f"{TIMELINE}?restaurant={evening.pk}&day={day}&view=plan&at=19:00"

    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            assert admin_client.get(url).status_code == 200
        return len(captured)

    queries()
    many = queries()
    for booking in list(evening.bookings.filter(status="confirmed").order_by("pk"))[:40]:
        api.booking_cancelled(booking_ref=str(booking.pk))
    assert queries() == many < 20

"""The service timeline: from one day to the next, from a seating to its booking and back, and as a list."""

from datetime import timedelta

import pytest
from playwright.sync_api import Page, expect

from assignments.models import Assignment
from assignments.staff.moments import local_moment, long_day, short_day
from example import models
from tests import pages

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.xdist_group("browser")]


def day_of(restaurant: models.Restaurant) -> str:
    return long_day(Assignment.objects.filter(restaurant_ref=str(restaurant.pk))[0].service_date)


def test_a_booking_is_opened_from_the_evening_and_leads_back_to_it(page: Page, evening: models.Restaurant) -> None:
    page.goto(pages.TIMELINE.path())
    heading = page.get_by_role("heading", name=f"{evening.name}, {day_of(evening)}")
    expect(heading).to_be_attached()
    seating = page.locator("a.evening-bar").first
    label = (seating.get_attribute("aria-label") or "").split(",")[0]
    seating.click()
    page.locator("#evening-panel").get_by_text("Details", exact=True).click()
    page.get_by_role("link", name="History and reasons").click()
    expect(page.get_by_role("heading", name=label, level=1)).to_be_visible()
    page.get_by_role("link", name="Timeline for this evening").click()
    expect(heading).to_be_attached()


def test_an_empty_day_says_so_and_leads_to_the_next_one_with_bookings(page: Page, evening: models.Restaurant) -> None:
    assignment = Assignment.objects.filter(restaurant_ref=str(evening.pk))[0]
    page.goto(pages.TIMELINE.path())
    page.get_by_role("link", name="Next day →").click()
    expect(page.get_by_text("No bookings for this day.")).to_be_visible()
    following = assignment.service_date + timedelta(days=1)
    expect(page.get_by_label("Day", exact=True)).to_have_value(following.isoformat())
    page.get_by_role("link", name=f"Previous day with bookings: {short_day(assignment.service_date)}").click()
    expect(page.get_by_role("heading", name=day_of(evening))).to_be_attached()
    page.get_by_label("Day", exact=True).fill(following.isoformat())
    page.get_by_role("button", name="Show").click()
    expect(page.get_by_text("No bookings for this day.")).to_be_visible()


def test_everything_is_there_as_a_list_too_and_by_keyboard(page: Page, evening: models.Restaurant) -> None:
    page.goto(pages.TIMELINE.path())
    page.get_by_text("Show as list").focus()
    page.keyboard.press("Enter")
    taken = page.get_by_role("table", name="Occupied", exact=True)
    seated = Assignment.objects.filter(state="confirmed").count()
    expect(taken.get_by_role("link")).to_have_count(seated)
    taken.get_by_role("link").first.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="State history")).to_be_visible()


def test_times_are_the_restaurants_wherever_the_browser_is(page: Page, evening: models.Restaurant) -> None:
    evening.timezone = "Asia/Tokyo"
    evening.save()
    page.goto(pages.TIMELINE.path())
    first = evening.bookings.filter(status="confirmed").order_by("start")[0]
    local = first.start + timedelta(hours=9)
    page.get_by_text("Show as list").click()
    rows = page.get_by_role("table", name="Occupied", exact=True).get_by_role("row")
    expect(rows.filter(has_text=f"Booking {first.pk}").first).to_contain_text(local_moment(local))

"""What was decided, and why: one booking, and what both planners made of it."""

import re

import pytest
from playwright.sync_api import Page, expect

from assignments.models import Assignment
from example import models
from rollout.models import Comparison
from tests import pages

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.xdist_group("browser")]


def test_one_booking_tells_the_way_it_took_and_why(page: Page, evening: models.Restaurant) -> None:
    page.goto(pages.BOOKING.path())
    expect(page.get_by_text(re.compile("All times on this page are local to the restaurant"))).to_be_visible()
    way = page.get_by_role("region", name="State history")
    expect(way.get_by_role("listitem")).to_have_count(5)
    expect(way.get_by_role("listitem").last).to_contain_text("confirm: from assigned to confirmed")
    expect(page.get_by_role("region", name="Why", exact=True)).to_contain_text("Attempt 1 by V3")


def test_a_booking_that_waits_says_why_and_that_it_is_tried_again(page: Page, evening: models.Restaurant) -> None:
    waiting = Assignment.objects.open()[0]
    page.goto(f"/admin/assignments/assignment/{waiting.pk}/change/")
    expect(page.get_by_text("Next attempt", exact=True)).to_be_visible()
    expect(page.get_by_role("region", name="Status")).to_contain_text("assignment pending")


@pytest.mark.usefixtures("everything")
def test_comparisons_are_filtered_by_class_and_one_shows_both_answers(page: Page) -> None:
    seats = Comparison.objects.filter(verdict="only_v3_seats")
    page.goto(pages.COMPARISONS.path())
    page.get_by_role("region", name="How the planners compare").get_by_role("link", name="only V3 seats").click()
    rows = page.locator("#result_list tbody tr")
    expect(rows).to_have_count(seats.count())
    rows.first.get_by_role("link").first.click()
    expect(page.get_by_role("heading", name=f"Comparison {seats.order_by('-id')[0].pk}")).to_be_visible()
    answers = page.get_by_role("table", name="Both planners' decisions, side by side")
    expect(answers.get_by_role("row", name="Legacy planner")).to_contain_text("No table was free.")
    expect(answers.get_by_role("row", name="V3", exact=False).last).to_contain_text("seats at")
    expect(page.get_by_role("heading", name="Floor during this seating")).to_be_visible()
    page.get_by_role("link", name="All: only V3 seats").click()
    expect(rows).to_have_count(seats.count())

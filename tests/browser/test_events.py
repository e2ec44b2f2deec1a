"""Events: narrowed down to what went wrong, and from one to everything that the same invocation did."""

import re

import pytest
from playwright.sync_api import Page, expect

from assignments.models import Event
from example import models
from tests import pages

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.xdist_group("browser")]


def test_events_are_narrowed_down_and_one_leads_to_all_of_its_invocation(
    page: Page, evening: models.Restaurant
) -> None:
    page.goto(pages.EVENTS.path())
    page.get_by_role("link", name="warning", exact=True).click()
    rows = page.locator("#result_list tbody tr")
    warnings = Event.objects.filter(severity="warning")
    expect(rows).to_have_count(warnings.count())
    rows.first.get_by_role("link", name="coordinator.manual_review").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("coordinator.manual_review")
    page.go_back()
    event = warnings.order_by("-at", "-id")[0]
    rows.first.get_by_role("link", name=str(event.correlation_id)[:8]).click()
    expect(rows.first).to_be_visible()
    expect(page).to_have_url(re.compile(str(event.correlation_id)))

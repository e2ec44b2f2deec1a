"""Health: all is well, and then it is not."""

import pytest
from django.core.management import call_command
from playwright.sync_api import Page, expect

from assignments import conf
from assignments.concurrency import circuit_breaker, transactions
from example import models
from tests import pages

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.xdist_group("browser")]


def test_a_run_and_an_open_breaker_are_seen(page: Page, evening: models.Restaurant) -> None:
    call_command("run_coordinator")
    page.goto(pages.HEALTH.path())
    expect(page.get_by_role("region", name="Latest runs").locator("tbody tr")).to_have_count(1)
    for _failure in range(conf.settings().BREAKER_FAILURES):
        circuit_breaker.record_failure(str(evening.pk), transactions.database_now())
    page.reload()
    breakers = page.get_by_role("region", name="Circuit breakers")
    expect(breakers.get_by_role("row", name=evening.name)).to_contain_text("open")
    expect(page.get_by_role("heading", name="Needs attention")).to_be_visible()

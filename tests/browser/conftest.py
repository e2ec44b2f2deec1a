"""One browser for all tests here, and a server on the test's database."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.core.signals import request_started
from django.db import connection
from playwright.sync_api import Browser, Page, expect, sync_playwright

from assignments import api
from assignments.models import Allocation
from example import models
from tests.browser.browsing import FLAGS, PATIENCE_MS, in_haste, visiting
from tests.browser.evenings import clock_at, know_the_clock
from tests.debian import path, program
from tests.showcase import decided, show

SHELL = "chromium-headless-shell"


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """Debian's Chromium, started once. Its headless shell draws the same pages with half the processor time."""
    executable = path(SHELL) or path("chromium") or program(SHELL, SHELL)
    expect.set_options(timeout=PATIENCE_MS)
    with pytest.MonkeyPatch.context() as patched, sync_playwright() as playwright:
        # Playwright's synchronous calls run an event loop underneath, for which Django would refuse to ask the database.
        patched.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
        # Otherwise each request opens a connection to the database, which costs as much as what it asks there.
        patched.setitem(connection.settings_dict, "CONN_MAX_AGE", None)
        request_started.connect(know_the_clock)
        browser = playwright.chromium.launch(executable_path=executable, args=FLAGS)
        yield browser
        connection.close()  # The loop has one of its own, which keeps the database from being dropped.
        browser.close()
        request_started.disconnect(know_the_clock)


@pytest.fixture
def page(browser: Browser, live_server: Any, admin_user: Any) -> Iterator[Page]:
    """A page of somebody who may do everything. The test fails on whatever went wrong in it unasked."""
    with visiting(browser, live_server.url, admin_user) as page:
        yield page


@pytest.fixture
def haste(page: Page) -> Iterator[None]:
    """The page asks every half second what others did, and not every three."""
    with in_haste(page):
        yield


@pytest.fixture
def staff(django_user_model: Any) -> Any:
    """Makes a user of staff with these permissions ("app.codename"), and no others."""

    def allowed(name: str, *permissions: str) -> Any:
        user = django_user_model.objects.create_user(name, password="x", is_staff=True)
        for permission in permissions:
            app, codename = permission.split(".")
            user.user_permissions.add(Permission.objects.get(content_type__app_label=app, codename=codename))
        return user

    return allowed


@pytest.fixture
def evening(transactional_db: None, settings: Any) -> models.Restaurant:
    """The real evening, decided by V3."""
    return decided(settings)


@pytest.fixture
def everything(transactional_db: None, settings: Any) -> models.Restaurant:
    """Something to show on every page."""
    return show(settings)


@pytest.fixture
def tonight(evening: models.Restaurant) -> Iterator[datetime]:
    """The real evening at half past six, with three tables of four that nobody has from now on."""
    moment = evening.bookings.order_by("start")[0].start.replace(hour=18, minute=30)
    for code in ("D1-T04", "D1-T05", "D2-T01"):
        ref = str(evening.tables.get(code=code).pk)
        held = Allocation.objects.filter(table_ref=ref, blocked__endswith__gt=moment).values_list("booking_ref")
        for booking in evening.bookings.filter(pk__in=[int(each) for (each,) in held]):
            api.booking_cancelled(booking_ref=str(booking.pk))
            models.Booking.objects.filter(pk=booking.pk).update(status="cancelled")
    with clock_at(moment):
        yield moment

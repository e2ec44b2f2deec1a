"""One browser for all tests here, and a server on the test's database."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from playwright.sync_api import Browser, Page, expect, sync_playwright

from example import models
from tests.browser.browsing import FLAGS, PATIENCE_MS, visiting
from tests.debian import program
from tests.showcase import decided, show


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """Debian's Chromium, started once."""
    executable = program("chromium", "chromium")
    expect.set_options(timeout=PATIENCE_MS)
    with pytest.MonkeyPatch.context() as patched, sync_playwright() as playwright:
        # Playwright's synchronous calls run an event loop underneath, for which Django would refuse to ask the database.
        patched.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
        browser = playwright.chromium.launch(executable_path=executable, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Browser, live_server: Any, admin_user: Any) -> Iterator[Page]:
    """A page of somebody who may do everything. The test fails on whatever went wrong in it unasked."""
    with visiting(browser, live_server.url, admin_user) as page:
        yield page


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

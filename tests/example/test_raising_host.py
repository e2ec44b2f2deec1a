"""A booking project that cannot be asked costs no page: each opens, and names bookings and restaurants by their refs."""

from typing import Any, NoReturn

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from assignments.integration import floor_cache
from example import models
from example.host import ExampleHost
from rollout.models import Comparison
from tests import pages
from tests.example.test_pages import MODELS
from tests.showcase import show

# One process builds what all of these show.
pytestmark = pytest.mark.xdist_group("showcase")

SECRET = "Canary Guest <canary@example.test>"
ASKED = ("bookings", "floor", "floor_fingerprint", "floor_fingerprints", "restaurant_names", "label", "admin_url")


@pytest.fixture
def shown(transactional_db: Any, settings: Any, monkeypatch: pytest.MonkeyPatch) -> models.Restaurant:
    """Something on every page; and then whatever a page may ask the host raises."""
    restaurant = show(settings)
    settings.DEBUG_PROPAGATE_EXCEPTIONS = True

    def raises(*_args: Any, **_named: Any) -> NoReturn:
        raise RuntimeError(SECRET)

    for name in ASKED:
        monkeypatch.setattr(ExampleHost, name, raises)
    floor_cache.forget()
    return restaurant


def test_every_page_and_list_opens_goes_by_refs_and_repeats_nothing_of_what_was_raised(
    admin_client: Client, shown: models.Restaurant, caplog: pytest.LogCaptureFixture
) -> None:
    lists = [reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist") for model in MODELS]
    said = {}
    for path in [*(page.path() for page in pages.PAGES), *lists]:
        with CaptureQueriesContext(connection) as captured:
            answer = admin_client.get(path)
        assert answer.status_code == 200, path
        said[path] = answer.content.decode()
        assert SECRET not in said[path], path
        assert len(captured) <= 20, f"{path}: {len(captured)} queries"
    assert "RuntimeError" in caplog.text
    assert "Canary" not in caplog.text
    compared = Comparison.objects.get(pk=pages.COMPARISON.path().rstrip("/").split("/")[-2])
    for page in (pages.TIMELINE, pages.REVIEW, pages.COMPARISON, pages.COMPARISONS):
        html = said[page.path()]
        assert shown.name not in html
        assert "Booking " in html
    assert f"Booking {compared.booking_ref}" in said[pages.COMPARISON.path()]
    assert f"<dd>{shown.pk}" in said[pages.COMPARISON.path()]
    assert f'<option value="{shown.pk}" selected>{shown.pk}' in said[pages.TIMELINE.path()]

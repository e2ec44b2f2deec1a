"""Days and times on pages are written as the reader's language writes them."""

import re
from typing import Any

import pytest
from django.test import Client

from example import models
from tests import pages
from tests.showcase import show

# One process builds what this shows.
pytestmark = pytest.mark.xdist_group("showcase")

ISO = re.compile(r"\b20\d\d-\d\d-\d\d\b[^<\n]{0,20}")
NOT_GERMAN = re.compile(
    r"\b\d\d? (?:Jan|Feb|Mär|Apr|Mai|Jun|Jul|Aug|Sep|Okt|Nov|Dez)\w*|\bum \d\d?\. \w+", re.IGNORECASE
)
NOT_READ = re.compile(r"<(script|style|code|pre|textarea)\b.*?</\1>|<[^>]*>", re.DOTALL)


@pytest.fixture
def shown(transactional_db: Any, settings: Any) -> models.Restaurant:
    return show(settings)


def test_no_page_shows_a_day_as_a_program_writes_it(admin_client: Client, shown: models.Restaurant) -> None:
    found = {}
    for page in pages.PAGES:
        html = admin_client.get(page.path(), headers={"accept-language": "de"}).content.decode()
        if said := ISO.findall(NOT_READ.sub(" ", html)):
            found[page.key] = said[:5]
    assert not found


def test_german_pages_write_days_as_germans_do(admin_client: Client, shown: models.Restaurant) -> None:
    found = {}
    for page in pages.PAGES:
        html = admin_client.get(page.path(), headers={"accept-language": "de"}).content.decode()
        if said := NOT_GERMAN.findall(NOT_READ.sub(" ", html)):
            found[page.key] = said[:5]
    assert not found

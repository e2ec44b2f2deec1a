"""The example's Content-Security-Policy: on every page, and strict."""

import pytest
from django.conf import settings
from django.test import Client

pytestmark = pytest.mark.django_db


def directives(header: str) -> dict[str, list[str]]:
    parts = (part.split() for part in header.split(";"))
    return {name: sources for name, *sources in parts}


@pytest.mark.parametrize("path", ["/", "/admin/login/", "/admin/", "/admin/rollout/position/"])
def test_every_answer_carries_it_and_it_allows_nothing_inline_and_nothing_from_elsewhere(
    admin_client: Client, path: str
) -> None:
    sent = directives(admin_client.get(path)["Content-Security-Policy"])
    assert sent == {
        "default-src": ["'self'"],
        "img-src": ["'self'", "data:"],
        "object-src": ["'none'"],
        "base-uri": ["'self'"],
        "form-action": ["'self'"],
        "frame-ancestors": ["'none'"],
    }


def test_no_directive_lets_inline_code_in() -> None:
    allowed = {source for sources in settings.CONTENT_SECURITY_POLICY["DIRECTIVES"].values() for source in sources}
    assert not allowed & {"'unsafe-inline'", "'unsafe-eval'", "*", "https:", "http:"}

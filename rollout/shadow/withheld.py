"""The environment of the candidate's process: without the secrets that it does not need."""

import hashlib
import re
from collections.abc import Iterator, Mapping

from django.conf import settings
from django.db import connections

import assignments.conf

_SECRET_NAME = re.compile(
    r"(?:^|_)(?:SECRET|TOKEN|PASSWORD|PASSPHRASE|API_?KEY|ACCESS_KEY|PRIVATE_KEY)(?:_|$)", re.IGNORECASE
)
_DATABASE_NAMES = "PG"
"""How the names of libpq's variables begin. The candidate reads the database."""
_SHORTEST = 8
"""A shorter text may be another variable's ordinary value, such as ``true``."""


def without_secrets(environ: Mapping[str, str]) -> dict[str, str]:
    """These variables, with a placeholder in the place of each secret but the database's.

    A secret is what a setting keeps secret, and what a name such as ``STRIPE_API_KEY`` says is one. The placeholder is there
    because settings may refuse to be read without the variable.
    """
    secret, needed = set(_secrets()), set(_database_values())
    return {
        name: _placeholder(name) if value not in needed and _is_secret(name, value, secret) else value
        for name, value in environ.items()
    }


def _is_secret(name: str, value: str, secret: set[str]) -> bool:
    if not value or name.startswith(_DATABASE_NAMES):
        return False
    return value in secret or _SECRET_NAME.search(name) is not None


def _secrets() -> Iterator[str]:
    known = (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS, settings.EMAIL_HOST_PASSWORD)
    for value in (*known, assignments.conf.settings().METRICS_TOKEN):
        if isinstance(value, str) and len(value) >= _SHORTEST:
            yield value


def _database_values() -> Iterator[str]:
    for each in connections.all():
        yield str(each.settings_dict.get("PASSWORD") or "")


def _placeholder(name: str) -> str:
    return f"withheld-{hashlib.sha256(name.encode()).hexdigest()}"

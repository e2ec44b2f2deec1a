"""The environment of the candidate's process: without the secrets that it does not need."""

import hashlib
import re
import warnings
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import unquote

from django.conf import settings
from django.db import connections

import assignments.conf

_SECRET_NAME = re.compile(
    r"(?:^|_)(?:SECRET|TOKEN|PASSWORD|PASSPHRASE|API_?KEY|ACCESS_KEY|PRIVATE_KEY)(?:_|$)", re.IGNORECASE
)
_LOGIN = re.compile(r"(?<=://)[^/?#\s]+(?=@)")
"""The user and the password of an address."""
_PASSWORD = re.compile(r"\bpassword=([^\s&]+)", re.IGNORECASE)
"""The password in a data source's name that is no address, or behind the ``?`` of one that is."""
_DSN_NAME = re.compile(r"(?:^|_)DSN(?:_|$)", re.IGNORECASE)
"""A data source's name, in which the user alone may be a secret."""
_DATABASE = re.compile(r"(?:^|\W)(?:postgres|postgis|pgsql|psql|dbname=|service=)", re.IGNORECASE)
"""How the name of a database as a data source is known, where it names no password."""
_DATABASE_NAMES = "PG"
"""How the names of libpq's variables begin. The candidate reads the database."""
_SHORTEST = 8
"""A shorter text may be another variable's ordinary value, such as ``true``."""


def without_secrets(environ: Mapping[str, str]) -> dict[str, str]:
    """Return these variables, with a placeholder for each secret except the database's.

    Secrets are values of secret settings, variables with a name such as ``STRIPE_API_KEY``, and logins in URLs: any
    with a password, and any in a variable such as ``SENTRY_DSN``. There is a placeholder, and a URL stays one, because
    settings may not load without the variable.
    """
    secret, needed = set(_secrets()), set(_database_values())

    def seen(name: str, value: str) -> str:
        if value in needed or name.startswith(_DATABASE_NAMES):
            return value
        if _is_secret(name, value, secret):
            return _placeholder(name)
        return value if _is_of_a_database(value, needed) else _without_login(name, value)

    return {name: seen(name, value) for name, value in environ.items()}


def _is_of_a_database(value: str, passwords: set[str]) -> bool:
    """Return whether the variable leads to a database of the settings: by its password, or as a database without one."""
    written = {login.partition(":")[2] for login in _LOGIN.findall(value)} | set(_PASSWORD.findall(value))
    known = {unquote(each) for each in written if each} & passwords
    return bool(known) or (not any(written) and _DATABASE.search(value) is not None)


def _without_login(name: str, value: str) -> str:
    is_dsn = _DSN_NAME.search(name) is not None
    if is_dsn and "://" not in value and value:
        return _placeholder(name)

    def withheld(found: re.Match[str]) -> str:
        user, colon, password = found[0].partition(":")
        if is_dsn:
            return _placeholder(name)
        return f"{user}:{_placeholder(name)}" if colon and password else found[0]

    return _LOGIN.sub(withheld, value)


def _is_secret(name: str, value: str, secret: set[str]) -> bool:
    return bool(value) and (value in secret or _SECRET_NAME.search(name) is not None)


def _secrets() -> Iterator[str]:
    known = (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS, *_mail_passwords())
    for value in (*known, assignments.conf.settings().METRICS_TOKEN):
        if isinstance(value, str) and len(value) >= _SHORTEST:
            yield value


def _mail_passwords() -> Iterator[Any]:
    for mailer in (getattr(settings, "MAILERS", None) or {}).values():  # Since Django 6.1.
        yield mailer.get("OPTIONS", {}).get("password")
    with warnings.catch_warnings(action="ignore"):  # Django 6.1 and later deprecate it.
        yield getattr(settings, "EMAIL_HOST_PASSWORD", None)


def _database_values() -> Iterator[str]:
    for each in connections.all():
        for password in (each.settings_dict.get("PASSWORD"), each.settings_dict.get("OPTIONS", {}).get("password")):
            yield str(password or "")


def _placeholder(name: str) -> str:
    return f"withheld-{hashlib.sha256(name.encode()).hexdigest()}"

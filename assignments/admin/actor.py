"""Actors: how history names an admin user, and the user's current name."""

from collections.abc import Iterable, Mapping
from contextlib import suppress

from django.contrib.auth import get_user_model
from django.core.exceptions import ValidationError
from django.http import HttpRequest

from assignments.lifecycle.staff_decisions import STAFF
from assignments.staff import labels


def actor(request: HttpRequest) -> str:
    """Return ``staff:<id>``. Never a name, because history is permanent."""
    return f"{STAFF}{request.user.pk}"


def names(actors: Iterable[str]) -> Mapping[str, str]:
    """Map actors to display names: the username of users who still exist. At most one query."""
    known = {each: labels.actor(each) for each in actors}
    model = get_user_model()
    keys = {}
    for each in known:
        kind, _colon, key = each.partition(":")
        if kind in labels.USERS:
            with suppress(ValidationError):
                keys[each] = model._meta.pk.to_python(key)
    users = model._default_manager.in_bulk(set(keys.values()))
    return known | {each: users[key].get_username() for each, key in keys.items() if key in users}

"""Who does it: a user of the admin, as history names them, and what they are called today."""

from collections.abc import Iterable, Mapping

from django.contrib.auth import get_user_model
from django.core.exceptions import ValidationError
from django.http import HttpRequest
from django.utils.translation import gettext as _

from assignments import wording

STAFF = "staff:"


def actor(request: HttpRequest) -> str:
    """``staff:<id>``, never a name: history is for ever."""
    return f"{STAFF}{request.user.pk}"


def names(actors: Iterable[str]) -> Mapping[str, str]:
    """What these actors are called now: users by their name, if they are still there. At most one query."""
    known = {each: wording.planner(each) for each in actors}
    if "host" in known:
        known["host"] = _("the booking project")
    model = get_user_model()
    keys = {}
    for each in known:
        if each.startswith(STAFF):
            try:
                keys[model._meta.pk.to_python(each.removeprefix(STAFF))] = each
            except ValidationError:
                continue
    users = model._default_manager.filter(pk__in=keys) if keys else ()
    return known | {keys[user.pk]: user.get_username() for user in users}

"""Who does it: a user of the admin, as the record names them."""

from collections.abc import Iterable, Mapping

from django.contrib.auth import get_user_model
from django.http import HttpRequest

PREFIX = "user:"


def actor(request: HttpRequest) -> str:
    """``user:<id>``, never a name: the record is for ever."""
    return f"{PREFIX}{request.user.pk}"


def names(actors: Iterable[str]) -> Mapping[str, str]:
    """What those among them that are users are called now; a user who is gone has no name any more. At most one query."""
    model = get_user_model()
    keys = {each.removeprefix(PREFIX) for each in actors if each.startswith(PREFIX)}
    return {f"{PREFIX}{user.pk}": user.get_username() for user in model._default_manager.filter(pk__in=keys)}

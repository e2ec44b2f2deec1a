"""Who does it: a user of the admin, as the record names them."""

from django.http import HttpRequest


def actor(request: HttpRequest) -> str:
    """``user:<id>``, never a name: the record is for ever."""
    return f"user:{request.user.pk}"

"""Names the admin's user for the audit log."""

from django.http import HttpRequest


def actor(request: HttpRequest) -> str:
    """``user:<id>``, never a name, since the record is permanent."""
    return f"user:{request.user.pk}"

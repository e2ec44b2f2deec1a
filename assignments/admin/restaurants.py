"""Whose restaurants a user may see: the host limits pages, searches and actions by ``restaurants_of``."""

import logging
from typing import Any, TypeVar

from django.db import DatabaseError
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext as _

from assignments.error_logging import log_error
from assignments.integration.project_host import configured
from assignments.models import Assignment
from assignments.models.assignment import AssignmentQuerySet

logger = logging.getLogger("assignments.admin")

_Row = TypeVar("_Row", bound=Model)
_ASKED = "_restaurants_of_its_user"


def restaurants_of(request: HttpRequest) -> frozenset[str] | None:
    """Return the refs of the restaurants that the user may see; None for all. Asks the host once in a request.

    A host that fails shows nothing rather than everything. Raises DatabaseError only.
    """
    if not hasattr(request, _ASKED):
        setattr(request, _ASKED, _asked(request.user))
    found: frozenset[str] | None = getattr(request, _ASKED)
    return found


def _asked(user: Any) -> frozenset[str] | None:
    ask = getattr(configured(), "restaurants_of", None)
    if ask is None:
        return None
    try:
        refs = ask(user)
    except DatabaseError:
        raise
    except Exception as error:  # noqa: BLE001  (by type: a host's message may name somebody)
        log_error(logger, error, "The host raised an error when asked whose restaurants user %s may see", user.pk)
        return frozenset()
    return None if refs is None else frozenset(map(str, refs))


def may_see(request: HttpRequest, restaurant_ref: str) -> bool:
    """Return whether the user may see this restaurant and act on it."""
    allowed = restaurants_of(request)
    return allowed is None or restaurant_ref in allowed


def limited(request: HttpRequest, rows: "QuerySet[_Row]", column: str = "restaurant_ref") -> "QuerySet[_Row]":
    """Return the rows of the restaurants that the user may see."""
    allowed = restaurants_of(request)
    return rows if allowed is None else rows.filter(**{f"{column}__in": sorted(allowed)})


def bookings_of(request: HttpRequest) -> AssignmentQuerySet:
    """Return the bookings that the user may decide about: of their restaurants, or asking to come to one."""
    allowed = restaurants_of(request)
    return Assignment.objects.all() if allowed is None else Assignment.objects.of_restaurants(allowed)


def refusal() -> str:
    """Say that the user may not act on a restaurant."""
    return _("You may not change this restaurant.")

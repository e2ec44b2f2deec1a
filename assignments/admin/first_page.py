"""The admin's first page: the five pages of every day with their counts, and panels of other apps.

It is shown above Django's list of apps, unless the project has set ``admin.site.index_template`` itself. Another site
includes it with ``{% load assignments_pages %}{% assignments_overview %}``.
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.contrib import admin
from django.db import transaction
from django.http import HttpRequest
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from assignments import conf
from assignments.admin import links
from assignments.admin.restaurants import limited, restaurants_of
from assignments.concurrency import clock, transactions
from assignments.error_logging import log_error
from assignments.models import Event, Health, ReviewItem, ServiceDay
from assignments.staff import review_queue
from assignments.staff.service_day import venues
from assignments.telemetry import health

logger = logging.getLogger("assignments.admin")

TEMPLATE = "admin/assignments/page/first_page.html"
A_DAY = timedelta(days=1)
MOST = 999
"""Maximum count of events; more show a plus."""
PATIENCE_MS = 2000
"""Maximum milliseconds of a statement: the first page has to open."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Card:
    """A page, and the sentence that says whether it has to be opened. ``level``: pass, warning or fail, or ""."""

    title: str
    url: str
    text: str
    level: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Panel:
    """A contribution of another app: a template with its context, and cards."""

    template: str = ""
    context: Mapping[str, Any] = field(default_factory=dict)
    cards: tuple[Card, ...] = ()


Gather = Callable[[HttpRequest], Panel]
_panels: dict[str, Gather] = {}


def register(key: str, gather: Gather) -> None:
    """Add a panel. ``gather`` is called for each view, and checks permissions; if it raises, the panel is left out."""
    _panels[key] = gather


def install() -> None:
    """Show the overview on the first page of Django's own admin site, if nobody has chosen another template."""
    if admin.site.index_template is None:
        admin.site.index_template = TEMPLATE


def overview(request: HttpRequest) -> dict[str, Any]:
    """Return cards and panels for the user. A part that fails is left out, so that the first page opens."""
    cards = _cards(request, clock.now())
    panels = [panel for key, gather in _panels.items() if (panel := _attempt(key, gather, request)) is not None]
    for panel in panels:
        cards += panel.cards
    return {"cards": cards, "panels": [panel for panel in panels if panel.template]}


def _cards(request: HttpRequest, now: datetime) -> list[Card]:
    """Return our own cards. One transaction for all that succeed."""
    waiting, found = [_evening, _review, _health, _events], []
    while waiting:
        try:
            with transactions.atomic():
                transactions.limit_statements(PATIENCE_MS)
                while waiting:
                    found.append(waiting[0](request, now))
                    waiting.pop(0)
                transaction.set_rollback(True)
        except Exception as error:  # noqa: BLE001  (by type: the first page must open)
            log_error(logger, error, "The admin's first page could not show %s", waiting.pop(0).__name__.strip("_"))
    return [card for card in found if card is not None]


def _attempt(key: str, gather: Gather, request: HttpRequest) -> Panel | None:
    try:
        return gather(request)
    except Exception as error:  # noqa: BLE001  (by type: the first page must open)
        log_error(logger, error, "The admin's first page could not show the panel %s", key)
        return None


def _evening(request: HttpRequest, now: datetime) -> Card | None:
    url = links.permitted(request, ServiceDay)
    if not url:
        return None
    found = venues(now, within=restaurants_of(request))
    count = sum(venue.bookings for venue in found)
    text = ngettext("%(count)s booking around now", "%(count)s bookings around now", count) % {"count": count}
    return Card(title=_("Service timeline"), url=url, text=text)


def _review(request: HttpRequest, now: datetime) -> Card | None:
    url = links.permitted(request, ReviewItem)
    if not url:
        return None
    waiting, soon = review_queue.to_decide(now, within=restaurants_of(request))
    text = _("nobody waits for a decision")
    if waiting:
        text = ngettext("%(count)s booking needs a decision", "%(count)s bookings need a decision", waiting)
        text %= {"count": waiting}
    if soon:
        in_time = ngettext("%(count)s of them within 24 hours", "%(count)s of them within 24 hours", soon)
        text += ", " + in_time % {"count": soon}
    level = "fail" if soon else "warning" if waiting else "pass"
    return Card(title=_("Review queue"), url=url, text=text, level=level)


def _health(request: HttpRequest, now: datetime) -> Card | None:
    url = links.permitted(request, Health)
    if not url:
        return None
    found = health.vitals()
    age = found.last_success_age_seconds
    if age is None:
        return Card(title=_("Health"), url=url, text=_("no run has succeeded yet"), level="fail")
    text = ngettext("%(count)s booking is due", "%(count)s bookings are due", found.due_bookings)
    is_late = max(age, found.oldest_due_age_seconds) > conf.settings().CRON_SECONDS
    said = text % {"count": found.due_bookings}
    if is_late:
        said += ", " + _("and the system is behind")
    return Card(title=_("Health"), url=url, text=said, level="fail" if is_late else "pass")


def _events(request: HttpRequest, now: datetime) -> Card | None:
    url = links.permitted(request, Event)
    if not url:
        return None
    errors = (
        limited(request, Event.objects.filter(severity=Event.Severity.ERROR, at__gt=now - A_DAY))
        .order_by()[: MOST + 1]
        .count()
    )
    count = f"{MOST}+" if errors > MOST else str(errors)
    text = ngettext("%(count)s error in 24 hours", "%(count)s errors in 24 hours", errors) % {"count": count}
    if errors:  # Without any, a list of errors would be empty.
        url = links.permitted(request, Event, severity__exact=Event.Severity.ERROR)
    return Card(title=_("Events"), url=url, text=text, level="warning" if errors else "pass")

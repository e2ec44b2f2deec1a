"""The pages that staff and operators use: what the tests of all pages, the costs and the pictures go through.

A page that is new is added here, and is then looked at by all of them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlencode

from django.db.models import Count, F, Min
from django.urls import reverse

from assignments.integration.floor_cache import floor_or_none
from assignments.integration.planners import V3
from assignments.models import Allocation, Assignment, Event, State
from assignments.planning.reasons import Reason
from assignments.staff.timeline import day_at
from rollout.models import Comparison
from rollout.policy.verdict import Verdict


@dataclass(frozen=True, kw_only=True, slots=True)
class Page:
    """``key``: what its picture is called. ``path``: where it is, given what is in the database."""

    key: str
    title: str
    path: Callable[[], str]

    def __str__(self) -> str:
        return self.key


def _at(name: str) -> Callable[[], str]:
    return lambda: reverse(f"admin:{name}")


def _timeline() -> str:
    """The fullest evening, of those on which tables are kept for clearing them too."""
    seatings = Allocation.objects.filter(kind=Allocation.Kind.SEATING, blocked__endswith__gt=F("ends_at"))
    fullest = (
        seatings.values("restaurant_ref")
        .annotate(many=Count("booking_ref", distinct=True), first=Min("starts_at"))
        .order_by("-many", "restaurant_ref")[0]
    )
    day = day_at(floor_or_none(fullest["restaurant_ref"]), fullest["first"])
    query = urlencode({"restaurant": fullest["restaurant_ref"], "day": day.isoformat()})
    return f"{reverse('admin:assignments_serviceday_changelist')}?{query}"


def _plan() -> str:
    """That evening's floor plan, at a quarter past its fullest start."""
    return f"{_timeline()}&view=plan&at=19:30"


def _sheet() -> str:
    """That evening on paper."""
    return reverse("admin:assignments_serviceday_sheet") + "?" + _timeline().partition("?")[2]


def _review_item() -> str:
    """One on which staff have to decide: the first for which there may be room by now."""
    waiting = Assignment.objects.filter(state=State.MANUAL_REVIEW, reason=Reason.NO_CAPACITY).order_by(
        "starts_at", "pk"
    )[0]
    return reverse("admin:assignments_reviewitem_change", args=[waiting.pk])


def _event() -> str:
    """One that tells of a decision."""
    told = Event.objects.filter(type="coordinator.confirmed").order_by("pk")[0]
    return reverse("admin:assignments_event_change", args=[told.pk])


def _booking() -> str:
    """One that V3 has seated."""
    seated = Assignment.objects.filter(state=State.CONFIRMED, planner=V3).order_by("pk")[0]
    return reverse("admin:assignments_assignment_change", args=[seated.pk])


def _comparison() -> str:
    """One on which the planners differ."""
    differs = Comparison.objects.exclude(verdict__in=["", Verdict.SAME_TABLES, Verdict.BOTH_REFUSE]).order_by("pk")[0]
    return reverse("admin:rollout_comparison_change", args=[differs.pk])


ROLLOUT = Page(key="rollout", title="Rollout", path=_at("rollout_position_changelist"))
PROMOTE = Page(key="promote", title="Promoting, with what stands in the way", path=_at("rollout_promote"))
COMPARISONS = Page(key="comparisons", title="Comparisons", path=_at("rollout_comparison_changelist"))
COMPARISON = Page(key="comparison", title="One comparison", path=_comparison)
TIMELINE = Page(key="timeline", title="Service timeline", path=_timeline)
PLAN = Page(key="floor-plan", title="Floor plan", path=_plan)
FIND = Page(key="find", title="Finding a booking", path=_at("assignments_serviceday_find"))
FIRST = Page(key="first-page", title="The admin's first page", path=_at("index"))
SHEET = Page(key="day-sheet", title="Day sheet", path=_sheet)
BOOKING = Page(key="booking", title="One booking", path=_booking)
HEALTH = Page(key="health", title="Health", path=_at("assignments_health_changelist"))
REVIEW = Page(key="review", title="Review queue", path=_at("assignments_reviewitem_changelist"))
REVIEW_ITEM = Page(key="review-item", title="Deciding on one booking", path=_review_item)
EVENTS = Page(key="events", title="Events", path=_at("assignments_event_changelist"))
EVENT = Page(key="event", title="One event", path=_event)

CLOSURES = Page(key="closures", title="Closures", path=_at("assignments_closure_changelist"))
CLOSURE = Page(key="closure", title="Closing tables", path=_at("assignments_closure_add"))
CALENDAR = Page(key="calendar", title="A day of the calendar", path=_at("assignments_calendarentry_add"))

PAGES = (
    FIRST,
    TIMELINE,
    PLAN,
    FIND,
    SHEET,
    REVIEW,
    REVIEW_ITEM,
    BOOKING,
    CLOSURES,
    CLOSURE,
    CALENDAR,
    HEALTH,
    EVENTS,
    EVENT,
    ROLLOUT,
    PROMOTE,
    COMPARISONS,
    COMPARISON,
)

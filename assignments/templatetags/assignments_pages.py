"""``{% assignments_overview %}``: the pages of every day with their counts, for the first page of an admin site."""

from typing import Any

from django import template

from assignments.admin import first_page
from assignments.staff import moments

register = template.Library()
register.filter("long_day", moments.long_day)
register.filter("short_day", moments.short_day)
register.filter("long_moment", moments.long_moment, expects_localtime=True)
register.filter("weekday_moment", moments.weekday_moment, expects_localtime=True)


@register.filter(expects_localtime=True)
def moment(at: Any, precision: str = "minutes") -> str:
    """Write a day and a time: 29 Nov 2026, 18:30. ``precision``: also seconds, or milliseconds. "" for none."""
    return moments.local_moment(at, precision) if at else ""


@register.inclusion_tag("admin/assignments/page/overview.html", takes_context=True)
def assignments_overview(context: Any) -> dict[str, Any]:
    """Show what the user of the request may see."""
    request = context["request"]
    return {"request": request, **first_page.overview(request)}

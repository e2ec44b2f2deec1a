"""``{% assignments_overview %}``: the pages of every day with their counts, for the first page of an admin site."""

from typing import Any

from django import template

from assignments.admin import first_page, moments

register = template.Library()
register.filter("long_day", moments.long_day)
register.filter("short_day", moments.short_day)


@register.inclusion_tag("admin/assignments/page/overview.html", takes_context=True)
def assignments_overview(context: Any) -> dict[str, Any]:
    """Show what the user of the request may see."""
    request = context["request"]
    return {"request": request, **first_page.overview(request)}

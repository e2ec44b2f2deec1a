"""The rollout on the admin's first page: its headline, its stages, and how comparisons stand."""

from django.http import HttpRequest
from django.utils.translation import gettext as _

from assignments.admin import first_page, links
from assignments.admin.first_page import Card, Panel
from rollout.admin.overview import glance
from rollout.models import Comparison, Position


def panel(request: HttpRequest) -> Panel:
    """Return what the user may see of the rollout."""
    rollout, comparisons = links.permitted(request, Position), links.permitted(request, Comparison)
    cards = []
    context = glance() if rollout else {}
    if rollout:
        cards.append(
            Card(title=_("Rollout"), url=rollout, text=str(context["headline"]), level=context["headline"].level)
        )
    elif comparisons:
        cards.append(Card(title=_("Comparisons"), url=comparisons, text=_("what V3 would have decided")))
    return Panel(
        template="admin/rollout/page/first_page.html" if rollout else "",
        context={**context, "url": rollout},
        cards=tuple(cards),
    )


first_page.register("rollout", panel)

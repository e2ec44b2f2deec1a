"""Links a booking's page to its comparisons."""

from collections.abc import Iterator

from django.http import HttpRequest
from django.utils.translation import gettext as _

from assignments.admin import links
from assignments.models import Assignment
from rollout.models import Comparison


@links.register
def comparisons(request: HttpRequest, assignment: Assignment) -> Iterator[links.Link]:
    """The links, for users who may view comparisons."""
    url = links.permitted(request, Comparison, q=assignment.booking_ref)
    if url:
        yield links.Link(url=url, text=_("Comparisons of the planners"))

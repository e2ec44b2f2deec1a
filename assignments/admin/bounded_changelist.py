"""Lists of large tables: what no index finds is looked for among the latest rows alone."""

from typing import Any

from django.contrib import messages
from django.contrib.admin.views.main import ORDER_VAR, ChangeList
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.utils.formats import number_format
from django.utils.translation import gettext as _

LOOKED_THROUGH = 100_000
"""So many of the latest rows are gone through for what no index finds."""


def latest(model: type[Model]) -> Any:
    """The key behind which the latest LOOKED_THROUGH rows lie; None where there are no more than that. One query."""
    keys = model._default_manager.order_by("-pk").values_list("pk", flat=True)
    return keys[LOOKED_THROUGH : LOOKED_THROUGH + 1].first()


class BoundedList(ChangeList):
    """Filters and sortings that an index serves (``ReadOnlyAdmin.indexed``) reach all rows.

    Any other one would read the whole table, so it reaches the latest rows, and the page says so.
    """

    def get_queryset(self, request: HttpRequest, exclude_parameters: Any = None) -> QuerySet[Any]:
        found = super().get_queryset(request, exclude_parameters)
        if self.query or self._is_by_index(request, found):  # What is searched for is few already.
            return found
        first = latest(self.model)
        if first is None:
            return found
        count = number_format(LOOKED_THROUGH, use_l10n=True, force_grouping=True)
        messages.info(request, _("Only the latest %(count)s entries are looked through for this.") % {"count": count})
        found = found.filter(pk__gt=first)
        return found if ORDER_VAR in request.GET else found.order_by("-pk")  # By the index that finds them.

    def _is_by_index(self, request: HttpRequest, found: QuerySet[Any]) -> bool:
        indexed: frozenset[str] = getattr(self.model_admin, "indexed", frozenset()) | {"pk", "id"}
        asked = {str(name).partition("__")[0] for name in self.get_filters_params()}
        sorted_by = str(next(iter(self.get_ordering(request, found)), "pk")).lstrip("-")
        return asked <= indexed and sorted_by in indexed

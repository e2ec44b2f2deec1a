"""Change lists of large tables: a search without an index covers the latest rows only."""

from typing import Any

from django.contrib import messages
from django.contrib.admin.views.main import ORDER_VAR, ChangeList
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.utils.formats import number_format
from django.utils.translation import gettext as _

LOOKED_THROUGH = 100_000
"""Maximum rows searched without an index."""


def latest(model: type[Model]) -> Any:
    """Return the key before the latest LOOKED_THROUGH rows, or None if there are no more. One query."""
    keys = model._default_manager.order_by("-pk").values_list("pk", flat=True)
    return keys[LOOKED_THROUGH : LOOKED_THROUGH + 1].first()


class BoundedList(ChangeList):
    """Limits filters and orderings without an index to the latest rows.

    Those with an index (``ReadOnlyAdmin.indexed``) cover all rows. Any other would read the whole table, so the page
    says that it covers the latest rows only.
    """

    def get_queryset(self, request: HttpRequest, exclude_parameters: Any = None) -> QuerySet[Any]:
        found = super().get_queryset(request, exclude_parameters)
        if self.query or self._is_by_index(request, found):  # A search returns few rows already.
            return found
        first = latest(self.model)
        if first is None:
            return found
        count = number_format(LOOKED_THROUGH, use_l10n=True, force_grouping=True)
        messages.info(request, _("This searches the latest %(count)s entries only.") % {"count": count})
        found = found.filter(pk__gt=first)
        return found if ORDER_VAR in request.GET else found.order_by("-pk")  # Matches the index that finds them.

    def _is_by_index(self, request: HttpRequest, found: QuerySet[Any]) -> bool:
        indexed: frozenset[str] = getattr(self.model_admin, "indexed", frozenset()) | {"pk", "id"}
        asked = {str(name).partition("__")[0] for name in self.get_filters_params()}
        sorted_by = str(next(iter(self.get_ordering(request, found)), "pk")).lstrip("-")
        return asked <= indexed and sorted_by in indexed

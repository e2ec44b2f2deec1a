"""Labels of the legacy planner: its name and the parts of its score."""

from django.utils.translation import gettext_lazy as _
from django.utils.translation import gettext_noop

from assignments.staff import labels

labels.register(
    planners={"legacy": _("the legacy planner")},
    strategies={
        "penalty": _("lowest penalty"),
        "spare_seats": _("spare seats"),
        "extra_tables": _("extra tables"),
        "fragmentation": _("fragmentation"),
        "zone_spread": _("zone spread"),
        "scarcity": _("scarcity"),
    },
    because={
        "spare_seats": gettext_noop("Preferred over %(tables)s because fewer seats stay empty."),
        "extra_tables": gettext_noop("Preferred over %(tables)s because it takes fewer tables."),
        "fragmentation": gettext_noop("Preferred over %(tables)s because its tables are of more equal size."),
        "zone_spread": gettext_noop("Preferred over %(tables)s because it takes tables of fewer zones."),
        "scarcity": gettext_noop("Preferred over %(tables)s because it leaves the scarcer tables free."),
    },
)

"""A decision in plain words, for staff."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from assignments.planning.features import listed
from assignments.planning.floor import Floor
from assignments.planning.natural_order import natural_key
from assignments.planning.text import Text, ngettext, together
from assignments.planning.text import gettext as _

BECAUSE: dict[str, str] = {
    "optimal_fit": _("Preferred over %(tables)s because it wastes fewer seats and less time."),
    "adjacency": _("Preferred over %(tables)s because it takes fewer tables, or tables that stand closer together."),
    "zone_preference": _("Preferred over %(tables)s because its zone has more tables free."),
    "load_balancing": _("Preferred over %(tables)s because it leaves the scarcer tables free."),
    "historical_success": _("Preferred over %(tables)s because bookings there have gone better."),
    "keep_free": _("Preferred over %(tables)s because others need it less."),
    "priority": _("Preferred over %(tables)s because the restaurant prefers it."),
    "wishes": _("Preferred over %(tables)s because it meets more of the guests' wishes."),
}
"""Why one part of a score made a planner prefer its choice. Other planners add theirs."""


def describe(decision: Mapping[str, Any], floor: Floor | None) -> Text:
    """Describe a decision, given as ``Decision.to_json()``, and its reason, in local time; for a refusal, its detail.

    Without a floor, tables are shown by their refs, and times in UTC.
    """
    if decision.get("plans") and decision.get("window"):
        return together(list(_chosen(decision, floor)))
    return Text.from_json(decision["refusal"]) if decision.get("refusal") else _("Nothing was decided.")


def preferred(best: Mapping[str, Any], second: Mapping[str, Any], floor: Floor | None) -> Text:
    """Say why one plan ranks before another, both given as ``TablePlan.to_json()``."""
    tables = names(second["table_refs"], floor)
    leads = {name: share - second["breakdown"].get(name, 0.0) for name, share in best["breakdown"].items()}
    name = max(leads, key=lambda name: leads[name], default="")
    if not name or leads[name] <= 0:
        return _("It is as good as %(tables)s, which comes later by name.", tables=tables)
    if name in BECAUSE:
        return Text(BECAUSE[name], {"tables": tables})
    what = Text(name.replace("_", " "))
    return _("Preferred over %(tables)s because of this: %(what)s.", tables=tables, what=what)


def names(table_refs: Sequence[str], floor: Floor | None) -> str:
    """Return the names of tables as staff know them, in the floor's order."""
    if floor is None:
        return " + ".join(sorted(table_refs, key=natural_key))
    known = floor.table_by_ref
    return " + ".join(known[ref].name if ref in known else ref for ref in floor.in_order(table_refs))


def _chosen(decision: Mapping[str, Any], floor: Floor | None) -> Iterator[Text]:
    best, window = decision["plans"][0], decision["window"]
    zone = floor.zone if floor else UTC
    start, end = (f"{datetime.fromisoformat(window[each]).astimezone(zone):%H:%M}" for each in ("starts_at", "ends_at"))
    values = {
        "tables": names(best["table_refs"], floor),
        "party": ngettext("%(count)s cover", "%(count)s covers", best["seats"] - best["spare_seats"]),
        "start": start,
        "end": end,
    }
    if best["spare_seats"]:
        yield ngettext(
            "%(tables)s for %(party)s from %(start)s to %(end)s: %(count)s seat stays empty.",
            "%(tables)s for %(party)s from %(start)s to %(end)s: %(count)s seats stay empty.",
            best["spare_seats"],
            **values,
        )
    else:
        yield _("%(tables)s for %(party)s from %(start)s to %(end)s: it fits exactly.", **values)
    if unmet := best.get("unmet_wishes"):
        yield _("Wishes that it does not meet: %(wishes)s.", wishes=listed(unmet))
    if decision.get("moved_from"):
        tables = names(decision["moved_from"], floor)
        yield _("It was moved from %(tables)s so that another party can sit too.", tables=tables)
    if len(decision["plans"]) > 1:
        yield preferred(best, decision["plans"][1], floor)

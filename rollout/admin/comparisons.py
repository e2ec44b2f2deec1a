"""Comparisons in the admin: how often the planners agree, and one comparison on the floor and on the evening's timeline.

Long because one page draws a whole comparison: floor, timeline and scores of both planners.
"""

import shlex
from collections.abc import Collection, Mapping
from dataclasses import replace
from datetime import UTC, tzinfo
from typing import Any

from django.contrib import admin
from django.contrib.admin.utils import unquote
from django.contrib.admin.views.main import ChangeList
from django.db.models import F, Model, QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from assignments.admin import links
from assignments.admin.bounded_changelist import BoundedList
from assignments.admin.datetime_columns import local, recorded
from assignments.admin.filters import known, since
from assignments.admin.host_lookup import label_of, restaurant_names
from assignments.admin.page import RowPageAdmin
from assignments.admin.plan_table import ranking
from assignments.admin.restaurants import limited, restaurants_of
from assignments.admin.timeline_svg import Caption, clock, draw, seats, zone_name
from assignments.concurrency import clock as movable_clock
from assignments.concurrency.sql import rows
from assignments.integration.floor_cache import floor_or_none
from assignments.models import Assignment
from assignments.planning.decision import Decision
from assignments.planning.floor import Floor
from assignments.planning.natural_order import natural_key
from assignments.planning.timezone import time_zone
from assignments.staff import labels
from assignments.staff.timeline import Bar, Timeline
from rollout.admin.labels import VERDICTS
from rollout.admin.log_admins import as_block
from rollout.models import Comparison, FloorRecord, Waiver
from rollout.policy.seating_audit import Flaw
from rollout.policy.verdict import MEANINGS, Verdict
from rollout.shadow import comparison_detail
from rollout.shadow.comparison_detail import BOTH, CANDIDATE, CONTROL, Compared, Seat

WAITING = "waiting"
ALL = "tables"
"""Parameter of a comparison's page that shows all tables, not only those that a planner chose."""
COUNTED = 10_000
"""Maximum count of a class; larger ones show a plus."""
CHOICES = 50
"""Maximum restaurants and errors in the filters."""
LATEST_ERRORS = 1000
"""Maximum failures searched for errors to filter by."""

STATUS = {
    Verdict.SAME_TABLES: "page-pass",
    Verdict.EQUIVALENT: "page-pass",
    Verdict.BETTER: "page-pass",
    Verdict.ONLY_V3_SEATS: "page-pass",
    Verdict.WORSE: "page-warning",
    Verdict.ONLY_LEGACY_SEATS: "page-fail",
    Verdict.V3_ERROR: "page-fail",
    Verdict.UNSAFE: "page-fail",
}
FLAWS: Mapping[Flaw, str | Promise] = {
    Flaw.ANOTHER_BOOKING: gettext_lazy("The decision is for another booking."),
    Flaw.WITHOUT_TIMES: gettext_lazy("The decision has tables but no times."),
    Flaw.INVALID_PARTY: gettext_lazy("A party of this size cannot be planned."),
    Flaw.UNKNOWN_TABLE: gettext_lazy("A table is not on the floor, or none is named."),
    Flaw.TABLE_REPEATED: gettext_lazy("A table is named more than once."),
    Flaw.TABLE_INACTIVE: gettext_lazy("A table is out of service."),
    Flaw.PINS_IGNORED: gettext_lazy("Staff have fixed other tables for the booking."),
    Flaw.TOO_FEW_SEATS: gettext_lazy("The tables have too few seats for the party."),
    Flaw.TOO_MANY_SPARE_SEATS: gettext_lazy("More seats stay empty than are allowed."),
    Flaw.PARTY_OUTSIDE_TABLE_LIMITS: gettext_lazy("The tables do not take parties of this size."),
    Flaw.TOO_MANY_TABLES: gettext_lazy("More tables are joined than are allowed."),
    Flaw.WRONG_ZONE: gettext_lazy("The tables are not in the zone that the guests asked for."),
    Flaw.ZONES_DIFFER: gettext_lazy("It joins tables of different zones."),
    Flaw.NOT_ADJACENT: gettext_lazy("It joins tables that do not stand next to each other."),
    Flaw.OUTSIDE_SERVICE: gettext_lazy("It seats the party at a time that the rules of the floor do not allow."),
    Flaw.KEPT_TOO_SHORT: gettext_lazy("It occupies the tables for less time than the party and its buffers need."),
    Flaw.KEPT_TOO_LONG: gettext_lazy("It occupies the tables for more time than the party and its buffers need."),
    Flaw.OTHER_TIMES: gettext_lazy("It tells the guests other times than they sit."),
    Flaw.TABLE_TAKEN: gettext_lazy("A table is taken by another booking."),
    Flaw.TABLE_CLOSED: gettext_lazy("A table is closed at that time."),
    Flaw.FIXED_PARTY_MOVED: gettext_lazy("It moves a party that has to keep its table."),
    Flaw.PACING: gettext_lazy("More guests come at that time than are allowed."),
    Flaw.NEEDS: gettext_lazy("The tables lack what the party needs."),
    Flaw.WRITTEN_OTHERWISE: gettext_lazy("Other tables or times were stored than V3 decided."),
}
PARTS: Mapping[str, str | Promise] = {
    "floor": gettext_lazy("the floor"),
    "snapshot": gettext_lazy("known at the time"),
    "control": gettext_lazy("the legacy planner's decision"),
    "candidate": gettext_lazy("V3's decision"),
}
LOOKS: Mapping[str, tuple[str, str, str | Promise]] = {
    CONTROL: ("timeline-old timeline-pick", "timeline-stripes", gettext_lazy("legacy planner")),
    CANDIDATE: ("timeline-v3 timeline-pick", "", gettext_lazy("V3")),
    BOTH: ("timeline-both timeline-pick", "timeline-dots", gettext_lazy("both")),
}


def verdicts() -> list[tuple[str, str]]:
    return [(verdict or WAITING, str(words)) for verdict, words in VERDICTS.items()]


def restaurants() -> list[tuple[str, str]]:
    """Return the restaurants on record. They are found by their few floors, without reading comparisons."""
    refs = FloorRecord.objects.order_by("restaurant_ref").values_list("restaurant_ref", flat=True).distinct()
    shown = list(refs[:CHOICES])
    names = restaurant_names(shown) if shown else {}
    return [(ref, names[ref]) for ref in shown]


def errors() -> list[tuple[str, str]]:
    """Return the errors of the latest failures, found by the index of verdicts."""
    failed = Comparison.objects.filter(verdict=Verdict.V3_ERROR).order_by("-recorded_at")
    found = set(failed.values_list("error", flat=True)[:LATEST_ERRORS])
    return [(error, error) for error in sorted(found - {""})[:CHOICES]]


class ComparisonList(BoundedList):
    """A list whose rows know the names of their tables and their time zone: one query for all floors of a page."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        rows = list(self.result_list)
        floors = FloorRecord.objects.in_bulk({row.floor_id for row in rows})
        names = {version: _names_in(record.content) for version, record in floors.items()}
        zones = {version: _zone_in(record.content) for version, record in floors.items()}
        for row in rows:
            row.table_names, row.zone = names[row.floor_id], zones[row.floor_id]
        self.result_list = rows


@admin.register(Comparison)
class ComparisonAdmin(RowPageAdmin):
    row_template = "admin/rollout/comparison/page.html"
    missing = gettext_lazy("There is no comparison %(id)s.")
    list_display = [
        "booking",
        "in_words",
        "covers",
        "starts",
        "by_the_legacy_planner",
        "by_v3",
        "milliseconds",
        recorded("recorded_at", gettext_lazy("recorded (UTC)")),
    ]
    list_filter = [
        known("verdict", gettext_lazy("verdict"), verdicts, parameter="verdict__exact", empty=WAITING),
        "origin",
        known("restaurant_ref", gettext_lazy("restaurant"), restaurants, parameter="restaurant"),
        known("error", gettext_lazy("error"), errors),
        "control_repeats",
        since("recorded_at", gettext_lazy("kept")),
    ]
    search_fields = ["=booking_ref", "=restaurant_ref", "=snapshot_hash"]
    ordering = ["-recorded_at", "-id"]
    indexed = frozenset({"booking_ref", "recorded_at", "since", "verdict"})

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return ComparisonList

    def get_queryset(self, request: HttpRequest) -> QuerySet[Model]:
        """Load only the chosen tables of the decisions."""
        light: QuerySet[Model] = super().get_queryset(request).defer("snapshot", "control", "candidate")
        rows: QuerySet[Model] = light.annotate(
            control_tables=F("control__plans__0__table_refs"),
            candidate_tables=F("candidate__plans__0__table_refs"),
        )
        return rows

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        classes = counts(restaurants_of(request))
        is_empty = not any(each["count"] for each in classes)
        return super().changelist_view(
            request,
            {"title": _("Comparisons"), "counts": classes, "is_empty": is_empty, **(extra_context or {})},
        )

    def row(self, request: HttpRequest, object_id: str) -> Comparison | None:
        pk = unquote(object_id)
        whole = limited(request, Comparison.objects.select_related("floor"))
        return whole.filter(pk=pk).first() if pk.isdecimal() and len(pk) < 19 else None

    def row_context(self, request: HttpRequest, row: Any) -> dict[str, Any]:
        return {"title": _("Comparison %(number)s") % {"number": row.pk}, **page(request, row)}

    @admin.display(description=gettext_lazy("booking"), ordering="booking_ref")
    def booking(self, comparison: Any) -> str:
        return label_of(comparison.booking_ref)

    @admin.display(description=gettext_lazy("verdict"), ordering="verdict")
    def in_words(self, comparison: Any) -> str:
        words = str(VERDICTS.get(comparison.verdict, comparison.verdict))
        return f"{words}: {comparison.error}" if comparison.error else words

    @admin.display(description=gettext_lazy("covers"), ordering="party")
    def covers(self, comparison: Any) -> int:
        return int(comparison.party)

    @admin.display(description=gettext_lazy("starts (restaurant's time)"), ordering="starts_at")
    def starts(self, comparison: Any) -> str:
        return local(comparison.starts_at, comparison.zone) if comparison.starts_at else "-"

    @admin.display(description=gettext_lazy("legacy planner"))
    def by_the_legacy_planner(self, comparison: Any) -> str:
        return _tables_in(comparison.control_tables, comparison.table_names)

    @admin.display(description=gettext_lazy("V3"))
    def by_v3(self, comparison: Any) -> str:
        return _tables_in(comparison.candidate_tables, comparison.table_names)

    @admin.display(description=gettext_lazy("ms, legacy planner / V3"))
    def milliseconds(self, comparison: Any) -> str:
        return f"{_ms(comparison.control_ms)} / {_ms(comparison.candidate_ms)}"


def counts(within: Collection[str] | None = None) -> list[dict[str, Any]]:
    """Count the comparisons of each class, up to COUNTED each. One query through an index.

    ``within``: the restaurants that count; None for all.
    """
    theirs = None if within is None else sorted(within)
    found = dict(rows(_COUNTS, verdicts=list(map(str, VERDICTS)), within=theirs, limit=COUNTED + 1))
    url = reverse("admin:rollout_comparison_changelist")
    return [
        {
            "words": words,
            "meaning": labels.render(MEANINGS[verdict]),
            "count": min(found.get(str(verdict), 0), COUNTED),
            "is_more": found.get(str(verdict), 0) > COUNTED,
            "status": STATUS.get(verdict, "") if found.get(str(verdict)) else "",  # type: ignore[call-overload]
            "url": f"{url}?verdict__exact={str(verdict) or WAITING}",
        }
        for verdict, words in VERDICTS.items()
    ]


_COUNTS = """
SELECT wanted.verdict, (SELECT count(*) FROM (SELECT FROM rollout_comparison AS comparison
                                               WHERE comparison.verdict = wanted.verdict
                                                 AND (%(within)s::text[] IS NULL
                                                      OR comparison.restaurant_ref = ANY(%(within)s::text[]))
                                               LIMIT %(limit)s) AS counted)
  FROM unnest(%(verdicts)s::text[]) AS wanted(verdict)
"""


def page(request: HttpRequest, comparison: Comparison) -> dict[str, Any]:
    """Return the context of one comparison's page."""
    shown, around = comparison_detail.read(comparison), comparison_detail.around(comparison, restaurants_of(request))
    floor, label = shown.floor, label_of(comparison.booking_ref)
    is_hosts = around.assignment is not None
    drawing = None
    shows_all = bool(request.GET.get(ALL))
    if shown.picture is not None:
        picture = shown.picture if shows_all else _concerned(shown.picture)
        drawing = draw(picture, floor, Captions(shown, label), window=shown.window)
    zones = list(shown.zones)
    if not shows_all and any(seat.is_chosen for _ref, tables in zones for seat in tables):
        zones = [(ref, [seat for seat in tables if seat.is_chosen]) for ref, tables in zones]
    is_cut = sum(len(tables) for _ref, tables in zones) < sum(len(tables) for _ref, tables in shown.zones)
    return {
        "sentence": _sentence(shown),
        "all_url": f"?{ALL}=1" if is_cut else "",
        "comparison": comparison,
        "shown": shown,
        "verdict": VERDICTS.get(comparison.verdict, comparison.verdict),
        "meaning": labels.render(MEANINGS.get(comparison.verdict, "")),
        "status": STATUS.get(comparison.verdict, ""),  # type: ignore[call-overload]
        "booking": label,
        "booking_url": links.permitted(request, Assignment, around.assignment) if is_hosts else "",
        "restaurant": restaurant_names([comparison.restaurant_ref])[comparison.restaurant_ref],
        "timezone": floor.timezone if floor else "UTC",
        "day_url": _evening(request, comparison) if is_hosts else "",
        "sides": [
            _side(CONTROL, _("Legacy planner"), shown, shown.control, comparison.control_ms),
            _side(CANDIDATE, _("V3"), shown, shown.candidate, comparison.candidate_ms),
        ],
        "flaws": [(FLAWS[flaw], flaw) for flaw in shown.flaws],
        "unreadable": [(PARTS.get(part, part), error) for part, error in shown.unreadable],
        "zones": [(zone_name(ref, floor), [_card(seat, shown) for seat in tables]) for ref, tables in zones if tables],
        "drawing": drawing,
        "waivers": [(waiver, _validity(waiver)) for waiver in around.waivers],
        "older": around.older,
        "newer": around.newer,
        "replay": _replay(comparison, is_hosts=is_hosts),
        "raw": "" if shown.snapshot else as_block({"control": comparison.control, "candidate": comparison.candidate}),
    }


def _evening(request: HttpRequest, comparison: Comparison) -> str:
    """Return the URL of the timeline of the comparison's evening, by the current floor."""
    if comparison.starts_at is None:
        return ""
    ref = comparison.restaurant_ref
    return links.evening(request, ref, comparison.starts_at, floor_or_none(ref))


class Captions:
    """Captions of the evening's bars."""

    def __init__(self, shown: Compared, label: str) -> None:
        assert shown.floor is not None
        self._zone = shown.floor.zone
        self._words = labels.Words(shown.floor)
        self._label = label

    def __call__(self, bar: Bar) -> Caption:
        taken = bar.taken
        times = _("%(start)s-%(end)s") % {
            "start": clock(taken.starts_at, self._zone),
            "end": clock(taken.ends_at, self._zone),
        }
        if taken.kind not in LOOKS:
            whose = label_of(taken.booking_ref) if taken.booking_ref else _("closed")
            title = _("%(whose)s, occupied at the time") % {"whose": whose}
            return Caption(look="timeline-taken", first=whose, second=times, title=title)
        look, pattern, who = LOOKS[taken.kind]
        tables = self._words.tables(bar.joined or (taken.table_ref,))
        title = _("%(booking)s, chosen by: %(who)s, %(tables)s") % {
            "booking": self._label,
            "who": who,
            "tables": tables,
        }
        return Caption(look=look, pattern=pattern, first=str(who), second=f"{times} · {self._label}", title=title)


def _concerned(picture: Timeline) -> Timeline:
    """Keep only the rows of tables that a planner chose; all rows if none did."""
    groups = [
        replace(group, rows=tuple(row for row in group.rows if any(bar.taken.kind in LOOKS for bar in row.bars)))
        for group in picture.groups
    ]
    kept = tuple(group for group in groups if group.rows)
    return replace(picture, groups=kept) if kept else picture


def _sentence(shown: Compared) -> str:
    """Return the difference in one sentence."""
    comparison, words = shown.comparison, labels.Words(shown.floor)
    if comparison.error:
        return _("V3 failed (%(error)s); the legacy planner %(answer)s.") % {
            "error": comparison.error,
            "answer": _answer(CONTROL, shown.control, shown, words),
        }
    one, two = shown.control, shown.candidate
    if one is None or two is None:
        return ""
    if one.best is None and two.best is None:
        return _("Both planners refuse.")
    if one.best and two.best and set(one.best.table_refs) == set(two.best.table_refs):
        return _("Both planners choose %(tables)s.") % {"tables": words.tables(one.best.table_refs)}
    return _("The legacy planner %(one)s, and V3 %(two)s.") % {
        "one": _answer(CONTROL, one, shown, words),
        "two": _answer(CANDIDATE, two, shown, words),
    }


def _answer(key: str, decision: Decision | None, shown: Compared, words: labels.Words) -> str:
    """Return a planner's decision, as the end of a sentence."""
    if decision is None:
        return _("has no readable decision")
    if decision.best is None:
        return _("refuses (%(why)s)") % {"why": labels.reason(decision.refusal.reason if decision.refusal else "")}
    tables = words.tables(decision.best.table_refs)
    if key not in shown.measures:
        return _("chooses %(tables)s") % {"tables": tables}
    spare = shown.measures[key][0]
    return ngettext(
        "chooses %(tables)s (%(count)s spare seat)", "chooses %(tables)s (%(count)s spare seats)", spare
    ) % {"tables": tables, "count": spare}


def _side(
    key: str, name: str, shown: Compared, decision: Decision | None, milliseconds: float | None
) -> dict[str, Any]:
    """Return one planner's decision, in words."""
    words = labels.Words(shown.floor)
    spare_seats, tables = shown.measures.get(key, (None, None))
    if decision is None:
        waits = key == CANDIDATE and not shown.comparison.verdict
        answer = _("not compared yet") if waits else _("no readable decision")
    elif decision.best is None:
        answer = _("refuses")
    else:
        answer = _("seats at %(tables)s") % {"tables": words.tables(decision.best.table_refs)}
    return {
        "key": key,
        "name": name,
        "answer": answer,
        "refusal": labels.render(decision.refusal.detail) if decision and decision.refusal else "",
        "code": decision.refusal.reason if decision and decision.refusal else "",
        "spare_seats": spare_seats,
        "tables": tables,
        "milliseconds": milliseconds,
        "plans": ranking([plan.to_json() for plan in decision.plans] if decision else (), words),
        "lost": labels.lost(decision.rejected) if decision else [],
        "considered": decision.considered if decision else 0,
    }


def _card(seat: Seat, shown: Compared) -> dict[str, str]:
    """Return a table on the floor, in words."""
    assert shown.floor is not None
    zone = shown.floor.zone
    taken = ", ".join(
        _("taken %(start)s-%(end)s") % {"start": clock(each.blocked_from, zone), "end": clock(each.blocked_until, zone)}
        for each in sorted(seat.taken, key=lambda each: each.blocked_from)
    )
    look, chosen = "", ""
    if seat.by_control and seat.by_candidate:
        look, chosen = "floor-both", _("chosen by both")
    elif seat.by_control:
        look, chosen = "floor-control", _("chosen by the legacy planner")
    elif seat.by_candidate:
        look, chosen = "floor-candidate", _("chosen by V3")
    elif taken:
        look = "floor-taken"
    free = _("free") if seat.table.active else _("out of service")
    return {
        "name": seat.table.name,
        "seats": seats(seat.table.seats),
        "look": look,
        "status": "; ".join(filter(None, [chosen, taken])) or free,
        "beside": _beside(seat, shown.floor),
    }


def _beside(seat: Seat, floor: Floor) -> str:
    if not seat.beside:
        return ""
    neighbours = {table.ref for table in floor.tables if table.zone_ref == seat.table.zone_ref} - {seat.table.ref}
    if len(neighbours) > 1 and neighbours <= {table.ref for table in seat.beside}:
        return _("next to every other table here")
    return _("next to %(tables)s") % {"tables": ", ".join(table.name for table in seat.beside)}


def _validity(waiver: Waiver) -> str:
    if waiver.withdrawn_at is not None:
        return _("withdrawn")
    return _("expired") if waiver.expires_at <= movable_clock.now() else _("valid")


def _replay(comparison: Comparison, *, is_hosts: bool) -> str:
    """Return the command that replays the whole evening. A booking without an assignment came from a file."""
    if not is_hosts:
        return "manage.py rollout backtest --file FILE"
    if comparison.service_date is None:
        return ""
    restaurant, day = shlex.quote(comparison.restaurant_ref), comparison.service_date.isoformat()
    return f"manage.py rollout backtest --restaurant {restaurant} --from {day} --to {day}"


def _names_in(content: Any) -> dict[str, str]:
    """Return table names by ref, from a stored floor that may be malformed."""
    tables = content.get("tables") if isinstance(content, dict) else None
    return {str(table[0]): str(table[1]) for table in tables or () if isinstance(table, list) and len(table) > 1}


def _zone_in(content: Any) -> tzinfo:
    """Return the time zone of a stored floor, or else UTC."""
    name = content.get("timezone") if isinstance(content, dict) else None
    try:
        return time_zone(name if isinstance(name, str) else "UTC")
    except ValueError:
        return UTC


def _tables_in(refs: Any, names: Mapping[str, str]) -> str:
    """Return the names of the best plan's tables; a dash for none."""
    if not isinstance(refs, list) or not refs:
        return "-"
    return " + ".join(sorted((names.get(str(ref), str(ref)) for ref in refs), key=natural_key))


def _ms(milliseconds: float | None) -> str:
    return "-" if milliseconds is None else f"{milliseconds:.2f}"

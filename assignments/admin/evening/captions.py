"""The captions of a day's bars in the list, which names the planner too."""

from collections.abc import Mapping

from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from assignments import api
from assignments.admin.timeline_svg import Caption, clock
from assignments.integration.planners import V3
from assignments.models import Allocation
from assignments.staff import labels
from assignments.staff.moments import moment
from assignments.staff.service_day import Booked
from assignments.staff.service_day import ServiceDay as Day
from assignments.staff.timeline import A_DAY, CLOSURE, Bar

HOLD = Allocation.Kind.HOLD.value
NAMED = frozenset({V3, api.MANUAL})
"""Planners that have a name. Any other one is the one before V3."""


class Captions:
    """Captions the bars of a day: what the list says about each, and where it links to. Call it with a bar."""

    def __init__(self, shown: Day, names: Mapping[str, str], *, may_open: bool) -> None:
        self._shown = shown
        self._may_open = may_open
        self._words = labels.Words(shown.floor)
        self._zone = self._words.zone
        self._labels = names
        self._page, self._after = reverse("admin:assignments_assignment_change", args=[0]).rsplit("0", 1)

    def __call__(self, bar: Bar) -> Caption:
        taken = bar.taken
        if taken.kind == CLOSURE:
            times = _("%(start)s-%(end)s") % {
                "start": clock(taken.starts_at, self._zone),
                "end": clock(taken.ends_at, self._zone),
            }
            if taken.ends_at - taken.starts_at >= A_DAY:
                times = _("until %(until)s") % {"until": moment(taken.ends_at, self._zone)}
            if taken.is_open_ended:
                times = _("until further notice")
            title = _("closed, %(times)s") % {"times": times}
            if taken.reason:
                title = _("%(what)s: %(reason)s") % {"what": title, "reason": taken.reason}
            return Caption(title=title)
        booked = self._shown.booked.get(taken.booking_ref)
        parts = [self._labels.get(taken.booking_ref, taken.booking_ref)]
        if booked:
            parts.append(covers(booked.party))
        if bar.joined:
            parts.append(_("joined tables %(tables)s") % {"tables": self._words.tables(bar.joined)})
        if taken.kind == HOLD and taken.expires_at is not None:
            parts.append(_("on hold until %(until)s") % {"until": clock(taken.expires_at, self._zone)})
        else:
            who = labels.planner(taken.planner) if taken.planner in NAMED else _("legacy planner")
            parts += [_("seated"), _("planned: %(who)s") % {"who": who}]
        return Caption(title=", ".join(parts), url=self._url(booked))

    @property
    def seated(self) -> int:
        """Number of bookings with a table on the timeline."""
        return len(self._seated())

    @property
    def covers(self) -> int:
        return sum(self._shown.booked[ref].party for ref in self._seated() if ref in self._shown.booked)

    def _seated(self) -> set[str]:
        seating = Allocation.Kind.SEATING.value
        bars = [bar for row in self._shown.timeline.rows for bar in row.bars]
        return {bar.taken.booking_ref for bar in bars if bar.taken.kind == seating}

    def _url(self, booked: Booked | None) -> str:
        if booked is None or not self._may_open:
            return ""
        return f"{self._page}{booked.pk}{self._after}"


def covers(party: int) -> str:
    return ngettext("%(count)s cover", "%(count)s covers", party) % {"count": party}

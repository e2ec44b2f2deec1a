"""The flows into whose statements faults come: what was there before, what is done, and what must be so in the end."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta

from django.db import transaction
from psycopg.types.range import TimestamptzRange

from assignments import api
from assignments.coordination import dispatch
from assignments.exceptions import AssignmentsError
from assignments.models import Allocation, OutboxMessage
from assignments.planning.reasons import OVERRIDABLE
from example import models
from example.booking import cancel_booking, save_booking
from rollout import conf as rollout_conf
from rollout.control import guard, steering, switches
from rollout.flags import resolution
from rollout.models import Comparison
from tests.chaos.world import a_restaurant, book, evening, quietly, seated, states

HAS_LEGACY_PLANNER = bool(rollout_conf.settings().LEGACY_PLANNER)


REFUSED = (AssignmentsError, ValueError, LookupError, steering.RefusedError)


@dataclass(frozen=True, kw_only=True)
class Flow:
    """``repeat``: what a person or cron does who does not know whether it was done. ``wrong``: what must not be so then.

    ``beside``: what somebody else does while whoever does it is stopped.
    """

    prepare: Callable[[], object]
    do: Callable[[], object]
    wrong: Callable[[], str]
    repeat: Callable[[], object] | None = None
    beside: Callable[[], object] | None = None

    def again(self) -> None:
        with suppress(*REFUSED):
            (self.repeat or self.do)()

    def by_another(self) -> None:
        with suppress(*REFUSED):
            (self.beside or self.repeat or self.do)()


def v3(on: bool = True) -> None:
    switches.set_switch(resolution.V3_SWITCH, active=on, actor="chaos", reason="chaos")


def _by(reference: str) -> models.Booking:
    return models.Booking.objects.get(reference=reference)


def _ref(reference: str) -> str:
    return str(_by(reference).pk)


def _waiting() -> None:
    """Five bookings that fit, one that is too large, and one of another evening."""
    restaurant = a_restaurant()
    v3()
    for number, party in enumerate((2, 2, 4, 4, 6, 30), 1):
        book(restaurant, f"B{number}", party)
    book(restaurant, "later", 4, start=evening(21))


def _decided() -> None:
    _waiting()
    quietly("run_coordinator")
    quietly("deliver_outbox")


def _is_as(**expected: str) -> str:
    """What is not as expected: the state by reference, and the number of tables after a slash."""
    found = {}
    for reference in expected:
        booking = models.Booking.objects.filter(reference=reference).first()
        ref = str(booking.pk) if booking else ""
        told = sorted(str(pk) for pk in booking.tables.values_list("pk", flat=True)) if booking else []
        tables = seated().get(ref, [])
        agrees = "" if sorted(tables) == told else f" (the host shows {told})"
        found[reference] = f"{states().get(ref)}/{len(tables)}{agrees}"
    return "" if found == expected else f"{found} instead of {expected}"


def _evening_is_decided() -> str:
    confirmed = dict.fromkeys(("B1", "B2", "B3", "B4", "B5", "later"), "confirmed/1")
    return _is_as(**confirmed, B6="manual_review/0")


def _new() -> None:
    _decided()
    book(models.Restaurant.objects.get(), "new", 6)


def _inline() -> None:
    with transaction.atomic():
        api.request(booking_ref=_ref("new"))
    api.assign_now(booking_ref=_ref("new"))


def _decide_inline() -> None:
    api.assign_now(booking_ref=_ref("new"))


def _pass_alone() -> None:
    """The transaction is the project's own, and so are its limits."""
    _pass()


def _edit() -> None:
    with transaction.atomic():
        booking = models.Booking.objects.select_for_update().get(reference="B1")
        booking.party, booking.start = 6, evening(22)
        save_booking(booking)


def _edited() -> str:
    booking = _by("B1")
    if (booking.party, booking.start) != (6, evening(22)):
        return "the edit was lost"
    table = models.Table.objects.filter(pk__in=seated().get(str(booking.pk), [])).first()
    return _is_as(B1="confirmed/1") or ("" if table and table.seats == 6 else "the table is too small")


def _walk_in() -> None:
    if not [ref for ref in seated() if ref.startswith("walk-in:")]:
        api.seat_walk_in(restaurant_ref=str(models.Restaurant.objects.get().pk), party=4, actor="staff:1")


def _walked_in() -> str:
    here = [ref for ref in states() if ref.startswith("walk-in:")]
    return "" if len(here) == 1 and len(seated().get(here[0], [])) == 1 else f"walk-ins: {here}, {seated()}"


def _table_of(reference: str) -> str:
    return seated()[_ref(reference)][0]


def _prepare_swap() -> None:
    _decided()
    if _table_of("B1") > _table_of("B2"):
        api.swap(booking_ref=_ref("B1"), other_ref=_ref("B2"), actor="staff:1")
    quietly("deliver_outbox")


def _swap_by_ref() -> None:
    if _table_of("B1") < _table_of("B2"):
        api.swap(booking_ref=_ref("B1"), other_ref=_ref("B2"), actor="staff:1")


def _swapped() -> str:
    wrong = _is_as(B1="confirmed/1", B2="confirmed/1")
    return wrong or ("" if _table_of("B1") > _table_of("B2") else "not swapped")


def _assigned() -> None:
    """Staff have squeezed the large party in."""
    _decided()
    taken = {ref for refs in seated().values() for ref in refs}
    free = models.Table.objects.exclude(pk__in=taken).latest("seats")
    api.assign(booking_ref=_ref("B6"), table_refs=[str(free.pk)], actor="staff:1", overriding=OVERRIDABLE)
    quietly("deliver_outbox")


def _undo() -> None:
    if seated().get(_ref("B6")):
        api.undo(booking_ref=_ref("B6"), actor="staff:1")


def _written_past_us() -> None:
    """The host's rows were changed, and nobody told the app."""
    _decided()
    models.Booking.objects.filter(reference="B1").update(party=6, start=evening(22))
    models.Booking.objects.filter(reference="B2").update(status="cancelled")
    _by("B2").tables.clear()
    _by("B3").tables.clear()
    models.Booking.objects.filter(reference="B3").update(status="pending")


def _reconciled() -> str:
    return _is_as(B1="confirmed/1", B2="cancelled/0", B3="confirmed/1")


def _untold() -> None:
    _waiting()
    quietly("run_coordinator")


def _told() -> str:
    waiting = OutboxMessage.objects.filter(delivered_at=None).count()
    return f"{waiting} are not told" if waiting else _evening_is_decided()


def _waiting_for_the_other() -> None:
    _waiting()
    v3(False)


def _recorded() -> None:
    _waiting_for_the_other()
    switches.set_switch(resolution.SHADOW_SWITCH, active=True, actor="chaos", reason="chaos")
    quietly("run_coordinator")
    quietly("deliver_outbox")


def _compared() -> str:
    left = Comparison.objects.filter(verdict="").count()
    return f"{left} comparisons wait" if left or not Comparison.objects.exists() else ""


def _begun() -> None:
    _waiting()
    v3(False)
    steering.begin(actor="chaos", reason="chaos")


def _promote() -> None:
    first = rollout_conf.current_ladder().stages[0].key
    position = steering.current()
    if position is not None and position.stage == first:
        steering.promote(from_stage=first, actor="chaos", reason="chaos", override=True)


def _stage_is(number: int) -> Callable[[], str]:
    def wrong() -> str:
        stage, position = rollout_conf.current_ladder().stages[number], steering.current()
        flags = resolution.read()
        if position is None or position.stage != stage.key:
            return f"the stage is {position and position.stage}, not {stage.key}"
        return "" if (flags.v3.value, flags.shadow.value) == (stage.v3, stage.shadow) else "flags and stage differ"

    return wrong


def _active() -> None:
    _waiting()
    steering.begin(actor="chaos", reason="chaos")
    quietly("run_coordinator")
    quietly("deliver_outbox")


def _breached() -> None:
    """Somebody sits for too short a time, which no V3 may do to a guest."""
    _active()
    row = Allocation.objects.order_by("pk")[0]
    short = TimestamptzRange(row.blocked.lower, row.blocked.upper - timedelta(minutes=1))
    Allocation.objects.filter(booking_ref=row.booking_ref).update(blocked=short)


def _roll_back() -> None:
    position = steering.current()
    if position is not None and position.stage == rollout_conf.current_ladder().stages[-1].key:
        steering.roll_back(actor="chaos", reason="chaos")


def _rolled_back() -> str:
    return "V3 still decides" if resolution.read().v3.value else ""


def _pass() -> None:
    dispatch.register_new()
    list(dispatch.run_pass())


FLOWS: dict[str, Flow] = {
    "batch": Flow(prepare=_waiting, do=_pass, wrong=_evening_is_decided),
    "inline": Flow(prepare=_new, do=_inline, beside=_decide_inline, wrong=lambda: _is_as(new="confirmed/1")),
    "edit": Flow(prepare=_decided, do=_edit, beside=_pass_alone, wrong=_edited),
    "cancel": Flow(
        prepare=_decided,
        do=lambda: cancel_booking(_by("B1")),
        beside=_pass_alone,
        wrong=lambda: _is_as(B1="cancelled/0", B2="confirmed/1"),
    ),
    "walk-in": Flow(prepare=_decided, do=_walk_in, wrong=_walked_in),
    "swap": Flow(prepare=_prepare_swap, do=_swap_by_ref, wrong=_swapped),
    "reconcile": Flow(prepare=_written_past_us, do=lambda: quietly("reconcile_assignments"), wrong=_reconciled),
    "outbox": Flow(prepare=_untold, do=lambda: quietly("deliver_outbox"), wrong=_told),
    "promote": Flow(prepare=_begun, do=_promote, wrong=_stage_is(1)),
    "rollback": Flow(prepare=_active, do=_roll_back, wrong=_rolled_back),
    "undo": Flow(prepare=_assigned, do=_undo, wrong=lambda: _is_as(B1="confirmed/1", B6="manual_review/0")),
    "guard that rolls back": Flow(prepare=_breached, do=guard.run, wrong=_rolled_back),
    "guard": Flow(prepare=_active, do=guard.run, wrong=_stage_is(-1)),
}
if HAS_LEGACY_PLANNER:
    FLOWS["legacy"] = Flow(
        prepare=_waiting_for_the_other, do=_pass, wrong=lambda: _is_as(B1="confirmed/1", B5="confirmed/1")
    )
    FLOWS["compare"] = Flow(prepare=_recorded, do=lambda: quietly("rollout", "compare"), wrong=_compared)

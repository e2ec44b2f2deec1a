"""Trying a host's callbacks on real bookings, in a transaction that is rolled back."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from django.db import connection, transaction

from assignments import conf
from assignments.concurrency import transactions
from assignments.integration.host import Host, HostBooking, Move, MovesGuests, Seating
from assignments.integration.project_host import able
from assignments.maintenance.inspection import Planned, said

_T = TypeVar("_T")


@dataclass(kw_only=True)
class Trial:
    """The callbacks that were called for each booking, and the problems, in words."""

    tried: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


class _FailedError(Exception):
    """A step failed. The message is for developers, and contains only refs."""


def try_writes(planned: Sequence[Planned]) -> Trial:
    """Call ``on_confirmed``, ``on_moved``, ``on_released`` and ``on_review`` for these bookings, and undo everything.

    Also checks what the host shows after each. Commit hooks do not run.
    """
    host: Host = conf.load(conf.settings().HOST)
    trial = Trial()
    with transactions.atomic():
        for each in planned:
            if each.decision is None or each.decision.best is None:
                continue
            trial.tried.append(each.booking.ref)
            try:
                with transactions.atomic():
                    _try(host, each)
                    transaction.set_rollback(True)
            except _FailedError as failure:
                trial.problems.append(f"Booking {each.booking.ref}: {failure}")
            except Exception as error:
                if transactions.is_database_away(error):
                    raise
                trial.problems.append(f"Booking {each.booking.ref}: {said(error)}.")
        transaction.set_rollback(True)
    return trial


def _try(host: Host, planned: Planned) -> None:
    decision, ref = planned.decision, planned.booking.ref
    assert decision is not None
    assert decision.window is not None
    seatings = [
        Seating(
            booking_ref=ref,
            table_refs=plan.table_refs,
            starts_at=decision.window.starts_at,
            ends_at=decision.window.ends_at,
        )
        for plan in decision.plans[:2]
    ]
    if ref not in _step("bookings(lock=True)", lambda: host.bookings([ref], lock=True)):
        raise _FailedError("bookings(lock=True) leaves it out, though nobody else has locked it.")
    _step("on_confirmed()", lambda: host.on_confirmed(seatings[:1]))
    _expect(host, ref, "on_confirmed()", is_confirmed=True, seating=seatings[0])
    mover = able(host, MovesGuests)
    if len(seatings) > 1 and mover is not None:
        move = Move(
            booking_ref=ref,
            from_table_refs=seatings[0].table_refs,
            to_table_refs=seatings[1].table_refs,
            starts_at=seatings[1].starts_at,
            ends_at=seatings[1].ends_at,
        )
        _step("on_moved()", lambda: mover.on_moved([move]))
        _expect(host, ref, "on_moved()", is_confirmed=True, seating=seatings[1])
    _step("on_released()", lambda: host.on_released([ref]))
    _expect(host, ref, "on_released()", is_confirmed=False, seating=None)
    _step("on_review()", lambda: host.on_review({ref: "no_capacity"}))


def _step(name: str, call: Callable[[], _T]) -> _T:
    """Do one step, and check its rows against deferred constraints."""
    try:
        with transactions.atomic():
            result = call()
            with connection.cursor() as cursor:
                cursor.execute("SET CONSTRAINTS ALL IMMEDIATE; SET CONSTRAINTS ALL DEFERRED")
            transactions.require_intact()
    except Exception as error:
        if transactions.is_database_away(error):
            raise
        raise _FailedError(f"{name} raised {said(error)}{_constraint(error)}.") from error
    return result


def _constraint(error: BaseException) -> str:
    """Return the constraint that refused the write, in brackets; empty for other errors."""
    name = getattr(getattr(error.__cause__, "diag", None), "constraint_name", None)
    return f" (constraint {name})" if name else ""


def _expect(host: Host, ref: str, step: str, *, is_confirmed: bool, seating: Seating | None) -> None:
    """Raise unless the host now shows the booking as it was told."""
    shown: HostBooking | None = _step("bookings()", lambda: host.bookings([ref])).get(ref)
    if shown is None:
        raise _FailedError(f"after {step} the host no longer has it.")
    if host.tracks_confirmation and shown.is_confirmed != is_confirmed:
        word = "confirmed" if shown.is_confirmed else "waiting"
        raise _FailedError(f"after {step} the host shows it as {word}.")
    stored_form = getattr(host, "stored_form", None)
    if seating is None or stored_form is None:
        return
    wanted = tuple(stored_form(seating.table_refs))
    stored = _step("tables_of()", lambda: host.tables_of([ref])).get(ref, ())
    if set(stored) != set(wanted):
        raise _FailedError(
            f"after {step} the host shows the tables {', '.join(stored) or 'none'}, not {', '.join(wanted) or 'none'}."
        )

"""Changing switches, without contradictions and always with a record."""

from collections.abc import Mapping

from django.db import transaction
from waffle import get_waffle_switch_model

from assignments.concurrency import clock
from assignments.planning.text import Text
from assignments.planning.text import gettext as _
from assignments.telemetry import events
from rollout.control import change_log
from rollout.events import SOURCE
from rollout.flags import resolution
from rollout.models import Change

SWITCHES = {"v3": resolution.V3_SWITCH, "shadow": resolution.SHADOW_SWITCH}


class ContradictionError(ValueError):
    """Raised when both flags would be on."""


def contradiction(name: str, active: bool) -> Text | None:
    """Say why the switch cannot be set to this value; None if it can."""
    others = {resolution.V3_SWITCH: resolution.SHADOW_SWITCH, resolution.SHADOW_SWITCH: resolution.V3_SWITCH}
    if not active or name not in others:
        return None
    # Even while killed, because this value applies once the kill variable is removed.
    current = resolution.as_set()
    other = current.shadow if name == resolution.V3_SWITCH else current.v3
    if not other.value:
        return None
    return _(
        "%(other)s is on (by %(source)s): turn it off before you turn on %(switch)s.",
        other=other.switch,
        source=other.source,
        switch=name,
    )


def set_switch(name: str, *, active: bool, actor: str, reason: str) -> resolution.Flags:
    """Set one switch's row by hand, and return the resulting flags.

    The stage stays the same: ``rollout status`` shows the difference, and the gate ``flags`` blocks promotion. Raises
    ContradictionError, UnusableError without a reason, BusyError.
    """
    with change_log.changing(reason=reason):
        problem = contradiction(name, active)
        if problem:
            raise ContradictionError(problem)
        before = get_waffle_switch_model().objects.filter(name=name).values_list("active", flat=True).first()
        write({name: active}, note=reason)
        _record(
            name,
            "" if before is None else resolution.as_text(before),
            resolution.as_text(active),
            actor=actor,
            reason=reason,
        )
        return resolution.read()


def unset_switch(name: str, *, actor: str, reason: str) -> resolution.Flags:
    """Remove one switch's row, so that its environment variable applies again, and return the resulting flags.

    Raises ContradictionError if the variable would contradict the other flag, UnusableError without a reason or a row,
    BusyError.
    """
    with change_log.changing(reason=reason):
        rows = get_waffle_switch_model().objects.filter(name__in=SWITCHES.values())
        active = dict(rows.values_list("name", "active"))
        if name not in active:
            raise change_log.UnusableError(_("The switch %(switch)s has no row.", switch=name))
        before = active.pop(name)
        then = resolution.from_rows(active)
        if then.contradict:
            problem = _(
                "Without its row, %(v3)s would be on (by %(v3_source)s) and %(shadow)s too (by %(shadow_source)s): "
                "turn the other one off first.",
                v3=then.v3.switch,
                v3_source=then.v3.source,
                shadow=then.shadow.switch,
                shadow_source=then.shadow.source,
            )
            raise ContradictionError(problem)
        rows.filter(name=name).delete()
        _forget_cached(name)
        _record(name, resolution.as_text(before), "", actor=actor, reason=reason)
        return resolution.read()


def write(values: Mapping[str, bool], *, note: str) -> None:
    """Set these switches' rows in the transaction of ``change_log.changing``, so that readers see all of them or none.

    Bypasses waffle's ``save``, whose work after the commit fails while the cache is down; a rollback must not.
    """
    model = get_waffle_switch_model()
    for name, active in values.items():
        if not model.objects.filter(name=name).update(active=active, note=note, modified=clock.now()):
            model.objects.bulk_create([model(name=name, active=active, note=note)])
        _forget_cached(name)


def _forget_cached(name: str) -> None:
    transaction.on_commit(get_waffle_switch_model()(name=name).flush, robust=True)


def _record(name: str, before: str, after: str, *, actor: str, reason: str) -> None:
    change_log.record(kind=Change.Kind.SWITCH, subject=name, before=before, after=after, actor=actor, reason=reason)
    detail = f"{name} {after or 'without a row'}"
    events.announce(SOURCE, "rollout.switch_changed", detail=detail, actor=actor, reason=reason[:200])

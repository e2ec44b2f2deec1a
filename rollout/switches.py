"""Changing a switch: never into a contradiction, and never without a trace."""

from django.db import transaction
from waffle import get_waffle_switch_model

from assignments import events
from rollout import flags
from rollout.events import SOURCE

SWITCHES = {"v3": flags.V3_SWITCH, "shadow": flags.SHADOW_SWITCH}


class ContradictionError(ValueError):
    """Both flags would be on."""


def contradiction(name: str, active: bool) -> str:
    """What speaks against setting the switch so, in a sentence; empty when nothing does."""
    others = {flags.V3_SWITCH: flags.SHADOW_SWITCH, flags.SHADOW_SWITCH: flags.V3_SWITCH}
    if not active or name not in others:
        return ""
    current = flags.read()
    other = current.shadow if name == flags.V3_SWITCH else current.v3
    if not other.value:
        return ""
    return f"{other.switch} is on (by {other.source}): turn it off before {name} goes on."


def set_switch(name: str, *, active: bool, actor: str, reason: str) -> flags.Flags:
    """Set a switch's row, which is there from then on, and give the flags as they are now.

    Raises ContradictionError, and ValueError without a reason.
    """
    if not reason.strip():
        raise ValueError("A reason is required: it is what the next person will look for.")
    with transaction.atomic():
        problem = contradiction(name, active)
        if problem:
            raise ContradictionError(problem)
        switch, _created = get_waffle_switch_model().objects.select_for_update().get_or_create(name=name)
        switch.active = active
        switch.note = reason
        switch.save()
        events.emit(
            events.event(
                SOURCE,
                "rollout.switch_changed",
                detail=f"{name} {'on' if active else 'off'}",
                actor=actor,
                reason=reason[:200],
            )
        )
        return flags.read()

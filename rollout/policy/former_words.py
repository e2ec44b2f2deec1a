"""What earlier versions called things, in rows that nobody may rewrite. Pure.

Readers get today's words (``rollout.models.Change`` asks for them as it is read); what is stored stays as it was written.
"""

import re
from collections.abc import Mapping
from typing import Any

KINDS: Mapping[str, str] = {"pin": "forced_planner", "explanation": "waiver"}
"""Kinds of changes that another word stands for now. ``hold`` became two, by what it came to."""
PAUSES: Mapping[str, str] = {"held": "paused", "released": "resumed"}
"""What a change of kind ``hold`` had before and after."""
STATUSES: Mapping[str, str] = {"hold": "inconclusive"}
"""What a gate can say."""
MEASURED: Mapping[str, str] = {
    "explanations_valid": "waivers_valid",
    "explanations_expired": "waivers_expired",
    "unexplained": "not_waived",
}
"""Names among what was measured."""

_GATE = re.compile(r"^Gate (\S+): hold\.")


def change(kind: str, before: str, after: str) -> tuple[str, str, str]:
    """Kind, before and after of a change, in today's words."""
    if kind == "hold":
        return ("resume" if after == "released" else "pause", PAUSES.get(before, before), PAUSES.get(after, after))
    return KINDS.get(kind, kind), before, after


def text(kept: Any) -> Any:
    """A text as it was kept (``Text.to_json``), with the template of today, which has a translation."""
    if isinstance(kept, Mapping):
        return {name: text(value) for name, value in kept.items()}
    return kept.replace("old planner", "legacy planner") if isinstance(kept, str) else kept


def evidence(kept: Any) -> Any:
    """What a change kept as its evidence, in today's words. Whatever has another shape than ours is left alone."""
    if isinstance(kept, Mapping):
        renamed = {MEASURED.get(name, name): evidence(value) for name, value in kept.items()}
        status = renamed.get("status")
        if "gate" in renamed and isinstance(status, str):
            renamed["status"] = STATUSES.get(status, status)
        return renamed
    if isinstance(kept, list):
        return [evidence(each) for each in kept]
    return _GATE.sub(r"Gate \1: inconclusive.", kept) if isinstance(kept, str) else kept

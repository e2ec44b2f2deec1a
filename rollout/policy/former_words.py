"""Translating names of earlier versions in append-only rows to current ones.

``rollout.models.Change`` calls this when a row is read; stored rows are never changed.
"""

import re
from collections.abc import Mapping
from typing import Any

KINDS: Mapping[str, str] = {"pin": "forced_planner", "explanation": "waiver"}
"""Renamed kinds of changes. ``hold`` became ``pause`` and ``resume``; see ``change``."""
PAUSES: Mapping[str, str] = {"held": "paused", "released": "resumed"}
"""Renamed values of changes of kind ``hold``."""
STATUSES: Mapping[str, str] = {"hold": "inconclusive"}
"""Renamed gate statuses."""
MEASURED: Mapping[str, str] = {
    "explanations_valid": "waivers_valid",
    "explanations_expired": "waivers_expired",
    "unexplained": "not_waived",
}
"""Renamed measurements."""


def gettext_noop(text: str) -> str:
    """Return the text. ``make messages`` collects the arguments of functions with this name."""
    return text


TEXTS = (
    gettext_noop("at %(stage)s for %(soaked)s h of %(hours)s h"),
    gettext_noop("decisions compared, in shadow mode and in backtests"),
    gettext_noop("decisions compared, in shadow mode and in backtests; %(others)s more belong to other releases"),
    gettext_noop("%(count)s of %(sample)s %(what)s: above the limit of %(limit)s (95 %% confidence)"),
    gettext_noop(
        "V3 seats %(seated)s of %(bookings)s bookings, the legacy planner %(old_seated)s of %(old_bookings)s (%(reference)s)"
    ),
    gettext_noop(
        "V3 seats fewer on %(worse)s of %(days)s days; bounds %(lower)s to %(upper)s; "
        "in all it seats %(v3)s, the legacy planner %(old)s"
    ),
    gettext_noop("p95 planning time is %(p95)s ms: above the limit of %(limit)s ms (95 %% confidence)"),
)
"""What kept breaches and gates say that no rule says today. Listed so that their translations stay."""

_GATE = re.compile(r"^Gate (\S+): hold\.")


def change(kind: str, before: str, after: str) -> tuple[str, str, str]:
    """Return kind, before and after of a change, in current words."""
    if kind == "hold":
        return ("resume" if after == "released" else "pause", PAUSES.get(before, before), PAUSES.get(after, after))
    return KINDS.get(kind, kind), before, after


def text(kept: Any) -> Any:
    """Return a stored text (``Text.to_json``) with the current template, which has a translation."""
    if isinstance(kept, Mapping):
        return {name: text(value) for name, value in kept.items()}
    return kept.replace("old planner", "legacy planner") if isinstance(kept, str) else kept


def evidence(kept: Any) -> Any:
    """Return a change's evidence in current words. Values of an unknown shape are returned unchanged."""
    if isinstance(kept, Mapping):
        renamed = {MEASURED.get(name, name): evidence(value) for name, value in kept.items()}
        status = renamed.get("status")
        if "gate" in renamed and isinstance(status, str):
            renamed["status"] = STATUSES.get(status, status)
        return renamed
    if isinstance(kept, list):
        return [evidence(each) for each in kept]
    return _GATE.sub(r"Gate \1: inconclusive.", kept) if isinstance(kept, str) else kept

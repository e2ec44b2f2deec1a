"""Labels of the rollout's codes."""

from collections.abc import Mapping

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy

from rollout.flags.resolution import Mode
from rollout.policy.verdict import Verdict

VERDICTS: Mapping[str, str | Promise] = {
    Verdict.SAME_TABLES: gettext_lazy("same tables"),
    Verdict.EQUIVALENT: gettext_lazy("different tables, equally good"),
    Verdict.BETTER: gettext_lazy("V3 is better"),
    Verdict.WORSE: gettext_lazy("V3 is worse"),
    Verdict.ONLY_V3_SEATS: gettext_lazy("only V3 seats"),
    Verdict.ONLY_LEGACY_SEATS: gettext_lazy("only the legacy planner seats"),
    Verdict.BOTH_REFUSE: gettext_lazy("both refuse"),
    Verdict.V3_ERROR: gettext_lazy("V3 failed"),
    Verdict.UNSAFE: gettext_lazy("V3 is unsafe"),
    "": gettext_lazy("waiting"),
}
MODES: Mapping[str, str | Promise] = {
    Mode.LEGACY: gettext_lazy("the legacy planner decides"),
    Mode.SHADOW: gettext_lazy("the legacy planner decides, V3 watches"),
    Mode.ACTIVE: gettext_lazy("V3 decides"),
}
GATES: Mapping[str, str | Promise] = {
    "soak": gettext_lazy("time in stage"),
    "integrity": gettext_lazy("no overlaps or lost bookings"),
    "flags": gettext_lazy("flags match the stage"),
    "seatings": gettext_lazy("seatings that break a rule"),
    "comparable": gettext_lazy("decisions compared"),
    "restaurants": gettext_lazy("restaurants compared"),
    "largest_share": gettext_lazy("share of the largest restaurant"),
    "unsafe": gettext_lazy("unsafe V3 decisions"),
    "refused": gettext_lazy("seated only by the legacy planner"),
    "candidate_errors": gettext_lazy("V3 errors in comparisons"),
    "parity": gettext_lazy("V3 better more often than worse"),
    "days_unsafe": gettext_lazy("whole days with unsafe seatings"),
    "days_refused": gettext_lazy("refused on whole days, although tables were free"),
    "days_worse": gettext_lazy("days on which V3 seats fewer"),
    "candidate_p95_ms": gettext_lazy("V3 latency p95 in comparisons"),
    "candidate_p99_ms": gettext_lazy("V3 latency p99 in comparisons"),
    "complete": gettext_lazy("share of decisions compared"),
    "coverage": gettext_lazy("situations covered"),
    "noise": gettext_lazy("control repeatability"),
    "explanations": gettext_lazy("expired waivers"),
    "errors": gettext_lazy("V3 errors"),
    "confirmed": gettext_lazy("bookings confirmed"),
    "review": gettext_lazy("bookings sent to review"),
    "no_worse": gettext_lazy("not worse than control"),
    "decision_p95_ms": gettext_lazy("V3 latency p95"),
    "decision_p99_ms": gettext_lazy("V3 latency p99"),
}
"""Labels of gates; their ids never change, since settings use them."""


def verdict(code: str) -> str:
    """The label of a verdict; its code if unknown."""
    return str(VERDICTS.get(code, code))


def gate(code: str) -> str:
    """The label of a gate; its id if unknown."""
    return str(GATES.get(code, code))


def mode(code: str) -> str:
    """The label of a mode."""
    return str(MODES.get(code, code))

"""Comparing two decisions on one snapshot. The same pair always gets the same verdict."""

from collections.abc import Mapping
from enum import StrEnum

from assignments.planning.decision import Decision, TablePlan
from assignments.planning.snapshot import Snapshot
from assignments.planning.text import Text
from assignments.planning.text import gettext as _
from rollout.policy import seating_audit


class Verdict(StrEnum):
    """The result of comparing V3's decision with the control's. Stored; never rename one."""

    SAME_TABLES = "same_tables"
    EQUIVALENT = "equivalent"
    BETTER = "better"
    WORSE = "worse"
    ONLY_V3_SEATS = "only_v3_seats"
    ONLY_LEGACY_SEATS = "only_legacy_seats"
    BOTH_REFUSE = "both_refuse"
    V3_ERROR = "v3_error"
    UNSAFE = "unsafe"


MEANINGS: Mapping[str, Text] = {
    Verdict.SAME_TABLES: _("Both planners chose the same tables."),
    Verdict.EQUIVALENT: _("Different tables, with the same number of spare seats and tables."),
    Verdict.BETTER: _("V3 leaves fewer seats empty, or as many with fewer tables."),
    Verdict.WORSE: _("V3 leaves more seats empty, or as many with more tables."),
    Verdict.ONLY_V3_SEATS: _("The legacy planner refused the party, V3 would have seated it."),
    Verdict.ONLY_LEGACY_SEATS: _("V3 would have refused a party that the legacy planner seated."),
    Verdict.BOTH_REFUSE: _("Neither planner found tables."),
    Verdict.V3_ERROR: _("V3 returned no decision."),
    Verdict.UNSAFE: _("V3's decision must not be used. It blocks every promotion."),
    "": _("The legacy planner has decided. V3 decides when cron next compares."),
}
"""What a verdict says, also of a comparison that has none yet. Pages translate it."""


def compare(snapshot: Snapshot, control: Decision, candidate: Decision) -> Verdict:
    """Return the verdict on the candidate's decision.

    Unsafe comes first: any flaw that the seating audit finds. Better and worse are also judged independently of both
    planners: by fewer spare seats, then fewer tables; decisions equal in both are equivalent. Leaving guests at their
    current tables is never worse. A met wish weighs as much as the tables do. If the control breaks a rule that it does
    not know, its decision counts as a refusal.
    """
    if is_unsafe(snapshot, candidate):
        return Verdict.UNSAFE
    ours, theirs = control.best, candidate.best
    if theirs is None and ours and seating_audit.UNKNOWN_TO_LEGACY & set(seating_audit.flaws_of(snapshot, control)):
        return Verdict.BOTH_REFUSE
    if theirs is None:
        return Verdict.ONLY_LEGACY_SEATS if ours else Verdict.BOTH_REFUSE
    if ours is None:
        return Verdict.ONLY_V3_SEATS
    if sorted(ours.table_refs) == sorted(theirs.table_refs):
        return Verdict.SAME_TABLES
    before, after = yardstick(snapshot, ours), yardstick(snapshot, theirs)
    unmet_before, unmet_after = (seating_audit.unmet_wishes(snapshot, plan.table_refs) for plan in (ours, theirs))
    if unmet_after < unmet_before:
        return Verdict.BETTER if after <= before else Verdict.EQUIVALENT
    if unmet_after > unmet_before and after <= before:
        return Verdict.WORSE if after == before else Verdict.EQUIVALENT
    if after < before:
        return Verdict.BETTER
    keeps = set(theirs.table_refs) == set(snapshot.request.current_table_refs)
    return Verdict.EQUIVALENT if keeps or after == before else Verdict.WORSE


def compare_with_a_sound_control(snapshot: Snapshot, control: Decision, candidate: Decision) -> Verdict:
    """As ``compare``, but a control decision that breaks any rule counts as a refusal: V3 is right not to follow it.

    For V3's own decisions, about which the control is asked afterwards. V3's limits on spare seats and tables do not
    bind the control.
    """
    verdict = compare(snapshot, control, candidate)
    limits = seating_audit.V3S_SETTINGS - seating_audit.UNKNOWN_TO_LEGACY
    if verdict is Verdict.ONLY_LEGACY_SEATS and set(seating_audit.flaws_of(snapshot, control)) - limits:
        return Verdict.BOTH_REFUSE
    return verdict


def yardstick(snapshot: Snapshot, plan: TablePlan) -> tuple[int, int]:
    """Return spare seats and number of tables, measured on the floor and not taken from the plan; lower is better."""
    return seating_audit.yardstick(snapshot.floor, snapshot.request.party, plan.table_refs)


def is_unsafe(snapshot: Snapshot, candidate: Decision) -> bool:
    """Return whether the candidate's decision could seat two parties at one table, or a party where it must not be."""
    return bool(seating_audit.flaws_of(snapshot, candidate))

"""Unsafe seatings of V3 on which the guard has not acted yet, whichever release made them and whoever decides now.

The release or the stage may have changed, or V3 may be off, before a decision is audited, and a guard run may end
between its audit and its guardrails. So the starting point is not a window, but the last run that acted on all that it
found.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from assignments.integration.planners import V3
from rollout import conf
from rollout.evidence import live_decisions
from rollout.evidence.sql import at_once
from rollout.policy.measurements import Seatings

_SETTLED = """(coalesce(run.measured ->> 'settled', 'true') = 'true'
                OR run.at < assignments_now() - %(settled_minutes)s * interval '1 minute')"""
"""Whether a run has acted on what it found. What nobody could act on alarms for as long as a window, not for ever."""

LOOKED = f"""
     looked AS MATERIALIZED (
     SELECT coalesce((SELECT (run.measured ->> 'now')::timestamptz FROM rollout_guardrun AS run
                       WHERE run.environment = %(environment)s AND run.measured ->> 'now' IS NOT NULL AND {_SETTLED}
                       ORDER BY run.id DESC LIMIT 1),
                     assignments_now() - %(evidence_days)s * interval '1 day') AS until)
"""  # noqa: S608  (text of our own)
"""A common table: until when the last run has measured that has acted on all it found. It takes PARAMETERS."""

# Rows written while that run was reading are older than it. A run of a version without a list of audits has no overlap.
_AUDITS = f"""
SELECT audit.id, audit.booking_ref, audit.flaws
  FROM rollout_audit AS audit
 WHERE audit.flaws <> '{{}}' AND audit.audited_at >= (SELECT until - interval '15 minutes' FROM looked)
   AND NOT EXISTS (SELECT FROM rollout_guardrun AS run
                    WHERE run.at >= audit.audited_at AND run.environment = %(environment)s AND {_SETTLED}
                      AND (run.measured -> 'unsafe_audits' @> to_jsonb(audit.id)
                           OR run.measured -> 'unsafe_audits' IS NULL AND run.measured ->> 'now' IS NOT NULL))
 ORDER BY audit.id
"""  # noqa: S608

# The window's audit shows only those of its restaurants, its time and its releases.
_WITHOUT_BATCH = f"""
SELECT count(*) AS seatings, (SELECT until FROM looked) AS since
  FROM assignments_attempt
 WHERE planner = %(planner)s AND at >= (SELECT until FROM looked) AND {live_decisions.HAS_NO_BATCH}
"""  # noqa: S608

QUERIES: Mapping[str, str] = {"unsettled": _AUDITS, "without_batch": _WITHOUT_BATCH}


@dataclass(frozen=True, kw_only=True, slots=True)
class Unsettled:
    """The added-up seatings, the ids of their audits, and whether the ledger was asked for more."""

    seatings: Seatings = field(default_factory=Seatings)
    audits: Sequence[int] = ()
    asked_ledger: bool = False


def parameters(environment: str) -> dict[str, Any]:
    """Return the parameters of LOOKED and QUERIES."""
    return {
        "environment": environment,
        "settled_minutes": conf.guard_rails()["window_minutes"],
        "evidence_days": conf.settings().EVIDENCE_DAYS,
        "planner": V3,
    }


def of(counted: Mapping[str, Sequence[Mapping[str, Any]]]) -> Unsettled:
    """Return the unsettled seatings from the results of QUERIES. The ledger is asked only if some have no batch."""
    rows = counted["unsettled"]
    (without_batch,) = counted["without_batch"]
    unsafe = len({row["booking_ref"] for row in rows})
    reasons = Counter(flaw for row in rows for flaw in row["flaws"])
    found, asks_ledger = Seatings(checked=unsafe, unsafe=unsafe, reasons=dict(reasons)), bool(without_batch["seatings"])
    if asks_ledger:
        found += live_decisions.of_seatings_without_batch(datetime.fromisoformat(without_batch["since"]))
    return Unsettled(seatings=found, audits=[row["id"] for row in rows], asked_ledger=asks_ledger)


def while_v3_is_off(environment: str) -> tuple[Unsettled, str]:
    """Return what V3 did before it was switched off, and the moment of measuring. One statement if there is nothing."""
    counted = at_once(
        {**QUERIES, "moment": "SELECT assignments_now() AS now"},
        common=f"WITH {LOOKED}",
        **parameters(environment),
    )
    return of(counted), counted["moment"][0]["now"]

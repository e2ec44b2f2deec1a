"""Rehearsing: breaking V3 in each way, to see which of the environment's gates and guardrails would catch it.

Nothing is written: the situations are stored, V3 is broken only in memory, and PostgreSQL refuses writes.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from django.utils.module_loading import import_string

from assignments.concurrency.transactions import read_only
from rollout import conf
from rollout.rehearsal import evidence, judging, runs
from rollout.rehearsal.judging import Judged
from rollout.rehearsal.kinds import KINDS, UNTOUCHED, Kind
from rollout.rehearsal.runs import Caught, Rules


class NoEvidenceError(LookupError):
    """There is no stored situation that V3 could decide."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Tried:
    """One kind of fault, and what catches it: a gate before promotion, a guardrail afterwards."""

    kind: Kind
    gate: Caught
    rail: Caught
    staged: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Rehearsal:
    """The findings of a rehearsal. ``failed_gates`` and ``rollbacks``: in how many runs V3 failed without a fault.

    ``not_tried``: gates of the ladder that no fault can fail here.
    """

    kinds: Sequence[Tried]
    runs: int
    failed_gates: int
    rollbacks: int
    cases: int
    unreadable: int
    has_gates: bool
    not_tried: Sequence[str]

    def as_dict(self) -> dict[str, Any]:
        """Plain values. A public format: never rename a key."""
        return {
            "kinds": [
                {
                    "name": tried.kind.name,
                    "gate": tried.gate.by or None,
                    "comparisons": tried.gate.after,
                    "rail": tried.rail.by or None,
                    "decisions": tried.rail.after,
                }
                for tried in self.kinds
            ],
            "untouched": {"runs": self.runs, "failed_gates": self.failed_gates, "rollbacks": self.rollbacks},
            "not_tried": list(self.not_tried),
        }


def rehearse(
    *,
    kinds: Sequence[str] = (),
    times: int,
    seed: int,
    on_progress: Callable[[str], None] = lambda said: None,
) -> Rehearsal:
    """Try these kinds of faults, by default all, in ``times`` runs each. Raises NoEvidenceError."""
    rules = Rules.of(conf.current_ladder(), conf.guard_rails())
    decide = import_string(conf.settings().CANDIDATE)
    with read_only():
        cases, unreadable = evidence.situations(seed=seed)
        if not cases:
            raise NoEvidenceError(
                "There is no evidence to rehearse on: no comparison is stored that can be read. Let V3 watch in shadow "
                "mode, or feed past evenings (manage.py rollout backtest --feed)."
            )
        intact = [judging.outcome_of(case, UNTOUCHED, decide) for case in cases]
        as_it_is = [outcome for outcome, _decision in intact]
        if all(outcome.is_error for outcome in as_it_is):
            raise NoEvidenceError("Untouched V3 decides none of the situations: there is nothing to break.")
        healthy = Judged(kind=UNTOUCHED, intact=as_it_is, broken=as_it_is)
        on_progress(f"untouched V3: {len(cases)} situations, {times} runs")
        failed = breached = 0
        for run in range(times):
            failed += runs.caught_by_gate(healthy, rules, runs=1, seed=seed + run).after is not None
            breached += runs.caught_by_rail(healthy, rules, runs=1, seed=seed + run).after is not None
        tried = []
        wanted = [KINDS[name] for name in dict.fromkeys(kinds)] or list(KINDS.values())
        for number, kind in enumerate(wanted, 1):
            on_progress(f"{number} of {len(wanted)}: {kind.name}")
            broken = judging.judged(kind, cases, intact, decide)
            tried.append(
                Tried(
                    kind=kind,
                    gate=runs.caught_by_gate(broken, rules, runs=times, seed=seed),
                    rail=runs.caught_by_rail(broken, rules, runs=times, seed=seed),
                    staged=broken.staged,
                )
            )
    return Rehearsal(
        kinds=tried,
        runs=times,
        failed_gates=failed,
        rollbacks=breached,
        cases=len(cases),
        unreadable=unreadable,
        has_gates=bool(rules.watched),
        not_tried=rules.not_tried,
    )

"""Evenings that the engine decided once: what the audit sees of each decision, by how full the evening was."""

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

import numpy as np

from assignments.planning.snapshot import PlanningRules
from example.demo import REAL_EVENING
from rollout.backtest.history import evenings_of_file
from rollout.backtest.replay import Answer, Replay
from rollout.rehearsal import judging
from rollout.rehearsal.judging import Case, Outcome
from rollout.rehearsal.kinds import UNTOUCHED
from rollout.shadow.candidate import v3

FULLNESS = (0.35, 0.5, 0.65, 0.8, 0.9, 1.0)
"""Shares of the real evening's bookings: from quiet restaurants to full ones."""


@dataclass(frozen=True, kw_only=True)
class Decided:
    """The decisions of evenings that were about as full; each array has an entry for each decision."""

    seated: np.ndarray
    feasible: np.ndarray
    audited_refusal: np.ndarray
    wrong_refusal: np.ndarray
    unsafe: np.ndarray
    oversized: np.ndarray
    avoidable_join: np.ndarray
    milliseconds: np.ndarray

    @classmethod
    def of(cls, outcomes: Sequence[Outcome]) -> "Decided":
        return cls(
            seated=np.array([each.is_seated for each in outcomes]),
            feasible=np.array([each.is_feasible for each in outcomes]),
            audited_refusal=np.array([each.is_audited_refusal for each in outcomes]),
            wrong_refusal=np.array([each.is_wrong_refusal for each in outcomes]),
            unsafe=np.array([each.is_unsafe for each in outcomes]),
            oversized=np.array([each.is_oversized for each in outcomes]),
            avoidable_join=np.array([each.is_avoidable_join for each in outcomes]),
            milliseconds=np.array([each.milliseconds for each in outcomes]),
        )


def evenings(*, seed: int, each: int = 3) -> list[Decided]:
    """So many evenings of each fullness, decided by V3, booking after booking."""
    source = Random(seed)
    return [Decided.of([one for _ in range(each) for one in _evening(source, share)]) for share in FULLNESS]


def _evening(source: Random, share: float) -> list[Outcome]:
    (whole,) = evenings_of_file(REAL_EVENING.read_text())
    requests = [request for request in whole.requests if source.random() < share]

    def decide(snapshot: object) -> Answer:
        return Answer(decision=v3(snapshot))  # type: ignore[arg-type]

    replay = Replay(whole.floor, control=decide, candidate=decide, rules=PlanningRules())
    found = []
    for request in requests:
        step = replay.decide(request)
        control = step.control.answer.decision
        assert control is not None
        outcome, _decision = judging.outcome_of(Case(snapshot=step.snapshot, control=control), UNTOUCHED, v3)
        found.append(outcome)
    return found

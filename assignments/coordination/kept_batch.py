"""Having the router keep what was planned together, so that it can be audited."""

from dataclasses import replace

from assignments.integration.planners import Batch, KeepsBatches
from assignments.lifecycle.settlement import Settlement
from assignments.outcome import Kind


def keep(keeper: KeepsBatches, batch: Batch | None, settlement: Settlement) -> None:
    """Have the router keep what was planned, if attempts refer to it."""
    referring = [attempt for attempt in settlement.attempts if batch is not None and attempt.batch == batch.key]
    if batch is not None and referring:
        refusals = sum(attempt.outcome != Kind.CONFIRMED for attempt in referring)
        keeper.keep(replace(batch, placed=settlement.placed, attempts=len(referring), refusals=refusals))

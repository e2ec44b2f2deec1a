"""Percentiles of planning times."""

import statistics
from collections.abc import Sequence


def percentiles(milliseconds: Sequence[float]) -> dict[str, float]:
    """Return p50, p95 and max in milliseconds; zeros if there are no values."""
    if not milliseconds:
        return {"p50": 0.0, "p95": 0.0, "max": 0.0}
    if len(milliseconds) == 1:
        return dict.fromkeys(("p50", "p95", "max"), round(milliseconds[0], 3))
    cuts = statistics.quantiles(milliseconds, n=100, method="inclusive")
    return {"p50": round(cuts[49], 3), "p95": round(cuts[94], 3), "max": round(max(milliseconds), 3)}

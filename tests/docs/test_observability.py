"""The reference of metrics in docs/observability.md is what a scrape gives."""

from typing import Any

import pytest
from prometheus_client import REGISTRY, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from assignments.outcome import Kind, Outcome
from assignments.telemetry import process_metrics
from assignments.telemetry.metrics import collector
from tests.docs.document import DOCS

OURS = ("assignment_", "rollout_")


def rows(registry: Any) -> list[str]:
    """The table's rows for what a registry gives, in its order."""
    found = []
    for family in text_string_to_metric_families(generate_latest(registry).decode()):
        if not family.name.startswith(OURS) or family.name.endswith("_created"):
            continue
        samples = [sample for sample in family.samples if not sample.name.endswith("_created")]
        labels = sorted({label for sample in samples for label in sample.labels} - {"le"})
        name = f"{family.name}_total" if family.type == "counter" else family.name
        labelled = ", ".join(f"`{label}`" for label in labels) or "-"
        found.append(f"| `{name}` | {family.type} | {labelled} | {family.documentation} |")
    return found


@pytest.mark.django_db(transaction=True)
def test_the_reference_of_metrics_is_what_a_scrape_gives() -> None:
    process_metrics.observe_decisions([Outcome(booking_ref="B1", kind=Kind.CONFIRMED, planner="v3", decision_ms=1.0)])
    lines = (DOCS / "observability.md").read_text().splitlines()
    written = [line for line in lines if line.startswith(tuple(f"| `{prefix}" for prefix in OURS))]
    expected = rows(collector.REGISTRY) + rows(REGISTRY)
    assert written == expected, "docs/observability.md should say:\n" + "\n".join(expected)

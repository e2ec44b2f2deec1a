"""The metrics that exist, as the example's own endpoint gives them."""

from collections.abc import Iterator

from prometheus_client import REGISTRY as OF_PROCESSES
from prometheus_client.core import Metric
from prometheus_client.registry import CollectorRegistry

from assignments.telemetry import process_metrics  # noqa: F401  (what processes measure is registered by importing it)
from assignments.telemetry.metrics.collector import REGISTRY as OF_THE_DATABASE
from tests.ops.rules import RECORDED

_SUFFIXES = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count")}
OF_PROMETHEUS = frozenset({"up"})
"""Made by the server for each target."""


def _families(registry: CollectorRegistry) -> Iterator[Metric]:
    return (family for family in registry.collect() if family.name.startswith(("assignment_", "rollout_")))


def exposed() -> frozenset[str]:
    """What can be scraped, by the names under which Prometheus keeps it. Asks the database."""
    return frozenset(
        f"{family.name}{suffix}"
        for registry in (OF_PROCESSES, OF_THE_DATABASE)
        for family in _families(registry)
        for suffix in _SUFFIXES.get(family.type, ("",))
    )


def known() -> frozenset[str]:
    """What an expression may name. Asks the database."""
    return exposed() | RECORDED | OF_PROMETHEUS

"""The dashboards of ``ops/grafana``, read."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tests.ops.prometheus import OPS

FILES = sorted((OPS / "grafana").glob("*.json"))
VARIABLES = {"$environment": ".*", "$__rate_interval": "1m", "$__range": "1h", "$runbooks": ""}
"""What Grafana would put in."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Query:
    """What a panel, or a variable, asks. ``expression`` as Prometheus is asked it; ``title`` names dashboard and panel."""

    title: str
    expression: str


def dashboards() -> list[dict[str, Any]]:
    """All of them, in the order of their files."""
    return [json.loads(path.read_text()) for path in FILES]


def panels(dashboard: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Those that show data; rows and texts do not."""
    return (panel for panel in dashboard["panels"] if panel["type"] not in {"row", "text"})


def queries() -> list[Query]:
    """Every query of every panel."""
    return [
        Query(title=f"{dashboard['title']}: {panel['title']} {target['refId']}", expression=filled(target["expr"]))
        for dashboard in dashboards()
        for panel in panels(dashboard)
        for target in panel["targets"]
    ]


def filled(expression: str) -> str:
    """The expression with Grafana's variables filled in."""
    for name, value in VARIABLES.items():
        expression = expression.replace(name, value)
    return expression

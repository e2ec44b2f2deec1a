"""The rules of ``ops/prometheus``, read."""

from dataclasses import dataclass, field

import yaml

from tests.ops.prometheus import RULES


@dataclass(frozen=True, kw_only=True, slots=True)
class Rule:
    """One alert, or one recording rule. ``place`` names its file."""

    place: str
    name: str
    expression: str
    is_alert: bool
    labels: dict[str, str] = field(default_factory=dict)
    annotations: dict[str, str] = field(default_factory=dict)


def rules() -> list[Rule]:
    """All of them, in order."""
    return [
        Rule(
            place=path.name,
            name=rule.get("alert") or rule["record"],
            expression=rule["expr"],
            is_alert="alert" in rule,
            labels=rule.get("labels", {}),
            annotations=rule.get("annotations", {}),
        )
        for path in RULES
        for group in yaml.safe_load(path.read_text())["groups"]
        for rule in group["rules"]
    ]


def alerts() -> list[Rule]:
    """Those that call somebody."""
    return [rule for rule in rules() if rule.is_alert]


RECORDED = frozenset(rule.name for rule in rules() if not rule.is_alert)
"""The metrics that the rules themselves make."""

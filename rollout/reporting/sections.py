"""Building the context of the report's templates: the JSON values, with labels where needed.

Headings and whole sentences are the templates' own.
"""

from collections.abc import Mapping
from math import ceil
from typing import Any

from rollout.policy.gates import AT_LEAST, Status
from rollout.policy.power import SINGLE, Power
from rollout.policy.verdict import MEANINGS
from rollout.reporting.values import BETTER, HARMFUL, WORSE, Report

NAMED = 10
"""Maximum restaurants that are named of those that a promotion brings to V3."""
BAR = 20
"""Characters of the longest bar in Markdown."""

GATE_TONES = {Status.PASS: "good", Status.FAIL: "bad", Status.INCONCLUSIVE: "open"}
TONES = {**dict.fromkeys(BETTER, "good"), **dict.fromkeys(WORSE, "open"), **dict.fromkeys(HARMFUL, "bad")}
WORDS = {
    "cool_down": "promotion lock",
    "freeze": "change freeze",
    "forced_planner": "forced planner",
    "legacy": "legacy planner",
    "v3": "V3",
}
"""Stored ids that people would misread."""


def context(report: Report, *, site: str = "") -> dict[str, Any]:
    """The context of a template. ``site``: the booking project's address, for links into its admin."""
    values, v3, seatings = report.as_dict(), report.plan.facts.v3, report.plan.facts.seatings
    gates, coming = report.plan.gates, values["next"]
    most = max((each.count for each in report.verdicts), default=0)
    most_a_day = max((max(day.better, day.worse) for day in report.days), default=0)
    total = report.plan.facts.comparisons.total
    tone, summary = _summary(report)
    return {
        **values,
        "tone": tone,
        "summary": summary,
        "forced_planners": [(ref, WORDS.get(planner, planner)) for ref, planner in report.forced_planners.items()],
        "switches": [(switch, *change) for switch, change in report.plan.switches.items()],
        "joining": ", ".join([*coming["joining"][:NAMED], *(["..."] if len(coming["joining"]) > NAMED else [])]),
        "obstacles": [
            {**each, "kind": WORDS.get(each["kind"], each["kind"])}
            for each in coming["obstacles"]
            if each["kind"] != "gate"
        ],
        "gates": [_gate(gate) for gate in values["gates"]],
        "powers": [_power(each) for each in report.powers],
        "closed": ", ".join(f"{gate.gate} ({gate.status})" for gate in gates if gate.status != Status.PASS),
        "live": [
            ("Bookings", v3.bookings),
            ("Confirmed", v3.confirmed),
            ("In review although a seating was possible", v3.review),
            ("Infeasible: no planner could have seated them", v3.infeasible),
            ("Attempts", v3.attempts),
            ("Unexpected errors", v3.errors),
            ("Seatings audited", seatings.checked),
            ("Seatings that break a rule of the floor plan", seatings.unsafe),
            ("Unnecessary table joins", seatings.avoidable_joins),
            ("Larger table than needed", seatings.oversized),
            ("Tables assigned, host not notified", seatings.untold),
        ],
        "verdicts": [
            {
                **each,
                **_verdict(each),
                "share": f"{count.count / total:.1%}" if total else "-",
                "total": _bar(count.count, most),
                "is_waivable": count.verdict in (*BETTER, *WORSE, *HARMFUL),
            }
            for each, count in zip(values["verdicts"], report.verdicts, strict=True)
        ],
        "noise": report.plan.facts.comparisons.asked_twice - report.plan.facts.comparisons.repeated,
        "days": [
            {
                **each,
                "count": day.count,
                "better": _bar(day.better, most_a_day),
                "worse": _bar(day.worse, most_a_day, "░"),
            }
            for each, day in zip(values["days"], report.days, strict=True)
        ],
        "better": sum(day.better for day in report.days),
        "worse": sum(day.worse for day in report.days),
        "differences": [_difference(each, site) for each in values["differences"]],
        "changes": [
            {**each, **{name: WORDS.get(each[name], each[name]) for name in ("kind", "before", "after")}}
            for each in values["changes"]
        ],
    }


def _summary(report: Report) -> tuple[str, str]:
    """Tone and sentence of the one thing to take away."""
    target, blocking = report.plan.target, len(report.plan.obstacles)
    things = f"{blocking} {'thing blocks' if blocking == 1 else 'things block'}"
    if target and blocking:
        return "bad", f"Not ready for {target.key}: {things} the promotion."
    if target:
        return "good", f"Ready for {target.key}: every gate passes."
    if blocking:
        return "open", f"Last stage: {things} the removal of the legacy planner."
    return "good", "Last stage, and every gate passes: the legacy planner can be removed."


def _gate(gate: Mapping[str, Any]) -> dict[str, Any]:
    return {
        **gate,
        "tone": GATE_TONES[gate["status"]],
        "measured": "No data yet" if gate["value"] is None else _number(gate["value"]),
        "required": f"{'at least' if gate['gate'] in AT_LEAST else 'at most'} {_number(gate['threshold'])}",
    }


def _power(power: Power) -> dict[str, str]:
    """Describe what a gate or guardrail would find. Counts that must be zero are never wrong about a healthy V3."""
    what = "comparisons" if power.rule in SINGLE or power.rule.startswith("candidate") else "decisions"
    return {
        "rule": power.rule,
        "kind": "gate" if power.is_gate else "guardrail",
        "error": f"{power.error:.2%}" if power.error else "0: one case decides",
        "finds": f"{100 * power.rate:.4g}% is found with {power.probability:.0%} probability within {power.within} {what}",
    }


def _verdict(source: Mapping[str, Any]) -> dict[str, str]:
    return {
        "meaning": MEANINGS.get(source["verdict"], "").removesuffix("."),
        "tone": TONES.get(source["verdict"], "neutral"),
    }


def _difference(difference: Mapping[str, Any], site: str) -> dict[str, Any]:
    path = difference["admin_path"]
    return {
        **difference,
        **_verdict(difference),
        "url": f"{site.rstrip('/')}{path}" if site and path else "",
        "choices": [_choice(difference["legacy"]), _choice(difference["v3"])],
    }


def _choice(choice: Mapping[str, Any]) -> dict[str, Any]:
    parts = ", ".join(f"{name} {share:.4g}" for name, share in choice["breakdown"].items())
    return {**choice, "tables": " + ".join(choice["tables"]), "breakdown": f" ({parts})" if parts else ""}


def _bar(count: int, most: int, character: str = "█") -> dict[str, Any]:
    """Return a count with the length of its bar, in percent and as text. The bar is visible unless the count is 0."""
    share = count / most if most else 0
    return {"count": count, "length": max(2, round(100 * share)) if count else 0, "text": character * ceil(BAR * share)}


def _number(value: float) -> str:
    """Return a number with four significant digits, or in full if it is whole."""
    return f"{value:.0f}" if abs(value) >= 1000 or value == int(value) else f"{value:.4g}"

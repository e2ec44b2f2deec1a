"""A report in words: what stands in which section, the same for every format. Pure."""

from datetime import UTC, datetime

from rollout.policy.gates import GateResult, Status
from rollout.policy.verdict import Verdict
from rollout.reporting.blocks import (
    Balance,
    Balances,
    Bar,
    Bars,
    Block,
    Bullets,
    Card,
    Cell,
    Code,
    Column,
    Document,
    Link,
    Mark,
    Noted,
    Paragraph,
    Section,
    Table,
    Tone,
)
from rollout.reporting.report import ALIKE, BETTER, HARMFUL, WORSE, Choice, Difference, Report

NAMED = 10
NOTHING = "-"

MEANINGS = {
    Verdict.SAME_TABLES: "the same tables",
    Verdict.EQUIVALENT: "other tables, as good",
    Verdict.BETTER: "V3 keeps fewer seats empty, or takes fewer tables",
    Verdict.WORSE: "V3 keeps more seats empty, or takes more tables",
    Verdict.ONLY_V3_SEATS: "V3 seats whom the old planner refuses",
    Verdict.ONLY_LEGACY_SEATS: "V3 refuses whom the old planner seats",
    Verdict.BOTH_REFUSE: "neither seats the party",
    Verdict.V3_ERROR: "V3 gave no decision",
    Verdict.UNSAFE: "V3's decision must not be carried out",
}
STATUSES = {Status.PASS: Tone.GOOD, Status.FAIL: Tone.BAD, Status.INCONCLUSIVE: Tone.OPEN}


def document(report: Report, *, site: str = "") -> Document:
    """The whole report. ``site``: the booking project's address (https://booking.example), for links into its admin."""
    return Document(
        title=f"Rollout of {report.environment}: {report.stage}",
        summary=_summary(report),
        sections=[
            Section(title="Where it stands", blocks=_standing(report)),
            Section(title="What would happen next", blocks=_next(report)),
            Section(title="Gates", blocks=_gates(report)),
            Section(title="What V3 did", blocks=_live(report)),
            Section(title="Both planners compared", blocks=_comparisons(report)),
            Section(title="Parity, day by day", blocks=_days(report)),
            Section(title="Differences that somebody answers for", blocks=_explanations(report)),
            Section(title="The most different decisions", blocks=_differences(report, site)),
            Section(title="V3's slowest decisions", blocks=_slowest(report)),
            Section(title="The guard", blocks=_guard(report)),
            Section(title="What was changed", blocks=_changes(report)),
        ],
    )


def _summary(report: Report) -> Paragraph:
    obstacles = len(report.next.obstacles)
    if report.next.is_open:
        return Paragraph(text=f"Ready for {report.next.target}: every gate passes.", tone=Tone.GOOD)
    things = f"{_count(obstacles, 'thing')} {'stands' if obstacles == 1 else 'stand'}"
    if report.next.target:
        return Paragraph(text=f"Not ready for {report.next.target}: {things} in the way.", tone=Tone.BAD)
    if obstacles:
        return Paragraph(text=f"The last stage. Before the old planner can go, {things} in the way.", tone=Tone.OPEN)
    return Paragraph(text="The last stage, and every gate passes: the old planner can go.", tone=Tone.GOOD)


def _standing(report: Report) -> list[Block]:
    blocks: list[Block] = [
        Paragraph(
            text=f"{report.environment} is at {report.stage} since {_moment(report.since)}. "
            f"This was made at {_moment(report.made_at)}, from evidence since {_moment(report.facts.since)}."
        )
    ]
    if report.is_killed:
        blocks.append(Paragraph(text="The kill variable is set: the old planner decides everything.", tone=Tone.BAD))
    if report.drift:
        blocks.append(Paragraph(text=f"The flags are not what the stage asks for: {report.drift}.", tone=Tone.BAD))
    if report.held:
        blocks.append(Paragraph(text="It is held: nobody may promote.", tone=Tone.OPEN))
    if report.cool_down_until and report.cool_down_until > report.made_at:
        blocks.append(Paragraph(text=f"It cools down until {_moment(report.cool_down_until)}.", tone=Tone.OPEN))
    blocks += [
        Table(
            caption="Flags, and what each comes from",
            columns=[Column(title="Flag"), Column(title="Value"), Column(title="Source")],
            rows=[
                [Code(text=flag.switch), _on(flag.value), Noted(cell=flag.source, note=_raw(flag.variable, flag.raw))]
                for flag in report.flags
            ],
        ),
        Table(
            caption="The ladder",
            columns=[
                Column(title="Stage"),
                Column(title="V3"),
                Column(title="Shadow"),
                Column(title="Restaurants", is_number=True),
                Column(title="Soak", is_number=True),
            ],
            rows=[
                [
                    Mark(text=f"{rung.key} (now)", tone=Tone.GOOD) if rung.is_current else rung.key,
                    _on(rung.v3),
                    _on(rung.shadow),
                    f"{rung.percent} %",
                    f"{rung.soak_hours:g} h",
                ]
                for rung in report.ladder
            ],
        ),
    ]
    if report.pins:
        blocks.append(
            Table(
                caption="Restaurants that are pinned to a planner",
                columns=[Column(title="Restaurant"), Column(title="Planner")],
                rows=[[Code(text=ref), planner] for ref, planner in report.pins.items()],
            )
        )
    return blocks


def _next(report: Report) -> list[Block]:
    coming = report.next
    blocks: list[Block] = []
    if coming.target:
        named = ", ".join(coming.joining[:NAMED]) + (", ..." if len(coming.joining) > NAMED else "")
        blocks += [
            Paragraph(
                text=f"A promotion goes from {report.stage} to {coming.target}. V3 would decide for {coming.percent} % of "
                f"restaurants: {len(coming.joining)} more with coming bookings{f' ({named})' if named else ''}."
            ),
            Table(
                caption="What a promotion does to the switches",
                columns=[Column(title="Switch"), Column(title="Now"), Column(title="Then")],
                rows=[
                    [Code(text=switch), _on(before), _on(after) if before != after else f"stays {_on(after)}"]
                    for switch, (before, after) in coming.switches.items()
                ],
            ),
        ]
    else:
        blocks.append(Paragraph(text=f"{report.stage} is the last stage. What remains is to remove the old planner."))
    if coming.obstacles:
        blocks.append(Paragraph(text="In the way:"))
        blocks.append(
            Bullets(
                items=[
                    each.text if each.is_overridable else f"{each.text} (This cannot be overridden.)"
                    for each in coming.obstacles
                ]
            )
        )
    return blocks


def _gates(report: Report) -> list[Block]:
    windows: dict[str, list[str]] = {}
    for gate in report.gates:
        windows.setdefault(gate.window, []).append(gate.gate)
    return [
        Table(
            caption=f"The gates of {report.stage}",
            columns=[
                Column(title="Gate"),
                Column(title="Status"),
                Column(title="Value", is_number=True),
                Column(title="Threshold", is_number=True),
                Column(title="Sample", is_number=True),
            ],
            rows=[_gate(gate) for gate in report.gates],
        ),
        Bullets(items=[f"{window}: {', '.join(gates)}" for window, gates in windows.items()]),
        Paragraph(
            text="Hold means that nothing can be said yet; only pass opens a gate. Bounds are one-sided, at 95 %: a share "
            "passes by its bound and not by its value."
        ),
    ]


def _gate(gate: GateResult) -> list[Cell]:
    return [
        Noted(cell=Code(text=gate.gate), note=gate.detail),
        Mark(text=gate.status.value, tone=STATUSES[gate.status]),
        NOTHING if gate.value is None else f"{gate.value:.4g}",
        f"{gate.threshold:.4g}",
        f"{gate.sample}",
    ]


def _live(report: Report) -> list[Block]:
    v3, seatings = report.facts.v3, report.facts.seatings
    if not v3.attempts:
        return [Paragraph(text=f"V3 decided nothing at {report.stage}.")]
    reference = report.facts.reference
    seated = f"{report.facts.reference_seated} of {report.facts.reference_bookings} bookings ({reference})"
    return [
        Table(
            caption=f"V3's decisions at {report.stage}",
            columns=[Column(title=""), Column(title="Count", is_number=True)],
            rows=[
                ["Bookings", f"{v3.bookings}"],
                ["Confirmed", f"{v3.confirmed}"],
                ["In review, though feasible", f"{v3.review}"],
                ["Not feasible: nobody could have seated them", f"{v3.infeasible}"],
                ["Attempts", f"{v3.attempts}"],
                ["Unexpected errors", f"{v3.errors}"],
                ["Seatings inspected", f"{seatings.checked}"],
                ["Seatings that break a rule of the floor", f"{seatings.unsafe}"],
                ["Joined tables without need", f"{seatings.avoidable_joins}"],
                ["A larger table than was needed", f"{seatings.oversized}"],
                ["Tables given, and the host not told", f"{seatings.untold}"],
            ],
        ),
        Paragraph(text=f"Held against it: {seated if reference else 'nothing yet'}."),
    ]


def _comparisons(report: Report) -> list[Block]:
    comparisons = report.facts.comparisons
    if not comparisons.total:
        return [Paragraph(text=f"Nothing was compared yet; {_count(comparisons.waiting, 'decision')} waiting for it.")]
    bars = [
        Bar(
            label=each.verdict,
            value=each.count,
            text=f"{each.count} ({each.count / comparisons.total:.1%})",
            tone=_tone(each.verdict),
        )
        for each in report.verdicts
    ]
    counted = ", ".join(f"{each.verdict} {each.count}" for each in report.verdicts if each.count)
    noise = comparisons.asked_twice - comparisons.repeated
    return [
        Bars(
            title="Decisions by verdict",
            description=f"Of {comparisons.total} decisions: {counted}.",
            bars=bars,
            table=Table(
                caption="Decisions by verdict, as in the chart",
                columns=[
                    Column(title="Verdict"),
                    Column(title="Shadow", is_number=True),
                    Column(title="Replay", is_number=True),
                    Column(title="Unexplained", is_number=True),
                ],
                rows=[
                    [
                        Noted(cell=Mark(text=each.verdict, tone=_tone(each.verdict)), note=_meaning(each.verdict)),
                        f"{each.shadow}",
                        f"{each.backtest}",
                        NOTHING if each.verdict in ALIKE else f"{each.unexplained}",
                    ]
                    for each in report.verdicts
                ],
            ),
        ),
        Paragraph(
            text=f"{_count(comparisons.waiting, 'decision')} waiting to be compared. Asked again, the old planner "
            f"itself answered differently {noise} of {comparisons.asked_twice} times. V3 plans in "
            f"{_ms(comparisons.p95.value)} at p95, {_ms(comparisons.p99.value)} at p99."
        ),
    ]


def _days(report: Report) -> list[Block]:
    if not report.days:
        return [Paragraph(text="There are no days to show yet.")]
    better, worse = sum(day.better for day in report.days), sum(day.worse for day in report.days)
    return [
        Balances(
            title="Decisions in which one planner did better, by day",
            description=f"{_count(len(report.days), 'day')}: V3 did better {_count(better, 'time')}, the old planner "
            f"{_count(worse, 'time')}.",
            above="V3 did better",
            below="The old planner did better",
            points=[Balance(label=f"{day.day:%d %b}", above=day.better, below=day.worse) for day in report.days],
            table=Table(
                caption="Decisions by day of recording (UTC), as in the chart",
                columns=[
                    Column(title="Day"),
                    Column(title="Compared", is_number=True),
                    Column(title="Alike", is_number=True),
                    Column(title="V3 better", is_number=True),
                    Column(title="V3 worse", is_number=True),
                    Column(title="Unsafe or error", is_number=True),
                ],
                rows=[
                    [day.day.isoformat(), *(f"{n}" for n in (day.count, day.alike, day.better, day.worse, day.harmful))]
                    for day in report.days
                ],
            ),
        )
    ]


def _explanations(report: Report) -> list[Block]:
    if not report.explanations:
        return [Paragraph(text="Nothing is explained.")]
    return [
        Table(
            caption="Explanations that were not withdrawn",
            columns=[Column(title="Difference"), Column(title="Owner"), Column(title="Until")],
            rows=[
                [
                    Noted(
                        cell=f"{each.verdict}, {each.refusal or 'any reason'}, {_restaurant(each.restaurant_ref)}",
                        note=each.reason,
                    ),
                    each.owner,
                    Mark(text=f"expired {_moment(each.expires_at)}", tone=Tone.BAD)
                    if each.is_expired
                    else _moment(each.expires_at),
                ]
                for each in report.explanations
            ],
        )
    ]


def _differences(report: Report, site: str) -> list[Block]:
    if not report.differences:
        return [Paragraph(text="The planners did not differ.")]
    cards: list[Block] = [
        Paragraph(
            text="A few of each verdict, those first that lie furthest apart. Scores compare within one planner only."
        )
    ]
    return cards + [_difference(each, site) for each in report.differences]


def _difference(difference: Difference, site: str) -> Card:
    number = f"comparison {difference.comparison}"
    where: Cell = number
    if site and difference.admin_path:
        where = Link(text=number, url=f"{site.rstrip('/')}{difference.admin_path}")
    both = (difference.legacy, difference.v3)
    return Card(
        title=f"Booking {difference.booking_ref}: {_meaning(difference.verdict)}",
        facts=[
            ("Verdict", Mark(text=difference.verdict, tone=_tone(difference.verdict))),
            ("Party", _count(difference.party, "cover")),
            ("Starts", _moment(difference.starts_at) if difference.starts_at else NOTHING),
            ("Restaurant", Code(text=difference.restaurant_ref)),
            ("From", difference.origin),
            ("Kept as", where),
        ],
        table=Table(
            caption="What each planner chose",
            columns=[Column(title=""), Column(title="Old planner"), Column(title="V3")],
            rows=[
                ["Tables", *(" + ".join(choice.tables) or "none" for choice in both)],
                ["Seats", *(_seats(choice) for choice in both)],
                ["Kept", *(_kept(choice) for choice in both)],
                ["Score", *(_score(choice) for choice in both)],
                ["Why", *(choice.why for choice in both)],
            ],
        ),
    )


def _slowest(report: Report) -> list[Block]:
    if not report.slowest:
        return [Paragraph(text="V3 has not been timed yet.")]
    return [
        Table(
            caption="V3's slowest decisions, in milliseconds of planning alone",
            columns=[
                Column(title="Booking"),
                Column(title="ms", is_number=True),
                Column(title="Party", is_number=True),
                Column(title="Outcome"),
            ],
            rows=[
                [
                    Noted(
                        cell=Code(text=each.booking_ref),
                        note=f"restaurant {each.restaurant_ref}"
                        + (f", {_moment(each.starts_at)}" if each.starts_at else ""),
                    ),
                    f"{each.milliseconds:.2f}",
                    f"{each.party}",
                    f"{each.outcome} ({each.where})",
                ]
                for each in report.slowest
            ],
        )
    ]


def _guard(report: Report) -> list[Block]:
    guard = report.guard
    last = f", the last time at {_moment(guard.last)}" if guard.last else ""
    blocks: list[Block] = [
        Paragraph(text=f"The guard has looked {_count(guard.looks, 'time')} since {report.stage} began{last}.")
    ]
    if not guard.breached:
        return [*blocks, Paragraph(text="It never found a guardrail breached.")]
    return [
        *blocks,
        Table(
            caption="What the guard found breached, the latest first",
            columns=[Column(title="When"), Column(title="Breached"), Column(title="Rolled back to")],
            rows=[
                [
                    Noted(cell=_moment(look.at), note=f"at {look.stage}"),
                    "; ".join(look.breaches),
                    look.rolled_back_to or NOTHING,
                ]
                for look in guard.breached
            ],
        ),
    ]


def _changes(report: Report) -> list[Block]:
    if not report.changes:
        return [Paragraph(text="Nothing was changed yet.")]
    return [
        Table(
            caption="Changes, the latest first",
            columns=[Column(title="When"), Column(title="What"), Column(title="Who, and why")],
            rows=[
                [
                    _moment(each.at),
                    Noted(
                        cell=f"{each.kind} {each.subject}",
                        note=f"{each.before or 'none'} -> {each.after or 'none'}"
                        + (" (gates overridden)" if each.is_overridden else ""),
                    ),
                    Noted(cell=each.actor, note=each.reason),
                ]
                for each in report.changes
            ],
        )
    ]


def _tone(verdict: str) -> Tone:
    if verdict in BETTER:
        return Tone.GOOD
    if verdict in WORSE:
        return Tone.OPEN
    return Tone.BAD if verdict in HARMFUL else Tone.NEUTRAL


def _meaning(verdict: str) -> str:
    return MEANINGS[Verdict(verdict)]


def _seats(choice: Choice) -> str:
    return f"{choice.seats}, of them {choice.spare_seats} spare" if choice.tables else NOTHING


def _kept(choice: Choice) -> str:
    if choice.blocked_from is None or choice.blocked_until is None:
        return NOTHING
    start, end = (moment.astimezone(UTC) for moment in (choice.blocked_from, choice.blocked_until))
    return f"{start:%H:%M} to {end:%H:%M} UTC"


def _score(choice: Choice) -> str:
    if choice.score is None:
        return NOTHING
    parts = ", ".join(f"{name} {share:.4g}" for name, share in choice.breakdown.items())
    return f"{choice.score:.4g}" + (f" ({parts})" if parts else "")


def _restaurant(ref: str) -> str:
    return f"restaurant {ref}" if ref else "all restaurants"


def _raw(variable: str, raw: str) -> str:
    return f"variable {variable}" + (f", value {raw}" if raw else "")


def _on(value: bool) -> str:
    return "on" if value else "off"


def _ms(milliseconds: float | None) -> str:
    return "an unknown time" if milliseconds is None else f"{milliseconds:.2f} ms"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _moment(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC"

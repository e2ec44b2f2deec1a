"""Gates and guardrails: pure rules, one table each."""

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from assignments.planning.text import Text
from rollout.policy import gates, guardrails
from rollout.policy.confidence import BOUNDS, ERROR, rate_bounds
from rollout.policy.gates import GATES, Status
from rollout.policy.ladder import DEFAULT, Stage
from rollout.policy.measurements import COVERAGE, Comparisons, Days, Facts, Outcomes, Percentile, Seatings

NOW = datetime(2026, 5, 2, 12, tzinfo=UTC)
NOTHING = Facts(environment="production", stage="shadow", now=NOW, stage_since=NOW, since=NOW - timedelta(days=28))


def facts(**given: Any) -> Facts:
    return replace(NOTHING, **given)


def compared(**given: Any) -> Facts:
    given = {"total": 3000, "verdicts": {}, "not_waived": given.get("verdicts", {}), **given}
    return facts(comparisons=Comparisons(**given))


def live(**given: Any) -> Facts:
    given = {"bookings": 1000, "confirmed": 990, "attempts": 1000, **given}
    return facts(v3=Outcomes(**given))


def percentile(sample: int, value: float, lower: float | None, upper: float | None) -> Percentile:
    return Percentile(sample=sample, value=value, lower=lower, upper=upper)


@pytest.mark.parametrize("gate", sorted(set(GATES) - {"explanations"}))
def test_without_data_no_gate_passes(gate: str) -> None:
    result = GATES[gate](NOTHING, 0.5)
    assert result.status is Status.INCONCLUSIVE
    assert result.sample == 0
    assert not [word for word in ("bounds", "?", "0 of 0", "0/0") if word in result.detail], result.detail


CASES: list[tuple[str, Facts, float, Status]] = [
    ("comparable", compared(total=2999), 3000, Status.INCONCLUSIVE),
    ("comparable", compared(total=3000), 3000, Status.PASS),
    ("restaurants", compared(restaurants=1, with_bookings=1), 10, Status.PASS),
    ("restaurants", compared(restaurants=1, with_bookings=20), 10, Status.INCONCLUSIVE),
    ("restaurants", compared(restaurants=10, with_bookings=20), 10, Status.PASS),
    ("restaurants", compared(restaurants=5, with_bookings=6), 10, Status.INCONCLUSIVE),
    ("largest_share", compared(restaurants=1, largest=3000, with_bookings=1), 0.5, Status.PASS),
    ("largest_share", compared(restaurants=3, largest=2000, with_bookings=3), 0.5, Status.PASS),
    ("largest_share", compared(restaurants=20, largest=1500, with_bookings=20), 0.5, Status.PASS),
    # Twice an even share of five restaurants is 40 %.
    ("largest_share", compared(restaurants=5, largest=1200, with_bookings=5), 0.3, Status.PASS),
    ("largest_share", compared(restaurants=5, largest=1201, with_bookings=5), 0.3, Status.INCONCLUSIVE),
    ("largest_share", compared(restaurants=20, largest=1501, with_bookings=20), 0.5, Status.INCONCLUSIVE),
    ("unsafe", compared(), 0, Status.PASS),
    ("unsafe", compared(verdicts={"unsafe": 1}), 0, Status.FAIL),
    ("unsafe", compared(verdicts={"unsafe": 1}, not_waived={}), 0, Status.FAIL),
    ("refused", compared(verdicts={"only_legacy_seats": 1}), 0, Status.FAIL),
    ("refused", compared(verdicts={"only_legacy_seats": 1}, not_waived={}), 0, Status.PASS),
    ("candidate_errors", compared(), 0, Status.PASS),
    ("candidate_errors", compared(verdicts={"v3_error": 1}), 0, Status.FAIL),
    ("candidate_errors", compared(verdicts={"v3_error": 1}, not_waived={}), 0, Status.FAIL),
    ("parity", compared(verdicts={"better": 90, "worse": 30}), 0.5, Status.PASS),
    ("parity", compared(verdicts={"better": 60, "worse": 40}), 0.5, Status.INCONCLUSIVE),
    ("parity", compared(verdicts={"only_v3_seats": 30, "only_legacy_seats": 90}), 0.5, Status.FAIL),
    ("parity", compared(verdicts={"same_tables": 3000}), 0.5, Status.PASS),
    ("parity", compared(total=100, verdicts={"same_tables": 100}), 0.5, Status.INCONCLUSIVE),
    ("parity", compared(verdicts={"better": 2, "worse": 1}), 0.5, Status.PASS),
    ("parity", compared(verdicts={"worse": 19}), 0.5, Status.INCONCLUSIVE),
    ("parity", compared(verdicts={"worse": 30}), 0.5, Status.FAIL),
    # Right refusals count for nobody: they make neither a bad planner negligible nor a good one worse.
    ("parity", compared(total=9000, verdicts={"both_refuse": 8500, "better": 9, "worse": 9}), 0.5, Status.INCONCLUSIVE),
    ("parity", compared(total=9000, verdicts={"both_refuse": 500, "better": 9, "worse": 9}), 0.5, Status.PASS),
    ("parity", compared(total=9000, verdicts={"both_refuse": 8880, "better": 90, "worse": 30}), 0.5, Status.PASS),
    # At one restaurant of two it is worse.
    (
        "parity",
        compared(verdicts={"better": 300, "worse": 60}, restaurants=2, differing={"R1": (300, 0), "R2": (0, 60)}),
        0.5,
        Status.FAIL,
    ),
    (
        "parity",
        compared(verdicts={"better": 300, "worse": 60}, restaurants=2, differing={"R1": (270, 30), "R2": (30, 30)}),
        0.5,
        Status.PASS,
    ),
    # One restaurant has the whole error of a bound, two share it.
    ("parity", compared(verdicts={"better": 900}, restaurants=1, differing={"R1": (2, 23)}), 0.5, Status.FAIL),
    ("parity", compared(verdicts={"better": 900}, restaurants=2, differing={"R1": (2, 23)}), 0.5, Status.PASS),
    ("parity", compared(verdicts={"better": 900}, restaurants=2, differing={"R1": (1, 24)}), 0.5, Status.FAIL),
    ("parity", compared(verdicts={"better": 60, "worse": 400}, not_waived={"better": 60}), 0.5, Status.PASS),
    ("days_unsafe", facts(days=Days(compared=1)), 0, Status.PASS),
    ("days_unsafe", facts(days=Days(compared=9, unsafe=1)), 0, Status.FAIL),
    ("days_unsafe", facts(days=Days(compared=9, errors=1)), 0, Status.FAIL),
    ("days_refused", facts(days=Days(compared=1)), 0, Status.PASS),
    ("days_refused", facts(days=Days(compared=9, refused=1)), 0, Status.FAIL),
    ("days_worse", facts(days=Days(compared=20, paired=20)), 0.5, Status.PASS),
    ("days_worse", facts(days=Days(compared=19, paired=19)), 0.5, Status.INCONCLUSIVE),
    ("days_worse", facts(days=Days(compared=19, paired=19, worse=19)), 0.5, Status.INCONCLUSIVE),
    ("days_worse", facts(days=Days(compared=40, paired=40, better=20, worse=20)), 0.5, Status.INCONCLUSIVE),
    ("days_worse", facts(days=Days(compared=40, paired=40, better=4, worse=36)), 0.5, Status.FAIL),
    ("days_worse", facts(days=Days(compared=40, paired=40, better=36, worse=4)), 0.5, Status.PASS),
    ("days_worse", facts(days=Days(compared=400, paired=400, worse=60)), 0.5, Status.FAIL),
    ("days_worse", facts(days=Days(compared=400, paired=400, better=2, worse=1)), 0.5, Status.INCONCLUSIVE),
    ("complete", compared(expected=100, compared_live=99), 0.99, Status.PASS),
    ("complete", compared(expected=100, compared_live=90, waiting=10), 0.99, Status.INCONCLUSIVE),
    ("complete", compared(expected=100, compared_live=90), 0.99, Status.FAIL),
    ("coverage", facts(coverage=dict.fromkeys(COVERAGE, 20)), 20, Status.PASS),
    ("coverage", facts(coverage=dict.fromkeys(COVERAGE[1:], 500)), 20, Status.INCONCLUSIVE),
    ("noise", compared(asked_twice=3000, repeated=3000), 0.02, Status.PASS),
    ("noise", compared(asked_twice=30, repeated=30), 0.02, Status.INCONCLUSIVE),
    ("noise", compared(asked_twice=3000, repeated=2800), 0.02, Status.FAIL),
    ("explanations", facts(waivers_valid=3), 0, Status.PASS),
    ("explanations", facts(waivers_expired=1), 0, Status.FAIL),
    ("candidate_p95_ms", compared(p95=percentile(87, 20.0, 10.0, 49.0)), 50, Status.PASS),
    ("candidate_p95_ms", compared(p95=percentile(86, 20.0, 10.0, None)), 50, Status.INCONCLUSIVE),
    ("candidate_p95_ms", compared(p95=percentile(900, 55.0, 50.0, 60.0)), 50, Status.INCONCLUSIVE),
    ("candidate_p99_ms", compared(p99=percentile(900, 70.0, 51.0, 90.0)), 50, Status.FAIL),
    ("decision_p95_ms", live(p95=percentile(900, 45.0, 40.0, 55.0)), 50, Status.INCONCLUSIVE),
    ("decision_p99_ms", live(p99=percentile(900, 9.0, 8.0, 10.0)), 50, Status.PASS),
    ("errors", live(attempts=5000, errors=0), 0.005, Status.PASS),
    ("errors", live(errors=5), 0.005, Status.INCONCLUSIVE),
    ("errors", live(errors=24), 0.005, Status.FAIL),
    ("errors", live(attempts=100, errors=0), 0.005, Status.INCONCLUSIVE),
    ("confirmed", live(bookings=2000, confirmed=1990), 0.97, Status.PASS),
    ("confirmed", live(confirmed=970), 0.97, Status.INCONCLUSIVE),
    ("confirmed", live(confirmed=930), 0.97, Status.FAIL),
    ("confirmed", live(confirmed=700, infeasible=300), 0.97, Status.PASS),
    ("review", live(bookings=4000, review=3), 0.01, Status.PASS),
    ("review", live(review=10), 0.01, Status.INCONCLUSIVE),
    ("review", live(review=40), 0.01, Status.FAIL),
    (
        "no_worse",
        replace(live(bookings=4000, confirmed=3960), reference_seated=3960, reference_bookings=4000),
        0.02,
        Status.PASS,
    ),
    ("no_worse", replace(live(confirmed=900), reference_seated=90, reference_bookings=100), 0.02, Status.INCONCLUSIVE),
    ("no_worse", replace(live(confirmed=900), reference_seated=990, reference_bookings=1000), 0.02, Status.FAIL),
    ("no_worse", replace(live(confirmed=10), reference_seated=19, reference_bookings=19), 0.02, Status.INCONCLUSIVE),
    (
        "no_worse",
        replace(live(bookings=19, confirmed=0), reference_seated=990, reference_bookings=1000),
        0.02,
        Status.INCONCLUSIVE,
    ),
    (
        "no_worse",
        replace(live(confirmed=600, infeasible=400), reference_seated=990, reference_bookings=1000),
        0.02,
        Status.PASS,
    ),
    # Where the legacy planner decides, everything is full: of those whom it could seat, it seats more than V3 does.
    (
        "no_worse",
        replace(
            live(bookings=4000, confirmed=3600),
            reference_seated=3000,
            reference_bookings=4000,
            reference_infeasible=1000,
        ),
        0.02,
        Status.FAIL,
    ),
]


@pytest.mark.parametrize(("gate", "measured", "threshold", "status"), CASES)
def test_each_gate(gate: str, measured: Facts, threshold: float, status: Status) -> None:
    result = GATES[gate](measured, threshold)
    assert result.status is status, result.detail
    assert result.gate == gate


@pytest.mark.parametrize(("others", "said"), [(0, ""), (7, "; 7 more belong to other releases")])
def test_comparisons_of_other_releases_are_told_apart(others: int, said: str) -> None:
    shown = str(GATES["comparable"](compared(others=others), 3000).detail)
    assert shown == f"decisions compared since evidence began to count, in shadow mode and in backtests{said}"


def test_parity_says_whether_there_was_any_difference() -> None:
    same = GATES["parity"](compared(verdicts={"same_tables": 3000}), 0.5)
    assert str(same.detail) == (
        "neither planner was better in 3000 feasible decisions; "
        f"V3 is worse in at most {rate_bounds(0, 3000)[1]:.2%} of them"
    )
    differ = GATES["parity"](compared(verdicts={"better": 60, "worse": 40}), 0.5)
    assert str(differ.detail).startswith("V3 was better 60 times and worse 40 times; bounds 0.")


@pytest.mark.parametrize(
    ("v3", "legacy", "said"),
    [
        (0, 0, "V3 has decided no feasible booking"),
        (0, 50, "V3 has decided no feasible booking"),
        (50, 0, "there is no feasible booking of the legacy planner to compare with"),
        (1, 1, "V3 seated 0/1, control 0/1"),
        (50, 50, "V3 seated 0/50, control 0/50"),
    ],
)
def test_the_share_of_confirmed_bookings_says_what_is_missing(v3: int, legacy: int, said: str) -> None:
    measured = replace(live(bookings=v3, confirmed=0), reference_bookings=legacy)
    assert str(GATES["no_worse"](measured, 0.02).detail).startswith(said)


@pytest.mark.parametrize(
    ("measured", "read"),
    [
        (facts(), (None, 0, "no seating has been checked")),
        (facts(seatings=Seatings(checked=50)), (0, 50, "0 of 50 seatings break a rule of the floor")),
        (
            facts(seatings=Seatings(checked=50, unsafe=2, reasons={"wrong_zone": 1, "buffer": 1})),
            (2, 50, "2 of 50 seatings break a rule of the floor: buffer 1, wrong_zone 1"),
        ),
        (
            facts(stage_seatings=Seatings(checked=98, unjudged=2)),
            (0, 98, "0 of 98 seatings break a rule of the floor; the audits of 2 decisions failed"),
        ),
        (
            facts(seatings=Seatings(checked=50), unaudited=3),
            (0, 50, "0 of 50 seatings break a rule of the floor; 3 decisions wait for their audit"),
        ),
        # The audit with most unsafe seatings counts, and of equal ones that of most seatings.
        (
            facts(seatings=Seatings(checked=50), unsettled=Seatings(unsafe=1, reasons={"buffer": 1})),
            (1, 1, "1 of 1 seatings break a rule of the floor: buffer 1"),
        ),
        (
            facts(seatings=Seatings(checked=50), stage_seatings=Seatings(checked=60)),
            (0, 60, "0 of 60 seatings break a rule of the floor"),
        ),
    ],
)
def test_the_gate_of_the_seatings_says_what_was_found_and_what_is_missing(
    measured: Facts, read: tuple[float | None, int, str]
) -> None:
    result = gates.ALWAYS["seatings"](measured, 0)
    assert (result.value, result.sample, str(result.detail)) == read


@pytest.mark.parametrize(
    ("days", "read"),
    [
        (Days(compared=20), (None, 0, "no day has been compared")),
        (
            Days(compared=20, paired=20, seated=900, control_seated=890),
            (
                None,
                20,
                "both planners seat as many on each of 20 days; in all V3 seats 900, the legacy planner 890",
            ),
        ),
        (
            Days(compared=50, paired=40, better=36, worse=4, seated=900, control_seated=890),
            (
                0.1,
                40,
                "V3 seats fewer on 4 days and more on 36 of 40 days; bounds 0.003 to 0.433; in all it seats 900, "
                "the legacy planner 890",
            ),
        ),
    ],
)
def test_the_gate_of_the_days_says_on_how_many_the_planners_differ(
    days: Days, read: tuple[float | None, int, str]
) -> None:
    result = GATES["days_worse"](facts(days=days), 0.5)
    assert (result.value, result.sample, str(result.detail)) == read


@pytest.mark.parametrize(("restaurants", "allowed"), [(0, 0.3), (1, 1.0), (2, 1.0), (4, 0.5), (20, 0.3)])
def test_the_largest_restaurant_may_have_twice_an_even_share_but_no_more_than_all(
    restaurants: int, allowed: float
) -> None:
    result = GATES["largest_share"](compared(total=100, largest=40, with_bookings=restaurants), 0.3)
    assert (result.value, result.threshold, result.sample) == (0.4, allowed, 100)


@pytest.mark.parametrize(
    ("gate", "measured", "value"),
    [
        ("unsafe", facts(), None),
        ("unsafe", compared(verdicts={"unsafe": 2}), 2),
        ("days_refused", facts(days=Days(compared=9, refused=3)), 3),
        ("confirmed", live(bookings=100, confirmed=90), 0.9),
        ("parity", compared(verdicts={"better": 60, "worse": 20}), 0.75),
        ("errors", live(attempts=100, errors=5), 0.05),
        ("no_worse", replace(live(bookings=1, confirmed=1), reference_bookings=2, reference_seated=1), 0.5),
    ],
)
def test_a_gate_shows_its_value_and_nothing_without_data(gate: str, measured: Facts, value: float | None) -> None:
    assert GATES[gate](measured, 0.5).value == value


def test_the_table_above_shows_every_gate_pass_and_not_pass() -> None:
    seen: dict[str, set[Status]] = {}
    for gate, _facts, _threshold, status in CASES:
        # p95 and p99 are the same rule, for shadow and for live.
        seen.setdefault("percentile" if gate.endswith("_ms") else gate, set()).add(status)
    for gate in GATES:
        statuses = seen["percentile" if gate.endswith("_ms") else gate]
        assert Status.PASS in statuses, gate
        assert statuses - {Status.PASS}, gate


@pytest.mark.parametrize(
    ("measured", "gate", "status"),
    [
        (facts(stage_since=NOW - timedelta(hours=23)), "soak", Status.INCONCLUSIVE),
        (facts(stage_since=NOW - timedelta(hours=24)), "soak", Status.PASS),
        (facts(overlaps=1), "integrity", Status.FAIL),
        (facts(lost=1), "integrity", Status.FAIL),
        (facts(), "integrity", Status.PASS),
        (facts(drift="V3 is on"), "flags", Status.FAIL),
        (facts(seatings=Seatings(checked=50)), "seatings", Status.PASS),
        (facts(seatings=Seatings(checked=50, unsafe=1, reasons={"wrong_zone": 1})), "seatings", Status.FAIL),
        (facts(seatings=Seatings(checked=50), stage_seatings=Seatings(unsafe=1)), "seatings", Status.FAIL),
        (facts(seatings=Seatings(checked=50), unaudited=1), "seatings", Status.INCONCLUSIVE),
        (facts(stage_seatings=Seatings(checked=99, unjudged=1)), "seatings", Status.PASS),
        (facts(stage_seatings=Seatings(checked=98, unjudged=2)), "seatings", Status.INCONCLUSIVE),
        (facts(stage_seatings=Seatings(checked=98, unsafe=1, unjudged=2)), "seatings", Status.FAIL),
        (facts(seatings=Seatings(checked=50, unsafe=1), unaudited=1), "seatings", Status.FAIL),
        (facts(), "seatings", Status.INCONCLUSIVE),
    ],
)
def test_what_stands_before_every_step(measured: Facts, gate: str, status: Status) -> None:
    stage = Stage(key="canary", v3=True, percent=10, soak_hours=24)
    results = {result.gate: result for result in gates.evaluate(stage, measured)}
    assert set(results) == {"soak", "integrity", "flags", "seatings"}
    assert results[gate].status is status


def test_a_stage_is_judged_by_its_own_gates() -> None:
    shadow = DEFAULT["production"][1]
    results = gates.evaluate(shadow, NOTHING)
    assert [result.gate for result in results] == ["soak", "integrity", "flags", *shadow.gates]
    assert all(result.threshold == shadow.gates[result.gate] for result in results[3:])


@pytest.mark.parametrize(
    ("measured", "rails"),
    [
        (NOTHING, {}),
        (live(), {}),
        (live(attempts=19, errors=19), {}),
        (live(attempts=50, errors=0), {}),
        (live(attempts=50, errors=1), {}),
        # Three cases are too few, however rare they should be, and nineteen decisions.
        (live(attempts=50, errors=3), {}),
        (live(attempts=50, errors=4), {"errors": False}),
        (live(attempts=20, errors=20), {"errors": False}),
        (live(attempts=50, errors=6), {"errors": False}),
        (live(review=100), {"review": False}),
        (facts(overlaps=1), {"overlaps": True}),
        (facts(lost=1), {"lost": True}),
        (facts(seatings=Seatings(checked=100, unsafe=1)), {"unsafe_seatings": True}),
        (facts(seatings=Seatings(checked=100, avoidable_joins=10)), {}),
        (facts(seatings=Seatings(checked=100, avoidable_joins=30)), {"avoidable_joins": False}),
        (replace(live(confirmed=500), reference_seated=800, reference_bookings=1000), {"less_seated": False}),
        # The restaurants of V3 are fuller than the others, and it seats all that could be seated.
        (
            replace(
                live(bookings=140, confirmed=83, infeasible=57, attempts=140),
                reference_seated=150,
                reference_bookings=160,
            ),
            {},
        ),
        (facts(seatings=Seatings(checked=150, refusals=50, wrong_refusals=10)), {"wrong_refusals": False}),
        (facts(seatings=Seatings(checked=150, refusals=50, wrong_refusals=1)), {}),
        (facts(seatings=Seatings(checked=100, untold=8)), {"untold": False}),
        (facts(stage_seatings=Seatings(checked=100, unjudged=3)), {}),
        (facts(stage_seatings=Seatings(checked=100, unjudged=20)), {"unjudged": False}),
        (live(p95=percentile(200, 150.0, 120.0, 190.0)), {"decision_p95_ms": False}),
        (live(p95=percentile(200, 150.0, 90.0, 190.0)), {}),
        (live(p99=percentile(2000, 500.0, 400.0, 600.0)), {"decision_p99_ms": False}),
        (facts(waits_minutes=29.0, memory_growth_mb=900.0), {}),
        (facts(waits_minutes=31.0), {"waits_minutes": False}),
        (facts(memory_growth_mb=1100.0), {"memory_growth_mb": False}),
        # Small harm is seen in what adds up over the stage.
        (facts(stage_v3=Outcomes(attempts=2000, errors=10)), {"errors": False}),
        (facts(stage_v3=Outcomes(p99=percentile(9000, 500.0, 400.0, 600.0))), {"decision_p99_ms": False}),
    ],
)
def test_guardrails(measured: Facts, rails: Mapping[str, bool]) -> None:
    found = guardrails.breaches(measured, guardrails.DEFAULT)
    assert {breach.rail: breach.grave for breach in found} == rails
    for breach in found:
        kept = json.loads(json.dumps(breach.as_dict()))
        assert kept["rail"] == breach.rail
        again = guardrails.said(kept)
        assert isinstance(again, Text)
        assert (again, again.to_json()) == (breach.detail, breach.detail.to_json())
        assert kept["detail"] == breach.detail


@pytest.mark.parametrize(
    ("measured", "read"),
    [
        (facts(overlaps=2), ("overlaps", 2, 0, 1)),
        (facts(lost=2), ("lost", 2, 0, 1)),
        (facts(seatings=Seatings(checked=50, unsafe=2)), ("unsafe_seatings", 2, 0, 50)),
        (live(attempts=50, errors=5), ("errors", 0.1, 0.0001, 50)),
        (facts(seatings=Seatings(checked=30, refusals=70, wrong_refusals=20)), ("wrong_refusals", 0.2, 0.001, 100)),
        (
            facts(seatings=Seatings(checked=30, refusals=70, avoidable_by_moves=20)),
            ("avoidable_by_moves", 0.2, 0.01, 100),
        ),
        (facts(seatings=Seatings(checked=100, oversized=80)), ("oversized", 0.8, 0.3, 100)),
        (facts(seatings=Seatings(checked=30, refusals=50, dropped=20)), ("dropped", 0.2, 0.005, 100)),
        (facts(seatings=Seatings(checked=30, refusals=50, unjudged=20)), ("unjudged", 0.2, 0.01, 100)),
        (facts(seatings=Seatings(paired=100, only_legacy=20)), ("only_legacy_seats", 0.2, 0.01, 100)),
        (
            replace(live(confirmed=500), reference_seated=1000, reference_bookings=1000),
            ("less_seated", -0.5, -0.1, 1000),
        ),
        (facts(waits_minutes=31.0), ("waits_minutes", 31, 30, 1)),
        (live(p95=percentile(20, 150.0, 120.0, None)), ("decision_p95_ms", 150, 100, 20)),
    ],
)
def test_a_breach_shows_what_was_measured_against_which_limit(
    measured: Facts, read: tuple[str, float, float, int]
) -> None:
    (breach,) = guardrails.breaches(measured, guardrails.DEFAULT)
    assert (breach.rail, breach.value, breach.limit, breach.sample) == read


@pytest.mark.parametrize(
    "measured", [facts(waits_minutes=30.0, memory_growth_mb=1000.0), live(p95=percentile(200, 150.0, 100.0, None))]
)
def test_what_is_at_its_limit_is_no_breach(measured: Facts) -> None:
    assert not guardrails.breaches(measured, guardrails.DEFAULT)


def test_the_first_window_has_half_the_error_of_a_bound_and_the_second_a_sixth() -> None:
    assert [guardrails.window_error(number) for number in (1, 2)] == [ERROR / 2, ERROR / 6]


def test_a_breach_says_how_many_of_how_many() -> None:
    (breach,) = guardrails.breaches(live(attempts=50, errors=6), guardrails.DEFAULT)
    assert breach.detail == "6 of 50 attempts raised an unexpected error: proven to be above the limit of 0.01%"


def test_a_breach_that_was_kept_as_english_alone_says_that() -> None:
    assert (
        guardrails.said({"rail": "errors", "detail": "6 of 50 attempts met an error"})
        == "6 of 50 attempts met an error"
    )


def test_a_rail_that_window_and_stage_both_breach_is_named_once() -> None:
    both = replace(live(attempts=50, errors=6), stage_v3=Outcomes(attempts=500, errors=9))
    (breach,) = guardrails.breaches(both, guardrails.DEFAULT)
    assert (breach.rail, breach.sample) == ("errors", 500)


def test_all_windows_of_a_stage_share_the_error_of_one_bound() -> None:
    assert sum(guardrails.window_error(number) for number in range(1, 10_000)) <= ERROR
    late = replace(live(review=90), window=5000)
    assert guardrails.breaches(live(review=90), guardrails.DEFAULT)
    assert not guardrails.breaches(late, guardrails.DEFAULT), (
        "the proof for a window has to be stronger the later it is"
    )


def test_there_are_no_more_bounds_than_the_family_error_is_split_over() -> None:
    """Each gate may wrongly pass and wrongly fail; each rail may breach in a window and over the stage."""
    bounded = {gate for gate in GATES if gate.endswith("_ms")} | {
        "parity",
        "noise",
        "errors",
        "confirmed",
        "review",
        "no_worse",
        "days_worse",
    }
    # Parity reads a second rate, and that of each restaurant, which share one error.
    of_gates = 2 * len(bounded) + 2
    of_rails = 2 * (len(guardrails.DEFAULT) - 1 - len(guardrails.PLAIN))
    assert of_gates + of_rails <= BOUNDS

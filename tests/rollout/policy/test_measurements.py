"""Measurements: what nobody measured is zero, and what is computed from the others."""

import json
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta

import pytest

from assignments.planning.reasons import Reason
from rollout.policy.measurements import AUDITED_REASONS, Comparisons, Days, Facts, Outcomes, Percentile, Seatings

NOW = datetime(2026, 5, 2, 12, tzinfo=UTC)
EMPTY = (Comparisons(), Days(), Outcomes(), Seatings(), Percentile())
NOTHING = Facts(environment="production", stage="shadow", now=NOW, stage_since=NOW, since=NOW)


def test_what_nobody_measured_is_zero() -> None:
    given = {"environment", "stage", "now", "stage_since", "since", "window"}
    for nothing in (*EMPTY, NOTHING):
        for field in fields(nothing):
            value = getattr(nothing, field.name)
            assert field.name in given or value in EMPTY or not value, f"{type(nothing).__name__}.{field.name}"
    computed = (Comparisons().waived, Outcomes().feasible, NOTHING.reference_feasible, NOTHING.soaked_hours)
    assert computed == (0, 0, 0, 0)


def test_the_first_window_is_number_one() -> None:
    assert NOTHING.window == 1


@pytest.mark.parametrize(("total", "ceiling"), [(0, 20), (2000, 20), (2099, 20), (2100, 21), (9999, 99)])
def test_waivers_cover_one_comparison_in_a_hundred_and_at_least_twenty(total: int, ceiling: int) -> None:
    assert Comparisons(total=total).ceiling == ceiling


def test_what_no_waiver_covers_is_not_waived() -> None:
    assert Comparisons(verdicts={"worse": 5, "unsafe": 1}, not_waived={"worse": 2, "unsafe": 1}).waived == 3


def test_infeasible_bookings_are_left_out_of_what_is_feasible() -> None:
    assert Outcomes(bookings=50, infeasible=7).feasible == 43
    assert replace(NOTHING, reference_bookings=50, reference_infeasible=7).reference_feasible == 43


def test_two_audits_add_up_field_by_field_and_rule_by_rule() -> None:
    counts = [field.name for field in fields(Seatings) if field.name != "reasons"]
    one = Seatings(reasons={"wrong_zone": 2, "buffer": 1}, **{name: place for place, name in enumerate(counts, 1)})
    two = Seatings(reasons={"buffer": 3, "not_adjacent": 4}, **dict.fromkeys(counts, 100))
    both = one + two
    assert both.reasons == {"wrong_zone": 2, "buffer": 4, "not_adjacent": 4}
    assert {name: getattr(both, name) for name in counts} == {name: 100 + place for place, name in enumerate(counts, 1)}


@pytest.mark.parametrize(
    ("audits", "is_judged"),
    [
        (Seatings(), True),
        (Seatings(unjudged=1), False),
        (Seatings(checked=99, unjudged=1), True),
        (Seatings(checked=98, unjudged=1), False),
        (Seatings(checked=59, refusals=40, unjudged=1), True),
    ],
)
def test_of_a_hundred_audits_one_may_be_without_a_finding(audits: Seatings, is_judged: bool) -> None:
    assert replace(NOTHING, stage_seatings=audits).is_judged is is_judged


@pytest.mark.parametrize(
    ("reason", "is_audited"),
    [
        (Reason.NO_CAPACITY, True),
        (Reason.NO_FIT, True),
        (Reason.CLOSED, True),
        (Reason.PINNED_TABLES_UNFIT, False),
        (Reason.PINNED_TABLES_TAKEN, False),
        (Reason.PACING, False),
        (Reason.STARTS_IN_PAST, False),
    ],
)
def test_refusals_are_audited_that_free_tables_would_prove_wrong(reason: Reason, is_audited: bool) -> None:
    assert (reason in AUDITED_REASONS) is is_audited


def test_facts_are_stored_as_json_with_moments_in_iso_8601() -> None:
    measured = replace(NOTHING, stage_since=NOW - timedelta(hours=30), seatings=Seatings(checked=3), unsafe_audits=(7,))
    stored = json.loads(json.dumps(measured.as_dict()))
    assert set(stored) == {field.name for field in fields(Facts)}
    assert stored["now"] == stored["since"] == "2026-05-02T12:00:00+00:00"
    assert stored["stage_since"] == "2026-05-01T06:00:00+00:00"
    assert (stored["seatings"]["checked"], stored["unsafe_audits"]) == (3, [7])
    assert measured.soaked_hours == 30

"""Weeks of a healthy V3: an identical one, and one that is equally good, at restaurants of very different popularity.

A week has what no planner can help: one evening at one restaurant of which two refusals are misjudged, an hour in which
everything takes twenty times as long, and ten minutes without the host, after which everybody is decided at once. V3 may
also refuse wrongly, and raise, as often as is tolerated.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from math import ceil

import numpy as np

from rollout.policy import gates, guardrails
from rollout.policy.confidence import ERROR, is_above, is_below
from rollout.policy.gates import Status
from rollout.policy.ladder import LIVE, PARITY, Stage
from rollout.policy.measurements import COVERAGE, Comparisons, Facts, Outcomes, Percentile, Seatings
from rollout.policy.verdict import Verdict
from tests.power.decided import Decided

RESTAURANTS = 200
POPULARITY = 0.6
"""Sigma of the lognormal distribution of bookings over restaurants."""
A_DAY = 40
"""Bookings that a restaurant of middling popularity gets a day."""
BIN_MINUTES = 5
BINS_A_DAY = 24 * 60 // BIN_MINUTES
BINS = 7 * BINS_A_DAY
AN_HOUR = 60 // BIN_MINUTES
WRONG, RAISED = 0.001, 0.0001
"""The rates of wrong refusals and of unexpected errors that are tolerated."""
SLOWER = 20
DIFFERS = (0.01, 0.1)
"""The shares of decisions in which an equally good V3 differs, from week to week: half of them better, half worse."""
BEGAN = datetime(2030, 1, 7, tzinfo=UTC)

COUNTED = (
    *("bookings", "seated", "feasible", "errors", "refusals", "wrong", "unsafe", "oversized", "joins"),
    *("over_50", "over_100", "over_250", "better", "worse"),
    *("reference", "reference_feasible", "reference_seated"),
)


@dataclass(frozen=True, kw_only=True)
class Week:
    """A week: of each count, what came in each five minutes, added up from the beginning."""

    restaurants: int
    sums: Mapping[str, np.ndarray]

    def between(self, start: int, until: int) -> dict[str, int]:
        """What came in the bins ``[start, until)``."""
        return {name: int(sums[until] - sums[start]) for name, sums in self.sums.items()}


@dataclass(frozen=True, kw_only=True)
class Mishaps:
    """What befalls a week: the bins in which the slow hour and the outage begin, the misjudged evening's day.

    ``differs``: the share of decisions in which V3 differs from the control.
    """

    slow: int
    outage: int
    misjudged_day: int
    differs: float


def drawn(source: np.random.Generator, levels: Sequence[Decided], *, equally_good: bool) -> Week:
    """A week at 1 to 200 restaurants, of which V3 has a tenth to all."""
    restaurants = round(float(np.exp(source.uniform(0, np.log(RESTAURANTS)))))
    popularity = source.lognormal(0, POPULARITY, restaurants)
    mine = max(1, round(restaurants * source.choice([0.1, 0.5, 1.0])))
    counts = {name: np.zeros(BINS, dtype=np.int64) for name in COUNTED}
    # Fuller restaurants are those that are more popular.
    places = np.clip((popularity / 2.5 * len(levels)).astype(int), 0, len(levels) - 1)
    misjudged = int(source.integers(mine))
    mishaps = Mishaps(
        slow=_some_hour(source),
        outage=_some_hour(source),
        misjudged_day=int(source.integers(7)),
        differs=float(source.uniform(*DIFFERS)) if equally_good else 0.0,
    )
    for restaurant in range(restaurants):
        level = levels[places[restaurant]]
        bins = _moments(source, int(source.poisson(7 * A_DAY * popularity[restaurant])))
        picks = source.integers(len(level.seated), size=len(bins))
        if restaurant >= mine:
            _add(counts, "reference", bins)
            _add(counts, "reference_feasible", bins[level.feasible[picks]])
            _add(counts, "reference_seated", bins[level.seated[picks]])
        else:
            _decide(counts, source, level, bins, picks, mishaps, is_misjudged=restaurant == misjudged)
    return Week(
        restaurants=restaurants,
        sums={name: np.concatenate([[0], np.cumsum(values)]) for name, values in counts.items()},
    )


def _moments(source: np.random.Generator, number: int) -> np.ndarray:
    """When so many bookings are made: from nine to ten in the evening, most of them in the afternoon."""
    days = source.integers(7, size=number)
    hours = np.clip(source.normal(16, 3, number), 9, 21.99)
    return np.sort(days * BINS_A_DAY + (hours * 60 / BIN_MINUTES).astype(int))


def _decide(
    counts: dict[str, np.ndarray],
    source: np.random.Generator,
    level: Decided,
    bins: np.ndarray,
    picks: np.ndarray,
    mishaps: Mishaps,
    *,
    is_misjudged: bool,
) -> None:
    number = len(bins)
    seated, feasible = level.seated[picks].copy(), level.feasible[picks].copy()
    refusals, wrong = level.audited_refusal[picks].copy(), level.wrong_refusal[picks].copy()
    turned = seated & (source.random(number) < WRONG)
    if is_misjudged:
        that_evening = np.flatnonzero(seated & (bins // BINS_A_DAY == mishaps.misjudged_day))
        turned[that_evening[:2]] = True
    seated[turned], refusals[turned], wrong[turned] = False, True, True
    raised = source.random(number) < RAISED
    milliseconds = level.milliseconds[picks].copy()
    milliseconds[(bins >= mishaps.slow) & (bins < mishaps.slow + AN_HOUR)] *= SLOWER
    outage = mishaps.outage
    bins = np.where((bins >= outage) & (bins < outage + 2), outage + 2, bins)
    _add(counts, "bookings", bins)
    for name, which in (
        ("seated", seated),
        ("feasible", feasible),
        ("errors", raised),
        ("refusals", refusals),
        ("wrong", wrong),
        ("unsafe", level.unsafe[picks]),
        ("oversized", level.oversized[picks] & seated),
        ("joins", level.avoidable_join[picks] & seated),
        ("over_50", milliseconds > 50),
        ("over_100", milliseconds > 100),
        ("over_250", milliseconds > 250),
    ):
        _add(counts, name, bins[which])
    if mishaps.differs:
        differing = seated & (source.random(number) < mishaps.differs)
        better = differing & (source.random(number) < 0.5)
        _add(counts, "better", bins[better])
        _add(counts, "worse", bins[differing & ~better])


def _some_hour(source: np.random.Generator) -> int:
    """The bin in which an hour of the week begins, while bookings come."""
    return int(source.integers(7)) * BINS_A_DAY + int(source.integers(10, 21)) * AN_HOUR


def _add(counts: dict[str, np.ndarray], name: str, bins: np.ndarray) -> None:
    counts[name] += np.bincount(bins, minlength=BINS)


SHADOW = Stage(key="shadow", shadow=True, gates=PARITY)
DECIDES = Stage(key="canary", v3=True, percent=10, gates=LIVE)


def alarms(week: Week) -> list[str]:
    """What a week breaches and fails: each guardrail and each gate once."""
    found = dict.fromkeys(_breached(week))
    for day in range(1, 8):
        for stage, facts in ((SHADOW, compared(week, day)), (DECIDES, decided(week, day * BINS_A_DAY))):
            found.update(
                (f"gate {result.gate}", None) for result in gates.evaluate(stage, facts) if result.status is Status.FAIL
            )
    return list(found)


def _breached(week: Week) -> list[str]:
    """Run the guard every five minutes. Where nothing came since, it finds what it has found."""
    found, bookings = [], week.sums["bookings"]
    hours = guardrails.DEFAULT["window_minutes"] / 60
    assert hours == 1, "the windows here are of an hour"
    for now in range(1, BINS + 1):
        if bookings[now] > bookings[now - 1]:
            found += [breach.rail for breach in guardrails.breaches(decided(week, now), guardrails.DEFAULT)]
    return found


def decided(week: Week, now: int) -> Facts:
    """What the guard measures at the end of this many bins."""
    number = max(1, now // AN_HOUR)
    start = (number - 1) * AN_HOUR
    window, stage = week.between(start, now), week.between(0, now)
    error = guardrails.window_error(number)
    # The windows of odd numbers do not overlap.
    whole = stage if number % 2 else week.between(0, number * AN_HOUR)
    moment = BEGAN + timedelta(minutes=BIN_MINUTES * now)
    return Facts(
        environment="production",
        stage=DECIDES.key,
        now=moment,
        stage_since=BEGAN,
        since=BEGAN + timedelta(minutes=BIN_MINUTES * start),
        v3=outcomes(window, error),
        seatings=seatings(window),
        stage_v3=outcomes(stage, ERROR),
        stage_seatings=seatings(whole),
        window=number,
        reference_seated=window["reference_seated"],
        reference_bookings=window["reference"],
        reference_infeasible=window["reference"] - window["reference_feasible"],
    )


def compared(week: Week, day: int) -> Facts:
    """What gates measure of shadow mode at the end of this day."""
    seen = week.between(0, day * BINS_A_DAY)
    total = seen["bookings"]
    verdicts: dict[str, int] = {Verdict.BETTER: seen["better"], Verdict.WORSE: seen["worse"]}
    verdicts[Verdict.SAME_TABLES] = total - seen["better"] - seen["worse"]
    moment = BEGAN + timedelta(days=day)
    return Facts(
        environment="production",
        stage=SHADOW.key,
        now=moment,
        stage_since=BEGAN,
        since=BEGAN,
        comparisons=Comparisons(
            total=total,
            verdicts=verdicts,
            not_waived=verdicts,
            expected=total,
            compared_live=total,
            asked_twice=total,
            repeated=total,
            p95=percentile(seen["over_50"], total, 0.95, 50, ERROR),
            p99=percentile(seen["over_100"], total, 0.99, 100, ERROR),
        ),
        coverage=dict.fromkeys(COVERAGE, total),
    )


def outcomes(count: Mapping[str, int], error: float) -> Outcomes:
    """As the guard counts them."""
    bookings = count["bookings"]
    return Outcomes(
        bookings=bookings,
        confirmed=count["seated"],
        review=count["wrong"],
        infeasible=bookings - count["feasible"],
        attempts=bookings + count["errors"],
        errors=count["errors"],
        p95=percentile(count["over_100"], bookings, 0.95, 100, error),
        p99=percentile(count["over_250"], bookings, 0.99, 250, error),
    )


def seatings(count: Mapping[str, int]) -> Seatings:
    """As the audit counts them."""
    return Seatings(
        checked=count["seated"],
        unsafe=count["unsafe"],
        avoidable_joins=count["joins"],
        oversized=count["oversized"],
        refusals=count["refusals"],
        wrong_refusals=count["wrong"],
    )


def percentile(over: int, sample: int, quantile: float, limit: float, error: float) -> Percentile:
    """A percentile that is above the limit, or below it, exactly if that is proven: all that is asked of it."""
    if not sample:
        return Percentile()
    is_over = sample - over < ceil(quantile * sample)
    return Percentile(
        sample=sample,
        value=limit + 1 if is_over else limit - 1,
        lower=limit + 1 if is_above(over, sample, 1 - quantile, error=error) else 0.0,
        upper=limit - 1 if is_below(over, sample, 1 - quantile, error=error) else limit * 100,
    )

"""Measure the generated evenings in pure Python: ``python -m tests.evenings.measure [--orders N] [SEED ...]``.

For each evening: how many are seated one booking at a time, in seeded random orders, without and with moves; in one
pass with everything pending; and how many are possible. ``--ratio R``: with only as many of its bookings as make R times
what is possible. ``--exact N``: in the first N orders, which take minutes each, also how many somebody seats who moves
confirmed parties whenever that helps at all. ``--refusals N``: only how many of N refusals, drawn from all of these, the
solver can refute: it finds a seat by moving parties that may move. ``--afterwards``: only how many of those refused in the
first order the solver seats afterwards, as ``optimize_evenings`` does. Needs the extra ``optimizer``.
"""

import random
import time
from argparse import ArgumentParser
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import mean, median

from assignments.integration.evening_file import EveningFile
from assignments.planning import optimum
from assignments.planning.optimum import Problem
from tests.evenings import SEEDS, load
from tests.evenings.playing import NOW, in_one_pass, one_by_one, one_by_one_exactly, shuffled


@dataclass(frozen=True, kw_only=True, slots=True)
class Measured:
    """One evening. ``fixed``, ``moving``, ``exact``: seated in each order. ``moved``: parties, in all orders together."""

    bookings: int
    possible: int
    is_proven: bool
    fixed: tuple[int, ...]
    moving: tuple[int, ...]
    exact: tuple[int, ...]
    moved: int
    rearrangements: int
    one_pass: int

    @property
    def moved_each_time(self) -> float:
        """Return how many parties a re-arrangement moved on average."""
        return self.moved / max(self.rearrangements, 1)

    @property
    def moved_for_each_more(self) -> float:
        """Return how many parties moved for each booking that is seated beyond those that are seated without moves."""
        return self.moved / max(sum(self.moving) - sum(self.fixed), 1)


def thinned(evening: EveningFile, seed: int, ratio: float) -> EveningFile:
    """Return the evening with fewer bookings, at least ``ratio`` times as many as are possible; all if it has fewer.

    They are the first ones of an order that the seed shuffles, as few tens as will do. The number is found by bisection.
    """
    rows = sorted(evening.bookings, key=lambda row: row.ref)
    random.Random(f"thinned {seed}").shuffle(rows)

    def first(count: int) -> EveningFile:
        return replace(evening, bookings=tuple(rows[:count]))

    counts = range(10, len(rows), 10)
    tens = bisect_left(counts, ratio, key=lambda count: count / possible(first(count)).value)
    return first(10 + 10 * tens)


def possible(evening: EveningFile) -> optimum.Optimum:
    """Return the most bookings that the evening's tables can seat."""
    requests = tuple(replace(request, requested_at=None) for request in evening.requests())
    return optimum.possible(Problem(floor=evening.floor(), occupied=(), movable=(), requests=requests, now=NOW))


def measure(evening: EveningFile, *, orders: int, exact: int = 0) -> Measured:
    """Play the evening in so many orders, and in ``exact`` of them with a solver as well."""
    floor, requests = evening.floor(), evening.requests()
    best = possible(evening)
    fixed = [one_by_one(floor, shuffled(requests, seed), moves=False) for seed in range(orders)]
    moving = [one_by_one(floor, shuffled(requests, seed), moves=True) for seed in range(orders)]
    return Measured(
        bookings=len(requests),
        possible=best.value,
        is_proven=best.is_proven,
        fixed=tuple(len(played.seated) for played in fixed),
        moving=tuple(len(played.seated) for played in moving),
        exact=tuple(len(one_by_one_exactly(floor, shuffled(requests, seed)).seated) for seed in range(exact)),
        moved=sum(played.moved for played in moving),
        rearrangements=sum(played.rearrangements for played in moving),
        one_pass=in_one_pass(floor, requests),
    )


def optimize_afterwards(seeds: Sequence[int], *, ratio: float | None) -> None:
    """Print what the solver makes of each evening once V3 has decided its bookings one by one."""
    print("seed bookings  v3  waiting  seated  of at most  moved     seconds")
    for seed in seeds:
        evening = thinned(load(seed), seed, ratio) if ratio else load(seed)
        refusals: list[Problem] = []
        asked = shuffled(evening.requests(), 0)
        played = one_by_one(evening.floor(), asked, moves=True, on_refusal=refusals.append)
        problem = Problem(
            floor=evening.floor(),
            occupied=tuple(played.occupied()),
            movable=tuple(played.seated.values()),
            requests=tuple(each for refusal in refusals for each in refusal.requests),
            now=NOW,
        )
        started = time.perf_counter()
        answer = optimum.solve(problem)
        print(
            f"{seed:4} {len(asked):8} {len(played.seated):3} {len(refusals):8} {answer.value:7} {answer.bound:11} "
            f"{len(answer.moves):6} {'fewest' if answer.has_fewest_moves else '':6} {time.perf_counter() - started:4.1f}",
            flush=True,
        )


def refute(seeds: Sequence[int], *, orders: int, ratio: float | None, count: int) -> None:
    """Print how many of ``count`` refusals the solver refutes, how many parties move for it, and how long it takes."""
    refusals: list[Problem] = []
    for seed in seeds:
        evening = thinned(load(seed), seed, ratio) if ratio else load(seed)
        for order in range(orders):
            asked = shuffled(evening.requests(), order)
            one_by_one(evening.floor(), asked, moves=True, on_refusal=refusals.append)
    drawn = random.Random("refusals").sample(refusals, min(count, len(refusals)))
    moves, seconds, open_ones = [], [], 0
    for problem in drawn:
        started = time.perf_counter()
        answer = optimum.solve(problem)
        seconds.append(time.perf_counter() - started)
        open_ones += not answer.is_proven
        if answer.seated:
            moves.append(len(answer.moves))
    print(f"{len(drawn)} of {len(refusals)} refusals; {len(moves)} refuted, {open_ones} neither refuted nor confirmed")
    if moves:
        few = ", ".join(f"{sum(1 for each in moves if each <= most)} by at most {most}" for most in (2, 4, 6, 10))
        print(f"moved for each: median {median(moves):.0f}, {min(moves)} to {max(moves)}; {few}")
    print(f"seconds: median {median(seconds):.2f}, at most {max(seconds):.2f}")


def main() -> None:
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("seeds", nargs="*", type=int, default=list(SEEDS))
    parser.add_argument("--orders", type=int, default=20)
    parser.add_argument("--exact", type=int, default=0, metavar="N")
    parser.add_argument("--ratio", type=float, metavar="R")
    parser.add_argument("--refusals", type=int, metavar="N")
    parser.add_argument("--afterwards", action="store_true")
    options = parser.parse_args()
    if options.afterwards:
        optimize_afterwards(options.seeds or SEEDS, ratio=options.ratio)
        return
    if options.refusals:
        refute(options.seeds or SEEDS, orders=options.orders, ratio=options.ratio, count=options.refusals)
        return
    print(
        "seed bookings possible       ratio  v3-fixed      v3  one pass   moved: each time  for each more  of the exact"
    )
    shares = []
    for seed in options.seeds or SEEDS:
        evening = thinned(load(seed), seed, options.ratio) if options.ratio else load(seed)
        found = measure(evening, orders=options.orders, exact=options.exact)
        of_exact = f"{sum(found.moving[: options.exact]) / sum(found.exact):.1%}" if found.exact else ""
        shares.append([mean(found.fixed) / found.possible, mean(found.moving) / found.possible])
        print(
            f"{seed:4} {found.bookings:8} {found.possible:8} {'proven' if found.is_proven else 'found ':6} "
            f"{found.bookings / found.possible:4.2f} {shares[-1][0]:9.1%} {shares[-1][1]:7.1%} "
            f"{found.one_pass / found.possible:9.1%} {found.moved_each_time:18.2f} {found.moved_for_each_more:14.2f} "
            f"{of_exact:>13}",
            flush=True,
        )
    print(f"mean {'':29} {mean(fixed for fixed, _ in shares):9.1%} {mean(moving for _, moving in shares):7.1%}")


if __name__ == "__main__":
    main()

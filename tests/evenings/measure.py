"""Measure the generated evenings in pure Python: ``python -m tests.evenings.measure [--orders N] [SEED ...]``.

For each evening: how many are seated one booking at a time, in seeded random orders, without and with moves; in one
pass with everything pending; and how many are possible. ``--exact N``: in the first N orders, which take minutes each, also
how many somebody seats who moves confirmed parties whenever that helps at all. Needs the extra ``optimizer``.
"""

from argparse import ArgumentParser
from dataclasses import dataclass, replace
from statistics import mean

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


def main() -> None:
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("seeds", nargs="*", type=int, default=list(SEEDS))
    parser.add_argument("--orders", type=int, default=20)
    parser.add_argument("--exact", type=int, default=0, metavar="N")
    options = parser.parse_args()
    print("seed bookings possible       ratio  v3-fixed      v3  one pass  moved per re-arrangement  of the exact")
    shares = []
    for seed in options.seeds or SEEDS:
        found = measure(load(seed), orders=options.orders, exact=options.exact)
        of_exact = f"{sum(found.moving[: options.exact]) / sum(found.exact):12.1%}" if found.exact else ""
        shares.append([mean(found.fixed) / found.possible, mean(found.moving) / found.possible])
        print(
            f"{seed:4} {found.bookings:8} {found.possible:8} {'proven' if found.is_proven else 'found ':6} "
            f"{found.bookings / found.possible:4.2f} {shares[-1][0]:9.1%} {shares[-1][1]:7.1%} "
            f"{found.one_pass / found.possible:9.1%} {found.moved / max(found.rearrangements, 1):9.2f} {of_exact:>28}",
            flush=True,
        )
    print(f"mean {'':29} {mean(fixed for fixed, _ in shares):9.1%} {mean(moving for _, moving in shares):7.1%}")


if __name__ == "__main__":
    main()

"""``make power``: simulate weeks of a healthy V3, which nothing may stop, and faults, which must be found.

It exits with 1 if a figure is missed.

``python -m tests.power [--weeks 1000] [--seed 0] [--database]``
"""

import argparse
import os
import sys
import time
from collections import Counter

import numpy as np


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--weeks", type=int, default=1000, help="Weeks of each healthy V3 (default: 1000).")
    parser.add_argument("--seed", type=int, default=0, help="Random seed (default: 0).")
    parser.add_argument(
        "--database",
        action="store_true",
        help="Instead, play ten weeks on a database of its own, in which V3 decides and `rollout guard` checks.",
    )
    options = parser.parse_args()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
    import django

    django.setup()
    if options.database:
        return _on_the_database(options.seed)
    from tests.power import decided, faults, weeks

    started = time.monotonic()
    levels = decided.evenings(seed=options.seed)
    print(f"{sum(len(each.seated) for each in levels)} decisions by the engine, {time.monotonic() - started:.0f} s")
    missed = 0
    # Of fewer weeks one may be stopped by chance.
    allowed = max(1, options.weeks * 4 // 1000)
    print(f"{'what':58}{'measured':>14}{'required':>16}")
    for number, (name, equally_good) in enumerate((("identical V3", False), ("equally good V3", True))):
        source = np.random.default_rng([options.seed, number])
        stopped, by = 0, Counter[str]()
        for week in range(options.weeks):
            found = weeks.alarms(weeks.drawn(source, levels, equally_good=equally_good))
            stopped += bool(found)
            by.update(found)
            if sys.stderr.isatty():
                print(f"\r{name}: {week + 1} of {options.weeks} weeks", end="", file=sys.stderr)
        what = f"{name}: weeks with an alarm or a failed gate"
        missed += _row(what, f"{stopped} of {options.weeks}", f"at most {allowed}", ok=stopped <= allowed)
        for alarm, times in by.most_common():
            print(f"    {alarm}: {times}")
    source = np.random.default_rng([options.seed, 2])
    runs = max(300, options.weeks)
    for fault in faults.FAULTS:
        share = faults.found(source, fault, runs=runs)
        what = f"{fault.what}, found within {fault.within} decisions"
        missed += _row(what, f"{share:.1%}", f"at least {fault.share:.0%}", ok=share >= fault.share)
    share = faults.unsafe_found(source, runs=runs)
    what = f"one unsafe seating at {faults.MANY_RESTAURANTS} restaurants, by windows alone"
    missed += _row(what, f"{share:.1%}", "at least 65%", ok=share >= 0.65)
    print(f"{time.monotonic() - started:.0f} s")
    return 1 if missed else 0


def _on_the_database(seed: int) -> int:
    from django.conf import settings
    from django.test.utils import override_settings

    from example import demo_database
    from tests.power import database

    started = time.monotonic()
    demo_database.use_another("_power")
    with override_settings(ROLLOUT={**settings.ROLLOUT, "ENVIRONMENT": "production"}):
        healthy = [database.week(seed * WEEKS_STORED + number) for number in range(WEEKS_STORED)]
        faulty = database.week(seed, wrongly_refused=0.05)
    stopped = sum(bool(each.breached) for each in healthy)
    decisions = [sum(getattr(each, name) for each in healthy) for name in ("decisions", "audits", "guard_runs")]
    print("{} decisions, {} audits, {} runs of the guard".format(*decisions))
    print(f"{'what':58}{'measured':>14}{'required':>16}")
    what = f"identical V3: weeks with an alarm ({dict(sum((each.breached for each in healthy), Counter()))})"
    missed = 0
    missed += _row(what, f"{stopped} of {WEEKS_STORED}", "none", ok=not stopped)
    what = f"5 % wrong refusals: rolled back to {faulty.stage} by {', '.join(faulty.breached)}"
    missed += _row(what, f"{faulty.decisions} decisions", "within the week", ok="wrong_refusals" in faulty.breached)
    print(f"{time.monotonic() - started:.0f} s")
    return 1 if missed else 0


WEEKS_STORED = 10


def _row(what: str, measured: str, required: str, *, ok: bool) -> bool:
    print(f"{what:58}{measured:>14}{required:>16}{'' if ok else '   MISSED'}")
    return not ok


if __name__ == "__main__":
    sys.exit(main())

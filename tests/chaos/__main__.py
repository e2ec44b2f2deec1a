"""``python -m tests.chaos``: inject every fault, one after the other; a run that was interrupted resumes where it stopped.

A result counts only for the code that produced it. The Debian packages that faults need are checked before the first one.

Exit code 1 when anything is violated, or a fault never occurred in the flow that it was meant for.
"""

import argparse
import hashlib
import json
import sys
import time
from dataclasses import asdict
from pathlib import Path

from tests.chaos.server import Server
from tests.chaos.setting_up import PROJECT, STATE, set_up

TRIED = ("assignments", "rollout", "example", "tests/chaos")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--state", type=Path, default=STATE, help="Folder of the server and the results.")
    parser.add_argument("--only", metavar="NAME", action="append", help="Only faults whose name contains this.")
    parser.add_argument("--quick", action="store_true", help="Only some points of each flow.")
    parser.add_argument("--anew", action="store_true", help="Forget the results of an earlier run.")
    parser.add_argument("--json", action="store_true", help="One JSON object for each fault.")
    parser.add_argument("--list", action="store_true", help="List the faults and exit.")
    options = parser.parse_args()
    with set_up(options.state) as server:
        return run(options, server)


def version_of_the_code() -> str:
    """A digest of what is tried and of what tries it: the results of another version say nothing about this one."""
    found = hashlib.sha256()
    for path in sorted(path for folder in TRIED for path in (PROJECT / folder).rglob("*.py")):
        found.update(f"{path.relative_to(PROJECT)}\n".encode() + path.read_bytes())
    return found.hexdigest()[:12]


def run(options: argparse.Namespace, server: Server) -> int:
    from tests.chaos import enumerated, faults
    from tests.chaos.result import HEAD, Result
    from tests.chaos.world import World
    from tests.sandboxes import forked

    world = World(server)
    wanted = [*enumerated.all_of_them(world, is_quick=options.quick), *faults.all_of_them(world)]
    if options.only:
        wanted = [(name, test) for name, test in wanted if any(part in name for part in options.only)]
    if options.list:
        print("\n".join(name for name, _test in wanted))
        return 0
    missing = faults.missing_programs(name for name, _test in wanted)
    if missing:
        raise SystemExit("\n".join(missing))
    file = options.state / ("quick.jsonl" if options.quick else "results.jsonl")
    if options.anew:
        file.unlink(missing_ok=True)
    version, done = version_of_the_code(), {}
    if file.exists():
        rows = [json.loads(line) for line in file.read_text().splitlines()]
        done = {row["fault"]: Result(**row) for row in rows if row.pop("version", "") == version}
    started, results = time.monotonic(), []
    if not options.json:
        print(HEAD, flush=True)
    with forked():
        for name, test in wanted:
            result = done.get(name)
            if result is None or options.only:
                result = test()
                with file.open("a") as results_file:
                    results_file.write(json.dumps({"version": version, **asdict(result)}) + "\n")
            results.append(result)
            print(json.dumps(asdict(result)) if options.json else result, flush=True)
    violations = sum(len(result.violations) for result in results)
    missed = sum(result.missed for result in results)
    if not options.json:
        tried = sum(result.count for result in results)
        minutes = (time.monotonic() - started) / 60
        print(
            f"{tried} faults of {len(results)} kinds in {minutes:.1f} minutes, {missed} missed, {violations} violations."
        )
    return int(violations > 0 or missed > 0)


if __name__ == "__main__":
    sys.exit(main())

"""``make mutants``: make small mistakes in the code that decides, one at a time, and see whether a test notices each.

A run that was interrupted resumes where it stopped. Exit code 1 when fewer than 85 % of the mistakes are noticed.
"""

import argparse
import hashlib
import json
import random
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parents[2]
STATE = PROJECT / ".mutants"
MUTATED = (
    "assignments/planning/*.py",
    "assignments/lifecycle/ledger.py",
    "assignments/lifecycle/transitions.py",
    "rollout/policy/*.py",
)
LEAST_KILLED = 0.85
DATABASE = "mutants"
FEW_TESTS = "tests/assignments/lifecycle/test_ledger.py"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument("--count", type=int, default=500, help="How many mistakes to try (default 500).")
    parser.add_argument("--seed", type=int, default=0, help="Random seed of the choice (default 0).")
    parser.add_argument("--only", metavar="FILE", action="append", help="Only in files whose path contains this.")
    parser.add_argument("--most-seconds", type=float, default=60, help="Seconds of tests for one mistake (default 60).")
    parser.add_argument("--anew", action="store_true", help="Forget earlier results, and which test runs which line.")
    parser.add_argument("--json", action="store_true", help="One JSON object for each mistake.")
    parser.add_argument("--state", type=Path, default=STATE, help="Folder of the results.")
    return run(parser.parse_args())


def run(options: argparse.Namespace) -> int:
    import django.test  # noqa: F401  (warm before each fork; nothing of the project may be)
    import psycopg  # noqa: F401

    from tests.mutants.covering import TESTS, Covering
    from tests.mutants.operators import mutants_of
    from tests.mutants.running import TIMEOUT, verdict

    options.state.mkdir(parents=True, exist_ok=True)
    results = options.state / "results.jsonl"
    recorded = options.state / "covering.json"
    if options.anew:
        results.unlink(missing_ok=True)
        recorded.unlink(missing_ok=True)
    files = sorted(str(path.relative_to(PROJECT)) for pattern in MUTATED for path in PROJECT.glob(pattern))
    wanted = [file for file in files if not options.only or any(part in file for part in options.only)]
    if not wanted:
        raise SystemExit(f"No file that is mutated has {' or '.join(options.only)} in its path.")
    sources = {file: (PROJECT / file).read_text() for file in files}
    version = digest([*MUTATED, *(f"{tests}/**/*.py" if not tests.endswith(".py") else tests for tests in TESTS)])
    record(files, recorded, version)
    covering, done = Covering(recorded), known(results)
    chosen = [mutant for file in wanted for mutant in mutants_of(sources[file], file)]
    total = len(chosen)
    if total > options.count:
        chosen = random.Random(options.seed).sample(chosen, options.count)
    started, survived, anew = time.monotonic(), 0, False
    for mutant in chosen:
        row = done.get(mutant.name)
        if row is None or not stands(row, sources[mutant.file]):
            tests = covering.tests(mutant.file, mutant.first, mutant.last, most_seconds=options.most_seconds)
            limit = 30 + 3 * options.most_seconds
            found = verdict(mutant, sources[mutant.file], tests, database=DATABASE, most_seconds=limit, anew=anew)
            anew = found.by == TIMEOUT
            row = {"name": mutant.name, "tests": len(tests), **asdict(found)}
            row |= {"source": digest_of(sources[mutant.file]), "test": digest_of(text_of(found.by))}
            with results.open("a") as file:
                file.write(json.dumps(row) + "\n")
        survived += not row["by"]
        print(json.dumps(row) if options.json else line(row), flush=True)
    killed = len(chosen) - survived
    share = killed / len(chosen) if chosen else 1.0
    if not options.json:
        minutes = (time.monotonic() - started) / 60
        print(f"{killed} of {len(chosen)} noticed ({share:.0%}), of {total} that could be made; {minutes:.1f} minutes.")
    return int(share < LEAST_KILLED)


def line(row: dict[str, Any]) -> str:
    end = f"by {row['by']}" if row["by"] else f"SURVIVES {row['tests']} tests"
    return f"{row['seconds']:6.1f} s  {row['name']}  {end}"


def known(file: Path) -> dict[str, dict[str, Any]]:
    if not file.exists():
        return {}
    rows = map(json.loads, file.read_text().splitlines())
    return {row["name"]: row for row in rows}


def stands(row: dict[str, Any], source: str) -> bool:
    """Whether a result need not be found again: the mistake was noticed, and neither file has changed since.

    A survivor is tried again, because there may be a test for it by now.
    """
    return bool(row["by"]) and row["source"] == digest_of(source) and row["test"] == digest_of(text_of(row["by"]))


def text_of(test: str) -> str:
    """The text of the file with this test; empty for what is no test, as a timeout."""
    file = PROJECT / test.partition("::")[0].partition(" ")[0]
    return file.read_text() if test and file.is_file() else ""


def digest_of(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def digest(patterns: list[str]) -> str:
    """Of the names and texts of these files: what was found with other ones is not known of these."""
    found = hashlib.sha256()
    for path in sorted({path for pattern in patterns for path in PROJECT.glob(pattern)}):
        text = path.read_bytes()
        found.update(f"{path.relative_to(PROJECT)} {len(text)}\n".encode() + text)
    return found.hexdigest()[:12]


def record(files: list[str], file: Path, version: str) -> None:
    """Run the tests without any mistake, on a new database. They all have to pass.

    Which runs which line is noted once for each version of code and tests. After that a few tests say whether all is
    well, and leave the database.
    """
    from tests.mutants.covering import TESTS, Recorder, version_of
    from tests.mutants.running import in_a_child, run_tests

    is_known = version_of(file) == version
    tests = [FEW_TESTS] if is_known else ["--quick", *TESTS]

    def work() -> str:
        recorder = Recorder(files, PROJECT)
        code = run_tests(tests, recorder, database=DATABASE, anew=True)
        if code == 0 and not is_known:
            recorder.store(file, version)
        return recorder.failed or ("" if code == 0 else f"pytest ends with {code}")

    print("The tests without any mistake ...", file=sys.stderr, flush=True)
    said = in_a_child(work, 3600)
    if said != "":
        raise SystemExit(f"The tests do not pass without any mistake: {said or 'they never end'}.")


if __name__ == "__main__":
    sys.exit(main())

"""The same snapshot has the same answer in every process, whatever its hashes are salted with."""

import os
import subprocess
import sys
from pathlib import Path


def test_hash_and_plan_are_the_same_in_every_process() -> None:
    code = (
        "from assignments.planning.engine import plan, snapshot_hash\n"
        "from tests.assignments.planning.restaurant import real_day, snapshot, taken\n"
        "on, requests = real_day()\n"
        "one = snapshot(on, requests[50], taken('D1-T04', '17:00', '19:00'), success={'D1-T05': .3, 'D2-T01': .7})\n"
        "print(snapshot_hash(one), plan(one))"
    )
    answers = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": seed},
            cwd=Path(__file__).parents[3],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("0", "1", "4711")
    }
    assert len(answers) == 1

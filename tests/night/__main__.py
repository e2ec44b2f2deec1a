"""``make test-night``: all tests but those of a browser and Prometheus, by a clock that says other times."""

import argparse
import os
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from tests.night import clock

MOMENTS = (
    datetime.fromisoformat("2026-03-28T23:50+00:00"),
    datetime.fromisoformat("2026-10-24T23:50+01:00"),
    datetime.fromisoformat("2028-02-29T23:50+00:00"),
    datetime.fromisoformat("2026-07-15T12:00+01:00"),
)
"""Ten to midnight in London before each change of clocks and on the day that few years have; and a day in summer."""

OF_PROGRAMS_WITH_A_CLOCK_OF_THEIR_OWN = (
    "--ignore=tests/browser",
    "--ignore=tests/ops/test_prometheus.py",  # Programs in Go ask the kernel, whatever is preloaded.
    "--deselect=tests/example/test_incidents.py"
    "::test_a_real_prometheus_has_the_metrics_and_fires_the_alerts_that_each_names",
)


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="make test-night",
        description="Run all tests but those of a browser and Prometheus, by a clock that says other times.",
    )
    parser.add_argument(
        "--at",
        type=_moment,
        nargs="+",
        default=MOMENTS,
        metavar="TIME",
        help="ISO 8601, with the difference from UTC, such as 2026-03-28T23:50+00:00 (default: ten to midnight in London "
        "before each change of clocks and on 29 February, and a noon in summer).",
    )
    options, pytest_arguments = parser.parse_known_args()
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)  # Root's server runs as another user.
        try:
            library = clock.build(Path(folder))
        except (OSError, subprocess.CalledProcessError) as error:
            print(f"The clock's library cannot be compiled: {error}. Is there a C compiler (cc)?", file=sys.stderr)
            return 2
        codes = [_run(moment, library, pytest_arguments) for moment in options.at]
        return int(any(codes))  # Whatever they are: a run that a signal ended has a negative one.


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text} is no time: {error}.") from None
    if moment.tzinfo is None:
        raise argparse.ArgumentTypeError(f"{text} does not say how far it is from UTC; add +00:00, say.")
    return moment


def _run(moment: datetime, library: Path, pytest_arguments: list[str]) -> int:
    print(f"The clock says {moment.isoformat(timespec='minutes')}.", flush=True)
    # A server of its own, which has the same clock.
    memory = Path("/dev/shm") if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(dir=memory, prefix="table-assignments-night-", ignore_cleanup_errors=True) as data:
        ahead = round((moment - datetime.now(UTC)).total_seconds())
        command = [sys.executable, "-m", "pytest", "--dist", "loadgroup", "--no-loadscope-reorder", "-n", "2", "-q"]
        ended = subprocess.run(
            [*command, "-p", "no:cacheprovider", *OF_PROGRAMS_WITH_A_CLOCK_OF_THEIR_OWN, *pytest_arguments],
            env={**os.environ, **clock.variables(library, ahead), "EMBEDDED_POSTGRES_DATA": f"{data}/data"},
            check=False,
        )
    return ended.returncode


if __name__ == "__main__":
    sys.exit(main())

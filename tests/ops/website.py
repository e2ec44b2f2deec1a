"""The running example: its web server, in a process of its own, on the test's database."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import NamedTemporaryFile

from tests.example import processes
from tests.ops.prometheus import Target, free_port, wait_for_answer

TOKEN = "said by Prometheus alone, in tests"
VARIABLES = {"METRICS_TOKEN": TOKEN, "TEST_METRICS": "fresh"}


@contextmanager
def running(**extra: str) -> Iterator[Target]:
    """The example, as a target whose metrics are asked of the database at each scrape; stopped at the end."""
    address = f"127.0.0.1:{free_port()}"
    with NamedTemporaryFile("w+") as log:
        process = subprocess.Popen(
            # As a WSGI server does it, which checks nothing and imports only what the apps themselves import.
            [sys.executable, "manage.py", "runserver", "--noreload", "--skip-checks", address],
            cwd=processes.PROJECT,
            env=processes.environment(**VARIABLES, **extra),
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        try:
            wait_for_answer(f"http://{address}/health/", process, Path(log.name))
            yield Target(address=address, token=TOKEN)
        finally:
            process.terminate()
            process.wait(timeout=20)

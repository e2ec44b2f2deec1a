"""The running example: its web server, in a process of its own, on the test's database."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import NamedTemporaryFile

from tests.example import processes
from tests.ops.prometheus import Target, free_port, wait_for_answer

TOKEN = "said by Prometheus alone, in tests"  # noqa: S105


@contextmanager
def running(**extra: str) -> Iterator[Target]:
    """The example, as a target whose metrics are asked of the database at each scrape; stopped at the end."""
    address = f"127.0.0.1:{free_port()}"
    with NamedTemporaryFile("w+") as log:
        process = processes.start(
            "runserver",
            "--noreload",
            address,
            into=log,
            METRICS_TOKEN=TOKEN,
            TEST_METRICS="fresh",
            **extra,
        )
        try:
            wait_for_answer(f"http://{address}/health/", process, Path(log.name))
            yield Target(address=address, token=TOKEN)
        finally:
            process.terminate()
            process.wait(timeout=20)

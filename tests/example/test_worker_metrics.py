"""A long-running worker gives its own metrics, where it was told to and nowhere else."""

import signal
import socket
import urllib.request

import pytest
from prometheus_client.parser import text_string_to_metric_families

from assignments.models import Run
from example import models
from tests.example import processes


def test_a_watching_worker_gives_what_it_measured_and_is_on_record(restaurant: models.Restaurant) -> None:
    worker = processes.start("run_coordinator", "--watch", "--interval", "60", "--metrics-address", "127.0.0.1:0")
    assert worker.stdout is not None
    try:
        url = worker.stdout.readline().strip().removeprefix("Metrics of this worker: ")
        for line in worker.stdout:
            if " new; " in line:  # the end of the first pass
                break
        with urllib.request.urlopen(url, timeout=10) as response:
            text = response.read().decode()
    finally:
        worker.send_signal(signal.SIGTERM)
        out, err = worker.communicate(timeout=60)
    assert worker.returncode == 0, err
    samples = {
        sample.name: sample.value for family in text_string_to_metric_families(text) for sample in family.samples
    }
    assert samples["assignment_process_pass_seconds_count"] == 1
    assert samples["assignment_process_decision_seconds_count"] == 117
    assert "assignment_due_bookings" not in samples, "the database is asked once for all processes, elsewhere"
    assert "Stopped." in out
    run = Run.objects.get()
    assert (run.watches, run.passes, run.ended_at is None) == (True, 1, False)


def test_an_address_that_is_taken_is_a_clear_error(transactional_db: None) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        code, _out, err = processes.run_here("run_coordinator", "--watch", "--metrics-address", f"127.0.0.1:{port}")
    assert code == 2
    assert f"--metrics-address: cannot listen at 127.0.0.1 port {port}: Address already in use." in err
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (
            ["--watch", "--metrics-address", "9108"],
            "must be HOST:PORT, such as 127.0.0.1:9108 or [::1]:9108, not '9108'",
        ),
        (["--watch", "--metrics-address", "127.0.0.1:99999"], "not '127.0.0.1:99999'"),
        (["--watch", "--metrics-address", "::1:9108"], "not '::1:9108'"),
        (["--watch", "--metrics-address", "127.0.0.1:many"], "not '127.0.0.1:many'"),
        (["--metrics-address", "127.0.0.1:9108"], "--metrics-address requires --watch"),
        (["--watch", "--metrics-address", "nowhere.invalid:9108"], "cannot listen at nowhere.invalid port 9108"),
    ],
    ids=lambda given: given[-1] if isinstance(given, list) else "",
)
def test_an_address_that_will_not_do_is_named(transactional_db: None, arguments: list[str], named: str) -> None:
    code, out, err = processes.run_here("run_coordinator", *arguments)
    assert (code, out) == (2, "")
    assert named in " ".join(err.split())

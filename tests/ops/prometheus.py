"""A real Prometheus on a free port, in a folder of its own, with a copy of the rules of ``ops/prometheus``.

    with serving(target, factor=60) as prometheus:
        prometheus.wait_for_alert("AssignmentBreakerOpen")

``factor`` makes time short: with 60, every window, every ``for`` and every age that an alert compares with is a second where
the rules say a minute. So an alert can be watched firing. Prometheus scrapes and evaluates each second.
"""

import json
import re
import socket
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

import yaml

from tests.debian import program
from tests.example.forks import Forked

OPS = Path(__file__).resolve().parents[2] / "ops"
RULES = sorted((OPS / "prometheus").glob("*.rules.yml"))

SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_DURATION = re.compile(r"(?P<before>\[|\bfor: )(?P<number>\d+)(?P<unit>[smhd])(?P<behind>\]|$)", re.MULTILINE)
_MINUTES = re.compile(r"\b(\d+) \* 60\b")
READY_SECONDS = 20

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True, slots=True)
class Target:
    """Where metrics are: ``address`` is ``host:port``. ``token`` is said as a bearer's."""

    address: str
    token: str = ""
    environment: str = "production"
    job: str = "booking"


@dataclass(frozen=True, kw_only=True, slots=True)
class Sample:
    """One element of an instant vector."""

    labels: Mapping[str, str]
    value: float


class Prometheus:
    """A server that answers at ``url``."""

    def __init__(self, url: str) -> None:
        self.url = url

    def query(self, expression: str) -> list[Sample]:
        """What it is now. Raises AssertionError, with what Prometheus says, for one that it does not understand."""
        data = self._ask("query", query=expression)
        if data["resultType"] == "scalar":
            return [Sample(labels={}, value=float(data["result"][1]))]
        return [Sample(labels=each["metric"], value=float(each["value"][1])) for each in data["result"]]

    def alerts(self) -> list[dict[str, Any]]:
        """Alerts that are pending or firing: ``labels``, ``annotations``, ``state``."""
        return list(self._ask("alerts")["alerts"])

    def firing(self) -> set[str]:
        """The names of the alerts that fire."""
        return {each["labels"]["alertname"] for each in self.alerts() if each["state"] == "firing"}

    def wait_for_alert(self, name: str, *, environment: str = "", seconds: float = 90) -> dict[str, Any]:
        """The alert, once it fires, of this environment or of any. Raises AssertionError, which tells the others, when it
        does not in time."""

        def found() -> dict[str, Any] | None:
            firing = (each for each in self.alerts() if each["state"] == "firing")
            named = (each for each in firing if each["labels"]["alertname"] == name)
            return next((each for each in named if environment in {"", each["labels"].get("environment")}), None)

        return self._wait(found, seconds, lambda: f"{name} does not fire; {self.alerts()} do")

    def wait_for(self, expression: str, *, seconds: float = 60) -> list[Sample]:
        """The samples, once there are any."""
        return self._wait(
            lambda: self.query(expression), seconds, lambda: f"{expression} has no data; {self._targets()}"
        )

    def _targets(self) -> list[str]:
        return [
            f"{each['scrapeUrl']} {each['health']} {each['lastError']}"
            for each in self._ask("targets")["activeTargets"]
        ]

    def _ask(self, what: str, **parameters: str) -> Any:
        text = urllib.parse.urlencode(parameters)
        try:
            with urllib.request.urlopen(f"{self.url}/api/v1/{what}?{text}", timeout=10) as response:
                return json.load(response)["data"]
        except urllib.error.HTTPError as error:
            with error:
                raise AssertionError(f"{parameters}: {json.load(error)['error']}") from None

    @staticmethod
    def _wait(found: Callable[[], T | None], seconds: float, complaint: Callable[[], str]) -> T:
        deadline = time.monotonic() + seconds
        while not (result := found()):
            assert time.monotonic() < deadline, complaint()
            time.sleep(0.2)
        return result


def scaled(text: str, factor: int) -> str:
    """Rules in which time goes ``factor`` times faster: windows, ``for``, and ages written as minutes (``5 * 60``)."""

    def shorter(found: re.Match[str]) -> str:
        milliseconds = int(found["number"]) * SECONDS[found["unit"]] * 1000 // factor
        return f"{found['before']}{milliseconds}ms{found['behind']}"

    return _MINUTES.sub(rf"\1 * 60 / {factor}", _DURATION.sub(shorter, text))


def free_port() -> int:
    """A port on which nobody listens."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@contextmanager
def serving(*targets: Target, rules: Sequence[Path] = (), factor: int = 1) -> Iterator[Prometheus]:
    """A Prometheus that scrapes the targets; stopped and forgotten at the end. ``rules``: by default all of them.

    Skips the test where Debian's package ``prometheus`` is not installed.
    """
    command = program("prometheus", "prometheus")
    with TemporaryDirectory(prefix="prometheus-") as folder:
        config = _write(Path(folder), targets, rules or RULES, factor)
        address = f"127.0.0.1:{free_port()}"
        with Path(folder, "log").open("w+") as log:
            process = subprocess.Popen(
                [
                    command,
                    f"--config.file={config}",
                    f"--storage.tsdb.path={folder}/data",
                    f"--web.listen-address={address}",
                    "--log.level=warn",
                ],
                stdout=log,
                stderr=subprocess.STDOUT,
            )
            try:
                wait_for_answer(f"http://{address}/-/ready", process, Path(log.name))
                yield Prometheus(f"http://{address}")
            finally:
                process.terminate()
                process.wait(timeout=20)


def wait_for_answer(url: str, process: subprocess.Popen[Any] | Forked, log: Path | None = None) -> None:
    """Until the process answers with 200. Raises AssertionError with its log when it ends instead, or never does."""
    deadline = time.monotonic() + READY_SECONDS
    while True:
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except OSError as error:
            if isinstance(error, urllib.error.HTTPError):
                error.close()
            is_hopeless = process.poll() is not None or time.monotonic() > deadline
            assert not is_hopeless, f"{url} does not answer:\n{log.read_text() if log else ''}"
            time.sleep(0.1)


def _write(folder: Path, targets: Sequence[Target], rules: Sequence[Path], factor: int) -> Path:
    names = []
    for path in rules:
        copy = folder / path.name
        copy.write_text(scaled(path.read_text(), factor))
        names.append(copy.name)
    config = {
        "global": {
            "scrape_interval": "1s",
            "scrape_timeout": "1s",
            "evaluation_interval": "1s",
            "external_labels": {"runbooks": "https://booking.example/"},
        },
        "rule_files": names,
        "scrape_configs": [_scrape(number, target) for number, target in enumerate(targets)],
    }
    path = folder / "prometheus.yml"
    path.write_text(yaml.safe_dump(config))
    return path


def _scrape(number: int, target: Target) -> dict[str, Any]:
    return {
        "job_name": f"target-{number}",
        "static_configs": [
            {"targets": [target.address], "labels": {"environment": target.environment, "job": target.job}}
        ],
        **({"authorization": {"credentials": target.token}} if target.token else {}),
    }

"""``manage.py serve``: everything that a project in production runs, in one terminal."""

import re
import threading
from argparse import ArgumentParser, ArgumentTypeError
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.db import OperationalError, connection
from django.urls import reverse

from assignments.management import arguments
from example import demo_database
from example.demo_database import OccupiedError
from example.serving import Parts, Program, Repeated, manage

EVERY = {"coordinator": 5.0, "outbox": 30.0, "compare": 60.0, "guard": 60.0}
"""Seconds between the passes of each part. Cron does it by the minute; here somebody is watching."""


class Command(BaseCommand):
    help = (
        "Serve the admin, and run what a project in production also runs: the coordinator, the delivery of messages, the "
        "comparisons and the guard. Ctrl-C stops everything. If one part ends by itself, it is named and all others stop. "
        "For development. Exit codes: 0 stopped; 2 bad usage; 75 the database is unavailable; otherwise that of the part "
        "that ended."
    )
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "address",
            nargs="?",
            type=_address,
            default="127.0.0.1:8000",
            help="Address to listen on (default: 127.0.0.1:8000).",
        )
        parser.add_argument(
            "--every",
            action="append",
            type=_every,
            default=[],
            metavar="PART=SECONDS",
            help="Seconds between the runs of a part (defaults: "
            + ", ".join(f"{name}={seconds:g}" for name, seconds in EVERY.items())
            + ").",
        )

        parser.add_argument(
            "--web-only",
            action="store_true",
            help="Run only the server: nothing that waits is processed, as in an incident.",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if settings.ENVIRONMENT != "dev":
            raise CommandError(f"serve is for development; ENVIRONMENT is {settings.ENVIRONMENT}.", returncode=2)
        try:
            self._prepare()
        except OperationalError as error:
            raise CommandError(f"The database is unavailable: {error}", returncode=75) from error
        address = options["address"]
        self._print_way_in(f"http://{address}")
        self._lock = threading.Lock()
        programs, repeated = _parts(address, EVERY | dict(options["every"]))
        if options["web_only"]:
            programs, repeated = programs[:1], ()
        ended = Parts(programs=programs, repeated=repeated, say=self._say).run()
        connection.close()
        if ended is not None:
            problem = f"{ended.name} ended with exit code {ended.code}, so everything was stopped."
            # 1 even if it said that all was well: it was not to end.
            raise CommandError(problem, returncode=ended.code or 1)
        self.stdout.write("Stopped.")

    def _prepare(self) -> None:
        """Take an empty database for the demo, which may fill it later; leave somebody's own as it is."""
        try:
            with demo_database.claimed(anew=False):
                demo_database.make_user()
        except OccupiedError:
            if settings.DATABASES["default"]["ENGINE"] == "example.embedded":
                call_command("migrate", verbosity=0)

    def _print_way_in(self, root: str) -> None:
        for name, view in (
            ("The evening", "admin:assignments_serviceday_changelist"),
            ("Review queue", "admin:assignments_reviewitem_changelist"),
            ("Rollout", "admin:rollout_position_changelist"),
            ("Health", "admin:assignments_health_changelist"),
            ("Metrics", "assignments:metrics"),
        ):
            self.stdout.write(f"{name:14}{root}{reverse(view)}")
        if get_user_model().objects.filter(username=demo_database.USERNAME).exists():
            who = f"as {demo_database.USERNAME}, with the password in {demo_database.PASSWORD_FILE}"
        else:
            who = "as a user of this database; `python manage.py createsuperuser` makes one"
        self.stdout.write(f"{'Log in':14}{who}")
        self.stdout.write(f"{'Stop':14}Ctrl-C\n")
        self.stdout.flush()

    def _say(self, name: str, line: str) -> None:
        with self._lock:
            self.stdout.write(f"{name:12}| {line}")
            self.stdout.flush()


def _parts(address: str, every: dict[str, float]) -> tuple[tuple[Program, ...], tuple[Repeated, ...]]:
    programs = (
        Program(name="web", command=manage("runserver", "--noreload", address)),
        Program(
            name="coordinator", command=manage("run_coordinator", "--watch", "--interval", str(every["coordinator"]))
        ),
    )
    repeated = (
        Repeated(name="outbox", command=("deliver_outbox",), seconds=every["outbox"]),
        Repeated(name="compare", command=("rollout", "compare"), seconds=every["compare"]),
        Repeated(name="guard", command=("rollout", "guard"), seconds=every["guard"]),
    )
    return programs, repeated


def _address(text: str) -> str:
    """Only with a host and a port, which the links need."""
    if text.isascii() and text.isdecimal():
        text = f"127.0.0.1:{text}"
    found = re.fullmatch(r"(?:[\w.-]+|\[[0-9a-fA-F:]+\]):(\d{1,5})", text)
    if not found or not 1 <= int(found[1]) <= 65535:
        raise ArgumentTypeError(f"must be a port or HOST:PORT, not {text!r}")
    return text


def _every(text: str) -> tuple[str, float]:
    name, _is, number = text.partition("=")
    if name not in EVERY:
        raise ArgumentTypeError(f"must be one of {', '.join(EVERY)} with seconds, like guard=10, not {text!r}")
    return name, arguments.seconds(number)

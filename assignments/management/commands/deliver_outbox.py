"""``manage.py deliver_outbox``: deliver messages about bookings to the host."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError

from assignments.lifecycle import set_aside
from assignments.maintenance import outbox
from assignments.management import arguments
from assignments.management.supervisor import SupervisedCommand


class Command(SupervisedCommand):
    silence_seconds = 12.0  # A delivery counts as a death after 15.
    help = (
        "Deliver waiting outbox messages to the host, oldest first, at least once. A message that the host refuses is "
        "retried later; one that keeps failing, or ends the process three times, is set aside. Exit codes: 0 done; 1 a "
        "message was refused; 2 bad usage, or migrations are missing; 75 the database is unavailable."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--limit", type=arguments.count, default=1000, help="Deliver at most this many messages (default 1000)."
        )

        parser.add_argument(
            "--retry",
            type=int,
            nargs="+",
            metavar="ID",
            help="Deliver these set-aside messages again.",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        self.worker.begins()
        if options["retry"]:
            self.stdout.write(f"{set_aside.retry(options['retry'])} due again.")
        with self.asked_to_stop() as stop:
            result = outbox.deliver(
                limit=options["limit"],
                run=self.worker.run,
                should_stop=stop.is_made,
                progressed=self.worker.goes_on,
            )
        aside = f", {result.set_aside} set aside" if result.set_aside else ""
        self.stdout.write(f"{result.delivered} delivered, {result.refused} refused, {result.waiting} waiting{aside}.")
        if result.refused:
            raise CommandError("The host refused messages. They are retried later.", returncode=1)

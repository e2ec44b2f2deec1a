"""``manage.py rollout``: show and change the rollout. The actions are in ``rollout.cli``."""

from argparse import ArgumentParser
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import CommandError
from django.db import InterfaceError, OperationalError

from assignments.concurrency import transactions
from assignments.management.base import DatabaseCommand
from rollout.cli import (
    backtest,
    base,
    begin,
    check,
    compare,
    force,
    guard,
    history,
    pause,
    plan,
    promote,
    prune,
    rehearse,
    removal,
    report,
    resume,
    rollback,
    same_release,
    status,
    switch,
    waive,
)
from rollout.control import change_log, steering
from rollout.policy import ladder

ACTIONS: dict[str, type[base.Action]] = {
    "status": status.Action,
    "begin": begin.Action,
    "plan": plan.Action,
    "check": check.Action,
    "promote": promote.Action,
    "rollback": rollback.Action,
    "pause": pause.Action,
    "resume": resume.Action,
    "force": force.Action,
    "waive": waive.Action,
    "set": switch.Action,
    "compare": compare.Action,
    "guard": guard.Action,
    "history": history.Action,
    "report": report.Action,
    "prune": prune.Action,
    "rehearse": rehearse.Action,
    "backtest": backtest.Action,
    "removal": removal.Action,
    "same-release": same_release.Action,
}


class Command(DatabaseCommand):
    help = (
        "Show and change which planner decides. Exit codes: 0 done; 1 refused; 2 bad usage or configuration; "
        "3 the guard rolled back; 75 the database is unavailable."
    )
    # A wrong variable must not prevent the status that names it.
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
        for name, action in ACTIONS.items():
            its_parser = actions.add_parser(name, help=action.help, description=action.help)
            action.add_arguments(its_parser)
            if action.asks_reason:
                its_parser.add_argument("--reason", required=True, help="Why. Stored permanently in the audit log.")
            its_parser.add_argument("--json", action="store_true", help="Print one JSON object.")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            ACTIONS[options["action"]](self.stdout, self.stderr, self.style).run(options)
        except (steering.RefusedError, change_log.BusyError) as error:
            raise CommandError(str(error), returncode=base.EXIT_REFUSED) from error
        except (ImproperlyConfigured, ladder.UnknownStageError, change_log.UnusableError) as error:
            raise CommandError(str(error), returncode=base.EXIT_USAGE) from error
        except (OperationalError, InterfaceError) as error:
            if transactions.sqlstate(error) == transactions.QUERY_CANCELED:
                problem = f"The database took too long to answer: {error}"
                raise CommandError(problem, returncode=base.EXIT_DATABASE_AWAY) from error
            raise CommandError(f"The database is unavailable: {error}", returncode=base.EXIT_DATABASE_AWAY) from error

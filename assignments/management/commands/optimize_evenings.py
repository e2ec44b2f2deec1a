"""``manage.py optimize_evenings``: seat waiting bookings by moving confirmed parties, as far as a solver finds possible."""

import json
from argparse import ArgumentParser, ArgumentTypeError
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import CommandError

from assignments.coordination import optimizing
from assignments.coordination.optimizing import OptimizedDay, Result
from assignments.management import arguments
from assignments.management.base import EXIT_USAGE, DatabaseCommand, restaurant_meant
from assignments.planning.optimum import OptimizerMissingError
from assignments.telemetry import events

LONGEST = 366

_SAID = {
    Result.SEATED: "seated {seated} of {waiting} waiting, moved {moved}",
    Result.WOULD_SEAT: "would seat {seated} of {waiting} waiting, and move {moved}",
    Result.NOTHING_TO_GAIN: "none of {waiting} waiting can be seated, whoever moves",
    Result.NOT_V3: "nothing changed: V3 does not decide here",
    Result.NOBODY_MOVES: "nothing changed: V3 may not move anybody here (switch, settings or host)",
    Result.CHANGED_MEANWHILE: "nothing changed: the evening changed at each attempt while it was being solved",
    Result.BUSY: "nothing changed: another worker is deciding it, or its circuit breaker is open",
    Result.REFUSED_BY_HOST: "nothing changed: the host refused the moves",
    Result.UNPLANNABLE: "nothing changed: no waiting booking can be planned as it is",
    Result.FAILED: "nothing changed: there was an error; see the log",
}


class Command(DatabaseCommand):
    help = (
        "For evenings in the next days with waiting bookings, use a constraint solver to find out which of them could be "
        "seated, and seat them by moving confirmed parties that have not been told their table. Nobody loses a seat. Run it "
        "from cron, less often than run_coordinator: an evening can keep the solver busy for seconds. "
        "Needs the extra table-assignments[optimizer]. "
        "--check replays the solver's recorded answers without the solver, and writes nothing. "
        "Exit codes: 0 done; 1 an evening failed, or an answer breaks a rule; "
        "2 bad usage or configuration, the extra or migrations are missing; 75 the database is "
        "unavailable."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--days", type=_days, default=14, help="How many days ahead (with --check: back) to look (default 14)."
        )
        parser.add_argument("--restaurant", default="", help=f"Only this restaurant. {arguments.RESTAURANT}")
        parser.add_argument("--dry-run", action="store_true", help="Print what it would do; write nothing.")
        parser.add_argument(
            "--check", action="store_true", help="Only check the solver's recent answers against the rules."
        )
        parser.add_argument("--json", action="store_true", help="Print one JSON object.")

    def handle(self, *args: Any, **options: Any) -> None:
        options["restaurant"] = restaurant_meant(options["restaurant"])
        if options["check"]:
            self._check(options)
            return
        found = []
        try:
            for day in optimizing.optimize(
                days=options["days"], restaurant_ref=options["restaurant"], dry_run=options["dry_run"]
            ):
                found.append(day)
                if not options["json"]:
                    self.stdout.write(_line(day))
        except (OptimizerMissingError, ImproperlyConfigured) as error:
            raise CommandError(str(error), returncode=EXIT_USAGE) from error
        finally:
            events.flush(10)
        if options["json"]:
            self.stdout.write(json.dumps({"dry_run": options["dry_run"], "evenings": [day.as_dict() for day in found]}))
        elif not found:
            self.stdout.write(f"Nobody waits for a table in the next {options['days']} days.")
        failed = sum(day.result is Result.FAILED for day in found)
        if failed:
            raise CommandError(f"{failed} of {len(found)} evenings failed.", returncode=1)

    def _check(self, options: dict[str, Any]) -> None:
        if options["dry_run"]:
            raise CommandError("--check writes nothing: leave out --dry-run.", returncode=EXIT_USAGE)
        checked, wrong = 0, []
        for row in optimizing.answers(days=options["days"], restaurant_ref=options["restaurant"]):
            checked += 1
            faults = optimizing.replay(row)
            wrong += [{"evening": str(row), "faults": faults}] if faults else []
            if faults and not options["json"]:
                self.stdout.write(f"{row}: {'; '.join(faults)}.")
        if options["json"]:
            self.stdout.write(json.dumps({"checked": checked, "wrong": wrong}))
        else:
            self.stdout.write(
                f"Answers of the last {options['days']} days checked: {checked}. Breaking a rule: {len(wrong)}."
            )
        if wrong:
            raise CommandError(f"Answers that break a rule: {len(wrong)} of {checked}.", returncode=1)


def _line(day: OptimizedDay) -> str:
    said = _SAID[day.result].format(seated=len(day.seated), waiting=day.waiting, moved=len(day.moved))
    unproven = "" if day.is_proven or not day.waiting else f" (not proven: perhaps up to {day.possible})"
    return f"{day.restaurant_ref} {day.service_date}: {said}{unproven}.{_evening(day)}"


def _evening(day: OptimizedDay) -> str:
    """Return what is possible on the evening beside what is seated."""
    if day.evening_possible is None:
        return ""
    said = f" Seated {day.evening_seated}, possible {day.evening_possible}"
    if day.evening_possible_in_any_order != day.evening_possible:
        said += f", in any order {day.evening_possible_in_any_order}"
    return said + ("." if day.is_evening_proven else " at most, not proven.")


def _days(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and 1 <= int(text) <= LONGEST):
        raise ArgumentTypeError(f"must be a whole number from 1 to {LONGEST}, not {text!r}")
    return int(text)

"""``manage.py demo``: seat a real evening with both planners, and compare; or play it as a busy one."""

import json
import sys
from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import OperationalError, connection
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from assignments.concurrency import clock
from assignments.integration import evening_file
from assignments.integration.evening_file import EveningFile, UnusableFileError
from assignments.planning import optimum
from example import demo, demo_database, evening, friday, incident, one_by_one
from example.demo_database import OccupiedError
from example.incident import Incident, Report

WHERE = "http://127.0.0.1:8000"
"""Where ``make serve`` listens."""


class Command(BaseCommand):
    help = (
        "Seat an evening with the legacy planner and, on a fresh copy, with V3, and print both results. It works on "
        "the configured database, so that every other command sees its data, and recreates that data each time, after "
        "asking. A database with data that the demo did not create is refused and left unchanged; "
        "DATABASE_NAME=booking_demo makes it create and use another one. With --incident, add a fault to the existing "
        "data, and print where it is visible and which commands fix it. "
        "Exit codes: 0 done; 1 a table was booked twice or a booking lost; 2 the file or the database cannot be used; "
        "75 the database is unavailable."
    )
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--file", type=Path, default=demo.REAL_EVENING, help="The evening to seat, as JSON (default: a real one)."
        )
        parser.add_argument(
            "--incident",
            choices=[str(each) for each in Incident],
            help=(
                "breaker: one restaurant's confirmations raise errors until its circuit breaker opens; "
                "stuck: cron has stopped, and bookings wait; "
                "regression: a bad release of V3, which the guard rolls back."
            ),
        )
        parser.add_argument(
            "--friday",
            action="store_true",
            help=(
                "Play the evening instead, with V3: guests come late, overstay, walk in, cancel or do not come, and a table "
                "breaks. Print answers to a manager's questions, and whether every promise was kept."
            ),
        )
        parser.add_argument(
            "--one-by-one",
            action="store_true",
            help=(
                "Decide the bookings one at a time instead, in a random order, with V3: once without moving confirmed "
                "parties (v3-fixed), once moving those that have not been told their table (v3), and once with "
                "optimize_evenings after that (v3-optimizer; needs table-assignments[optimizer])."
            ),
        )
        parser.add_argument(
            "--seed",
            type=_seed,
            help="Random seed of what happens (--friday) or of the order (--one-by-one). The same seed gives the same "
            "evening (default: 1).",
        )
        parser.add_argument(
            "--workers",
            type=_workers,
            help=f"With --friday: the number of parallel workers, 1 to {friday.MOST_WORKERS} (default: 4). With 1, the "
            "result is the same each time.",
        )
        parser.add_argument(
            "--yes", action="store_true", help="Do not ask before the evenings of an earlier demo are removed."
        )
        parser.add_argument("--json", action="store_true", help="Print one JSON object.")

    def handle(self, *args: Any, **options: Any) -> None:
        if settings.ENVIRONMENT != "dev":
            raise CommandError(f"The demo is for development; ENVIRONMENT is {settings.ENVIRONMENT}.", returncode=2)
        self._check_options(options)
        path: Path = options["file"]
        source = self._read(path, is_today=options["friday"])
        self._check_bookings(source, path, options)
        try:
            ask = _agreed if options["yes"] else self._ask
            with demo_database.claimed(anew=not options["incident"], before_removal=ask) as name:
                password = demo_database.make_user()
                if options["incident"]:
                    seeded = incident.seed(Incident(options["incident"]), source)
                    self._incident(seeded, options, database=name, password=password)
                    return
                if options["friday"] or options["one_by_one"]:
                    play = self._friday if options["friday"] else self._one_by_one
                    play(source, options, database=name, password=password)
                    return
                report = settings.BASE_DIR / "rollout-report.html"
                result = demo.run(source, path, report, say=self.stderr.write)
        except OccupiedError as error:
            raise CommandError(str(error), returncode=2) from error
        except OperationalError as error:
            raise CommandError(f"The database is unavailable: {error}", returncode=75) from error
        finally:
            connection.close()
        if options["json"]:
            self.stdout.write(json.dumps(result.as_dict()))
        else:
            self._print(result, is_real=path == demo.REAL_EVENING, database=name, password=password)
        if result.overlaps or result.lost:
            raise CommandError(f"{result.overlaps} overlaps and {result.lost} lost bookings.", returncode=1)

    def _ask(self, database: str) -> None:
        """Ask whether what an earlier demo left may go, with what was done to it since."""
        what = f"This removes the evenings of the earlier demo from the database {database}, and what was done to them."
        if not sys.stdin.isatty():
            raise CommandError(f"{what} Add --yes if that is meant.", returncode=2)
        self.stderr.write(f"{what} Continue? [y/N] ", ending="")
        self.stderr.flush()
        if sys.stdin.readline().strip().lower() not in {"y", "yes"}:
            raise CommandError("Nothing was removed.", returncode=2)

    def _check_options(self, options: dict[str, Any]) -> None:
        ways = [f"--{name.replace('_', '-')}" for name in ("friday", "one_by_one", "incident") if options[name]]
        if len(ways) > 1:
            raise CommandError(f"Give {' or '.join(ways)}, not both.", returncode=2)
        if options["workers"] is not None and not options["friday"]:
            raise CommandError("--workers belongs to --friday.", returncode=2)
        if options["seed"] is not None and not (options["friday"] or options["one_by_one"]):
            raise CommandError("--seed belongs to --friday or --one-by-one.", returncode=2)

    def _check_bookings(self, source: EveningFile, path: Path, options: dict[str, Any]) -> None:
        if options["incident"] and not source.bookings:
            raise CommandError(f"{path} has no bookings, so no incident is possible.", returncode=2)
        if (options["friday"] or options["one_by_one"]) and not source.bookings:
            raise CommandError(f"{path} has no bookings, so there is no evening to play.", returncode=2)

    def _read(self, path: Path, *, is_today: bool) -> EveningFile:
        try:
            text = evening_file.read(path)
            source = (
                evening.parse_json_today(text, clock.now()) if is_today else evening.parse_json_ahead(text, clock.now())
            )
        except OSError as error:
            raise CommandError(f"{path} cannot be read: {error.strerror}.", returncode=2) from error
        except UnusableFileError as error:
            raise CommandError(f"{path} cannot be used. {error}", returncode=2) from error
        for row in source.bad_rows:
            self.stderr.write(f"skipped: {row}")
        self.stderr.write(f"{len(source.bookings)} bookings and {len(source.tables)} tables of {source.name}.")
        return source

    def _print(self, result: demo.Demo, *, is_real: bool, database: str, password: str) -> None:
        table = Table(title=f"{result.bookings} bookings, all pending at once, {result.tables} tables")
        table.add_column("")
        for heading in ("Seated", "Covers", "Review", "Waiting", "Failed", "Seconds", "Decision ms p50 / p95 / max"):
            table.add_column(heading, justify="right")
        names = {"legacy": "Legacy planner", "v3": "V3"}
        for run in result.runs:
            decision = run.decision_ms
            table.add_row(
                names[run.planner],
                f"{run.confirmed}",
                f"{run.covers}",
                f"{run.manual_review}",
                f"{run.pending}",
                f"{run.failed}",
                f"{run.seconds:.2f}",
                f"{decision['p50']:.2f} / {decision['p95']:.2f} / {decision['max']:.2f}",
                style="bold" if run.planner == "v3" else "",
            )
        if is_real:
            table.add_section()
            for label, confirmed, seconds in demo.REPORTED:
                table.add_row(label, f"{confirmed}", "", "", "", "", f"{seconds:.0f}", "")
            table.add_row("Proven optimum", f"{demo.PROVEN_OPTIMUM}", "", "", "", "", "", "")
        console = Console(width=None if self.stdout.isatty() else 110)
        console.print()
        console.print(table)
        for run in result.runs:
            reasons = ", ".join(f"{count} {reason.replace('_', ' ')}" for reason, count in sorted(run.reasons.items()))
            console.print(f"{names[run.planner]}, not seated: {reasons or 'nobody'}.")
        console.print(
            f"Tables booked twice: {result.overlaps}. Bookings lost: {result.lost}. (Checked by independent SQL.)"
        )
        for number, step in enumerate(result.steps, 1):
            console.print(f"\n[bold]{number}. {step.title}[/bold]")
            for line in step.lines:
                console.print(f"   {line}")
        self._print_way_in(console, database, password)

    def _friday(self, source: EveningFile, options: dict[str, Any], *, database: str, password: str) -> None:
        seed = 1 if options["seed"] is None else options["seed"]
        fixed, moving = friday.play_both(source, seed=seed, workers=options["workers"] or 4, say=self.stderr.write)
        if options["json"]:
            self.stdout.write(json.dumps({**moving.as_dict(), "without_moves": fixed.as_dict()}))
        else:
            self._print_friday(fixed, moving, database=database, password=password)
        for played in (fixed, moving):
            if played.promises_broken or played.overlaps or played.lost:
                raise CommandError(
                    f"{played.promises_broken} promises broken, {played.overlaps} overlaps and {played.lost} lost bookings.",
                    returncode=1,
                )

    def _one_by_one(self, source: EveningFile, options: dict[str, Any], *, database: str, password: str) -> None:
        seed = 1 if options["seed"] is None else options["seed"]
        result = one_by_one.play(source, seed=seed, say=self.stderr.write)
        if options["json"]:
            self.stdout.write(json.dumps(result.as_dict()))
        else:
            title = f"{result.bookings} bookings, one at a time, {result.tables} tables, order {result.seed}"
            table = Table(title=title)
            table.add_column("")
            for heading in ("Seated", "Covers", "Moves", "Seconds"):
                table.add_column(heading, justify="right")
            names = {"v3-fixed": "V3, nobody is moved", "v3": "V3", one_by_one.OPTIMIZER: "V3 and optimizer"}
            for run in result.runs:
                table.add_row(
                    names[run.planner], f"{run.confirmed}", f"{run.covers}", f"{run.moved}", f"{run.seconds:.2f}"
                )
            if result.possible is not None:
                table.add_section()
                table.add_row("Possible, proven" if result.is_proven else "Found", f"{result.possible}", "", "", "")
            elif options["file"] == demo.REAL_EVENING:
                table.add_section()
                table.add_row("Possible, proven", f"{demo.PROVEN_OPTIMUM}", "", "", "")
            console = Console(width=None if self.stdout.isatty() else 110)
            console.print()
            console.print(table)
            if result.possible is None:
                console.print(f"For what is possible on other evenings, and for the optimizer: {optimum.INSTALL}")
            console.print(f"Tables booked twice: {result.overlaps}. Bookings lost: {result.lost}.")
            self._print_way_in(console, database, password)
        if result.overlaps or result.lost:
            raise CommandError(f"{result.overlaps} overlaps and {result.lost} lost bookings.", returncode=1)

    def _print_friday(self, fixed: friday.Friday, result: friday.Friday, *, database: str, password: str) -> None:
        console = Console(width=None if self.stdout.isatty() else 110)
        title = f"{result.bookings} bookings and {result.walk_ins} walk-ins, {result.tables} tables, seed {result.seed}"
        table = Table(title=title)
        table.add_column("")
        table.add_column("Nobody is\nmoved", justify="right")
        table.add_column("V3 moves\nthe untold", justify="right")
        table.add_column("")
        for (question, before, _more), (_question, answer, more) in zip(
            _questions(fixed), _questions(result), strict=True
        ):
            table.add_row(question, str(before), str(answer), escape(more))
        console.print()
        console.print(table)
        console.print(
            "The untold are confirmed parties whom nobody has told their table: with moves, V3 may give them another one "
            "so that one more party can sit. The last column is about the evening with moves."
        )
        broken, overlaps, lost = (
            fixed.promises_broken + result.promises_broken,
            fixed.overlaps + result.overlaps,
            fixed.lost + result.lost,
        )
        console.print(
            f"Promises broken: {broken}. Tables blocked twice: {overlaps}. Bookings lost: {lost}. "
            "(Checked by independent SQL over the history of both evenings.)"
        )
        for played in (fixed, result):
            for kind, lines in played.found.items():
                for line in lines:
                    console.print(f"   {kind.replace('_', ' ')}: {escape(line)}")
        workers = "1 worker" if result.workers == 1 else f"{result.workers} workers"
        console.print(f"Both played in {fixed.seconds + result.seconds:.1f} seconds by {workers}.")
        console.print(
            f"\nThe evening: [bold]python manage.py show_evening {result.restaurant} --date {result.date}[/bold]"
        )
        self._print_way_in(console, database, password)

    def _incident(self, report: Report, options: dict[str, Any], *, database: str, password: str) -> None:
        if options["json"]:
            self.stdout.write(json.dumps(report.as_dict()))
            return
        console = Console(width=None if self.stdout.isatty() else 110)
        console.print(f"\n[bold]{escape(report.title)}[/bold]")
        for line in report.happened:
            console.print(f"   {escape(line)}")
        console.print("\nWhere it shows")
        for look in report.look:
            console.print(f"   {WHERE}{escape(look.page)}", soft_wrap=True)
            console.print(f"      {escape(look.sees)}")
            told = [f"metric {look.metric}"] * bool(look.metric) + [f"alert {look.alert}"] * bool(look.alert)
            if told:
                console.print(f"      {escape(', '.join(told))}")
        console.print("\nWhat to do")
        for number, step in enumerate(report.do, 1):
            console.print(f"   {number}. {escape(step)}", soft_wrap=True)
        # Nothing else may run beside it: the coordinator would mend half of it before anybody has looked.
        self._print_way_in(console, database, password, serve='make serve ARGS="--web-only"')

    def _print_way_in(self, console: Console, database: str, password: str, *, serve: str = "make serve") -> None:
        console.print(
            f"\nLook around: [bold]{serve}[/bold], then {WHERE}/admin/ "
            f"as [bold]{demo_database.USERNAME}[/bold], password [bold]{password}[/bold] (database {database})."
        )


def _agreed(database: str) -> None:
    """Agree without asking, for --yes."""


def _questions(result: friday.Friday) -> Iterator[tuple[str, int, str]]:
    """Yield what a manager asks, the number, and more about it."""
    waited = result.waited_minutes
    yield "Seated", result.seated, f"{result.covers} covers"
    yield "Without a table", result.without_table, f"{result.cancelled} cancelled"
    yield "Late", result.late, ""
    yield "Did not come", result.no_shows, ""
    yield "Waited at the door", result.waited, f"{waited['median']} minutes (median), {waited['longest']} at most"
    yield "From the waiting list", result.from_waiting_list, "no table at first, then one became free"
    yield "Moved to another table", result.moved, f"{result.moved_while_seated} while they sat"
    yield "Changed their party", sum(result.party_changes.values()), _counted(result.party_changes)
    yield "Overstayed", sum(result.overstays.values()), _counted(result.overstays)
    yield "Walk-ins seated", result.walk_ins_seated, f"{result.walk_ins_turned_away} turned away"
    yield "Went to staff", result.to_staff, _counted(result.to_staff_why)
    yield "Broken tables", 1 if result.broken_table else 0, result.broken_table


def _counted(numbers: dict[str, int]) -> str:
    return ", ".join(f"{number} {what.replace('_', ' ')}" for what, number in numbers.items())


def _seed(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= 18):
        raise ArgumentTypeError(f"must be a whole number of at most 18 digits, not {text!r}")
    return int(text)


def _workers(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and 1 <= int(text) <= friday.MOST_WORKERS):
        raise ArgumentTypeError(f"must be a whole number from 1 to {friday.MOST_WORKERS}, not {text!r}")
    return int(text)

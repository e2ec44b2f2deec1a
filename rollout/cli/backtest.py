"""``manage.py rollout backtest``."""

from argparse import ArgumentParser
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from django.core.management.base import CommandError
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from assignments.integration.evening_file import UnusableFileError, read
from assignments.integration.project_host import configured
from assignments.management import arguments
from assignments.planning import optimum
from assignments.planning.floor import InvalidFloorError
from assignments.telemetry import events
from rollout import conf
from rollout.backtest.backtest import Backtest, candidate, control_planner
from rollout.backtest.history import Evening, PastEvenings, evenings_of_file
from rollout.backtest.possible import Possible
from rollout.backtest.replay import Scoreboard, Tally
from rollout.cli import base
from rollout.events import SOURCE
from rollout.policy.verdict import Verdict
from rollout.shadow.comparator import CandidateProcess, together_by


class Advance(Protocol):
    """Called for each booking (without a scoreboard) and each finished evening (with its own, and what was possible)."""

    def __call__(self, evening: Evening, board: Scoreboard | None, best: Possible | None = None) -> None: ...


class Action(base.Action):
    help = (
        "Replay past bookings through both planners, in the order in which they were made. Each planner fills its own copy "
        "of the evening. Writes nothing unless --feed is given: the transaction is read-only."
    )

    @staticmethod
    def add_arguments(parser: ArgumentParser) -> None:
        parser.add_argument("--from", dest="first", type=base.local_date, help="The first evening, YYYY-MM-DD.")
        parser.add_argument("--to", dest="last", type=base.local_date, help="The last evening, included.")
        parser.add_argument("--restaurant", help=f"Only this restaurant. {arguments.RESTAURANT}")
        parser.add_argument(
            "--file",
            type=Path,
            help="Replay a file instead of the host's bookings: a floor and its bookings, as "
            "assignments/integration/evening_file.py describes it. --from and --to may be left out then.",
        )
        parser.add_argument(
            "--feed",
            action="store_true",
            help="Store V3's decisions on the legacy planner's evening as comparisons, so that gates count them. The same "
            "evening of a file counts once for a release, whatever its names and date.",
        )

        parser.add_argument(
            "--no-possible",
            dest="says_possible",
            action="store_false",
            help="Leave out how many bookings could have been seated at best. The optimizer takes a few seconds to find "
            "that for each busy evening.",
        )

    def run(self, options: dict[str, Any]) -> None:
        left_out: Counter[str] = Counter()
        evenings: Iterable[Evening]
        first, last = options["first"], options["last"]
        if first is not None and last is not None and first > last:
            raise CommandError(f"--from {first} is after --to {last}.", returncode=base.EXIT_USAGE)
        if options["file"] is not None:
            evenings = _read(options["file"], options)
            days = [evening.service_date for evening in evenings]
            first, last = first or min(days, default=None), last or max(days, default=None)
        elif first is None or last is None:
            raise CommandError("Give --from and --to, or --file.", returncode=base.EXIT_USAGE)
        else:
            options["restaurant"] = base.restaurant_meant(options["restaurant"] or "") or None
            evenings = past = _past(options)
            left_out = past.left_out
        control = control_planner()
        with CandidateProcess(conf.settings().CANDIDATE_SECONDS) as process:
            backtest = Backtest(
                control=control,
                candidate=candidate(process),
                feed=options["feed"],
                counts_once=options["file"] is not None,
                candidate_release=lambda: process.release,
                together=together_by(process),
                says_possible=options["says_possible"] and optimum.is_installed(),
            )
            with self._progress(options, first, last) as advance:
                for evening in evenings:
                    board = backtest.replay(evening, on_step=partial(advance, evening, None))
                    advance(evening, board, backtest.last_possible)
        if backtest.counted_already and not backtest.fed:
            raise CommandError(
                f"What {options['file'].name} says was fed already, for this release: under whatever names and dates, it "
                "counts once. Without --feed it can be replayed again.",
                returncode=base.EXIT_REFUSED,
            )
        if backtest.fed:
            self._announce(backtest.fed, options)
        report = _report(backtest, first, last, left_out, fed=options["feed"])
        if options["json"]:
            self.print_json(report)
        elif not backtest.scoreboard.bookings:
            where = f" of restaurant {options['restaurant']}" if options["restaurant"] else ""
            when = f" from {first} to {last}" if first and last else ""
            self.stdout.write(f"No bookings{where}{when} to replay.")
            self._write_left_out(left_out)
        else:
            self._write(backtest, left_out, fed=options["feed"])

    def _announce(self, fed: int, options: dict[str, Any]) -> None:
        detail = f"from {options['file'].name}" if options["file"] else f"{options['first']} to {options['last']}"
        events.announce(
            SOURCE,
            "rollout.backtest_fed",
            restaurant_ref=options["restaurant"] or "",
            bookings=fed,
            detail=detail,
            actor=base.actor(),
        )
        events.flush()

    @contextmanager
    def _progress(self, options: dict[str, Any], first: date | None, last: date | None) -> Iterator[Advance]:
        """Show progress: a bar on a terminal, a plain line for each evening elsewhere, nothing with --json."""
        if options["json"]:
            yield lambda evening, board, best=None: None
            return
        if not getattr(self.stdout, "isatty", lambda: False)():
            yield self._write_evening
            return
        columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[at]}"), TimeElapsedColumn())
        with Progress(*columns, console=Console(), transient=True) as bar:
            days = (last - first).days + 1 if first and last else None
            task, bookings = bar.add_task("Evenings", total=days, at=""), 0

            def advance(evening: Evening, board: Scoreboard | None, best: Possible | None = None) -> None:
                nonlocal bookings
                bookings += board is None
                done = (evening.service_date - first).days if first else 0
                bar.update(task, completed=done, at=f"{evening.service_date}, {bookings} bookings")

            yield advance

    def _write_evening(self, evening: Evening, board: Scoreboard | None, best: Possible | None = None) -> None:
        if board is not None:
            self.stdout.write(
                f"restaurant {evening.floor.restaurant_ref} {evening.service_date}: {board.bookings} bookings; "
                f"the legacy planner seats {board.control.seated}, V3 {board.candidate.seated}"
                + (f"; possible: {best}" if best is not None else "")
            )

    def _write(self, backtest: Backtest, left_out: Counter[str], *, fed: bool) -> None:
        board = backtest.scoreboard
        self.stdout.write(
            f"{_count(board.bookings, 'booking')} ({_count(board.covers, 'cover')}) on "
            f"{_count(backtest.evenings, 'evening')} of {_count(backtest.restaurants, 'restaurant')}."
        )
        self._write_left_out(left_out)
        self.stdout.write(f"{'':34}{'legacy planner':>22}{'V3':>22}")
        for label, cell in _ROWS:
            self._write_row(label, cell(board.control), cell(board.candidate))
        self._write_possible(backtest.possible)
        both = (board.control, board.candidate)
        for reason in sorted({*board.control.refused, *board.candidate.refused}):
            cells = [f"{tally.refused[reason]} ({tally.other_would_seat[reason]})" for tally in both]
            self._write_row(f"refused: {reason}", *cells)
        for error in sorted({*board.control.errors, *board.candidate.errors}):
            self._write_row(f"error: {error}", *(f"{tally.errors[error]}" for tally in both))
        self.stdout.write("In brackets: bookings that the other planner would have seated in the same situation.")
        self.stdout.write("V3 compared on the legacy planner's evening:")
        for verdict in Verdict:
            if board.verdicts[verdict]:
                self.stdout.write(f"  {board.verdicts[verdict]:6} {verdict}")
        self.stdout.write(f"{_count(backtest.fed, 'decision')} kept as comparisons." if fed else "Nothing was written.")
        if backtest.counted_already:
            evenings = _count(backtest.counted_already, "evening")
            self.stdout.write(f"{evenings} of the file counted already for this release, whatever the names and dates.")

    def _write_possible(self, best: Possible | None) -> None:
        if best is not None:
            self.stdout.write(f"  Possible on the same evenings, if all were known before: {best}.")
        elif not optimum.is_installed():
            self.stdout.write(f"  How many were possible is not known without the optimizer: {optimum.INSTALL}.")

    def _write_row(self, label: str, control: str, candidate: str) -> None:
        self.stdout.write(f"  {label:32}{control:>22}{candidate:>22}")

    def _write_left_out(self, left_out: Counter[str]) -> None:
        for reason, count in sorted(left_out.items()):
            self.stdout.write(self.style.WARNING(f"Left out: {_count(count, 'booking')} ({reason})."))


_ROWS: tuple[tuple[str, Callable[[Tally], str]], ...] = (
    ("seated", lambda tally: f"{tally.seated}"),
    ("covers seated", lambda tally: f"{tally.covers}"),
    ("seats occupied at assigned tables", lambda tally: f"{tally.seat_use:.1%}"),
    ("joined tables", lambda tally: f"{tally.joins}"),
    ("seated only by this planner", lambda tally: f"{tally.seated_alone}"),
    ("unsafe table assignments", lambda tally: f"{tally.impossible}"),
    ("decision ms p50 / p95 / max", lambda tally: " / ".join(f"{ms:.2f}" for ms in tally.decision_ms.values())),
)


def _past(options: dict[str, Any]) -> PastEvenings:
    try:
        return PastEvenings(
            configured(), first=options["first"], last=options["last"], restaurant_ref=options["restaurant"]
        )
    except InvalidFloorError as error:
        raise CommandError(str(error), returncode=base.EXIT_USAGE) from error
    except LookupError as error:
        raise CommandError(f"There is no restaurant {options['restaurant']!r}.", returncode=base.EXIT_USAGE) from error


def _read(path: Path, options: dict[str, Any]) -> list[Evening]:
    try:
        return evenings_of_file(
            read(path),
            first=options["first"],
            last=options["last"],
            restaurant_ref=options["restaurant"],
        )
    except OSError as error:
        raise CommandError(f"{path} cannot be read: {error.strerror}.", returncode=base.EXIT_USAGE) from error
    except UnusableFileError as error:
        raise CommandError(f"{path} cannot be used. {error}", returncode=base.EXIT_USAGE) from error


def _report(
    backtest: Backtest, first: date | None, last: date | None, left_out: Counter[str], *, fed: bool
) -> dict[str, Any]:
    board = backtest.scoreboard
    return {
        "from": first,
        "to": last,
        "restaurants": backtest.restaurants,
        "evenings": backtest.evenings,
        "bookings": board.bookings,
        "covers": board.covers,
        "left_out": dict(sorted(left_out.items())),
        "possible": backtest.possible.as_dict() if backtest.possible else None,
        "planners": {"legacy": board.control.as_dict(), "v3": board.candidate.as_dict()},
        "verdicts": {verdict.value: board.verdicts[verdict] for verdict in Verdict},
        "fed": backtest.fed if fed else None,
        "counted_already": backtest.counted_already,
    }


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"

"""``manage.py run_coordinator``: assign tables to due bookings."""

import json
import logging
import signal
import time
from argparse import ArgumentParser
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import CommandError, SystemCheckError
from django.db import InterfaceError, OperationalError, close_old_connections, connection
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from assignments import conf
from assignments.concurrency import transactions
from assignments.coordination import dispatch, dry_run, quarantine
from assignments.integration.project_host import configured
from assignments.maintenance import mark_following
from assignments.management import arguments, stopping
from assignments.management.base import EXIT_UNEXPECTED, EXIT_USAGE, restaurant_meant
from assignments.management.supervisor import SupervisedCommand
from assignments.outcome import CoordinatorReason, Kind, Outcome
from assignments.planning.describe import describe
from assignments.planning.floor import InvalidFloorError
from assignments.telemetry import background_writer, counter_store, process_metrics, run_log
from assignments.telemetry.metrics.exporter import Exporter
from assignments.telemetry.percentiles import percentiles

logger = logging.getLogger("assignments.run_coordinator")


@dataclass(kw_only=True)
class Tally(run_log.Pass):
    """Counts of a run."""

    outcomes: Counter[str] = field(default_factory=Counter)
    planners: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    covers: int = 0
    decision_ms: list[float] = field(default_factory=list)

    def add(self, progress: dispatch.Progress) -> None:
        self.contended += progress.contended
        self.breaker_open += progress.circuit_open
        for outcome in progress.outcomes:
            self.add_outcome(outcome)

    def add_outcome(self, outcome: Outcome) -> None:
        self.outcomes[outcome.kind] += 1
        self.planners[outcome.planner] += 1
        if outcome.kind is Kind.CONFIRMED:
            self.covers += outcome.party
        elif outcome.reason:
            self.reasons[f"{outcome.kind}:{outcome.reason}"] += 1
        if outcome.unexpected:
            self.add_unexpected(outcome.detail)
        elif outcome.kind is not Kind.NOOP and outcome.reason != CoordinatorReason.CIRCUIT_OPEN:
            self.decided += 1
        if outcome.decision_ms:
            self.decision_ms.append(outcome.decision_ms)

    def add_unexpected(self, error_type: str) -> None:
        self.unexpected += 1
        self.error = error_type

    def as_dict(self) -> dict[str, Any]:
        return {
            "taken_in": self.taken_in,
            "seconds": round(self.seconds, 3),
            "processed": sum(self.outcomes.values()),
            **{kind.value: self.outcomes[kind] for kind in Kind},
            "covers": self.covers,
            "unexpected": self.unexpected,
            "contended_days": self.contended,
            "open_breakers": self.breaker_open,
            "planners": dict(self.planners),
            "reasons": dict(sorted(self.reasons.items())),
            "decision_ms": percentiles(self.decision_ms),
        }

    def __str__(self) -> str:
        counted = ", ".join(f"{self.outcomes[kind]} {kind.value}" for kind in Kind if self.outcomes[kind])
        return counted or "nothing due"


class Command(SupervisedCommand):
    help = (
        "Assign tables to due bookings: a single pass (for cron), or repeated passes with --watch. The router selects "
        "the planner (see `manage.py rollout status` if rollout is installed). Exit codes: 0 done; 1 an unexpected "
        "error with a booking (the others were processed); 2 bad usage or configuration, or migrations are missing; 75 "
        "the database is unavailable."
    )
    # Checked in handle(), so that a wrong configuration exits with 2.
    requires_system_checks = []

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._compactor = counter_store.Compactor()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--watch", action="store_true", help="Repeat passes until SIGTERM or Ctrl-C.")
        parser.add_argument(
            "--interval", type=arguments.seconds, default=5.0, help="Seconds between passes of --watch (default 5)."
        )
        parser.add_argument("--limit", type=arguments.count, help="Maximum bookings per pass.")
        parser.add_argument(
            "--restaurant",
            type=arguments.restaurant_ref,
            help=f"Only this restaurant. {arguments.RESTAURANT}",
        )
        parser.add_argument(
            "--max-seconds", type=arguments.seconds, help="Start no further restaurant-day after this many seconds."
        )
        parser.add_argument(
            "--metrics-address",
            type=arguments.address,
            metavar="HOST:PORT",
            help="With --watch: serve this worker's metrics for Prometheus here, without authentication. Port 0 "
            "selects a free port.",
        )
        parser.add_argument("--dry-run", action="store_true", help="Plan and print only; write nothing.")
        parser.add_argument("--json", action="store_true", help="Print one JSON object per pass.")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["watch"] and options["dry_run"]:
            raise CommandError("--watch and --dry-run cannot be combined.", returncode=EXIT_USAGE)
        if options["metrics_address"] and not options["watch"]:
            raise CommandError("--metrics-address requires --watch.", returncode=EXIT_USAGE)
        try:
            self.check()
            if options["restaurant"]:
                options["restaurant"] = restaurant_meant(options["restaurant"])
                self._check_restaurant(options["restaurant"])
            if options["dry_run"]:
                self._dry_run(options)
            elif self._work(options):
                raise CommandError("Unexpected error with a booking; see the log.", returncode=EXIT_UNEXPECTED)
        except (SystemCheckError, ImproperlyConfigured) as error:
            raise CommandError(str(error), returncode=EXIT_USAGE) from error

    def _check_restaurant(self, restaurant_ref: str) -> None:
        try:
            configured().floor(restaurant_ref)
        except InvalidFloorError:
            pass  # It exists. Its bookings get this error as their reason.
        except LookupError:
            problem = f"--restaurant: the host has no restaurant {restaurant_ref!r}."
            raise CommandError(problem, returncode=EXIT_USAGE) from None

    def _work(self, options: dict[str, Any]) -> int:
        """Decide and record the run. Returns the number of unexpected errors in a single pass."""
        self.worker.begins()
        quarantine.continue_run(self.worker.run)
        recorder = run_log.Recorder(watches=options["watch"])
        recorder.begin()
        try:
            if options["watch"]:
                with self._exported(options):
                    self._watch(options, recorder)
                return 0
            return self._pass(options, recorder).unexpected
        finally:
            recorder.end()

    @contextmanager
    def _exported(self, options: dict[str, Any]) -> Iterator[None]:
        if not options["metrics_address"]:
            yield
            return
        try:
            server = Exporter(*options["metrics_address"])
        except OSError as error:
            host, port = options["metrics_address"]
            problem = f"--metrics-address: cannot listen at {host} port {port}: {error.strerror or error}."
            raise CommandError(problem, returncode=EXIT_USAGE) from error
        with server:
            if not options["json"]:
                self.stdout.write(f"Metrics of this worker: {server.url}")
                self.stdout.flush()
            yield

    def _watch(self, options: dict[str, Any], recorder: run_log.Recorder) -> None:
        with stopping.asked_by(signal.SIGTERM, signal.SIGINT) as stop:
            while not stop.is_made():
                try:
                    close_old_connections()
                    self._pass(options, recorder, should_stop=stop.is_made)
                except (OperationalError, InterfaceError) as error:
                    # A worker survives a database restart; a supervisor would only start it again.
                    is_away = transactions.is_database_away(error)
                    self.stderr.write(
                        f"The database is unavailable: {error}" if is_away else f"Unexpected {type(error).__name__}."
                    )
                    connection.close()
                self.worker.rests()
                stop.wait(options["interval"])
        if not options["json"]:
            self.stdout.write("Stopped.")

    def _pass(
        self, options: dict[str, Any], recorder: run_log.Recorder, should_stop: Callable[[], bool] = lambda: False
    ) -> Tally:
        started = time.monotonic()
        try:
            tally = self._decide(options, should_stop)
        except Exception as error:
            recorder.broke_off(error, seconds=time.monotonic() - started)
            raise
        self.worker.rests()
        background_writer.flush_all(conf.settings().EVENT_FLUSH_SECONDS)
        tally.seconds = time.monotonic() - started
        process_metrics.observe_pass(tally.seconds)
        recorder.passed(tally)
        self._compactor.compact_if_due()
        self._report(options, tally)
        return tally

    def _decide(self, options: dict[str, Any], should_stop: Callable[[], bool]) -> Tally:
        """Run one pass and report new bookings and the outcomes of due ones."""
        tally = Tally()

        def must_stop() -> bool:
            self.worker.goes_on()
            return should_stop()

        max_seconds = options["max_seconds"] or 0.0
        if max_seconds and not options["watch"]:
            max_seconds = max(max_seconds - self.worker.elapsed, 0.01)
            self.worker.has(max_seconds)
        for error_type in mark_following.sweep(should_stop=must_stop).errors:
            tally.add_unexpected(error_type)
        self.worker.rests()  # How long the host takes to list what waits is its own affair.
        tally.taken_in = self._register_new(options["restaurant"], tally)
        limits = dispatch.PassLimits(
            limit=int(options["limit"] or 0),
            max_seconds=max_seconds,
            restaurant_ref=options["restaurant"],
            should_stop=must_stop,
        )
        with self._progress_bar(options) as advance:
            for progress in dispatch.run_pass(limits):
                tally.add(progress)
                advance(progress)
        return tally

    def _report(self, options: dict[str, Any], tally: Tally) -> None:
        if options["json"]:
            self.stdout.write(json.dumps(tally.as_dict()))
        elif not options["watch"] or tally.outcomes or options["verbosity"] > 1:
            self.stdout.write(f"{tally.taken_in} new; {tally}; {tally.seconds:.2f} s.")
            for reason, count in sorted(tally.reasons.items()):
                self.stdout.write(f"  {count:5} {reason}")
        # Flush, so that the reader of a pipe sees each pass when it ends.
        self.stdout.flush()

    def _register_new(self, restaurant_ref: str | None, tally: Tally) -> int:
        """Request new bookings. If the host raises, they wait for the next pass; known ones are still decided."""
        try:
            registered = dispatch.register_new(restaurant_ref)
            tally.unseen = registered.unseen
            return registered.new
        except ImproperlyConfigured:
            raise
        except Exception as error:
            if transactions.is_database_away(error):
                raise
            # Counted, and the run continues. Never log the message, which may name a guest.
            tally.host_raised = True
            tally.add_unexpected(type(error).__name__)
            self.stderr.write(f"The host raised {type(error).__name__} for its waiting bookings.")
            return 0

    @contextmanager
    def _progress_bar(self, options: dict[str, Any]) -> Iterator[Callable[[dispatch.Progress], None]]:
        """Show progress: a bar on a terminal, otherwise a line per restaurant-day, nothing with --json."""
        if options["json"]:
            yield lambda progress: None
            return
        if not getattr(self.stdout, "isatty", lambda: False)():
            yield self._write_line
            return
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        with Progress(*columns, console=Console(), transient=True) as bar:
            task = bar.add_task("Bookings", total=dispatch.count_due(options["restaurant"]))
            yield lambda progress: bar.advance(task, len(progress.outcomes))

    def _write_line(self, progress: dispatch.Progress) -> None:
        day = f"restaurant {progress.restaurant_ref} {progress.service_date}"
        if progress.contended:
            self.stdout.write(f"{day}: skipped: another worker holds this day")
        elif progress.circuit_open:
            self.stdout.write(f"{day}: skipped: the breaker is open after repeated errors")
        elif progress.outcomes:
            tally = Tally()
            tally.add(progress)
            self.stdout.write(f"{day}: {tally}")

    def _dry_run(self, options: dict[str, Any]) -> None:
        days = []
        for day in dry_run.preview(restaurant_ref=options["restaurant"], limit=int(options["limit"] or 0)):
            rows = [
                {
                    "booking": decision.booking_ref,
                    "planner": planner,
                    "tables": list(decision.best.table_refs) if decision.best else [],
                    "reason": decision.refusal.reason if decision.refusal else "",
                    "why": describe(decision.to_json(), day.floor),
                }
                for planner, decisions in day.decisions.items()
                for decision in decisions
                if day.floor is not None
            ]
            days.append(
                {
                    "restaurant": day.restaurant_ref,
                    "service_date": day.service_date.isoformat(),
                    "problem": day.problem,
                    "decisions": rows,
                }
            )
            if not options["json"]:
                self._write_preview(day.restaurant_ref, day.service_date.isoformat(), day.problem, rows)
        if options["json"]:
            self.stdout.write(json.dumps({"dry_run": True, "days": days}))
        elif not days:
            self.stdout.write("Nothing due.")
        else:
            self.stdout.write("Dry run: nothing was written.")

    def _write_preview(self, restaurant_ref: str, day: str, problem: str, rows: list[dict[str, Any]]) -> None:
        seated = sum(1 for row in rows if row["tables"])
        self.stdout.write(f"restaurant {restaurant_ref} {day}: {problem or f'{seated} of {len(rows)} would be seated'}")
        for row in rows:
            self.stdout.write(f"  {row['booking']} ({row['planner']}): {row['why']}")

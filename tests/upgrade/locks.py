"""How long each migration since BASE holds a lock that others wait for: ``python -m tests.upgrade.locks [BOOKINGS]``.

Makes a database with so many bookings (120,000) on the tests' server, migrates it one by one while others read and write,
and prints for each the longest lock that it held on a table of ours, and the longest that a reader or writer waited.
Exit code 1 if a lock lasted for longer than two seconds.
"""

import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from psycopg import sql

from tests import server

PROJECT = server.PROJECT
SEEN_EVERY_SECONDS = 0.004
STRONG = ("AccessExclusiveLock", "ExclusiveLock", "ShareRowExclusiveLock", "ShareLock")
"""What a reader or a writer of the table waits for."""
GROWING = (
    "assignments_assignment",
    "assignments_statetransition",
    "assignments_allocation",
    "assignments_seatingchange",
    "assignments_outboxmessage",
    "assignments_attempt",
    "rollout_comparison",
    "example_booking",
)
"""The tables that grow with the bookings."""
COMPARED = """
from rollout.models import Comparison, FloorRecord
floor = FloorRecord.objects.create(version="1", restaurant_ref="R1", content={})
given = {"snapshot": {}, "control": {}, "control_ms": 1.0, "verdict": "same_tables"}
Comparison.objects.create(booking_ref="B1", restaurant_ref="R1", floor=floor, **given)
"""
"""A comparison to copy, which BASE stores."""
MOST_SECONDS = 2.0
"""No lock of a migration may last longer."""


MIGRATING = """
import sys, django
from django.core.management import call_command
django.setup()
for line in sys.stdin:
    call_command("migrate", *line.split(), verbosity=0)
    print("done", flush=True)
"""


@contextmanager
def migrating(conninfo: str) -> Iterator[Callable[[str, str], None]]:
    """A process of today's code that migrates; how to have it carry out a migration, by its app and name."""
    with subprocess.Popen(
        [sys.executable, "-c", MIGRATING],
        cwd=PROJECT,
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "example.settings", "DATABASE_URL": conninfo},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        write, read = process.stdin, process.stdout

        def migrate(app: str, name: str) -> None:
            write.write(f"{app} {name}\n")
            write.flush()
            if read.readline() != "done\n":
                raise RuntimeError(f"{app} {name} fails.")

        yield migrate


def fill(database: psycopg.Connection[tuple[object, ...]], bookings: int) -> None:
    """So many rows in each table that grows with the bookings: a real booking's rows, copied under other refs."""
    database.execute("SET session_replication_role = replica")  # Triggers would write histories of their own.
    for name in GROWING:
        found = database.execute(
            "SELECT column_name FROM information_schema.columns WHERE table_name = %s AND is_generated = 'NEVER'",
            [name],
        )
        columns = [str(column) for (column,) in found]
        (first,) = database.execute(sql.SQL("SELECT min(id) FROM {}").format(sql.Identifier(name))).fetchone() or (
            None,
        )
        if first is None:
            raise RuntimeError(f"{name} has no row to copy.")
        replaced: dict[str, sql.Composable] = {
            "id": sql.SQL("1000000 + nth"),
            "booking_ref": sql.SQL("'L' || nth"),
            "subject": sql.SQL("'L' || nth"),
            "assignment_id": sql.SQL("1000000 + nth"),
            "reference": sql.SQL("'L' || nth"),
            "key": sql.SQL("gen_random_uuid()"),
            "snapshot": sql.SQL("'{}'"),
            "blocked": sql.SQL(
                "tstzrange(lower(blocked) + nth * interval '1 day', upper(blocked) + nth * interval '1 day')"
            ),
        }
        if (
            name == "assignments_assignment"
        ):  # One in fifty has tables, and waits for staff because its edit does not fit.
            for column, aside in (("state", "manual_review"), ("reason", "edit_unmet")):
                replaced[column] = sql.SQL("CASE WHEN nth % 50 = 0 THEN {} ELSE {} END").format(
                    sql.Literal(aside), sql.Identifier(column)
                )
        database.execute(
            sql.SQL(
                "INSERT INTO {table} ({columns}) SELECT {values} FROM {table}, generate_series(1, {many}) AS nth "
                "WHERE id = {first}"
            ).format(
                table=sql.Identifier(name),
                columns=sql.SQL(", ").join(map(sql.Identifier, columns)),
                values=sql.SQL(", ").join(replaced.get(column, sql.Identifier(column)) for column in columns),
                many=sql.Literal(bookings),
                first=sql.Literal(first),
            )
        )
    database.execute("SET session_replication_role = origin")
    database.execute("ANALYZE")


class Watcher(threading.Thread):
    """Looks at the locks of others, and reads and writes as traffic does, until it is stopped.

    ``waited``: the longest that a read and a write took together; ``count``: how often they were done.
    """

    def __init__(self, conninfo: str) -> None:
        super().__init__(daemon=True)
        self._conninfo = conninfo
        self.ended = threading.Event()
        self.longest: dict[str, float] = {}
        self.waited = 0.0
        self.count = 0

    def run(self) -> None:
        traffic = threading.Thread(target=self._traffic, daemon=True)
        traffic.start()
        since: dict[tuple[object, ...], float] = {}
        with psycopg.connect(self._conninfo, autocommit=True) as database:
            while not self.ended.is_set():
                now = time.monotonic()
                held = set(
                    database.execute(
                        "SELECT pid, relname, mode FROM pg_locks JOIN pg_class ON pg_class.oid = relation "
                        "WHERE granted AND relkind = 'r' AND pid <> pg_backend_pid() AND mode = ANY(%s) "
                        "AND relname ~ '^(assignments|rollout|example)_'",
                        [list(STRONG)],
                    ).fetchall()
                )
                since = {each: since.get(each, now) for each in held}
                for each, start in since.items():
                    label = f"{each[1]} {each[2]}"
                    self.longest[label] = max(self.longest.get(label, 0.0), now - start)
                time.sleep(SEEN_EVERY_SECONDS)
        traffic.join()

    def _traffic(self) -> None:
        with psycopg.connect(self._conninfo, autocommit=True) as database:
            while not self.ended.is_set():
                start = time.monotonic()
                ref = f"L{self.count % 1000 + 1}"
                for query in (
                    "SELECT count(*) FROM assignments_allocation WHERE booking_ref = %s",
                    "UPDATE assignments_assignment SET party = party WHERE booking_ref = %s",
                ):
                    database.execute(query, [ref])
                self.count += 1
                self.waited = max(self.waited, time.monotonic() - start)
                time.sleep(SEEN_EVERY_SECONDS)


def names(app: str, tree: Path = PROJECT) -> list[str]:
    return sorted(each.stem for each in (tree / app / "migrations").glob("[0-9]*.py"))


def main(bookings: int) -> int:
    """Measure, and print; 1 if a lock lasted for longer than ``MOST_SECONDS``."""
    from django import setup

    from tests.upgrade.trees import unpack_base

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
    setup()
    from example.embedded.base import server_uri

    base = unpack_base(Path(tempfile.mkdtemp(prefix="upgrade-base-")))
    main_uri = server_uri()
    made = "upgrade_locks"
    with psycopg.connect(main_uri, autocommit=True) as database:
        database.execute(f"DROP DATABASE IF EXISTS {made} WITH (FORCE)")
        database.execute(f"CREATE DATABASE {made}")
    conninfo = psycopg.conninfo.make_conninfo(main_uri, dbname=made)
    variables = {"DATABASE_URL": conninfo, "FEATURE_ASSIGNMENT_PIPELINE_V3": "true", "PYTHONPATH": str(base)}
    for arguments in (
        ["migrate", "--verbosity", "0"],
        ["load_evening", "example/data/demo_evening.json", "--date", "2030-01-17"],
        ["run_coordinator", "--limit", "20"],
        ["shell", "-c", COMPARED],
    ):
        subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=base,
            env={**os.environ, "DJANGO_SETTINGS_MODULE": "example.settings", **variables},
            check=True,
            stdout=subprocess.DEVNULL,
        )
    with psycopg.connect(conninfo) as filled:
        fill(filled, bookings)
    print(
        f"{bookings} bookings. Longest lock that a reader or writer waits for, and longest wait, in seconds:",
        flush=True,
    )
    over = 0
    with migrating(conninfo) as migrate:
        for app in ("assignments", "rollout", "example"):
            for name in names(app)[len(names(app, base)) :]:
                watcher = Watcher(conninfo)
                watcher.start()
                migrate(app, name)
                watcher.ended.set()
                watcher.join()
                if not watcher.count:
                    raise RuntimeError(f"Nobody has read or written while {name} was carried out.")
                lock, seconds = max(watcher.longest.items(), key=lambda each: each[1], default=("none seen", 0.0))
                print(f"{app} {name:40} {seconds:6.3f}  {lock:50} waited {watcher.waited:6.3f}", flush=True)
                over += seconds > MOST_SECONDS
    with psycopg.connect(main_uri, autocommit=True) as database:
        database.execute(f"DROP DATABASE {made} WITH (FORCE)")
    print(f"{over} held a lock for longer than {MOST_SECONDS} seconds.")
    return int(over > 0)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 120_000))
